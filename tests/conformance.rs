//! The official conformance suite as judge, in the rows A to F of the README's table: what passes at
//! an upstream must pass through the proxy, in every pair of eras, and the proxy as client must pass
//! too, also where it logs in, and as authorization server. What may fail is named in `tests/conformance`, and an entry that does not fail any more is a
//! failure itself. Needs Node and Python.

#[expect(clippy::allow_attributes, reason = "which parts are unused differs by test file")]
#[allow(dead_code, unused_imports, reason = "each test file uses its own part of the harness")]
mod support;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    net::TcpListener,
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
    time::Duration,
};

use serde_json::Value;
use support::{Era, Process, Proxy, Raw, found, install, say, serve_everything};

/// Longest run of one suite.
const SUITE: Duration = Duration::from_secs(600);
/// Longest run of one scenario with the proxy as client.
const SCENARIO: Duration = Duration::from_secs(90);
/// Longest run of all scenarios about logins, which go side by side.
const LOGINS: Duration = Duration::from_secs(300);
/// The end of a result's folder, as in `ping-2026-01-01T00-00-00-000Z`.
const STAMP: usize = "-2026-01-01T00-00-00-000Z".len();

fn kit(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/conformance").join(name)
}

/// True when the suite is there; it is installed on first use.
fn suite() -> bool {
    static THERE: OnceLock<bool> = OnceLock::new();
    *THERE.get_or_init(|| install("conformance/run", &["install"]).is_some())
}

/// How a scenario went.
#[derive(Default)]
struct Scenario {
    passed: usize,
    failed: usize,
    warned: usize,
}

/// How a run went.
struct Run {
    good: bool,
    /// Its last lines.
    ended: String,
    folder: PathBuf,
    scenarios: BTreeMap<String, Scenario>,
}

impl Run {
    /// Lets the suite run; its results go to `folder`.
    fn of(command: &mut Command, folder: &Path, patience: Duration) -> Self {
        let (status, output, errors) = Process::run(command, b"", patience);
        let all = format!("{output}{errors}");
        let from = all.lines().count().saturating_sub(25);
        let ended = all.lines().skip(from).collect::<Vec<_>>().join("\n");
        let mut scenarios = BTreeMap::new();
        for entry in fs::read_dir(folder).expect("the suite makes it").flatten() {
            let name = entry.file_name().into_string().expect("scenarios have plain names");
            let name = name.strip_prefix("server-").unwrap_or(&name);
            let name = name[..name.len() - STAMP].to_owned();
            let checks = fs::read(entry.path().join("checks.json")).unwrap_or_default();
            let checks: Value = serde_json::from_slice(&checks).unwrap_or_default();
            let count = |status: &str| {
                let all = checks.as_array().into_iter().flatten();
                all.filter(|check| check["status"] == status).count()
            };
            let (passed, failed, warned) = (count("SUCCESS"), count("FAILURE"), count("WARNING"));
            scenarios.insert(name, Scenario { passed, failed, warned });
        }
        Self { good: status.success(), ended, folder: folder.to_owned(), scenarios }
    }

    /// The suite of an era against a server.
    fn server(era: Era, url: &str, key: &str, folder: &Path, more: &[&str]) -> Self {
        let mut command = Command::new(kit("run"));
        command.args(["server", url, era.revision()]).arg(folder).args(more).env("MCP_KEY", key);
        Self::of(&mut command, folder, SUITE)
    }

    /// The scenarios that did not pass whole.
    fn lost(&self) -> BTreeSet<&str> {
        let lost = self.scenarios.iter().filter(|(_, one)| one.failed + one.warned > 0);
        lost.map(|(name, _)| name.as_str()).collect()
    }

    /// One line of the table.
    fn tell(&self, row: &str, ends: &str) {
        let all = self.scenarios.len();
        let sum = |part: fn(&Scenario) -> usize| self.scenarios.values().map(part).sum::<usize>();
        let (passed, missed) = (sum(|one| one.passed), sum(|one| one.failed + one.warned));
        let lost: Vec<&str> = self.lost().into_iter().collect();
        say(&format!(
            "| {row} | {ends} | {} of {all} scenarios | {passed} of {} checks | {} |",
            all - lost.len(),
            passed + missed,
            if lost.is_empty() { "nothing lost".to_owned() } else { lost.join(", ") }
        ));
    }
}

/// Compares two runs; true when what was lost is exactly what may be.
fn compare(direct: &Path, proxied: &Path, expected: &Path) -> (bool, String) {
    let mut command = Command::new("python3");
    command.arg(kit("compare.py")).args([direct, proxied]).args(["--table", "--fail"]);
    command.arg("--expected").arg(expected);
    let (status, output, errors) = Process::run(&mut command, b"", Duration::from_secs(60));
    (status.success(), output + &errors)
}

/// The entries of a list of expected failures.
fn listed(name: &str) -> BTreeSet<String> {
    let text = fs::read_to_string(kit(name)).expect("the list is part of the tests");
    let entries = text.lines().filter_map(|line| line.trim().strip_prefix("- "));
    entries.map(|entry| entry.split('#').next().unwrap_or_default().trim().to_owned()).collect()
}

/// The shim that puts the prefix of `up` before the names that the suite knows; gives its URL.
fn shim(proxy: &Proxy) -> (Process, String) {
    let free = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
    let port = free.expect("a port is free").port();
    let mut command = Command::new("node");
    command.arg(kit("rename-shim.mjs")).args(["--listen", &port.to_string()]);
    command.args(["--target", &proxy.url("/mcp"), "--prefix", "up__"]);
    command.args(["--header", &format!("Authorization: Bearer {}", proxy.key())]);
    let process = Process::start(&mut command);
    process.line("that it listens", |line| line.starts_with("shim").then_some(()));
    (process, format!("http://127.0.0.1:{port}/mcp"))
}

/// Rows A and F, B and F: in one era, behind a door of its own and under prefixed names.
fn same_era(era: Era, name: &str, row: &str, scenarios: usize) {
    if !suite() {
        return;
    }
    let out = tempfile::tempdir().expect("a temporary folder can be made");
    let expected = kit(&format!("expected-{name}.txt"));

    // Each run gets a server of its own, since some scenarios change what it offers.
    let (server, address) = serve_everything(&["--era", name]);
    let url = format!("http://{address}/mcp");
    let direct = Run::server(era, &url, "", &out.path().join("direct"), &[]);
    server.stop();
    assert_eq!(direct.scenarios.len(), scenarios, "it did not run whole:\n{}", direct.ended);

    let (server, address) = serve_everything(&["--era", name]);
    let proxy = Proxy::start(&format!("[upstreams.up]\nurl = \"http://{address}/mcp\"\n"));
    let alone = out.path().join("alone");
    let alone = Run::server(era, &proxy.url("/mcp/up"), proxy.key(), &alone, &[]);
    proxy.stop();
    server.stop();

    let (_server, address) = serve_everything(&["--era", name]);
    let proxy = Proxy::start(&format!(
        "[upstreams.other]\ncommand = [\"mcp-proxy\", \"demo\"]\n\
         [upstreams.up]\nurl = \"http://{address}/mcp\"\nbare = true\n"
    ));
    let (_shim, url) = shim(&proxy);
    let prefixed = Run::server(era, &url, "", &out.path().join("prefixed"), &[]);

    let ends = format!("{name} × {name}");
    direct.tell(row, &format!("{ends}, without the proxy"));
    let mut failures = Vec::new();
    for (row, ends, run) in
        [(row, ends.clone(), &alone), ("F", format!("{ends}, prefixed, two upstreams"), &prefixed)]
    {
        run.tell(row, &ends);
        let (same, table) = compare(&direct.folder, &run.folder, &expected);
        if !same || !run.good {
            failures.push(format!("{ends}:\n{table}\n{}", run.ended));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn the_older_suite_passes_in_front_of_an_older_upstream() {
    same_era(Era::Legacy, "legacy", "A", 33);
}

#[test]
fn the_newer_suite_passes_in_front_of_a_newer_upstream() {
    same_era(Era::Modern, "modern", "B", 50);
}

#[test]
fn the_newer_suite_passes_in_front_of_an_older_upstream() {
    if !suite() {
        return;
    }
    let out = tempfile::tempdir().expect("a temporary folder can be made");
    let (_server, address) = serve_everything(&["--era", "legacy"]);
    let proxy = Proxy::start(&format!("[upstreams.up]\nurl = \"http://{address}/mcp\"\n"));
    let list = kit("expected-modern-x-legacy.yml");
    let list = ["--expected-failures", list.to_str().expect("a plain path")];
    let folder = out.path().join("results");
    let run = Run::server(Era::Modern, &proxy.url("/mcp/up"), proxy.key(), &folder, &list);
    run.tell("C", "modern × legacy");
    assert_eq!(run.scenarios.len(), 50, "it did not run whole:\n{}", run.ended);
    assert!(run.good, "the suite's own judgement:\n{}", run.ended);

    // The suite looks at what it scores; the rest is as strict.
    let expected = listed("expected-modern-x-legacy.yml");
    let most = listed("modern-x-legacy.yml");
    assert!(expected.is_subset(&most), "more than a legacy server cannot offer");
    let all: BTreeSet<String> = &expected | &listed("unscored-modern-x-legacy.yml");
    let lost: BTreeSet<String> = run.lost().into_iter().map(str::to_owned).collect();
    assert_eq!(lost, all, "what fails and what is expected to\n{}", run.ended);
}

#[test]
fn the_older_suite_passes_in_front_of_a_newer_upstream() {
    if !suite() {
        return;
    }
    let out = tempfile::tempdir().expect("a temporary folder can be made");
    let (_server, address) = serve_everything(&["--era", "modern"]);
    let proxy = Proxy::start(&format!("[upstreams.up]\nurl = \"http://{address}/mcp\"\n"));
    let folder = out.path().join("results");
    let run = Run::server(Era::Legacy, &proxy.url("/mcp/up"), proxy.key(), &folder, &[]);
    run.tell("D", "legacy × modern");
    assert_eq!(run.scenarios.len(), 33, "it did not run whole:\n{}", run.ended);
    assert!(run.good && run.lost().is_empty(), "lost {:?}\n{}", run.lost(), run.ended);
}

#[test]
fn without_the_key_every_request_is_refused() {
    let (_server, address) = serve_everything(&["--era", "both"]);
    let proxy = Proxy::start(&format!("[upstreams.up]\nurl = \"http://{address}/mcp\"\n"));
    let mut refused = 0;
    for door in ["/mcp", "/mcp/up", "/sse", "/messages?session=x"] {
        let post = |method: &str, head: &str, params: &str| {
            let body =
                format!(r#"{{"jsonrpc":"2.0","id":1,"method":"{method}","params":{params}}}"#);
            format!(
                "POST {door} HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\n\
                 Accept: application/json, text/event-stream\r\n{head}Content-Length: {}\r\n\r\n{body}",
                proxy.address(),
                body.len()
            )
        };
        let plain = |method: &str| {
            format!(
                "{method} {door} HTTP/1.1\r\nHost: {}\r\nAccept: text/event-stream\r\n\
                 Mcp-Session-Id: x\r\n\r\n",
                proxy.address()
            )
        };
        let modern = Era::Modern.params(serde_json::json!({})).to_string();
        let marked = "MCP-Protocol-Version: 2026-07-28\r\nMcp-Method: server/discover\r\n";
        let hello = r#"{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"n","version":"1"}}"#;
        for request in [
            post("initialize", "", hello),
            post("server/discover", marked, &modern),
            post("tools/call", "Mcp-Session-Id: x\r\n", r#"{"name":"echo"}"#),
            post("initialize", "Authorization: Bearer mcpp_wrong\r\n", hello),
            plain("GET"),
            plain("DELETE"),
        ] {
            let answer = Raw::exchange(proxy.address(), request.as_bytes()).expect("an answer");
            assert_eq!(answer.status, 401, "{request}\n{}", answer.text());
            refused += 1;
        }
    }
    say(&format!("| E | no key, or a wrong one | {refused} of {refused} requests get 401 | | |"));
}

/// What the suite judges a client by, and the revision that its server speaks then.
const CLIENT: [(&str, Era); 13] = [
    ("initialize", Era::Legacy),
    ("tools_call", Era::Legacy),
    ("tools_call", Era::Modern),
    ("elicitation-sep1034-client-defaults", Era::Legacy),
    ("sse-retry", Era::Legacy),
    ("json-schema-2020-12-preservation", Era::Legacy),
    ("json-schema-2020-12-preservation", Era::Modern),
    ("json-schema-ref-no-deref", Era::Modern),
    ("request-metadata", Era::Modern),
    ("http-standard-headers", Era::Modern),
    ("http-custom-headers", Era::Modern),
    ("http-invalid-tool-headers", Era::Modern),
    ("sep-2322-client-request-state", Era::Modern),
];

/// The proxy as client of the suite's server, driven by a client of this era.
fn as_client(driver: Era) {
    if !suite() {
        return;
    }
    let Some(peers) = install("peers/install", &[]) else { return };
    let out = tempfile::tempdir().expect("a temporary folder can be made");
    let mode = if driver == Era::Legacy { "legacy" } else { driver.revision() };
    let started = format!(
        "node {} {} {peers} {mode}",
        kit("client.mjs").display(),
        env!("CARGO_BIN_EXE_mcp-proxy")
    );
    let mut failures = Vec::new();
    for (scenario, era) in CLIENT {
        let folder = out.path().join(format!("{scenario}-{}", era.revision()));
        let mut command = Command::new(kit("run"));
        command.args(["client", &started, scenario, era.revision()]).arg(&folder);
        let run = Run::of(&mut command, &folder, SCENARIO);
        run.tell("client", &format!("{mode} × {scenario}, {}", era.revision()));
        // A run without checks proves nothing.
        let proven = run.scenarios.values().any(|one| one.passed > 0);
        if !run.good || !proven || !run.lost().is_empty() {
            failures.push(format!("{scenario} {}:\n{}", era.revision(), run.ended));
        }
    }
    assert!(failures.is_empty(), "driven by {mode}:\n{}", failures.join("\n"));
}

#[test]
fn the_proxy_passes_as_client_for_an_older_client() {
    as_client(Era::Legacy);
}

#[test]
fn the_proxy_passes_as_client_for_a_newer_client() {
    as_client(Era::Modern);
}

/// How many scenarios about logins there are of each revision: with the proxy as client, and with
/// its connector doors as authorization server.
const LOGIN: [(&str, usize, usize); 3] =
    [("2025-03-26", 2, 0), ("2025-11-25", 16, 2), ("2026-07-28", 27, 2)];
/// The scenarios of authorization servers.
const SERVER: [&str; 2] = ["authorization-server-metadata-endpoint", "authorization-code-grant"];

#[test]
fn the_proxy_logs_in_and_lets_log_in_as_the_suite_wants() {
    if !suite() {
        return;
    }
    let out = tempfile::tempdir().expect("a temporary folder can be made");
    let mut command = Command::new("node");
    command.arg(kit("login.mjs")).args(["all", env!("CARGO_BIN_EXE_mcp-proxy")]).arg(out.path());
    let (_, output, errors) = Process::run(&mut command, b"", LOGINS);
    let rows: Vec<Vec<&str>> = output
        .lines()
        .filter_map(|line| line.strip_prefix("| "))
        .map(|line| line.split('|').map(str::trim).collect())
        .collect();
    let mut lost = BTreeSet::new();
    for (revision, clients, servers) in LOGIN {
        for (what, is_server, count) in [("client", false, clients), ("server", true, servers)] {
            let own: Vec<_> = rows
                .iter()
                .filter(|row| row[0] == revision && SERVER.contains(&row[1]) == is_server)
                .collect();
            assert_eq!(own.len(), count, "{revision} did not run whole:\n{output}\n{errors}");
            let bad: Vec<&str> =
                own.iter().filter(|row| row[2] != "green").map(|row| row[1]).collect();
            let checks = own.iter().filter_map(|row| row[3].split_once(" of "));
            let (passed, all) = checks.fold((0, 0), |sum, (passed, all)| {
                let number = |text: &str| text.parse::<usize>().unwrap_or_default();
                (sum.0 + number(passed), sum.1 + number(all))
            });
            say(&format!(
                "| login, {what} | {revision} | {} of {count} scenarios | {passed} of {all} checks | {} |",
                count - bad.len(),
                if bad.is_empty() { "nothing lost".to_owned() } else { bad.join(", ") }
            ));
            lost.extend(bad.iter().map(|name| format!("{revision}-{name}")));
        }
    }
    let told = |name: &String| {
        let log = fs::read_to_string(out.path().join(format!("{name}.log"))).unwrap_or_default();
        let from = log.lines().count().saturating_sub(40);
        log.lines().skip(from).collect::<Vec<_>>().join("\n")
    };
    let logs = lost.iter().map(told).collect::<Vec<_>>().join("\n\n");
    let expected = listed("expected-login.yml");
    assert_eq!(lost, expected, "what fails and what is expected to\n{output}\n{logs}");
}

#[test]
fn a_lost_check_and_a_stale_entry_are_both_told() {
    if !found(&["python3"]) {
        return;
    }
    let out = tempfile::tempdir().expect("a temporary folder can be made");
    let run = |name: &str, ping: &str| {
        let folder = out.path().join(name).join("server-ping-2026-01-01T00-00-00-000Z");
        fs::create_dir_all(&folder).expect("the folder is ours");
        let checks = format!(r#"[{{"id":"answers","status":"{ping}"}}]"#);
        fs::write(folder.join("checks.json"), checks).expect("the folder is ours");
        out.path().join(name)
    };
    let (direct, good, bad) = (run("d", "SUCCESS"), run("g", "SUCCESS"), run("b", "FAILURE"));
    let list = |text: &str| {
        let place = out.path().join("expected.txt");
        fs::write(&place, text).expect("the folder is ours");
        place
    };
    assert!(compare(&direct, &good, &list("# nothing\n")).0);
    assert!(compare(&direct, &bad, &list("ping # why\n")).0);
    assert!(compare(&direct, &bad, &list("ping:answers\n")).0);
    let (same, told) = compare(&direct, &bad, &list(""));
    assert!(!same && told.contains("new failure, not in the list: ping:answers"), "{told}");
    let (same, told) = compare(&direct, &good, &list("ping\n"));
    assert!(!same && told.contains("stale, passes now"), "{told}");
}
