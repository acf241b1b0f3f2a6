//! Calls of modern clients that wait at a legacy upstream: rounds, coming back, giving up.

use std::time::Duration;

use serde_json::{Value, json};

use crate::bridge::speaker::{Speaker, agreeing};
use crate::support::{Era, Proxy, asker, text, until};

const PATIENCE: Duration = Duration::from_secs(20);

fn form(message: &str) -> Value {
    json!({"method": "elicitation/create", "params": {"message": message,
        "requestedSchema": {"type": "object", "properties": {"name": {"type": "string"}}}}})
}

fn proxy(more: &str) -> Proxy {
    Proxy::start(&format!("[upstreams.ask]\ncommand = [{:?}]\n{more}", asker()))
}

fn report(client: &mut Speaker) -> Value {
    let answer = client.call("tools/call", Speaker::tool("report", &json!({})), agreeing);
    serde_json::from_str(text(&answer)).expect("a report")
}

fn last(client: &mut Speaker, params: Value) -> Value {
    let (_, messages) = client.round("tools/call", params);
    messages.last().expect("an answer").clone()
}

#[test]
fn a_call_waits_for_all_its_answers_and_runs_once() {
    let proxy = proxy("");
    let mut client = Speaker::new(&proxy, Era::Modern, "/mcp/ask");
    let questions = json!([form("a"), form("b"), {"method": "roots/list"}]);
    let params = Speaker::tool("ask", &json!({"questions": questions, "tag": "x", "progress": 3}));

    let (status, messages) = client.round("tools/call", params.clone());
    assert_eq!(status, 200);
    let progress: Vec<&Value> =
        messages.iter().filter(|m| m["method"] == "notifications/progress").collect();
    assert_eq!(progress.len(), 3, "{messages:?}");
    assert!(progress.iter().all(|m| m["params"]["progressToken"] == "t1"), "{messages:?}");
    let required = &messages.last().expect("an answer")["result"];
    let asked = required["inputRequests"].as_object().expect("questions");
    assert_eq!(asked.keys().collect::<Vec<_>>(), ["u1", "u2", "u3"], "they go out together");
    assert_eq!(asked["u1"]["params"]["mode"], "form");

    // Two of three, and one that nobody asked: what is missing is asked again, under its key.
    let mut retry = Speaker::retry(&params, required, agreeing);
    retry["inputResponses"].as_object_mut().expect("answers").remove("u2");
    retry["inputResponses"]["u9"] = json!({"action": "accept"});
    let again = last(&mut client, retry.clone());
    let asked = again["result"]["inputRequests"].as_object().expect("a question");
    assert_eq!(asked.keys().collect::<Vec<_>>(), ["u2"], "{again}");
    // The state of the round before is a replay by now.
    assert_eq!(last(&mut client, retry)["error"]["code"], -32602);

    let retry = Speaker::retry(&params, &again["result"], agreeing);
    let done = last(&mut client, retry);
    assert_eq!(done["result"]["resultType"], "complete", "{done}");
    let told: Value = serde_json::from_str(text(&done)).expect("JSON");
    assert_eq!(told["answers"][0]["result"]["content"]["name"], "Ada", "{told}");
    assert_eq!(told["answers"][2]["result"]["roots"][0]["uri"], "file:///home/ada", "{told}");
    let told = report(&mut client);
    assert_eq!((&told["ran"], &told["finished"]), (&json!(1), &json!(1)), "{told}");
    assert_eq!(told["answered"], 3, "{told}");
}

#[test]
fn of_two_who_come_back_at_once_one_is_served() {
    let proxy = proxy("");
    let mut client = Speaker::new(&proxy, Era::Modern, "/mcp/ask");
    for round in 0..20 {
        let params = Speaker::tool("ask", &json!({"questions": [form("a")], "tag": round}));
        let required = last(&mut client, params.clone());
        let retry = Speaker::retry(&params, &required["result"], agreeing);
        let answers: Vec<Value> = std::thread::scope(|scope| {
            let both: Vec<_> = (0..2)
                .map(|_| {
                    let (retry, proxy) = (retry.clone(), &proxy);
                    scope.spawn(move || {
                        last(&mut Speaker::new(proxy, Era::Modern, "/mcp/ask"), retry)
                    })
                })
                .collect();
            both.into_iter().map(|one| one.join().expect("no panic")).collect()
        });
        let served = |answer: &&Value| {
            answer["result"]["resultType"] == "complete" && answer["result"]["isError"] != true
        };
        assert_eq!(answers.iter().filter(served).count(), 1, "{answers:?}");
    }
    let told = report(&mut client);
    assert_eq!((&told["ran"], &told["finished"]), (&json!(20), &json!(20)), "{told}");
}

#[test]
fn a_call_that_nobody_comes_back_to_is_cancelled_and_nothing_is_left() {
    // The longest time of a call bounds how long it waits for its client.
    let proxy = proxy("timeout = \"1s\"\nmax_time = \"2s\"\n");
    let mut client = Speaker::new(&proxy, Era::Modern, "/mcp/ask");
    let params = Speaker::tool("ask", &json!({"questions": [form("a")]}));
    let required = last(&mut client, params.clone());
    assert_eq!(report(&mut client)["waiting"], 1);
    // The question is refused, too, and not just forgotten.
    let told = until("the call is cancelled, and its question refused", PATIENCE, || {
        let told = report(&mut client);
        (told["waiting"] == 0 && told["answered"] == 1).then_some(told)
    });
    // In this order: a refusal would have finished it.
    assert_eq!((&told["cancelled"], &told["finished"]), (&json!(1), &json!(0)), "{told}");
    let late = last(&mut client, Speaker::retry(&params, &required["result"], agreeing));
    let refused = late["result"]["isError"] == true || late["error"]["code"] == -32602;
    assert!(refused, "{late}");
    assert_eq!(report(&mut client)["ran"], 1);
}

#[test]
fn the_end_of_a_round_that_asked_cancels_nothing_and_leaving_one_that_is_served_does() {
    let proxy = proxy("");
    let mut client = Speaker::new(&proxy, Era::Modern, "/mcp/ask");
    // Both connections are closed right after the question: the call goes on waiting.
    let params = Speaker::tool("ask", &json!({"questions": [form("a")], "progress": 1}));
    let mut stream = client.open("tools/call", params.clone());
    assert_eq!(stream.next()["method"], "notifications/progress");
    let required = stream.next();
    drop(stream);
    assert_eq!(report(&mut client)["waiting"], 1);
    let done = last(&mut client, Speaker::retry(&params, &required["result"], agreeing));
    assert_eq!(done["result"]["resultType"], "complete", "{done}");

    // This one does not end after its answers; its client leaves then.
    let params = Speaker::tool("ask", &json!({"questions": [form("a")], "hold": true}));
    let required = last(&mut client, params.clone());
    let retry = Speaker::retry(&params, &required["result"], agreeing);
    let gone = client.send("tools/call", retry);
    until("the answer has arrived", PATIENCE, || {
        (report(&mut client)["answered"] == 2).then_some(())
    });
    assert_eq!(report(&mut client)["waiting"], 1);
    drop(gone);
    until("the call is cancelled", PATIENCE, || {
        let told = report(&mut client);
        (told["waiting"] == 0 && told["cancelled"] == 1).then_some(())
    });
}

#[test]
fn a_visit_first_and_then_the_call() {
    let proxy = proxy("");
    let mut client = Speaker::new(&proxy, Era::Modern, "/mcp/ask");
    for (tag, action) in [("one", "accept"), ("two", "decline")] {
        let params = Speaker::tool("visit", &json!({"tag": tag}));
        let required = last(&mut client, params.clone());
        let visit = &required["result"]["inputRequests"]["u1"];
        assert_eq!(visit["method"], "elicitation/create", "{required}");
        assert_eq!(visit["params"]["url"], "https://example.com/sign-in");
        assert_eq!(visit["params"]["message"], "[ask] Sign in");
        assert!(visit["params"]["elicitationId"].is_null(), "{visit}");
        let answer = |_: &str, _: &Value| Some(json!({"result": {"action": action}}));
        let done = last(&mut client, Speaker::retry(&params, &required["result"], answer));
        let went = action == "accept";
        assert_eq!(done["result"]["isError"] == true, !went, "{done}");
        assert_eq!(text(&done).contains("visited"), went, "{done}");
    }
    assert_eq!(report(&mut client)["ran"], 1);

    // Who cannot be sent anywhere is told what is lacking.
    let declares = json!({"elicitation": {}});
    let (address, key) = (proxy.address(), proxy.key());
    let mut plain = Speaker::declaring(address, Era::Modern, "/mcp/ask", key, declares, "");
    let (status, messages) = plain.round("tools/call", Speaker::tool("visit", &json!({"tag": 3})));
    assert_eq!(status, 400);
    assert_eq!(messages[0]["error"]["code"], -32021);
    let lacking = &messages[0]["error"]["data"]["requiredCapabilities"];
    assert_eq!(lacking, &json!({"elicitation": {"url": {}}}));

    // A legacy client has the error itself.
    let mut old = Speaker::new(&proxy, Era::Legacy, "/mcp/ask");
    let params = Speaker::tool("visit", &json!({"tag": 4}));
    let answer = old.call("tools/call", params, agreeing);
    assert_eq!(answer["error"]["code"], -32042, "{answer}");
    assert_eq!(answer["error"]["data"]["elicitations"][0]["elicitationId"], "e1");
}
