//! What a client of MCP is given in the course of its work is unknown in the hands of another
//! tenant, to the byte; the rest stands in `handles`.

use serde_json::{Value, json};

use crate::admin::handles::face;
use crate::admin::world::{Ask, OPERATOR, World, text, value};
use crate::support::{Answer, Client, Era, Raw, Stream, post, tasker, until};

/// A request of 2026-07-28 of a client that takes tasks and can be asked; each has the id 1.
fn modern(world: &World, key: &str, method: &str, params: Value) -> Answer {
    let mut params = Era::Modern.params(params);
    params["_meta"]["io.modelcontextprotocol/clientCapabilities"] = json!({ "elicitation": { "form": {} }, "extensions": { "io.modelcontextprotocol/tasks": {} } });
    let body = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
    let mut headers = Era::Modern.headers(method, &params);
    headers.push(("Authorization", format!("Bearer {key}")));
    let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, &**value)).collect();
    let bytes = post(world.address(), "/mcp", &headers, body.to_string().as_bytes());
    Raw::exchange(world.address(), &bytes).expect("an answer")
}

fn result(answer: &Answer) -> Value {
    let found = answer.messages().into_iter().find(|message| message["id"] == 1);
    found.unwrap_or_else(|| panic!("{}", answer.text()))["result"].clone()
}

/// The same text with another character in its middle.
fn changed(text: &str) -> String {
    let mut bytes = text.as_bytes().to_vec();
    let middle = bytes.len() / 2;
    bytes[middle] = if bytes[middle] == b'A' { b'B' } else { b'A' };
    String::from_utf8(bytes).expect("text")
}

#[test]
fn a_task_of_another_tenant_is_an_unknown_one_to_the_byte() {
    let more = format!("[upstreams.job]\ncommand = [{:?}, \"modern\"]\n", tasker());
    let world = World::with(&more);
    let (acme, beta) = (world.tenant("acme"), world.tenant("beta"));
    let arguments = json!({ "name": "job__work", "arguments": { "looks": 1_000_000 } });
    let made = result(&modern(&world, &acme, "tools/call", arguments));
    let id = made["taskId"].as_str().unwrap_or_else(|| panic!("no task: {made}")).to_owned();
    let told = |key: &str, method: &str, id: &str| {
        face(&modern(&world, key, method, json!({ "taskId": id, "inputResponses": {} })))
    };
    for method in ["tasks/get", "tasks/update", "tasks/cancel"] {
        let foreign = told(&beta, method, &id);
        for unknown in [changed(&id), "nothing".to_owned(), String::new()] {
            assert_eq!(foreign, told(&beta, method, &unknown), "{method} {unknown:?}");
        }
    }
    let state = result(&modern(&world, &acme, "tasks/get", json!({ "taskId": id })));
    assert_eq!(state["status"], "working", "{state}");
}

#[test]
fn a_state_of_another_tenant_s_call_is_an_unknown_one_to_the_byte() {
    let world = World::new();
    let (acme, beta) = (world.tenant("acme"), world.tenant("beta"));
    let call = |key: &str, state: Option<&str>| {
        let mut params =
            json!({ "name": "free__test_input_required_result_elicitation", "arguments": {} });
        if let Some(state) = state {
            params["requestState"] = json!(state);
            params["inputResponses"] = json!({});
        }
        modern(&world, key, "tools/call", params)
    };
    let asked = result(&call(&acme, None));
    let state = asked["requestState"].as_str().unwrap_or_else(|| panic!("no state: {asked}"));
    let foreign = face(&call(&beta, Some(state)));
    assert!(foreign.1.contains("-32602"), "{foreign:?}");
    for unknown in [changed(state), "AAAA".to_owned(), String::new()] {
        assert_eq!(foreign, face(&call(&beta, Some(&unknown))), "{unknown:?}");
    }
}

#[test]
fn an_event_of_another_tenant_s_stream_is_an_unknown_one_to_the_byte() {
    let world = World::new();
    let (acme, beta) = (world.tenant("acme"), world.tenant("beta"));
    let client = |key: &str| {
        let client = Client::connect(Era::Legacy, world.address(), "/mcp", Some(key));
        client.session().expect("a session").to_owned()
    };
    let (owner, stranger) = (client(&acme), client(&beta));
    let headers = |key: &str, session: &str, event: Option<&str>| {
        let event = event.map(|event| format!("\r\nLast-Event-ID: {event}")).unwrap_or_default();
        format!(
            "Authorization: Bearer {key}\r\nMcp-Session-Id: {session}\r\n\
             MCP-Protocol-Version: 2025-11-25{event}"
        )
    };
    // The stream of a call, with an event behind the one that is held.
    let params = json!({ "name": "free__tick", "arguments": { "label": "said", "count": 2, "ms": 10 },
        "_meta": { "progressToken": "mine" } });
    let body =
        json!({ "jsonrpc": "2.0", "id": "call-of-acme", "method": "tools/call", "params": params });
    let mut stream = Stream::open(
        world.address(),
        "POST /mcp",
        &headers(&acme, &owner, None),
        &body.to_string(),
    );
    let event = stream.event().expect("its first event").id;
    while stream.event().is_some() {}
    let ask = |key: &str, session: &str, event: &str| {
        let request = format!(
            "GET /mcp HTTP/1.1\r\nHost: {}\r\n{}\r\nAccept: text/event-stream\r\n\r\n",
            world.address(),
            headers(key, session, Some(event))
        );
        let mut raw = Raw::connect(world.address());
        raw.send(request.as_bytes()).expect("it is sent");
        let head = raw.head().expect("an answer");
        if head.status == 200 {
            head
        } else {
            Raw::exchange(world.address(), request.as_bytes()).expect("an answer")
        }
    };
    assert_eq!(ask(&acme, &owner, &event).status, 200, "its owner comes back to it");
    // In a session of the stranger's own, and in the owner's.
    let (process, rest) = event.split_once('-').expect("an id has parts");
    let (_, rest) = rest.split_once('-').expect("an id has parts");
    let unknown = format!("{process}-7b-{rest}");
    assert_eq!(face(&ask(&beta, &stranger, &event)), face(&ask(&beta, &stranger, &unknown)));
    let made_up: String = owner.chars().rev().collect();
    let foreign = face(&ask(&beta, &owner, &event));
    assert_eq!(foreign.0, 404, "{foreign:?}");
    assert_eq!(foreign, face(&ask(&beta, &made_up, &event)));
}

#[test]
fn records_of_another_tenant_and_places_in_its_lists_are_unknown_ones_to_the_byte() {
    let world = World::new();
    let (acme, beta) = (world.tenant("acme"), world.tenant("beta"));
    for number in 0..30 {
        world.key(&acme, &json!({ "name": format!("key {number}") }));
    }
    let page = until("its records", std::time::Duration::from_secs(30), || {
        let page = value(&world.ask(&Ask::new("GET", "/api/v1/audit?limit=3").key(&acme)));
        (page["items"][0]["seq"].as_u64() >= Some(30)).then_some(page)
    });
    let seq = page["items"][0]["seq"].as_u64().expect("a number");
    let own = format!("/api/v1/audit/{seq}");
    assert_eq!(world.ask(&Ask::new("GET", &own).key(&acme)).status, 200);
    let unknown = face(&world.ask(&Ask::new("GET", "/api/v1/audit/123456789").key(&beta)));
    assert_eq!(unknown.0, 404);
    for who in [
        Ask::new("GET", &own).key(&beta),
        Ask::new("GET", &own).key(OPERATOR).tenant("beta"),
        Ask::new("GET", "/api/v1/audit/0").key(&beta),
        Ask::new("GET", "/api/v1/audit/x").key(&beta),
    ] {
        assert_eq!(face(&world.ask(&who)), unknown);
    }
    for list in
        ["audit", "keys", "tools", "upstreams", "usage", "audit/heads", "sessions", "secrets"]
    {
        let path = format!("/api/v1/{list}?limit=1");
        let page = value(&world.ask(&Ask::new("GET", &path).key(&acme)));
        // A list of one has no second page.
        let Some(cursor) = page["next"].as_str() else { continue };
        let ask = |cursor: &str| {
            let path = format!("/api/v1/{list}?cursor={cursor}");
            face(&world.ask(&Ask::new("GET", &path).key(&beta)))
        };
        let foreign = ask(cursor);
        assert_eq!(foreign.0, 400, "{list}");
        assert_eq!(foreign, ask(&changed(cursor)), "{list}");
        assert_eq!(foreign, ask("AAAA"), "{list}");
    }
    // The lists of MCP come whole: no cursor is one of ours.
    let listed = |key: &str, cursor: &str| {
        face(&modern(&world, key, "tools/list", json!({ "cursor": cursor })))
    };
    assert_eq!(listed(&beta, "1"), listed(&beta, page["next"].as_str().expect("a page follows")));
}

#[test]
fn a_profile_that_a_key_is_not_for_is_an_unknown_one() {
    let profiles =
        "[profiles.desk]\nupstreams = [\"free\"]\n[profiles.back]\nupstreams = [\"free\"]\n";
    let world = World::with(profiles);
    let (acme, beta) = (world.tenant("acme"), world.tenant("beta"));
    let scoped = |boss: &str, profile: &str| {
        let body = json!({ "name": "bot", "scopes": [format!("profile:{profile}")] });
        text(&world.key(boss, &body))
    };
    let (own, other) = (scoped(&acme, "desk"), scoped(&beta, "back"));
    let list = |key: &str, profile: &str| {
        let door = format!("/p/{profile}/mcp");
        let params = Era::Modern.params(json!({}));
        let body = json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": params });
        let mut headers = Era::Modern.headers("tools/list", &params);
        headers.push(("Authorization", format!("Bearer {key}")));
        let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, &**value)).collect();
        let bytes = post(world.address(), &door, &headers, body.to_string().as_bytes());
        let answer = Raw::exchange(world.address(), &bytes).expect("an answer");
        // What was asked for is named, whatever it is.
        let (status, text, headers) = face(&answer);
        let headers =
            format!("{headers:?}").replace(&format!("profile:{profile}\\\""), "profile:?\\\"");
        (status, text.replace(&format!("profile:{profile}`"), "profile:?`"), headers)
    };
    assert_eq!(list(&own, "desk").0, 200);
    let unknown = list(&other, "none");
    assert_eq!(unknown.0, 403, "{unknown:?}");
    assert_eq!(list(&other, "desk"), unknown);
    assert_eq!(list(&other, "back").0, 200);
}
