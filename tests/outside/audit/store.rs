//! The audit's file: who may write it, what lies in it, and what happens when it takes nothing.

use std::{fs, time::Duration};

use rusqlite::Connection;
use serde_json::json;

use crate::{
    audit::outcomes::{records, verified},
    support::{Canary, Era, Proxy, Raw, Setup, text, until},
};

const PATIENCE: Duration = Duration::from_secs(60);
const DEMO: &str = "[upstreams.demo]\ncommand = [\"mcp-proxy\", \"demo\"]\n";

fn ready(proxy: &Proxy) -> (u16, String) {
    let request = b"GET /readyz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    let answer = Raw::exchange(proxy.address(), request).expect("an answer");
    (answer.status, answer.text())
}

#[test]
fn while_nothing_can_be_written_nothing_is_done_and_nothing_is_lost() {
    for policy in ["refuse", "wait"] {
        let config =
            format!("[audit]\nqueue = 16\nwhen_full = \"{policy}\"\npatience = \"200ms\"\n{DEMO}");
        let proxy = Setup::new().config(&config).serve();
        let mut client = proxy.client(Era::Modern, "/mcp");
        let call = json!({"name": "demo__echo", "arguments": {"text": "x"}});
        assert_eq!(client.send("tools/call", call.clone()).status, 200);
        let lock =
            Connection::open(proxy.folder().join("mcp-proxy.audit.db")).expect("it is there");
        lock.busy_timeout(PATIENCE).expect("a limit");
        lock.execute_batch("BEGIN IMMEDIATE").expect("nobody writes for ever");
        let mut served = 1;
        let refused = loop {
            let answer = client.send("tools/call", call.clone());
            if answer.status != 200 {
                break answer;
            }
            served += 1;
            assert!(served < 100, "it goes on though nothing is written");
        };
        assert_eq!(refused.status, 503, "{}", refused.text());
        assert!(refused.header("retry-after").is_some() && refused.text().contains("write down"));
        until("it says so", PATIENCE, || (ready(&proxy).0 == 503).then_some(()));
        assert!(ready(&proxy).1.contains("the audit cannot be written"));
        lock.execute_batch("ROLLBACK").expect("the lock is ours");
        until("it is ready again", PATIENCE, || (ready(&proxy).0 == 200).then_some(()));
        until("there is room again", PATIENCE, || {
            (client.send("tools/call", call.clone()).status == 200).then_some(())
        });
        drop(lock);
        let setup = proxy.stop();
        verified(&setup);
        let records = records(&setup);
        let count = |target: &str| records.iter().filter(|r| r["target"] == target).count();
        assert_eq!(count("demo__echo"), served + 1, "{policy}");
        let refusals =
            records.iter().find(|r| r["target"] == "unrecorded").expect("they are counted");
        assert!(refusals["count"].as_u64() >= Some(1), "{policy}");
    }
}

#[test]
fn nothing_that_was_said_is_in_the_audit() {
    let config = "[upstreams.demo]\ncommand = [\"mcp-proxy\", \"demo\"]\nenv = { TOKEN = \"{secret.token}\" }\n\
        [tenants.test]\nkeys = [{ name = \"test\", env = \"TEST_KEY\" }]\n\
        secrets = { demo = { token = { env = \"TOKEN\" } } }\n";
    let secret = "secret-canary-51f20a77c3";
    let proxy = Setup::new().env("TOKEN", secret).config(config).serve();
    let said = "said-canary-90be11d4";
    for era in Era::BOTH {
        let mut client = proxy.client(era, "/mcp");
        assert_eq!(text(&client.call("demo__echo", json!({"text": said}))), said);
        client.send("resources/read", json!({"uri": format!("demo+x://u:{said}@h/a?t={said}")}));
    }
    let canaries = [
        Canary::new("a secret", secret.as_bytes()),
        Canary::new("what was said", said.as_bytes()),
        Canary::new("the key", proxy.key().as_bytes()),
    ];
    let look = |folder: &std::path::Path| {
        for entry in fs::read_dir(folder).expect("it is there").flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            if name.contains(".audit.") {
                let content = fs::read(entry.path()).unwrap_or_default();
                for canary in &canaries {
                    assert_eq!(canary.seen_in(&name, &content), None);
                }
            }
        }
    };
    until("a record", PATIENCE, || (records(proxy.setup()).len() > 4).then_some(()));
    look(proxy.folder());
    let setup = proxy.stop();
    look(setup.folder());
    let (_, output, _) = setup.run(&["audit", "export"], b"");
    for canary in &canaries {
        assert_eq!(canary.seen_in("the export", output.as_bytes()), None);
    }
    let reads = records(&setup).into_iter().filter(|r| r["method"] == "resources/read");
    let targets: Vec<_> = reads.map(|read| read["target"].clone()).collect();
    assert_eq!(targets, [json!("demo+x://h/a?…"), json!("demo+x://h/a?…")]);
}

#[test]
fn without_an_audit_there_is_no_file_and_calls_go_on() {
    let proxy = Setup::new().config(&format!("[audit]\nenabled = false\n{DEMO}")).serve();
    let mut client = proxy.client(Era::Modern, "/mcp");
    assert_eq!(text(&client.call("demo__echo", json!({"text": "x"}))), "x");
    let setup = proxy.stop();
    assert!(!setup.folder().join("mcp-proxy.audit.db").exists());
    let (status, _, errors) = setup.run(&["audit", "verify"], b"");
    assert!(!status.success() && errors.contains("there is no audit yet"), "{errors}");
}
