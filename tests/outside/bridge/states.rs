//! A `requestState` is good for the very same request of the very same caller, once and for a while.

use serde_json::{Value, json};

use crate::bridge::speaker::{Speaker, agreeing, everything_declared};
use crate::support::{Era, Proxy, Setup, asker, text};

/// The first round of a call that asks, and the params with which one comes back.
fn first(client: &mut Speaker, params: &Value) -> Value {
    let (_, messages) = client.round("tools/call", params.clone());
    let last = messages.last().expect("an answer").clone();
    assert_eq!(last["result"]["resultType"], "input_required", "{last}");
    Speaker::retry(params, &last["result"], agreeing)
}

fn refused(client: &mut Speaker, params: Value, case: &str) {
    let (_, messages) = client.round("tools/call", params);
    let last = messages.last().expect("an answer");
    assert_eq!(last["error"]["code"], -32602, "{case}: {last}");
}

/// Calls that the upstream has begun and ended.
fn report(client: &mut Speaker, name: &str) -> Value {
    let answer = client.call("tools/call", Speaker::tool(name, &json!({})), agreeing);
    serde_json::from_str(text(&answer)).expect("a report")
}

#[test]
fn a_state_that_was_changed_or_is_anothers_executes_nothing() {
    let program = asker();
    let setup =
        Setup::new().env("FIRST", "the-first-key-of-acme-0123456789abcdef").config(&format!(
            "[upstreams.ask]\ncommand = [{program:?}]\n[upstreams.two]\ncommand = [{program:?}]\n\
             [upstreams.new]\ncommand = [{program:?}, \"modern\"]\n\
             [tenants.acme]\nkeys = [{{ name = \"a\", env = \"FIRST\" }}]\n"
        ));
    let second = setup.create_key("acme", "b");
    setup.add_tenant("globex");
    let foreign = setup.create_key("globex", "c");
    let proxy = setup.serve();
    let key = "the-first-key-of-acme-0123456789abcdef";
    let client = |door: &str, key: &str| {
        let address = proxy.address();
        Speaker::declaring(address, Era::Modern, door, key, everything_declared(), "")
    };
    let question = json!([{"method": "elicitation/create", "params": {"message": "Sure?",
        "requestedSchema": {"type": "object", "properties": {}}}}]);
    let legacy = Speaker::tool("ask__ask", &json!({"questions": question, "tag": 1}));
    let upright = Speaker::tool("new__stated", &json!({"a": 1}));
    for params in [legacy, upright] {
        let mut own = client("/mcp", key);
        let retry = first(&mut own, &params);
        let state = retry["requestState"].as_str().expect("a state").to_owned();

        // One bit of any character that carries something.
        for at in [0, 1, 2, 3, state.len() / 3, state.len() / 2, state.len() - 1] {
            let mut bytes = state.clone().into_bytes();
            bytes[at] ^= 1;
            let mut changed = retry.clone();
            changed["requestState"] = json!(String::from_utf8_lossy(&bytes));
            refused(&mut own, changed, &format!("bit {at}"));
        }
        let mut changed = retry.clone();
        changed["requestState"] = json!(7);
        refused(&mut own, changed, "no text");
        let mut changed = retry.clone();
        changed["requestState"] = json!("");
        refused(&mut own, changed, "empty");
        let mut changed = retry.clone();
        changed["arguments"]["extra"] = json!(true);
        refused(&mut own, changed, "other arguments");

        refused(&mut client("/mcp", &second), retry.clone(), "another key");
        refused(&mut client("/mcp", &foreign), retry.clone(), "another tenant");
        let name = params["name"].as_str().expect("a name");
        let (upstream, tool) = name.split_once("__").expect("two parts");
        let mut single = retry.clone();
        single["name"] = json!(tool);
        refused(&mut client(&format!("/mcp/{upstream}"), key), single, "another door");
        let mut other = retry.clone();
        other["name"] = json!(if upstream == "ask" { "two__ask" } else { "new__bare" });
        refused(&mut own, other, "another tool");

        // All of it has harmed nothing: the true one still works.
        let (_, messages) = own.round("tools/call", retry.clone());
        let last = messages.last().expect("an answer");
        assert_eq!(last["result"]["resultType"], "complete", "{last}");
        // One round that asked and one that answered: no other has reached the upstream.
        let told = report(&mut own, &format!("{upstream}__report"));
        assert_eq!((&told["ran"], &told["finished"]), (&json!(1), &json!(1)), "{told}");
        if upstream == "ask" {
            assert_eq!(report(&mut own, "two__report")["ran"], 0);
            // A replay finds no call any more, and makes none.
            let (_, messages) = own.round("tools/call", retry);
            let last = messages.last().expect("an answer");
            assert_eq!(last["result"]["isError"], true, "{last}");
            assert!(text(last).contains("expired"), "{last}");
            assert_eq!(report(&mut own, "ask__report")["ran"], 1);
        }
    }
}

#[test]
fn a_call_that_waited_in_another_life_is_not_made_again() {
    let program = asker();
    let setup = Setup::new().config(&format!("[upstreams.ask]\ncommand = [{program:?}]\n"));
    let proxy = setup.serve();
    let question = json!([{"method": "roots/list"}]);
    let params = Speaker::tool("ask", &json!({"questions": question}));
    let mut client = Speaker::new(&proxy, Era::Modern, "/mcp/ask");
    let retry = first(&mut client, &params);
    let proxy: Proxy = proxy.stop().serve();
    let mut client = Speaker::new(&proxy, Era::Modern, "/mcp/ask");
    let (_, messages) = client.round("tools/call", retry);
    let last = messages.last().expect("an answer");
    assert_eq!(last["result"]["isError"], true, "{last}");
    assert!(text(last).contains("call the tool again"), "{last}");
    assert_eq!(report(&mut client, "report")["ran"], 0);
}
