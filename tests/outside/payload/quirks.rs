//! Peers with quirks, as the file describes them.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::payload::peer::Peer;
use crate::payload::upstream::{Upstream, unknown};
use crate::support::{Era, Proxy, until};

const PATIENCE: Duration = Duration::from_secs(20);

fn script(method: &str, params: &Value, _: &Value) -> Result<Value, Value> {
    match (method, params["name"].as_str()) {
        ("tools/list", _) => {
            Ok(json!({"tools": [{"name": "big", "inputSchema": {"type": "object"}},
            {"name": "small", "inputSchema": {"type": "object"}}]}))
        }
        ("tools/call", Some("big")) => {
            Ok(json!({"content": [{"type": "text", "text": "x".repeat(5_000)}]}))
        }
        ("tools/call", _) => Ok(json!({"content": [{"type": "text", "text": "x"}]})),
        ("resources/list", _) => Ok(json!({"resources": []})),
        ("resources/subscribe", _) => Ok(json!({})),
        _ => unknown(),
    }
}

fn capabilities() -> Value {
    json!({"tools": {"listChanged": true}, "resources": {"subscribe": true}})
}

fn serve(upstream: &Upstream, quirks: &str, of_upstream: &str) -> Proxy {
    Proxy::start(&format!(
        "[server]\nlisten = \"127.0.0.1:0\"\nclient_quirks = [{quirks}]\n[upstreams.up]\nurl = \"{}\"\n{of_upstream}",
        upstream.url()
    ))
}

#[test]
fn a_client_gets_no_larger_result_than_it_takes() {
    for era in Era::BOTH {
        let upstream = Upstream::start(era, capabilities(), script);
        let proxy = serve(&upstream, "{ name = \"small-*\", result_cap = \"4KiB\" }", "");
        for revision in ["2025-11-25", "2026-07-28"] {
            for door in ["/mcp", "/mcp/up"] {
                let prefix = if door == "/mcp" { "up__" } else { "" };
                let mut small = Peer::named(&proxy, door, revision, json!({}), "small-client");
                let refused = small.call(&format!("{prefix}big"));
                assert_eq!(refused["isError"], true, "{refused}");
                let sentence = refused["content"][0]["text"].as_str().expect("text");
                assert!(sentence.contains("4096") && sentence.contains("`up`"), "{sentence}");
                assert_eq!(small.call(&format!("{prefix}small"))["content"][0]["text"], "x");
                let mut other = Peer::named(&proxy, door, revision, json!({}), "other");
                let text = &other.call(&format!("{prefix}big"))["content"][0]["text"];
                assert_eq!(text.as_str().expect("text").len(), 5_000);
            }
        }
    }
}

#[test]
fn a_client_that_needs_it_hears_comments_often() {
    let upstream = Upstream::start(Era::Legacy, capabilities(), script);
    let proxy = serve(&upstream, "{ name = \"nervous\", keep_alive = \"200ms\" }", "");
    let legacy = Peer::named(&proxy, "/mcp", "2025-11-25", json!({}), "nervous");
    let modern = Peer::named(&proxy, "/mcp", "2026-07-28", json!({}), "nervous");
    for mut stream in [legacy.stream(), modern.listen(&json!({}))] {
        let start = Instant::now();
        for _ in 0..3 {
            while !stream.line().starts_with(':') {}
        }
        // All others wait twenty seconds for each.
        assert!(start.elapsed() < Duration::from_secs(20));
    }
}

#[test]
fn a_client_that_ignores_list_changes_is_not_told_of_them() {
    let upstream = Upstream::start(Era::Legacy, capabilities(), script);
    let proxy = serve(&upstream, "{ name = \"deaf\", list_changed = false }", "");
    let watch = json!({"uri": "up+test://r"});
    let mut deaf = Peer::named(&proxy, "/mcp", "2025-11-25", json!({}), "deaf");
    let mut other = Peer::named(&proxy, "/mcp", "2025-11-25", json!({}), "other");
    let (mut of_deaf, mut of_other) = (deaf.stream(), other.stream());
    for peer in [&mut deaf, &mut other] {
        peer.list("tools/list", "tools");
        assert!(peer.ask("resources/subscribe", watch.clone())["error"].is_null());
    }
    until("the proxy listens", PATIENCE, || {
        let said = json!({"jsonrpc": "2.0", "method": "notifications/tools/list_changed"});
        (upstream.say(&said) > 0).then_some(())
    });
    while of_other.message()["method"] != "notifications/tools/list_changed" {}
    upstream.say(&json!({"jsonrpc": "2.0", "method": "notifications/resources/updated",
        "params": {"uri": "test://r"}}));
    assert_eq!(of_deaf.message()["method"], "notifications/resources/updated");
    let modern = Peer::named(&proxy, "/mcp", "2026-07-28", json!({}), "deaf");
    let asked = json!({"toolsListChanged": true, "resourceSubscriptions": ["up+test://r"]});
    let acknowledged = modern.listen(&asked).message()["params"]["notifications"].take();
    assert_eq!(acknowledged, json!({"resourceSubscriptions": ["up+test://r"]}));
}

#[test]
fn an_upstream_that_always_says_so_is_not_believed() {
    let upstream = Upstream::start(Era::Legacy, capabilities(), script);
    let proxy = serve(&upstream, "", "quirks = { list_changed = false }\n");
    let mut peer = Peer::connect(&proxy, "/mcp", "2025-11-25", json!({}));
    let mut stream = peer.stream();
    peer.list("tools/list", "tools");
    assert!(peer.ask("resources/subscribe", json!({"uri": "up+test://r"}))["error"].is_null());
    let lists = upstream.seen("tools/list").len();
    until("the proxy listens", PATIENCE, || {
        let said = json!({"jsonrpc": "2.0", "method": "notifications/tools/list_changed"});
        (upstream.say(&said) > 0).then_some(())
    });
    upstream.say(&json!({"jsonrpc": "2.0", "method": "notifications/resources/updated",
        "params": {"uri": "test://r"}}));
    while stream.message()["method"] != "notifications/resources/updated" {}
    assert_eq!(upstream.seen("tools/list").len(), lists);
}

#[test]
fn an_upstream_that_wants_a_session_gets_one() {
    let upstream = Upstream::without_sessions(capabilities(), script);
    let proxy = serve(&upstream, "", "quirks = { session_id = true }\n");
    let mut peer = Peer::connect(&proxy, "/mcp", "2025-11-25", json!({}));
    peer.call("up__small");
    peer.call("up__small");
    let ids: Vec<String> = upstream
        .seen("tools/call")
        .iter()
        .map(|seen| seen.header("mcp-session-id").expect("an id").to_owned())
        .collect();
    assert_eq!(ids.len(), 2);
    assert!(ids[0] == ids[1] && !ids[0].is_empty());
    assert!(upstream.seen("initialize").iter().all(|seen| seen.header("mcp-session-id").is_none()));
    let plain = Upstream::without_sessions(capabilities(), script);
    let proxy = serve(&plain, "", "");
    Peer::connect(&proxy, "/mcp", "2025-11-25", json!({})).call("up__small");
    assert!(plain.seen("tools/call")[0].header("mcp-session-id").is_none());
}
