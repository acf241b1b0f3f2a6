//! What an upstream says on its own account.

use std::sync::Arc;

use mcp_proxy::upstream::Interest;
use serde_json::{Value, json};
use tokio::sync::Notify;

use crate::script::*;

fn acknowledged(seen: &Seen) -> Step {
    event(&note(
        "notifications/subscriptions/acknowledged",
        json!({
        "notifications": seen.body["params"]["notifications"],
        "_meta": {"io.modelcontextprotocol/subscriptionId": seen.body["id"]}}),
    ))
}

fn filters(stage: &Stage) -> Vec<Value> {
    let seen = stage.upstream.seen();
    let listens = seen.iter().filter(|seen| seen.method() == "subscriptions/listen");
    listens.map(|seen| seen.body["params"]["notifications"].clone()).collect()
}

#[tokio::test]
async fn a_modern_link_asks_for_what_is_wanted_and_offered() {
    let stage = Stage::new(modern(|seen| {
        assert_eq!(seen.header("mcp-method"), Some("subscriptions/listen"));
        let mut steps = vec![stream(), acknowledged(seen)];
        if !seen.body["params"]["notifications"]["resourceSubscriptions"].is_null() {
            steps.push(event(&note("notifications/resources/updated", json!({"uri": "a:b"}))));
        } else {
            steps.push(event(&note("notifications/tools/list_changed", json!({}))));
        }
        steps.push(Step::Hang);
        steps
    }))
    .await;
    stage.link.listen(Interest::default());
    stage.link.listen(interest(true, &[]));
    stage.until_event("list tools").await;
    assert_eq!(filters(&stage), [json!({"toolsListChanged": true})]);
    // Wanting more: the new stream is there before the old one goes.
    stage.link.listen(interest(true, &["a:b"]));
    // Who waits for it knows that the upstream has it, also when that was long ago.
    stage.link.listening().await;
    assert_eq!(filters(&stage).len(), 2);
    stage.link.listening().await;
    stage.until_event("updated a:b").await;
    stage.upstream.until_dropped("subscriptions/listen").await;
    assert_eq!(
        filters(&stage)[1],
        json!({"toolsListChanged": true, "resourceSubscriptions": ["a:b"]})
    );
    // The same again changes nothing; nothing ends it.
    stage.link.listen(interest(true, &["a:b"]));
    stage.link.listen(Interest::default());
    stage.upstream.until("both dropped", |book| book.dropped.len() == 2).await;
    assert_eq!(filters(&stage).len(), 2);
    assert!(!stage.events.lock().unwrap().contains(&"missed".to_owned()));
}

#[tokio::test]
async fn what_comes_late_on_a_replaced_stream_is_told_once() {
    let gate = Arc::new(Notify::new());
    let late = Arc::clone(&gate);
    let stage = Stage::new(modern(move |seen| {
        // Each names its stream; the rest is the same on both.
        let updated = |uri: &str, number: u32| {
            event(&note(
                "notifications/resources/updated",
                json!({"uri": uri, "vendor/number": number,
                "_meta": {"io.modelcontextprotocol/subscriptionId": seen.body["id"]}}),
            ))
        };
        let mut steps = vec![stream(), acknowledged(seen)];
        let watched = &seen.body["params"]["notifications"]["resourceSubscriptions"];
        if watched.as_array().unwrap().len() == 1 {
            // Written before it knew the other stream, and come after its acknowledgement.
            steps.push(Step::Until(Arc::clone(&late)));
            steps.push(updated("a:b", 1));
            steps.push(updated("a:b", 2));
            steps.push(updated("late:d", 3));
        } else {
            steps.push(updated("a:b", 2));
        }
        steps.push(Step::Hang);
        steps
    }))
    .await;
    stage.link.listen(interest(false, &["a:b"]));
    stage.link.listening().await;
    stage.link.listen(interest(false, &["a:b", "c:d"]));
    stage.link.listening().await;
    stage.until_event("updated a:b").await;
    gate.notify_one();
    stage.until_event("updated late:d").await;
    assert_eq!(*stage.events.lock().unwrap(), ["updated a:b", "updated a:b", "updated late:d"]);
    // It is not read for ever.
    stage.upstream.until_dropped("subscriptions/listen").await;
}

#[tokio::test]
async fn what_was_promised_before_it_was_open_is_made_up_for() {
    let gate = Arc::new(Notify::new());
    let slow = Arc::clone(&gate);
    let stage = Stage::new(modern(move |seen| {
        vec![Step::Until(Arc::clone(&slow)), stream(), acknowledged(seen), Step::Hang]
    }))
    .await;
    stage.link.listen(interest(false, &["a:b"]));
    // It does not wait for ever.
    stage.link.listening().await;
    assert!(stage.events.lock().unwrap().is_empty());
    gate.notify_one();
    stage.until_event("missed").await;
}

#[tokio::test]
async fn a_stream_that_ends_comes_back_and_says_that_something_may_be_missed() {
    let gate = Arc::new(Notify::new());
    let cut = Arc::clone(&gate);
    let stage = Stage::new(modern(move |seen| {
        let end = [Step::Until(Arc::clone(&cut)), end()];
        [stream(), acknowledged(seen)].into_iter().chain(end).collect()
    }))
    .await;
    stage.link.listen(interest(true, &[]));
    stage.upstream.until_seen("subscriptions/listen", 1).await;
    assert!(stage.events.lock().unwrap().is_empty());
    gate.notify_one();
    stage.until_event("missed").await;
    assert_eq!(stage.upstream.count("subscriptions/listen"), 2);
    drop(stage.link);
    assert!(stage.tasks.finish(LONG).await);
}

#[tokio::test]
async fn an_upstream_without_events_is_left_alone() {
    let stage = Stage::new(modern(|_| reply(404, "", ""))).await;
    stage.link.listen(interest(true, &[]));
    stage.upstream.until_seen("subscriptions/listen", 1).await;
    let old = Stage::new(legacy(|seen| match seen.verb.as_str() {
        "GET" => reply(405, "", ""),
        _ => ok(seen),
    }))
    .await;
    old.link.listen(interest(true, &[]));
    old.upstream.until_seen("GET", 1).await;
    old.link.listen(interest(true, &["a:b"]));
    for _ in 0..20 {
        old.request("tools/list").await.unwrap();
    }
    old.link.close().await;
    assert!(old.tasks.finish(LONG).await);
    assert_eq!((old.upstream.count("GET"), stage.upstream.count("subscriptions/listen")), (1, 1));
    assert!(old.link.facts().can("tools"));
}

#[tokio::test]
async fn a_legacy_link_resumes_its_stream() {
    let stage = Stage::new(legacy(|seen| match (seen.verb.as_str(), seen.header("last-event-id")) {
        ("GET", None) => vec![
            stream(),
            event(&note("notifications/tools/list_changed", json!({}))),
            event(&json!({"jsonrpc": "2.0", "id": 1, "method": "roots/list"})),
            piece("id: e1\nretry: 10\ndata: {\"method\":\"notifications/resources/updated\",\"params\":{\"uri\":\"a:b\"}}\n\n"),
            end(),
        ],
        ("GET", Some("e1")) => vec![
            stream(),
            event(&note("notifications/message", json!({"level": "info", "data": 1}))),
            event(&note("notifications/vendor", json!({}))),
            Step::Hang,
        ],
        _ => reply(202, "", ""),
    }))
    .await;
    stage.link.listen(interest(false, &["a:b"]));
    stage.until_event("notifications/vendor").await;
    assert_eq!(
        *stage.events.lock().unwrap(),
        ["list tools", "updated a:b", "log", "notifications/vendor"]
    );
    let seen = stage.upstream.seen();
    let get = seen.iter().find(|seen| seen.verb == "GET").unwrap();
    assert_eq!(get.header("accept"), Some("text/event-stream"));
    assert_eq!(get.header("mcp-session-id"), Some("s1"));
    stage
        .upstream
        .until("refusal", |book| {
            book.seen
                .iter()
                .any(|seen| seen.body["error"]["code"] == -32601 && seen.body["id"] == 1)
        })
        .await;
    stage.link.close().await;
    stage.upstream.until_dropped("GET").await;
}

#[tokio::test]
async fn a_stream_follows_its_session() {
    let stage =
        Stage::new(legacy(|seen| match (seen.verb.as_str(), seen.header("mcp-session-id")) {
            ("GET", Some("s1")) => reply(404, "", ""),
            ("GET", _) => vec![
                stream(),
                event(&note("notifications/prompts/list_changed", json!({}))),
                Step::Hang,
            ],
            _ => ok(seen),
        }))
        .await;
    stage.link.listen(interest(true, &[]));
    stage.until_event("list prompts").await;
    assert_eq!((stage.upstream.count("initialize"), stage.upstream.count("GET")), (2, 2));
    assert!(stage.events.lock().unwrap().contains(&"missed".to_owned()));
}
