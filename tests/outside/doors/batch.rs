//! Batches of 2025-03-26 (R48).

use serde_json::{Value, json};

use crate::support::{Answer, Proxy, Raw, post, serve_everything};

/// A session of one revision, at the door of one upstream.
struct Old<'a> {
    proxy: &'a Proxy,
    session: String,
}

impl<'a> Old<'a> {
    fn open(proxy: &'a Proxy, revision: &str) -> Self {
        let mut old = Self { proxy, session: String::new() };
        let answer =
            old.post(&json!({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": {
            "protocolVersion": revision, "capabilities": {},
            "clientInfo": {"name": "old", "version": "1"}}}));
        assert_eq!(answer.messages()[0]["result"]["protocolVersion"], revision);
        old.session = answer.header("mcp-session-id").unwrap().to_owned();
        let ready = json!({"jsonrpc": "2.0", "method": "notifications/initialized"});
        assert_eq!(old.post(&ready).status, 202);
        old
    }

    fn post(&self, body: &Value) -> Answer {
        let key = format!("Bearer {}", self.proxy.key());
        let mut headers = vec![("Authorization", key.as_str())];
        if !self.session.is_empty() {
            headers.push(("Mcp-Session-Id", &self.session));
        }
        let bytes = post(self.proxy.address(), "/mcp", &headers, body.to_string().as_bytes());
        Raw::exchange(self.proxy.address(), &bytes).unwrap()
    }
}

fn echo(id: impl Into<Value>, text: &str) -> Value {
    json!({"jsonrpc": "2.0", "id": id.into(), "method": "tools/call",
        "params": {"name": "up__echo", "arguments": {"text": text}}})
}

#[test]
fn a_batch_is_answered_by_an_array() {
    let (_server, address) = serve_everything(&["--era", "legacy"]);
    let proxy = Proxy::start(&format!("[upstreams.up]\nurl = \"http://{address}/mcp\"\n"));
    let old = Old::open(&proxy, "2025-03-26");
    let cancelled = json!({"jsonrpc": "2.0", "method": "notifications/cancelled",
        "params": {"requestId": "nothing"}});
    let unknown = json!({"jsonrpc": "2.0", "id": 3, "method": "no/such"});
    let answer = old.post(&json!([echo(1, "one"), cancelled, echo("two", "2"), unknown,
        {"jsonrpc": "2.0", "id": 4, "method": "ping"}]));
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.header("content-type"), Some("application/json"));
    let all: Vec<Value> = serde_json::from_slice(&answer.body).unwrap();
    let of = |id: Value| all.iter().find(|message| message["id"] == id).unwrap();
    assert_eq!(all.len(), 4, "{all:?}");
    assert_eq!(of(json!(1))["result"]["content"][0]["text"], "one");
    assert_eq!(of(json!("two"))["result"]["content"][0]["text"], "2");
    assert_eq!(of(json!(3))["error"]["code"], -32601);
    assert_eq!(of(json!(4))["result"], json!({}));
    // Without a request there is nothing to answer.
    assert_eq!(old.post(&json!([cancelled, cancelled])).status, 202);
    assert_eq!(old.post(&json!([{"jsonrpc": "2.0", "id": 9, "result": {}}])).status, 202);
}

#[test]
fn a_batch_with_progress_becomes_one_stream() {
    let (_server, address) = serve_everything(&["--era", "legacy"]);
    let proxy = Proxy::start(&format!("[upstreams.up]\nurl = \"http://{address}/mcp\"\n"));
    let old = Old::open(&proxy, "2025-03-26");
    let answer = old.post(&json!([
        {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {
            "name": "up__test_tool_with_progress", "arguments": {}, "_meta": {"progressToken": "p"}}},
        echo(2, "beside"),
    ]));
    assert_eq!(answer.header("content-type"), Some("text/event-stream"), "{}", answer.text());
    let all = answer.messages();
    let progress = all.iter().filter(|m| m["method"] == "notifications/progress");
    assert!(progress.clone().count() > 0, "{all:?}");
    assert!(progress.clone().all(|m| m["params"]["progressToken"] == "p"));
    for id in [1, 2] {
        assert_eq!(all.iter().filter(|m| m["id"] == id && m["result"].is_object()).count(), 1);
    }
}

#[test]
fn other_batches_are_refused_whole() {
    let (_server, address) = serve_everything(&["--era", "legacy"]);
    let proxy = Proxy::start(&format!("[upstreams.up]\nurl = \"http://{address}/mcp\"\n"));
    let ping = |id: u64| json!({"jsonrpc": "2.0", "id": id, "method": "ping"});
    for revision in ["2024-11-05", "2025-06-18", "2025-11-25"] {
        let answer = Old::open(&proxy, revision).post(&json!([ping(1)]));
        assert_eq!((answer.status, answer.code()), (400, Some(-32600)), "{revision}");
    }
    let old = Old::open(&proxy, "2025-03-26");
    let hello = json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {
        "protocolVersion": "2025-03-26", "capabilities": {}, "clientInfo": {"name": "x", "version": "1"}}});
    let modern = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {"_meta": {
        "io.modelcontextprotocol/protocolVersion": "2026-07-28"}}});
    let many: Vec<Value> = (0..65).map(ping).collect();
    for body in [
        json!([]),
        json!([ping(1), 7]),
        json!([[ping(1)]]),
        json!([ping(1), {"jsonrpc": "2.0", "id": 2, "result": {}}]),
        json!([hello]),
        json!([modern]),
        json!(many),
    ] {
        let answer = old.post(&body);
        assert_eq!((answer.status, answer.code()), (400, Some(-32600)), "{body}");
    }
    assert_eq!(old.post(&json!(many[..64])).status, 200);
    let nowhere = Old { proxy: &proxy, session: "0".repeat(32) };
    assert_eq!(nowhere.post(&json!([ping(1)])).status, 404);
    let without = Old { proxy: &proxy, session: String::new() };
    assert_eq!(without.post(&json!([ping(1)])).status, 400);
}
