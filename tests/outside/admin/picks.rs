//! Who sees which upstream: those that are for certain tenants, and those that a tenant has turned
//! off for itself. To everybody else nothing of it is different.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::admin::world::{Ask, OPERATOR, World, text, value};
use crate::support::{Answer, Client, Era, Stream, until};
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(60);

fn turn(world: &World, key: &str, name: &str, enabled: bool) -> Answer {
    let path = format!("/api/v1/upstreams/{name}/enabled");
    world.ask(&Ask::new("PUT", &path).key(key).json(&json!({ "enabled": enabled })))
}

fn owners(client: &mut Client) -> BTreeSet<String> {
    let owner = |tool: &Value| {
        let name = tool["name"].as_str().expect("a name");
        name.split("__").next().unwrap_or_default().to_owned()
    };
    client.list("tools/list", "tools").iter().map(owner).collect()
}

fn set(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

fn listed(world: &World, key: &str) -> Vec<String> {
    let all = value(&world.ask(&Ask::new("GET", "/api/v1/upstreams").key(key)));
    let items = all["items"].as_array().expect("items").iter();
    items.map(|item| format!("{} {}", item["name"], item["state"]).replace('"', "")).collect()
}

/// The status of `tools/list` at the door of one upstream.
fn single(world: &World, key: &str, name: &str) -> u16 {
    let path = format!("/mcp/{name}");
    let body = json!({ "jsonrpc": "2.0", "id": 1, "method": "ping" });
    world.ask(&Ask::new("POST", &path).key(key).json(&body)).status
}

/// How many processes of it there are, with those that look after them.
fn processes(world: &World) -> usize {
    let all = world.proxy.descendants();
    all.iter().filter(|(_, _, line)| line.contains("child") && line.contains("lists")).count()
}

#[test]
fn a_tenant_turns_one_off_for_itself_and_on_again() {
    let child = crate::support::everything().with_file_name("child");
    let made = format!("[upstreams.made]\ncommand = [{child:?}, \"lists\"]\n");
    let world = World::with(&format!("{made}[profiles.desk]\nupstreams = [\"free\", \"made\"]\n"));
    let (acme, beta) = (world.tenant("acme"), world.tenant("beta"));
    let member = text(&world.key(&acme, &json!({ "name": "member" })));
    let connect = |key: &str, era| Client::connect(era, world.address(), "/mcp", Some(key));
    let (mut old, mut new) = (connect(&acme, Era::Legacy), connect(&acme, Era::Modern));
    let mut other = connect(&beta, Era::Modern);
    for client in [&mut old, &mut new, &mut other] {
        assert_eq!(owners(client), set(&["free", "made"]));
        assert!(client.call("made__report", json!({}))["result"].is_object());
    }
    let running = processes(&world);
    let session = old.session().expect("a session");
    let headers = format!("Authorization: Bearer {acme}\r\nMcp-Session-Id: {session}");
    let mut stream = Stream::open(world.address(), "GET /mcp", &headers, "");

    assert_eq!(turn(&world, &member, "made", false).status, 403);
    assert_eq!(turn(&world, OPERATOR, "made", false).status, 400, "for which tenant?");
    assert_eq!(turn(&world, &acme, "nothing", false).status, 404);
    let off = turn(&world, &acme, "made", false);
    assert_eq!(off.status, 200, "{}", off.text());
    assert_eq!(value(&off)["state"], "turned-off");
    stream.hears("notifications/tools/list_changed");
    for client in [&mut old, &mut new] {
        assert_eq!(owners(client), set(&["free"]));
        let hidden = client.call("made__report", json!({}));
        let absent = client.call("none__report", json!({}));
        assert_eq!(hidden["error"]["code"], absent["error"]["code"], "{hidden} {absent}");
        assert!(hidden["error"].is_object());
    }
    let mut desk = Client::connect(Era::Modern, world.address(), "/p/desk/mcp", Some(&acme));
    assert_eq!(owners(&mut desk), set(&["free"]));
    assert_eq!(single(&world, &acme, "made"), single(&world, &acme, "nothing"));
    let rest = Ask::new("POST", "/api/v1/tools/made__report/call").key(&acme).json(&json!({}));
    assert_eq!(world.ask(&rest).status, 404);
    assert_eq!(
        listed(&world, &acme),
        ["free idle", "gh needs-setup", "made turned-off"]
            .map(|line| { if line == "free idle" { "free ready" } else { line } })
    );
    let why = "/api/v1/explain?tool=made__report";
    let why = value(&world.ask(&Ask::new("GET", why).key(&acme)));
    let because = why["chain"]["because"].as_str().expect("a reason");
    assert!(because.contains("turned the upstream `made` off"), "{why}");

    // Its own process ends; the other tenant's goes on.
    until("its process has ended", PATIENCE, || (processes(&world) == running / 2).then_some(()));
    assert_eq!(owners(&mut other), set(&["free", "made"]));
    assert!(other.call("made__report", json!({}))["result"].is_object());

    // It stays so over a reload and a restart.
    let reload = world.ask(&Ask::new("POST", "/api/v1/reload").key(OPERATOR));
    assert_eq!(reload.status, 200, "{}", reload.text());
    assert_eq!(owners(&mut old), set(&["free"]));
    let tag = off.header("etag").expect("an ETag").to_owned();
    let setup = world.proxy.stop();
    let proxy = setup.serve();
    let mut new = Client::connect(Era::Modern, proxy.address(), "/mcp", Some(&acme));
    assert_eq!(owners(&mut new), set(&["free"]));
    let on = Ask::new("PUT", "/api/v1/upstreams/made/enabled").json(&json!({ "enabled": true }));
    let on = on.key(OPERATOR).tenant("acme");
    let wrong = on.clone().header("If-Match", "\"0123\"");
    assert_eq!(wrong.at(proxy.address()).status, 412);
    let answer = on.header("If-Match", &tag).at(proxy.address());
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(owners(&mut new), set(&["free", "made"]));
    assert!(new.call("made__report", json!({}))["result"].is_object());
}

#[test]
fn what_is_for_other_tenants_is_not_there() {
    let world = World::with("");
    let (acme, beta) = (world.tenant("acme"), world.tenant("beta"));
    let free = value(&world.ask(&Ask::new("GET", "/api/v1/upstreams/free").key(&acme)));
    assert_eq!(free["state"], "ready", "{free}");
    let file = world.proxy.folder().join("mcp-proxy.toml");
    let before = std::fs::read_to_string(&file).expect("the file");
    let reload = |text: &str| {
        std::fs::write(&file, text).expect("the folder is ours");
        let answer = world.ask(&Ask::new("POST", "/api/v1/reload").key(OPERATOR));
        assert_eq!(answer.status, 200, "{}", answer.text());
        value(&answer)
    };
    let mut ours = Client::connect(Era::Legacy, world.address(), "/mcp", Some(&acme));
    let mut theirs = Client::connect(Era::Legacy, world.address(), "/mcp", Some(&beta));
    assert_eq!((owners(&mut ours), owners(&mut theirs)), (set(&["free"]), set(&["free"])));
    let session = theirs.session().expect("a session");
    let headers = format!("Authorization: Bearer {beta}\r\nMcp-Session-Id: {session}");
    let mut stream = Stream::open(world.address(), "GET /mcp", &headers, "");
    let only = before.replace("[upstreams.free]\n", "[upstreams.free]\ntenants = [\"acme\"]\n");
    let done = reload(&only);
    assert_eq!(done["upstreams"]["changed"], json!(["free"]), "{done}");
    assert_eq!(done["upstreams"]["restarted"], json!([]), "{done}");
    stream.hears("notifications/tools/list_changed");
    assert_eq!((owners(&mut ours), owners(&mut theirs)), (set(&["free"]), set(&[])));
    assert!(ours.call("free__echo", json!({ "text": "x" }))["result"].is_object());
    assert!(theirs.call("free__echo", json!({ "text": "x" }))["error"].is_object());

    // One that is made over the API, with a secret, and turned off by whom it is for.
    let made = json!({
        "name": "made", "url": "http://127.0.0.1:9/{secret.key}", "allow_private": true,
        "tenants": ["beta"],
    });
    let answer = world.ask(&Ask::new("POST", "/api/v1/upstreams").key(OPERATOR).json(&made));
    assert_eq!(answer.status, 201, "{}", answer.text());
    assert_eq!(listed(&world, &acme), ["free ready", "gh needs-setup"]);
    assert_eq!(listed(&world, &beta), ["gh needs-setup", "made needs-setup"]);
    let secret = json!({ "value": "x" });
    // To a tenant that does not see it, it answers as one that is not there.
    for (method, path, body) in [
        ("GET", "/api/v1/upstreams/NAME", json!({})),
        ("PUT", "/api/v1/upstreams/NAME/enabled", json!({ "enabled": false })),
        ("POST", "/api/v1/upstreams/NAME/restart", json!({})),
        ("GET", "/api/v1/upstreams/NAME/stderr", json!({})),
        ("PUT", "/api/v1/secrets/NAME/key", secret),
        ("GET", "/api/v1/tools?upstream=NAME", json!({})),
        ("POST", "/mcp/NAME", json!({ "jsonrpc": "2.0", "id": 1, "method": "ping" })),
    ] {
        let ask = |name: &str| {
            let path = path.replace("NAME", name);
            let answer = world.ask(&Ask::new(method, &path).key(&acme).json(&body));
            (answer.status, answer.text().replace(name, "NAME"))
        };
        assert_eq!(ask("made"), ask("nope"), "{method} {path}");
        assert_eq!(ask("made").0, 404, "{method} {path}");
    }
    let off = turn(&world, &beta, "made", false);
    assert_eq!(value(&off)["state"], "turned-off", "{}", off.text());
    let disable = Ask::new("POST", "/api/v1/upstreams/made/disable").key(OPERATOR);
    assert_eq!(world.ask(&disable).status, 200);
    assert_eq!(listed(&world, &acme), ["free ready", "gh needs-setup"]);
    assert_eq!(listed(&world, &beta), ["gh needs-setup", "made disabled"]);

    // For all again: who did not see it hears of it.
    let stream_of = format!(
        "Authorization: Bearer {beta}\r\nMcp-Session-Id: {}",
        theirs.session().expect("one")
    );
    let mut stream = Stream::open(world.address(), "GET /mcp", &stream_of, "");
    reload(&before);
    stream.hears("notifications/tools/list_changed");
    assert_eq!(owners(&mut theirs), set(&["free"]));
    let wrong = before.replace("[upstreams.free]\n", "[upstreams.free]\ntenants = []\n");
    std::fs::write(&file, wrong).expect("the folder is ours");
    let refused = world.ask(&Ask::new("POST", "/api/v1/reload").key(OPERATOR));
    assert_eq!(refused.status, 422);
    assert!(refused.text().contains("names no tenant"), "{}", refused.text());
}
