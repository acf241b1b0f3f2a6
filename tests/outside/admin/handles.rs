//! Whatever names something of one tenant is unknown in the hands of another, to the byte.

use serde_json::{Value, json};

use crate::admin::world::{Ask, OPERATOR, World, text, value};
use crate::support::{Answer, Client, Era};

/// What tells answers apart.
pub(crate) fn face(answer: &Answer) -> (u16, String, Vec<(String, String)>) {
    let mut headers = answer.headers.clone();
    headers.retain(|(name, _)| name != "date");
    (answer.status, answer.text(), headers)
}

#[test]
fn handles_of_another_tenant_are_unknown_ones() {
    let world = World::new();
    let (acme, beta) = (world.tenant("acme"), world.tenant("beta"));
    let key = world.key(&acme, &json!({ "name": "one" }));
    let key = key["id"].as_str().expect("an id");
    let set = Ask::new("PUT", "/api/v1/secrets/gh/token").key(&acme).json(&json!({ "value": "v" }));
    assert_eq!(world.ask(&set).status, 200);
    let _client = Client::connect(Era::Legacy, world.address(), "/mcp", Some(&acme));
    let sessions = value(&world.ask(&Ask::new("GET", "/api/v1/sessions").key(&acme)));
    let session = sessions["items"][0]["id"].as_str().expect("a session");
    let made_up: String = session.chars().rev().collect();
    let cases = [
        ("GET", format!("/api/v1/keys/{key}"), "/api/v1/keys/zzzzzzzzzz".to_owned()),
        ("DELETE", format!("/api/v1/keys/{key}"), "/api/v1/keys/zzzzzzzzzz".to_owned()),
        ("POST", format!("/api/v1/keys/{key}/rotate"), "/api/v1/keys/zzzzzzzzzz/rotate".to_owned()),
        ("DELETE", format!("/api/v1/sessions/{session}"), format!("/api/v1/sessions/{made_up}")),
        ("DELETE", "/api/v1/secrets/gh/token".to_owned(), "/api/v1/secrets/gh/nothing".to_owned()),
    ];
    for (method, path, unknown) in &cases {
        for who in
            [Ask::new(method, path).key(&beta), Ask::new(method, path).key(OPERATOR).tenant("beta")]
        {
            let foreign = world.ask(&who);
            let other = world.ask(&Ask::new(method, unknown).key(&beta));
            assert_eq!(face(&foreign), face(&other), "{method} {path}");
        }
    }
    // All of them are still there.
    assert_eq!(world.ask(&Ask::new("GET", &cases[0].1).key(&acme)).status, 200);
    let sessions = value(&world.ask(&Ask::new("GET", "/api/v1/sessions").key(&acme)));
    assert_eq!(sessions["items"].as_array().map(Vec::len), Some(1));
    let secrets = value(&world.ask(&Ask::new("GET", "/api/v1/secrets").key(&acme)));
    assert_eq!(secrets["items"].as_array().map(Vec::len), Some(1));
}

#[test]
fn pages_come_one_after_another_and_cursors_are_their_makers_own() {
    let world = World::new();
    let (acme, beta) = (world.tenant("acme"), world.tenant("beta"));
    for number in 0..6 {
        world.key(&acme, &json!({ "name": format!("key {number}") }));
        world.key(&beta, &json!({ "name": format!("key {number}") }));
    }
    let mut seen: Vec<Value> = Vec::new();
    let mut path = "/api/v1/keys?limit=3".to_owned();
    let mut cursor = String::new();
    loop {
        let page = value(&world.ask(&Ask::new("GET", &path).key(&acme)));
        seen.extend(page["items"].as_array().expect("items").iter().map(|key| key["id"].clone()));
        let Some(next) = page["next"].as_str() else { break };
        cursor = next.to_owned();
        path = format!("/api/v1/keys?limit=3&cursor={cursor}");
    }
    assert_eq!(seen.len(), 7);
    seen.sort_by_key(ToString::to_string);
    seen.dedup();
    assert_eq!(seen.len(), 7, "each once");

    let ask = |path: &str, key: &str| world.ask(&Ask::new("GET", path).key(key));
    let own = format!("/api/v1/keys?cursor={cursor}");
    assert_eq!(ask(&own, &acme).status, 200);
    let junk = face(&ask("/api/v1/keys?cursor=AAAA", &beta));
    assert_eq!(face(&ask(&own, &beta)), junk, "another tenant's");
    let member = text(&world.key(&acme, &json!({ "name": "member" })));
    assert_eq!(face(&ask(&own, &member)), junk, "another key's");
    assert_eq!(
        face(&ask(&format!("/api/v1/secrets?cursor={cursor}"), &acme)),
        junk,
        "another list's"
    );
    for wrong in ["limit=0", "limit=201", "limit=x", "limit=1&limit=2", "cursor=%ff"] {
        assert_eq!(ask(&format!("/api/v1/keys?{wrong}"), &acme).status, 400, "{wrong}");
    }
}

#[test]
fn the_handles_of_mcp_are_their_tenants_own_for_the_operator_too() {
    let world = World::new();
    let (acme, _) = (world.tenant("acme"), world.tenant("beta"));
    let client = Client::connect(Era::Legacy, world.address(), "/mcp", Some(&acme));
    let session = client.session().expect("a session").to_owned();
    let made_up: String = session.chars().rev().collect();
    let body = json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {} });
    let ask = |session: &str, tenant: &str| {
        let ask = Ask::new("POST", "/mcp").key(OPERATOR).tenant(tenant).json(&body);
        let ask = ask.header("Accept", "application/json, text/event-stream");
        world.ask(
            &ask.header("Mcp-Session-Id", session).header("MCP-Protocol-Version", "2025-11-25"),
        )
    };
    let unknown = face(&ask(&made_up, "beta"));
    assert_eq!(unknown.0, 404);
    assert_eq!(face(&ask(&session, "beta")), unknown);
    assert_eq!(face(&ask(&session, "acme")), unknown, "another key of the same tenant");
}
