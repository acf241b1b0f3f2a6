//! Upstreams that end while their tasks run, and a proxy that does.

use serde_json::json;

use crate::support::{Era, text};
use crate::tasks::speaker::{Speaker, everything_declared};
use crate::tasks::world::{World, client, get, last, status, takes_tasks, task};

#[test]
fn a_task_whose_upstream_died_ends_with_a_sentence() {
    let world = World::new();
    let endless = json!({"looks": 1_000_000});
    for upstream in ["old", "new"] {
        let door = format!("/mcp/{upstream}");
        let mut killer = client(&world.proxy, Era::Modern, &door, takes_tasks());
        let mut older = client(&world.proxy, Era::Legacy, &door, everything_declared());
        let id = task(&mut killer, "work", &endless);
        let mut stream = older.open("tools/call", Speaker::tool("work", &endless));
        assert_eq!(stream.next()["method"], "notifications/progress");
        last(&mut killer, "tools/call", Speaker::tool("die", &json!({})));

        // Nothing is made again: the client is told, and decides itself.
        let end = loop {
            let message = stream.next();
            if message["method"].is_null() {
                break message;
            }
        };
        if upstream == "old" {
            assert_eq!(end["result"]["isError"], true, "{end}");
            assert!(text(&end).contains("may have"), "{end}");
            let told = status(&mut killer, &id, "completed");
            assert_eq!(told["result"]["isError"], true, "{told}");
        } else {
            // A new process of the upstream knows nothing of it, and says so.
            assert_eq!(end["error"]["code"], -32602, "{end}");
            assert_eq!(get(&mut killer, &id)["error"]["code"], -32602);
        }
    }
}

#[test]
fn a_handle_outlives_the_proxy_where_the_upstream_keeps_the_task() {
    let (_server, address) = crate::support::serve_tasker(&["modern"]);
    let (_older, old) = crate::support::serve_tasker(&[]);
    let proxy = crate::support::Proxy::start(&format!(
        "[upstreams.new]\nurl = \"http://{address}/mcp\"\n[upstreams.old]\nurl = \"http://{old}/mcp\"\n"
    ));
    let mut before = client(&proxy, Era::Modern, "/mcp/new", takes_tasks());
    let id = task(&mut before, "work", &json!({"looks": 3}));
    let mut kept = client(&proxy, Era::Modern, "/mcp/old", takes_tasks());
    let lost = task(&mut kept, "work", &json!({"looks": 1_000_000}));

    let proxy = proxy.stop().serve();
    let mut after = client(&proxy, Era::Modern, "/mcp/new", takes_tasks());
    status(&mut after, &id, "completed");
    // What this process had followed is unknown to the next.
    let mut after = client(&proxy, Era::Modern, "/mcp/old", takes_tasks());
    assert_eq!(get(&mut after, &lost)["error"]["code"], -32602);
}
