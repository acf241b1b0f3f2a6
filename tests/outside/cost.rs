//! What a call costs, counted in instructions: the count is the same on every machine and on a busy
//! one, so that a cost that creeps in is seen here and not in a benchmark that nobody runs.

use std::{fs, net::SocketAddr, path::Path, process::Command, thread, time::Duration};

use serde_json::json;

use crate::support::{Era, Process, Raw, Setup, address_in, canned, install, post, say};

/// Instructions of a call in a debug build by Rust 1.95: of 2025-11-25, of 2026-07-28. Whoever makes
/// calls cheaper, or has a reason to make them dearer, writes the new counts here.
const EXPECTED: [u64; 2] = [625_000, 643_000];
/// The compiler that made what was counted; another one makes other instructions.
const COMPILER: &str = "rustc 1.95.";
/// How far the counts may be off. They repeat within 1 %; where all is slow, what happens by the
/// clock adds up to 3 %.
const MOST: f64 = 1.08;
const LEAST: f64 = 0.9;

/// Calls of each era in the shortest run, and how many more there are in a longer one.
const FEW: u64 = 10;
const MORE: u64 = 100;

/// Under valgrind everything takes fifty times as long, and other tests run meanwhile.
const PATIENCE: Duration = Duration::from_secs(120);

/// valgrind, and where its tools are when it is not installed but only unpacked.
fn valgrind() -> Option<(String, Option<String>)> {
    if Command::new("valgrind").arg("--version").output().is_ok_and(|out| out.status.success()) {
        return Some(("valgrind".to_owned(), None));
    }
    let folder = install("peers/debian", &["valgrind", "usr/bin/valgrind"])?;
    let tools = Path::new(&folder).with_file_name("libexec").join("valgrind");
    Some((format!("{folder}/valgrind"), Some(tools.to_string_lossy().into_owned())))
}

/// Instructions of a proxy from its start to its end, with so many calls of each era.
fn count(valgrind: &(String, Option<String>), upstreams: [SocketAddr; 2], calls: [u64; 2]) -> u64 {
    let [legacy, modern] = upstreams;
    // What is written after a call is written for as many as there were meanwhile: that is a
    // matter of time, and not counted here.
    let setup = Setup::new().config(&format!(
        "[audit]\nenabled = false\n\
         [limits]\nkey = {{ rate = \"100000/s\" }}\ntenant = {{ rate = \"100000/s\", concurrent = 64 }}\n\
         [upstreams.legacy]\nurl = \"http://{legacy}/mcp\"\ntools = {{ allow = [\"ec*\"], deny = [\"*_all\"] }}\n\
         [upstreams.modern]\nurl = \"http://{modern}/mcp\"\ntools = {{ allow = [\"ec*\"], deny = [\"*_all\"] }}\n",
    ));
    let file = setup.folder().join("count");
    let plain = setup.command(&["serve", "--no-watch"]);
    let mut command = Command::new(&valgrind.0);
    command.args(["--tool=callgrind", "--vgdb=no"]);
    command.arg(format!("--callgrind-out-file={}", file.display()));
    command.arg(plain.get_program()).args(plain.get_args());
    command.current_dir(setup.folder()).env_clear();
    for (name, value) in plain.get_envs() {
        command.envs(value.map(|value| (name, value)));
    }
    command.envs(valgrind.1.as_ref().map(|tools| ("VALGRIND_LIB", tools)));
    // With one thread nobody is woken more often than the calls ask for.
    command.env("TOKIO_WORKER_THREADS", "1");
    let process = Process::start(&mut command);
    let address = process.line_within(PATIENCE, "its address", address_in);
    for (era, calls) in Era::BOTH.into_iter().zip(calls) {
        load(address, era, calls);
    }
    let status = process.stop();
    let text = fs::read_to_string(&file).unwrap_or_default();
    let summary = text.lines().find_map(|line| line.strip_prefix("summary: "));
    let found = summary.and_then(|number| number.trim().parse().ok());
    found.unwrap_or_else(|| panic!("callgrind has counted nothing, {status}"))
}

/// Calls over one connection, one after the other.
fn load(address: SocketAddr, era: Era, calls: u64) {
    let key = format!("Bearer {}", Setup::key());
    let name = if era == Era::Legacy { "legacy__echo" } else { "modern__echo" };
    let mut connection = Raw::connect(address);
    let mut session = None;
    let mut send = |method: &str, body: &serde_json::Value, session: Option<&str>| {
        let mut headers = era.headers(method, &body["params"]);
        headers.extend([("Authorization", key.clone()), ("Connection", "keep-alive".to_owned())]);
        headers.extend(session.map(|session| ("Mcp-Session-Id", session.to_owned())));
        let headers: Vec<(&str, &str)> = headers.iter().map(|(n, v)| (*n, v.as_str())).collect();
        let bytes = post(address, "/mcp", &headers, body.to_string().as_bytes());
        connection.send(&bytes).and_then(|()| connection.answer()).expect("the proxy answers")
    };
    if era == Era::Legacy {
        let answer = send("initialize", &Era::hello(0), None);
        session = answer.header("mcp-session-id").map(str::to_owned);
        let ready = json!({"jsonrpc": "2.0", "method": "notifications/initialized"});
        send("notifications/initialized", &ready, session.as_deref());
    }
    let text = "x".repeat(200);
    let params = era.params(json!({"name": name, "arguments": {"text": text}}));
    for id in 100..100 + calls {
        let body = json!({"jsonrpc": "2.0", "id": id, "method": "tools/call", "params": params});
        let answer = send("tools/call", &body, session.as_deref());
        assert!(answer.status == 200 && answer.text().contains(&text), "{}", answer.text());
    }
}

#[test]
fn a_call_takes_no_more_instructions_than_it_did() {
    if !cfg!(debug_assertions) {
        say("skipped: the counts are those of a debug build");
        return;
    }
    let compiler = Command::new("rustc").arg("--version").output();
    if !compiler.is_ok_and(|said| said.stdout.starts_with(COMPILER.as_bytes())) {
        say(&format!("skipped: the counts are those of {COMPILER}x"));
        return;
    }
    let Some(valgrind) = valgrind() else { return };
    let servers = Era::BOTH.map(|era| {
        let era = if era == Era::Legacy { "legacy" } else { "modern" };
        let mut command = Command::new(canned());
        let process = Process::start(command.args(["--http", "127.0.0.1:0", "--era", era]));
        let address = process.line("its address", address_in);
        (process, address)
    });
    let upstreams = servers.each_ref().map(|(_, address)| *address);
    // What a start takes is in all three.
    let runs = [[FEW, FEW], [FEW + MORE, FEW], [FEW, FEW + MORE]];
    let [base, legacy, modern] = thread::scope(|scope| {
        let valgrind = &valgrind;
        runs.map(|calls| scope.spawn(move || count(valgrind, upstreams, calls)))
            .map(|run| run.join().expect("what it says stands above"))
    });
    let found = [legacy, modern].map(|count| count.saturating_sub(base) / MORE);
    let shares = [0, 1].map(|era| found[era] as f64 / EXPECTED[era] as f64);
    assert!(
        shares.iter().all(|share| *share <= MOST),
        "calls of both eras take {found:?} instructions, {shares:.3?} of the {EXPECTED:?} in tests/outside/cost.rs: find \
         out what has become dearer with `callgrind_annotate`, or write the new counts there and why into the commit"
    );
    assert!(
        shares.iter().all(|share| *share >= LEAST),
        "calls of both eras take {found:?} instructions, only {shares:.3?} of the {EXPECTED:?} in tests/outside/cost.rs: \
         write the new counts there, so that the gain stays"
    );
}
