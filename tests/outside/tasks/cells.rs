//! What a task comes to, for each kind of client before each kind of upstream.

use serde_json::{Value, json};

use crate::support::{Era, text, until};
use crate::tasks::speaker::{Speaker, agreeing, everything_declared};
use crate::tasks::world::{
    PATIENCE, UPSTREAMS, World, client, each, form, get, is_old, last, report, status, takes_tasks,
    task,
};

fn told(result: &Value) -> Value {
    serde_json::from_str(result["content"][0]["text"].as_str().expect("a text")).expect("JSON")
}

#[test]
fn a_task_comes_to_its_result_in_every_pair() {
    let world = World::new();
    let proxy = &world.proxy;
    each(proxy, |client, takes, upstream, name, case| {
        let result = if takes {
            let id = task(client, &name("work"), &json!({"looks": 3}));
            status(client, &id, "completed")["result"].clone()
        } else {
            let params = Speaker::tool(&name("work"), &json!({"looks": 3}));
            client.call("tools/call", params, agreeing)["result"].clone()
        };
        if client.era == Era::Modern && !takes && !is_old(upstream) {
            // Nobody declared tasks, so that the upstream made none.
            assert_eq!(told(&result), "plain", "{case}");
            return;
        }
        assert_eq!(told(&result), json!({"answers": [], "looks": 3}), "{case}: {result}");
        let link = &result["content"][1]["uri"];
        let merged = name("x") != "x";
        let public =
            if merged { format!("{upstream}+file:///made") } else { "file:///made".into() };
        assert_eq!(link, &json!(public), "{case}");
        assert!(!result.to_string().contains("related-task"), "{case}: {result}");
        assert_eq!(report(client, &name("report"))["misnamed"], 0, "{case}");
        if is_old(upstream) {
            assert_eq!(result["_meta"]["vendor/kept"], 1, "{case}: {result}");
        }
    });
}

#[test]
fn each_end_of_a_task_is_told_in_the_client_s_words() {
    let world = World::new();
    let proxy = &world.proxy;
    each(proxy, |client, takes, upstream, name, case| {
        if client.era == Era::Modern && !takes && !is_old(upstream) {
            return;
        }
        for end in ["failed", "error", "cancelled"] {
            let arguments = json!({"looks": 1, "end": end});
            if takes {
                let id = task(client, &name("work"), &arguments);
                match end {
                    // A tool that failed has a result that says so.
                    "failed" => {
                        let done = status(client, &id, "completed");
                        assert_eq!(done["result"]["isError"], true, "{case}: {done}");
                    }
                    "error" => {
                        let done = status(client, &id, "failed");
                        assert_eq!(done["error"]["message"], "broken", "{case}: {done}");
                        assert!(done["result"].is_null(), "{case}: {done}");
                    }
                    _ => {
                        let done = status(client, &id, "cancelled");
                        assert!(done["result"].is_null(), "{case}: {done}");
                    }
                }
                continue;
            }
            let params = Speaker::tool(&name("work"), &arguments);
            let answer = client.call("tools/call", params, agreeing);
            match end {
                "failed" => assert_eq!(answer["result"]["isError"], true, "{case}: {answer}"),
                "error" => assert_eq!(answer["error"]["message"], "broken", "{case}: {answer}"),
                _ => {
                    assert_eq!(answer["result"]["isError"], true, "{case}: {answer}");
                    assert!(text(&answer).contains("cancelled"), "{case}: {answer}");
                }
            }
        }
    });
}

#[test]
fn a_task_asks_its_own_client_and_goes_on_with_the_answers() {
    let world = World::new();
    let proxy = &world.proxy;
    each(proxy, |client, takes, upstream, name, case| {
        if client.era == Era::Modern && !takes && !is_old(upstream) {
            return;
        }
        let arguments = json!({"looks": 2, "questions": [form("one"), form("two")]});
        let prefix = |message: &Value| {
            let message = message.as_str().expect("a message");
            assert!(message.starts_with(&format!("[{upstream}] ")), "{case}: {message}");
        };
        let result = if takes {
            let id = task(client, &name("work"), &arguments);
            let mut asked = Value::Null;
            until("both are asked", PATIENCE, || {
                asked = status(client, &id, "input_required")["inputRequests"].clone();
                (asked.as_object()?.len() == 2).then_some(())
            });
            let keys: Vec<String> = asked.as_object().expect("a map").keys().cloned().collect();
            asked
                .as_object()
                .expect("a map")
                .values()
                .for_each(|q| prefix(&q["params"]["message"]));
            // One at a time; what nobody asked is ignored.
            for (number, key) in keys.iter().enumerate() {
                let answer = json!({"action": "accept", "content": {"name": key}});
                let update = json!({"taskId": id,
                    "inputResponses": {key: answer, "nobody": {"action": "accept"}}});
                let taken = last(client, "tasks/update", update);
                assert_eq!(taken["result"]["resultType"], "complete", "{case}: {taken}");
                assert!(taken["result"]["taskId"].is_null(), "{case}: {taken}");
                if number == 0 {
                    let now = status(client, &id, "input_required");
                    let left = now["inputRequests"].as_object().expect("a map");
                    assert_eq!(left.keys().collect::<Vec<_>>(), [&keys[1]], "{case}");
                }
            }
            status(client, &id, "completed")["result"].clone()
        } else {
            let params = Speaker::tool(&name("work"), &arguments);
            let answer = client.call("tools/call", params, |method, asked| {
                prefix(&asked["message"]);
                agreeing(method, asked)
            });
            answer["result"].clone()
        };
        let answers = told(&result)["answers"].clone();
        assert_eq!(answers.as_array().map(Vec::len), Some(2), "{case}: {result}");
        assert!(answers[0]["action"] == "accept" && answers[1]["action"] == "accept", "{case}");
    });
}

#[test]
fn a_client_with_a_session_sees_how_its_task_goes_on() {
    let world = World::new();
    let proxy = &world.proxy;
    for upstream in UPSTREAMS {
        let door = format!("/mcp/{upstream}");
        let mut client = client(proxy, Era::Legacy, &door, everything_declared());
        let (_, messages) = client.round("tools/call", Speaker::tool("work", &json!({"looks": 4})));
        let steps: Vec<f64> = messages
            .iter()
            .filter(|message| message["method"] == "notifications/progress")
            .map(|message| {
                assert_eq!(message["params"]["progressToken"], "t1", "{upstream}");
                assert!(message["params"]["message"].as_str().expect("a message").contains("look"));
                message["params"]["progress"].as_f64().expect("a number")
            })
            .collect();
        assert!(steps.len() >= 3, "{upstream}: {messages:?}");
        assert!(steps.windows(2).all(|pair| pair[0] < pair[1]), "{upstream}: {steps:?}");
        // They are offered none, and nothing of tasks is theirs to call.
        for method in ["tasks/get", "tasks/result", "tasks/list", "tasks/cancel"] {
            let answer = last(&mut client, method, json!({"taskId": "raw-1"}));
            assert_eq!(answer["error"]["code"], -32601, "{upstream}: {answer}");
        }
    }
}

#[test]
fn a_task_that_nobody_wants_any_more_is_cancelled_at_its_upstream() {
    let world = World::new();
    let proxy = &world.proxy;
    let endless = json!({"looks": 1_000_000});
    for upstream in UPSTREAMS {
        let door = format!("/mcp/{upstream}");
        let mut taker = client(proxy, Era::Modern, &door, takes_tasks());
        let mut cancels = 0;
        let mut cancelled = |taker: &mut Speaker, how: &str| {
            cancels += 1;
            until(&format!("{upstream} was told: {how}"), PATIENCE, || {
                let told = report(taker, "report");
                (told["cancels"] == cancels && told["working"] == 0).then_some(())
            });
        };

        let id = task(&mut taker, "work", &endless);
        status(&mut taker, &id, "working");
        let ack = last(&mut taker, "tasks/cancel", json!({ "taskId": id }));
        assert_eq!(ack["result"]["resultType"], "complete", "{ack}");
        assert!(ack["result"]["status"].is_null(), "{ack}");
        status(&mut taker, &id, "cancelled");
        cancelled(&mut taker, "tasks/cancel");
        // Again is no fault.
        if is_old(upstream) {
            let ack = last(&mut taker, "tasks/cancel", json!({ "taskId": id }));
            assert_eq!(ack["result"]["resultType"], "complete", "{ack}");
        }

        // A client with a session cancels its call.
        let mut older = client(proxy, Era::Legacy, &door, everything_declared());
        let mut stream = older.open("tools/call", Speaker::tool("work", &endless));
        stream.next();
        older.say(&json!({"jsonrpc": "2.0", "method": "notifications/cancelled",
            "params": {"requestId": older.last_id()}}));
        cancelled(&mut taker, "a cancelled call");

        // A modern one that takes none closes its stream.
        if is_old(upstream) {
            let mut other = client(proxy, Era::Modern, &door, everything_declared());
            let mut stream = other.open("tools/call", Speaker::tool("work", &endless));
            stream.next();
            drop(stream);
            cancelled(&mut taker, "a closed stream");
        }

        // Closing the request of a task that was made cancels nothing (it is no request any more),
        // nor does a notification.
        let id = task(&mut taker, "work", &endless);
        taker.say(&json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {
            "requestId": taker.last_id(),
            "_meta": {"io.modelcontextprotocol/protocolVersion": "2026-07-28",
                "io.modelcontextprotocol/clientCapabilities": {}}}}));
        status(&mut taker, &id, "working");
        last(&mut taker, "tasks/cancel", json!({ "taskId": id }));
        cancelled(&mut taker, "tasks/cancel");
    }
}

#[test]
fn a_task_that_waits_for_answers_can_be_cancelled() {
    let world = World::new();
    let proxy = &world.proxy;
    for upstream in UPSTREAMS {
        let mut taker = client(proxy, Era::Modern, &format!("/mcp/{upstream}"), takes_tasks());
        let id = task(&mut taker, "work", &json!({"looks": 1, "questions": [form("one")]}));
        status(&mut taker, &id, "input_required");
        last(&mut taker, "tasks/cancel", json!({ "taskId": id }));
        let done = status(&mut taker, &id, "cancelled");
        assert!(done["inputRequests"].is_null(), "{done}");
        let told = report(&mut taker, "report");
        assert_eq!((&told["cancels"], &told["waiting"]), (&json!(1), &json!(0)), "{told}");
    }
}

#[test]
fn a_tool_that_may_run_plainly_does_and_a_wish_for_a_task_means_nothing() {
    let world = World::new();
    let proxy = &world.proxy;
    for era in Era::BOTH {
        let declares = if era == Era::Modern { takes_tasks() } else { everything_declared() };
        let mut client = client(proxy, era, "/mcp/old", declares);
        for wish in [Value::Null, json!({}), json!({"ttl": 1}), json!(7)] {
            let mut params = Speaker::tool("either", &json!({}));
            if !wish.is_null() {
                params["task"] = wish.clone();
            }
            let answer = last(&mut client, "tools/call", params);
            assert_eq!(text(&answer), "\"plain\"", "{era:?}, {wish}: {answer}");
            let mut params = Speaker::tool("work", &json!({"looks": 1}));
            if !wish.is_null() {
                params["task"] = wish;
            }
            let answer = last(&mut client, "tools/call", params);
            assert!(answer["error"].is_null(), "{era:?}: {answer}");
        }
        assert_eq!(report(&mut client, "report")["refused"], 0);
    }
}

#[test]
fn what_a_task_came_to_outlives_the_work_on_it() {
    let world = World::new();
    let proxy = &world.proxy;
    let mut taker = client(proxy, Era::Modern, "/mcp/old", takes_tasks());
    // One after the other, so that they are over in this order.
    let ids: Vec<String> = (0..5)
        .map(|_| {
            let id = task(&mut taker, "work", &json!({"looks": 1}));
            status(&mut taker, &id, "completed");
            id
        })
        .collect();
    for id in &ids {
        assert_eq!(get(&mut taker, id)["result"]["status"], "completed");
    }
    // So many are kept for one key: what is over gives way to what runs, the oldest first, and of
    // those that run none does.
    let endless = json!({"looks": 1_000_000});
    let mut running = Vec::new();
    for _ in 0..62 {
        running.push(task(&mut taker, "work", &endless));
    }
    for (number, id) in ids.iter().enumerate() {
        let told = get(&mut taker, id);
        assert_eq!(told["error"]["code"] == -32602, number < 3, "{number}: {told}");
    }
    running.extend((0..2).map(|_| task(&mut taker, "work", &endless)));
    for _ in 0..3 {
        let refused = last(&mut taker, "tools/call", Speaker::tool("work", &endless));
        assert_eq!(refused["result"]["isError"], true, "{refused}");
    }
    for id in &running {
        assert_eq!(get(&mut taker, id)["result"]["status"], "working");
    }
}
