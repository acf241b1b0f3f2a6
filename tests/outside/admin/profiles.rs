//! Profiles that are made over the API: the same document as in the file, there at once for every
//! tenant, and still there after a restart.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::admin::world::{Ask, OPERATOR, World, value};
use crate::support::{Answer, Client, Era, Stream};

const FILE: &str = "[profiles.filed]\nupstreams = [\"free\"]\ntools = { allow = [\"e*\"] }\n";

fn put<'a>(path: &'a str, body: &Value) -> Ask<'a> {
    Ask::new("PUT", path).key(OPERATOR).json(body)
}

fn get(world: &World, key: &str, path: &str) -> Answer {
    world.ask(&Ask::new("GET", path).key(key))
}

fn tools(client: &mut Client) -> BTreeSet<String> {
    let name = |tool: &Value| tool["name"].as_str().expect("a name").to_owned();
    client.list("tools/list", "tools").iter().map(name).collect()
}

fn names(all: &Value) -> Vec<&str> {
    let items = all["items"].as_array().expect("items").iter();
    items.map(|item| item["name"].as_str().expect("a name")).collect()
}

#[test]
fn one_is_made_changed_and_removed_and_clients_hear_of_it() {
    let world = World::with(FILE);
    let acme = world.tenant("acme");
    let door = |era| Client::connect(era, world.address(), "/p/desk/mcp", Some(&acme));
    assert_eq!(get(&world, &acme, "/api/v1/profiles/desk").status, 404);
    let path = "/api/v1/profiles/desk";
    let body = json!({
        "upstreams": { "free": {
            "tools": { "allow": ["echo", "show_request", "sleep"] },
            "rename": { "echo": "say" },
            "describe": { "echo": "Says it again." },
            "hide": ["nothing"],
        } },
        "tools": { "deny": ["sleep"] },
        "prompts": { "allow": [] },
    });
    let made = world.ask(&put(path, &body).header("If-None-Match", "*"));
    assert_eq!(made.status, 200, "{}", made.text());
    let tag = made.header("etag").expect("an ETag").to_owned();
    let shown = value(&made);
    assert_eq!((&shown["standing"], &shown["origin"]), (&json!("runs"), &json!("store")));
    assert_eq!(shown["document"], body);
    assert_eq!(world.ask(&put(path, &body).header("If-None-Match", "*")).status, 412);

    // What is listed can be called and nothing else, in both eras and over REST.
    let wanted: BTreeSet<String> = ["free__say", "free__show_request"].map(str::to_owned).into();
    for era in [Era::Legacy, Era::Modern] {
        let mut client = door(era);
        assert_eq!(tools(&mut client), wanted, "{era:?}");
        assert!(client.list("prompts/list", "prompts").is_empty());
        let said = client.call("free__say", json!({ "text": "once more" }));
        assert!(said["result"].to_string().contains("once more"), "{said}");
        for hidden in ["free__echo", "free__sleep"] {
            assert!(client.call(hidden, json!({}))["error"].is_object(), "{hidden}");
        }
    }
    let rest = value(&get(&world, &acme, "/api/v1/tools?profile=desk"));
    assert_eq!(names(&rest), ["free__say", "free__show_request"]);
    let explain = "/api/v1/explain?tool=free__sleep&door=/p/desk/mcp";
    let why = value(&get(&world, &acme, explain));
    let rule = why["chain"]["rule"].as_str().expect("a rule");
    assert!(rule.starts_with("profiles.desk.tools.deny"), "{why}");
    assert_eq!((&why["chain"]["origin"], &why["chain"]["line"]), (&json!("store"), &Value::Null));

    // Everybody sees that it is there, and the operator what it says.
    let seen = value(&get(&world, &acme, path));
    assert_eq!((&seen["door"], &seen["document"]), (&json!("/p/desk/mcp"), &Value::Null));
    let all = value(&get(&world, OPERATOR, "/api/v1/profiles"));
    assert_eq!(names(&all), ["desk", "filed"]);
    assert_eq!(all["items"][1]["document"]["tools"], json!({ "allow": ["e*"] }));

    // Another document: who has a stream hears it, and sees it.
    let mut old = door(Era::Legacy);
    tools(&mut old);
    let session = old.session().expect("a session");
    let headers = format!("Authorization: Bearer {acme}\r\nMcp-Session-Id: {session}");
    let mut stream = Stream::open(world.address(), "GET /p/desk/mcp", &headers, "");
    let less = json!({ "upstreams": ["free"], "tools": { "allow": ["sleep"] } });
    assert_eq!(world.ask(&put(path, &less).header("If-Match", "\"0123\"")).status, 412);
    let changed = world.ask(&put(path, &less).header("If-Match", &tag));
    assert_eq!(changed.status, 200, "{}", changed.text());
    stream.hears("notifications/tools/list_changed");
    assert_eq!(tools(&mut old), BTreeSet::from(["free__sleep".to_owned()]));

    // It is still there after a restart, and gone when it was removed.
    let setup = world.proxy.stop();
    let proxy = setup.serve();
    let mut client = Client::connect(Era::Modern, proxy.address(), "/p/desk/mcp", Some(&acme));
    assert_eq!(tools(&mut client), BTreeSet::from(["free__sleep".to_owned()]));
    let delete = Ask::new("DELETE", path).key(OPERATOR);
    assert_eq!(delete.at(proxy.address()).status, 204);
    assert_eq!(delete.at(proxy.address()).status, 404);
    let list = json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/list" });
    let gone = Ask::new("POST", "/p/desk/mcp").key(&acme).json(&list);
    assert_eq!(gone.at(proxy.address()).status, 404);
}

#[test]
fn what_does_not_fit_is_refused_with_the_reason() {
    let world = World::with(FILE);
    let acme = world.tenant("acme");
    let path = "/api/v1/profiles/desk";
    let own = Ask::new("PUT", path).key(&acme).json(&json!({ "upstreams": ["free"] }));
    assert_eq!(world.ask(&own).status, 403);
    for (body, key, said) in [
        (json!({}), "profiles.desk", "upstreams"),
        (json!({ "upstreams": ["fre"] }), "profiles.desk.upstreams[0]", "did you mean `free`"),
        (json!({ "upstreams": ["free"], "tols": {} }), "profiles.desk.tols", "tools"),
        (json!({ "upstreams": ["free"], "tools": ["a"] }), "profiles.desk.tools", "allow"),
        (
            json!({ "upstreams": { "free": { "pin": { "a": "{secret.x}" } } } }),
            "profiles.desk.upstreams.free.pin.a",
            "constant",
        ),
    ] {
        let refused = world.ask(&put(path, &body));
        assert_eq!(refused.status, 400, "{body}: {}", refused.text());
        assert!(refused.text().contains(said), "{body}: {}", refused.text());
        let told = value(&refused);
        assert_eq!(told["problems"][0]["key"], key, "{told}");
        assert_eq!(told["problems"][0]["line"], Value::Null, "{told}");
    }
    let named = json!({ "name": "other", "upstreams": ["free"] });
    assert_eq!(world.ask(&put(path, &named)).status, 400);
    assert_eq!(world.ask(&put("/api/v1/profiles/De_sk", &named)).status, 400);
    // What the file declares is changed there.
    let filed = "/api/v1/profiles/filed";
    for ask in
        [put(filed, &json!({ "upstreams": ["gh"] })), Ask::new("DELETE", filed).key(OPERATOR)]
    {
        let refused = world.ask(&ask);
        assert_eq!(refused.status, 409, "{}", refused.text());
        assert!(refused.text().contains("mcp-proxy.toml:"), "{}", refused.text());
    }
    // An upstream that a profile names is not taken away from under it.
    let made = json!({ "name": "made", "url": "http://127.0.0.1:9/mcp", "allow_private": true });
    let ask = Ask::new("POST", "/api/v1/upstreams").key(OPERATOR).json(&made);
    assert_eq!(world.ask(&ask).status, 201);
    let body = json!({ "upstreams": ["free", "made"] });
    assert_eq!(world.ask(&put(path, &body)).status, 200);
    let delete = Ask::new("DELETE", "/api/v1/upstreams/made").key(OPERATOR);
    let refused = world.ask(&delete);
    assert_eq!(refused.status, 409, "{}", refused.text());
    assert!(refused.text().contains("`desk`"), "{}", refused.text());
    // Disabled it stays a member; the rest of the profile goes on.
    let disable = Ask::new("POST", "/api/v1/upstreams/made/disable").key(OPERATOR);
    assert_eq!(world.ask(&disable).status, 200);
    assert_eq!(value(&get(&world, OPERATOR, path))["standing"], "runs");
    let mut client = Client::connect(Era::Modern, world.address(), "/p/desk/mcp", Some(&acme));
    assert!(tools(&mut client).contains("free__echo"));
    // The file declares one of that name: it runs, and the other one waits beside it.
    let file = world.proxy.folder().join("mcp-proxy.toml");
    let before = std::fs::read_to_string(&file).expect("the file");
    let more = format!("{before}\n[profiles.desk]\nupstreams = [\"gh\"]\n");
    std::fs::write(&file, more).expect("the folder is ours");
    let reload = world.ask(&Ask::new("POST", "/api/v1/reload").key(OPERATOR));
    assert_eq!(reload.status, 200, "{}", reload.text());
    assert_eq!(value(&get(&world, &acme, path))["origin"], "file");
    let all = value(&get(&world, OPERATOR, "/api/v1/profiles"));
    assert_eq!(names(&all), ["desk", "desk", "filed"]);
    assert_eq!(all["items"][1]["standing"], "declared", "{all}");
}
