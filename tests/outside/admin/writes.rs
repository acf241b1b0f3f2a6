//! Writes that come twice, or late, or about something that has changed.

use serde_json::{Value, json};

use crate::admin::world::{Ask, OPERATOR, World, text, value};

#[test]
fn a_request_that_comes_twice_is_carried_out_once() {
    let world = World::new();
    let boss = world.tenant("acme");
    let post = |key: &str, name: &str, body: Value| {
        let ask = Ask::new("POST", "/api/v1/keys").key(key).header("Idempotency-Key", name);
        world.ask(&ask.json(&body))
    };
    let first = post(&boss, "one", json!({ "name": "a" }));
    let again = post(&boss, "one", json!({ "name": "a" }));
    assert_eq!((first.status, again.status), (201, 201));
    assert_eq!(value(&first), value(&again), "also the key itself");
    assert_eq!(again.header("idempotency-replayed"), Some("true"));
    assert_eq!(first.header("location"), again.header("location"));
    let other = post(&boss, "one", json!({ "name": "b" }));
    assert_eq!(other.status, 409, "another request of that name");
    let keys = value(&world.ask(&Ask::new("GET", "/api/v1/keys").key(&boss)));
    assert_eq!(keys["items"].as_array().map(Vec::len), Some(2));

    // What was refused was not carried out, and may be tried again.
    assert_eq!(post(&boss, "two", json!({ "name": "" })).status, 400);
    assert_eq!(post(&boss, "two", json!({ "name": "c" })).status, 201);
    // Names are each key's own, and so are answers.
    let member = text(&value(&first));
    let own = post(&member, "one", json!({ "name": "a" }));
    assert_eq!(own.status, 201);
    assert_ne!(value(&own)["id"], value(&first)["id"]);
    assert_eq!(post(&boss, "with space", json!({ "name": "x" })).status, 400);

    // In the name of one tenant is another request than in that of another.
    world.tenant("beta");
    let acting = |tenant: &str| {
        let ask = Ask::new("POST", "/api/v1/keys").key(OPERATOR).tenant(tenant);
        world.ask(&ask.header("Idempotency-Key", "n").json(&json!({ "name": "x" })))
    };
    assert_eq!((acting("acme").status, acting("beta").status), (201, 409));
}

#[test]
fn no_answer_that_is_kept_shows_a_key_in_the_store() {
    let world = World::new();
    let boss = world.tenant("acme");
    let ask = Ask::new("POST", "/api/v1/keys").key(&boss).header("Idempotency-Key", "one");
    let key = text(&value(&world.ask(&ask.json(&json!({ "name": "a" })))));
    let folder = world.proxy.folder();
    for entry in std::fs::read_dir(folder).expect("a folder").flatten() {
        if !entry.file_type().is_ok_and(|kind| kind.is_file()) {
            continue;
        }
        let bytes = std::fs::read(entry.path()).expect("a file");
        let found = bytes.windows(43).any(|part| part == &key.as_bytes()[16..59]);
        assert!(!found, "{}", entry.path().display());
    }
}

#[test]
fn if_match_guards_what_has_changed() {
    let world = World::new();
    let boss = world.tenant("acme");
    let set = |headers: &[(&'static str, &str)]| {
        let ask = Ask::new("PUT", "/api/v1/secrets/gh/token").key(&boss);
        let ask = headers.iter().fold(ask, |ask, (name, value)| ask.header(name, value));
        world.ask(&ask.json(&json!({ "value": "v" })))
    };
    assert_eq!(set(&[("If-Match", "*")]).status, 412, "there is none");
    let first = set(&[("If-None-Match", "*")]);
    assert_eq!(first.status, 200);
    let tag = first.header("etag").expect("an ETag").to_owned();
    assert_eq!(set(&[("If-None-Match", "*")]).status, 412, "there is one");
    let second = set(&[("If-Match", &tag)]);
    assert_eq!((second.status, value(&second)["generation"].as_u64()), (200, Some(2)));
    let stale = set(&[("If-Match", &tag)]);
    assert_eq!((stale.status, stale.header("etag")), (412, second.header("etag")));
    let delete = |tag: &str| {
        let ask = Ask::new("DELETE", "/api/v1/secrets/gh/token").key(&boss);
        world.ask(&ask.header("If-Match", tag)).status
    };
    assert_eq!((delete(&tag), delete(second.header("etag").expect("an ETag"))), (412, 204));

    // A tenant with something in it goes only when that is meant.
    let remove = |tag: Option<&str>| {
        let ask = Ask::new("DELETE", "/api/v1/tenants/acme").key(OPERATOR);
        world.ask(&match tag {
            Some(tag) => ask.header("If-Match", tag),
            None => ask,
        })
    };
    assert_eq!(remove(None).status, 428);
    let shown = world.ask(&Ask::new("GET", "/api/v1/tenants/acme").key(OPERATOR));
    let tag = shown.header("etag").expect("an ETag").to_owned();
    let known = Ask::new("GET", "/api/v1/tenants/acme").key(OPERATOR).header("If-None-Match", &tag);
    assert_eq!(world.ask(&known).status, 304);
    world.key(&boss, &json!({ "name": "one more" }));
    assert_eq!(remove(Some(&tag)).status, 412);
    let shown = world.ask(&Ask::new("GET", "/api/v1/tenants/acme").key(OPERATOR));
    assert_eq!(remove(shown.header("etag")).status, 204);
    let gone = world.ask(&Ask::new("GET", "/api/v1/me").key(&boss));
    assert!(matches!(gone.status, 200 | 401), "within a second");
    assert_eq!(world.ask(&Ask::new("GET", "/api/v1/tenants/acme").key(OPERATOR)).status, 404);
}

#[test]
fn wrong_bodies_are_told_and_change_nothing() {
    let world = World::new();
    let boss = world.tenant("acme");
    let post = |content_type: &str, body: &str| {
        let mut ask =
            Ask::new("POST", "/api/v1/keys").key(&boss).header("Content-Type", content_type);
        ask = ask.text(body);
        world.ask(&ask)
    };
    assert_eq!(post("text/plain", "{\"name\":\"x\"}").status, 415);
    for wrong in [
        "no json",
        "[]",
        "{\"name\":1}",
        "{\"name\":\"x\",\"name\":\"y\"}",
        "{\"name\":\"x\",\"rol\":\"admin\"}",
        "{\"name\":\"x\",\"expires_in\":\"soon\"}",
        "{\"name\":\"\\u0000\"}",
        "{\"name\":\"x\"} x",
    ] {
        assert_eq!(post("application/json", wrong).status, 400, "{wrong}");
    }
    let long = format!("{{\"name\":\"{}\"}}", "x".repeat(600_000));
    assert_eq!(post("application/json", &long).status, 413);
    // A value in the wrong place is not read back.
    let body = json!({ "name": "beta", "secrets": { "gh": "s3cret-value" } });
    let wrong = world.ask(&Ask::new("POST", "/api/v1/tenants").key(OPERATOR).json(&body));
    assert!(wrong.status == 400 && !wrong.text().contains("s3cret-value"), "{}", wrong.text());
    let keys = value(&world.ask(&Ask::new("GET", "/api/v1/keys").key(&boss)));
    assert_eq!(keys["items"].as_array().map(Vec::len), Some(1));
}
