//! HTTP+SSE 2024-11-05 (R55).

use std::time::Duration;

use serde_json::json;

use crate::doors::stream::Stream;
use crate::support::{Proxy, Raw, Setup, post, serve_everything, until};

fn proxy() -> (crate::support::Process, Proxy) {
    let (server, address) = serve_everything(&["--era", "legacy"]);
    (server, Proxy::start(&format!("[upstreams.up]\nurl = \"http://{address}/mcp\"\n")))
}

#[test]
fn an_old_client_gets_everything_on_its_stream() {
    let (_server, proxy) = proxy();
    let mut old = Stream::open(proxy.address(), "/sse", proxy.key());
    assert!(old.endpoint.starts_with("/messages?sessionId="), "{}", old.endpoint);
    let hello = old.hello("2024-11-05");
    assert_eq!(hello["protocolVersion"], "2024-11-05");
    assert_eq!(hello["serverInfo"]["name"], "mcp-proxy");
    let tools = old.request("tools/list", json!({}));
    assert!(tools.to_string().contains("up__echo"), "{tools}");
    let answer =
        old.request("tools/call", json!({"name": "up__echo", "arguments": {"text": "a\nb"}}));
    assert_eq!(answer["result"]["content"][0]["text"], "a\nb");
    // Notifications come before the answer, on the same stream.
    let id = old.send(
        "tools/call",
        json!({"name": "up__test_tool_with_progress",
        "arguments": {}, "_meta": {"progressToken": 5}}),
    );
    let progress = old.until(|m| m["method"] == "notifications/progress");
    assert_eq!(progress["params"]["progressToken"], 5);
    assert!(old.until(|m| m["id"] == id)["result"].is_object());
    // Faults come there as well.
    assert_eq!(old.request("no/such", json!({}))["error"]["code"], -32601);
    let again = json!({"jsonrpc": "2.0", "id": 9, "method": "initialize", "params": {}});
    assert_eq!(old.post(&again.to_string()).code(), Some(-32600));
}

#[test]
fn one_upstream_has_an_old_door_of_its_own() {
    let (_server, proxy) = proxy();
    let mut old = Stream::open(proxy.address(), "/sse/up", proxy.key());
    assert!(old.endpoint.starts_with("/messages/up?sessionId="), "{}", old.endpoint);
    assert_eq!(old.hello("2025-06-18")["protocolVersion"], "2025-06-18");
    let answer = old.request("tools/call", json!({"name": "echo", "arguments": {"text": "x"}}));
    assert_eq!(answer["result"]["content"][0]["text"], "x");
    // A stream is bound to its door.
    let merged = old.endpoint.replace("/messages/up", "/messages");
    let ping = json!({"jsonrpc": "2.0", "id": 1, "method": "ping"}).to_string();
    assert_eq!(old.post_as(proxy.key(), &merged, &ping).status, 404);
    let unknown = Raw::exchange(proxy.address(), &get(&proxy, "/sse/nobody", "GET")).unwrap();
    assert_eq!(unknown.status, 404);
}

#[test]
fn news_arrive_without_a_request() {
    let (_server, proxy) = proxy();
    let mut old = Stream::open(proxy.address(), "/sse", proxy.key());
    old.hello("2024-11-05");
    old.request("tools/list", json!({}));
    // The upstream is listened to a moment after the stream was opened.
    until("the change is told", Duration::from_secs(20), || {
        let params = json!({"name": "up__test_trigger_tool_change", "arguments": {}});
        let trigger = old.send("tools/call", params);
        let told = |m: &serde_json::Value| m["method"] == "notifications/tools/list_changed";
        told(&old.until(|m| told(m) || m["id"] == trigger)).then_some(())
    });
}

#[test]
fn a_call_is_cancelled_by_the_old_client() {
    let (_server, proxy) = proxy();
    let mut old = Stream::open(proxy.address(), "/sse", proxy.key());
    old.hello("2024-11-05");
    let count = |old: &mut Stream| {
        let answer =
            old.request("tools/call", json!({"name": "up__cancelled_count", "arguments": {}}));
        answer["result"]["content"][0]["text"].as_str().unwrap().to_owned()
    };
    let before = count(&mut old);
    let id = old.send("tools/call", json!({"name": "up__sleep", "arguments": {"ms": 60_000}}));
    // By now the upstream has it.
    old.request("tools/call", json!({"name": "up__echo", "arguments": {"text": "x"}}));
    let cancel = json!({"jsonrpc": "2.0", "method": "notifications/cancelled",
        "params": {"requestId": id}});
    assert_eq!(old.post(&cancel.to_string()).status, 202);
    until("the upstream hears of it", Duration::from_secs(20), || {
        (count(&mut old) != before).then_some(())
    });
}

#[test]
fn bad_posts_are_refused_at_once() {
    let (_server, proxy) = proxy();
    let old = Stream::open(proxy.address(), "/sse", proxy.key());
    for (body, code) in [("{", -32700), ("[]", -32600), ("7", -32600), ("{}", -32600)] {
        let answer = old.post(body);
        assert_eq!((answer.status, answer.code()), (400, Some(code)), "{body}");
    }
    let ping = json!({"jsonrpc": "2.0", "id": 1, "method": "ping"}).to_string();
    assert_eq!(old.post_as(proxy.key(), "/messages", &ping).status, 400);
    assert_eq!(old.post_as(proxy.key(), "/messages?sessionId=0", &ping).status, 404);
    assert_eq!(
        old.post_as("no-key-of-anybody-no-key-of-anybody", &old.endpoint, &ping).status,
        401
    );
    let key = format!("Bearer {}", proxy.key());
    let foreign = [("Authorization", key.as_str()), ("Origin", "https://evil.example")];
    let bytes = post(proxy.address(), &old.endpoint, &foreign, ping.as_bytes());
    assert_eq!(Raw::exchange(proxy.address(), &bytes).unwrap().status, 403);
    let text = [("Authorization", key.as_str()), ("Content-Type", "text/plain")];
    let bytes = post(proxy.address(), &old.endpoint, &text, ping.as_bytes());
    assert_eq!(Raw::exchange(proxy.address(), &bytes).unwrap().status, 415);
    // Clients of the newer transport find out by this that they are at the wrong door.
    for (path, method, allowed) in [("/sse", "POST", "GET"), ("/messages", "GET", "POST")] {
        let answer = Raw::exchange(proxy.address(), &get(&proxy, path, method)).unwrap();
        assert_eq!((answer.status, answer.header("allow")), (405, Some(allowed)), "{path}");
    }
}

fn get(proxy: &Proxy, path: &str, method: &str) -> Vec<u8> {
    format!(
        "{method} {path} HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {}\r\nContent-Length: 0\r\n\r\n",
        proxy.address(),
        proxy.key()
    )
    .into_bytes()
}

#[test]
fn a_stream_belongs_to_one_key_and_ends_with_it() {
    let setup = Setup::new().config("[upstreams.demo]\ncommand = [\"{self}\", \"demo\"]\n");
    let setup =
        if setup.run(&["check"], b"").0.success() { setup } else { Setup::new().config("") };
    setup.add_tenant("acme");
    let (one, two) = (setup.create_key("acme", "one"), setup.create_key("acme", "two"));
    let proxy = setup.serve();
    let mut old = Stream::open(proxy.address(), "/sse", &one);
    old.hello("2024-11-05");
    let ping = json!({"jsonrpc": "2.0", "id": 1, "method": "ping"}).to_string();
    for other in [two.as_str(), proxy.key()] {
        assert_eq!(old.post_as(other, &old.endpoint, &ping).status, 404);
    }
    assert_eq!(old.post(&ping).status, 202);
    let id = one.split('_').nth(1).unwrap();
    let (status, output, errors) = proxy.setup().run(&["key", "revoke", id], b"");
    assert!(status.success(), "{output}{errors}");
    while old.event().is_some() {}
    assert_eq!(old.post(&ping).status, 401);
}

#[test]
fn the_session_ends_soon_after_the_stream() {
    let (_server, proxy) = proxy();
    let mut old = Stream::open(proxy.address(), "/sse", proxy.key());
    old.hello("2024-11-05");
    old.cut();
    let ping = json!({"jsonrpc": "2.0", "id": 1, "method": "ping"}).to_string();
    until("the session is gone", Duration::from_secs(20), || {
        (old.post(&ping).status == 404).then_some(())
    });
}

#[test]
fn a_stop_ends_open_streams() {
    let (_server, proxy) = proxy();
    let mut idle = Stream::open(proxy.address(), "/sse", proxy.key());
    let mut old = Stream::open(proxy.address(), "/sse", proxy.key());
    old.hello("2024-11-05");
    // What runs is finished first.
    let id = old.send("tools/call", json!({"name": "up__sleep", "arguments": {"ms": 1_000}}));
    let reader = std::thread::spawn(move || old.until(|m| m["id"] == id));
    proxy.stop();
    let answer = reader.join().unwrap();
    assert!(answer["result"].is_object(), "{answer}");
    assert!(idle.event().is_none());
}
