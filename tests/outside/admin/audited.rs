//! What is done through the API is written down, for whom it was done, and read again by those
//! who may.

use std::time::Duration;

use serde_json::{Value, json};

use crate::admin::world::{Ask, OPERATOR, World, text, value};
use crate::support::{Client, Era, until};

const PATIENCE: Duration = Duration::from_secs(30);

fn items(answer: &Value) -> &Vec<Value> {
    answer["items"].as_array().expect("items")
}

/// The records of a tenant, the oldest first, once there are as many as `enough` says.
fn records(world: &World, key: &str, enough: impl Fn(&[Value]) -> bool) -> Vec<Value> {
    until("the records", PATIENCE, || {
        let path = "/api/v1/audit?order=oldest&limit=200";
        let found = value(&world.ask(&Ask::new("GET", path).key(key)));
        Some(items(&found).clone()).filter(|found| enough(found))
    })
}

fn of<'a>(records: &'a [Value], method: &str) -> Vec<&'a Value> {
    records.iter().filter(|record| record["method"] == method).collect()
}

#[test]
fn each_write_and_what_the_operator_does_for_a_tenant_is_written_down() {
    let world = World::new();
    let acme = world.tenant("acme");
    let member = text(&world.key(&acme, &json!({ "name": "member" })));
    let set = Ask::new("PUT", "/api/v1/secrets/gh/token").json(&json!({ "value": "canary-4711" }));
    assert_eq!(world.ask(&set.clone().key(&acme)).status, 200);
    assert_eq!(world.ask(&set.clone().key(&member)).status, 403);
    assert_eq!(world.ask(&set.key(OPERATOR).tenant("acme")).status, 200);
    // The operator only looks, which a tenant has a right to know.
    let look = Ask::new("GET", "/api/v1/keys").key(OPERATOR).tenant("acme");
    assert_eq!(world.ask(&look).status, 200);
    let wrong = Ask::new("POST", "/api/v1/keys").key(&acme).json(&json!({ "name": 7 }));
    assert_eq!(world.ask(&wrong).status, 400);

    let found = records(&world, &acme, |found| of(found, "admin/createKey").len() >= 2);
    let outcomes = |method: &str| -> Vec<(String, String, String)> {
        let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        of(&found, method)
            .iter()
            .map(|record| (word(&record["outcome"]), word(&record["ran"]), word(&record["actor"])))
            .collect()
    };
    let row = |outcome: &str, ran: &str, actor: &str| {
        (outcome.to_owned(), ran.to_owned(), actor.to_owned())
    };
    assert_eq!(outcomes("admin/createKey"), [row("ok", "yes", ""), row("refused", "no", "")]);
    assert_eq!(
        outcomes("admin/setSecret"),
        [row("ok", "yes", ""), row("refused", "no", ""), row("ok", "yes", "operator ops")]
    );
    // So is what he calls for the tenant, by either way.
    let call = Ask::new("POST", "/api/v1/tools/free__echo/call");
    let call = call.json(&json!({ "arguments": { "text": "x" } })).key(OPERATOR).tenant("acme");
    assert_eq!(world.ask(&call).status, 200);
    let mut client = Client::connect(Era::Modern, world.address(), "/mcp", Some(OPERATOR))
        .with_header("X-Tenant", "acme");
    client.call("free__echo", json!({ "text": "x" }));
    let found = records(&world, &acme, |found| of(found, "tools/call").len() >= 2);
    let actors: Vec<&Value> =
        of(&found, "tools/call").into_iter().map(|record| &record["actor"]).collect();
    assert_eq!(actors, ["operator ops", "operator ops"]);
    assert_eq!(outcomes("admin/listKeys"), [row("ok", "yes", "operator ops")]);
    let secret = of(&found, "admin/setSecret")[0];
    assert_eq!(secret["target"], "/api/v1/secrets/gh/token");
    assert!(!found.iter().any(|record| record.to_string().contains("canary-4711")));
    // What the operator does for nobody is in a chain of its own, which tenants do not see.
    let all = Ask::new("GET", "/api/v1/audit?method=admin/createTenant").key(OPERATOR);
    let all = value(&world.ask(&all));
    assert_eq!(items(&all).len(), 1, "{all}");
    assert!(of(&found, "admin/createTenant").is_empty());
}

#[test]
fn records_and_usage_are_their_tenants_own_and_add_up() {
    let world = World::new();
    let (acme, beta) = (world.tenant("acme"), world.tenant("beta"));
    let set = Ask::new("PUT", "/api/v1/secrets/gh/token").key(&acme).json(&json!({ "value": "v" }));
    assert_eq!(world.ask(&set).status, 200);
    let mut client = Client::connect(Era::Modern, world.address(), "/mcp", Some(&acme));
    for _ in 0..5 {
        client.call("free__echo", json!({ "text": "hello" }));
    }
    let found = records(&world, &acme, |found| of(found, "tools/call").len() == 5);
    let other = records(&world, &beta, |_| true);
    assert!(of(&other, "tools/call").is_empty());
    // A page after another, in both orders.
    for (order, first) in [("oldest", found[0].clone()), ("newest", Value::Null)] {
        let (mut seen, mut cursor) = (Vec::new(), String::new());
        loop {
            let path = format!("/api/v1/audit?limit=2&order={order}&method=tools/call{cursor}");
            let page = value(&world.ask(&Ask::new("GET", &path).key(&acme)));
            seen.extend(items(&page).iter().map(|record| record["seq"].as_u64().expect("a seq")));
            let Some(next) = page["next"].as_str() else { break };
            cursor = format!("&cursor={next}");
        }
        assert_eq!(seen.len(), 5, "{order}");
        assert!(seen.is_sorted_by(|a, b| if first.is_null() { a > b } else { a < b }), "{seen:?}");
    }
    let seq = of(&found, "tools/call")[0]["seq"].as_u64().expect("a seq");
    let one = value(&world.ask(&Ask::new("GET", &format!("/api/v1/audit/{seq}")).key(&acme)));
    assert_eq!(&one, of(&found, "tools/call")[0]);
    for wrong in ["outcome=good", "since=soon", "order=best", "key=x"] {
        let path = format!("/api/v1/audit?{wrong}");
        assert_eq!(world.ask(&Ask::new("GET", &path).key(&acme)).status, 400, "{wrong}");
    }
    let usage = value(&world.ask(&Ask::new("GET", "/api/v1/usage?by=day,key,tool").key(&acme)));
    let used = items(&usage).iter().find(|row| row["tool"] == "echo").expect("the tool");
    assert_eq!((&used["calls"], &used["errors"]), (&json!(5), &json!(0)));
    let bytes: u64 = of(&found, "tools/call").iter().filter_map(|r| r["bytes_out"].as_u64()).sum();
    assert_eq!(used["bytes_out"], json!(bytes));
    let all = value(&world.ask(&Ask::new("GET", "/api/v1/usage?by=tenant").key(OPERATOR)));
    let names: Vec<&str> = items(&all).iter().filter_map(|row| row["tenant"].as_str()).collect();
    assert!(names.contains(&"acme"), "{names:?}");
    // A head that is kept elsewhere is one of the tenant's own.
    let heads = value(&world.ask(&Ask::new("GET", "/api/v1/audit/heads").key(&acme)));
    assert_eq!(items(&heads).len(), 1);
    assert_eq!(items(&heads)[0]["tenant"], "acme");
}

#[test]
fn without_an_audit_the_routes_say_so() {
    let world = World::with("[audit]\nenabled = false");
    let acme = world.tenant("acme");
    for path in ["/api/v1/audit", "/api/v1/audit/1", "/api/v1/audit/heads", "/api/v1/usage"] {
        let answer = world.ask(&Ask::new("GET", path).key(&acme));
        assert_eq!(answer.status, 404, "{path}");
        assert!(answer.text().contains("[audit]"), "{}", answer.text());
    }
}
