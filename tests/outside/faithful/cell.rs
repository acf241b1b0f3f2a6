//! Four upstreams that answer with given bytes, one proxy before them, and clients of both eras
//! that send given bytes.

use std::{fs, net::SocketAddr, path::PathBuf, process::Command};

use crate::{
    faithful::corpus::Case,
    support::{Answer, Era, Process, Proxy, Raw, Setup, exact, post},
};

/// One upstream.
pub(crate) struct Upstream {
    /// Its name in the file.
    pub(crate) name: &'static str,
    pub(crate) era: Era,
    pub(crate) stdio: bool,
    pub(crate) folder: PathBuf,
}

/// Everything that runs.
pub(crate) struct World {
    pub(crate) proxy: Proxy,
    pub(crate) upstreams: Vec<Upstream>,
    direct: [(Process, SocketAddr); 2],
    /// Kept to the end: the upstreams write into it.
    _folders: tempfile::TempDir,
}

const KINDS: [(&str, Era, bool); 4] = [
    ("lhttp", Era::Legacy, false),
    ("mhttp", Era::Modern, false),
    ("lpipe", Era::Legacy, true),
    ("mpipe", Era::Modern, true),
];

const fn word(era: Era) -> &'static str {
    match era {
        Era::Legacy => "legacy",
        Era::Modern => "modern",
    }
}

impl World {
    /// Starts everything; each upstream's folder holds these files.
    pub(crate) fn new(files: &[(String, String)]) -> Self {
        let folders = tempfile::tempdir().expect("a temporary folder can be made");
        let shared = folders.path().join("files");
        fs::create_dir(&shared).expect("the folder is ours");
        for (name, text) in files {
            fs::write(shared.join(name), text).expect("the folder is ours");
        }
        let program = exact();
        let serve = |era: Era, folder: &PathBuf| {
            let mut command = Command::new(&program);
            command.args(["--http", "127.0.0.1:0", "--era", word(era), "--folder"]).arg(folder);
            let process = Process::start(&mut command);
            let address = process.line("its address", crate::support::address_in);
            (process, address)
        };
        // Each upstream keeps what it gets in a folder of its own; the answers are the same files.
        let own = |name: &str| {
            let folder = folders.path().join(name);
            fs::create_dir(&folder).expect("the folder is ours");
            for (file, _) in files {
                fs::hard_link(shared.join(file), folder.join(file)).expect("one file system");
            }
            folder
        };
        let mut toml = "[server]\nlisten = \"127.0.0.1:0\"\nmax_body = \"16MiB\"\n".to_owned();
        let mut upstreams = Vec::new();
        let mut direct = Vec::new();
        for (name, era, stdio) in KINDS {
            let folder = own(name);
            if stdio {
                toml += &format!(
                    "[upstreams.{name}]\ncommand = [{program:?}, \"--era\", {:?}, \"--folder\", {folder:?}]\n",
                    word(era)
                );
            } else {
                let (process, address) = serve(era, &folder);
                toml += &format!("[upstreams.{name}]\nurl = \"http://{address}/mcp\"\n");
                direct.push((process, address));
            }
            upstreams.push(Upstream { name, era, stdio, folder });
        }
        let direct = direct.try_into().unwrap_or_else(|_| unreachable!("two are served"));
        Self { proxy: Setup::new().config(&toml).serve(), upstreams, direct, _folders: folders }
    }

    /// A client that talks to an upstream itself.
    pub(crate) fn direct(&self, era: Era) -> Sender {
        let (_, address) = &self.direct[usize::from(era == Era::Modern)];
        Sender {
            era,
            raw: Raw::connect(*address),
            address: *address,
            door: "/mcp".into(),
            extra: Vec::new(),
        }
    }

    /// A client of the proxy at a door.
    pub(crate) fn client(&self, era: Era, door: &str) -> Sender {
        let address = self.proxy.address();
        let mut extra = vec![("Authorization".to_owned(), format!("Bearer {}", self.proxy.key()))];
        if era == Era::Legacy {
            let client = self.proxy.client(era, door);
            let session = client.session().expect("a session").to_owned();
            extra.push(("Mcp-Session-Id".to_owned(), session));
        }
        Sender { era, raw: Raw::connect(address), address, door: door.to_owned(), extra }
    }

    /// What an upstream got for a case since it was asked last.
    pub(crate) fn got(upstream: &Upstream, case: &str) -> Option<String> {
        let place = upstream.folder.join(format!("{case}.in"));
        let bytes = fs::read(&place).ok()?;
        fs::remove_file(&place).expect("the folder is ours");
        Some(String::from_utf8(bytes).expect("what was sent is UTF-8"))
    }
}

/// A client that sends bytes and gives bytes, on one connection.
pub(crate) struct Sender {
    pub(crate) era: Era,
    raw: Raw,
    address: SocketAddr,
    door: String,
    extra: Vec<(String, String)>,
}

impl Sender {
    /// A request of a case, in the words of this client's era.
    pub(crate) fn body(&self, case: &Case) -> String {
        let reserved = match self.era {
            Era::Legacy => "",
            Era::Modern => {
                r#""io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{},"io.modelcontextprotocol/clientInfo":{"name":"t\u0065st","version":"1.0","x":1.0},"io.modelcontextprotocol/logLevel":"debug","#
            }
        };
        let own = reserved.strip_suffix(',').map(|members| format!("\"_meta\":{{{members}}},"));
        case.request.replace("@META@", reserved).replace("@OWN@", &own.unwrap_or_default())
    }

    /// Sends a body and gives the messages of the answer as they were written.
    pub(crate) fn send(&mut self, case: &Case, body: &str) -> Vec<String> {
        let named = self.named(case.named);
        self.send_as(case.method, named.as_deref(), body)
    }

    fn named(&self, named: Option<&str>) -> Option<String> {
        let own = self.era == Era::Modern;
        named.filter(|_| own).map(str::to_owned)
    }

    /// The same for a method and a name.
    pub(crate) fn send_as(&mut self, method: &str, named: Option<&str>, body: &str) -> Vec<String> {
        let mut headers = vec![("Connection", "keep-alive")];
        headers.push(("MCP-Protocol-Version", self.era.revision()));
        if self.era == Era::Modern {
            headers.push(("Mcp-Method", method));
            headers.extend(named.map(|name| ("Mcp-Name", name)));
        }
        headers.extend(self.extra.iter().map(|(name, value)| (name.as_str(), value.as_str())));
        let bytes = post(self.address, &self.door, &headers, body.as_bytes());
        self.raw.send(&bytes).unwrap_or_else(|error| panic!("{}: {error}", self.door));
        let answer = self.raw.answer();
        messages(&answer.unwrap_or_else(|error| panic!("{} {body:.300}: {error}", self.door)))
    }
}

/// The messages of an answer as they are written.
fn messages(answer: &Answer) -> Vec<String> {
    let text = std::str::from_utf8(&answer.body).expect("what was sent is UTF-8");
    let kind = answer.header("content-type").unwrap_or_default();
    if !kind.starts_with("text/event-stream") {
        return vec![text.to_owned()];
    }
    let event = |event: &str| {
        let data: Vec<&str> = event
            .split('\n')
            .filter_map(|line| line.strip_prefix("data:"))
            .map(|data| data.strip_prefix(' ').unwrap_or(data))
            .collect();
        (!data.is_empty()).then(|| data.join("\n")).filter(|data| !data.is_empty())
    };
    text.split("\n\n").filter_map(event).collect()
}
