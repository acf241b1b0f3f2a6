//! What a call gives.

use std::time::Duration;

use serde_json::{Value, json};

use crate::rest::bed::{Bed, UPSTREAMS, problem};
use crate::rest::world::{Ask, OPERATOR, World, value};
use crate::support::{Era, Proxy, asker, until};

const PATIENCE: Duration = Duration::from_secs(30);

#[test]
fn a_call_gives_what_it_gives_over_mcp() {
    let bed = Bed::new();
    let mut client = bed.client(Era::Modern);
    for upstream in UPSTREAMS {
        for (tool, arguments) in [
            ("echo", json!({ "text": "a \"word\"\n\u{1F600}" })),
            ("structured", json!({ "bytes": 2_000 })),
            ("test_multiple_content_types", json!({})),
            ("test_resource_link", json!({})),
            // A tool that says itself that it failed has answered.
            ("test_error_handling", json!({})),
        ] {
            let name = format!("{upstream}__{tool}");
            let answer = bed.call(&name, &arguments);
            assert_eq!(answer.status, 200, "{name}: {}", answer.text());
            assert_eq!(answer.header("content-type"), Some("application/json"));
            assert_eq!(value(&answer), client.call(&name, arguments)["result"], "{name}");
        }
    }
    assert_eq!(value(&bed.call("old__test_error_handling", &json!({})))["isError"], true);
}

#[test]
fn an_upstream_sees_a_client_that_answers_no_questions() {
    let bed = Bed::new();
    let seen: Value = serde_json::from_str(&bed.text("new__whoami", &json!({}))).expect("JSON");
    assert_eq!(seen["clientInfo"]["name"], "mcp-proxy-rest", "{seen}");
    assert_eq!(seen["clientCapabilities"], json!({}), "{seen}");
    assert!(seen["meta"].get("progressToken").is_none(), "{seen}");
    // Whatever else the request holds, its key stays here.
    assert!(!seen.to_string().contains(bed.proxy.key()), "{seen}");
}

#[test]
fn a_body_is_optional_and_large_ones_pass_both_ways() {
    let bed = Bed::new();
    for upstream in UPSTREAMS {
        let path = format!("/api/v1/tools/{upstream}__test_simple_text/call");
        assert_eq!(bed.send(&Ask::new("POST", &path)).status, 200);
        assert_eq!(
            bed.text(&format!("{upstream}__big"), &json!({ "bytes": 6_000_000 })).len(),
            6_000_000
        );
        // Longer than what the rest of the API takes.
        let text = "x".repeat(900_000);
        let name = format!("{upstream}__echo");
        assert_eq!(bed.text(&name, &json!({ "text": text })), text);
    }
    let most = Bed::with("[server]\nlisten = \"127.0.0.1:0\"\nmax_body = \"64KiB\"\n");
    let answer = most.call("old__echo", &json!({ "text": "x".repeat(70_000) }));
    assert_eq!(answer.status, 413);
}

#[test]
fn an_upstream_that_wants_to_be_asked_again_is() {
    let proxy = Proxy::start(&format!("[upstreams.up]\ncommand = [{:?}, \"modern\"]\n", asker()));
    let bed = Bed { proxy, servers: Vec::new() };
    let told: Value = serde_json::from_str(&bed.text("up__stated", &json!({}))).expect("JSON");
    assert_eq!(told["state"], "\u{1F600}/\" \\ é", "{told}");
}

#[test]
fn the_operator_calls_for_a_tenant_that_he_names() {
    let world = World::new();
    world.tenant("acme");
    let list = Ask::new("GET", "/api/v1/tools").key(OPERATOR);
    assert_eq!(world.ask(&list).status, 400);
    assert_eq!(world.ask(&list.clone().tenant("acme")).status, 200);
    let call = Ask::new("POST", "/api/v1/tools/free__echo/call").key(OPERATOR);
    let call = call.tenant("acme").json(&json!({ "arguments": { "text": "x" } }));
    assert_eq!(value(&world.ask(&call))["content"][0]["text"], "x");
    // Its secrets are not set.
    let call = Ask::new("POST", "/api/v1/tools/gh__echo/call").key(OPERATOR).tenant("acme");
    let refused = world.ask(&call.json(&json!({ "arguments": { "text": "x" } })));
    assert!(matches!(refused.status, 404 | 409), "{}", refused.text());
    let own = Ask::new("POST", "/api/v1/tools/gh__echo/call").key(crate::rest::world::FILED);
    let own = world.ask(&own.json(&json!({ "arguments": { "text": "y" } })));
    assert_eq!(value(&own)["content"][0]["text"], "y", "{}", own.text());
}

#[test]
fn the_audit_holds_what_it_would_hold_over_mcp() {
    let bed = Bed::new();
    let told = |bed: &Bed| -> Vec<[String; 5]> {
        let (status, output, errors) = bed.proxy.setup().run(&["audit", "export"], b"");
        assert!(status.success(), "{errors}");
        let records = output.lines().map(|line| serde_json::from_str(line).expect("JSON lines"));
        let words = |record: &Value| {
            ["method", "door", "target", "outcome", "ran"]
                .map(|name| record[name].as_str().unwrap_or("-").to_owned())
        };
        records.map(|record: Value| words(&record)).collect()
    };
    let both = |bed: &Bed, tool: &str, arguments: Value| {
        let before = told(bed).len();
        bed.call(tool, &arguments);
        bed.client(Era::Modern).call(tool, arguments);
        let records = until("both are written", PATIENCE, || {
            Some(told(bed)).filter(|records| records.len() >= before + 2)
        });
        assert_eq!(records[before], records[before + 1], "{tool}");
        records[before].clone()
    };
    bed.get("/api/v1/tools");
    let listed = until("it is written", PATIENCE, || told(&bed).pop());
    assert_eq!(listed, ["tools/list", "/mcp", "-", "ok", "yes"]);
    let ran = both(&bed, "new__echo", json!({ "text": "x" }));
    assert_eq!(ran, ["tools/call", "/mcp", "new__echo", "ok", "yes"]);
    both(&bed, "old__echo", json!({}));
    both(&bed, "old__nothing", json!({}));
    both(&bed, "new__test_error_handling", json!({}));
    let before = told(&bed).len();
    let wrong = Ask::new("POST", "/api/v1/tools/new__echo/call").json(&json!({ "argument": 1 }));
    assert_eq!(bed.send(&wrong).status, 400);
    until("the refusal is written", PATIENCE, || {
        let refused = told(&bed).pop().filter(|record| record[3] == "refused")?;
        (told(&bed).len() > before && refused[4] == "no").then_some(())
    });
}

#[test]
fn any_request_of_mcp_is_answered_as_at_the_upstreams_own_door() {
    let bed = Bed::new();
    let ask = |upstream: &str, body: &Value| {
        let path = format!("/api/v1/upstreams/{upstream}/rpc");
        bed.send(&Ask::new("POST", &path).json(body))
    };
    for upstream in UPSTREAMS {
        let mut client = bed.proxy.client(Era::Modern, &format!("/mcp/{upstream}"));
        for (method, params) in [
            ("tools/list", json!({})),
            ("tools/call", json!({ "name": "echo", "arguments": { "text": "x" } })),
            ("prompts/list", json!({})),
            ("prompts/get", json!({ "name": "test_simple_prompt" })),
            ("resources/list", json!({})),
            ("resources/templates/list", json!({})),
            ("resources/read", json!({ "uri": "test://static-text" })),
            (
                "completion/complete",
                json!({
                    "ref": { "type": "ref/prompt", "name": "test_prompt_with_arguments" },
                    "argument": { "name": "arg1", "value": "a" },
                }),
            ),
            ("server/discover", json!({})),
        ] {
            let answer = ask(upstream, &json!({ "method": method, "params": params }));
            let over_mcp = client.request(method, params.clone());
            assert_eq!(answer.status, 200, "{upstream} {method}: {}", answer.text());
            assert_eq!(value(&answer), over_mcp["result"], "{upstream} {method}");
        }
    }
    // What the caller says of itself reaches the upstream, and its key does not.
    let meta = json!({
        "x/y": 1,
        "io.modelcontextprotocol/clientInfo": { "name": "robot", "version": "7" },
    });
    let body = json!({ "method": "tools/call", "params": { "name": "whoami", "_meta": meta } });
    let answer = value(&ask("new", &body));
    let seen: Value = serde_json::from_str(answer["content"][0]["text"].as_str().expect("text"))
        .unwrap_or_else(|_| panic!("{answer}"));
    assert_eq!((&seen["clientInfo"]["name"], &seen["meta"]["x/y"]), (&json!("robot"), &json!(1)));
    assert!(!seen.to_string().contains(bed.proxy.key()), "{seen}");

    for (upstream, body, status, said) in [
        ("old", json!({ "method": "tools/run" }), 400, "is no method of MCP"),
        ("old", json!({ "method": "initialize" }), 400, "about a session"),
        ("old", json!({ "method": "ping" }), 400, "about a session"),
        ("old", json!({ "method": "resources/subscribe" }), 400, "asks for news"),
        ("old", json!({ "method": "subscriptions/listen" }), 400, "asks for news"),
        ("old", json!({ "method": "notifications/cancelled" }), 400, "is a notification"),
        ("old", json!({ "method": "tools/list", "params": [] }), 400, "is an object"),
        ("old", json!({}), 400, "method"),
        ("old", json!({ "method": "tools/call", "params": {} }), 400, "params.name"),
        ("none", json!({ "method": "tools/list" }), 404, "no such upstream"),
    ] {
        let (got, problem) = problem(&ask(upstream, &body));
        let words = problem["detail"].as_str().unwrap_or_default();
        assert!(got == status && words.contains(said), "{body}: {got} {words}");
    }
    let body = json!({ "method": "tools/call", "params": { "name": "test_tool_with_progress" } });
    let path = "/api/v1/upstreams/new/rpc";
    let stream = Ask::new("POST", path).header("Accept", "text/event-stream").json(&body);
    let told = bed.send(&stream).text();
    assert!(told.contains("event: progress\n") && told.contains("event: result\n"), "{told}");
}
