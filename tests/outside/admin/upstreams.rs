//! Upstreams that are made over the API: at once there for every client, changed, disabled,
//! started anew and deleted; and still there after a reload and a restart.

use std::time::Duration;

use serde_json::{Value, json};

use crate::admin::world::{Ask, FILED, OPERATOR, World, text, value};
use crate::support::{Answer, Client, Era, Stream, everything, until};

const PATIENCE: Duration = Duration::from_secs(60);
const CANARY: &str = "canary-4711";

fn world() -> World {
    World::with("[admin]\nprograms = [[\"sh\", \"-c\"], \"true\"]\n")
}

/// A process whose tool `report` says which one it is, and that tells what it has in `TOKEN`.
fn script() -> String {
    let child = everything().with_file_name("child");
    assert!(child.exists(), "run `cargo build --examples` before this test alone");
    format!("echo \"key $TOKEN of ${{{{#TOKEN}}}}\" >&2; exec '{}' lists", child.display())
}

/// As other programs' files have it.
fn block() -> Value {
    json!({ "name": "made", "type": "stdio", "command": "sh", "args": ["-c", script()], "env": {} })
}

fn send(world: &World, method: &str, path: &str, body: &Value) -> Answer {
    let path = format!("/api/v1/upstreams{path}");
    world.ask(&Ask::new(method, &path).key(OPERATOR).json(body))
}

fn made(world: &World) -> Value {
    let answer = send(world, "POST", "", &block());
    assert_eq!(answer.status, 201, "{}", answer.text());
    assert_eq!(answer.header("location"), Some("/api/v1/upstreams/made"));
    value(&answer)
}

fn tag(answer: &Answer) -> String {
    answer.header("etag").expect("an ETag").to_owned()
}

fn show(world: &World, key: &str, name: &str) -> Value {
    let path = format!("/api/v1/upstreams/{name}");
    value(&world.ask(&Ask::new("GET", &path).key(key)))
}

fn tools(client: &mut Client) -> Vec<String> {
    let name = |tool: &Value| tool["name"].as_str().expect("a name").to_owned();
    client.list("tools/list", "tools").iter().map(name).collect()
}

/// The process behind it.
fn process(client: &mut Client) -> u64 {
    let answer = client.call("made__report", json!({}));
    answer["result"]["pid"].as_u64().unwrap_or_else(|| panic!("it does not report: {answer}"))
}

/// Waits until none of its processes is left.
fn ended(world: &World) {
    until("its process has ended", PATIENCE, || {
        let left = world.proxy.descendants();
        (!left.iter().any(|(_, _, line)| line.contains("child") && line.contains("lists")))
            .then_some(())
    });
}

fn stderr(world: &World, key: &str) -> Vec<String> {
    let answer = world.ask(&Ask::new("GET", "/api/v1/upstreams/made/stderr").key(key));
    assert_eq!(answer.status, 200, "{}", answer.text());
    let lines = value(&answer)["lines"].as_array().expect("lines").clone();
    lines.iter().map(|line| line.as_str().expect("a line").to_owned()).collect()
}

#[test]
fn it_is_there_at_once_and_takes_each_tenants_secret() {
    let world = world();
    let (acme, beta) = (world.tenant("acme"), world.tenant("beta"));
    let mut old = Client::connect(Era::Legacy, world.address(), "/mcp", Some(&acme));
    let before = tools(&mut old);
    let session = old.session().expect("a session");
    let headers = format!("Authorization: Bearer {acme}\r\nMcp-Session-Id: {session}");
    let mut stream = Stream::open(world.address(), "GET /mcp", &headers, "");

    let shown = made(&world);
    assert_eq!((&shown["standing"], &shown["enabled"]), (&json!("runs"), &json!(true)), "{shown}");
    assert_eq!(shown["document"]["command"], json!(["sh", "-c", script()]));
    stream.hears("notifications/tools/list_changed");
    let after = tools(&mut old);
    assert!(before.iter().all(|name| after.contains(name)), "{after:?}");
    let first = process(&mut old);
    let mut new = Client::connect(Era::Modern, world.address(), "/mcp", Some(&acme));
    assert_eq!(process(&mut new), first, "one process for the tenant");
    assert_eq!(show(&world, &acme, "made")["origin"], "store");
    assert_eq!(show(&world, &acme, "made")["made"], Value::Null, "the document is the operator's");

    // It wants a secret from now on, and each tenant has its own.
    let patch = json!({ "env": { "TOKEN": "{secret.token}" } });
    let changed = send(&world, "PATCH", "/made", &patch);
    assert_eq!(changed.status, 200, "{}", changed.text());
    assert_eq!(show(&world, &acme, "made")["missing_secrets"], json!(["token"]));
    let set = Ask::new("PUT", "/api/v1/secrets/made/token").json(&json!({ "value": CANARY }));
    assert_eq!(world.ask(&set.key(&acme)).status, 200);
    assert_ne!(process(&mut old), first, "a new process with the secret");
    until("what it says is there", PATIENCE, || {
        let lines = stderr(&world, &acme);
        assert!(!lines.join("\n").contains(CANARY), "{lines:?}");
        lines.iter().any(|line| line.contains("[redacted] of 11")).then_some(())
    });
    assert!(stderr(&world, &beta).is_empty(), "of another tenant's process nothing is shown");
    assert_eq!(show(&world, &beta, "made")["state"], "needs-setup");

    // With secrets of tenants it is deleted only by who means it.
    let refused = send(&world, "DELETE", "/made", &json!({}));
    assert_eq!(refused.status, 428, "{}", refused.text());
    let wrong = Ask::new("DELETE", "/api/v1/upstreams/made").key(OPERATOR);
    let wrong = wrong.header("If-Match", "\"0123\"");
    assert_eq!(world.ask(&wrong).status, 412);
    let right = Ask::new("DELETE", "/api/v1/upstreams/made").key(OPERATOR);
    assert_eq!(world.ask(&right.header("If-Match", &tag(&changed))).status, 204);
    ended(&world);
    assert_eq!(tools(&mut old), before);
    let secrets = value(&world.ask(&Ask::new("GET", "/api/v1/secrets").key(&acme)));
    assert_eq!(secrets["items"], json!([]), "they went with it");
    // One of the same name begins with nothing.
    let again = send(&world, "POST", "", &block());
    assert_ne!(tag(&again), tag(&changed));
}

#[test]
fn it_is_disabled_enabled_and_started_anew() {
    let world = world();
    let acme = world.tenant("acme");
    made(&world);
    let mut client = Client::connect(Era::Legacy, world.address(), "/mcp", Some(&acme));
    let first = process(&mut client);
    let free = "free__echo".to_owned();
    let disabled = send(&world, "POST", "/made/disable", &json!({}));
    assert_eq!(disabled.status, 200, "{}", disabled.text());
    assert_eq!(value(&disabled)["standing"], "disabled");
    ended(&world);
    let left = tools(&mut client);
    assert!(left.contains(&free) && !left.iter().any(|name| name.starts_with("made")), "{left:?}");
    assert_eq!(show(&world, &acme, "made")["state"], "disabled");
    let all = value(&world.ask(&Ask::new("GET", "/api/v1/upstreams").key(&acme)));
    let names = all["items"].as_array().expect("items").iter().map(|item| &item["name"]);
    assert_eq!(names.collect::<Vec<_>>(), ["free", "gh", "made"]);

    assert_eq!(send(&world, "POST", "/made/enable", &json!({})).status, 200);
    let second = process(&mut client);
    assert_ne!(second, first);
    let restart = Ask::new("POST", "/api/v1/upstreams/made/restart").key(&acme);
    assert_eq!(world.ask(&restart).status, 204);
    until("another process serves", PATIENCE, || (process(&mut client) != second).then_some(()));

    // What ran and what runs is told, with what it uses; the one before may still be ending.
    let third = process(&mut client);
    let shown = show(&world, &acme, "made");
    let running = shown["processes"].as_array().expect("processes");
    assert_eq!(running.last().map(|one| &one["pid"]), Some(&json!(third)), "{shown}");
    assert_eq!(shown["restarts"], 2, "{shown}");
    let past = Ask::new("GET", "/api/v1/upstreams/made/history");
    let told = until("the others have ended", PATIENCE, || {
        let told = value(&world.ask(&past.clone().key(&acme)));
        let all = told["processes"].as_array().expect("processes").clone();
        let left = all.iter().filter(|one| one["ended_at"].is_null()).count();
        (left == 1).then_some(told)
    });
    let all = told["processes"].as_array().expect("processes");
    let (old, new) = (&all[0], &all[all.len() - 1]);
    assert!(all.len() >= 3 && old["exit_code"].is_i64(), "{told}");
    assert_eq!((&new["pid"], &new["exit_code"]), (&json!(third), &Value::Null), "{told}");
    assert!(new["last"]["resident_bytes"].as_u64() > Some(0), "{told}");
    let beta = world.tenant("beta");
    let other = value(&world.ask(&past.clone().key(&beta)));
    assert_eq!((&other["restarts"], &other["processes"]), (&json!(0), &json!([])));

    // And in the numbers of each.
    let stats = |key: &str| {
        let stats = value(&world.ask(&Ask::new("GET", "/api/v1/stats").key(key)));
        let all = stats["by_upstream"].as_array().expect("upstreams").clone();
        let made = all.into_iter().find(|one| one["upstream"] == "made").expect("it is there");
        (stats, made)
    };
    let (all, made) = stats(OPERATOR);
    assert_eq!((&made["state"], &made["processes"]["running"]), (&json!("ready"), &json!(1)));
    assert!(made["calls"].as_u64() >= Some(3) && made["processes"]["restarts"] == 2, "{made}");
    assert_eq!((&all["tenants"]["known"], &all["upstreams"]["total"]), (&json!(3), &json!(3)));
    assert!(all["calls"]["total"].as_u64() >= made["calls"].as_u64(), "{all}");
    assert!(all["proxy"]["memory_bytes"].as_u64() > Some(0), "{all}");
    until("the calls are in the tenant's usage", PATIENCE, || {
        let (own, made) = stats(&acme);
        assert_eq!((&own["tenant"], &own["proxy"]), (&json!("acme"), &Value::Null));
        assert_eq!(made["processes"]["running"], 1, "{own}");
        (made["calls"].as_u64() >= Some(3)).then_some(())
    });
    let (other, made) = stats(&beta);
    assert_eq!((&made["processes"]["running"], &made["calls"]), (&json!(0), &json!(0)), "{other}");
    assert_eq!((&other["calls"]["total"], &other["keys"]["live"]), (&json!(0), &json!(1)));

    let all = Ask::new("POST", "/api/v1/upstreams/free/restart").key(OPERATOR);
    assert_eq!(world.ask(&all).status, 204, "also one of the file");
}

#[test]
fn it_is_still_there_after_a_reload_and_a_restart() {
    let world = world();
    let acme = world.tenant("acme");
    made(&world);
    let mut client = Client::connect(Era::Modern, world.address(), "/mcp", Some(&acme));
    let first = process(&mut client);
    let path = world.proxy.folder().join("mcp-proxy.toml");
    let before = std::fs::read_to_string(&path).expect("the file");
    let reload = || {
        let answer = world.ask(&Ask::new("POST", "/api/v1/reload").key(OPERATOR));
        assert_eq!(answer.status, 200, "{}", answer.text());
        value(&answer)
    };
    assert_eq!(reload()["upstreams"]["removed"], json!([]));
    assert_eq!(process(&mut client), first, "the same process");
    // The file declares one of that name: it runs, and the other one waits.
    let more = format!("{before}\n[upstreams.made]\nurl = \"http://127.0.0.1:9/mcp\"\n");
    std::fs::write(&path, more).expect("the folder is ours");
    reload();
    assert_eq!(show(&world, &acme, "made")["origin"], "file");
    let seen = Ask::new("GET", "/api/v1/upstreams/made").key(OPERATOR).tenant("acme");
    let seen = value(&world.ask(&seen));
    assert_eq!(seen["made"]["standing"], "declared", "{seen}");
    ended(&world);
    // And a file without the program takes it out of service, with the reason.
    std::fs::write(&path, before.replace("[\"sh\", \"-c\"], ", "")).expect("the folder is ours");
    reload();
    assert_eq!(show(&world, &acme, "made")["state"], "broken");
    std::fs::write(&path, before).expect("the folder is ours");
    reload();
    process(&mut client);

    let setup = world.proxy.stop();
    let proxy = setup.serve();
    let mut client = Client::connect(Era::Modern, proxy.address(), "/mcp", Some(&acme));
    process(&mut client);
}

#[test]
fn what_may_not_be_is_refused_with_the_reason() {
    let world = world();
    let acme = world.tenant("acme");
    let member = text(&world.key(&acme, &json!({ "name": "member" })));
    for key in [&*acme, &*member, FILED] {
        let ask = Ask::new("POST", "/api/v1/upstreams").key(key).json(&block());
        assert_eq!(world.ask(&ask).status, 403);
    }
    for (body, said) in [
        (json!({ "name": "x", "command": ["bash", "-c", "id"] }), "programs"),
        (json!({ "name": "x", "command": ["sh", "x"] }), "programs"),
        (json!({ "name": "x", "command": "true", "env": { "LD_PRELOAD": "/x" } }), "which code"),
        (json!({ "name": "x", "command": "true", "env": { "API_TOKEN": CANARY } }), "{secret."),
        (json!({ "name": "x", "url": "http://127.0.0.1:1/" }), "allow_private"),
        (json!({ "name": "x", "command": "true", "cmd": 1 }), "no key"),
        (json!({ "name": "X!", "command": "true" }), "a-z"),
        (json!({ "command": "true" }), "name"),
    ] {
        let answer = send(&world, "POST", "", &body);
        assert_eq!(answer.status, 400, "{body}: {}", answer.text());
        assert!(answer.text().contains(said), "{body}: {}", answer.text());
        assert!(!answer.text().contains(CANARY), "{}", answer.text());
    }
    // What the file declares is changed there.
    for (method, path) in
        [("PUT", "/gh"), ("PATCH", "/gh"), ("DELETE", "/gh"), ("POST", "/gh/disable")]
    {
        let answer = send(&world, method, path, &json!({}));
        assert_eq!(answer.status, 409, "{method} {path}: {}", answer.text());
        assert!(answer.text().contains("mcp-proxy.toml:"), "{}", answer.text());
    }
    let taken = json!({ "name": "gh", "command": "true" });
    assert_eq!(send(&world, "POST", "", &taken).status, 409);
    assert!(show(&world, &acme, "gh")["declared_at"].is_string());

    // A change needs the state that it means.
    made(&world);
    assert_eq!(send(&world, "POST", "", &block()).status, 409, "twice");
    let patch = Ask::new("PATCH", "/api/v1/upstreams/made").key(OPERATOR);
    let patch = patch.json(&json!({ "timeout": "5s" }));
    assert_eq!(world.ask(&patch.clone().header("If-Match", "\"0123\"")).status, 412);
    assert_eq!(world.ask(&patch).status, 200);
    let wrong = send(&world, "PATCH", "/made", &json!({ "timeout": "soon" }));
    assert_eq!(wrong.status, 400);
    assert_eq!(value(&wrong)["problems"][0]["key"], "upstreams.made.timeout");
}
