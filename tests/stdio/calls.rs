//! Calls, their deadlines and their ends.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use mcp_proxy::base::now;
use mcp_proxy::upstream::stdio::StdioLink;
use mcp_proxy::upstream::{Cause, Event, Interest, Link, LinkError, Ran, Reply};
use mcp_proxy::wire::InboundKind;
use serde_json::json;

use super::bed::{Bed, call, tool, until, value};

#[tokio::test(flavor = "multi_thread")]
async fn many_callers_each_get_their_own_answer() {
    let bed = Bed::new();
    for modes in [&[][..], &["modern"]] {
        let link = bed.open(modes).await;
        let mut callers = tokio::task::JoinSet::new();
        for caller in 0..64 {
            let link = Arc::clone(&link);
            callers.spawn(async move {
                for number in 0..50 {
                    let text = format!("{caller}-{number}");
                    let got = call(&link, "echo", &format!("{{\"text\":\"{text}\"}}")).await;
                    assert_eq!(got.unwrap()["echo"]["text"], text);
                }
            });
        }
        callers.join_all().await;
    }
}

#[tokio::test]
async fn a_pretty_printed_message_arrives_whole() {
    let bed = Bed::new();
    let link = bed.open(&[]).await;
    assert_eq!(call(&link, "echo", "{\r\n \"a\":\n 1 }").await.unwrap(), json!({"echo": {"a": 1}}));
}

#[tokio::test]
async fn answers_that_nobody_asked_for_do_no_harm() {
    let bed = Bed::new();
    let link = bed.open(&[]).await;
    assert_eq!(call(&link, "twice", "{}").await.unwrap()["answer"], 1);
    assert_eq!(call(&link, "stray", "{}").await.unwrap()["stray"], false);
    assert_eq!(call(&link, "echo", "{}").await.unwrap(), json!({"echo": {}}));
}

#[tokio::test]
async fn a_child_that_dies_fails_its_calls_at_once() {
    let bed = Bed::new();
    let link = bed.open(&[]).await;
    let held = tokio::spawn({
        let link = Arc::clone(&link);
        async move { call(&link, "hold", "{}").await }
    });
    call(&link, "echo", "{}").await.unwrap();
    let start = now();
    let error = call(&link, "die", "{}").await.unwrap_err();
    assert_eq!((error.cause, error.ran), (Cause::Gone, Ran::Maybe));
    assert!(error.detail.contains("exit code 7"), "{}", error.detail);
    assert!(error.detail.contains("dying with [redacted]"), "{}", error.detail);
    assert_eq!(held.await.unwrap().unwrap_err().cause, Cause::Gone);
    assert!(start.elapsed() < Duration::from_secs(1));
    assert!(!link.is_open());
    let later = call(&link, "echo", "{}").await.unwrap_err();
    assert_eq!((later.cause, later.ran), (Cause::Gone, Ran::No));
    link.close().await;
    assert_eq!(bed.count(|event| matches!(event, Event::Gone)), 1);
}

#[tokio::test]
async fn progress_restarts_the_clock_up_to_the_hard_limit() {
    let bed = Bed::new();
    let link = bed.open(&[]).await;
    let mut outgoing = tool("progress", "{\"steps\":6,\"ms\":250}");
    outgoing.timeout = Duration::from_secs(1);
    let Reply::Exchange(mut exchange) = link.request(outgoing).await.unwrap() else {
        panic!("progress comes first")
    };
    for step in 0..6 {
        assert_eq!(value(&exchange.next().await.unwrap())["params"]["progress"], step);
    }
    assert_eq!(value(&exchange.next().await.unwrap())["done"], true);

    let mut outgoing = tool("progress", "{\"steps\":20,\"ms\":100}");
    outgoing.max_time = Duration::from_millis(500);
    let Reply::Exchange(mut exchange) = link.request(outgoing).await.unwrap() else {
        panic!("progress comes first")
    };
    let error = loop {
        match exchange.next().await {
            Ok(message) => assert!(message.inbound.method.is_some()),
            Err(error) => break error,
        }
    };
    assert_eq!((error.cause, error.ran), (Cause::Timeout, Ran::Maybe));
    assert!(error.detail.contains("max_time"));
}

#[tokio::test]
async fn a_caller_that_fetches_nothing_still_gets_its_response() {
    let bed = Bed::new();
    let link = bed.open(&[]).await;
    let Reply::Exchange(mut exchange) =
        link.request(tool("progress", "{\"steps\":500}")).await.unwrap()
    else {
        panic!("progress comes first")
    };
    call(&link, "echo", "{}").await.unwrap();
    let mut messages = 0;
    while exchange.next().await.unwrap().inbound.method.is_some() {
        messages += 1;
    }
    assert!((1..=65).contains(&messages), "{messages}");
}

#[tokio::test]
async fn a_call_that_is_given_up_is_cancelled_upstream() {
    let bed = Bed::new();
    for modes in [&[][..], &["modern"]] {
        let link = bed.open(modes).await;
        // By its deadline.
        let mut outgoing = tool("hold", "{}");
        outgoing.timeout = Duration::from_millis(100);
        let error = link.request(outgoing).await.unwrap_err();
        assert_eq!((error.cause, error.ran), (Cause::Timeout, Ran::Maybe));
        // By a caller that goes before the first message.
        let gone = tokio::time::timeout(Duration::from_millis(100), call(&link, "hold", "{}"));
        gone.await.unwrap_err();
        let report = call(&link, "report", "{}").await.unwrap();
        assert_eq!(report["cancelled"].as_array().unwrap().len(), 2);
        // By a caller that goes after it.
        let reply = link.request(tool("progress", "{\"steps\":20,\"ms\":50}")).await.unwrap();
        assert!(matches!(reply, Reply::Exchange(_)));
        drop(reply);
        let report = call(&link, "report", "{}").await.unwrap();
        assert_eq!(report["cancelled"].as_array().unwrap().len(), 3);
    }
}

#[tokio::test]
async fn a_child_that_does_not_read_costs_only_time() {
    let bed = Bed::new();
    let link = bed.open(&[]).await;
    let mut outgoing = tool("deaf", "{}");
    outgoing.timeout = Duration::from_millis(100);
    link.request(outgoing).await.unwrap_err();
    // Far more than the pipe and the queue hold.
    let text = format!("{{\"text\":\"{}\"}}", "x".repeat(100_000));
    let mut callers = tokio::task::JoinSet::new();
    for _ in 0..100 {
        let (link, mut outgoing) = (Arc::clone(&link), tool("echo", &text));
        outgoing.timeout = Duration::from_millis(500);
        callers.spawn(async move { link.request(outgoing).await.unwrap_err() });
    }
    let errors = callers.join_all().await;
    assert!(errors.iter().all(|error| error.cause == Cause::Timeout));
    // Those that no byte was written of certainly did not run.
    assert!(errors.iter().filter(|error| error.ran == Ran::No).count() >= 90);
    link.close().await;
    assert!(bed.left().is_empty());
}

#[tokio::test]
async fn questions_are_answered_in_the_protocols_words() {
    let bed = Bed::new();
    let link = bed.open(&[]).await;
    call(&link, "ask", "{}").await.unwrap();
    let mut answers = json!([]);
    for _ in 0..100 {
        answers = call(&link, "report", "{}").await.unwrap()["answers"].clone();
        if answers.as_array().unwrap().len() == 4 {
            break;
        }
    }
    assert_eq!(answers[0]["result"], json!({}));
    assert_eq!(answers[1]["result"]["action"], "cancel");
    assert_eq!(answers[2]["error"]["code"], -1);
    assert_eq!(answers[3]["error"]["code"], -32601);
    // A modern server must not ask, and nothing is written to it.
    let link = bed.open(&["modern"]).await;
    call(&link, "ask", "{}").await.unwrap();
    call(&link, "echo", "{}").await.unwrap();
    assert_eq!(call(&link, "report", "{}").await.unwrap()["answers"], json!([]));
}

#[tokio::test]
async fn a_line_that_is_too_long_costs_its_own_call() {
    let bed = Bed::new();
    let link = bed.open(&[]).await;
    let held = tokio::spawn({
        let link = Arc::clone(&link);
        async move { call(&link, "hold", "{}").await }
    });
    call(&link, "echo", "{}").await.unwrap();
    // Under the limit it arrives.
    let big = call(&link, "huge", "{\"bytes\":8388608}").await.unwrap();
    assert_eq!(big.as_str().unwrap().len(), 8_388_608);
    let error = call(&link, "huge", "{\"bytes\":67108864}").await.unwrap_err();
    assert_eq!((error.cause, error.ran), (Cause::TooLarge, Ran::Maybe));
    call(&link, "release", "{}").await.unwrap();
    held.await.unwrap().unwrap();
    // Alone in flight it is clear whose it is, even when the id comes last.
    let error = call(&link, "huge", "{\"bytes\":33554432,\"hidden\":true}").await.unwrap_err();
    assert_eq!(error.cause, Cause::TooLarge);
    assert!(link.is_open());
    // With two in flight it is not, so the link ends.
    let other = tokio::spawn({
        let link = Arc::clone(&link);
        async move { call(&link, "hold", "{}").await }
    });
    call(&link, "echo", "{}").await.unwrap();
    let error = call(&link, "huge", "{\"bytes\":33554432,\"hidden\":true}").await.unwrap_err();
    assert_eq!(error.cause, Cause::TooLarge);
    assert_eq!(other.await.unwrap().unwrap_err().cause, Cause::TooLarge);
    assert!(!link.is_open());
    bed.nothing_is_left().await;
}

#[tokio::test]
async fn a_gigabyte_without_a_line_end_is_not_kept() {
    let resident = || {
        let pages = std::fs::read_to_string("/proc/self/statm").unwrap();
        pages.split(' ').nth(1).unwrap().parse::<u64>().unwrap() * 4_096
    };
    let bed = Bed::new();
    let link = bed.open(&[]).await;
    let before = resident();
    let gigabyte = call(&link, "huge", "{\"bytes\":1073741824}");
    let mut gigabyte = std::pin::pin!(gigabyte);
    let mut most = 0;
    let error = loop {
        tokio::select! {
            result = &mut gigabyte => break result.unwrap_err(),
            () = tokio::time::sleep(Duration::from_millis(5)) => most = resident().max(most),
        }
    };
    assert_eq!(error.cause, Cause::TooLarge);
    call(&link, "echo", "{}").await.unwrap();
    most = resident().max(most);
    // Other tests run in this process too, so the bound is wide.
    assert!(most < before + (256 << 20), "{} MiB more", (most - before) >> 20);
    println!("{} MiB more", most.saturating_sub(before) >> 20);
}

#[tokio::test]
async fn log_lines_go_to_the_only_call_or_to_the_sink() {
    let bed = Bed::new();
    let link = bed.open(&[]).await;
    let Reply::Exchange(mut exchange) = link.request(tool("log", "{}")).await.unwrap() else {
        panic!("the log line comes first")
    };
    assert_eq!(value(&exchange.next().await.unwrap())["params"]["data"], "hello");
    exchange.next().await.unwrap();
    let held = link.request(tool("hold", "{}"));
    let both = tokio::join!(tokio::time::timeout(Duration::from_secs(1), held), async {
        call(&link, "log", "{}").await.unwrap();
        call(&link, "release", "{}").await.unwrap();
    });
    both.0.unwrap().unwrap();
    assert_eq!(bed.count(|event| matches!(event, Event::Log(_))), 1);
    call(&link, "change", "{}").await.unwrap();
    assert_eq!(bed.count(|event| matches!(event, Event::ListChanged("tools"))), 1);
}

#[tokio::test]
async fn a_modern_child_is_listened_to() {
    let bed = Bed::new();
    let link = bed.open(&["modern"]).await;
    link.listen(Interest {
        lists: true,
        resources: ["a://b".to_owned()].into(),
        ..Interest::default()
    });
    bed.event(|event| matches!(event, Event::ListChanged("tools"))).await;
    bed.event(|event| matches!(event, Event::Updated { uri, .. } if uri == "a://b")).await;
    let first = call(&link, "report", "{}").await.unwrap();
    // The same again asks nothing; another filter replaces the request.
    link.listen(Interest {
        lists: true,
        resources: ["a://b".to_owned()].into(),
        ..Interest::default()
    });
    link.listen(Interest {
        lists: false,
        resources: ["a://c".to_owned()].into(),
        ..Interest::default()
    });
    link.listening().await;
    bed.event(|event| matches!(event, Event::Updated { uri, .. } if uri == "a://c")).await;
    let second = call(&link, "report", "{}").await.unwrap();
    assert_eq!(second["cancelled"], json!([first["listen"]]));
    assert_eq!(bed.count(|event| matches!(event, Event::ListChanged("tools"))), 1);
    // A server that ends the request is asked again, and the owner learns that there was a gap.
    call(&link, "end-listen", "{}").await.unwrap();
    bed.event(|event| matches!(event, Event::Missed)).await;
    assert_ne!(call(&link, "report", "{}").await.unwrap()["listen"], json!(null));
    // A legacy child just says it.
    let link = bed.open(&[]).await;
    link.listen(Interest { lists: true, ..Interest::default() });
    assert_eq!(call(&link, "report", "{}").await.unwrap()["listen"], json!(null));
}

#[tokio::test]
async fn notifications_arrive_in_order_with_calls() {
    let bed = Bed::new();
    let link = bed.open(&[]).await;
    let text = "{\"method\":\"notifications/cancelled\",\n\"params\":{\"requestId\":\"theirs\"}}";
    link.send(Bytes::from_static(text.as_bytes())).await.unwrap();
    let report = call(&link, "report", "{}").await.unwrap();
    assert_eq!(report["cancelled"], json!(["theirs"]));
    link.close().await;
    assert!(link.send(Bytes::from_static(b"{}")).await.is_err());
    until("it is closed", || !link.is_open()).await;
}

#[tokio::test]
async fn what_was_not_written_when_the_child_died_did_not_run() {
    let bed = Bed::new();
    let link = bed.open(&[]).await;
    let mut outgoing = tool("deaf", "{}");
    outgoing.timeout = Duration::from_millis(100);
    link.request(outgoing).await.unwrap_err();
    let text = format!("{{\"text\":\"{}\"}}", "x".repeat(100_000));
    let mut callers = tokio::task::JoinSet::new();
    for _ in 0..100 {
        let (link, outgoing) = (Arc::clone(&link), tool("echo", &text));
        callers.spawn(async move { link.request(outgoing).await.unwrap_err() });
    }
    // All of them wait, in the queue or for a place in it.
    tokio::task::yield_now().await;
    super::bed::kill(link.guardian());
    let errors = callers.join_all().await;
    assert!(errors.iter().all(|error| error.cause == Cause::Gone));
    assert!(errors.iter().filter(|error| error.ran == Ran::No).count() >= 90);
}

/// Calls that a child takes one after the other, five milliseconds each, and more of them than it
/// reads at once. Each gives how many messages came before its response.
fn pile(link: &Arc<StdioLink>, count: usize) -> tokio::task::JoinSet<Result<usize, LinkError>> {
    let text = format!("{{\"steps\":1,\"ms\":5,\"pad\":\"{}\"}}", "x".repeat(1_000));
    let mut callers = tokio::task::JoinSet::new();
    for _ in 0..count {
        let (link, outgoing) = (Arc::clone(link), tool("progress", &text));
        callers.spawn(async move {
            let Reply::Exchange(mut exchange) = link.request(outgoing).await? else {
                return Ok(0);
            };
            let mut before = 0;
            while exchange.next().await?.inbound.kind == InboundKind::Notification {
                before += 1;
            }
            Ok(before)
        });
    }
    callers
}

#[tokio::test(flavor = "multi_thread")]
async fn before_a_child_that_is_behind_everybody_gets_what_is_his() {
    let bed = Bed::new();
    let link = bed.open(&[]).await;
    for _ in 0..2 {
        let got = pile(&link, 40).join_all().await;
        assert!(got.into_iter().all(|before| before.unwrap() == 1));
        // Nothing of the haste is left behind.
        assert_eq!(call(&link, "echo", "{}").await.unwrap(), json!({"echo": {}}));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_child_that_dies_while_it_is_behind_fails_its_calls_at_once() {
    let bed = Bed::new();
    let link = bed.open(&[]).await;
    let callers = pile(&link, 40);
    let error = call(&link, "die", "{}").await.unwrap_err();
    let start = now();
    assert_eq!((error.cause, error.ran), (Cause::Gone, Ran::Maybe));
    let mut failed = callers.join_all().await.into_iter().filter_map(Result::err);
    assert!(failed.all(|error| error.cause == Cause::Gone));
    assert!(start.elapsed() < Duration::from_secs(2));
    link.close().await;
    assert_eq!(bed.count(|event| matches!(event, Event::Gone)), 1);
}
