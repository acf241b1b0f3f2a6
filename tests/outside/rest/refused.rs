//! What is refused: with which status, and whether the call may be made again.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::rest::bed::{Bed, UPSTREAMS, problem};
use crate::rest::world::{Ask, value};
use crate::support::{Era, Proxy, Raw, Setup, asker, post, serve_everything, until};

const PATIENCE: Duration = Duration::from_secs(30);

#[test]
fn what_is_unknown_and_what_is_not_permitted_look_the_same() {
    let bed = Bed::with("[upstreams.old]\nurl = \"{old}\"\ntools = { deny = [\"echo\"] }\n");
    for query in ["", "?upstream=old"] {
        let prefix = if query.is_empty() { "old__" } else { "" };
        let refusal = |path: &str, method: &'static str, tool: &str| {
            let path = format!("/api/v1/tools/{prefix}{tool}{path}{query}");
            let answer = bed.send(&Ask::new(method, &path));
            let (status, problem) = problem(&answer);
            (status, problem.to_string().replace(tool, "TOOL"))
        };
        for (path, method) in [("", "GET"), ("/call", "POST")] {
            let hidden = refusal(path, method, "echo");
            assert_eq!(hidden, refusal(path, method, "nothing"), "{method} {path}");
            assert_eq!(hidden.0, 404);
        }
    }
    // Words and all as over MCP.
    let answer = bed.call("old__echo", &json!({}));
    let words = bed.client(Era::Modern).call("old__echo", json!({}))["error"]["message"].clone();
    assert_eq!(problem(&answer).1["detail"], words);
    assert_eq!(problem(&answer).1["retry"], "never");
}

#[test]
fn a_wrong_body_is_refused_before_anything_runs() {
    let bed = Bed::new();
    for body in [
        "{",
        "[]",
        "1",
        r#"{"arguments":[]}"#,
        r#"{"arguments":"x"}"#,
        r#"{"argument":{}}"#,
        r#"{"arguments":{},"arguments":{}}"#,
        r#"{"timeout":"soon"}"#,
        r#"{"timeout":"0s"}"#,
        r#"{"timeout":5}"#,
        r#"{"log_level":"loud"}"#,
        &format!("{{\"arguments\":{}1{}}}", "{\"a\":".repeat(70), "}".repeat(70)),
    ] {
        for upstream in UPSTREAMS {
            let path = format!("/api/v1/tools/{upstream}__test_simple_text/call");
            let ask = Ask::new("POST", &path).header("Content-Type", "application/json");
            assert_eq!(problem(&bed.send(&ask.text(body))).0, 400, "{body}");
        }
    }
    let named = Ask::new("POST", "/api/v1/tools/old__echo/call").header("Idempotency-Key", "one");
    assert_eq!(problem(&bed.send(&named)).0, 400);
    let text = Ask::new("POST", "/api/v1/tools/old__echo/call").text("{}");
    assert_eq!(problem(&bed.send(&text)).0, 415);
}

#[test]
fn an_error_of_an_upstream_is_told_as_it_came() {
    let bed = Bed::new();
    let mut client = bed.client(Era::Modern);
    for upstream in UPSTREAMS {
        let name = format!("{upstream}__echo");
        let (status, problem) = problem(&bed.call(&name, &json!({})));
        assert_eq!((status, &problem["retry"]), (400, &json!("never")), "{problem}");
        assert_eq!(problem["error"], client.call(&name, json!({}))["error"]);
        assert_eq!(problem["detail"], problem["error"]["message"]);
    }
}

#[test]
fn what_asks_its_user_cannot_be_called_like_this() {
    let bed = Bed::with(&format!(
        "[upstreams.asks]\ncommand = [{0:?}, \"modern\"]\n[upstreams.asked]\ncommand = [{0:?}]\n",
        asker()
    ));
    let question = json!({ "questions": [{ "method": "roots/list" }], "tag": "t" });
    for (tool, arguments) in [
        ("new__test_input_required_result_elicitation", json!({})),
        ("new__test_missing_capability", json!({})),
        ("asks__lack", json!({})),
        ("asks__bare", json!({})),
        // Who was sent somewhere once is taken to have been there: each has a tag of its own.
        ("asked__visit", json!({ "tag": "plain" })),
    ] {
        let (status, problem) = problem(&bed.call(tool, &arguments));
        assert_eq!(status, 422, "{tool}: {problem}");
        // As a client over MCP that can be asked nothing.
        let arguments = if tool == "asked__visit" { json!({ "tag": "mcp" }) } else { arguments };
        let over_mcp = bed.client(Era::Modern).call(tool, arguments);
        assert_eq!(problem["detail"], over_mcp["error"]["message"], "{tool}");
    }
    // Others are told that nobody answers, and make something of it.
    let answer = bed.call("asked__ask", &question);
    assert_eq!(answer.status, 200, "{}", answer.text());
    let over_mcp = bed.client(Era::Modern).call("asked__ask", question);
    assert_eq!(value(&answer), over_mcp["result"]);
}

#[test]
fn an_upstream_that_is_down_or_slow_is_told_from_each_other() {
    let (server, address) = serve_everything(&[]);
    let proxy = Proxy::start(&format!(
        "[upstreams.up]\nurl = \"http://{address}/mcp\"\ntimeout = \"2s\"\n"
    ));
    let mut bed = Bed { proxy, servers: vec![server] };
    let (status, slow) = problem(&bed.call("up__sleep", &json!({ "ms": 60_000 })));
    assert_eq!((status, &slow["retry"]), (504, &json!("may_have_run")), "{slow}");
    assert!(slow["detail"].as_str().is_some_and(|words| words.contains("may have been executed")));
    let asked = json!({ "arguments": { "ms": 60_000 }, "timeout": "200ms" });
    let (status, late) = problem(&bed.post("up__sleep", &asked));
    assert_eq!((status, &late["retry"]), (504, &json!("may_have_run")), "{late}");
    bed.servers.clear();
    until("it is gone", PATIENCE, || {
        let answer = bed.call("up__echo", &json!({ "text": "x" }));
        let (status, down) = problem(&answer);
        assert_eq!(status, 502, "{down}");
        (down["retry"] == "safe").then_some(())
    });
}

#[test]
fn limits_count_requests_of_both_kinds_together() {
    let bed = Bed::with("[limits]\nkey = { rate = \"6/m\", burst = 6 }\n");
    let mut client = bed.client(Era::Modern);
    for _ in 0..2 {
        assert_eq!(bed.call("old__echo", &json!({ "text": "x" })).status, 200);
        assert!(client.call("old__echo", json!({ "text": "x" })).get("result").is_some());
        assert_eq!(bed.get("/api/v1/me").status, 200);
    }
    for answer in [
        bed.call("old__echo", &json!({ "text": "x" })),
        bed.get("/api/v1/tools"),
        bed.get("/api/v1/me"),
        bed.send(&Ask::new("POST", "/api/v1/keys").json(&json!({ "name": "x" }))),
    ] {
        let (status, problem) = problem(&answer);
        assert_eq!((status, &problem["limit"]), (429, &json!("key.rate")), "{problem}");
        let wait: u64 = answer.header("retry-after").and_then(|w| w.parse().ok()).expect("seconds");
        assert!((1..=10).contains(&wait), "{wait}");
        assert_eq!((&problem["retryAfter"], &problem["retry"]), (&json!(wait), &json!("safe")));
    }
    assert_eq!(client.send("tools/list", json!({})).status, 429);
}

#[test]
fn the_time_to_come_back_is_true() {
    let bed = Bed::with("[limits.tools.old]\necho = { rate = \"1/2s\" }\n");
    let call = || bed.call("old__echo", &json!({ "text": "x" }));
    assert_eq!(call().status, 200);
    let refused = call();
    let wait: u64 = refused.header("retry-after").and_then(|w| w.parse().ok()).expect("seconds");
    let began = Instant::now();
    until("it is let in", PATIENCE, || {
        let late = began.elapsed() >= Duration::from_secs(wait);
        let status = call().status;
        assert!(status == 200 || !late, "refused after the time that it was told");
        (status == 200).then_some(())
    });
}

#[test]
fn calls_at_a_time_are_counted_together() {
    let bed = Bed::with("[limits.upstreams]\nold = { concurrent = 1 }\n");
    assert_eq!(bed.text("old__echo", &json!({ "text": "x" })), "x");
    let key = format!("Bearer {}", bed.proxy.key());
    let headers = [("Authorization", key.as_str())];
    let body = json!({ "arguments": { "ms": 60_000 } }).to_string();
    let path = "/api/v1/tools/old__sleep/call";
    let bytes = post(bed.proxy.address(), path, &headers, body.as_bytes());
    let mut client = bed.client(Era::Modern);
    let (long, refused) = until("a refusal", PATIENCE, || {
        // It may be overtaken, and is refused itself then.
        let mut long = Raw::connect(bed.proxy.address());
        long.send(&bytes).expect("it is sent");
        let call = json!({"name": "old__echo", "arguments": {"text": "x"}});
        let mut answers = (0..20).map(|_| client.send("tools/call", call.clone()));
        Some((long, answers.find(|answer| answer.status == 429)?))
    });
    let refused: Value = refused.messages().remove(0);
    assert_eq!(refused["error"]["data"]["limit"], "upstream.concurrent");
    let (status, problem) = problem(&bed.call("old__echo", &json!({ "text": "x" })));
    assert_eq!((status, &problem["limit"]), (429, &json!("upstream.concurrent")));
    drop(long);
    until("its place is free", PATIENCE, || {
        (bed.call("old__echo", &json!({ "text": "x" })).status == 200).then_some(())
    });
}

#[test]
fn scopes_of_a_key_hold_here_too() {
    const DESK: &str = "a-key-for-one-profile-alone-in-the-tests-1";
    const ECHO: &str = "a-key-for-one-tool-alone-in-the-tests-0002";
    let (_server, address) = serve_everything(&[]);
    let toml = format!(
        "[upstreams.up]\nurl = \"http://{address}/mcp\"\n[profiles.desk]\nupstreams = [\"up\"]\n\
         [tenants.acme]\nkeys = [{{ name = \"d\", env = \"DESK\", scopes = [\"profile:desk\"] }},\n\
         {{ name = \"e\", env = \"ECHO\", scopes = [\"tool:up__echo\"] }}]\n"
    );
    let proxy = Setup::new().env("DESK", DESK).env("ECHO", ECHO).config(&toml).serve();
    let ask = |method: &'static str, path: &str, key: &str| {
        let ask = Ask::new(method, path).key(key);
        ask.json(&json!({ "arguments": { "text": "x" } })).at(proxy.address())
    };
    for (method, path) in [("GET", "/api/v1/tools"), ("POST", "/api/v1/tools/up__echo/call")] {
        assert_eq!(problem(&ask(method, path, DESK)).0, 403);
        assert_eq!(ask(method, &format!("{path}?profile=desk"), DESK).status, 200);
        assert_eq!(ask(method, path, ECHO).status, 200);
    }
    let list = value(&ask("GET", "/api/v1/tools", ECHO));
    assert_eq!(list["items"].as_array().map(Vec::len), Some(1), "{list}");
    assert_eq!(problem(&ask("POST", "/api/v1/tools/up__whoami/call", ECHO)).0, 404);
}
