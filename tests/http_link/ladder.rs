//! How a link finds out what it speaks to.

use std::sync::Arc;

use http::{HeaderMap, HeaderValue};
use mcp_proxy::config::EraSetting;
use mcp_proxy::upstream::{Cause, Ran};
use mcp_proxy::wire::{Era, Revision};
use serde_json::json;

use crate::script::*;

#[tokio::test]
async fn a_modern_upstream_needs_one_question_and_gets_all_headers() {
    let mut headers = HeaderMap::new();
    headers.insert("x-key", HeaderValue::from_static("mine"));
    headers.insert("accept", HeaderValue::from_static("text/html"));
    let script = modern(ok);
    let stage = Stage::with(script, EraSetting::Auto, headers).await.0.unwrap();
    assert_eq!(stage.link.facts().era, Era::Modern);
    let mut outgoing = stage.outgoing("tools/call");
    outgoing.name = Some(HeaderValue::from_static("echo"));
    outgoing.parameters = vec![("mcp-param-region".parse().unwrap(), "eu".parse().unwrap())];
    assert_eq!(message(stage.link.request(outgoing).await)["result"]["ok"], true);
    assert_eq!(stage.upstream.methods(), ["server/discover", "tools/call"]);
    for seen in stage.upstream.seen() {
        assert_eq!(seen.header("mcp-protocol-version"), Some("2026-07-28"));
        assert_eq!(seen.header("mcp-method"), Some(seen.method()));
        assert_eq!(seen.header("accept"), Some("application/json, text/event-stream"));
        assert_eq!(seen.header("content-type"), Some("application/json"));
        assert_eq!(seen.header("x-key"), Some("mine"));
        assert!(seen.header("user-agent").unwrap().starts_with("mcp-proxy/"));
        assert_eq!(seen.header("mcp-session-id"), None);
        assert_eq!(seen.connection, 0, "the connection is kept");
        let meta = &seen.body["params"]["_meta"];
        assert_eq!(meta["io.modelcontextprotocol/protocolVersion"], "2026-07-28");
    }
    let call = &stage.upstream.seen()[1];
    assert_eq!(
        (call.header("mcp-name"), call.header("mcp-param-region")),
        (Some("echo"), Some("eu"))
    );
    stage.link.close().await;
    assert!(!stage.link.is_open());
    assert_eq!(stage.request("tools/call").await.unwrap_err().ran, Ran::No);
    assert_eq!(stage.upstream.count("DELETE"), 0);
}

#[tokio::test]
async fn whatever_is_no_modern_answer_leads_to_initialize() {
    let no_json =
        [(400, "no session"), (404, ""), (405, ""), (406, "x"), (500, "oops"), (200, "<p>")];
    let json = [
        json!({"error": {"code": -32601, "message": "no"}}),
        json!({"error": {"code": -32000, "message": "Server not initialized"}}),
        json!({"result": {}}),
    ];
    let answers = no_json
        .map(|(status, body)| (status, "", body.to_owned()))
        .into_iter()
        .chain(json.map(|body| (200, "Content-Type: application/json\r\n", body.to_string())));
    for (status, headers, body) in answers {
        let body = body.replacen('{', "{\"id\":1,", 1);
        let inner = legacy(ok);
        let script: Script = Arc::new(move |seen| match seen.method() {
            "server/discover" => reply(status, headers, &body),
            _ => inner(seen),
        });
        let stage = Stage::new(script).await;
        assert_eq!(stage.link.facts().revision, Revision::V2025_11_25);
        stage.request("tools/call").await.unwrap();
        stage.link.close().await;
        let seen = stage.upstream.seen();
        let methods =
            ["server/discover", "initialize", "notifications/initialized", "tools/call", "DELETE"];
        assert_eq!(stage.upstream.methods(), methods);
        for (number, seen) in seen.iter().enumerate().skip(1) {
            let (session, version) =
                (seen.header("mcp-session-id"), seen.header("mcp-protocol-version"));
            let expected =
                if number == 1 { (None, None) } else { (Some("s1"), Some("2025-11-25")) };
            assert_eq!((session, version), expected, "{}", seen.method());
            assert_eq!(seen.header("mcp-method"), None);
        }
    }
}

#[tokio::test]
async fn the_oldest_revision_has_no_version_header_and_may_have_no_session() {
    let script: Script = Arc::new(|seen| match seen.method() {
        "initialize" => {
            let answer = result(seen, greeting("2025-03-26"));
            vec![stream(), event(&note("notifications/message", json!({}))), event(&answer), end()]
        }
        "notifications/initialized" => reply(202, "", ""),
        _ => ok(seen),
    });
    let stage = Stage::with(script, EraSetting::Legacy, HeaderMap::new()).await.0.unwrap();
    stage.request("tools/call").await.unwrap();
    stage.link.close().await;
    assert_eq!(stage.upstream.methods(), ["initialize", "notifications/initialized", "tools/call"]);
    for seen in stage.upstream.seen() {
        assert!(!seen.headers.contains_key("mcp-protocol-version"));
    }
}

#[tokio::test]
async fn what_is_no_sign_of_an_era_ends_the_climb() {
    let version = json!({"jsonrpc": "2.0", "id": 1, "error": {"code": -32022, "message": "no",
        "data": {"supported": ["2027-01-01"]}}});
    let json = "Content-Type: application/json\r\n";
    for (status, headers, body, cause, word) in [
        (401, "", String::new(), Cause::Login, "401"),
        (403, "", String::new(), Cause::Login, "403"),
        (307, "Location: http://127.0.0.1:1/canary\r\n", String::new(), Cause::Down, "redirects"),
        (503, "", String::new(), Cause::Down, "503"),
        (
            429,
            "Retry-After: 7\r\n",
            String::new(),
            Cause::Resting(std::time::Duration::from_secs(7)),
            "429",
        ),
        (400, json, version.to_string(), Cause::Garbage, "2027-01-01"),
    ] {
        let script: Script = Arc::new(move |_| reply(status, headers, &body));
        let (stage, upstream) = Stage::with(script, EraSetting::Auto, HeaderMap::new()).await;
        let error = stage.err().unwrap();
        assert_eq!((&error.cause, error.ran), (&cause, Ran::No));
        assert!(error.detail.contains(word) && !error.detail.contains("canary"), "{error}");
        assert_eq!(upstream.methods(), ["server/discover"]);
    }
}

#[tokio::test]
async fn an_upstream_that_speaks_neither_era_is_named_as_such() {
    let script: Script = Arc::new(|_| reply(405, "", "only GET, canary"));
    let (stage, upstream) = Stage::with(script, EraSetting::Auto, HeaderMap::new()).await;
    let error = stage.err().unwrap();
    assert!(
        error.detail.contains("HTTP+SSE") && error.detail.contains("server/discover"),
        "{error}"
    );
    assert!(!error.detail.contains("canary"), "{error}");
    // The third question is for the stream of the older transport.
    assert_eq!(upstream.methods(), ["server/discover", "initialize", "GET"]);
}

#[tokio::test]
async fn what_proves_streamable_http_is_not_asked_for_the_older_stream() {
    // A method that is not known is known to be none by an endpoint of MCP alone (R63).
    for (status, code, asked) in
        [(404, -32601, false), (400, -32022, false), (404, -32000, true), (400, -32000, true)]
    {
        let script: Script = Arc::new(move |seen| match seen.method() {
            "initialize" => {
                let error = json!({"jsonrpc": "2.0", "id": seen.body["id"],
                    "error": {"code": code, "message": "no"}});
                reply(status, "content-type: application/json\r\n", &error.to_string())
            }
            _ => reply(405, "", ""),
        });
        let (stage, upstream) = Stage::with(script, EraSetting::Auto, HeaderMap::new()).await;
        assert!(stage.is_err());
        assert_eq!(upstream.count("GET") == 1, asked, "{status} {code}");
    }
}

#[tokio::test]
async fn a_fixed_era_is_not_questioned() {
    let (stage, upstream) = Stage::with(legacy(ok), EraSetting::Modern, HeaderMap::new()).await;
    assert!(stage.err().unwrap().detail.contains("era = \"modern\""));
    assert_eq!(upstream.methods(), ["server/discover"]);
    let (stage, upstream) = Stage::with(legacy(ok), EraSetting::Legacy, HeaderMap::new()).await;
    assert_eq!(stage.unwrap().link.facts().era, Era::Legacy);
    assert_eq!(upstream.methods(), ["initialize", "notifications/initialized"]);
}

#[tokio::test]
async fn silence_about_the_probe_still_leaves_time_to_greet() {
    let inner = legacy(ok);
    let script: Script = Arc::new(move |seen| match seen.method() {
        "server/discover" => vec![Step::Hang],
        _ => inner(seen),
    });
    let stage = Stage::new(script).await;
    assert_eq!(stage.link.facts().era, Era::Legacy);
    let (stage, upstream) =
        Stage::with(Arc::new(|_| vec![Step::Hang]), EraSetting::Auto, HeaderMap::new()).await;
    let error = stage.err().unwrap();
    assert_eq!((error.cause, error.ran), (Cause::Timeout, Ran::No));
    upstream.until_dropped("initialize").await;
}
