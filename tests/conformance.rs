//! The official conformance suite as judge: what passes at an upstream must pass through the proxy,
//! but for what `tests/conformance/expected-*.txt` name. Needs Node and Python.

#[expect(clippy::allow_attributes, reason = "which parts are unused differs by test file")]
#[allow(dead_code, unused_imports, reason = "each test file uses its own part of the harness")]
mod support;

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use support::{Era, Process, Proxy, found, install, say, serve_everything};

/// Longest run of one suite.
const SUITE: Duration = Duration::from_secs(600);

fn kit(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/conformance").join(name)
}

/// Runs the suite of an era against a server and gives its last lines.
fn judge(era: Era, url: &str, key: &str, out: &Path) -> String {
    let mut command = Command::new(kit("run"));
    command.args(["server", url, era.revision()]).arg(out).env("MCP_KEY", key);
    // It exits with 1 when a check failed; which ones may is decided by the comparison.
    let (_, output, errors) = Process::run(&mut command, b"", SUITE);
    let all = format!("{output}{errors}");
    let from = all.lines().count().saturating_sub(15);
    all.lines().skip(from).collect::<Vec<_>>().join("\n")
}

/// Compares two runs; true when what was lost is exactly what may be.
fn compare(direct: &Path, proxied: &Path, expected: &Path) -> (bool, String) {
    let mut command = Command::new("python3");
    command.arg(kit("compare.py")).args([direct, proxied]).args(["--table", "--fail"]);
    command.arg("--expected").arg(expected);
    let (status, output, errors) = Process::run(&mut command, b"", Duration::from_secs(60));
    (status.success(), output + &errors)
}

#[test]
fn the_suite_passes_through_the_proxy_as_it_does_directly() {
    if install("conformance/run", &["install"]).is_none() {
        return;
    }
    let out = tempfile::tempdir().expect("a temporary folder can be made");
    let mut failures = Vec::new();
    for (era, name, scenarios) in [(Era::Legacy, "legacy", 33), (Era::Modern, "modern", 50)] {
        let (direct, proxied) =
            (out.path().join(format!("{name}-direct")), out.path().join(format!("{name}-proxied")));

        // Each run gets a server of its own, since some scenarios change what it offers.
        let (server, address) = serve_everything(&["--era", name]);
        let ended = judge(era, &format!("http://{address}/mcp"), "", &direct);
        server.stop();
        let ran = fs::read_dir(&direct).map_or(0, Iterator::count);
        assert_eq!(ran, scenarios, "the suite did not run whole against the upstream:\n{ended}");

        let (_server, address) = serve_everything(&["--era", name]);
        let proxy = Proxy::start(&format!("[upstreams.up]\nurl = \"http://{address}/mcp\"\n"));
        let ended = judge(era, &proxy.url("/mcp/up"), proxy.key(), &proxied);

        let (same, table) = compare(&direct, &proxied, &kit(&format!("expected-{name}.txt")));
        say(&format!("conformance, {name} through the proxy:\n{table}"));
        if !same {
            failures.push(format!("{name}:\n{table}\n{ended}"));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
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
