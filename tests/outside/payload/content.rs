//! Content of newer revisions on its way to older clients (protocol.md 3.5, R98).

use serde_json::{Value, json};

use crate::payload::peer::Peer;
use crate::payload::upstream::{Upstream, unknown};
use crate::support::{Era, Proxy};

fn script(method: &str, params: &Value, _: &Value) -> Result<Value, Value> {
    match (method, params["name"].as_str()) {
        ("tools/list", _) => Ok(json!({"tools": [
            {"name": "object", "inputSchema": {"type": "object"}, "execution": {"taskSupport": "optional"},
                "outputSchema": {"type": "object", "properties": {"n": {"type": "number"}}}, "later": [1.5]},
            {"name": "array", "inputSchema": {"type": "object"},
                "outputSchema": {"type": "array", "items": {"type": "number"}}},
            {"name": "plain", "inputSchema": {"type": "object"}, "icons": [], "title": "Plain"},
            {"name": "said", "inputSchema": {"type": "object"}},
            {"name": "media", "inputSchema": {"type": "object"}}]})),
        ("tools/call", Some("object")) => Ok(json!({"content": [{"type": "text", "text": "one"}],
            "structuredContent": {"n": 1}, "later": {"a": null}})),
        ("tools/call", Some("array")) => {
            Ok(json!({"content": [{"type": "text", "text": "two numbers"}],
            "structuredContent": [1, 2]}))
        }
        ("tools/call", Some("said")) => Ok(json!({"content": [{"type": "text", "text": "[1, 2]"}],
            "structuredContent": [1, 2]})),
        ("tools/call", _) => Ok(json!({"content": [
            {"type": "text", "text": "first"},
            {"type": "audio", "data": "AAAA", "mimeType": "audio/wav"},
            {"type": "resource_link", "uri": "file:///a.txt", "name": "a"},
            {"type": "resource", "resource": {"uri": "file:///b.txt", "text": "b"}}]})),
        ("prompts/list", _) => Ok(json!({"prompts": [{"name": "ask"}]})),
        ("prompts/get", _) => Ok(json!({"messages": [
            {"role": "user", "content": {"type": "resource_link", "uri": "file:///a.txt", "name": "a"}},
            {"role": "user", "content": {"type": "audio", "data": "AAAA", "mimeType": "audio/wav"}}]})),
        _ => unknown(),
    }
}

const REVISIONS: [&str; 5] = ["2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25", "2026-07-28"];

#[test]
fn each_revision_gets_the_content_that_it_knows() {
    for era in Era::BOTH {
        let upstream = Upstream::start(era, json!({"tools": {}, "prompts": {}}), script);
        let proxy = Proxy::start(&format!("[upstreams.up]\nurl = \"{}\"\n", upstream.url()));
        for (door, prefix, scheme) in [("/mcp", "up__", "up+file"), ("/mcp/up", "", "file")] {
            for revision in REVISIONS {
                let mut peer = Peer::connect(&proxy, door, revision, json!({}));
                let place = format!("{era:?} {door} {revision}");
                tools(&mut peer, revision, &place);
                results(&mut peer, revision, prefix, &place);
                blocks(&mut peer, revision, prefix, scheme, &place);
            }
        }
    }
}

fn tools(peer: &mut Peer, revision: &str, place: &str) {
    let tools = peer.list("tools/list", "tools");
    let [object, array, plain, ..] = &tools[..] else { panic!("{place}: {tools:?}") };
    let modern = revision == "2026-07-28";
    assert_eq!(object.get("outputSchema").is_some(), revision >= "2025-06-18", "{place}: {object}");
    assert_eq!(array.get("outputSchema").is_some(), modern, "{place}: {array}");
    assert_eq!(object.get("execution").is_some(), !modern, "{place}: {object}");
    assert_eq!(object["later"], json!([1.5]), "{place}");
    assert_eq!((&plain["icons"], &plain["title"]), (&json!([]), &json!("Plain")), "{place}");
}

fn results(peer: &mut Peer, revision: &str, prefix: &str, place: &str) {
    let modern = revision == "2026-07-28";
    let object = peer.call(&format!("{prefix}object"));
    let known = revision >= "2025-06-18";
    assert_eq!(object.get("structuredContent"), known.then_some(&json!({"n": 1})), "{place}");
    assert_eq!(object["content"], json!([{"type": "text", "text": "one"}]), "{place}");
    assert_eq!(object["later"], json!({"a": null}), "{place}");
    let array = peer.call(&format!("{prefix}array"));
    assert_eq!(array.get("structuredContent"), modern.then_some(&json!([1, 2])), "{place}");
    let texts = array["content"].as_array().expect("a list");
    assert_eq!(texts[0]["text"], "two numbers", "{place}");
    assert_eq!(
        texts.get(1).map(|text| &text["text"]),
        (!modern).then_some(&json!("[1,2]")),
        "{place}"
    );
    let said = peer.call(&format!("{prefix}said"));
    assert_eq!(said["content"], json!([{"type": "text", "text": "[1, 2]"}]), "{place}");
    assert_eq!(said.get("structuredContent").is_some(), modern, "{place}");
}

fn blocks(peer: &mut Peer, revision: &str, prefix: &str, scheme: &str, place: &str) {
    let (audio, link) = (revision >= "2025-03-26", revision >= "2025-06-18");
    let uri = format!("{scheme}:///a.txt");
    let result = peer.call(&format!("{prefix}media"));
    let content = result["content"].as_array().expect("a list");
    assert_eq!(content.len(), 4, "{place}");
    assert_eq!(content[0]["text"], "first", "{place}");
    let prompt = peer.ask("prompts/get", json!({"name": format!("{prefix}ask")}));
    let messages = &prompt["result"]["messages"];
    for (block, name) in [(&content[1], "tool"), (&messages[1]["content"], "prompt")] {
        assert_eq!(block["type"], if audio { "audio" } else { "text" }, "{place} {name}");
        if !audio {
            assert!(
                block["text"].as_str().expect("text").contains("audio/wav"),
                "{place} {name}: {block}"
            );
        }
    }
    for (block, name) in [(&content[2], "tool"), (&messages[0]["content"], "prompt")] {
        assert_eq!(block["type"], if link { "resource_link" } else { "text" }, "{place} {name}");
        let shown = if link { &block["uri"] } else { &block["text"] };
        assert!(shown.as_str().expect("text").contains(&uri), "{place} {name}: {block}");
    }
    assert_eq!(content[3]["resource"]["uri"], format!("{scheme}:///b.txt"), "{place}");
}
