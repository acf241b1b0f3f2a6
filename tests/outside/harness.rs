//! The harness itself, held against real servers without the proxy between: what fails here is
//! no fault of the proxy.

use crate::support::{Canary, Client, Era, Peers, Raw, Swarm, post, serve_everything, text};
use serde_json::json;

#[test]
fn the_client_speaks_both_eras() {
    for (era, option) in [(Era::Legacy, "legacy"), (Era::Modern, "modern")] {
        let (server, address) = serve_everything(&["--era", option]);
        let mut client = Client::connect(era, address, "/mcp", None).with_header("X-Shown", "yes");
        assert_eq!(client.session().is_some(), era == Era::Legacy);
        assert!(client.list("tools/list", "tools").len() > 20);
        let answer = client.call("echo", json!({"text": "hello"}));
        assert_eq!(text(&answer), "hello");
        let shown = client.call("show_request", json!({}));
        assert!(text(&shown).contains(r#""x-shown":["yes"]"#), "{shown}");
        let answer = client.call("test_tool_with_progress", json!({}));
        assert_eq!(text(&answer), "progressed three times");
        assert_eq!(client.call("no_such_tool", json!({}))["error"]["code"], -32602);
        server.stop();
    }
}

#[test]
fn raw_bytes_get_an_answer() {
    let (_server, address) = serve_everything(&[]);
    let answer = Raw::exchange(address, &post(address, "/mcp", &[], b"{")).unwrap();
    assert!((400..500).contains(&answer.status), "{answer:?}");
    let answer = Raw::exchange(address, &post(address, "/other", &[], b"{}")).unwrap();
    assert_eq!(answer.status, 404);
}

#[test]
fn a_swarm_gets_its_own_answers() {
    for era in Era::BOTH {
        let (_server, address) = serve_everything(&[]);
        let tenants = (0..4).map(|n| (format!("key-{n}"), format!("canary-{n}"))).collect();
        let (door, tool) = ("/mcp".to_owned(), "echo".to_owned());
        let swarm = Swarm { address, door, tenants, tool, calls: 20, http2: false };
        assert_eq!(swarm.run(era), Vec::<String>::new());
    }
}

#[test]
fn a_swarm_notices_a_foreign_answer() {
    let (_server, address) = serve_everything(&["--tools", "1"]);
    let tenants = vec![("key".to_owned(), "canary".to_owned())];
    // This tool answers with more than the text that it is given.
    let (door, tool) = ("/mcp".to_owned(), "synthetic_0001".to_owned());
    let swarm = Swarm { address, door, tenants, tool, calls: 3, http2: false };
    assert_eq!(swarm.run(Era::Modern).len(), 3);
}

#[test]
fn each_client_reads_what_everything_offers() {
    let Some(peers) = Peers::installed() else { return };
    let (_server, address) = serve_everything(&[]);
    let plan = json!([
        {"list": "tools"}, {"call": "echo", "arguments": {"text": "hi"}},
        {"read": "test://static-text"}, {"prompt": "test_simple_prompt"},
        {"complete": {"ref": {"type": "ref/prompt", "name": "test_prompt_with_arguments"},
                      "argument": {"name": "arg1", "value": "par"}}},
        {"call": "no_such_tool"},
    ]);
    for (client, eras) in Peers::CLIENTS {
        for era in eras {
            let report = peers.run(client, era, &format!("http://{address}/mcp"), "", &plan);
            let revision = if *era == "legacy" { "2025-11-25" } else { "2026-07-28" };
            assert_eq!(report["protocol"], revision, "{client} {era}: {report}");
            let ok: Vec<_> = (0..6).map(|step| report["steps"][step]["ok"] == true).collect();
            assert_eq!(ok, [true, true, true, true, true, false], "{client} {era}: {report}");
            assert_eq!(report["steps"][1]["result"]["content"][0]["text"], "hi");
            assert_eq!(report["steps"][5]["code"], -32602, "{client} {era}: {report}");
        }
    }
}

#[test]
fn a_canary_is_seen_in_each_form() {
    use base64::{Engine, engine::general_purpose};
    let value = "a canary/\u{e4}?";
    let canary = Canary::new("it", value.as_bytes());
    let base64 = |text: &str| general_purpose::STANDARD.encode(text);
    for content in [
        format!("token={value};"),
        base64(&format!("Bearer {value} and more")),
        base64(&format!("x{value}")),
        base64(&format!("xy{value}")),
        general_purpose::URL_SAFE.encode(value),
        "612063616e6172792fc3a43f".to_owned(),
        "612063616E6172792FC3A43F".to_owned(),
        "k=a%20canary%2F%C3%A4%3F".to_owned(),
        "k=a%20canary%2f%c3%a4%3f".to_owned(),
    ] {
        assert!(canary.seen_in("here", content.as_bytes()).is_some(), "{content}");
    }
    assert_eq!(canary.seen_in("here", b"a canar"), None);
}

/// A server over HTTP/2 that gives back the text it is sent; it ends with the returned runtime.
fn echo_over_http2() -> (tokio::runtime::Runtime, std::net::SocketAddr) {
    use http_body_util::{BodyExt, Full};
    use hyper_util::rt::{TokioExecutor, TokioIo};
    let runtime = tokio::runtime::Runtime::new().expect("a runtime can be made");
    let listener = runtime
        .block_on(tokio::net::TcpListener::bind("127.0.0.1:0"))
        .expect("loopback has free ports");
    let address = listener.local_addr().expect("it is bound");
    let answer = |request: hyper::Request<hyper::body::Incoming>| async move {
        let body = request.into_body().collect().await?.to_bytes();
        let message: serde_json::Value = serde_json::from_slice(&body).unwrap_or_default();
        let text = &message["params"]["arguments"]["text"];
        let result = json!({"content": [{"type": "text", "text": text}]});
        let answer = json!({"jsonrpc": "2.0", "id": message["id"], "result": result});
        let response = http::Response::builder().header("mcp-session-id", "s");
        let response = response.body(Full::new(bytes::Bytes::from(answer.to_string())));
        Ok::<_, hyper::Error>(response.expect("these parts are valid"))
    };
    runtime.spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let connection = hyper::server::conn::http2::Builder::new(TokioExecutor::new())
                .serve_connection(TokioIo::new(stream), hyper::service::service_fn(answer));
            tokio::spawn(connection);
        }
    });
    (runtime, address)
}

#[test]
fn a_swarm_speaks_http2() {
    let (_runtime, address) = echo_over_http2();
    for era in Era::BOTH {
        let tenants = (0..8).map(|n| (format!("key-{n}"), format!("canary-{n}"))).collect();
        let (door, tool) = ("/mcp".to_owned(), "echo".to_owned());
        let swarm = Swarm { address, door, tenants, tool, calls: 250, http2: true };
        assert_eq!(swarm.run(era), Vec::<String>::new());
    }
}
