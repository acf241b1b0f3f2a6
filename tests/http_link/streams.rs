//! Requests that are answered by an event stream.

use std::sync::Arc;
use std::time::Duration;

use mcp_proxy::upstream::{Cause, Exchange, LinkError, Ran, Reply};
use serde_json::{Value, json};
use tokio::sync::Notify;

use crate::script::*;

async fn exchange(stage: &Stage) -> Box<dyn Exchange> {
    match stage.request("tools/call").await.unwrap() {
        Reply::Exchange(exchange) => exchange,
        other => panic!("no exchange: {other:?}"),
    }
}

/// Everything until the response.
async fn all(mut exchange: Box<dyn Exchange>) -> Result<Vec<Value>, LinkError> {
    let mut messages = Vec::new();
    loop {
        let message = exchange.next().await?;
        messages.push(value(&message));
        if message.inbound.method.is_none() {
            return Ok(messages);
        }
    }
}

#[tokio::test]
async fn a_stream_with_nothing_but_the_answer_is_an_answer() {
    let stage = Stage::new(modern(|seen| {
        // As a text that is cut everywhere, after a comment and an event without data.
        let text = format!(
            ": hello\n\nid: 1\ndata:\n\nevent: message\r\ndata: {}\r\n\r\n",
            result(seen, json!({"t": "\u{fc}"}))
        );
        let mut steps = vec![stream()];
        steps.extend(text.as_bytes().chunks(7).map(|chunk| {
            let mut bytes = format!("{:x}\r\n", chunk.len()).into_bytes();
            bytes.extend_from_slice(chunk);
            bytes.extend_from_slice(b"\r\n");
            Step::Send(bytes)
        }));
        steps.push(end());
        steps
    }))
    .await;
    for _ in 0..3 {
        assert_eq!(message(stage.request("tools/call").await)["result"]["t"], "\u{fc}");
    }
}

#[tokio::test]
async fn an_answer_leaves_its_connection_to_the_next_request() {
    let gate = Arc::new(Notify::new());
    let open = Arc::clone(&gate);
    let stage = Stage::new(modern(move |seen| match seen.method() {
        "tools/call" => {
            let answer = event(&result(seen, json!({})));
            vec![stream(), answer, Step::Until(Arc::clone(&open)), end()]
        }
        _ => ok(seen),
    }))
    .await;
    message(stage.request("tools/call").await);
    // The stream is still open, so this needs another connection.
    stage.request("tools/list").await.unwrap();
    gate.notify_one();
    let connections = || stage.upstream.seen().iter().map(|seen| seen.connection).max().unwrap();
    assert_eq!(connections(), 1);
    let (a, b) = tokio::join!(stage.request("tools/list"), stage.request("prompts/list"));
    assert!(a.is_ok() && b.is_ok());
    assert!(connections() <= 2);
    assert!(stage.upstream.book.lock().unwrap().dropped.is_empty());
}

#[tokio::test]
async fn progress_and_logs_come_first_and_only_those_of_this_request() {
    let stage = Stage::new(modern(|seen| {
        let id = &seen.body["id"];
        vec![
            stream(),
            event(&note("notifications/tools/list_changed", json!({}))),
            event(&progress(&json!("foreign"), 1)),
            event(&progress(&json!(999_999), 1)),
            event(&json!({"jsonrpc": "2.0", "id": 999_999, "result": {"not": "mine"}})),
            event(&json!({"jsonrpc": "2.0", "id": 5, "method": "ping"})),
            event(&progress(id, 1)),
            event(&note("notifications/message", json!({"level": "info", "data": 1}))),
            event(&progress(id, 2)),
            event(&result(seen, json!({"mine": true}))),
            end(),
        ]
    }))
    .await;
    let messages = all(exchange(&stage).await).await.unwrap();
    let methods: Vec<_> =
        messages.iter().map(|message| message["method"].as_str().unwrap_or("answer")).collect();
    assert_eq!(
        methods,
        ["notifications/progress", "notifications/message", "notifications/progress", "answer"]
    );
    assert_eq!(messages[3]["result"]["mine"], true);
    stage.until_event("list tools").await;
    // A request from a modern upstream is a violation and is not answered.
    assert_eq!(stage.upstream.methods(), ["server/discover", "tools/call"]);
}

#[tokio::test]
async fn questions_of_a_legacy_upstream_are_refused_and_never_hang() {
    let answered = Arc::new(Notify::new());
    let bell = Arc::clone(&answered);
    let stage = Stage::new(legacy(move |seen| {
        if seen.method() != "tools/call" {
            bell.notify_one();
            return reply(202, "", "");
        }
        vec![
            stream(),
            event(
                &json!({"jsonrpc": "2.0", "id": "q", "method": "elicitation/create", "params": {}}),
            ),
            Step::Until(Arc::clone(&answered)),
            event(&result(seen, json!({"ok": true}))),
            end(),
        ]
    }))
    .await;
    assert_eq!(message(stage.request("tools/call").await)["result"]["ok"], true);
    let refusal = stage.upstream.seen().into_iter().find(|seen| seen.body["id"] == "q").unwrap();
    assert_eq!(refusal.body["result"]["action"], "cancel");
    assert_eq!(refusal.header("mcp-session-id"), Some("s1"));
}

#[tokio::test]
async fn progress_starts_the_silence_anew_but_not_the_whole() {
    let beat = Duration::from_millis(150);
    let stage = Stage::new(modern(move |seen| {
        let mut steps = vec![stream()];
        for count in 0..10 {
            steps.extend([Step::Wait(beat), event(&progress(&seen.body["id"], count))]);
        }
        steps.extend([event(&result(seen, json!({}))), end()]);
        steps
    }))
    .await;
    for (silence, whole, outcome) in [(900, 20_000, Some(11)), (900, 1_000, None)] {
        let mut outgoing = stage.outgoing("tools/call");
        outgoing.timeout = Duration::from_millis(silence);
        outgoing.max_time = Duration::from_millis(whole);
        let Reply::Exchange(exchange) = stage.link.request(outgoing).await.unwrap() else {
            panic!("no exchange");
        };
        match all(exchange).await {
            Ok(messages) => assert_eq!(Some(messages.len()), outcome),
            Err(error) => assert_eq!((outcome, error.cause), (None, Cause::Timeout)),
        }
    }
}

#[tokio::test]
async fn a_broken_modern_stream_is_lost_and_not_asked_again() {
    for method in ["tools/call", "tools/list"] {
        let stage = Stage::new(modern(|seen| {
            vec![
                stream(),
                piece("id: 9\ndata:\n\n"),
                event(&progress(&seen.body["id"], 1)),
                Step::Close,
            ]
        }))
        .await;
        let error = stage.failure(method).await;
        assert_eq!((error.cause, error.ran), (Cause::Gone, Ran::Maybe));
        assert_eq!(stage.upstream.methods(), ["server/discover", method]);
    }
}

#[tokio::test]
async fn a_legacy_stream_may_be_polled() {
    let stage =
        Stage::new(legacy(|seen| match (seen.verb.as_str(), seen.header("last-event-id")) {
            ("GET", Some("p1")) => vec![stream(), piece("id: p2\nretry: 10\ndata:\n\n"), end()],
            ("GET", Some("p2")) => vec![
                stream(),
                event(&progress(&json!(3), 2)),
                event(&json!({"jsonrpc": "2.0", "id": 3, "result": {"polled": true}})),
                end(),
            ],
            ("GET", _) => reply(400, "", "no id"),
            _ => vec![
                stream(),
                piece("id: p1\nretry: 10\ndata:\n\n"),
                event(&progress(&seen.body["id"], 1)),
                end(),
            ],
        }))
        .await;
    let messages = all(exchange(&stage).await).await.unwrap();
    assert_eq!(messages.len(), 3);
    assert_eq!(messages[2]["result"]["polled"], true);
    assert_eq!((stage.upstream.count("tools/call"), stage.upstream.count("GET")), (1, 2));
}

#[tokio::test]
async fn a_legacy_stream_that_cannot_be_polled_is_gone_and_cancelled() {
    let stage = Stage::new(legacy(|seen| match seen.method() {
        "tools/call" => vec![stream(), piece("id: p1\nretry: 1\ndata:\n\n"), end()],
        "GET" => reply(405, "", ""),
        _ => reply(202, "", ""),
    }))
    .await;
    let error = stage.failure("tools/call").await;
    assert_eq!((error.cause, error.ran), (Cause::Gone, Ran::Maybe));
    stage.upstream.until_seen("notifications/cancelled", 1).await;
    assert_eq!((stage.upstream.count("tools/call"), stage.upstream.count("GET")), (1, 1));
}

#[tokio::test]
async fn a_stream_is_not_polled_in_another_session() {
    let stage = Stage::new(legacy(|seen| match (seen.method(), seen.header("mcp-session-id")) {
        ("tools/call", _) => vec![stream(), piece("id: p1\nretry: 500\ndata:\n\n"), end()],
        ("tools/list", Some("s1")) => reply(404, "", ""),
        _ => ok(seen),
    }))
    .await;
    let (error, listed) = tokio::join!(stage.failure("tools/call"), async {
        stage.upstream.until_seen("tools/call", 1).await;
        stage.request("tools/list").await
    });
    assert_eq!((error.cause, error.ran), (Cause::Gone, Ran::Maybe));
    assert!(listed.is_ok());
    assert_eq!((stage.upstream.count("initialize"), stage.upstream.count("GET")), (2, 0));
}

#[tokio::test]
async fn leaving_before_the_answer_cancels_and_leaving_after_it_does_not() {
    for era in ["modern", "legacy"] {
        let script = |seen: &Seen| match seen.method() {
            "tools/call" => vec![stream(), event(&progress(&seen.body["id"], 1)), Step::Hang],
            "tools/list" => vec![
                stream(),
                event(&progress(&seen.body["id"], 1)),
                event(&result(seen, json!({}))),
                end(),
            ],
            _ => reply(202, "", ""),
        };
        let stage = Stage::new(if era == "modern" { modern(script) } else { legacy(script) }).await;
        let Reply::Exchange(finished) = stage.request("tools/list").await.unwrap() else {
            panic!("no exchange");
        };
        all(finished).await.unwrap();
        drop(exchange(&stage).await);
        stage.upstream.until_dropped("tools/call").await;
        if era == "legacy" {
            stage.upstream.until_seen("notifications/cancelled", 1).await;
        }
        assert!(stage.tasks.finish(LONG).await);
        let cancels = stage.upstream.count("notifications/cancelled");
        assert_eq!(cancels, usize::from(era == "legacy"));
    }
}

#[tokio::test]
async fn a_closed_link_ends_its_exchanges() {
    let stage = Stage::new(modern(|seen| {
        vec![stream(), event(&progress(&seen.body["id"], 1)), Step::Hang]
    }))
    .await;
    let mut running = exchange(&stage).await;
    running.next().await.unwrap();
    stage.link.close().await;
    assert_eq!(running.next().await.unwrap_err().cause, Cause::Closing);
    stage.upstream.until_dropped("tools/call").await;
}
