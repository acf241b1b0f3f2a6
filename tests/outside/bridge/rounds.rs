//! Calls with questions from the side of a session, and the states of modern upstreams.

use std::time::Duration;

use serde_json::{Value, json};

use crate::bridge::speaker::{Speaker, agreeing};
use crate::support::{Era, Proxy, asker, everything, text, until};

const PATIENCE: Duration = Duration::from_secs(20);

fn proxy() -> Proxy {
    Proxy::start(&format!(
        "[upstreams.ask]\ncommand = [{0:?}]\n[upstreams.new]\ncommand = [{0:?}, \"modern\"]\n\
         [upstreams.every]\ncommand = [{1:?}, \"--era\", \"modern\"]\n",
        asker(),
        everything()
    ))
}

fn report(client: &mut Speaker) -> Value {
    let answer = client.call("tools/call", Speaker::tool("report", &json!({})), agreeing);
    serde_json::from_str(text(&answer)).expect("a report")
}

fn asking(more: &Value) -> Value {
    let mut arguments = json!({"questions": [{"method": "elicitation/create", "params":
        {"message": "m", "requestedSchema": {"type": "object", "properties": {}}}}]});
    for (name, value) in more.as_object().into_iter().flatten() {
        arguments[name] = value.clone();
    }
    Speaker::tool("ask", &arguments)
}

#[test]
fn a_question_comes_after_progress_on_the_same_stream() {
    let proxy = proxy();
    let mut client = Speaker::new(&proxy, Era::Legacy, "/mcp/ask");
    let mut stream = client.open("tools/call", asking(&json!({"progress": 3})));
    for step in 1..=3 {
        let message = stream.next();
        assert_eq!(message["params"]["progress"], step, "{message}");
        assert_eq!(message["params"]["progressToken"], "t1", "{message}");
    }
    let asked = stream.next();
    assert_eq!(asked["params"]["message"], "[ask] m");
    client.answer(&asked, &json!({"result": {"action": "accept", "content": {"n": 1.0}}}));
    let answer = stream.next();
    assert!(text(&answer).contains("\"n\":1.0"), "{answer}");
    // The process is told that it may ask, for it is one for all.
    assert!(report(&mut client)["declared"]["elicitation"]["form"].is_object());
}

#[test]
fn a_question_that_is_withdrawn_is_withdrawn_for_the_client() {
    let proxy = proxy();
    let mut client = Speaker::new(&proxy, Era::Legacy, "/mcp/ask");
    let mut stream = client.open("tools/call", asking(&json!({"withdraw": true})));
    let asked = stream.next();
    let withdrawn = stream.next();
    assert_eq!(withdrawn["method"], "notifications/cancelled", "{withdrawn}");
    assert_eq!(withdrawn["params"]["requestId"], asked["id"], "{withdrawn}");
    let answer = stream.next();
    assert!(answer["result"].is_object(), "{answer}");
    // Too late, and ignored.
    client.answer(&asked, &json!({"result": {"action": "accept"}}));
    assert_eq!(report(&mut client)["answered"], 0);
    // A modern client never sees it: the call just ends.
    let mut modern = Speaker::new(&proxy, Era::Modern, "/mcp/ask");
    let answer = modern
        .call("tools/call", asking(&json!({"withdraw": true})), |_, asked| panic!("asked {asked}"));
    assert_eq!(answer["result"]["resultType"], "complete", "{answer}");
}

#[test]
fn a_call_that_is_cancelled_while_it_asks_leaves_nothing() {
    let proxy = proxy();
    let mut client = Speaker::new(&proxy, Era::Legacy, "/mcp/ask");
    let mut stream = client.open("tools/call", asking(&json!({})));
    let asked = stream.next();
    assert_eq!(asked["method"], "elicitation/create");
    let id = client.last_id();
    client.say(&json!({"jsonrpc": "2.0", "method": "notifications/cancelled",
        "params": {"requestId": id}}));
    let told = until("the upstream is told, and its question refused", PATIENCE, || {
        let told = report(&mut client);
        (told["waiting"] == 0 && told["answered"] == 1).then_some(told)
    });
    // In this order: a refusal would have finished it.
    assert_eq!((&told["cancelled"], &told["finished"]), (&json!(1), &json!(0)), "{told}");

    // A modern upstream holds nothing between rounds: it just hears nothing more.
    let mut client = Speaker::new(&proxy, Era::Legacy, "/mcp/every");
    let mut stream = client.open("tools/call", Speaker::tool("test_elicitation", &json!({})));
    let asked = stream.next();
    let id = client.last_id();
    client.say(&json!({"jsonrpc": "2.0", "method": "notifications/cancelled",
        "params": {"requestId": id}}));
    stream.ended();
    client.answer(&asked, &json!({"result": {"action": "decline"}}));
    let answer = client.call("tools/call", Speaker::tool("test_elicitation", &json!({})), agreeing);
    assert!(text(&answer).contains("action=accept"), "{answer}");
}

#[test]
fn the_state_of_an_upstream_comes_back_as_it_was_and_none_stays_none() {
    let proxy = proxy();
    for era in Era::BOTH {
        let mut client = Speaker::new(&proxy, era, "/mcp/new");
        let told = |answer: &Value| -> Value { serde_json::from_str(text(answer)).expect("JSON") };

        // Nothing but a state: a legacy client notices nothing of it.
        let params = Speaker::tool("stated", &json!({}));
        let mut asked = 0;
        let answer = client.call("tools/call", params.clone(), |_, _| {
            asked += 1;
            None
        });
        assert_eq!(told(&answer)["state"], "\u{1F600}/\" \\ é", "{era:?}: {answer}");
        assert_eq!(asked, 0);

        let answer = client.call("tools/call", Speaker::tool("bare", &json!({})), agreeing);
        assert!(told(&answer)["state"].is_null(), "{era:?}: {answer}");
        assert!(told(&answer)["answers"]["q"]["roots"].is_array(), "{era:?}: {answer}");

        if era == Era::Modern {
            let (_, messages) = client.round("tools/call", params);
            let result = &messages[0]["result"];
            assert!(!result["requestState"].as_str().expect("ours").contains('\u{1F600}'));
            let kept = ["ttlMs", "cacheScope"].iter().any(|name| !result[name].is_null());
            assert!(!kept, "a question is not kept: {result}");
        }
    }
    // What a legacy client writes into these members is nothing to the upstream.
    let mut client = Speaker::new(&proxy, Era::Legacy, "/mcp/new");
    let mut params = Speaker::tool("bare", &json!({}));
    params["requestState"] = json!("forged");
    params["inputResponses"] = json!({"q": {"roots": "forged"}});
    let answer = client.call("tools/call", params, agreeing);
    assert!(!answer.to_string().contains("forged"), "{answer}");
}

#[test]
fn what_a_client_lacks_is_named_in_its_own_words() {
    let proxy = proxy();
    let mut old = Speaker::new(&proxy, Era::Legacy, "/mcp/new");
    let answer = old.call("tools/call", Speaker::tool("lack", &json!({})), agreeing);
    assert_eq!(answer["result"]["isError"], true, "{answer}");
    assert!(text(&answer).contains("sampling.tools"), "{answer}");
    let mut new = Speaker::new(&proxy, Era::Modern, "/mcp/new");
    let (status, messages) = new.round("tools/call", Speaker::tool("lack", &json!({})));
    assert_eq!(status, 400);
    let lacking = &messages[0]["error"]["data"]["requiredCapabilities"];
    assert_eq!(lacking, &json!({"sampling": {"tools": {}}}), "{messages:?}");
}
