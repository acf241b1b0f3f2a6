//! Must show H: reloads under load.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use serde_json::{Value, json};

use crate::reload::world::{PATIENCE, file, full, process, reload, report, running, start, tools};
use crate::support::{Client, Era, Proxy, Setup, serve_everything, until};

/// What a call came to, when it is not what was sent.
fn wrong(answer: &Value, sent: &str) -> Option<String> {
    (answer["result"]["content"][0]["text"] != sent).then(|| answer.to_string())
}

/// One caller: calls these tools by turns until told to stop, and gives what went wrong.
fn caller(mut client: Client, names: &[&str], stop: &AtomicBool, calls: &AtomicU64) -> Vec<String> {
    let mut failures = Vec::new();
    let mut turn = 0;
    while !stop.load(Ordering::Relaxed) {
        let name = names[turn % names.len()];
        let sent = format!("{name} {turn}");
        failures.extend(wrong(&client.call(name, json!({"text": sent})), &sent));
        turn += 1;
        calls.fetch_add(1, Ordering::Relaxed);
    }
    failures
}

fn processes(proxy: &Proxy) -> usize {
    proxy.descendants().len()
}

fn reloads_under_load(rounds: usize) {
    let (_legacy, legacy) = serve_everything(&["--era", "legacy"]);
    let (_modern, modern) = serve_everything(&["--era", "modern"]);
    let still = format!(
        "{}{}[upstreams.old]\nurl = \"http://{legacy}/mcp\"\n[upstreams.new]\nurl = \"http://{modern}/mcp\"\n",
        process("own", "untouched"),
        full("pipe", 7),
    );
    let with = |rest: &str| file(&format!("{still}{rest}"));
    let first = with(&full("turning", 1));
    let proxy = start(Setup::new(), &first);
    let mut client = proxy.client(Era::Legacy, "/mcp");
    let names = tools(&mut client);
    let (own, _) = report(&mut client, "own");
    let pipe: Vec<u32> = process_ids(&proxy, "--tools 7");
    let count = processes(&proxy);

    let (stop, calls) = (AtomicBool::new(false), AtomicU64::new(0));
    let untouched = ["pipe__echo", "old__echo", "new__echo"];
    let failures: Vec<String> = thread::scope(|scope| {
        let (stop, calls) = (&stop, &calls);
        let mut callers = Vec::new();
        for era in Era::BOTH {
            for _ in 0..2 {
                let client = proxy.client(era, "/mcp");
                callers.push(scope.spawn(move || caller(client, &untouched, stop, calls)));
            }
            // What changes has calls under way, too; they end well, before or after.
            let client = proxy.client(era, "/mcp");
            callers.push(scope.spawn(move || caller(client, &["turning__echo"], stop, calls)));
        }
        let work = || {
            for round in 0..rounds {
                let before = calls.load(Ordering::Relaxed);
                let turning = full("turning", 1 + round % 2);
                let told = match round % 4 {
                    0 => reload(&proxy, &with(&(full("turning", 2) + &process("extra", "added")))),
                    // Its tools are listed and called while it is there.
                    1 => {
                        report(&mut client, "extra");
                        reload(
                            &proxy,
                            &with(&(turning + "[upstreams.dead]\ncommand = [\"false\"]\n")),
                        )
                    }
                    2 => reload(&proxy, &with("[upstreams.turning]\ncommand = 5\n")),
                    _ => reload(&proxy, &first),
                };
                assert_eq!(told.contains("refused"), round % 4 == 2, "{told}");
                until("calls go on", PATIENCE, || {
                    (calls.load(Ordering::Relaxed) >= before + 12).then_some(())
                });
            }
        };
        let worked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work));
        stop.store(true, Ordering::Relaxed);
        let failures = callers.into_iter().flat_map(|c| c.join().expect("no panic")).collect();
        if let Err(panic) = worked {
            std::panic::resume_unwind(panic);
        }
        failures
    });
    assert!(failures.is_empty(), "{} of {calls:?} calls failed: {failures:#?}", failures.len());

    reload(&proxy, &first);
    until("the names are what they were", PATIENCE, || (tools(&mut client) == names).then_some(()));
    assert_eq!(report(&mut client, "own").0, own, "the same process");
    assert_eq!(process_ids(&proxy, "--tools 7"), pipe, "the same process");
    until("as many processes as at first", PATIENCE, || (processes(&proxy) == count).then_some(()));
    assert_eq!(running(&proxy, "added"), 0);
    let log = proxy.log();
    assert!(!log.contains("panicked"), "{log}");
}

fn process_ids(proxy: &Proxy, words: &str) -> Vec<u32> {
    let all = proxy.descendants();
    let mut ids: Vec<u32> =
        all.iter().filter(|(_, _, line)| line.contains(words)).map(|(id, ..)| *id).collect();
    ids.sort_unstable();
    ids
}

#[test]
fn reloads_under_load_cost_no_call() {
    reloads_under_load(16);
}

#[test]
#[ignore = "half a minute of load"]
fn a_hundred_reloads_under_load_cost_no_call() {
    reloads_under_load(100);
}
