//! The harness itself, held against real servers without the proxy between: what fails here is
//! no fault of the proxy.

#[expect(clippy::allow_attributes, reason = "which parts are unused differs by test file")]
#[allow(dead_code, unused_imports, reason = "each test file uses its own part of the harness")]
mod support;

use serde_json::json;
use support::{Client, Era, Peers, Raw, Swarm, post, serve_everything, text};

#[test]
fn the_client_speaks_both_eras() {
    for (era, option) in [(Era::Legacy, "legacy"), (Era::Modern, "modern")] {
        let (server, address) = serve_everything(&["--era", option]);
        let mut client = Client::connect(era, address, "/mcp", None).with_header("X-Shown", "yes");
        assert_eq!(client.session().is_some(), era == Era::Legacy);
        assert!(client.list("tools/list", "tools").len() > 20);
        let answer = client.call("echo", json!({"text": "hello"}));
        assert_eq!(text(&answer), "hello");
        let shown = client.call("show_request", json!({}));
        assert!(text(&shown).contains(r#""x-shown":["yes"]"#), "{shown}");
        let answer = client.call("test_tool_with_progress", json!({}));
        assert_eq!(text(&answer), "progressed three times");
        assert_eq!(client.call("no_such_tool", json!({}))["error"]["code"], -32602);
        server.stop();
    }
}

#[test]
fn raw_bytes_get_an_answer() {
    let (_server, address) = serve_everything(&[]);
    let answer = Raw::exchange(address, &post(address, "/mcp", &[], b"{")).unwrap();
    assert!((400..500).contains(&answer.status), "{answer:?}");
    let answer = Raw::exchange(address, &post(address, "/other", &[], b"{}")).unwrap();
    assert_eq!(answer.status, 404);
}

#[test]
fn a_swarm_gets_its_own_answers() {
    for era in Era::BOTH {
        let (_server, address) = serve_everything(&[]);
        let tenants = (0..4).map(|n| (format!("key-{n}"), format!("canary-{n}"))).collect();
        let (door, tool) = ("/mcp".to_owned(), "echo".to_owned());
        let swarm = Swarm { address, door, tenants, tool, calls: 20, http2: false };
        assert_eq!(swarm.run(era), Vec::<String>::new());
    }
}

#[test]
fn a_swarm_notices_a_foreign_answer() {
    let (_server, address) = serve_everything(&["--tools", "1"]);
    let tenants = vec![("key".to_owned(), "canary".to_owned())];
    // This tool answers with more than the text that it is given.
    let (door, tool) = ("/mcp".to_owned(), "synthetic_0001".to_owned());
    let swarm = Swarm { address, door, tenants, tool, calls: 3, http2: false };
    assert_eq!(swarm.run(Era::Modern).len(), 3);
}

#[test]
fn each_client_reads_what_everything_offers() {
    let Some(peers) = Peers::installed() else { return };
    let (_server, address) = serve_everything(&[]);
    let plan = json!([
        {"list": "tools"}, {"call": "echo", "arguments": {"text": "hi"}},
        {"read": "test://static-text"}, {"prompt": "test_simple_prompt"},
        {"complete": {"ref": {"type": "ref/prompt", "name": "test_prompt_with_arguments"},
                      "argument": {"name": "arg1", "value": "par"}}},
        {"call": "no_such_tool"},
    ]);
    for (client, eras) in Peers::CLIENTS {
        for era in eras {
            let report = peers.run(client, era, &format!("http://{address}/mcp"), "", &plan);
            let revision = if *era == "legacy" { "2025-11-25" } else { "2026-07-28" };
            assert_eq!(report["protocol"], revision, "{client} {era}: {report}");
            let ok: Vec<_> = (0..6).map(|step| report["steps"][step]["ok"] == true).collect();
            assert_eq!(ok, [true, true, true, true, true, false], "{client} {era}: {report}");
            assert_eq!(report["steps"][1]["result"]["content"][0]["text"], "hi");
            assert_eq!(report["steps"][5]["code"], -32602, "{client} {era}: {report}");
        }
    }
}
