//! MCP Apps: the capability reaches the upstream, user interfaces keep their URIs apart, and apps
//! find the tools that they know by their own names (protocol.md 4.8).

use serde_json::{Value, json};

use crate::payload::peer::Peer;
use crate::payload::upstream::{Upstream, unknown};
use crate::support::{Era, Proxy};

const UI: &str = "io.modelcontextprotocol/ui";
const HTML: &str = "text/html;profile=mcp-app";

fn script(method: &str, params: &Value, declared: &Value) -> Result<Value, Value> {
    let shows = !declared["extensions"][UI].is_null();
    match (method, params["name"].as_str()) {
        ("tools/list", _) => {
            let mut tools = vec![json!({"name": "plain", "inputSchema": {"type": "object"}})];
            if shows {
                tools.push(json!({"name": "view", "inputSchema": {"type": "object"}, "_meta": {
                    "ui": {"resourceUri": "ui://view/main.html", "visibility": ["model", "app"]},
                    "ui/resourceUri": "ui://view/main.html"}}));
                tools.push(json!({"name": "refresh", "inputSchema": {"type": "object"},
                    "_meta": {"ui": {"visibility": ["app"]}}}));
            }
            Ok(json!({"tools": tools}))
        }
        ("tools/call", _) => {
            Ok(json!({"content": [], "structuredContent": {"declared": declared["extensions"]},
            "_meta": {"ui": {"resourceUri": "ui://view/main.html"}}}))
        }
        ("resources/list", _) => {
            Ok(json!({"resources": [{"uri": "data://listed", "name": "listed",
            "_meta": {"ui": {"domain": "upstream.example", "prefersBorder": true}}}]}))
        }
        ("resources/templates/list", _) => Ok(json!({"resourceTemplates": [
            {"uriTemplate": "rows://{table}/all", "name": "rows"}]})),
        ("resources/read", _) => {
            let uri = &params["uri"];
            Ok(json!({"contents": [{"uri": uri, "mimeType": HTML, "text": "<p>ui://view/main.html",
                "_meta": {"ui": {"domain": "upstream.example", "csp": {"connectDomains": ["https://x.example"]}}}}]}))
        }
        _ => unknown(),
    }
}

fn start(era: Era, extra: &str) -> (Upstream, Proxy) {
    let upstream = Upstream::start(era, json!({"tools": {}, "resources": {}}), script);
    let proxy = Proxy::start(&format!("[upstreams.up]\nurl = \"{}\"\n{extra}", upstream.url()));
    (upstream, proxy)
}

fn shows() -> Value {
    json!({"extensions": {UI: {"mimeTypes": [HTML]}, "com.example/other": {}}})
}

fn names(peer: &mut Peer) -> Vec<String> {
    let tools = peer.list("tools/list", "tools");
    tools.iter().map(|tool| tool["name"].as_str().expect("text").to_owned()).collect()
}

#[test]
fn who_shows_apps_gets_them_and_others_do_not() {
    for era in Era::BOTH {
        let (_upstream, proxy) = start(era, "");
        for revision in ["2025-11-25", "2026-07-28"] {
            let mut without = Peer::connect(&proxy, "/mcp", revision, json!({}));
            let mut with = Peer::connect(&proxy, "/mcp", revision, shows());
            for _ in 0..2 {
                assert_eq!(names(&mut without), ["up__plain"], "{era:?} {revision}");
                assert_eq!(
                    names(&mut with),
                    ["up__plain", "up__view", "up__refresh"],
                    "{era:?} {revision}"
                );
            }
            let tools = with.list("tools/list", "tools");
            let meta = &tools[1]["_meta"];
            assert_eq!(meta["ui"]["resourceUri"], "ui://up/view/main.html");
            assert_eq!(meta["ui/resourceUri"], "ui://up/view/main.html");
            assert_eq!(meta["ui"]["visibility"], json!(["model", "app"]));
            assert_eq!(tools[2]["_meta"]["ui"]["visibility"], json!(["app"]));
            for (peer, said) in [(&mut without, false), (&mut with, true)] {
                assert!(
                    peer.welcome["capabilities"]["extensions"][UI].is_object(),
                    "{}",
                    peer.welcome
                );
                let result = peer.call("up__plain");
                let told = &result["structuredContent"]["declared"];
                assert_eq!(told[UI].is_object(), said, "{era:?} {revision}: {told}");
                assert!(told["com.example/other"].is_null(), "{told}");
                assert_eq!(result["_meta"]["ui"]["resourceUri"], "ui://up/view/main.html");
            }
        }
    }
}

#[test]
fn an_interface_is_read_without_being_listed_and_without_its_domain() {
    let (_upstream, proxy) = start(Era::Modern, "");
    for revision in ["2025-11-25", "2026-07-28"] {
        for (door, uri, domain) in [
            ("/mcp", "ui://up/view/main.html", Value::Null),
            ("/mcp/up", "ui://view/main.html", json!("upstream.example")),
        ] {
            let mut peer = Peer::connect(&proxy, door, revision, shows());
            let ui = &peer.list("resources/list", "resources")[0]["_meta"]["ui"];
            assert_eq!((&ui["domain"], &ui["prefersBorder"]), (&domain, &json!(true)));
            let answer = peer.ask("resources/read", json!({"uri": uri}));
            let content = &answer["result"]["contents"][0];
            assert_eq!(content["uri"], uri, "{answer}");
            assert_eq!(content["text"], "<p>ui://view/main.html");
            assert_eq!(content["_meta"]["ui"]["domain"], domain);
            assert_eq!(
                content["_meta"]["ui"]["csp"]["connectDomains"],
                json!(["https://x.example"])
            );
        }
    }
}

#[test]
fn apps_find_what_they_know_by_their_own_names_while_one_owns_it() {
    let (upstream, proxy) = start(Era::Modern, "bare = true\n");
    let bare = ["ui://view/main.html", "data://listed", "rows://t/all"];
    let mut peer = Peer::connect(&proxy, "/mcp", "2026-07-28", shows());
    assert_eq!(names(&mut peer), ["up__plain", "up__view", "up__refresh"]);
    assert!(peer.call("refresh")["content"].is_array());
    for uri in bare {
        let answer = peer.ask("resources/read", json!({"uri": uri}));
        assert!(answer["result"]["contents"][0]["text"].is_string(), "{uri}: {answer}");
    }
    assert_eq!(upstream.seen("resources/read")[2].message["params"]["uri"], "rows://t/all");
    let two = Proxy::start(&format!(
        "[upstreams.up]\nurl = \"{0}\"\nbare = true\n[upstreams.two]\nurl = \"{0}\"\nbare = true\n",
        upstream.url()
    ));
    let marked = Proxy::start(&format!("[upstreams.up]\nurl = \"{}\"\n", upstream.url()));
    for proxy in [two, marked] {
        let mut peer = Peer::connect(&proxy, "/mcp", "2026-07-28", shows());
        names(&mut peer);
        let answer = peer.ask("tools/call", json!({"name": "refresh"}));
        assert_eq!(answer["error"]["code"], -32602, "{answer}");
        for uri in bare {
            let answer = peer.ask("resources/read", json!({"uri": uri}));
            assert_eq!(answer["error"]["code"], -32602, "{uri}: {answer}");
        }
    }
}

#[test]
fn a_process_that_serves_many_is_told_of_apps_and_hides_nothing() {
    let program = crate::support::everything();
    let proxy =
        Proxy::start(&format!("[upstreams.up]\ncommand = [{program:?}, \"--era\", \"legacy\"]\n"));
    for declared in [json!({}), shows()] {
        let mut peer = Peer::connect(&proxy, "/mcp", "2025-11-25", declared);
        let answer = peer.call("up__whoami");
        let shown: Value =
            serde_json::from_str(answer["content"][0]["text"].as_str().expect("text"))
                .expect("JSON");
        assert!(shown["clientCapabilities"]["extensions"][UI].is_object(), "{shown}");
    }
}
