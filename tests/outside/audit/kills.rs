//! The process is killed under load: what was answered is recorded, the chains hold, and usage is
//! the sum of the records.

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    thread,
    time::Duration,
};

use serde_json::{Value, json};

use crate::{
    audit::outcomes::{records, verified},
    support::{Client, Era, Raw, Setup, post, until},
};

const CALLERS: usize = 4;
const ROUNDS: usize = 6;

/// (calls, errors, bytes in, bytes out, ms) of each (day, key, upstream, method, tool).
type Sums = BTreeMap<[String; 5], [u64; 5]>;

fn of_records(setup: &Setup) -> Sums {
    let mut sums = Sums::new();
    for record in records(setup) {
        let text = |name: &str| record[name].as_str().unwrap_or_default().to_owned();
        let number = |name: &str| record[name].as_u64().unwrap_or_default();
        let method = text("method");
        let tool = if method == "tools/call" { text("original") } else { String::new() };
        let place = [text("time")[..10].to_owned(), text("key"), text("upstream"), method, tool];
        let good = ["ok", "cancelled", "abandoned", "ended", "closed"].contains(&&*text("outcome"));
        let sum = sums.entry(place).or_default();
        let one = [1, u64::from(!good), number("bytes_in"), number("bytes_out"), number("ms")];
        sum.iter_mut().zip(one).for_each(|(sum, one)| *sum += one);
    }
    sums
}

fn of_usage(setup: &Setup) -> Sums {
    let (status, output, errors) =
        setup.run(&["usage", "--by", "day,key,tool", "--format", "json"], b"");
    assert!(status.success(), "{errors}");
    let rows: Vec<Value> = serde_json::from_str(&output).expect("JSON");
    let place = |row: &Value| {
        ["day", "key", "upstream", "method", "tool"]
            .map(|n| row[n].as_str().unwrap_or_default().to_owned())
    };
    let sum = |row: &Value| {
        ["calls", "errors", "bytes_in", "bytes_out", "ms"]
            .map(|n| row[n].as_u64().expect("a number"))
    };
    rows.iter().map(|row| (place(row), sum(row))).collect()
}

/// Calls until the proxy is gone; counts what was answered.
fn load(client: &mut Client, over: &AtomicBool, answered: &AtomicUsize) {
    while !over.load(Ordering::Relaxed) {
        let sent = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            client.send("tools/call", json!({"name": "demo__echo", "arguments": {"text": "x"}}))
        }));
        match sent {
            Ok(answer) if answer.messages().iter().any(|message| message["result"].is_object()) => {
                answered.fetch_add(1, Ordering::Relaxed);
            }
            _ => return,
        }
    }
}

#[test]
fn what_was_answered_is_recorded_though_the_proxy_is_killed() {
    let config =
        "[audit]\ndurable = \"call\"\n[upstreams.demo]\ncommand = [\"mcp-proxy\", \"demo\"]\n";
    let mut setup = Setup::new().config(config);
    let answered = AtomicUsize::new(0);
    for round in 0..ROUNDS {
        let proxy = setup.serve();
        let over = AtomicBool::new(false);
        setup = thread::scope(|scope| {
            for at in 0..CALLERS {
                let era = Era::BOTH[at % 2];
                let mut client = proxy.client(era, "/mcp");
                let (over, answered) = (&over, &answered);
                scope.spawn(move || load(&mut client, over, answered));
            }
            let before = answered.load(Ordering::Relaxed);
            until("some answers", Duration::from_secs(60), || {
                (answered.load(Ordering::Relaxed) > before + 20 + 7 * round).then_some(())
            });
            let setup = if round % 3 == 2 { proxy.stop() } else { proxy.kill() };
            over.store(true, Ordering::Relaxed);
            setup
        });
        verified(&setup);
        let calls = records(&setup).iter().filter(|r| r["target"] == "demo__echo").count();
        let answered = answered.load(Ordering::Relaxed);
        assert!(calls >= answered, "{answered} were answered and {calls} recorded");
        let sums = of_records(&setup);
        assert_eq!(of_usage(&setup), sums);
    }
}

#[test]
fn strangers_leave_a_count_and_nothing_else() {
    let config = "[upstreams.demo]\ncommand = [\"mcp-proxy\", \"demo\"]\n";
    let proxy = Setup::new().config(config).serve();
    for _ in 0..50 {
        let headers = [("Authorization", "Bearer a-key-that-nobody-has-but-that-is-long-enough")];
        let bytes = post(proxy.address(), "/mcp", &headers, b"{}");
        assert_eq!(Raw::exchange(proxy.address(), &bytes).expect("an answer").status, 401);
    }
    let setup = proxy.stop();
    let records = records(&setup);
    assert_eq!(records.len(), 1, "{records:?}");
    assert_eq!((&records[0]["target"], &records[0]["count"]), (&json!("unknown"), &json!(50)));
    assert!(of_usage(&setup).is_empty());
}
