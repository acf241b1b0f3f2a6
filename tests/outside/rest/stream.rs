//! What is said in the course of a call, and what its end means.

use std::time::Duration;

use serde_json::{Value, json};

use crate::rest::bed::{Bed, UPSTREAMS};
use crate::rest::world::{Ask, World, text, value};
use crate::support::{Raw, Stream, post, until};

const PATIENCE: Duration = Duration::from_secs(30);

/// Calls with a stream for an answer; gives the line with its status, too.
fn open(bed: &Bed, key: &str, tool: &str, body: &Value) -> (String, Stream) {
    let headers = format!("Accept: text/event-stream\r\nAuthorization: Bearer {key}");
    let line = format!("POST /api/v1/tools/{tool}/call");
    Stream::ask(bed.proxy.address(), &line, &headers, &body.to_string())
}

/// The next event: its name and what it holds.
fn event(stream: &mut Stream) -> Option<(String, Value)> {
    let mut name = String::new();
    loop {
        let line = stream.line()?;
        if let Some(given) = line.strip_prefix("event: ") {
            name = given.to_owned();
        } else if let Some(data) = line.strip_prefix("data: ") {
            return Some((name, serde_json::from_str(data).expect("JSON")));
        }
    }
}

fn all(stream: &mut Stream) -> Vec<(String, Value)> {
    std::iter::from_fn(|| event(stream)).collect()
}

fn count(bed: &Bed, upstream: &str, of: &str) -> u64 {
    let text = bed.text(&format!("{upstream}__{of}_count"), &json!({}));
    text.parse().expect("a number")
}

#[test]
fn progress_comes_before_the_result() {
    let bed = Bed::new();
    for upstream in UPSTREAMS {
        let tool = format!("{upstream}__tick");
        let arguments = json!({ "label": "t", "count": 3, "ms": 20, "log": true });
        let body = json!({ "arguments": arguments });
        let (status, mut stream) = open(&bed, bed.proxy.key(), &tool, &body);
        assert!(status.contains(" 200 "), "{status}");
        let events = all(&mut stream);
        let names: Vec<&str> = events.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["progress", "progress", "progress", "result"], "{upstream}");
        assert_eq!(
            (&events[1].1["progress"], &events[1].1["message"]),
            (&json!(2.0), &json!("t 2"))
        );
        assert_eq!(events[3].1["content"][0]["text"], "t ticked 3 times");
        if upstream == "old" {
            // There no log message says which call it belongs to.
            continue;
        }
        // Log messages for whoever asks for them.
        let body = json!({ "arguments": arguments, "log_level": "info" });
        let events = all(&mut open(&bed, bed.proxy.key(), &tool, &body).1);
        let logged = events.iter().filter(|(name, _)| name == "message");
        let logged: Vec<&Value> = logged.map(|(_, params)| &params["data"]).collect();
        assert_eq!(logged, ["t 2", "t 3"], "{upstream}: {events:?}");
        // A document has no course.
        assert_eq!(bed.post(&tool, &body).header("content-type"), Some("application/json"));
    }
}

#[test]
fn a_result_at_once_is_a_stream_of_one_event() {
    let bed = Bed::new();
    let body = json!({ "arguments": { "text": "x" } });
    let (_, mut stream) = open(&bed, bed.proxy.key(), "new__echo", &body);
    let events = all(&mut stream);
    assert_eq!(events.len(), 1);
    assert_eq!((events[0].0.as_str(), &events[0].1["content"][0]["text"]), ("result", &json!("x")));
    assert_eq!(events[0].1, value(&bed.post("new__echo", &body)));
}

#[test]
fn a_refusal_at_once_is_a_status_and_a_later_one_an_event() {
    let bed = Bed::new();
    let (status, _) = open(&bed, bed.proxy.key(), "new__nothing", &json!({}));
    assert!(status.contains(" 404 "), "{status}");
    for upstream in UPSTREAMS {
        let body = json!({ "arguments": { "ms": 60_000 }, "timeout": "2s" });
        let (status, mut stream) =
            open(&bed, bed.proxy.key(), &format!("{upstream}__sleep"), &body);
        assert!(status.contains(" 200 "), "{status}");
        let last = all(&mut stream).pop().expect("it is told how it ended");
        assert_eq!((last.0.as_str(), &last.1["status"]), ("error", &json!(504)));
        assert_eq!(last.1["retry"], "may_have_run");
        until("it was cancelled", PATIENCE, || {
            (count(&bed, upstream, "cancelled") == 1).then_some(())
        });
    }
}

#[test]
fn whoever_hangs_up_cancels_the_call() {
    let bed = Bed::new();
    for upstream in UPSTREAMS {
        let tool = format!("{upstream}__sleep");
        let body = json!({ "arguments": { "ms": 60_000 } });
        let (_, mut stream) = open(&bed, bed.proxy.key(), &tool, &body);
        // It runs.
        assert_eq!(event(&mut stream).expect("progress").0, "progress");
        drop(stream);
        until("the stream's call ends", PATIENCE, || {
            (count(&bed, upstream, "cancelled") == 1).then_some(())
        });
        let key = format!("Bearer {}", bed.proxy.key());
        let path = format!("/api/v1/tools/{tool}/call");
        let headers = [("Authorization", key.as_str())];
        let bytes = post(bed.proxy.address(), &path, &headers, body.to_string().as_bytes());
        let mut raw = Raw::connect(bed.proxy.address());
        raw.send(&bytes).expect("it is sent");
        until("it runs", PATIENCE, || (count(&bed, upstream, "begun") == 2).then_some(()));
        drop(raw);
        until("the other call ends", PATIENCE, || {
            (count(&bed, upstream, "cancelled") == 2).then_some(())
        });
    }
}

#[test]
fn a_stream_ends_with_its_key() {
    let world = World::new();
    let boss = world.tenant("acme");
    let made = world.key(&boss, &json!({ "name": "short" }));
    let key = text(&made);
    let headers = format!("Accept: text/event-stream\r\nAuthorization: Bearer {key}");
    let line = "POST /api/v1/tools/free__sleep/call";
    let body = json!({ "arguments": { "ms": 60_000 } }).to_string();
    let (_, mut stream) = Stream::ask(world.address(), line, &headers, &body);
    assert_eq!(event(&mut stream).expect("it runs").0, "progress");
    let path = format!("/api/v1/keys/{}", made["id"].as_str().expect("an id"));
    assert_eq!(world.ask(&Ask::new("DELETE", &path).key(&boss)).status, 204);
    let last = event(&mut stream).expect("it is told why");
    assert_eq!((last.0.as_str(), &last.1["status"]), ("error", &json!(401)));
    assert!(event(&mut stream).is_none());
}
