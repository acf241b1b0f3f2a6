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

/// Programs of other people that some tests want.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Found {
    /// All there.
    All,
    /// Something is missing, and that may be.
    Skip,
}

/// Prints a line that the test runner does not swallow.
pub(crate) fn say(line: &str) {
    // A closed standard error must not fail a test.
    let _ = writeln!(std::io::stderr(), "{line}");
}

/// Looks for programs. What is missing is said in a line.
///
/// # Panics
/// When one is missing and `CI=true`.
pub(crate) fn found(programs: &[&str]) -> Found {
    let missing = programs.iter().find(|program| {
        let runs = Command::new(program).arg("--version").output();
        !runs.is_ok_and(|output| output.status.success())
    });
    let Some(missing) = missing else { return Found::All };
    let ci = std::env::var_os("CI").is_some_and(|value| value == "true");
    assert!(!ci, "{missing} is not installed, and CI=true makes this test mandatory");
    say(&format!("skipped: {missing} is not installed"));
    Found::Skip
}

/// Where the peers are installed.
pub(crate) struct Peers {
    home: PathBuf,
}

impl Peers {
    /// Installs them on first use. None, and a line that says so, where Node or Python is missing.
    ///
    /// # Panics
    /// When the installation fails, or with `CI=true` when a program is missing.
    pub(crate) fn installed() -> Option<&'static Self> {
        static PEERS: OnceLock<Option<Peers>> = OnceLock::new();
        PEERS
            .get_or_init(|| {
                if found(&["node", "npm", "python3", "bash"]) == Found::Skip {
                    return None;
                }
                let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/peers/install");
                let (status, output, errors) =
                    Process::run(&mut Command::new(script), b"", INSTALL);
                assert!(status.success(), "tests/peers/install failed:\n{errors}");
                Some(Self { home: output.lines().last().expect("it prints the place").into() })
            })
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
        let (program, script) = match client {
            "ts1" | "ts2" => ("node".into(), format!("{client}.mjs")),
            "py1" => (self.home.join("python1/bin/python"), "py1.py".to_owned()),
            _ => (self.home.join("python2/bin/python"), "py2.py".to_owned()),
        };
        let mut command = Command::new(program);
        command.arg(self.home.join(script)).args([url, era, &plan.to_string()]);
        // A proxy of this machine's must not stand between two programs of it.
        command.env("MCP_KEY", key).env("NO_PROXY", "127.0.0.1").env("no_proxy", "127.0.0.1");
        let (_, output, errors) = Process::run(&mut command, b"", PLAN);
        let report = output.lines().last().and_then(|line| serde_json::from_str(line).ok());
        report.unwrap_or_else(|| panic!("{client} ({era}) printed no report:\n{output}{errors}"))
    }
}
