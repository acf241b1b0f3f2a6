//! A client whose connection was cut comes back for what it missed (legacy era, 2025-11-25).

use std::time::Duration;

use crate::support::{Client, Era, Process, Proxy, Stream, serve_everything, until};
use serde_json::{Value, json};

const DOOR: &str = "/mcp/up";

struct Bed {
    proxy: Proxy,
    client: Client,
    _server: Process,
}

impl Bed {
    fn new() -> Self {
        let (server, address) = serve_everything(&["--era", "legacy"]);
        let proxy = Proxy::start(&format!("[upstreams.up]\nurl = \"http://{address}/mcp\"\n"));
        let client = proxy.client(Era::Legacy, DOOR);
        Self { proxy, client, _server: server }
    }

    fn headers(&self, more: &str) -> String {
        let session = self.client.session().expect("a session");
        format!("Authorization: Bearer {}\r\nMcp-Session-Id: {session}{more}", self.proxy.key())
    }

    /// Sends a call whose answer is a stream.
    fn call(&self, id: &str, tool: &str, token: Option<&str>) -> Stream {
        let meta = token.map_or(json!({}), |token| json!({"progressToken": token}));
        let params = json!({"name": tool, "arguments": {"ms": 1_500}, "_meta": meta});
        let body = json!({"jsonrpc": "2.0", "id": id, "method": "tools/call", "params": params});
        Stream::open(
            self.proxy.address(),
            &format!("POST {DOOR}"),
            &self.headers(""),
            &body.to_string(),
        )
    }

    /// Comes back after this event.
    fn resume(&self, event: &str) -> Stream {
        let headers = self.headers(&format!("\r\nLast-Event-ID: {event}"));
        Stream::open(self.proxy.address(), &format!("GET {DOOR}"), &headers, "")
    }

    fn general(&self) -> Stream {
        Stream::open(self.proxy.address(), &format!("GET {DOOR}"), &self.headers(""), "")
    }
}

#[test]
fn a_call_that_was_cut_gives_the_rest_and_its_result() {
    let bed = Bed::new();
    let mut whole = bed.call("whole", "test_tool_with_progress", Some("w"));
    let mut all = Vec::new();
    while let Some(event) = whole.event() {
        assert!(!event.id.is_empty(), "every event can be resumed after");
        all.push(event);
    }
    assert!(all[0].message.is_null() && all[0].retry.is_some(), "{:?}", all[0]);
    let progress =
        |message: &Value| message["params"]["progress"].as_f64().map(|progress| progress as u64);
    let told: Vec<u64> = all.iter().filter_map(|event| progress(&event.message)).collect();
    assert_eq!(told, [0, 50, 100]);
    assert_eq!(all.last().expect("a result").message["id"], "whole");

    // Cut after each of the events in turn, also while the call still runs.
    for cut in 1..4 {
        let mut stream = bed.call("cut", "test_tool_with_progress", Some("c"));
        let seen: Vec<_> = (0..cut).map(|_| stream.event().expect("an event")).collect();
        drop(stream);
        let mut rest = bed.resume(&seen.last().expect("one").id);
        let mut messages: Vec<Value> = seen.into_iter().map(|event| event.message).collect();
        while let Some(event) = rest.event() {
            messages.push(event.message);
        }
        let told: Vec<u64> = messages.iter().filter_map(progress).collect();
        assert_eq!(told, [0, 50, 100], "cut after {cut}: {messages:?}");
        let results = messages.iter().filter(|message| message["id"] == "cut").count();
        assert_eq!(results, 1, "cut after {cut}: {messages:?}");
    }
}

#[test]
fn a_silent_call_becomes_a_stream_and_a_quick_one_does_not() {
    let mut bed = Bed::new();
    let mut stream = bed.call("slow", "sleep", None);
    let first = stream.event().expect("its first event");
    assert!(first.message.is_null() && !first.id.is_empty() && first.retry.is_some());
    drop(stream);
    let mut rest = bed.resume(&first.id);
    let result = rest.event().expect("the result").message;
    assert_eq!(result["id"], "slow");
    assert!(result["result"]["content"][0]["text"].is_string(), "{result}");
    assert!(rest.event().is_none(), "nothing follows");
    // After its end it is still there for a while.
    assert_eq!(bed.resume(&first.id).event().expect("the result").message["id"], "slow");

    until("echo is known to be quick", Duration::from_secs(10), || {
        let answer =
            bed.client.send("tools/call", json!({"name": "echo", "arguments": {"text": "x"}}));
        let kind = answer.header("content-type").unwrap_or_default().to_owned();
        (kind == "application/json").then_some(())
    });
}

#[test]
fn news_between_the_cut_and_the_return_are_not_lost() {
    let mut bed = Bed::new();
    let watched = json!({"uri": "test://watched-resource"});
    bed.client.request("resources/subscribe", watched.clone());
    let mut stream = bed.general();
    let mut first = stream.event().expect("its first event").id;
    // The upstream has to be listened to before it can be heard.
    until("news arrive", Duration::from_secs(30), || {
        bed.client.call("touch_resource", watched.clone());
        let mut heard = None;
        while let Some(event) = stream.event_within(Duration::from_millis(300)) {
            first = event.id;
            heard = heard
                .or((event.message["method"] == "notifications/resources/updated").then_some(()));
        }
        heard
    });
    drop(stream);
    for _ in 0..3 {
        bed.client.call("touch_resource", watched.clone());
    }
    let mut stream = bed.resume(&first);
    let mut last = String::new();
    for _ in 0..3 {
        last = update(&mut stream);
    }
    // It goes on live, and what was seen does not come again.
    bed.client.call("touch_resource", watched.clone());
    let fourth = update(&mut stream);
    drop(stream);
    let mut stream = bed.resume(&last);
    assert_eq!(update(&mut stream), fourth);
}

/// The id of the next update; lists may change meanwhile.
fn update(stream: &mut Stream) -> String {
    loop {
        let event = stream.event().expect("an update");
        if event.message["method"] == "notifications/resources/updated" {
            return event.id;
        }
    }
}

#[test]
fn an_event_that_nobody_knows_begins_a_new_stream() {
    let bed = Bed::new();
    let mut stream = bed.resume("ffffffff-0-1");
    assert!(stream.event().expect("its first event").message.is_null());
    // Something may have been missed: the client is told to look again.
    for kind in ["tools", "prompts", "resources"] {
        stream.hears(&format!("notifications/{kind}/list_changed"));
    }
}

#[test]
fn the_event_of_a_call_that_is_over_disturbs_nobody() {
    let mut bed = Bed::new();
    bed.client.list("tools/list", "tools");
    let mut slow = bed.call("slow", "sleep", None);
    let event = slow.event().expect("its first event").id;
    let cancelled = json!({"requestId": "slow"});
    bed.client.notify("notifications/cancelled", cancelled);
    assert!(slow.event().is_none(), "a cancelled call has no answer");
    let mut stream = bed.general();
    assert!(stream.event().expect("its first event").message.is_null());
    // Also that of an earlier process.
    for event in [event.as_str(), "ffffffff-3-1"] {
        let headers = bed.headers(&format!("\r\nLast-Event-ID: {event}"));
        let (status, _) = Stream::ask(bed.proxy.address(), &format!("GET {DOOR}"), &headers, "");
        assert!(status.contains(" 405 "), "{status}");
    }
    bed.client.call("test_trigger_tool_change", json!({}));
    let heard = stream.event().expect("the change").message;
    assert_eq!(heard["method"], "notifications/tools/list_changed");
}

#[test]
fn news_that_nobody_was_there_to_hear_come_to_who_comes_back_without_an_event() {
    let mut bed = Bed::new();
    let watched = json!({"uri": "test://watched-resource"});
    bed.client.request("resources/subscribe", watched.clone());
    let mut stream = bed.general();
    assert!(stream.event().expect("its first event").message.is_null());
    bed.client.call("touch_resource", watched.clone());
    update(&mut stream);
    drop(stream);
    // The first one may still go into a connection that is just found to be closed.
    for _ in 0..2 {
        bed.client.call("touch_resource", watched.clone());
    }
    let mut stream = bed.general();
    update(&mut stream);
}

#[test]
fn one_key_opens_a_bounded_number_of_listens() {
    let (_server, address) = serve_everything(&["--era", "modern"]);
    let proxy = Proxy::start(&format!("[upstreams.up]\nurl = \"http://{address}/mcp\"\n"));
    let params = Era::Modern.params(json!({"notifications": {"toolsListChanged": true}}));
    let body =
        json!({"jsonrpc": "2.0", "id": 1, "method": "subscriptions/listen", "params": params});
    let headers = format!(
        "Authorization: Bearer {}\r\nMCP-Protocol-Version: 2026-07-28\r\nMcp-Method: subscriptions/listen",
        proxy.key()
    );
    let listen = || Stream::ask(proxy.address(), "POST /mcp", &headers, &body.to_string());
    let mut open: Vec<Stream> = (0..256).map(|_| listen().1).collect();
    let (status, refused) = listen();
    assert!(status.contains(" 503 "), "{status}");
    drop(refused);
    open.pop();
    until("the place of the closed one is free", Duration::from_secs(10), || {
        let (status, stream) = listen();
        status.contains(" 200 ").then_some(stream)
    });
}
