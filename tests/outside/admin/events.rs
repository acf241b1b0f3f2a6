//! What happens is told as it happens, to whom it concerns: events, errors by cause, and why a key
//! can or cannot call a tool.

use std::time::Duration;

use serde_json::{Value, json};

use crate::admin::world::{Ask, OPERATOR, World, text, value};
use crate::support::{Answer, Stream, until};

const PATIENCE: Duration = Duration::from_secs(60);

/// One event.
struct Heard {
    name: String,
    id: String,
    data: Value,
}

fn watch_with(world: &World, query: &str, headers: &str) -> (String, Stream) {
    let line = format!("GET /api/v1/events{query}");
    Stream::ask(world.address(), &line, headers, "")
}

fn watch(world: &World, key: &str, query: &str) -> Stream {
    let (status, stream) = watch_with(world, query, &format!("Authorization: Bearer {key}"));
    assert!(status.contains(" 200 "), "{status}");
    stream
}

fn next(stream: &mut Stream) -> Option<Heard> {
    let (mut name, mut id) = (String::new(), String::new());
    loop {
        let line = stream.line()?;
        if let Some(given) = line.strip_prefix("event: ") {
            given.clone_into(&mut name);
        } else if let Some(given) = line.strip_prefix("id: ") {
            given.clone_into(&mut id);
        } else if let Some(data) = line.strip_prefix("data: ") {
            let data = serde_json::from_str(data).expect("JSON");
            return Some(Heard { name, id, data });
        }
    }
}

/// All events up to the one that is meant.
fn through(stream: &mut Stream, is_last: impl Fn(&Heard) -> bool) -> Vec<Heard> {
    let mut all = Vec::new();
    loop {
        let heard = next(stream).expect("the stream goes on");
        let last = is_last(&heard);
        all.push(heard);
        if last {
            return all;
        }
    }
}

fn call(world: &World, key: &str, tool: &str) -> Answer {
    let path = format!("/api/v1/tools/{tool}/call");
    world.ask(&Ask::new("POST", &path).key(key).json(&json!({ "arguments": { "text": "x" } })))
}

fn is_call(heard: &Heard, target: &str) -> bool {
    heard.name == "call" && heard.data["target"] == target
}

#[test]
fn what_happens_is_told_to_whom_it_concerns() {
    let world = World::new();
    let (acme, beta) = (world.tenant("acme"), world.tenant("beta"));
    let mut own = watch(&world, &acme, "");
    let mut all = watch(&world, OPERATOR, "");
    let mut some = watch(&world, &acme, "?types=upstream&upstream=free");
    assert_eq!(call(&world, &beta, "free__echo").status, 200);
    assert_eq!(call(&world, &acme, "free__echo").status, 200);
    let heard = through(&mut own, |heard| is_call(heard, "free__echo"));
    let states: Vec<&Value> = heard
        .iter()
        .filter(|heard| heard.name == "upstream" && heard.data["upstream"] == "free")
        .map(|heard| &heard.data["state"])
        .collect();
    assert_eq!(states[..2], ["starting", "ready"]);
    assert!(heard.iter().all(|heard| heard.data["tenant"] == "acme"));
    // It is the record, to the letter.
    let record = heard.last().expect("the call");
    let seq = &record.data["seq"];
    let path = format!("/api/v1/audit/{seq}");
    assert_eq!(record.data, value(&world.ask(&Ask::new("GET", &path).key(&acme))));
    let head = through(&mut own, |heard| heard.name == "head").pop().expect("a head");
    assert!(head.data["last"].as_u64() >= seq.as_u64());
    let state = next(&mut some).expect("a state");
    assert_eq!((&*state.name, &state.data["state"]), ("upstream", &json!("starting")));
    // The operator hears of everybody, and of reloads.
    assert_eq!(world.ask(&Ask::new("POST", "/api/v1/reload").key(OPERATOR)).status, 200);
    let heard = through(&mut all, |heard| heard.name == "reload");
    assert_eq!(heard.last().map(|heard| &heard.data["accepted"]), Some(&json!(true)));
    let calls =
        |heard: &Heard, whose: &str| is_call(heard, "free__echo") && heard.data["tenant"] == whose;
    for whose in ["acme", "beta"] {
        let known = heard.iter().any(|heard| calls(heard, whose));
        if !known {
            through(&mut all, |heard| calls(heard, whose));
        }
    }
    // Who may not, and what is no event.
    let member = text(&world.key(&acme, &json!({ "name": "member" })));
    let status = |key: &str, query: &str| {
        watch_with(&world, query, &format!("Authorization: Bearer {key}")).0
    };
    assert!(status(&member, "").contains(" 403 "));
    assert!(status(&acme, "?types=reload").contains(" 403 "));
    assert!(status(&acme, "?types=call,anything").contains(" 400 "));
}

#[test]
fn an_id_leads_on_from_where_it_was_and_is_its_tenants_own() {
    let world = World::new();
    let (acme, beta) = (world.tenant("acme"), world.tenant("beta"));
    let mut own = watch(&world, &acme, "?types=call");
    assert_eq!(call(&world, &acme, "nothing_1").status, 404);
    let first = through(&mut own, |heard| is_call(heard, "/mcp") || heard.name == "call").pop();
    let first = first.expect("a call");
    drop(own);
    for _ in 0..3 {
        assert_eq!(call(&world, &beta, "nothing").status, 404);
        assert_eq!(call(&world, &acme, "nothing").status, 404);
    }
    let headers = format!("Authorization: Bearer {acme}\r\nLast-Event-ID: {}", first.id);
    let (status, mut again) = watch_with(&world, "?types=call", &headers);
    assert!(status.contains(" 200 "), "{status}");
    assert_eq!(call(&world, &acme, "free__echo").status, 200);
    let heard = through(&mut again, |heard| is_call(heard, "free__echo"));
    let seqs: Vec<u64> = heard.iter().filter_map(|heard| heard.data["seq"].as_u64()).collect();
    let from = first.data["seq"].as_u64().expect("a seq");
    assert_eq!(seqs, (from + 1..=from + 4).collect::<Vec<_>>(), "each once, in order");
    // In other hands it is as unknown as junk.
    let ask = |key: &str, id: &str| {
        world.ask(&Ask::new("GET", "/api/v1/events").key(key).header("Last-Event-ID", id))
    };
    let junk = ask(&beta, "AAAA");
    assert_eq!(junk.status, 400);
    for key in [&*beta, OPERATOR] {
        let foreign = ask(key, &first.id);
        assert_eq!((foreign.status, foreign.text()), (junk.status, junk.text()));
    }
}

#[test]
fn a_stream_ends_with_its_key_and_has_a_bound() {
    let world = World::new();
    let boss = world.tenant("acme");
    let made = world.key(&boss, &json!({ "name": "watcher", "role": "admin" }));
    let key = text(&made);
    let mut open: Vec<Stream> = (0..8).map(|_| watch(&world, &key, "?types=upstream")).collect();
    let one_more = world.ask(&Ask::new("GET", "/api/v1/events").key(&key));
    assert_eq!(one_more.status, 429, "{}", one_more.text());
    assert!(one_more.header("retry-after").is_some());
    drop(open.pop());
    until("its place is free again", PATIENCE, || {
        let again = world.ask(&Ask::new("GET", "/api/v1/events").key(&key));
        (again.status == 200).then_some(())
    });
    let path = format!("/api/v1/keys/{}", made["id"].as_str().expect("an id"));
    assert_eq!(world.ask(&Ask::new("DELETE", &path).key(&boss)).status, 204);
    for stream in &mut open {
        assert!(next(stream).is_none());
    }
}

#[test]
fn errors_are_counted_by_cause_for_their_tenant() {
    let more = "[upstreams.down]\nurl = \"http://127.0.0.1:9/mcp\"\n";
    let world = World::with(more);
    let (acme, beta) = (world.tenant("acme"), world.tenant("beta"));
    for _ in 0..3 {
        assert_eq!(call(&world, &acme, "canary_4711").status, 404);
    }
    assert_ne!(call(&world, &acme, "down__anything").status, 200);
    assert_eq!(call(&world, &acme, "free__echo").status, 200);
    let errors = |key: &str| {
        let page = value(&world.ask(&Ask::new("GET", "/api/v1/errors").key(key)));
        page["items"].as_array().expect("items").clone()
    };
    let own = errors(&acme);
    let unknown = own.iter().find(|group| group["cause"] == "unknown_name").expect("a group");
    assert_eq!((&unknown["count"], &unknown["outcome"]), (&json!(3), &json!("refused")));
    assert!(unknown["first"].as_str() <= unknown["last"].as_str());
    assert!(!json!(own).to_string().contains("4711"), "nothing that a client has said");
    let down = own.iter().find(|group| group["upstream"] == "down").expect("a group");
    assert_eq!(down["outcome"], "upstream_failed");
    // It may have failed often enough before to be given a pause.
    assert!(matches!(down["cause"].as_str(), Some("down" | "resting")), "{down}");
    assert!(down["sample"].as_str().is_some_and(|text| text.contains("Upstream `down`")));
    assert!(errors(&beta).is_empty());
    assert_eq!(errors(OPERATOR).len(), own.len());
}

#[test]
fn why_a_key_can_or_cannot_call_a_tool_is_told() {
    let world = World::new();
    let boss = world.tenant("acme");
    let narrow = world.key(&boss, &json!({ "name": "narrow", "scopes": ["gh__*"] }));
    let (id, key) = (narrow["id"].as_str().expect("an id"), text(&narrow));
    let ask = |key: &str, query: &str| {
        world.ask(&Ask::new("GET", &format!("/api/v1/explain{query}")).key(key))
    };
    let own = value(&ask(&boss, "?tool=free__echo"));
    assert_eq!(
        (&own["chain"]["callable"], &own["chain"]["upstream"]),
        (&json!(true), &json!("free"))
    );
    // What the key itself is told is what its admin is told of it.
    let of_it = value(&ask(&boss, &format!("?tool=free__echo&key={id}")));
    assert_eq!(of_it["chain"]["callable"], false, "{of_it}");
    assert_eq!(of_it["key"]["name"], "narrow");
    let itself = value(&ask(&key, "?tool=free__echo"));
    assert_eq!(itself, of_it);
    let missing = value(&ask(&boss, "?tool=gh__echo&ask=false"));
    assert_eq!(missing["chain"]["callable"], false);
    // A member learns nothing of other keys, nobody of another tenant's.
    let foreign = ask(&world.tenant("beta"), &format!("?tool=free__echo&key={id}"));
    let none = ask(&key, "?tool=free__echo&key=zzzzzzzzzz");
    assert_eq!((foreign.status, foreign.text()), (404, none.text()));
    assert_eq!(ask(&boss, "").status, 400);
    assert_eq!(ask(&boss, "?tool=x&door=/mcp/nowhere").status, 404);
    let end = format!("/api/v1/keys/{id}");
    assert_eq!(world.ask(&Ask::new("DELETE", &end).key(&boss)).status, 204);
    let ended = value(&ask(&boss, &format!("?tool=gh__echo&key={id}&ask=false")));
    assert_eq!(ended["key"]["state"], "revoked");
    assert_eq!(ended["chain"]["because"], "the key opens nothing: it is revoked");
}
