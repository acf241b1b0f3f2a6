//! Official clients at the doors that are not plain streamable HTTP. Needs Node and Python.

use serde_json::{Value, json};

use crate::support::{Peers, Proxy, Setup, everything, serve_everything};

fn plan() -> Value {
    json!([{"list": "tools"}, {"call": "up__echo", "arguments": {"text": "through"}},
        {"call": "up__test_tool_with_progress"}, {"list": "resources"}, {"list": "prompts"},
        {"call": "up__no_such_tool"}])
}

fn judge(who: &str, report: &Value, protocol: &str) {
    assert_eq!(report["protocol"], protocol, "{who}: {report}");
    let steps = &report["steps"];
    assert!(steps[0]["result"].to_string().contains("up__echo"), "{who}: {report}");
    assert_eq!(steps[1]["result"]["content"][0]["text"], "through", "{who}: {report}");
    for step in 0..5 {
        assert_eq!(steps[step]["ok"], true, "{who}: {report}");
    }
    assert_eq!(steps[5]["ok"], false, "{who}: {report}");
}

#[test]
fn official_clients_of_sse_use_the_old_door() {
    let Some(peers) = Peers::installed() else { return };
    for era in ["legacy", "modern"] {
        let (_server, address) = serve_everything(&["--era", era]);
        let proxy = Proxy::start(&format!("[upstreams.up]\nurl = \"http://{address}/mcp\"\n"));
        for client in ["ts1", "py1"] {
            let report = peers.run(client, "legacy", &proxy.url("/sse"), proxy.key(), &plan());
            judge(&format!("{client} before {era}"), &report, "2025-11-25");
        }
    }
}

#[test]
fn official_clients_start_the_proxy_as_a_process() {
    let Some(peers) = Peers::installed() else { return };
    let server = everything().to_str().unwrap();
    for upstream in ["legacy", "modern"] {
        let setup = Setup::new()
            .config(&format!("[upstreams.up]\ncommand = [{server:?}, \"--era\", {upstream:?}]\n"));
        let command = setup.command(&["stdio"]);
        let words: Vec<&str> = std::iter::once(command.get_program())
            .chain(command.get_args())
            .map(|word| word.to_str().unwrap())
            .collect();
        let key = "the-key-of-the-tenant-test-in-the-tests-1";
        for (client, eras) in Peers::CLIENTS {
            for era in eras {
                let report = peers.start(client, era, &words, key, &plan());
                let protocol = if *era == "legacy" { "2025-11-25" } else { "2026-07-28" };
                judge(&format!("{client} {era} before {upstream}"), &report, protocol);
            }
        }
    }
}
