//! Questions of a legacy upstream: on the stream of a call, and on the link's own stream.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use mcp_proxy::upstream::{Asker, Cause, Exchange, Outgoing, Reply};
use mcp_proxy::wire::{CapSet, InboundKind};
use serde_json::{Value, json};
use tokio::sync::Notify;

use crate::script::*;

/// What the script and the test tell each other: a call has come, something was posted that is
/// no request, the script may go on.
#[derive(Clone, Default)]
struct Bells {
    called: Arc<Notify>,
    posted: Arc<Notify>,
    go: Arc<Notify>,
}

fn ask(id: &str) -> Value {
    json!({"jsonrpc": "2.0", "id": id, "method": "elicitation/create",
           "params": {"message": id, "requestedSchema": {}}})
}

fn accept(id: &str) -> Bytes {
    Bytes::from(format!(
        "{{\"jsonrpc\":\"2.0\",\"id\":\"{id}\",\"result\":{{\"action\":\"accept\",\"n\":1.0}}}}"
    ))
}

/// An upstream that asks on the stream of each call and ends it once anything was posted.
fn on_the_call(bells: &Bells) -> Script {
    let bells = bells.clone();
    legacy(move |seen| match seen.method() {
        "tools/call" => vec![
            stream(),
            event(&ask("q")),
            Step::Until(Arc::clone(&bells.posted)),
            event(&result(seen, json!({"ok": true}))),
            end(),
        ],
        "GET" => reply(405, "", ""),
        _ => {
            bells.posted.notify_one();
            reply(202, "", "")
        }
    })
}

/// An upstream that asks on its own stream when a call has come and the test says go, and answers
/// calls with JSON of this size once anything was posted.
fn on_its_own(bells: &Bells, size: usize) -> Script {
    let bells = bells.clone();
    legacy(move |seen| match seen.method() {
        "tools/call" => {
            bells.called.notify_one();
            let text = "x".repeat(size);
            let mut steps = vec![Step::Until(Arc::clone(&bells.posted))];
            steps.extend(json_reply(&result(seen, json!({ "text": text }))));
            steps
        }
        "GET" => {
            vec![stream(), Step::Until(Arc::clone(&bells.go)), event(&ask("q")), Step::Hang]
        }
        _ => {
            bells.posted.notify_waiters();
            bells.posted.notify_one();
            reply(202, "", "")
        }
    })
}

async fn listening(bells: &Bells, size: usize) -> Stage {
    let stage = Stage::asking(on_its_own(bells, size)).await;
    stage.link.listen(interest(true, &[]));
    stage.upstream.until_seen("GET", 1).await;
    stage
}

fn by(stage: &Stage, asker: &str) -> Outgoing {
    let mut outgoing = stage.outgoing("tools/call");
    (outgoing.asker, outgoing.takes) = (Some(Asker::new(&asker)), CapSet::QUESTIONS);
    outgoing
}

fn asked(reply: Reply) -> Box<dyn Exchange> {
    match reply {
        Reply::Exchange(exchange) => exchange,
        other => panic!("no question: {other:?}"),
    }
}

async fn question(exchange: &mut Box<dyn Exchange>) {
    let message = exchange.next().await.unwrap();
    assert_eq!(message.inbound.kind, InboundKind::Request, "{}", message.text());
    assert_eq!(value(&message), ask("q"));
}

fn posted(stage: &Stage) -> Vec<Seen> {
    stage.upstream.seen().into_iter().filter(|seen| seen.method() == "POST").collect()
}

#[tokio::test]
async fn a_question_on_the_stream_of_a_call_reaches_its_caller() {
    let bells = Bells::default();
    let stage = Stage::asking(on_the_call(&bells)).await;
    let mut exchange = asked(stage.link.request(by(&stage, "a")).await.unwrap());
    question(&mut exchange).await;
    // An answer to no question is not sent.
    stage.link.send(accept("other")).await.unwrap();
    stage.link.send(accept("q")).await.unwrap();
    assert_eq!(value(&exchange.next().await.unwrap())["result"]["ok"], true);
    assert!(exchange.next().await.is_err());
    let posted = posted(&stage);
    assert_eq!(posted.len(), 1);
    assert_eq!(posted[0].body["result"], json!({"action": "accept", "n": 1.0}));
    assert_eq!(posted[0].header("mcp-session-id"), Some("s1"));
}

#[tokio::test]
async fn two_callers_on_streams_of_their_own_are_both_asked_and_one_that_takes_nothing_is_not() {
    let stage = Stage::asking(legacy(|seen| match seen.method() {
        "tools/call" => {
            let id = seen.body["id"].to_string();
            let question = ask(&id);
            vec![stream(), event(&question), event(&result(seen, json!({}))), end()]
        }
        "GET" => reply(405, "", ""),
        _ => reply(202, "", ""),
    }))
    .await;
    let (one, two) =
        tokio::join!(stage.link.request(by(&stage, "a")), stage.link.request(by(&stage, "b")));
    for reply in [one, two] {
        let mut exchange = asked(reply.unwrap());
        let id = value(&exchange.next().await.unwrap())["id"].clone();
        let end = value(&exchange.next().await.unwrap());
        assert_eq!(id, end["id"].to_string());
    }
    // The calls have ended without answers: their questions were refused.
    stage.upstream.until_seen("POST", 2).await;
    let mut silent = by(&stage, "a");
    silent.takes = CapSet::ELICIT_URL;
    message(stage.link.request(silent).await);
    stage.upstream.until_seen("POST", 3).await;
    assert!(posted(&stage).iter().all(|seen| seen.body["result"]["action"] == "cancel"));
}

#[tokio::test]
async fn a_question_on_the_links_stream_reaches_the_only_caller_before_its_response_has_begun() {
    for size in [10, 200_000] {
        let bells = Bells::default();
        let stage = listening(&bells, size).await;
        let request = stage.link.request(by(&stage, "a"));
        let (reply, ()) = tokio::join!(request, async {
            bells.called.notified().await;
            bells.go.notify_one();
        });
        let mut exchange = asked(reply.unwrap());
        question(&mut exchange).await;
        stage.link.send(accept("q")).await.unwrap();
        let end = value(&exchange.next().await.unwrap());
        assert_eq!(end["result"]["text"].as_str().unwrap().len(), size);
        assert_eq!(posted(&stage).len(), 1);
    }
}

#[tokio::test]
async fn a_question_on_the_links_stream_is_refused_when_it_can_be_of_two() {
    for (other, refused) in [("b", true), ("a", false)] {
        let bells = Bells::default();
        let stage = listening(&bells, 10).await;
        let calls = async {
            tokio::join!(stage.link.request(by(&stage, "a")), stage.link.request(by(&stage, other)))
        };
        let ((one, two), ()) = tokio::join!(calls, async {
            stage.upstream.until_seen("tools/call", 2).await;
            bells.go.notify_one();
            if !refused {
                // The other call of the same caller ends only with the answer.
                stage.link.send(accept("none")).await.unwrap();
                while stage.link.send(accept("q")).await.is_ok() && posted(&stage).is_empty() {
                    tokio::task::yield_now().await;
                }
                bells.posted.notify_one();
            } else {
                stage.upstream.until_seen("POST", 1).await;
                bells.posted.notify_one();
            }
        });
        let (one, two) = (one.unwrap(), two.unwrap());
        if refused {
            assert!(matches!((one, two), (Reply::Message(_), Reply::Message(_))));
            assert_eq!(posted(&stage)[0].body["result"]["action"], "cancel");
        } else {
            let questions = [one, two].into_iter().filter(|r| matches!(r, Reply::Exchange(_)));
            assert_eq!(questions.count(), 1);
            assert_eq!(posted(&stage)[0].body["result"]["action"], "accept");
        }
    }
}

#[tokio::test]
async fn an_exchange_that_is_dropped_cancels_then_refuses_its_question() {
    let bells = Bells::default();
    let on_call = Stage::asking(on_the_call(&bells)).await;
    let mut exchange = asked(on_call.link.request(by(&on_call, "a")).await.unwrap());
    question(&mut exchange).await;
    drop(exchange);

    let bells = Bells::default();
    let on_own = listening(&bells, 10).await;
    let (reply, ()) = tokio::join!(on_own.link.request(by(&on_own, "a")), async {
        bells.called.notified().await;
        bells.go.notify_one();
    });
    drop(asked(reply.unwrap()));
    for stage in [&on_call, &on_own] {
        stage.upstream.until_seen("POST", 1).await;
        let methods = stage.upstream.methods();
        let place = |method: &str| methods.iter().position(|seen| seen == method).unwrap();
        assert!(place("POST") > place("notifications/cancelled"), "{methods:?}");
        assert_eq!(posted(stage)[0].body["result"]["action"], "cancel");
        assert_eq!(posted(stage).len(), 1);
    }
}

#[tokio::test]
async fn silence_does_not_count_while_a_person_thinks_but_the_whole_does() {
    let bells = Bells::default();
    let on_call = Stage::asking(on_the_call(&bells)).await;
    let own = Bells::default();
    let on_own = listening(&own, 10).await;
    for stage in [&on_call, &on_own] {
        let mut outgoing = by(stage, "a");
        outgoing.timeout = Duration::from_millis(300);
        let (reply, ()) = tokio::join!(stage.link.request(outgoing), async {
            if std::ptr::eq(stage, &on_own) {
                own.called.notified().await;
                own.go.notify_one();
            }
        });
        let mut exchange = asked(reply.unwrap());
        question(&mut exchange).await;
        let thinking = tokio::time::timeout(Duration::from_millis(800), exchange.next()).await;
        assert!(thinking.is_err(), "{thinking:?}");
        stage.link.send(accept("q")).await.unwrap();
        assert!(value(&exchange.next().await.unwrap())["result"].is_object());
    }
    let mut outgoing = by(&on_call, "a");
    outgoing.max_time = Duration::from_millis(300);
    let mut exchange = asked(on_call.link.request(outgoing).await.unwrap());
    question(&mut exchange).await;
    assert_eq!(exchange.next().await.unwrap_err().cause, Cause::Timeout);
    on_call.upstream.until_seen("notifications/cancelled", 1).await;
}

#[tokio::test]
async fn a_question_may_be_withdrawn_on_either_stream() {
    let gate = Arc::new(Notify::new());
    let open = Arc::clone(&gate);
    let url = |id: &str, elicitation: &str| {
        json!({"jsonrpc": "2.0", "id": id, "method": "elicitation/create", "params":
            {"mode": "url", "url": "https://x", "elicitationId": elicitation, "message": "m"}})
    };
    let stage = Stage::asking(legacy(move |seen| match seen.method() {
        "tools/call" => vec![
            stream(),
            event(&url("q1", "e1")),
            event(&url("q2", "e2")),
            event(&note("notifications/cancelled", json!({"requestId": "q1"}))),
            event(&note("notifications/cancelled", json!({"requestId": "q9"}))),
            event(&note("notifications/elicitation/complete", json!({"elicitationId": "e1"}))),
            Step::Hang,
        ],
        "GET" => vec![
            stream(),
            Step::Until(Arc::clone(&open)),
            event(&note("notifications/cancelled", json!({"requestId": "q2"}))),
            event(&note("notifications/elicitation/complete", json!({"elicitationId": "e2"}))),
            event(&note("notifications/elicitation/complete", json!({"elicitationId": "e9"}))),
            Step::Hang,
        ],
        _ => reply(202, "", ""),
    }))
    .await;
    stage.link.listen(interest(true, &[]));
    stage.upstream.until_seen("GET", 1).await;
    let mut exchange = asked(stage.link.request(by(&stage, "a")).await.unwrap());
    let mut heard = Vec::new();
    for _ in 0..6 {
        let message = value(&exchange.next().await.unwrap());
        let params = &message["params"];
        let what = [&message["id"], &params["requestId"], &params["elicitationId"]];
        heard.push(what.iter().find_map(|text| text.as_str()).unwrap().to_owned());
        if heard.len() == 4 {
            gate.notify_one();
        }
    }
    assert_eq!(heard, ["q1", "q2", "q1", "e1", "q2", "e2"]);
    stage.until_event("notifications/elicitation/complete").await;
    stage.link.send(accept("q1")).await.unwrap();
    drop(exchange);
    stage.upstream.until_seen("notifications/cancelled", 1).await;
    assert_eq!(posted(&stage).len(), 0);
}
