//! One record for each request, with what came of it and whether it ran.

use std::{collections::BTreeMap, io::Write, net::TcpListener, time::Duration};

use serde_json::{Value, json};

use crate::{
    audit::upstream::{BIG, Upstream},
    support::{ABSENT, Era, Proxy, Raw, Setup, post, text, until},
};

const PATIENCE: Duration = Duration::from_secs(30);

/// Everything that the audit says.
pub(crate) fn records(setup: &Setup) -> Vec<Value> {
    let (status, output, errors) = setup.run(&["audit", "export"], b"");
    assert!(status.success(), "{errors}");
    output.lines().map(|line| serde_json::from_str(line).expect("JSON lines")).collect()
}

/// How often each (method, target, outcome, ran) stands there.
fn told(records: &[Value]) -> BTreeMap<String, usize> {
    let mut told = BTreeMap::new();
    for record in records {
        let word = |name: &str| record[name].as_str().unwrap_or("-").to_owned();
        let words = ["method", "target", "outcome", "ran"].map(word);
        *told.entry(words.join(" ")).or_default() += 1;
    }
    told
}

pub(crate) fn verified(setup: &Setup) {
    let (status, output, errors) = setup.run(&["audit", "verify"], b"");
    assert!(status.success(), "{output}{errors}");
}

/// The request of a tool, as bytes.
fn call(proxy: &Proxy, era: Era, door: &str, session: Option<&str>, tool: &str) -> Vec<u8> {
    let params = era.params(json!({"name": tool, "arguments": {}}));
    let body = json!({"jsonrpc": "2.0", "id": 99, "method": "tools/call", "params": params});
    let mut headers = era.headers("tools/call", &params);
    headers.push(("Authorization", format!("Bearer {}", proxy.key())));
    headers.extend(session.map(|session| ("Mcp-Session-Id", session.to_owned())));
    let headers: Vec<_> = headers.iter().map(|(n, v)| (*n, v.as_str())).collect();
    post(proxy.address(), door, &headers, body.to_string().as_bytes())
}

#[test]
fn each_request_leaves_one_record_that_says_what_came_of_it() {
    for era in Era::BOTH {
        let upstream = Upstream::start();
        let dead = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let gone = dead.local_addr().expect("it is bound");
        drop(dead);
        let proxy = Proxy::start(&format!(
            "[upstreams.up]\nurl = \"{}\"\n[upstreams.dead]\nurl = \"http://{gone}/mcp\"\n\
             [upstreams.bare]\nurl = \"{}?k={{secret.k}}\"\n",
            upstream.url(),
            upstream.url()
        ));
        let mut client = proxy
            .client(era, "/mcp")
            .with_header("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01");
        assert_eq!(text(&client.call("up__echo", json!({"text": "said"}))), "said");
        client.call("up__fail", json!({}));
        client.call("up__refuse", json!({}));
        client.call("up__die", json!({}));
        client.call("up__nothing", json!({}));
        client.call("dead__x", json!({}));
        client.call("bare__x", json!({}));
        client.list("tools/list", "tools");
        client.send("no/such/method", json!({}));
        client.send("tools/list", json!({"cursor": "mine"}));
        // Neither JSON, nor a good type, nor a session; and pings are no decisions.
        let bearer = format!("Bearer {}", proxy.key());
        let elsewhere = [("Authorization", bearer.as_str())];
        let elsewhere = post(proxy.address(), "/mcp/nowhere", &elsewhere, b"{}");
        assert_eq!(Raw::exchange(proxy.address(), &elsewhere).expect("an answer").status, 404);
        let send = |headers: &[(&str, &str)], body: &[u8]| {
            let mut all = vec![("Authorization", bearer.as_str())];
            all.extend(headers);
            let bytes = post(proxy.address(), "/mcp", &all, body);
            Raw::exchange(proxy.address(), &bytes).expect("an answer").status
        };
        assert_eq!(send(&[], b"{"), 400);
        assert_eq!(send(&[("Content-Type", "text/plain")], b"{}"), 415);
        assert_eq!(send(&[("Authorization", "Bearer nobody's")], b"{}"), 401);
        if era == Era::Legacy {
            client.send("ping", json!({}));
        }
        let session = client.session().map(str::to_owned);
        // A client that leaves, or takes its call back.
        let mut raw = Raw::connect(proxy.address());
        raw.send(&call(&proxy, era, "/mcp", session.as_deref(), "up__wait")).expect("it is taken");
        let mut held = upstream.held.recv_timeout(PATIENCE).expect("it reaches the upstream");
        if era == Era::Legacy {
            client.notify("notifications/cancelled", json!({"requestId": 99}));
        }
        drop(raw);
        let line = if era == Era::Legacy { "outcome=cancelled" } else { "outcome=abandoned" };
        until("its end", PATIENCE, || proxy.log().contains(line).then_some(()));
        let _ = held.flush();
        drop(held);
        let setup = proxy.stop();
        verified(&setup);
        let records = records(&setup);
        let mut expected = BTreeMap::from([
            ("tools/call up__echo ok yes", 1),
            ("tools/call up__fail error yes", 1),
            ("tools/call up__refuse error yes", 1),
            ("tools/call up__die upstream_failed may_have", 1),
            ("tools/call up__nothing refused no", 1),
            ("tools/call dead__x upstream_failed no", 1),
            ("tools/call bare__x needs_setup no", 1),
            ("tools/list - ok yes", 1),
            ("tools/list - refused no", 1),
            ("no/such/method - refused no", 1),
            ("POST - refused no", 3),
            ("auth malformed refused no", 1),
        ]);
        match era {
            Era::Legacy => {
                expected.insert("initialize - ok yes", 1);
                expected.insert("tools/call up__wait cancelled may_have", 1);
            }
            Era::Modern => {
                expected.insert("tools/call up__wait abandoned may_have", 1);
            }
        }
        let expected: BTreeMap<String, usize> =
            expected.into_iter().map(|(words, count)| (words.to_owned(), count)).collect();
        assert_eq!(told(&records), expected, "{era:?}");
        let echo = records.iter().find(|r| r["target"] == "up__echo").expect("it is there");
        assert_eq!(
            (&echo["tenant"], &echo["upstream"], &echo["original"]),
            (&json!("test"), &json!("up"), &json!("echo"))
        );
        assert_eq!(
            (&echo["client"], &echo["client_version"], &echo["door"]),
            (&json!("test"), &json!("1"), &json!("/mcp"))
        );
        assert_eq!(echo["trace"], "4bf92f3577b34da6a3ce929d0e0e4736");
        assert!(echo["bytes_in"].as_u64() > Some(50) && echo["bytes_out"].as_u64() > Some(50));
        assert!(echo["arguments_digest"].is_string() && echo["key"].is_string());
    }
}

#[test]
fn an_answer_that_passes_is_recorded_when_it_ends() {
    let upstream = Upstream::start();
    let proxy = Proxy::start(&format!("[upstreams.up]\nurl = \"{}\"\n", upstream.url()));
    // A client of before 2025-11-25: what is slow does not become a stream for it.
    let bearer = format!("Bearer {}", proxy.key());
    let mut hello = Era::hello(0);
    hello["params"]["protocolVersion"] = json!("2025-06-18");
    let request = |session: &str, body: &Value| {
        let headers = [("Authorization", bearer.as_str()), ("Mcp-Session-Id", session)];
        post(proxy.address(), "/mcp/up", &headers, body.to_string().as_bytes())
    };
    let opened = Raw::exchange(proxy.address(), &request(ABSENT, &hello)).expect("an answer");
    let session = opened.header("mcp-session-id").expect("a session").to_owned();
    let call = |tool: &str| {
        let params = json!({"name": tool, "arguments": {}});
        json!({"jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": params})
    };
    let big = Raw::exchange(proxy.address(), &request(&session, &call("big"))).expect("an answer");
    assert_eq!(text(&big.messages()[0]).len(), BIG);
    let begun = || {
        let mut raw = Raw::connect(proxy.address());
        raw.send(&request(&session, &call("half"))).expect("it is taken");
        raw.head().expect("the answer begins");
        (raw, upstream.held.recv_timeout(PATIENCE).expect("it reaches the upstream"))
    };
    // The upstream dies in the middle, and then the client leaves in the middle.
    let (mut raw, held) = begun();
    drop(held);
    assert!(raw.closes_within(PATIENCE));
    until("its end", PATIENCE, || proxy.log().contains("outcome=broken").then_some(()));
    let (raw, held) = begun();
    drop(raw);
    until("its end", PATIENCE, || proxy.log().contains("outcome=abandoned").then_some(()));
    drop(held);
    let setup = proxy.stop();
    verified(&setup);
    let records = records(&setup);
    let of = |tool: &str| records.iter().filter(|r| r["target"] == tool).collect::<Vec<_>>();
    let [big] = &of("big")[..] else { panic!("one record: {records:?}") };
    assert_eq!((&big["outcome"], &big["ran"]), (&json!("ok"), &json!("yes")));
    assert!(big["bytes_out"].as_u64() > Some(BIG as u64), "{big}");
    let ends: Vec<_> = of("half").iter().map(|r| (&r["outcome"], &r["ran"])).collect();
    assert_eq!(ends, [(&json!("broken"), &json!("yes")), (&json!("abandoned"), &json!("yes"))]);
}
