//! Tasks in the filter of `subscriptions/listen`.

use serde_json::{Value, json};

use crate::support::{Era, until};
use crate::tasks::speaker::Stream;
use crate::tasks::world::{PATIENCE, World, client, last, report, status, takes_tasks, task};

/// The next message about a task.
fn news(stream: &mut Stream) -> Value {
    let message = stream.next();
    assert_eq!(message["method"], "notifications/tasks", "{message}");
    assert!(!message.to_string().contains("raw-"), "the upstream's id: {message}");
    message["params"].clone()
}

#[test]
fn whoever_listens_to_a_task_hears_of_it_under_the_id_that_it_knows() {
    let world = World::new();
    let proxy = &world.proxy;
    for (door, upstream) in [("/mcp/new", "new"), ("/mcp", "new"), ("/mcp", "new-web")] {
        let merged = door == "/mcp";
        let tool =
            |name: &str| if merged { format!("{upstream}__{name}") } else { name.to_owned() };
        let mut owner = client(proxy, Era::Modern, door, takes_tasks());
        let before = report(&mut owner, &tool("report"))["listens"].clone();
        let id = task(&mut owner, &tool("work"), &json!({"looks": 1}));
        let other = task(&mut owner, &tool("work"), &json!({"looks": 1_000_000}));
        status(&mut owner, &id, "completed");

        let mut listener = client(proxy, Era::Modern, door, takes_tasks());
        let filter = json!({"notifications": {"taskIds": [id, "raw-1", "t.nothing"]}});
        let mut stream = listener.open("subscriptions/listen", filter);
        let listen = listener.last_id();
        let acknowledged = stream.next();
        assert_eq!(
            acknowledged["params"]["notifications"],
            json!({"taskIds": [id]}),
            "{acknowledged}"
        );
        until("the upstream is listened to", PATIENCE, || {
            let declared = report(&mut owner, &tool("report"))["declared"].clone();
            let declared = declared.as_array().and_then(|all| all.last().cloned())?;
            declared["extensions"]["io.modelcontextprotocol/tasks"].is_object().then_some(())
        });
        last(&mut owner, "tools/call", json!({"name": tool("touch"), "arguments": {}}));
        let params = news(&mut stream);
        assert_eq!(params["taskId"], id.as_str(), "{params}");
        assert_eq!(params["status"], "completed", "{params}");
        let public = format!("{upstream}+file:///made");
        let uri = if merged { public.as_str() } else { "file:///made" };
        assert_eq!(params["result"]["content"][1]["uri"], uri, "{params}");
        assert_eq!(params["_meta"]["io.modelcontextprotocol/subscriptionId"], listen, "{params}");
        assert_ne!(id, other);
        drop(stream);
        // Nobody listens any more: the upstream is asked for lists alone.
        until("the upstream hears of it", PATIENCE, || {
            let told = report(&mut owner, &tool("report"));
            let declared = told["declared"].as_array().and_then(|all| all.last().cloned())?;
            let forgotten = declared["extensions"]["io.modelcontextprotocol/tasks"].is_null();
            // Over HTTP the example does not see that a stream was closed.
            let left = told["listens"].as_u64() <= before.as_u64().max(Some(1));
            (forgotten && (left || upstream == "new-web")).then_some(())
        });
        last(&mut owner, "tasks/cancel", json!({ "taskId": other }));
    }
}

#[test]
fn a_task_of_a_legacy_upstream_is_told_of_as_it_changes() {
    let world = World::new();
    let proxy = &world.proxy;
    let mut owner = client(proxy, Era::Modern, "/mcp/old", takes_tasks());
    let id = task(&mut owner, "work", &json!({"looks": 6}));
    let filter = json!({"notifications": {"taskIds": [id]}});
    let mut listener = client(proxy, Era::Modern, "/mcp/old", takes_tasks());
    let mut stream = listener.open("subscriptions/listen", filter);
    assert_eq!(stream.next()["params"]["notifications"], json!({"taskIds": [id]}));
    let done = loop {
        let params = news(&mut stream);
        assert_eq!(params["taskId"], id.as_str(), "{params}");
        if params["status"] != "working" {
            break params;
        }
    };
    assert_eq!(done["status"], "completed", "{done}");
    assert!(done["result"]["content"].is_array(), "{done}");
}
