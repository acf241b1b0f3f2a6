//! Traces join the client, the proxy and the upstream, whatever era either of them speaks.

use std::time::Duration;

use serde_json::{Value, json};

use crate::{
    metrics::access::{page, proxy},
    metrics::recorder::Recorder,
    support::{Era, Proxy, Raw, post, until},
};

const PATIENCE: Duration = Duration::from_secs(30);
const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const CLIENT: &str = "b7ad6b7169203331";

fn parent(flags: &str) -> String {
    format!("00-{TRACE}-{CLIENT}-{flags}")
}

fn upstreams(legacy: &Recorder, modern: &Recorder) -> String {
    format!(
        "[upstreams.old]\nurl = \"http://{}/mcp\"\n[upstreams.new]\nurl = \"http://{}/mcp\"\n",
        legacy.address, modern.address
    )
}

/// One call with this `_meta` beside what its era needs.
fn call(proxy: &Proxy, era: Era, tool: &str, meta: &Value, header: Option<&str>) {
    let mut client = proxy.client(era, "/mcp");
    client.list("tools/list", "tools");
    let mut params = era.params(json!({"name": tool, "arguments": {"token": "hunter2"}}));
    for (name, value) in meta.as_object().expect("a table") {
        params["_meta"][name] = value.clone();
    }
    let body = json!({"jsonrpc": "2.0", "id": 99, "method": "tools/call", "params": params});
    let mut headers = era.headers("tools/call", &params);
    headers.push(("Authorization", format!("Bearer {}", proxy.key())));
    headers.extend(client.session().map(|session| ("Mcp-Session-Id", session.to_owned())));
    headers.extend(header.map(|header| ("traceparent", header.to_owned())));
    let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let bytes = post(proxy.address(), "/mcp", &headers, body.to_string().as_bytes());
    let answer = Raw::exchange(proxy.address(), &bytes).expect("an answer");
    assert!(answer.text().contains("seen"), "{}", answer.text());
}

#[test]
fn the_proxy_s_spans_stand_between_the_client_s_and_the_upstream_s() {
    for era in [Era::Legacy, Era::Modern] {
        for tool in ["old__see", "new__see"] {
            let (legacy, modern) = (Recorder::upstream(false), Recorder::upstream(true));
            let collector = Recorder::collector(200);
            let toml = upstreams(&legacy, &modern);
            let proxy =
                proxy(&format!("{toml}[telemetry]\notlp = \"http://{}\"\n", collector.address));
            let meta = json!({"traceparent": parent("01"), "tracestate": "a=b,c=d", "baggage": "user=1", "x.y/z": 1});
            call(&proxy, era, tool, &meta, None);
            let spans = collector
                .spans_with("the span of the call", |span| span["name"] == "tools/call see");
            let of = |kind: u8| {
                let mut found = spans
                    .iter()
                    .filter(|span| span["name"] == "tools/call see" && span["kind"] == kind);
                let span = found.next().unwrap_or_else(|| panic!("{era:?} {tool}: {spans:?}"));
                assert!(found.next().is_none(), "{spans:?}");
                span
            };
            let (own, onward) = (of(2), of(3));
            assert_eq!((&own["traceId"], &own["parentSpanId"]), (&json!(TRACE), &json!(CLIENT)));
            assert_eq!(
                (&onward["traceId"], &onward["parentSpanId"]),
                (&json!(TRACE), &own["spanId"])
            );
            assert_eq!(own["traceState"], "a=b,c=d");
            let attributes = &onward["attributes"];
            assert_eq!(attributes["mcp.method.name"], "tools/call");
            assert_eq!(attributes["gen_ai.tool.name"], "see");
            assert_eq!(attributes["mcp_proxy.upstream"], &tool[..3]);
            let upstream = if tool.starts_with("old") { &legacy } else { &modern };
            let metas = upstream.metas();
            let [meta] = &metas[..] else { panic!("{metas:?}") };
            let wanted = format!("00-{TRACE}-{}-01", onward["spanId"].as_str().unwrap());
            assert_eq!(meta["traceparent"], wanted, "{era:?} {tool}");
            assert_eq!((&meta["tracestate"], &meta["x.y/z"]), (&json!("a=b,c=d"), &json!(1)));
            assert!(meta.get("baggage").is_none(), "{meta}");
            let all = collector
                .seen()
                .iter()
                .map(|(head, body)| format!("{head}{body}"))
                .collect::<String>();
            for secret in ["hunter2", proxy.key(), "test_"] {
                assert!(!all.contains(secret), "{secret} is in a span");
            }
        }
    }
}

#[test]
fn whoever_brings_no_trace_gets_one_and_a_head_is_as_good() {
    for era in [Era::Legacy, Era::Modern] {
        for tool in ["old__see", "new__see"] {
            let (legacy, modern) = (Recorder::upstream(false), Recorder::upstream(true));
            let collector = Recorder::collector(200);
            let toml = upstreams(&legacy, &modern);
            let proxy =
                proxy(&format!("{toml}[telemetry]\notlp = \"http://{}\"\n", collector.address));
            call(&proxy, era, tool, &json!({}), None);
            call(&proxy, era, tool, &json!({"baggage": "a=b"}), Some(&parent("01")));
            call(&proxy, era, tool, &json!({"traceparent": "rubbish", "tracestate": "a=b"}), None);
            let upstream = if tool.starts_with("old") { &legacy } else { &modern };
            let metas = upstream.metas();
            let trace = |at: usize| {
                metas[at]["traceparent"].as_str().unwrap_or_else(|| panic!("{metas:?}"))
            };
            assert_eq!(metas.len(), 3);
            assert!(trace(0).ends_with("-01") && !trace(0).contains(TRACE), "{metas:?}");
            assert!(
                trace(1).starts_with(&format!("00-{TRACE}-")) && !trace(1).contains(CLIENT),
                "{metas:?}"
            );
            assert!(trace(2).ends_with("-01") && !trace(2).contains(TRACE), "{metas:?}");
            assert!(metas[2]["tracestate"].as_str().unwrap_or_default().is_empty(), "{metas:?}");
            let own = trace(0)[3..35].to_owned();
            let spans = collector
                .spans_with("the first trace", |span| span["traceId"] == own && span["kind"] == 2);
            let root =
                spans.iter().find(|span| span["traceId"] == own && span["kind"] == 2).unwrap();
            assert!(root.get("parentSpanId").is_none(), "{root}");
        }
    }
}

#[test]
fn what_is_not_kept_is_passed_on_and_not_told() {
    let (legacy, modern) = (Recorder::upstream(false), Recorder::upstream(true));
    let collector = Recorder::collector(200);
    let toml = upstreams(&legacy, &modern);
    let toml =
        format!("{toml}[telemetry]\notlp = \"http://{}\"\nsample = 0.0\n", collector.address);
    let proxy = proxy(&toml);
    call(&proxy, Era::Modern, "new__see", &json!({"traceparent": parent("00")}), None);
    call(&proxy, Era::Modern, "new__see", &json!({}), None);
    // The client's word counts more than the file's share.
    call(&proxy, Era::Modern, "new__see", &json!({"traceparent": parent("01")}), None);
    let metas = modern.metas();
    assert_eq!(metas[0]["traceparent"], parent("00"));
    assert!(metas[1]["traceparent"].as_str().unwrap().ends_with("-00"), "{metas:?}");
    collector.spans_with("the kept one", |span| span["traceId"] == TRACE);
    let _setup = proxy.stop();
    assert_eq!(collector.spans().len(), 2, "{:?}", collector.spans());
}

#[test]
fn without_a_collector_what_a_client_says_passes_as_it_was_written() {
    for era in [Era::Legacy, Era::Modern] {
        for tool in ["old__see", "new__see"] {
            let (legacy, modern) = (Recorder::upstream(false), Recorder::upstream(true));
            let proxy = proxy(&upstreams(&legacy, &modern));
            let meta = json!({"traceparent": "not even one", "tracestate": " a = b", "x": [1]});
            call(&proxy, era, tool, &meta, Some(&parent("01")));
            call(&proxy, era, tool, &json!({}), Some(&parent("01")));
            let metas = if tool.starts_with("old") { legacy.metas() } else { modern.metas() };
            for (name, value) in meta.as_object().unwrap() {
                assert_eq!(&metas[0][name], value, "{era:?} {tool}");
            }
            assert!(metas[1].get("traceparent").is_none(), "{metas:?}");
        }
    }
}

#[test]
fn what_waits_is_sent_before_the_end() {
    let (legacy, modern) = (Recorder::upstream(false), Recorder::upstream(true));
    let collector = Recorder::collector(200);
    let toml = upstreams(&legacy, &modern);
    let proxy = proxy(&format!(
        "{toml}[telemetry]\notlp = \"http://{}/x/\"\nservice = \"edge\"\n",
        collector.address
    ));
    call(&proxy, Era::Modern, "new__see", &json!({"traceparent": parent("01")}), None);
    let _setup = proxy.stop();
    let seen = collector.seen();
    assert!(seen.iter().all(|(head, _)| head.starts_with("post /x/v1/traces ")), "{seen:?}");
    let service = &seen[0].1["resourceSpans"][0]["resource"]["attributes"][0];
    assert_eq!(service, &json!({"key": "service.name", "value": {"stringValue": "edge"}}));
    assert!(collector.spans().iter().any(|span| span["traceId"] == TRACE));
}

#[test]
fn a_collector_that_takes_nothing_costs_its_spans_alone() {
    let (legacy, modern) = (Recorder::upstream(false), Recorder::upstream(true));
    let collector = Recorder::collector(400);
    let toml = upstreams(&legacy, &modern);
    let proxy = proxy(&format!("{toml}[telemetry]\notlp = \"http://{}\"\n", collector.address));
    call(&proxy, Era::Modern, "new__see", &json!({}), None);
    until("the count of what was dropped", PATIENCE, || {
        let failed =
            page(proxy.address()).get("mcp_proxy_trace_spans_total", &[("result", "failed")]);
        // The span of the request, and that of what went to the upstream.
        (failed > 1.5).then_some(())
    });
    call(&proxy, Era::Modern, "new__see", &json!({}), None);
    until("the log says so", PATIENCE, || {
        proxy.log().contains("the collector takes no spans").then_some(())
    });
}
