//! Questions that a legacy child asks while it works on calls.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use mcp_proxy::base::now;
use mcp_proxy::upstream::stdio::StdioLink;
use mcp_proxy::upstream::{Asker, Cause, Event, Exchange, Link, Message, Outgoing, Ran, Reply};
use mcp_proxy::wire::{CapSet, InboundKind};
use serde_json::{Value, json};

use super::bed::{Bed, PATIENCE, call, tool, until, value};

const FORM: &str = "{\"message\":\"who?\",\"requestedSchema\":{}}";

/// A child that was told that it may ask everything.
async fn open(bed: &Bed, modes: &[&str], exclusive: bool) -> Arc<StdioLink> {
    let mut spec = bed.spec(modes);
    spec.capabilities = CapSet::QUESTIONS;
    spec.exclusive = exclusive;
    bed.open_spec(spec).await.unwrap()
}

/// A call of a caller that can be asked everything.
fn by(asker: &str, name: &str, arguments: &str) -> Outgoing {
    let mut outgoing = tool(name, arguments);
    (outgoing.asker, outgoing.takes) = (Some(Asker::new(&asker)), CapSet::QUESTIONS);
    outgoing
}

/// A call in which the child asks.
fn question(asker: &str, id: &str, method: &str, params: &str) -> Outgoing {
    let arguments = format!("{{\"id\":\"{id}\",\"method\":\"{method}\",\"params\":{params}}}");
    by(asker, "question", &arguments)
}

fn form(asker: &str, id: &str) -> Outgoing {
    question(asker, id, "elicitation/create", FORM)
}

async fn exchange(link: &StdioLink, outgoing: Outgoing) -> Box<dyn Exchange> {
    match link.request(outgoing).await.unwrap() {
        Reply::Exchange(exchange) => exchange,
        other => panic!("no question: {other:?}"),
    }
}

/// The answer of a call that comes without a question.
async fn answer(link: &StdioLink, outgoing: Outgoing) -> Value {
    match link.request(outgoing).await.unwrap() {
        Reply::Message(message) => value(&message),
        other => panic!("not an answer: {other:?}"),
    }
}

fn asked(message: &Message) -> String {
    assert_eq!(message.inbound.kind, InboundKind::Request, "{}", message.text());
    message.text()[message.inbound.id.clone().unwrap()].to_owned()
}

async fn accept(link: &StdioLink, id: &str, name: &str) {
    let text = format!(
        "{{\"jsonrpc\":\"2.0\",\"id\":{id},\"result\":{{\"action\":\"accept\",\"content\":{{\"n\":\"{name}\"}}}}}}"
    );
    link.send(Bytes::from(text)).await.unwrap();
}

/// A call that the child holds until another one releases it; true once it has it.
async fn hold(link: &Arc<StdioLink>, asker: &'static str) -> tokio::task::JoinHandle<()> {
    let held = tokio::spawn({
        let link = Arc::clone(link);
        async move {
            let _ = link.request(by(asker, "hold", "{}")).await;
        }
    });
    while call(link, "report", "{}").await.unwrap()["held"] != 1 {}
    held
}

#[tokio::test]
async fn a_question_reaches_the_only_caller_and_its_answer_the_child() {
    let bed = Bed::new();
    let link = open(&bed, &[], false).await;
    let mut exchange = exchange(&link, form("a", "q-1")).await;
    let message = exchange.next().await.unwrap();
    assert_eq!(asked(&message), "\"q-1\"");
    assert_eq!(value(&message)["params"]["message"], "who?");
    // What somebody else answers reaches nobody.
    accept(&link, "\"q-2\"", "Eve").await;
    accept(&link, "\"q-1\"", "Ann").await;
    let end = value(&exchange.next().await.unwrap());
    assert_eq!(end["answered"]["result"]["content"]["n"], "Ann");
    // There is one answer to each question.
    accept(&link, "\"q-1\"", "Bob").await;
    let report = call(&link, "report", "{}").await.unwrap();
    assert_eq!(report["answers"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_question_that_can_be_of_two_callers_is_refused_and_of_one_goes_to_its_newest_call() {
    let bed = Bed::new();
    let link = open(&bed, &[], false).await;
    let held = hold(&link, "a").await;
    let refused = answer(&link, form("b", "q1")).await;
    assert_eq!(refused["answered"]["result"], json!({"action": "cancel"}));
    let refused = answer(&link, question("b", "q2", "sampling/createMessage", "{}")).await;
    assert_eq!(refused["answered"]["error"]["code"], -1);
    // The caller of the held call itself can be asked.
    let mut asking = exchange(&link, form("a", "q3")).await;
    accept(&link, &asked(&asking.next().await.unwrap()), "Ann").await;
    assert_eq!(value(&asking.next().await.unwrap())["answered"]["result"]["action"], "accept");
    // Lists of the proxy's own are nobody's calls and in nobody's way.
    call(&link, "release", "{}").await.unwrap();
    held.await.unwrap();
    let own = tokio::spawn({
        let link = Arc::clone(&link);
        async move { call(&link, "hold", "{}").await }
    });
    while call(&link, "report", "{}").await.unwrap()["held"] != 1 {}
    let mut asking = exchange(&link, form("b", "q4")).await;
    accept(&link, &asked(&asking.next().await.unwrap()), "Bob").await;
    asking.next().await.unwrap();
    call(&link, "release", "{}").await.unwrap();
    own.await.unwrap().unwrap();
}

#[tokio::test]
async fn what_nobody_takes_is_refused_in_the_protocols_words() {
    let bed = Bed::new();
    let link = open(&bed, &[], false).await;
    let url = "{\"mode\":\"url\",\"url\":\"https://x\",\"elicitationId\":\"e\",\"message\":\"m\"}";
    for (method, params, takes, expected) in [
        ("elicitation/create", url, CapSet::ELICIT_FORM, json!({"action": "cancel"})),
        ("elicitation/create", FORM, CapSet::ELICIT_URL, json!({"action": "cancel"})),
        ("sampling/createMessage", "{\"tools\":[]}", CapSet::SAMPLING, json!(-1)),
        ("roots/list", "{}", CapSet::SAMPLING, json!(-32601)),
        ("other/question", "{}", CapSet::QUESTIONS, json!(-32601)),
        ("ping", "{}", CapSet::NONE, json!({})),
    ] {
        let mut outgoing = question("a", "q", method, params);
        outgoing.takes = takes;
        let refused = answer(&link, outgoing).await;
        let answered = &refused["answered"];
        let got = answered.get("result").unwrap_or(&answered["error"]["code"]);
        assert_eq!(*got, expected, "{method}");
    }
    // Nothing was declared to this one.
    let link = bed.open(&[]).await;
    let refused = answer(&link, form("a", "q")).await;
    assert_eq!(refused["answered"]["result"]["action"], "cancel");
}

#[tokio::test]
async fn an_exchange_that_is_dropped_cancels_then_refuses_its_questions() {
    let bed = Bed::new();
    let link = open(&bed, &[], false).await;
    let mut asking = exchange(&link, form("a", "q1")).await;
    asked(&asking.next().await.unwrap());
    drop(asking);
    // A question that was never fetched is refused as well.
    drop(exchange(&link, form("a", "q2")).await);
    let report = call(&link, "report", "{}").await.unwrap();
    let heard = report["heard"].as_array().unwrap();
    assert_eq!(heard.len(), 4, "{heard:?}");
    assert_eq!((&heard[1], &heard[3]), (&json!({"answer": "q1"}), &json!({"answer": "q2"})));
    assert!(heard[0]["cancelled"].is_u64() && heard[2]["cancelled"].is_u64(), "{heard:?}");
    assert_eq!(report["answers"][1]["result"]["action"], "cancel");
}

/// The file says that this upstream stops what is cancelled; it answers nothing then.
#[tokio::test]
async fn a_cancelled_call_of_one_that_stops_keeps_nothing_from_others_for_long() {
    let bed = Bed::new();
    let mut spec = bed.spec(&["quiet"]);
    (spec.capabilities, spec.cancels) = (CapSet::QUESTIONS, true);
    let link = bed.open_spec(spec).await.unwrap();
    let held = hold(&link, "a").await;
    held.abort();
    held.await.unwrap_err();
    while call(&link, "report", "{}").await.unwrap()["cancelled"] == json!([]) {}
    let mut refused = 0;
    let end = now() + PATIENCE;
    let mut exchange = loop {
        match link.request(form("b", &format!("q{refused}"))).await.unwrap() {
            Reply::Exchange(exchange) => break exchange,
            Reply::Message(message) => {
                assert_eq!(value(&message)["answered"]["result"]["action"], "cancel");
                refused += 1;
            }
            other => panic!("{other:?}"),
        }
        assert!(now() < end, "it is never free");
    };
    assert!(refused > 0, "what it was just writing may still come");
    let message = exchange.next().await.unwrap();
    assert_eq!(message.inbound.kind, InboundKind::Request);
}

#[tokio::test]
async fn a_call_that_was_given_up_keeps_its_questions_from_others_until_it_has_ended() {
    let bed = Bed::new();
    for (modes, reaches) in [(&["quiet"][..], false), (&[], true)] {
        let link = open(&bed, modes, false).await;
        let held = hold(&link, "a").await;
        held.abort();
        held.await.unwrap_err();
        // It has heard of the cancellation, and answered it all the same unless it is quiet.
        while call(&link, "report", "{}").await.unwrap()["cancelled"] == json!([]) {}
        // It could still be the one that asks.
        match link.request(form("b", "q")).await.unwrap() {
            Reply::Message(message) => {
                assert!(!reaches);
                assert_eq!(value(&message)["answered"]["result"]["action"], "cancel");
            }
            Reply::Exchange(mut exchange) => {
                assert!(reaches);
                asked(&exchange.next().await.unwrap());
            }
            other => panic!("{other:?}"),
        }
        // Its own caller may be asked whatever happens.
        let mut asking = exchange(&link, form("a", "q9")).await;
        if !reaches {
            asked(&asking.next().await.unwrap());
        }
    }
}

#[tokio::test]
async fn what_a_shared_child_asks_at_its_start_is_nobodys_question() {
    let bed = Bed::new();
    for shared in [true, false] {
        let mut spec = bed.spec(&["asks-at-start"]);
        (spec.capabilities, spec.shared) = (CapSet::QUESTIONS, shared);
        let link = bed.open_spec(spec).await.unwrap();
        // A call on its heels, so that somebody could be asked.
        let reply = link.request(question("a", "q", "roots/list", "{}")).await.unwrap();
        let Reply::Exchange(mut exchange) = reply else { panic!("{reply:?}") };
        let mut ids = Vec::new();
        while ids.last().is_none_or(|id| id != "\"q\"") {
            ids.push(asked(&exchange.next().await.unwrap()));
        }
        assert!(!shared || ids.len() == 1, "{ids:?}");
        drop(exchange);
        let report = call(&link, "report", "{}").await.unwrap();
        let error = |answer: &Value| answer["error"]["code"] == -32601;
        assert!(report["answers"].as_array().unwrap().iter().all(error), "{report}");
        assert_eq!(report["answers"].as_array().unwrap().len(), 2);
    }
}

#[tokio::test]
async fn a_question_may_be_withdrawn_and_a_page_be_done_with() {
    let bed = Bed::new();
    let link = open(&bed, &[], false).await;
    let url =
        "{\"mode\":\"url\",\"url\":\"https://x\",\"elicitationId\":\"e-1\",\"message\":\"m\"}";
    let mut asking = exchange(&link, question("a", "q1", "elicitation/create", url)).await;
    asked(&asking.next().await.unwrap());
    for (method, params) in [
        ("notifications/elicitation/complete", "{\"elicitationId\":\"e-1\"}"),
        ("notifications/elicitation/complete", "{\"elicitationId\":\"e-2\"}"),
        ("notifications/cancelled", "{\"requestId\":\"q1\"}"),
        ("notifications/cancelled", "{\"requestId\":\"q7\"}"),
    ] {
        let arguments = format!("{{\"method\":\"{method}\",\"params\":{params}}}");
        call(&link, "note", &arguments).await.unwrap();
    }
    let message = asking.next().await.unwrap();
    assert_eq!(value(&message)["params"]["elicitationId"], "e-1");
    let message = asking.next().await.unwrap();
    assert_eq!(value(&message)["params"]["requestId"], "q1");
    bed.event(|event| matches!(event, Event::Other(_))).await;
    // Nothing is open any more: no answer goes, and nothing is refused at the end.
    accept(&link, "\"q1\"", "Ann").await;
    drop(asking);
    let report = call(&link, "report", "{}").await.unwrap();
    assert_eq!(report["answers"], json!([]));
    assert_eq!(report["heard"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn silence_does_not_count_while_a_person_thinks_but_the_whole_does() {
    let bed = Bed::new();
    let link = open(&bed, &[], false).await;
    let mut outgoing = form("a", "q1");
    outgoing.timeout = Duration::from_millis(200);
    let mut asking = exchange(&link, outgoing).await;
    let id = asked(&asking.next().await.unwrap());
    let thinking = tokio::time::timeout(Duration::from_millis(600), asking.next()).await;
    assert!(thinking.is_err(), "{thinking:?}");
    accept(&link, &id, "Ann").await;
    assert_eq!(value(&asking.next().await.unwrap())["answered"]["result"]["action"], "accept");

    let mut outgoing = form("a", "q2");
    outgoing.max_time = Duration::from_millis(300);
    let mut asking = exchange(&link, outgoing).await;
    asked(&asking.next().await.unwrap());
    let error = asking.next().await.unwrap_err();
    assert_eq!((error.cause, error.ran), (Cause::Timeout, Ran::Maybe));
    assert!(error.detail.contains("max_time"), "{}", error.detail);
    let report = call(&link, "report", "{}").await.unwrap();
    assert_eq!(report["answers"][1]["result"]["action"], "cancel");
}

#[tokio::test]
async fn an_exclusive_child_takes_one_call_at_a_time_and_lists_beside_it() {
    let bed = Bed::new();
    let link = open(&bed, &[], true).await;
    let mut asking = exchange(&link, form("a", "q1")).await;
    let id = asked(&asking.next().await.unwrap());
    call(&link, "echo", "{}").await.unwrap();
    let mut impatient = by("b", "echo", "{}");
    impatient.timeout = Duration::from_millis(100);
    let error = link.request(impatient).await.unwrap_err();
    assert_eq!((error.cause, error.ran), (Cause::Timeout, Ran::No));
    let other = tokio::spawn({
        let link = Arc::clone(&link);
        async move { exchange(&link, form("b", "q2")).await.next().await.map(|m| asked(&m)) }
    });
    accept(&link, &id, "Ann").await;
    assert_eq!(value(&asking.next().await.unwrap())["answered"]["result"]["action"], "accept");
    drop(asking);
    assert_eq!(other.await.unwrap().unwrap(), "\"q2\"");
    // Whoever waits for a turn when the child ends hears of it.
    let mut asking = exchange(&link, form("b", "q3")).await;
    asked(&asking.next().await.unwrap());
    let (waiting, ()) = tokio::join!(link.request(by("a", "echo", "{}")), async {
        super::bed::kill(link.guardian());
    });
    assert_eq!(waiting.unwrap_err().ran, Ran::No);
    until("it is over", || !link.is_open()).await;
}

/// Two callers ask as fast as they can: whatever reaches one of them is its own.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_question_ever_reaches_another_caller() {
    let bed = Bed::new();
    let link = open(&bed, &["quiet"], false).await;
    let mut callers = tokio::task::JoinSet::new();
    for asker in ["a", "b"] {
        let link = Arc::clone(&link);
        callers.spawn(async move {
            let mut delivered = 0;
            for round in 0..1_000 {
                let id = format!("{asker}-{round}");
                match link.request(form(asker, &id)).await.unwrap() {
                    Reply::Message(message) => {
                        assert_eq!(value(&message)["answered"]["result"]["action"], "cancel");
                    }
                    Reply::Exchange(mut exchange) => {
                        assert_eq!(asked(&exchange.next().await.unwrap()), format!("\"{id}\""));
                        accept(&link, &format!("\"{id}\""), &id).await;
                        let end = value(&exchange.next().await.unwrap());
                        assert_eq!(end["answered"]["result"]["content"]["n"], id);
                        delivered += 1;
                    }
                    other => panic!("{other:?}"),
                }
            }
            delivered
        });
    }
    let delivered: u32 = callers.join_all().await.into_iter().sum();
    println!("{delivered} of 2000 delivered, the others refused");
}
