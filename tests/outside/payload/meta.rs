//! `_meta`: what belongs to one hop is replaced, the rest goes through (R11, R96); and error codes
//! of one era in the words of the other (R80).

use serde_json::{Value, json};

use crate::payload::peer::Peer;
use crate::payload::upstream::{Upstream, unknown};
use crate::support::{Era, Proxy};

const TOOLS: [&str; 4] = ["named", "vendor", "empty", "bare"];
const SERVER_INFO: &str = "io.modelcontextprotocol/serverInfo";

fn script(method: &str, params: &Value, _: &Value) -> Result<Value, Value> {
    match (method, params["name"].as_str()) {
        ("tools/list", _) => {
            let tool = |name| json!({"name": name, "inputSchema": {"type": "object"}});
            Ok(json!({"tools": TOOLS.map(tool)}))
        }
        ("tools/call", Some("named")) => Ok(json!({"content": [],
            "_meta": {"a": 1.5, SERVER_INFO: {"name": "upstream", "version": "9"}, "z": null}})),
        ("tools/call", Some("vendor")) => {
            Ok(json!({"content": [], "_meta": {"example.com/x": [1]}}))
        }
        ("tools/call", Some("empty")) => Ok(json!({"content": [], "_meta": {}})),
        ("tools/call", Some("odd")) => Ok(json!({"content": [], "_meta": null})),
        ("tools/call", _) => Ok(json!({"content": []})),
        ("resources/read", _) => {
            let legacy = params["_meta"]["io.modelcontextprotocol/protocolVersion"].is_null();
            let code = if legacy { -32002 } else { -32602 };
            Err(
                json!({"code": code, "message": "Resource not found", "data": {"uri": params["uri"], "x": 1}}),
            )
        }
        _ => unknown(),
    }
}

#[test]
fn a_result_names_the_server_that_gave_it_to_this_client() {
    for era in Era::BOTH {
        let upstream = Upstream::start(era, json!({"tools": {}}), script);
        let proxy = Proxy::start(&format!("[upstreams.up]\nurl = \"{}\"\n", upstream.url()));
        for door in ["/mcp", "/mcp/up"] {
            let prefix = if door == "/mcp" { "up__" } else { "" };
            let mut modern = Peer::connect(&proxy, door, "2026-07-28", json!({}));
            let mut legacy = Peer::connect(&proxy, door, "2025-11-25", json!({}));
            for name in TOOLS {
                let tool = format!("{prefix}{name}");
                let result = modern.call(&tool);
                let info = &result["_meta"][SERVER_INFO];
                assert_eq!(info["name"], "mcp-proxy", "{era:?} {tool}: {result}");
                assert_ne!(info["version"], "9");
                let kept = legacy.call(&tool);
                if era == Era::Modern {
                    assert!(kept["_meta"][SERVER_INFO].is_null(), "{kept}");
                }
                for result in [&result, &kept] {
                    if name == "named" {
                        assert_eq!(
                            (&result["_meta"]["a"], result["_meta"].get("z")),
                            (&json!(1.5), Some(&Value::Null))
                        );
                    }
                    if name == "vendor" {
                        assert_eq!(result["_meta"]["example.com/x"], json!([1]));
                    }
                }
            }
        }
        let mut modern = Peer::connect(&proxy, "/mcp/up", "2026-07-28", json!({}));
        assert_eq!(modern.call("odd")["_meta"], Value::Null, "what is wrong is not mended");
    }
}

#[test]
fn a_trace_goes_on_and_baggage_stays_behind() {
    for era in Era::BOTH {
        let upstream = Upstream::start(era, json!({"tools": {}}), script);
        let proxy = Proxy::start(&format!("[upstreams.up]\nurl = \"{}\"\n", upstream.url()));
        for revision in ["2025-11-25", "2026-07-28"] {
            for meta in [
                json!({"baggage": "user=1", "traceparent": "00-1-2-01", "tracestate": "a=b", "example.com/v": 1.5}),
                json!({"traceparent": "00-1-2-01", "baggage": "user=1", "tracestate": "a=b", "example.com/v": 1.5}),
            ] {
                let mut peer = Peer::connect(&proxy, "/mcp/up", revision, json!({}));
                peer.ask_with("tools/call", json!({"name": "bare"}), meta.clone());
                let seen = upstream.seen("tools/call").pop().expect("it was called");
                let got = &seen.message["params"]["_meta"];
                for key in ["traceparent", "tracestate", "example.com/v"] {
                    assert_eq!(got[key], meta[key], "{era:?} {revision} {got}");
                }
                assert!(got.get("baggage").is_none(), "{era:?} {revision} {got}");
                assert!(seen.header("baggage").is_none());
            }
        }
    }
}

#[test]
fn a_resource_that_is_not_there_is_told_in_the_clients_words() {
    for era in Era::BOTH {
        let upstream = Upstream::start(era, json!({"tools": {}, "resources": {}}), script);
        let proxy = Proxy::start(&format!("[upstreams.up]\nurl = \"{}\"\n", upstream.url()));
        for (door, uri) in [("/mcp", "up+file:///no"), ("/mcp/up", "file:///no")] {
            let mut modern = Peer::connect(&proxy, door, "2026-07-28", json!({}));
            let error = modern.ask("resources/read", json!({"uri": uri}))["error"].take();
            assert_eq!(
                (&error["code"], &error["data"]["uri"]),
                (&json!(-32602), &json!(uri)),
                "{error}"
            );
            assert_eq!(error["data"]["x"], 1);
            let mut legacy = Peer::connect(&proxy, door, "2025-11-25", json!({}));
            let error = legacy.ask("resources/read", json!({"uri": uri}))["error"].take();
            // The upstream's own code, never one made up.
            let code = if era == Era::Legacy { -32002 } else { -32602 };
            assert_eq!(
                (&error["code"], &error["data"]["uri"]),
                (&json!(code), &json!(uri)),
                "{error}"
            );
        }
    }
}
