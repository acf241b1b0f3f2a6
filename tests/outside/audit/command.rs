//! What an operator types, while the proxy serves and afterwards.

use std::time::Duration;

use rusqlite::Connection;
use serde_json::{Value, json};

use crate::support::{Era, Process, Setup, text, until};

const PATIENCE: Duration = Duration::from_secs(60);

#[test]
fn the_commands_read_beside_the_running_proxy_and_find_what_was_changed() {
    let setup = Setup::new().config("[upstreams.demo]\ncommand = [\"mcp-proxy\", \"demo\"]\n");
    let proxy = setup.serve();
    let mut client = proxy.client(Era::Modern, "/mcp");
    assert_eq!(text(&client.call("demo__echo", json!({"text": "x"}))), "x");
    until("the record", PATIENCE, || {
        let (_, output, _) = proxy.setup().run(&["audit", "tail"], b"");
        output.contains("demo__echo").then_some(())
    });
    let mut follow =
        proxy.setup().command(&["audit", "tail", "--follow", "--json", "--tenant", "test"]);
    let follow = Process::start(&mut follow);
    follow.line("what was there", |line| line.contains("demo__echo").then_some(()));
    client.call("demo__nothing", json!({}));
    follow.line("what has come", |line| line.contains("demo__nothing").then_some(()));
    drop(follow);
    let run = |args: &[&str]| {
        let (status, output, errors) = proxy.setup().run(args, b"");
        assert!(status.success(), "{args:?}: {errors}");
        output
    };
    assert!(run(&["audit", "verify", "--tenant", "test"]).contains("as written"));
    let csv = run(&["audit", "export", "--format", "csv", "--since", "1h", "--outcome", "refused"]);
    let lines: Vec<_> = csv.lines().collect();
    assert_eq!(lines.len(), 2, "{csv}");
    assert!(lines[0].starts_with("time,tenant,") && lines[1].contains(",demo__nothing,"), "{csv}");
    assert!(run(&["audit", "export", "--until", "1h"]).is_empty());
    let usage = run(&["usage", "--by", "tool", "--tenant", "test"]);
    assert!(usage.contains("CALLS") && usage.contains("echo"), "{usage}");
    assert!(run(&["usage", "--format", "csv"]).starts_with("tenant,day,key,"));
    assert!(run(&["usage", "--to", "2020-01-01"]).is_empty());
    for wrong in [
        &["audit", "export", "--since", "yesterday"][..],
        &["audit", "tail", "--outcome", "fine"],
        &["audit", "verify", "--tenant", "nobody"],
        &["usage", "--from", "2026-02-30"],
    ] {
        let (status, _, errors) = proxy.setup().run(wrong, b"");
        assert!(!status.success() && errors.lines().count() == 1, "{wrong:?}: {errors}");
    }
    let json: Value = serde_json::from_str(&run(&["audit", "verify", "--json"])).expect("JSON");
    let head = json["verdicts"][1]["chain"]["head"].as_str().expect("a head").to_owned();
    run(&["audit", "verify", "--tenant", "test", "--head", &head]);
    let setup = proxy.stop();
    let database =
        Connection::open(setup.folder().join("mcp-proxy.audit.db")).expect("it is there");
    database
        .execute("UPDATE audit_record SET record = zeroblob(length(record)) WHERE seq = 2", ())
        .expect("whoever has the file can change it");
    drop(database);
    let (status, output, _) = setup.run(&["audit", "verify"], b"");
    assert!(
        !status.success() && output.contains("test, record 2: this record was changed"),
        "{output}"
    );
}
