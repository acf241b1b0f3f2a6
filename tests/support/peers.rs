//! The real clients and servers of `tests/peers`, where Node and Python are found.

use std::{
    io::Write,
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
    time::Duration,
};

use serde_json::Value;

use super::Process;

/// Longest installation, of some 150 packages.
const INSTALL: Duration = Duration::from_secs(600);
/// Longest run of one client.
const PLAN: Duration = Duration::from_secs(120);

/// Prints a line that the test runner does not swallow.
pub(crate) fn say(line: &str) {
    // A closed standard error must not fail a test.
    let _ = writeln!(std::io::stderr(), "{line}");
}

/// Says why a test is skipped.
///
/// # Panics
/// With `CI=true`, which makes every test mandatory.
fn skip(reason: &str) {
    let ci = std::env::var_os("CI").is_some_and(|value| value == "true");
    assert!(!ci, "{reason}, and CI=true makes this test mandatory");
    say(&format!("skipped: {reason}"));
}

/// True when these programs are there. What is missing is said in a line.
///
/// # Panics
/// When one is missing and `CI=true`.
pub(crate) fn found(programs: &[&str]) -> bool {
    let missing = programs.iter().find(|program| {
        let runs = Command::new(program).arg("--version").output();
        !runs.is_ok_and(|output| output.status.success())
    });
    if let Some(missing) = missing {
        skip(&format!("{missing} is not installed"));
    }
    missing.is_none()
}

/// Runs a script under `tests/` that installs something, and gives the last line that it printed.
/// None, and a line that says so, where that is not possible: not everybody has a network.
///
/// # Panics
/// When it is not possible and `CI=true`.
pub(crate) fn install(script: &str, args: &[&str]) -> Option<String> {
    if !found(&["node", "npm", "python3", "bash"]) {
        return None;
    }
    let place = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(script);
    let (status, output, errors) = Process::run(Command::new(place).args(args), b"", INSTALL);
    if status.code() == Some(NOT_HERE) {
        // Not what a machine must have, so nobody misses it there.
        eprintln!("skipped: {}", errors.lines().next_back().unwrap_or(script));
        return None;
    }
    if !status.success() {
        let mut lines = errors.lines().filter(|line| !line.trim().is_empty());
        let error = lines.clone().find(|line| line.to_lowercase().contains("error"));
        let reason = error.or_else(|| lines.next_back()).unwrap_or("it gave no reason");
        skip(&format!("tests/{script} did not succeed: {reason}"));
        return None;
    }
    Some(output.lines().last().unwrap_or_default().to_owned())
}

/// What a script ends with that is to be passed over on this machine, as test harnesses have it.
const NOT_HERE: i32 = 77;

/// Where the peers are installed.
pub(crate) struct Peers {
    home: PathBuf,
}

impl Peers {
    /// Installs them on first use. None, and a line that says so, where that is not possible.
    ///
    /// # Panics
    /// When it is not possible and `CI=true`.
    pub(crate) fn installed() -> Option<&'static Self> {
        static PEERS: OnceLock<Option<Peers>> = OnceLock::new();
        PEERS
            .get_or_init(|| install("peers/install", &[]).map(|home| Self { home: home.into() }))
            .as_ref()
    }

    /// The file of an npm server's program, to be run with `node`.
    pub(crate) fn npm(&self, program: &str) -> PathBuf {
        self.home.join("node_modules/.bin").join(program)
    }

    /// The program of the Python time server.
    pub(crate) fn time(&self) -> PathBuf {
        self.home.join("server-time/bin/mcp-server-time")
    }

    /// A script of `tests/peers`, run with the Python that has this line of the SDK.
    pub(crate) fn python(&self, line: u8, script: &str, args: &[&str]) -> Command {
        let mut command = Command::new(self.home.join(format!("python{line}/bin/python")));
        command.arg(self.home.join(script)).args(args);
        command
    }

    /// A script that sends spans, and the Python that has what it needs for that.
    pub(crate) fn traced(&self, script: &str) -> (PathBuf, PathBuf) {
        (self.home.join("otel/bin/python"), self.home.join(script))
    }

    /// A collector of spans.
    pub(crate) fn collector(&self) -> PathBuf {
        self.home.join("otel/bin/rotel")
    }

    /// The program and the script of a server that asks, by its SDK (`ts1`, `py2`, …).
    pub(crate) fn server(&self, sdk: &str) -> (PathBuf, PathBuf) {
        match sdk.split_at(2) {
            ("ts", _) => ("node".into(), self.home.join(format!("server_{sdk}.mjs"))),
            (_, line) => (
                self.home.join(format!("python{line}/bin/python")),
                self.home.join(format!("server_{sdk}.py")),
            ),
        }
    }

    /// The four clients, each with the eras that it knows.
    pub(crate) const CLIENTS: [(&str, &[&str]); 4] = [
        ("ts1", &["legacy"]),
        ("ts2", &["legacy", "auto", "2026-07-28"]),
        ("py1", &["legacy"]),
        ("py2", &["legacy", "auto", "2026-07-28"]),
    ];

    /// Runs a plan with a client and gives its report (see tests/peers/plan.mjs).
    ///
    /// # Panics
    /// When the client prints no report.
    pub(crate) fn run(&self, client: &str, era: &str, url: &str, key: &str, plan: &Value) -> Value {
        self.report(client, era, url, key, plan, None)
    }

    /// The same with a client that starts this program and speaks over its pipes.
    ///
    /// # Panics
    /// When the client prints no report.
    pub(crate) fn start(
        &self,
        client: &str,
        era: &str,
        program: &[&str],
        key: &str,
        plan: &Value,
    ) -> Value {
        self.report(client, era, "-", key, plan, Some(program))
    }

    /// Connects a client that does what it is told step by step.
    ///
    /// # Panics
    /// When it makes no connection.
    pub(crate) fn connect(&self, client: &str, era: &str, url: &str, key: &str) -> Peer {
        let process = Process::start(&mut self.command(client, [url, era, "-"], key));
        process.line("that it is connected", |line| line.contains("\"connected\"").then_some(()));
        Peer { name: format!("{client} {era}"), process, steps: 0 }
    }

    fn command(&self, client: &str, args: [&str; 3], key: &str) -> Command {
        let (program, script) = match client {
            "ts1" | "ts2" => ("node".into(), format!("{client}.mjs")),
            "py1" => (self.home.join("python1/bin/python"), "py1.py".to_owned()),
            _ => (self.home.join("python2/bin/python"), "py2.py".to_owned()),
        };
        let mut command = Command::new(program);
        command.arg(self.home.join(script)).args(args);
        // A proxy of this machine's must not stand between two programs of it.
        command.env("MCP_KEY", key).env("NO_PROXY", "127.0.0.1").env("no_proxy", "127.0.0.1");
        command
    }

    /// Runs a plan in which the client is killed.
    ///
    /// # Panics
    /// When it ends otherwise.
    pub(crate) fn die(&self, client: &str, era: &str, url: &str, key: &str, plan: &Value) {
        let (status, output, errors) =
            Process::run(&mut self.command(client, [url, era, &plan.to_string()], key), b"", PLAN);
        let killed = std::os::unix::process::ExitStatusExt::signal(&status).is_some();
        assert!(killed, "{client} ({era}) was not killed but {status}:\n{output}{errors}");
    }

    fn report(
        &self,
        client: &str,
        era: &str,
        url: &str,
        key: &str,
        plan: &Value,
        started: Option<&[&str]>,
    ) -> Value {
        let mut command = self.command(client, [url, era, &plan.to_string()], key);
        command.envs(started.map(|words| ("MCP_PROGRAM", serde_json::json!(words).to_string())));
        let (_, output, errors) = Process::run(&mut command, b"", PLAN);
        let report = output.lines().last().and_then(|line| serde_json::from_str(line).ok());
        report.unwrap_or_else(|| panic!("{client} ({era}) printed no report:\n{output}{errors}"))
    }
}

/// A client that is connected, and idle between its steps. It ends with the value.
pub(crate) struct Peer {
    name: String,
    process: Process,
    steps: usize,
}

impl Peer {
    /// Which client it is, and its era.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Tells it a step (see tests/peers/plan.mjs).
    pub(crate) fn begin(&mut self, step: &Value) {
        self.steps += 1;
        self.process.tell(&step.to_string());
    }

    /// What became of the last step: `{"ok":true,"result":…}` or `{"ok":false,"error":…}`.
    ///
    /// # Panics
    /// When the client has ended, or that takes two minutes.
    pub(crate) fn finish(&mut self) -> Value {
        let outcome = |line: &str| {
            let line: Value = serde_json::from_str(line).ok()?;
            (line["step"] == self.steps).then_some(line)
        };
        self.process.line_within(PLAN, "what became of its step", outcome)
    }
}
