//! Bodies of calls: whose are kept, what of them, who reads them; where a client comes from; and
//! secrets that are put into each call whose tool knows their name.

use std::time::Duration;

use serde_json::{Value, json};

use crate::admin::world::{Ask, OPERATOR, World, text, value};
use crate::support::{Client, Era, until};

const PATIENCE: Duration = Duration::from_secs(30);

fn call(world: &World, key: &str, tool: &str, arguments: &Value) -> Value {
    let path = format!("/api/v1/tools/{tool}/call");
    let body = json!({ "arguments": arguments });
    let answer = world.ask(&Ask::new("POST", &path).key(key).json(&body));
    assert_eq!(answer.status, 200, "{tool}: {}", answer.text());
    value(&answer)
}

fn set(world: &World, key: &str, place: &str, secret: &str) {
    let path = format!("/api/v1/secrets/{place}");
    let set = Ask::new("PUT", &path).key(key).json(&json!({ "value": secret }));
    assert_eq!(world.ask(&set).status, 200);
}

/// What the list shows a key, the newest first, once there are so many.
fn listed(world: &World, key: &str, count: usize) -> Vec<Value> {
    until("the bodies", PATIENCE, || {
        let page = value(&world.ask(&Ask::new("GET", "/api/v1/bodies").key(key)));
        Some(page["items"].as_array()?.clone()).filter(|items| items.len() >= count)
    })
}

#[test]
fn bodies_are_kept_of_those_whom_the_file_names_without_secrets_and_for_them_alone() {
    let world = World::with("[bodies]\ntenants = [\"acme\"]\nmax_body = \"2KiB\"");
    let (acme, beta) = (world.tenant("acme"), world.tenant("beta"));
    set(&world, &acme, "gh/token", "canary-of-the-token");
    call(&world, &beta, "free__echo", &json!({ "text": "of beta" }));
    call(
        &world,
        &acme,
        "free__echo",
        &json!({ "text": "a word", "password": "canary-of-a-member", "token": "canary-too" }),
    );
    // It tells the headers with which it was called.
    let seen = call(&world, &acme, "gh__whoami", &json!({}));
    assert!(seen.to_string().contains("canary-of-the-token"), "{seen}");
    // Over MCP, too, where it passes as it comes.
    let mut client = Client::connect(Era::Legacy, world.address(), "/mcp", Some(&acme));
    let big = client.call("free__big", json!({ "bytes": 300_000 }));
    assert!(big.to_string().len() > 300_000);

    let found = listed(&world, &acme, 3);
    let tools: Vec<&Value> = found.iter().map(|body| &body["original"]).collect();
    assert_eq!(tools, ["big", "whoami", "echo"]);
    let shown: Vec<Value> = found
        .iter()
        .map(|body| {
            let path = format!("/api/v1/bodies/{}", body["id"]);
            value(&world.ask(&Ask::new("GET", &path).key(&acme)))
        })
        .collect();
    let all = serde_json::to_string(&shown).expect("JSON");
    assert!(!all.contains("canary"), "{all}");
    let echo = &shown[2];
    let arguments = r#"{"password":"[redacted]","text":"a word","token":"[redacted]"}"#;
    assert_eq!(echo["arguments"], json!({ "text": arguments, "complete": true }));
    assert!(echo["answer"]["text"].as_str().expect("a text").contains("a word"), "{echo}");
    assert!(shown[1]["answer"]["text"].as_str().expect("a text").contains("[redacted]"));
    assert_eq!(shown[0]["answer"]["complete"], false);
    assert_eq!(shown[0]["answer"]["text"].as_str().expect("a text").len(), 2_048);
    assert!(shown[0]["answer_bytes"].as_u64() > Some(300_000), "{}", found[0]);
    // The number is that of its record.
    let id = echo["id"].as_u64().expect("a number");
    let record = value(&world.ask(&Ask::new("GET", &format!("/api/v1/audit/{id}")).key(&acme)));
    assert_eq!((&record["original"], &record["method"]), (&json!("echo"), &json!("tools/call")));
    let page = value(&world.ask(&Ask::new("GET", "/api/v1/bodies?limit=1").key(&acme)));
    let cursor = page["next"].as_str().expect("more");
    let path = format!("/api/v1/bodies?limit=1&cursor={cursor}");
    let next = value(&world.ask(&Ask::new("GET", &path).key(&acme)));
    assert_eq!(next["items"][0], found[1]);
    let narrowed = Ask::new("GET", "/api/v1/bodies?tool=echo&upstream=free").key(&acme);
    assert_eq!(value(&world.ask(&narrowed))["items"].as_array().map(Vec::len), Some(1));

    // Another tenant has none, and whatever is acme's is unknown to it.
    let face = |ask: &Ask<'_>| {
        let answer = world.ask(ask);
        (answer.status, answer.text())
    };
    assert_eq!(
        value(&world.ask(&Ask::new("GET", "/api/v1/bodies").key(&beta)))["items"],
        json!([])
    );
    let unknown = face(&Ask::new("GET", "/api/v1/bodies/123456789").key(&beta));
    assert_eq!(unknown.0, 404);
    for body in &found {
        let path = format!("/api/v1/bodies/{}", body["id"]);
        assert_eq!(face(&Ask::new("GET", &path).key(&beta)), unknown);
        assert_eq!(face(&Ask::new("GET", &path).key(OPERATOR).tenant("beta")), unknown);
    }
    assert_eq!(face(&Ask::new("GET", &path).key(&beta)).0, 400, "its cursor is unknown");
    let all = value(&world.ask(&Ask::new("GET", "/api/v1/bodies").key(OPERATOR)));
    assert_eq!(all["items"][0]["tenant"], "acme");
    // Who reads is written down.
    until("the reading", PATIENCE, || {
        let path = "/api/v1/audit?method=admin/getBody";
        let page = value(&world.ask(&Ask::new("GET", path).key(&acme)));
        (page["items"].as_array()?.len() >= 3).then_some(())
    });
    // Nothing lies open in the file.
    for name in ["", "-wal"] {
        let path = world.proxy.folder().join(format!("mcp-proxy.audit.db{name}"));
        let bytes = std::fs::read(path).unwrap_or_default();
        for part in ["a word", "canary"] {
            assert!(!bytes.windows(part.len()).any(|at| at == part.as_bytes()), "{part}");
        }
    }
    // The file wants no more of them, which holds at once.
    let file = world.proxy.folder().join("mcp-proxy.toml");
    let toml = std::fs::read_to_string(&file).expect("the file");
    let without = toml.replace("tenants = [\"acme\"]", "tenants = [\"nobody\"]");
    std::fs::write(&file, without).expect("it is written");
    let reload = world.ask(&Ask::new("POST", "/api/v1/reload").key(OPERATOR));
    assert_eq!(reload.status, 200, "{}", reload.text());
    call(&world, &acme, "free__echo", &json!({ "text": "more" }));
    let recorded = until("the record", PATIENCE, || {
        let path = "/api/v1/audit?method=tools/call&limit=200";
        let page = value(&world.ask(&Ask::new("GET", path).key(&acme)));
        Some(page["items"].as_array()?.len()).filter(|count| *count >= 4)
    });
    assert_eq!((recorded, listed(&world, &acme, 0).len()), (4, 3));
}

#[test]
fn a_client_is_where_a_trusted_proxy_says_that_it_is() {
    let world =
        World::with("[server]\nlisten = \"127.0.0.1:0\"\ntrusted_proxies = [\"127.0.0.0/8\"]");
    let acme = world.tenant("acme");
    let me = |header: Option<(&'static str, &str)>| {
        let ask = Ask::new("GET", "/api/v1/me").key(&acme);
        let ask = match header {
            Some((name, line)) => ask.header(name, line),
            None => ask,
        };
        value(&world.ask(&ask))["address"].clone()
    };
    assert_eq!(me(None), "127.0.0.1");
    // What stands before the last stranger is his own word.
    assert_eq!(
        me(Some(("X-Forwarded-For", "198.51.100.1, 203.0.113.9, 127.0.0.2"))),
        "203.0.113.9"
    );
    assert_eq!(me(Some(("Forwarded", "for=\"[2001:db8::1]:4711\";proto=https"))), "2001:db8::1");
    let begin = json!({ "jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {
        "protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": { "name": "c", "version": "1" },
    } });
    let begin = Ask::new("POST", "/mcp")
        .key(&acme)
        .json(&begin)
        .header("Accept", "application/json, text/event-stream")
        .header("X-Forwarded-For", "203.0.113.9");
    assert_eq!(world.ask(&begin).status, 200);
    let sessions = value(&world.ask(&Ask::new("GET", "/api/v1/sessions").key(&acme)));
    assert_eq!(sessions["items"][0]["address"], "203.0.113.9", "{sessions}");
}

#[test]
fn each_secret_whose_name_a_tool_knows_is_put_in_and_hidden() {
    let world = World::with("[upstreams.all]\nurl = \"{up}\"\narguments = \"all\"");
    let (acme, beta) = (world.tenant("acme"), world.tenant("beta"));
    let member = text(&world.key(&acme, &json!({ "name": "member" })));
    let properties = |key: &str| {
        let path = "/api/v1/tools/all__echo";
        let tool = value(&world.ask(&Ask::new("GET", path).key(key)));
        tool["inputSchema"]["properties"].as_object().map(|all| all.len())
    };
    let echo = |key: &str| {
        let answer = call(&world, key, "all__echo", &json!({ "text": "mine" }));
        answer["content"][0]["text"].as_str().expect("a text").to_owned()
    };
    assert_eq!((echo(&member), properties(&member)), ("mine".to_owned(), Some(1)));
    set(&world, &acme, "all/text", "canary-of-acme");
    set(&world, &acme, "all/unknown_to_all", "canary-of-nothing");
    // With the next call, and in lists as soon as they are read again.
    assert_eq!(echo(&member), "canary-of-acme");
    until("the list", PATIENCE, || (properties(&member) == Some(0)).then_some(()));
    assert_eq!((echo(&beta), properties(&beta)), ("mine".to_owned(), Some(1)));
    let mut client = Client::connect(Era::Modern, world.address(), "/mcp", Some(&member));
    let given = client.call("all__whoami", json!({ "env": [] })).to_string();
    assert!(!given.contains("canary"), "no schema knows it: {given}");
    let path = "/api/v1/explain?tool=all__echo";
    let told = value(&world.ask(&Ask::new("GET", path).key(&member)));
    assert_eq!(told["chain"]["filled_in"], json!(["text"]), "{told}");
    assert!(told.to_string().contains("unknown_to_all") && !told.to_string().contains("canary"));
    let gone = Ask::new("DELETE", "/api/v1/secrets/all/text").key(&acme);
    assert_eq!(world.ask(&gone).status, 204);
    assert_eq!(echo(&member), "mine");
    until("the list", PATIENCE, || (properties(&member) == Some(1)).then_some(()));
}
