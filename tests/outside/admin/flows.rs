//! What people do with the API, from a tenant's first minute to its end.

use serde_json::{Value, json};

use crate::admin::world::{Ask, FILED, OPERATOR, World, text, value};
use crate::support::{Client, Era, until};
use std::time::Duration;

fn tools(world: &World, key: &str) -> usize {
    Client::connect(Era::Modern, world.address(), "/mcp", Some(key))
        .list("tools/list", "tools")
        .len()
}

#[test]
fn a_tenant_is_made_in_one_call_and_works_at_once() {
    let world = World::new();
    let body = json!({
        "name": "acme",
        "key": { "name": "boss", "expires_in": "90d" },
        "secrets": { "gh": { "token": "acme's own token" } },
    });
    let made = world.ask(&Ask::new("POST", "/api/v1/tenants").key(OPERATOR).json(&body));
    assert_eq!((made.status, made.header("location")), (201, Some("/api/v1/tenants/acme")));
    let made = value(&made);
    assert_eq!(made["key"]["role"], "admin");
    let key = text(&made["key"]);

    // Its own token reaches the upstream, and nobody reads it back.
    let mut client = Client::connect(Era::Modern, world.address(), "/mcp/gh", Some(&key));
    let seen = client.call("show_request", json!({}));
    assert!(seen.to_string().contains("Bearer acme's own token"), "{seen}");
    let listed = world.ask(&Ask::new("GET", "/api/v1/secrets").key(&key));
    let listed = value(&listed);
    assert_eq!(listed["items"][0]["slot"], "token");
    assert!(!listed.to_string().contains("acme's own"), "{listed}");

    let shown = world.ask(&Ask::new("GET", "/api/v1/tenants/acme").key(OPERATOR));
    assert_eq!(value(&shown)["keys"], 1);
    let again = world.ask(&Ask::new("POST", "/api/v1/tenants").key(OPERATOR).json(&body));
    assert_eq!(again.status, 409);

    // A tenant with a secret that nobody uses is not made at all.
    let wrong = json!({ "name": "beta", "secrets": { "gh": { "tokn": "x" } } });
    let wrong = world.ask(&Ask::new("POST", "/api/v1/tenants").key(OPERATOR).json(&wrong));
    assert!(wrong.status == 404 && wrong.text().contains("it uses token"), "{}", wrong.text());
    assert_eq!(world.ask(&Ask::new("GET", "/api/v1/tenants/beta").key(OPERATOR)).status, 404);
}

#[test]
fn an_admin_makes_keys_and_a_member_looks_after_his_own() {
    let world = World::new();
    let boss = world.tenant("acme");
    let one = world.key(&boss, &json!({ "name": "one", "expires_in": "30d" }));
    let other = world.key(&boss, &json!({ "name": "other" }));
    let (key, id) = (text(&one), |key: &Value| key["id"].as_str().expect("an id").to_owned());
    assert_eq!(
        one["created_by"],
        value(&world.ask(&Ask::new("GET", "/api/v1/me").key(&boss)))["key"]
    );

    let second = world.key(&key, &json!({ "name": "phone" }));
    assert_eq!(second["expires_at"], one["expires_at"], "it does not outlive the first");
    let names = |key: &str| -> Vec<String> {
        let listed = value(&world.ask(&Ask::new("GET", "/api/v1/keys").key(key)));
        let items = listed["items"].as_array().expect("items").clone();
        items.iter().map(|key| key["name"].as_str().expect("a name").to_owned()).collect()
    };
    let mut own = names(&key);
    own.sort();
    assert_eq!(own, ["one", "phone"]);
    assert_eq!(names(&boss).len(), 4);

    // Another's key is an unknown one, to look at and to end.
    let unknown = world.ask(&Ask::new("DELETE", "/api/v1/keys/zzzzzzzzzz").key(&key));
    let path = format!("/api/v1/keys/{}", id(&other));
    for method in ["GET", "DELETE"] {
        let foreign = world.ask(&Ask::new(method, &path).key(&key));
        assert_eq!((foreign.status, foreign.text()), (404, unknown.text()), "{method}");
    }
    for role in ["admin", "operator"] {
        let more =
            Ask::new("POST", "/api/v1/keys").key(&key).json(&json!({ "name": "x", "role": role }));
        assert_eq!(world.ask(&more).status, 403, "{role}");
    }

    // The other device takes his own key away, and at once it opens nothing.
    assert!(tools(&world, &key) > 0);
    let path = format!("/api/v1/keys/{}", id(&one));
    assert_eq!(world.ask(&Ask::new("DELETE", &path).key(&text(&second))).status, 204);
    until("the key is refused", Duration::from_secs(1), || {
        (world.ask(&Ask::new("GET", "/api/v1/me").key(&key)).status == 401).then_some(())
    });
    assert_eq!(
        world.ask(&Ask::new("DELETE", &path).key(&text(&second))).status,
        204,
        "it is ended"
    );
}

#[test]
fn nobody_gives_scopes_that_he_does_not_have() {
    let world = World::new();
    let boss = world.tenant("acme");
    let scopes =
        json!({ "name": "bot", "role": "admin", "scopes": ["profile:support", "free__get_*"] });
    let bot = world.key(&boss, &scopes);
    assert_eq!(bot["scopes"], json!(["profile:support", "tool:free__get_*"]));
    let make = |scopes: Value| {
        let body = json!({ "name": "x", "scopes": scopes });
        world.ask(&Ask::new("POST", "/api/v1/keys").key(&text(&bot)).json(&body)).status
    };
    assert_eq!(make(json!(["profile:support", "free__get_x"])), 201);
    for more in [
        json!([]),
        json!(["profile:support"]),
        json!(["profile:other", "free__get_x"]),
        json!(["no scope"]),
    ] {
        assert!(matches!(make(more.clone()), 400 | 403), "{more}");
    }
}

#[test]
fn nobody_gets_the_text_of_a_key_that_may_do_more_than_his_own() {
    let world = World::new();
    let boss = world.tenant("acme");
    let bot = world.key(&boss, &json!({ "name": "bot", "role": "admin", "scopes": ["free__*"] }));
    let wide = world.key(&boss, &json!({ "name": "wide" }));
    let path = format!("/api/v1/keys/{}/rotate", wide["id"].as_str().expect("an id"));
    assert_eq!(world.ask(&Ask::new("POST", &path).key(&text(&bot))).status, 403);
    let own = value(&world.ask(&Ask::new("GET", "/api/v1/me").key(&boss)));
    let own = format!("/api/v1/keys/{}/rotate", own["key"].as_str().expect("an id"));
    // A token that may do less, of the very key.
    let less = Ask::new("POST", "/api/v1/token").key(&boss).json(&json!({ "role": "member" }));
    let less = value(&world.ask(&less))["token"].as_str().expect("a token").to_owned();
    assert_eq!(world.ask(&Ask::new("POST", &own).key(&less)).status, 403);
    let make = |key: &str| {
        let ask = Ask::new("POST", "/api/v1/keys").key(key).header("Idempotency-Key", "n");
        world.ask(&ask.json(&json!({ "name": "second", "role": "admin" })))
    };
    assert_eq!((make(&boss).status, make(&less).status), (201, 409));
}

#[test]
fn a_key_for_a_profile_opens_no_other_door_and_is_told_why() {
    let world = World::with(
        "[profiles.support]\nupstreams = [\"free\"]\n[profiles.sales]\nupstreams = [\"free\"]\n",
    );
    let boss = world.tenant("acme");
    let bot = text(&world.key(&boss, &json!({ "name": "bot", "scopes": ["profile:support"] })));
    let body = json!({ "jsonrpc": "2.0", "id": 1, "method": "ping" });
    let ask = |method: &'static str, door: &str| {
        let ask = Ask::new(method, door)
            .key(&bot)
            .header("Accept", "application/json, text/event-stream");
        world.ask(&ask.json(&body))
    };
    for (method, door, scope) in [
        ("POST", "/mcp", "profile:*"),
        ("POST", "/mcp/free", "profile:*"),
        ("POST", "/mcp/nothing", "profile:*"),
        ("GET", "/mcp", "profile:*"),
        ("GET", "/sse", "profile:*"),
        ("POST", "/p/sales/mcp", "profile:sales"),
        ("POST", "/p/nothing/mcp", "profile:nothing"),
        ("GET", "/p/sales/sse", "profile:sales"),
    ] {
        let answer = ask(method, door);
        assert_eq!(answer.status, 403, "{method} {door}");
        let challenge = answer.header("www-authenticate").unwrap_or_default();
        let expected = format!("Bearer error=\"insufficient_scope\", scope=\"{scope}\"");
        assert_eq!(challenge, expected, "{method} {door}");
    }
    let mut client = Client::connect(Era::Modern, world.address(), "/p/support/mcp", Some(&bot));
    assert!(!client.list("tools/list", "tools").is_empty());
}

#[test]
fn scopes_of_tools_hide_the_others_from_keys_and_tokens() {
    let world = World::new();
    let boss = world.tenant("acme");
    let bot =
        text(&world.key(&boss, &json!({ "name": "bot", "scopes": ["free__echo", "free__whoa*"] })));
    let token = value(&world.ask(&Ask::new("POST", "/api/v1/token").key(&bot)));
    let token = token["token"].as_str().expect("a token").to_owned();
    for key in [&bot, &token] {
        for era in Era::BOTH {
            let mut client = Client::connect(era, world.address(), "/mcp", Some(key));
            let tools = client.list("tools/list", "tools");
            let mut names: Vec<&str> =
                tools.iter().filter_map(|tool| tool["name"].as_str()).collect();
            names.sort_unstable();
            assert_eq!(names, ["free__echo", "free__whoami"]);
            assert!(client.list("prompts/list", "prompts").is_empty(), "not all of it is left");
            let hidden = client.call("free__show_request", json!({}));
            let absent = client.call("free__nothing_like_it", json!({}));
            assert_eq!(hidden["error"]["code"], absent["error"]["code"], "{hidden} {absent}");
            assert!(hidden["error"].is_object(), "{hidden}");
            assert!(client.call("free__echo", json!({ "text": "x" }))["result"].is_object());
        }
    }
    let shown = value(&world.ask(&Ask::new("GET", "/api/v1/upstreams/free").key(&bot)));
    assert_eq!(shown["tools"].as_array().map(Vec::len), Some(2));
}

#[test]
fn a_token_is_taken_wherever_a_key_is_and_so_is_x_api_key() {
    let world = World::new();
    let boss = world.tenant("acme");
    let made = world.ask(&Ask::new("POST", "/api/v1/token").header("X-API-Key", &boss));
    let made = value(&made);
    assert_eq!((&made["expires_in"], &made["tenant"]), (&json!(900), &json!("acme")));
    let token = made["token"].as_str().expect("a token").to_owned();
    assert!(tools(&world, &token) > 0);
    let me = value(&world.ask(&Ask::new("GET", "/api/v1/me").key(&token)));
    assert_eq!((&me["role"], &me["token_expires_at"]), (&json!("admin"), &made["expires_at"]));
    let again = world.ask(&Ask::new("POST", "/api/v1/token").key(&token));
    assert_eq!(again.status, 403, "a token makes no token");
    let post =
        |key: &str, body: Value| world.ask(&Ask::new("POST", "/api/v1/token").key(key).json(&body));
    assert_eq!(post(&boss, json!({ "expires_in": "2h" })).status, 400);
    assert_eq!(post(&boss, json!({ "role": "operator" })).status, 403);
    let member = value(&post(&boss, json!({ "role": "member", "expires_in": "1h" })));
    let member = member["token"].as_str().expect("a token").to_owned();
    assert_eq!(world.ask(&Ask::new("GET", "/api/v1/secrets").key(&member)).status, 403);

    // The admin's own key is ended with the member's token: the tokens end, too.
    let id = me["key"].as_str().expect("an id");
    let path = format!("/api/v1/keys/{id}");
    let ended = Ask::new("DELETE", &path).key(OPERATOR).tenant("acme");
    assert_eq!(world.ask(&ended).status, 204);
    until("its tokens are refused", Duration::from_secs(1), || {
        let status = |key: &str| world.ask(&Ask::new("GET", "/api/v1/me").key(key)).status;
        (status(&token) == 401 && status(&member) == 401).then_some(())
    });
}

#[test]
fn the_operator_acts_for_a_tenant_and_the_log_says_so() {
    let world = World::new();
    world.tenant("acme");
    let set =
        Ask::new("PUT", "/api/v1/secrets/gh/token").key(OPERATOR).json(&json!({ "value": "t" }));
    assert_eq!(world.ask(&set).status, 400, "no tenant");
    assert_eq!(world.ask(&set.clone().tenant("acme")).status, 200);
    assert_eq!(world.ask(&set.clone().tenant("nobody")).status, 404);
    until("the log has it", Duration::from_secs(5), || {
        let log = world.proxy.log();
        let set = |line: &&str| line.contains("setSecret") && line.contains("outcome=\"200\"");
        let line = log.lines().find(set)?.to_owned();
        (line.contains("role=operator") && line.contains("tenant=\"acme\"")).then_some(())
    });
    let mut client = Client::connect(Era::Modern, world.address(), "/mcp", None)
        .with_header("X-API-Key", OPERATOR)
        .with_header("X-Tenant", "acme");
    assert!(!client.list("tools/list", "tools").is_empty());
}

#[test]
fn upstreams_say_how_they_stand() {
    let world = World::new();
    let boss = world.tenant("acme");
    let show = |name: &str| {
        let path = format!("/api/v1/upstreams/{name}");
        value(&world.ask(&Ask::new("GET", &path).key(&boss)))
    };
    let waits = show("gh");
    assert_eq!(
        (&waits["state"], &waits["missing_secrets"]),
        (&json!("needs-setup"), &json!(["token"]))
    );
    assert!(
        waits["reason"].as_str().is_some_and(|reason| reason.contains("secret set")),
        "{waits}"
    );
    let ready = show("free");
    assert_eq!(ready["state"], "ready");
    let echo =
        ready["tools"].as_array().expect("tools").iter().find(|tool| tool["original"] == "echo");
    assert_eq!(echo.expect("echo")["name"], "free__echo");
    let set = Ask::new("PUT", "/api/v1/secrets/gh/token").key(&boss).json(&json!({ "value": "t" }));
    assert_eq!(world.ask(&set).status, 200);
    // What waited for the secret waits no longer, and nothing says that it still does.
    let all = value(&world.ask(&Ask::new("GET", "/api/v1/upstreams").key(&boss)));
    let gh = all["items"].as_array().expect("upstreams").iter().find(|one| one["name"] == "gh");
    let gh = gh.expect("gh");
    // Its lists may be on their way already.
    let state = gh["state"].as_str().unwrap_or_default();
    assert!(["idle", "starting", "ready"].contains(&state), "{gh}");
    assert_eq!(gh["reason"], Value::Null, "{gh}");
    let listed = value(&world.ask(&Ask::new("GET", "/api/v1/tools?upstream=gh").key(&boss)));
    assert!(listed["items"].as_array().is_some_and(|tools| !tools.is_empty()), "{listed}");
    assert_eq!(show("gh")["state"], "ready");
}

#[test]
fn sessions_are_listed_and_ended() {
    let world = World::new();
    let boss = world.tenant("acme");
    let member = text(&world.key(&boss, &json!({ "name": "member" })));
    let mut client = Client::connect(Era::Legacy, world.address(), "/mcp", Some(&boss));
    let listed = |key: &str| value(&world.ask(&Ask::new("GET", "/api/v1/sessions").key(key)));
    let sessions = listed(&boss);
    let id = sessions["items"][0]["id"].as_str().expect("a session").to_owned();
    assert!(client.session().is_some_and(|session| !session.contains(&id)), "it opens nothing");
    assert_eq!(listed(&member)["items"], json!([]), "another's is not shown");
    let path = format!("/api/v1/sessions/{id}");
    assert_eq!(world.ask(&Ask::new("DELETE", &path).key(&member)).status, 404);
    assert_eq!(world.ask(&Ask::new("DELETE", &path).key(&boss)).status, 204);
    assert_eq!(client.send("tools/list", json!({})).status, 404, "it has ended");
    assert_eq!(listed(&boss)["items"], json!([]));
}

#[test]
fn health_says_more_to_the_operator() {
    let world = World::new();
    world.tenant("acme");
    for path in ["/health", "/api/v1/health"] {
        let health = value(&world.ask(&Ask::new("GET", path).key(OPERATOR)));
        assert_eq!((&health["status"], &health["tenants"]), (&json!("ok"), &json!(2)), "{path}");
        assert!(health["memory_bytes"].as_u64().is_some_and(|bytes| bytes > 1 << 20), "{health}");
    }
    let stranger = world.ask(&Ask::new("GET", "/health"));
    assert_eq!(stranger.status, 200);
    assert_eq!(value(&stranger)["tenants"], Value::Null);
    assert_eq!(world.ask(&Ask::new("GET", "/health").key("mcpp_nobodys")).status, 401);
    assert_eq!(value(&world.ask(&Ask::new("GET", "/health").key(FILED)))["tenants"], Value::Null);
}

#[test]
fn what_the_file_declares_is_shown_and_not_changed() {
    let world = World::new();
    let keys = value(&world.ask(&Ask::new("GET", "/api/v1/keys").key(FILED)));
    let key = &keys["items"][0];
    assert_eq!((&key["origin"], &key["role"]), (&json!("file"), &json!("admin")));
    let declared = key["declared_at"].as_str().expect("a place").to_owned();
    assert!(declared.contains("mcp-proxy.toml:"), "{declared}");
    let key = format!("/api/v1/keys/{}", key["id"].as_str().expect("an id"));
    let rotate = format!("{key}/rotate");
    let value = json!({ "value": "x" });
    let cases = [
        Ask::new("DELETE", &key).key(FILED),
        Ask::new("POST", &rotate).key(FILED),
        Ask::new("PUT", "/api/v1/secrets/gh/token").key(FILED).json(&value),
        Ask::new("DELETE", "/api/v1/secrets/gh/token").key(FILED),
        Ask::new("DELETE", "/api/v1/tenants/filed").key(OPERATOR),
    ];
    for ask in &cases {
        let answer = world.ask(ask);
        assert_eq!(answer.status, 409, "{}", answer.text());
        assert!(answer.text().contains("mcp-proxy.toml:"), "{}", answer.text());
    }
    // An admin of the file makes keys in the store, and they are his to change.
    let made = world.key(FILED, &json!({ "name": "more" }));
    assert!(tools(&world, &text(&made)) > 0);
}
