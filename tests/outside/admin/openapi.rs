//! The OpenAPI document against the running routes: each answer has a documented status, and what
//! it holds fits the documented schema.

use std::collections::BTreeSet;
use std::time::Duration;

use mcp_proxy::admin::surface;
use serde_json::{Value, json};

use crate::admin::world::{Ask, OPERATOR, World, text, value};
use crate::support::{Client, Era, until};

/// Where a value does not fit a schema (JSON Schema 2020-12, the words that ours use).
fn misfits(document: &Value, schema: &Value, value: &Value, at: &str, found: &mut Vec<String>) {
    if let Some(reference) = schema["$ref"].as_str() {
        let schema = document.pointer(reference.trim_start_matches('#'));
        match schema {
            Some(schema) => misfits(document, schema, value, at, found),
            None => found.push(format!("{at}: {reference} leads nowhere")),
        }
        return;
    }
    if let Some(any) = schema["anyOf"].as_array() {
        let fits = any.iter().any(|schema| {
            let mut found = Vec::new();
            misfits(document, schema, value, at, &mut found);
            found.is_empty()
        });
        if !fits {
            found.push(format!("{at}: {value} fits none"));
        }
        return;
    }
    let kinds: Vec<&str> = match &schema["type"] {
        Value::String(kind) => vec![kind],
        Value::Array(kinds) => kinds.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    };
    let is = |kind: &&str| match *kind {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "integer" => value.is_i64() || value.is_u64(),
        "boolean" => value.is_boolean(),
        "null" => value.is_null(),
        _ => false,
    };
    if !kinds.is_empty() && !kinds.iter().any(is) {
        found.push(format!("{at}: {value} is not {kinds:?}"));
    }
    if let Some(allowed) = schema["enum"].as_array()
        && !allowed.contains(value)
    {
        found.push(format!("{at}: {value} is not one of {allowed:?}"));
    }
    for name in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        if value.is_object() && value.get(name).is_none() {
            found.push(format!("{at}: `{name}` is missing"));
        }
    }
    for (name, value) in value.as_object().into_iter().flatten() {
        match schema["properties"].get(name) {
            Some(schema) => misfits(document, schema, value, &format!("{at}.{name}"), found),
            None if schema["additionalProperties"] == false => {
                found.push(format!("{at}: `{name}` is not documented"));
            }
            None => {}
        }
    }
    for (index, value) in value.as_array().into_iter().flatten().enumerate() {
        misfits(document, &schema["items"], value, &format!("{at}[{index}]"), found);
    }
}

#[test]
fn every_success_is_as_the_document_says() {
    let world = World::with("[bodies]\ntools = [\"*\"]");
    let document = world.ask(&Ask::new("GET", "/api/v1/openapi.json").key(OPERATOR));
    let document = value(&document);
    assert_eq!(document["openapi"], "3.1.0");
    let boss = world.tenant("acme");
    let _client = Client::connect(Era::Legacy, world.address(), "/mcp", Some(&boss));
    let session = value(&world.ask(&Ask::new("GET", "/api/v1/sessions").key(&boss)));
    let session = session["items"][0]["id"].as_str().expect("a session").to_owned();
    let ended = world.key(&boss, &json!({ "name": "ended" }));
    let ended = ended["id"].as_str().expect("an id").to_owned();
    let turned = world.key(&boss, &json!({ "name": "turned", "expires_in": "1d" }));
    let turned = turned["id"].as_str().expect("an id").to_owned();
    let echo = Ask::new("POST", "/api/v1/tools/free__echo/call").key(&boss);
    world.ask(&echo.json(&json!({ "arguments": { "text": "x" } })));
    // It is on disk a moment after its answer.
    let body = until("a body", Duration::from_secs(30), || {
        let page = value(&world.ask(&Ask::new("GET", "/api/v1/bodies").key(&boss)));
        page["items"][0]["id"].as_u64()
    });
    let new_tenant =
        json!({ "name": "beta", "key": { "name": "x" }, "secrets": { "gh": { "token": "t" } } });
    let empty = json!({});
    let made = json!({ "url": "http://127.0.0.1:9/mcp", "allow_private": true });
    let mut named = made.clone();
    named["name"] = json!("made");
    // In an order in which each finds what it needs: (route, path, key, body).
    let calls: Vec<(&str, String, &str, Value)> = vec![
        ("GET /api/v1/openapi.json", String::new(), &boss, empty.clone()),
        ("GET /api/v1/health", String::new(), OPERATOR, empty.clone()),
        ("GET /api/v1/health", String::new(), &boss, empty.clone()),
        ("GET /api/v1/me", String::new(), &boss, empty.clone()),
        ("GET /api/v1/me", String::new(), OPERATOR, empty.clone()),
        ("POST /api/v1/token", String::new(), &boss, json!({ "expires_in": "1m" })),
        ("POST /api/v1/token", String::new(), OPERATOR, empty.clone()),
        ("POST /api/v1/tenants", String::new(), OPERATOR, new_tenant),
        ("POST /api/v1/tenants", String::new(), OPERATOR, json!({ "name": "gamma" })),
        ("GET /api/v1/tenants", String::new(), OPERATOR, empty.clone()),
        ("GET /api/v1/tenants/{name}", "/api/v1/tenants/beta".to_owned(), OPERATOR, empty.clone()),
        ("GET /api/v1/tenants/{name}", "/api/v1/tenants/filed".to_owned(), OPERATOR, empty.clone()),
        (
            "DELETE /api/v1/tenants/{name}",
            "/api/v1/tenants/gamma".to_owned(),
            OPERATOR,
            empty.clone(),
        ),
        ("POST /api/v1/keys", String::new(), OPERATOR, json!({ "name": "second" })),
        ("POST /api/v1/keys", String::new(), &boss, json!({ "name": "a", "scopes": ["gh__*"] })),
        (
            "POST /api/v1/keys/{id}/rotate",
            format!("/api/v1/keys/{turned}/rotate"),
            &boss,
            empty.clone(),
        ),
        ("GET /api/v1/keys/{id}", format!("/api/v1/keys/{turned}"), &boss, empty.clone()),
        ("DELETE /api/v1/keys/{id}", format!("/api/v1/keys/{ended}"), &boss, empty.clone()),
        ("GET /api/v1/keys", String::new(), &boss, empty.clone()),
        ("GET /api/v1/keys", String::new(), OPERATOR, empty.clone()),
        ("GET /api/v1/keys", String::new(), crate::admin::world::FILED, empty.clone()),
        ("GET /api/v1/secrets", String::new(), crate::admin::world::FILED, empty.clone()),
        ("GET /api/v1/upstreams", String::new(), &boss, empty.clone()),
        ("GET /api/v1/upstreams/{name}", "/api/v1/upstreams/gh".to_owned(), &boss, empty.clone()),
        (
            "PUT /api/v1/secrets/{upstream}/{slot}",
            "/api/v1/secrets/gh/token".to_owned(),
            &boss,
            json!({ "value": "x" }),
        ),
        ("GET /api/v1/secrets", String::new(), &boss, empty.clone()),
        ("GET /api/v1/upstreams/{name}", "/api/v1/upstreams/free".to_owned(), &boss, empty.clone()),
        ("GET /api/v1/upstreams", String::new(), &boss, empty.clone()),
        (
            "DELETE /api/v1/secrets/{upstream}/{slot}",
            "/api/v1/secrets/gh/token".to_owned(),
            &boss,
            empty.clone(),
        ),
        ("GET /api/v1/tools", String::new(), &boss, empty.clone()),
        ("GET /api/v1/tools/{tool}", "/api/v1/tools/free__echo".to_owned(), &boss, empty.clone()),
        (
            "POST /api/v1/tools/{tool}/call",
            "/api/v1/tools/free__echo/call".to_owned(),
            &boss,
            json!({ "arguments": { "text": "x" }, "timeout": "20s" }),
        ),
        ("POST /api/v1/upstreams", String::new(), OPERATOR, named),
        ("PUT /api/v1/upstreams/{name}", "/api/v1/upstreams/made".to_owned(), OPERATOR, made),
        (
            "PATCH /api/v1/upstreams/{name}",
            "/api/v1/upstreams/made".to_owned(),
            OPERATOR,
            json!({ "timeout": "6s" }),
        ),
        ("GET /api/v1/upstreams/{name}", "/api/v1/upstreams/made".to_owned(), &boss, empty.clone()),
        (
            "POST /api/v1/upstreams/{name}/disable",
            "/api/v1/upstreams/made/disable".to_owned(),
            OPERATOR,
            empty.clone(),
        ),
        ("GET /api/v1/upstreams", String::new(), &boss, empty.clone()),
        ("GET /api/v1/upstreams/{name}", "/api/v1/upstreams/made".to_owned(), &boss, empty.clone()),
        (
            "POST /api/v1/upstreams/{name}/enable",
            "/api/v1/upstreams/made/enable".to_owned(),
            OPERATOR,
            empty.clone(),
        ),
        (
            "POST /api/v1/upstreams/{name}/restart",
            "/api/v1/upstreams/made/restart".to_owned(),
            &boss,
            empty.clone(),
        ),
        (
            "GET /api/v1/upstreams/{name}/stderr",
            "/api/v1/upstreams/made/stderr".to_owned(),
            &boss,
            empty.clone(),
        ),
        (
            "GET /api/v1/upstreams/{name}/history",
            "/api/v1/upstreams/made/history".to_owned(),
            &boss,
            empty.clone(),
        ),
        (
            "POST /api/v1/upstreams/{name}/rpc",
            "/api/v1/upstreams/free/rpc".to_owned(),
            &boss,
            json!({ "method": "tools/list", "params": {}, "timeout": "20s" }),
        ),
        ("GET /api/v1/stats", String::new(), &boss, empty.clone()),
        ("GET /api/v1/stats", String::new(), OPERATOR, empty.clone()),
        (
            "DELETE /api/v1/upstreams/{name}",
            "/api/v1/upstreams/made".to_owned(),
            OPERATOR,
            empty.clone(),
        ),
        ("GET /api/v1/grants", String::new(), &boss, empty.clone()),
        ("GET /api/v1/sessions", String::new(), &boss, empty.clone()),
        (
            "DELETE /api/v1/sessions/{id}",
            format!("/api/v1/sessions/{session}"),
            &boss,
            empty.clone(),
        ),
        ("GET /api/v1/audit", String::new(), &boss, empty.clone()),
        ("GET /api/v1/audit", String::new(), OPERATOR, empty.clone()),
        ("GET /api/v1/audit/{seq}", "/api/v1/audit/1".to_owned(), &boss, empty.clone()),
        ("GET /api/v1/audit/heads", String::new(), OPERATOR, empty.clone()),
        ("GET /api/v1/bodies", String::new(), &boss, empty.clone()),
        ("GET /api/v1/bodies", String::new(), OPERATOR, empty.clone()),
        ("GET /api/v1/bodies/{id}", format!("/api/v1/bodies/{body}"), &boss, empty.clone()),
        ("GET /api/v1/usage", "/api/v1/usage?by=day,key,tool".to_owned(), &boss, empty.clone()),
        ("GET /api/v1/usage", "/api/v1/usage?by=tenant".to_owned(), OPERATOR, empty.clone()),
        ("GET /api/v1/events", String::new(), &boss, empty.clone()),
        ("GET /api/v1/errors", String::new(), OPERATOR, empty.clone()),
        ("GET /api/v1/explain", "/api/v1/explain?tool=free__echo".to_owned(), &boss, empty.clone()),
        (
            "PUT /api/v1/upstreams/{name}/enabled",
            "/api/v1/upstreams/free/enabled".to_owned(),
            &boss,
            json!({ "enabled": false }),
        ),
        ("GET /api/v1/upstreams/{name}", "/api/v1/upstreams/free".to_owned(), &boss, empty.clone()),
        (
            "PUT /api/v1/profiles/{name}",
            "/api/v1/profiles/desk".to_owned(),
            OPERATOR,
            json!({ "upstreams": { "free": { "tools": { "deny": ["x"] } } } }),
        ),
        ("GET /api/v1/profiles/{name}", "/api/v1/profiles/desk".to_owned(), &boss, empty.clone()),
        (
            "GET /api/v1/profiles/{name}",
            "/api/v1/profiles/desk".to_owned(),
            OPERATOR,
            empty.clone(),
        ),
        ("GET /api/v1/profiles", String::new(), OPERATOR, empty.clone()),
        (
            "DELETE /api/v1/profiles/{name}",
            "/api/v1/profiles/desk".to_owned(),
            OPERATOR,
            empty.clone(),
        ),
        ("GET /api/v1/seal", String::new(), OPERATOR, empty.clone()),
        ("POST /api/v1/seal/rotate", String::new(), OPERATOR, json!({ "data_keys": true })),
        (
            "POST /api/v1/tenants/{name}/seal/rotate",
            "/api/v1/tenants/beta/seal/rotate".to_owned(),
            OPERATOR,
            empty.clone(),
        ),
        ("POST /api/v1/reload", String::new(), OPERATOR, empty),
    ];
    // The first record is on disk a moment after its answer.
    until("the first record", Duration::from_secs(30), || {
        let first = world.ask(&Ask::new("GET", "/api/v1/audit/1").key(&boss));
        (first.status == 200).then_some(())
    });
    let mut found = Vec::new();
    let mut seen = BTreeSet::new();
    for (route, path, key, body) in &calls {
        let (method, template) = route.split_once(' ').expect("method and path");
        let path = if path.is_empty() { template } else { path };
        let answer = world.ask(&Ask::new(method, path).key(key).json(body));
        let operation = &document["paths"][template][method.to_ascii_lowercase()];
        let good = operation["responses"].get(answer.status.to_string());
        let Some(good) = good.filter(|_| answer.status < 300) else {
            found.push(format!("{route}: {} is not documented: {}", answer.status, answer.text()));
            continue;
        };
        seen.insert((method.to_owned(), template.to_owned()));
        match good.pointer("/content/application~1json/schema") {
            Some(schema) => misfits(&document, schema, &value(&answer), route, &mut found),
            None => {
                assert!(answer.body.is_empty(), "{route}");
                let streams = good.pointer("/content/text~1event-stream").is_some();
                let stream = answer.header("content-type") == Some("text/event-stream");
                assert_eq!(streams, stream, "{route}");
            }
        }
        if let Some(schema) = operation.pointer("/requestBody/content/application~1json/schema") {
            misfits(&document, schema, body, route, &mut found);
        }
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
    for route in surface() {
        let known = (route.method.to_owned(), route.path.to_owned());
        // Grants and logins are there after somebody has been to a page: `connect::flow` and
        // `login::pages` bring and end them.
        let elsewhere = ["/api/v1/grants/{id}", "/api/v1/upstreams/{name}/oauth"];
        if elsewhere.contains(&route.path) {
            continue;
        }
        assert!(seen.contains(&known), "{} {} is not tried here", route.method, route.path);
    }
}

#[test]
fn refusals_are_documented_too() {
    let world = World::new();
    let boss = world.tenant("acme");
    let member = text(&world.key(&boss, &json!({ "name": "member" })));
    let document = value(&world.ask(&Ask::new("GET", "/api/v1/openapi.json").key(OPERATOR)));
    for route in surface() {
        let operation = &document["paths"][route.path][route.method.to_ascii_lowercase()];
        let path = route
            .path
            .replace("{name}", "nobody")
            .replace("{id}", "zzzzzzzzzz")
            .replace("{seq}", "99999");
        let path = path.replace("{upstream}", "gh").replace("{slot}", "none");
        let path = path.replace("{tool}", "nothing");
        for key in [Some(&*boss), Some(&*member), Some(OPERATOR), None] {
            let ask = Ask::new(route.method, &path);
            let answer = world.ask(&key.map_or(ask.clone(), |key| ask.key(key)));
            if answer.status < 400 || key == Some(OPERATOR) && answer.status == 400 {
                continue;
            }
            let schema = operation["responses"][answer.status.to_string()]
                .pointer("/content/application~1problem+json/schema");
            let schema =
                schema.unwrap_or_else(|| panic!("{} {path}: {}", route.method, answer.status));
            let mut found = Vec::new();
            misfits(&document, schema, &value(&answer), &path, &mut found);
            assert!(found.is_empty(), "{found:?}");
        }
    }
}
