//! A proxy before four upstreams that all write into one book, each of which can be killed and
//! comes back where it was.

use std::{
    net::{SocketAddr, TcpListener},
    process::Command,
    sync::atomic::{AtomicU16, Ordering},
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process};

use crate::{
    book::Book,
    support::{Era, Process, Proxy, Setup, address_in, everything},
};

/// Longest wait for what ought to come soon.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Every upstream: its name, its era, and whether it is a program behind a pipe.
pub(crate) const UPSTREAMS: [(&str, Era, bool); 4] = [
    ("pipe-old", Era::Legacy, true),
    ("pipe-new", Era::Modern, true),
    ("web-old", Era::Legacy, false),
    ("web-new", Era::Modern, false),
];

/// Who is killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Victim {
    /// The proxy.
    Proxy,
    /// An upstream, by its place in [`UPSTREAMS`].
    Upstream(usize),
}

impl Victim {
    pub(crate) const ALL: [Self; 5] =
        [Self::Proxy, Self::Upstream(0), Self::Upstream(1), Self::Upstream(2), Self::Upstream(3)];

    /// True for a program behind a pipe.
    pub(crate) const fn is_pipe(self) -> bool {
        matches!(self, Self::Upstream(at) if UPSTREAMS[at].2)
    }

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Proxy => "proxy",
            Self::Upstream(at) => UPSTREAMS[at].0,
        }
    }
}

/// Everything that runs.
pub(crate) struct World {
    /// None only while it is down.
    proxy: Option<Proxy>,
    servers: [Option<(Process, SocketAddr)>; 4],
    pub(crate) book: Book,
    /// Waits until nothing is left of the proxy that was killed last.
    leftovers: Option<Box<dyn FnOnce()>>,
    /// The session of the callers of the legacy era.
    pub(crate) session: String,
    folder: tempfile::TempDir,
}

/// A port that stays free while its server is down: no connection is given one of these as its
/// own end.
fn port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let first = u16::try_from(std::process::id() % 97).expect("small") * 100;
    (0..10_000)
        .map(|_| 20_000 + (first + NEXT.fetch_add(1, Ordering::Relaxed)) % 12_000)
        .find(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok())
        .expect("a free port")
}

const fn word(era: Era) -> &'static str {
    match era {
        Era::Legacy => "legacy",
        Era::Modern => "modern",
    }
}

impl World {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let book = folder.path().join("book");
        let mut toml = format!("[server]\nlisten = \"127.0.0.1:{}\"\n", port());
        let mut servers = [const { None }; 4];
        for (at, (name, era, pipe)) in UPSTREAMS.into_iter().enumerate() {
            let era = word(era);
            toml += &format!("[upstreams.{name}]\n");
            if pipe {
                toml += &format!(
                    "command = [{:?}, \"--era\", \"{era}\", \"--ledger\", {book:?}]\n",
                    everything()
                );
            } else {
                let address = SocketAddr::from(([127, 0, 0, 1], port()));
                toml += &format!("url = \"http://{address}/mcp\"\n");
                servers[at] = Some((serve(era, address, &book), address));
            }
        }
        let proxy = Setup::new().config(&toml).serve();
        let session = proxy.client(Era::Legacy, "/mcp").session().expect("a session").to_owned();
        let book = Book::new(book);
        Self { proxy: Some(proxy), servers, book, leftovers: None, session, folder }
    }

    pub(crate) fn proxy(&self) -> &Proxy {
        self.proxy.as_ref().expect("it runs")
    }

    /// Kills it (SIGKILL); `process` is the one that executes its calls.
    pub(crate) fn kill(&mut self, victim: Victim, process: u32) -> Fallen {
        match victim {
            Victim::Proxy => {
                let (setup, nothing_is_left) = self.proxy.take().expect("it runs").crash();
                Fallen::Proxy(setup, Box::new(nothing_is_left))
            }
            Victim::Upstream(at) => {
                if let Some((server, _)) = &mut self.servers[at] {
                    server.kill();
                } else {
                    let id = i32::try_from(process).ok().and_then(Pid::from_raw);
                    kill_process(id.expect("a process id"), Signal::KILL).expect("it lives");
                }
                Fallen::Upstream(at)
            }
        }
    }

    /// Waits until nothing is left of what was killed.
    pub(crate) fn nothing_is_left(&mut self) {
        if let Some(leftovers) = self.leftovers.take() {
            leftovers();
        }
    }

    /// Brings back what was killed, where it was; the proxy starts its own programs by itself.
    pub(crate) fn bring_back(&mut self, fallen: Fallen) {
        match fallen {
            Fallen::Proxy(setup, nothing_is_left) => {
                self.proxy = Some(setup.serve());
                self.leftovers = Some(nothing_is_left);
            }
            Fallen::Upstream(at) => {
                if let Some((server, address)) = &mut self.servers[at] {
                    let book = self.folder.path().join("book");
                    *server = serve(word(UPSTREAMS[at].1), *address, &book);
                }
            }
        }
    }
}

/// What was killed and is not back yet.
pub(crate) enum Fallen {
    Proxy(Setup, Box<dyn FnOnce()>),
    Upstream(usize),
}

fn serve(era: &str, address: SocketAddr, book: &std::path::Path) -> Process {
    let address = address.to_string();
    let mut command = Command::new(everything());
    command.args(["--http", &address, "--era", era, "--ledger"]).arg(book);
    let process = Process::start(&mut command);
    process.line("its address", address_in);
    process
}
