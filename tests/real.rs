//! One proxy before four real servers, called by the four official clients in each era that they
//! know. Needs Node and Python.

#[expect(clippy::allow_attributes, reason = "which parts are unused differs by test file")]
#[allow(dead_code, unused_imports, reason = "each test file uses its own part of the harness")]
mod support;

use std::{net::TcpListener, path::Path, process::Command};

use serde_json::{Value, json};
use support::{Client, Era, Peers, Process, Proxy, Setup};

/// The reference server over streamable HTTP, and its port.
fn everything_over_http(peers: &Peers) -> (Process, u16) {
    // It says which port it was told, not which it got, so that one must be chosen for it.
    let free = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
    let port = free.expect("loopback has free ports").port();
    let mut command = Command::new("node");
    command.arg(peers.npm("mcp-server-everything")).arg("streamableHttp");
    let server = Process::start(command.env("PORT", port.to_string()));
    server.line("its port", |line| line.contains("listening on port").then_some(()));
    (server, port)
}

/// The file of the issue: everything twice, memory, time.
fn four(peers: &Peers, port: u16, memory: &Path) -> String {
    let everything = peers.npm("mcp-server-everything");
    let (graph, time) = (peers.npm("mcp-server-memory"), peers.time());
    format!(
        "[upstreams.ev]\ncommand = [\"node\", {everything:?}, \"stdio\"]\n\
         [upstreams.evh]\nurl = \"http://127.0.0.1:{port}/mcp\"\n\
         [upstreams.mem]\ncommand = [\"node\", {graph:?}]\nenv = {{ MEMORY_FILE_PATH = {memory:?} }}\n\
         [upstreams.time]\ncommand = [{time:?}]\n"
    )
}

fn started(peers: &Peers, port: u16) -> Proxy {
    let setup = Setup::new();
    let memory = setup.folder().join("memory.jsonl");
    let toml = four(peers, port, &memory);
    setup.config(&toml).serve()
}

/// The public URI of the entry of this name in a list, at an upstream.
fn uri_of(entries: &[Value], upstream: &str, name: &str, field: &str) -> String {
    let found = entries.iter().find(|entry| {
        let own = entry[field].as_str().is_some_and(|uri| uri.contains(upstream));
        own && entry["name"].as_str().is_some_and(|n| n.ends_with(name))
    });
    found.unwrap_or_else(|| panic!("{upstream} lists no {name}"))[field]
        .as_str()
        .expect("checked above")
        .to_owned()
}

/// The steps of each client, and what each step's result must contain.
fn plan(client: &mut Client, caller: &str) -> (Value, Vec<(&'static str, String)>) {
    let resources = client.list("resources/list", "resources");
    let templates = client.list("resources/templates/list", "resourceTemplates");
    let document = uri_of(&resources, "ev+", "features.md", "uri");
    let document_http = uri_of(&resources, "evh+", "features.md", "uri");
    let graph = uri_of(&resources, "mem+", "knowledge-graph", "uri");
    let template = uri_of(&templates, "ev+", "Dynamic Text Resource", "uriTemplate");
    let dynamic = template.replace("{resourceId}", "7");
    let entity = json!({"name": caller, "entityType": "client", "observations": ["was here"]});
    let steps = [
        (json!({"list": "tools"}), "ev__echo", String::new()),
        (json!({"list": "tools"}), "evh__get-sum", String::new()),
        (json!({"list": "tools"}), "mem__create_entities", String::new()),
        (json!({"list": "tools"}), "time__convert_time", String::new()),
        (json!({"list": "prompts"}), "evh__args-prompt", String::new()),
        (json!({"list": "resources"}), "", document.clone()),
        (json!({"list": "templates"}), "", template),
        (
            json!({"call": "ev__echo", "arguments": {"message": caller}}),
            "Echo: ",
            caller.to_owned(),
        ),
        (
            json!({"call": "ev__get-structured-content", "arguments": {"location": "New York"}}),
            "structuredContent",
            String::new(),
        ),
        (
            json!({"call": "evh__get-sum", "arguments": {"a": 2, "b": 40}}),
            "The sum of 2 and 40 is 42.",
            String::new(),
        ),
        (
            json!({"call": "mem__create_entities", "arguments": {"entities": [entity]}}),
            "was here",
            caller.to_owned(),
        ),
        (
            json!({"call": "mem__open_nodes", "arguments": {"names": [caller]}}),
            "entities",
            caller.to_owned(),
        ),
        (
            json!({"call": "time__convert_time", "arguments": {"source_timezone": "UTC",
            "time": "12:00", "target_timezone": "Asia/Tokyo"}}),
            "T21:00:00+09:00",
            String::new(),
        ),
        (json!({"read": document}), "text/markdown", document.clone()),
        (json!({"read": document_http}), "text/markdown", document_http.clone()),
        (json!({"read": dynamic}), "Resource 7: ", dynamic.clone()),
        (json!({"read": graph}), "application/json", graph.clone()),
        (
            json!({"prompt": "ev__args-prompt", "arguments": {"city": "Oslo"}}),
            "What's weather in Oslo?",
            String::new(),
        ),
        (
            json!({"prompt": "evh__args-prompt", "arguments": {"city": "Oslo", "state": "Viken"}}),
            "What's weather in Oslo, Viken?",
            String::new(),
        ),
        (
            json!({"complete": {"ref": {"type": "ref/prompt", "name": "ev__completable-prompt"},
            "argument": {"name": "department", "value": "Eng"}}}),
            "Engineering",
            String::new(),
        ),
    ];
    let plan = steps.iter().map(|(step, ..)| step.clone()).collect();
    (plan, steps.into_iter().map(|(_, fixed, own)| (fixed, own)).collect())
}

#[test]
fn each_client_uses_each_server_through_one_url() {
    let Some(peers) = Peers::installed() else { return };
    let (_server, port) = everything_over_http(peers);
    let proxy = started(peers, port);
    let mut client = proxy.client(Era::Modern, "/mcp");
    let mut failures = Vec::new();
    for (name, eras) in Peers::CLIENTS {
        for era in eras {
            let caller = format!("{name} {era}");
            let (plan, expected) = plan(&mut client, &caller);
            let report = peers.run(name, era, &proxy.url("/mcp"), proxy.key(), &plan);
            let revision = if *era == "legacy" { "2025-11-25" } else { "2026-07-28" };
            if report["protocol"] != revision {
                failures
                    .push(format!("{caller} speaks {}: {}", report["protocol"], report["failed"]));
                continue;
            }
            for (at, (fixed, own)) in expected.iter().enumerate() {
                let step = &report["steps"][at];
                let text = step["result"].to_string();
                let good = step["ok"] == true && step["result"]["isError"] != true;
                if !(good && text.contains(*fixed) && text.contains(own.as_str())) {
                    failures.push(format!("{caller}: {} gave {step}", plan[at]));
                }
            }
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn one_server_alone_keeps_its_own_names() {
    let Some(peers) = Peers::installed() else { return };
    let (_server, port) = everything_over_http(peers);
    let proxy = started(peers, port);
    let plan = json!([{"list": "tools"}, {"call": "get-sum", "arguments": {"a": 1, "b": 2}},
        {"read": "demo://resource/dynamic/text/3"}, {"call": "evh__get-sum"}]);
    for (name, eras) in Peers::CLIENTS {
        for (era, door) in eras.iter().zip(["/mcp/evh", "/mcp/ev"].iter().cycle()) {
            let report = peers.run(name, era, &proxy.url(door), proxy.key(), &plan);
            let steps = &report["steps"];
            assert!(steps[0]["result"].to_string().contains(r#""name":"get-sum""#), "{report}");
            assert_eq!(steps[1]["result"]["content"][0]["text"], "The sum of 1 and 2 is 3.");
            assert_eq!(
                steps[2]["result"]["contents"][0]["uri"], "demo://resource/dynamic/text/3",
                "{name} {era}: {report}"
            );
            // The prefix is no part of the name at this door. The server itself answers unknown
            // names with a tool error, so that both forms of refusal are right.
            let refused = steps[3]["ok"] == false || steps[3]["result"]["isError"] == true;
            assert!(refused, "{name} {era}: {report}");
        }
    }
}

#[test]
fn a_dead_server_costs_only_its_own_entries() {
    let Some(peers) = Peers::installed() else { return };
    let (server, port) = everything_over_http(peers);
    let proxy = started(peers, port);
    server.stop();
    let mut client = proxy.client(Era::Legacy, "/mcp");
    let tools = client.list("tools/list", "tools");
    let has = |start: &str| {
        tools.iter().any(|t| t["name"].as_str().is_some_and(|n| n.starts_with(start)))
    };
    assert!(has("ev__") && has("mem__") && has("time__"), "{tools:?}");
    let answer = client.call("ev__echo", json!({"message": "still here"}));
    assert_eq!(support::text(&answer), "Echo: still here");
}

#[test]
fn the_parts_work_without_the_proxy() {
    let Some(peers) = Peers::installed() else { return };
    let (_server, port) = everything_over_http(peers);
    let url = format!("http://127.0.0.1:{port}/mcp");
    let plan = json!([{"call": "echo", "arguments": {"message": "hi"}},
        {"read": "demo://resource/static/document/features.md"},
        {"prompt": "args-prompt", "arguments": {"city": "Oslo"}},
        {"complete": {"ref": {"type": "ref/prompt", "name": "completable-prompt"},
            "argument": {"name": "department", "value": "Eng"}}}]);
    for (name, _) in Peers::CLIENTS {
        let report = peers.run(name, "legacy", &url, "", &plan);
        let text = report["steps"].to_string();
        for part in ["Echo: hi", "text/markdown", "What's weather in Oslo?", "Engineering"] {
            assert!(text.contains(part), "{name}: {report}");
        }
    }
}
