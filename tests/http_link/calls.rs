//! Requests and what becomes of them when the upstream misbehaves.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use http_body_util::BodyExt;
use mcp_proxy::upstream::{Cause, Ran, Reply};
use serde_json::json;

use crate::script::*;

const SHORT: Duration = Duration::from_millis(300);

/// A modern upstream that answers each call with these bytes.
async fn bytes(text: &'static str) -> Stage {
    Stage::new(modern(move |_| vec![Step::Send(text.as_bytes().to_vec())])).await
}

#[tokio::test]
async fn what_is_no_answer_is_garbage_and_may_have_run() {
    for text in [
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 5\r\n\r\n{\"a\":",
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n[]",
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 24\r\n\r\n{\"id\":999999,\"result\":{}}",
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 12\r\n\r\n{\"method\":1}",
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n\"\u{fc}",
        "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 3\r\n\r\n<p>",
        "HTTP/1.1 202 OK\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: {\"id\":\n\n",
    ] {
        let error = bytes(text).await.failure("tools/call").await;
        assert_eq!((error.cause, error.ran), (Cause::Garbage, Ran::Maybe), "{text}");
    }
}

#[tokio::test]
async fn refusals_say_what_they_mean() {
    for (status, headers, cause, ran) in [
        (401, "", Cause::Login, Ran::No),
        (403, "", Cause::Login, Ran::No),
        (302, "Location: http://127.0.0.1:1/\r\n", Cause::Down, Ran::No),
        (303, "", Cause::Down, Ran::Maybe),
        (413, "", Cause::TooLarge, Ran::No),
        (429, "Retry-After: 7\r\n", Cause::Resting(Duration::from_secs(7)), Ran::No),
        (503, "Retry-After: 9\r\n", Cause::Resting(Duration::from_secs(9)), Ran::No),
        (502, "", Cause::Down, Ran::Maybe),
        (500, "", Cause::Garbage, Ran::Maybe),
    ] {
        let stage = Stage::new(modern(move |_| reply(status, headers, "canary"))).await;
        let error = stage.failure("tools/call").await;
        assert_eq!((&error.cause, error.ran), (&cause, ran), "{status}");
        assert!(!error.detail.contains("canary") && stage.link.is_open());
        assert_eq!(stage.upstream.count("tools/call"), 1);
    }
}

#[tokio::test]
async fn errors_of_the_protocol_are_answers_whatever_their_status() {
    for (status, id) in [(200, true), (400, true), (404, true), (400, false), (500, false)] {
        let stage = Stage::new(modern(move |seen| {
            let id = if id { seen.body["id"].clone() } else { json!(null) };
            let body =
                json!({"jsonrpc": "2.0", "id": id, "error": {"code": -32601, "message": "n"}});
            reply(status, "Content-Type: application/json\r\n", &body.to_string())
        }))
        .await;
        let answer = message(stage.request("tools/call").await);
        assert_eq!(answer["error"]["code"], -32601);
        assert_eq!(answer["id"], stage.upstream.seen()[1].body["id"]);
    }
}

#[tokio::test]
async fn a_modern_upstream_that_turned_legacy_ends_the_link() {
    let stage = Stage::new(modern(|_| reply(400, "", "Bad Request: no session"))).await;
    let error = stage.failure("tools/call").await;
    assert_eq!(error.ran, Ran::No);
    assert!(!stage.link.is_open());
    stage.until_event("gone").await;
}

#[tokio::test]
async fn silence_ends_at_the_deadline_and_cancels() {
    for era in ["modern", "legacy"] {
        let script = |seen: &Seen| match seen.method() {
            "notifications/cancelled" => reply(202, "", ""),
            _ => vec![Step::Hang],
        };
        let stage = Stage::new(if era == "modern" { modern(script) } else { legacy(script) }).await;
        let mut outgoing = stage.outgoing("tools/call");
        outgoing.timeout = SHORT;
        let error = stage.link.request(outgoing).await.unwrap_err();
        assert_eq!((error.cause, error.ran), (Cause::Timeout, Ran::Maybe));
        stage.upstream.until_dropped("tools/call").await;
        if era == "legacy" {
            stage.upstream.until_seen("notifications/cancelled", 1).await;
            let seen = stage.upstream.seen();
            let call = seen.iter().find(|seen| seen.method() == "tools/call").unwrap();
            let cancel =
                seen.iter().find(|seen| seen.method() == "notifications/cancelled").unwrap();
            assert_eq!(cancel.body["params"]["requestId"], call.body["id"]);
        }
    }
}

#[tokio::test]
async fn an_answer_that_drips_ends_at_the_deadline() {
    let slow = Duration::from_millis(20);
    for head in [
        "Content-Type: application/json\r\nContent-Length: 9000",
        "Content-Type: text/event-stream",
    ] {
        let stage = Stage::new(modern(move |_| {
            vec![
                Step::Send(format!("HTTP/1.1 200 OK\r\n{head}\r\n\r\n").into()),
                Step::Drip(vec![b' '; 9_000], slow),
            ]
        }))
        .await;
        let mut outgoing = stage.outgoing("tools/call");
        outgoing.timeout = SHORT;
        let error = stage.link.request(outgoing).await.unwrap_err();
        assert_eq!(error.cause, Cause::Timeout);
        stage.upstream.until_dropped("tools/call").await;
    }
}

#[tokio::test]
async fn a_lost_session_is_made_anew_and_the_call_runs_once() {
    for (status, body) in [
        (404, "gone"),
        (
            404,
            r#"{"jsonrpc":"2.0","id":null,"error":{"code":-32001,"message":"Session not found"}}"#,
        ),
        (
            400,
            r#"{"jsonrpc":"2.0","id":null,"error":{"code":-32000,"message":"Bad Request: Server not initialized"}}"#,
        ),
    ] {
        let executed = Arc::new(AtomicUsize::new(0));
        let ran = Arc::clone(&executed);
        let stage = Stage::new(legacy(move |seen| {
            if seen.header("mcp-session-id") == Some("s1") {
                return reply(status, "Content-Type: application/json\r\n", body);
            }
            ran.fetch_add(1, Ordering::SeqCst);
            ok(seen)
        }))
        .await;
        let calls = (0..8).map(|_| stage.request("tools/call"));
        let answers = join(calls).await;
        answers.into_iter().for_each(|answer| assert_eq!(message(answer)["result"]["ok"], true));
        assert_eq!(executed.load(Ordering::SeqCst), 8);
        assert_eq!(stage.upstream.count("initialize"), 2, "one renewal serves all");
        let seen = stage.upstream.seen();
        let renewal = seen.iter().filter(|seen| seen.method() == "initialize").nth(1).unwrap();
        assert_eq!(renewal.header("mcp-session-id"), None);
        stage.until_event("missed").await;
    }
}

/// All of them at once.
async fn join<T>(all: impl Iterator<Item = impl Future<Output = T>>) -> Vec<T> {
    let mut all: Vec<_> = all.map(|one| (Box::pin(one), None)).collect();
    std::future::poll_fn(|context| {
        for (future, output) in &mut all {
            if output.is_none()
                && let std::task::Poll::Ready(done) = future.as_mut().poll(context)
            {
                *output = Some(done);
            }
        }
        if all.iter().all(|(_, output)| output.is_some()) {
            std::task::Poll::Ready(())
        } else {
            std::task::Poll::Pending
        }
    })
    .await;
    all.into_iter().filter_map(|(_, output)| output).collect()
}

#[tokio::test]
async fn a_session_that_is_lost_again_is_an_error_and_no_loop() {
    let stage = Stage::new(legacy(|_| reply(404, "", ""))).await;
    let error = stage.failure("tools/call").await;
    assert_eq!((error.cause, error.ran), (Cause::Down, Ran::No));
    assert_eq!((stage.upstream.count("tools/call"), stage.upstream.count("initialize")), (2, 2));
}

#[tokio::test]
async fn a_kept_connection_that_breaks_repeats_only_what_is_harmless() {
    let broken = Arc::new(AtomicBool::new(false));
    let breaks = Arc::clone(&broken);
    let stage = Stage::new(modern(move |seen| {
        if breaks.swap(false, Ordering::SeqCst) { vec![Step::Close] } else { ok(seen) }
    }))
    .await;
    broken.store(true, Ordering::SeqCst);
    let error = stage.failure("tools/call").await;
    assert_eq!((error.cause, error.ran), (Cause::Gone, Ran::Maybe));
    assert_eq!(stage.upstream.count("tools/call"), 1);
    stage.request("tools/call").await.unwrap();
    broken.store(true, Ordering::SeqCst);
    stage.request("tools/list").await.unwrap();
    let lists: Vec<_> =
        stage.upstream.seen().into_iter().filter(|seen| seen.method() == "tools/list").collect();
    assert_eq!(lists.len(), 2);
    assert_ne!(lists[0].body["id"], lists[1].body["id"], "a repetition is a new request");
}

#[tokio::test]
async fn a_connection_closed_while_idle_costs_nothing() {
    let stage = Stage::new(modern(|seen| {
        let mut steps = ok(seen);
        steps.push(Step::Close);
        steps
    }))
    .await;
    for _ in 0..20 {
        stage.request("tools/call").await.unwrap();
        // Lets the connection's end arrive, as it does between two calls of a person.
        tokio::task::yield_now().await;
    }
    assert_eq!(stage.upstream.count("tools/call"), 20);
}

#[tokio::test]
async fn an_upstream_that_is_not_there_was_not_asked() {
    let stage = Stage::new(modern(ok)).await;
    assert!(stage.tasks.finish(LONG).await);
    // A read is repeated when the kept connection broke, and so finds out.
    let error = stage.failure("tools/list").await;
    assert_eq!((error.cause, error.ran), (Cause::Down, Ran::No));
    assert!(!error.detail.contains("canary"));
}

#[tokio::test]
async fn long_answers_are_handed_on_and_too_long_ones_refused() {
    let stage = Stage::new(modern(|seen| {
        let answer = result(seen, json!({"text": "x".repeat(200_000)})).to_string();
        match seen.method() {
            "tools/list" => reply(200, "Content-Type: application/json\r\n", &answer),
            "prompts/list" => vec![
                Step::Send(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec()),
                piece(&answer),
                end(),
            ],
            "resources/list" => vec![Step::Send(
                b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 99999999\r\n\r\n".to_vec(),
            ), Step::Hang],
            _ => vec![stream(), piece(&format!("data: {}", "x".repeat(17 << 20))), Step::Hang],
        }
    }))
    .await;
    for (method, known) in [("tools/list", true), ("prompts/list", false)] {
        let Reply::Json { id, length, body } = stage.request(method).await.unwrap() else {
            panic!("not handed on");
        };
        let text = body.collect().await.unwrap().to_bytes();
        assert_eq!(length, known.then_some(text.len() as u64));
        let answer: serde_json::Value = serde_json::from_slice(&text).unwrap();
        assert_eq!(answer["id"], id);
    }
    for method in ["resources/list", "tools/call"] {
        let error = stage.failure(method).await;
        assert_eq!((error.cause, error.ran), (Cause::TooLarge, Ran::Maybe));
        stage.upstream.until_dropped(method).await;
    }
}

#[tokio::test]
async fn notifications_are_delivered_or_said_to_be_refused() {
    let stage = Stage::new(legacy(|seen| match seen.method() {
        "notifications/progress" => reply(202, "", ""),
        _ => reply(401, "", ""),
    }))
    .await;
    let text = |method: &str| note(method, json!({})).to_string().into();
    stage.link.send(text("notifications/progress")).await.unwrap();
    let error = stage.link.send(text("notifications/roots/list_changed")).await.unwrap_err();
    assert_eq!(error.cause, Cause::Login);
}
