//! Answers that are longer than what is looked at before they go through: they change in the same
//! places as short ones.

use serde_json::{Value, json};

use crate::payload::peer::Peer;
use crate::payload::upstream::{Upstream, unknown};
use crate::support::{Era, Proxy};

/// Longer than any buffer on the way.
const LONG: usize = 300 << 10;

fn script(method: &str, params: &Value, _: &Value) -> Result<Value, Value> {
    let long = || "\u{e9}\"\\ {[\n".repeat(LONG / 8);
    match (method, params["name"].as_str()) {
        ("tools/list", _) => Ok(json!({"tools": [
            {"name": "blocks", "inputSchema": {"type": "object"}},
            {"name": "late", "inputSchema": {"type": "object"}},
            {"name": "array", "inputSchema": {"type": "object"}}]})),
        ("tools/call", Some("blocks")) => Ok(json!({
            "content": [
                {"type": "text", "text": long()},
                {"type": "resource_link", "uri": "file:///a.txt", "name": "a"},
                {"type": "resource", "resource": {"uri": "file:///b.txt", "text": long()}}],
            "structuredContent": {"uri": "file:///a.txt", "said": params["arguments"]["said"],
                "rows": (0..9000).map(|n| json!({"n": n, "_meta": [1.5, null, true]})).collect::<Vec<_>>()},
            "isError": true, "_meta": {"ui": {"resourceUri": "ui://view"}}})),
        // What asks something is found out however late it says so.
        ("tools/call", Some("late")) => {
            Ok(json!({"inputRequests": {"a": {"method": "elicitation/create",
            "params": {"mode": "form", "message": long(), "requestedSchema": {"type": "object", "properties": {}}}}},
            "resultType": "input_required"}))
        }
        ("tools/call", _) => Ok(json!({"content": [], "structuredContent": [long(), 1]})),
        ("resources/list", _) => {
            Ok(json!({"resources": [{"uri": "file:///long", "name": "long"}]}))
        }
        ("resources/read", _) => Ok(json!({"contents": [{"uri": params["uri"], "text": long()}]})),
        _ => unknown(),
    }
}

#[test]
fn a_long_answer_is_changed_where_a_short_one_is() {
    for era in Era::BOTH {
        let upstream = Upstream::start(era, json!({"tools": {}, "resources": {}}), script);
        let proxy = Proxy::start(&format!("[upstreams.up]\nurl = \"{}\"\n", upstream.url()));
        for (door, prefix, names) in [("/mcp", "up__", "up+file"), ("/mcp/up", "", "file")] {
            for revision in ["2025-03-26", "2025-11-25", "2026-07-28"] {
                let place = format!("{era:?} {door} {revision}");
                let mut peer = Peer::connect(&proxy, door, revision, json!({}));
                let said = "x".repeat(LONG);
                let params =
                    json!({"name": format!("{prefix}blocks"), "arguments": {"said": said}});
                let result = peer.ask("tools/call", params)["result"].take();
                let expected =
                    script("tools/call", &json!({"name": "blocks"}), &json!({})).expect("a result");
                let content = &result["content"];
                assert_eq!(content[0], expected["content"][0], "{place}");
                let shown =
                    if revision < "2025-06-18" { &content[1]["text"] } else { &content[1]["uri"] };
                assert!(
                    shown.as_str().expect("text").contains(&format!("{names}:///a.txt")),
                    "{place}: {shown}"
                );
                let resource = &content[2]["resource"];
                assert_eq!(resource["uri"], format!("{names}:///b.txt"), "{place}");
                assert_eq!(resource["text"], expected["content"][2]["resource"]["text"], "{place}");
                let structured = &result["structuredContent"];
                if revision >= "2025-06-18" {
                    assert_eq!(
                        structured["rows"], expected["structuredContent"]["rows"],
                        "{place}"
                    );
                    assert_eq!(structured["uri"], "file:///a.txt", "{place}");
                    assert_eq!(structured["said"], said.as_str(), "{place}");
                }
                assert_eq!(result["isError"], true, "{place}");
                let view = if door == "/mcp" { "ui://up/view" } else { "ui://view" };
                assert_eq!(result["_meta"]["ui"]["resourceUri"], view, "{place}");
                let modern = revision == "2026-07-28";
                assert_eq!(result["resultType"] == "complete", modern, "{place}");
                let server = &result["_meta"]["io.modelcontextprotocol/serverInfo"]["name"];
                assert_eq!(server == "mcp-proxy", modern, "{place}");
                if door == "/mcp" {
                    let array = peer.call(&format!("{prefix}array"));
                    assert_eq!(array["structuredContent"].is_array(), modern, "{place}");
                }
                let uri = format!("{names}:///long");
                let read = peer.ask("resources/read", json!({"uri": uri}));
                assert_eq!(read["result"]["contents"][0]["uri"], uri, "{place}");
                if modern && era == Era::Modern {
                    let params = json!({"name": format!("{prefix}late"), "arguments": {}});
                    let asked = peer.ask("tools/call", params);
                    // It has not declared that it can be asked.
                    assert!(
                        asked["error"].is_object() || asked["result"]["isError"] == true,
                        "{place}: {asked:.300}"
                    );
                }
            }
        }
    }
}
