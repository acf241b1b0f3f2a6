//! Questions in the words of older clients, and what those cannot be asked.

use serde_json::{Value, json};

use crate::bridge::speaker::{Speaker, agreeing, everything_declared};
use crate::support::{Era, Proxy, asker, everything, text};

fn proxy() -> Proxy {
    Proxy::start(&format!(
        "[upstreams.ask]\ncommand = [{:?}]\n[upstreams.new]\ncommand = [{:?}, \"--era\", \"modern\"]\n",
        asker(),
        everything()
    ))
}

fn older(proxy: &Proxy, door: &str, revision: &str) -> Speaker {
    let (address, key) = (proxy.address(), proxy.key());
    Speaker::declaring(address, Era::Legacy, door, key, everything_declared(), revision)
}

fn ask(questions: &Value) -> Value {
    Speaker::tool("ask", &json!({ "questions": questions }))
}

#[test]
fn titled_choices_and_several_values_for_a_client_of_2025_06() {
    let proxy = proxy();
    let mut client = older(&proxy, "/mcp/ask", "2025-06-18");
    let titled = json!([{"method": "elicitation/create", "params": {"mode": "form", "message": "m",
        "requestedSchema": {"type": "object", "properties": {"c": {"type": "string",
            "oneOf": [{"const": "r", "title": "Red"}]}}}}}]);
    let answer = client.call("tools/call", ask(&titled), |_, asked| {
        let property = &asked["requestedSchema"]["properties"]["c"];
        assert_eq!(property, &json!({"type": "string", "enum": ["r"], "enumNames": ["Red"]}));
        assert!(asked["mode"].is_null());
        Some(json!({"result": {"action": "accept", "content": {"c": "r"}}}))
    });
    assert!(text(&answer).contains("\"c\":\"r\""), "{answer}");

    // Several values: nobody is asked, and the caller is told why.
    let mut client = older(&proxy, "/mcp/new", "2025-06-18");
    let params = Speaker::tool("test_elicitation_sep1330_enums", &json!({}));
    let answer = client.call("tools/call", params, |_, asked| panic!("asked {asked}"));
    assert_eq!(answer["result"]["isError"], true, "{answer}");
    assert!(text(&answer).contains("several values"), "{answer}");
    let mut client = older(&proxy, "/mcp/new", "2025-11-25");
    let params = Speaker::tool("test_elicitation_sep1330_enums", &json!({}));
    let answer = client.call("tools/call", params, |_, asked| {
        assert!(asked["requestedSchema"]["properties"]["titledMulti"].is_object());
        Some(json!({"result": {"action": "decline"}}))
    });
    assert!(text(&answer).contains("action=decline"), "{answer}");
}

#[test]
fn forms_came_later_than_sampling() {
    let proxy = proxy();
    let mut client = older(&proxy, "/mcp/new", "2025-03-26");
    let params = Speaker::tool("test_elicitation", &json!({}));
    let answer = client.call("tools/call", params, |_, asked| panic!("asked {asked}"));
    assert_eq!(answer["result"]["isError"], true, "{answer}");
    assert!(text(&answer).contains("elicitation.form"), "{answer}");
    let params = Speaker::tool("test_sampling", &json!({}));
    let answer = client.call("tools/call", params, agreeing);
    assert_eq!(text(&answer), "LLM response: Bonjour");
}

#[test]
fn nobody_is_asked_for_the_context_of_other_servers() {
    let proxy = proxy();
    let question = json!([{"method": "sampling/createMessage", "params": {"messages": [],
        "includeContext": "allServers", "maxTokens": 5, "tools": [{"name": "t", "inputSchema": {}}]}}]);
    for era in Era::BOTH {
        let mut client = Speaker::new(&proxy, era, "/mcp/ask");
        let answer = client.call("tools/call", ask(&question), |method, asked| {
            assert_eq!(asked["includeContext"], "none");
            assert_eq!(asked["tools"][0]["name"], "t");
            agreeing(method, asked)
        });
        assert!(text(&answer).contains("Bonjour"), "{era:?}: {answer}");
    }
}

#[test]
fn what_a_model_is_shown_names_resources_as_the_client_knows_them() {
    let proxy = proxy();
    let link = json!({"type": "resource_link", "uri": "file:///a", "name": "a"});
    let message = json!({"role": "user", "content": [link, {"type": "text", "text": "file:///a"}]});
    let question = json!([{"method": "sampling/createMessage", "params": {"messages": [message]}}]);
    for era in Era::BOTH {
        for (door, name, uri) in
            [("/mcp", "ask__ask", "ask+file:///a"), ("/mcp/ask", "ask", "file:///a")]
        {
            let mut client = Speaker::new(&proxy, era, door);
            let params = Speaker::tool(name, &json!({ "questions": question }));
            let answer = client.call("tools/call", params, |method, asked| {
                let content = &asked["messages"][0]["content"];
                assert_eq!(content[0]["uri"], uri, "{era:?}, {door}");
                assert_eq!(content[1]["text"], "file:///a");
                agreeing(method, asked)
            });
            assert!(text(&answer).contains("Bonjour"), "{era:?}, {door}: {answer}");
        }
    }
}

#[test]
fn a_visit_has_its_id_where_the_revision_has_one() {
    let proxy = proxy();
    let visit = json!([{"method": "elicitation/create", "params": {"mode": "url", "message": "m",
        "elicitationId": "mine", "url": "https://example.com/"}}]);
    for era in Era::BOTH {
        let mut client = Speaker::new(&proxy, era, "/mcp/ask");
        let answer = client.call("tools/call", ask(&visit), |_, asked| {
            let expected = if era == Era::Legacy { json!("mine") } else { Value::Null };
            assert_eq!(asked["elicitationId"], expected);
            Some(json!({"result": {"action": "accept"}}))
        });
        assert!(text(&answer).contains("accept"), "{answer}");
    }
    let mut client = older(&proxy, "/mcp/ask", "2025-06-18");
    let answer = client.call("tools/call", ask(&visit), |_, asked| panic!("asked {asked}"));
    assert!(text(&answer).contains("cancel"), "{answer}");
}
