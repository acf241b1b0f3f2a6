//! Two principals at one process that asks: each question reaches its own caller or is refused.

use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};

use crate::bridge::speaker::{Speaker, everything_declared};
use crate::support::{Era, Setup, asker, text};

/// Calls of each of the four clients.
const ROUNDS: usize = 2_500;

#[test]
fn no_question_reaches_another_caller() {
    let setup = Setup::new()
        .env("FIRST", "the-first-key-of-acme-0123456789abcdef")
        .env("SECOND", "the-second-key-of-acme-0123456789abcdef")
        .config(&format!(
            "[upstreams.ask]\ncommand = [{:?}]\n\
             [tenants.acme]\nkeys = [{{ name = \"a\", env = \"FIRST\" }}, {{ name = \"b\", env = \"SECOND\" }}]\n",
            asker()
        ));
    let proxy = setup.serve();
    let keys =
        ["the-first-key-of-acme-0123456789abcdef", "the-second-key-of-acme-0123456789abcdef"];
    let (asked, refused) = (AtomicUsize::new(0), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for (number, (era, key)) in
            Era::BOTH.into_iter().flat_map(|era| keys.map(|key| (era, key))).enumerate()
        {
            let (proxy, asked, refused) = (&proxy, &asked, &refused);
            scope.spawn(move || {
                let revision = Era::Legacy.revision();
                let declares = everything_declared();
                let mut client =
                    Speaker::declaring(proxy.address(), era, "/mcp/ask", key, declares, revision);
                for round in 0..ROUNDS {
                    let tag = format!("{number}/{round}");
                    let question = json!([{"method": "elicitation/create", "params": {
                        "message": tag, "requestedSchema": {"type": "object", "properties": {}}}}]);
                    let arguments = json!({"questions": question, "tag": tag});
                    let params = Speaker::tool("ask", &arguments);
                    let answer = client.call("tools/call", params, |_, shown| {
                        assert_eq!(shown["message"], format!("[ask] {tag}"), "crossed");
                        asked.fetch_add(1, Ordering::Relaxed);
                        Some(json!({"result": {"action": "accept", "content": {"tag": tag}}}))
                    });
                    let told: Value = serde_json::from_str(text(&answer)).expect("JSON");
                    assert_eq!(told["tag"], json!(tag), "{told}");
                    let given = &told["answers"][0]["result"];
                    if given["action"] == "accept" {
                        assert_eq!(given["content"]["tag"], json!(tag), "crossed");
                    } else {
                        assert_eq!(given["action"], "cancel", "{told}");
                        refused.fetch_add(1, Ordering::Relaxed);
                    }
                }
            });
        }
    });
    let (asked, refused) = (asked.into_inner(), refused.into_inner());
    assert_eq!(asked + refused, 4 * ROUNDS);
    assert!(asked > 0, "nobody was ever asked");
    crate::support::say(&format!("{asked} questions asked, {refused} refused, none crossed"));
}
