//! The proxy as its users have it: a folder, a file, a process, an address.

use std::{
    fs,
    net::SocketAddr,
    path::Path,
    process::{Command, ExitStatus},
    time::Duration,
};

use tempfile::TempDir;

use super::{
    Client, Era, Process,
    process::survivors,
    program::{PROXY, address_in},
    until,
};

/// The key of the tenant `test`, which a file without tenants gets.
const KEY: &str = "the-key-of-the-tenant-test-in-the-tests-1";
/// What `serve` reads its log filter from.
const LOG: &str = "MCP_PROXY_LOG";

/// What stands around the proxy before it starts.
pub(crate) struct Setup {
    folder: TempDir,
    environment: Vec<(String, String)>,
}

impl Setup {
    /// An empty folder.
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let setup = Self { folder, environment: Vec::new() };
        setup.env("TEST_KEY", KEY)
    }

    /// The key of the tenant `test`.
    pub(crate) const fn key() -> &'static str {
        KEY
    }

    /// The folder: configuration, store, root key.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Sets a variable of the proxy's environment, which otherwise holds PATH and HOME only.
    pub(crate) fn env(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Writes a file into the folder, readable by its owner alone.
    pub(crate) fn file(self, name: &str, content: &[u8]) -> Self {
        let place = self.folder().join(name);
        fs::write(&place, content).expect("the folder is ours");
        let owner = std::os::unix::fs::PermissionsExt::from_mode(0o600);
        fs::set_permissions(&place, owner).expect("the file is ours");
        self
    }

    /// Writes the configuration. One without `[server]` listens at a free port, one without
    /// tenants gets `test`.
    pub(crate) fn config(self, toml: &str) -> Self {
        let mut text = String::new();
        if !toml.contains("[server]") {
            text += "[server]\nlisten = \"127.0.0.1:0\"\n";
        }
        text += toml;
        if !toml.contains("[tenants.") {
            text += "\n[tenants.test]\nkeys = [{ name = \"test\", env = \"TEST_KEY\" }]\n";
        }
        self.file("mcp-proxy.toml", text.as_bytes())
    }

    /// `mcp-proxy ARGS… --config FILE` in this folder, not yet started.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(PROXY);
        command.args(args).arg("--config").arg(self.folder().join("mcp-proxy.toml"));
        command.current_dir(self.folder()).env_clear();
        for name in ["PATH", "HOME", "TMPDIR"] {
            command.envs(std::env::var_os(name).map(|value| (name, value)));
        }
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command
    }

    /// Runs a command to its end: status, standard output, standard error.
    pub(crate) fn run(&self, args: &[&str], input: &[u8]) -> (ExitStatus, String, String) {
        Process::run(&mut self.command(args), input, Duration::from_secs(30))
    }

    /// Starts `serve` and waits for its address.
    pub(crate) fn serve(self) -> Proxy {
        self.serve_with(&[])
    }

    /// The same with these flags.
    pub(crate) fn serve_with(self, flags: &[&str]) -> Proxy {
        let process = Process::start(&mut self.command(&[&["serve"], flags].concat()));
        let address = process.line("the address that it listens at", address_in);
        Proxy { setup: self, process, address }
    }

    /// The same with everything in the log.
    pub(crate) fn serve_at_trace(self) -> Proxy {
        self.env(LOG, "trace").serve()
    }
}

/// A proxy that serves. When the value ends, so does the process, and every one below it.
pub(crate) struct Proxy {
    process: Process,
    address: SocketAddr,
    setup: Setup,
}

impl Proxy {
    /// Serves this configuration from a new folder.
    pub(crate) fn start(toml: &str) -> Self {
        Setup::new().config(toml).serve()
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// The URL of a door, `/mcp` for instance.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// The key of the tenant `test`.
    #[expect(clippy::unused_self, reason = "keys belong to a proxy")]
    pub(crate) fn key(&self) -> &'static str {
        KEY
    }

    /// A client of the tenant `test` at a door.
    pub(crate) fn client(&self, era: Era, door: &str) -> Client {
        Client::connect(era, self.address, door, Some(KEY))
    }

    /// Its folder.
    pub(crate) fn folder(&self) -> &Path {
        self.setup.folder()
    }

    /// What surrounds it, for commands beside the running server.
    pub(crate) fn setup(&self) -> &Setup {
        &self.setup
    }

    /// Its process id.
    pub(crate) fn id(&self) -> u32 {
        self.process.id()
    }

    /// Everything it has logged up to now.
    pub(crate) fn log(&self) -> String {
        self.process.log()
    }

    /// Its children and theirs: (process id, start time, command line).
    pub(crate) fn descendants(&self) -> Vec<(u32, u64, String)> {
        self.process.descendants()
    }

    /// Kills it (SIGKILL), waits until nothing of it is left, and gives back the folder.
    pub(crate) fn kill(self) -> Setup {
        let Self { mut process, setup, .. } = self;
        let below = process.descendants();
        process.kill();
        until("no process is left behind", Duration::from_secs(10), || {
            survivors(&below).is_empty().then_some(())
        });
        setup
    }

    /// Kills it (SIGKILL) and gives back the folder at once, and what waits until nothing of it is
    /// left.
    pub(crate) fn crash(self) -> (Setup, impl FnOnce()) {
        let Self { mut process, setup, .. } = self;
        let below = process.descendants();
        process.kill();
        let nothing_is_left = move || {
            until("no process is left behind", Duration::from_secs(10), || {
                survivors(&below).is_empty().then_some(())
            });
        };
        (setup, nothing_is_left)
    }

    /// Ends it, checks that nothing of it is left, and gives back the folder.
    pub(crate) fn stop(self) -> Setup {
        let Self { process, setup, .. } = self;
        let below = process.descendants();
        process.stop();
        until("no process is left behind", Duration::from_secs(10), || {
            survivors(&below).is_empty().then_some(())
        });
        setup
    }
}
