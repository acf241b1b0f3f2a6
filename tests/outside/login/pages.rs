//! From the sentence with the link to the call, and back out.

use std::{fs, sync::mpsc, time::Duration};

use serde_json::{Value, json};

use crate::login::bed::{
    Browser, OPERATOR, api, call, link, login_state, modern_call, proxy, push, setup, until_good,
};
use crate::login::server::{TOKEN, World};
use crate::support::{Canary, Era, until};

#[test]
fn a_person_logs_in_and_out_and_nothing_of_it_is_seen_anywhere() {
    let world = World::start();
    let proxy = proxy(&world);
    let mut client = proxy.client(Era::Legacy, "/mcp");
    let (failed, said) = call(&mut client);
    assert!(failed && said.contains("needs a login for tenant `test`"), "{said}");
    let link = link(&said);
    assert!(link.starts_with(&proxy.url("/connect/upstreams/up?asked=")), "{link}");
    assert_eq!(login_state(&proxy, proxy.key()), "logged-out");

    let mut browser = Browser::default();
    assert!(browser.get(&link).text().contains("Proxy key"));
    let wrong = browser.press(&link, "sign-in", "not-a-key-of-anybody-at-all-in-this-proxy");
    assert_eq!(wrong.status, 401);
    browser.log_in(&link, proxy.key());
    {
        let state = world.state();
        assert_eq!((state.count("register"), state.count("token ")), (1, 1));
        assert_eq!(state.last["resource"], world.url());
        assert!(state.last["authorization"].starts_with("Basic "), "as it was registered");
    }
    until_good(&mut client);
    assert_eq!(login_state(&proxy, proxy.key()), "logged-in");

    // Again in place: the same registration, another token.
    browser.log_in(&proxy.url("/connect/upstreams/up"), proxy.key());
    until_good(&mut client);
    assert_eq!(world.state().count("register"), 1);

    // Another life of the proxy.
    let proxy = proxy.stop().serve_at_trace();
    let mut client = proxy.client(Era::Legacy, "/mcp");
    until_good(&mut client);
    let list = browser.get(&proxy.url("/connect/upstreams")).text();
    assert!(list.contains("logged in"), "{list}");

    let out = browser.press(&proxy.url("/connect/upstreams/up"), "log-out", "");
    assert!(out.text().contains("not logged in"), "{}", out.text());
    assert_eq!(world.state().count("revoke"), 2);
    let (failed, said) = call(&mut client);
    assert!(failed && said.contains("needs a login"), "{said}");

    push(&proxy, &world, 3_600);
    until_good(&mut client);
    let metrics = api(&proxy, OPERATOR, "GET", "/metrics", &Value::Null).text();
    let shown = api(&proxy, proxy.key(), "GET", "/api/v1/secrets", &Value::Null).text();
    assert!(!shown.contains("oauth.login"), "{shown}");
    let gone = api(&proxy, proxy.key(), "DELETE", "/api/v1/upstreams/up/oauth", &Value::Null);
    assert_eq!(gone.status, 204);
    assert_eq!(login_state(&proxy, proxy.key()), "logged-out");

    let canary = Canary::new("a token", TOKEN.as_bytes());
    let log = proxy.log();
    let setup = proxy.stop();
    let mut places = vec![
        ("the log".to_owned(), log.into_bytes()),
        ("a page".to_owned(), browser.seen.clone().into_bytes()),
        ("the metrics".to_owned(), metrics.into_bytes()),
    ];
    for entry in fs::read_dir(setup.folder()).expect("the folder is ours").flatten() {
        let content = fs::read(entry.path()).unwrap_or_default();
        places.push((entry.path().display().to_string(), content));
    }
    let seen: Vec<String> =
        places.iter().filter_map(|(place, content)| canary.seen_in(place, content)).collect();
    assert!(seen.is_empty(), "{seen:?}");
}

#[test]
fn clients_that_show_pages_are_given_the_link_in_their_own_way() {
    let world = World::start();
    let proxy = proxy(&world);
    // 2025-11-25 has an error for it.
    let url = json!({"elicitation": {"url": {}}});
    let mut client = proxy.client(Era::Legacy, "/mcp").declaring(&url);
    let answer = client.call("up__who", json!({}));
    assert_eq!(answer["error"]["code"], -32042, "{answer}");
    let asked = &answer["error"]["data"]["elicitations"][0];
    assert_eq!(asked["mode"], "url");
    assert!(asked["url"].as_str().unwrap().contains("/connect/upstreams/up?asked="));

    // 2026-07-28 asks, and the call is made again with the answer.
    let answer = modern_call(&proxy, &json!({}));
    assert_eq!(answer["result"]["resultType"], "input_required", "{answer}");
    let asked = &answer["result"]["inputRequests"]["mcp-proxy-login"];
    assert_eq!(
        (&asked["method"], &asked["params"]["mode"]),
        (&"elicitation/create".into(), &"url".into())
    );
    let refused = json!({"inputResponses": {"mcp-proxy-login": {"action": "decline"}}});
    let answer = modern_call(&proxy, &refused);
    assert_eq!(answer["result"]["isError"], true, "{answer}");
    let link = asked["params"]["url"].as_str().expect("a link").to_owned();
    Browser::default().log_in(&link, proxy.key());
    let answer =
        modern_call(&proxy, &json!({"inputResponses": {"mcp-proxy-login": {"action": "accept"}}}));
    assert_eq!(answer["result"]["content"][0]["text"], "you", "{answer}");
}

#[test]
fn a_log_out_that_waits_holds_up_no_other_write() {
    let world = World::start();
    let proxy = proxy(&world);
    Browser::default().log_in(&proxy.url("/connect/upstreams/up"), proxy.key());
    let (open, gate) = mpsc::channel::<()>();
    world.state().gate = Some(gate);
    std::thread::scope(|scope| {
        let path = "/api/v1/upstreams/up/oauth";
        let out = scope.spawn(|| api(&proxy, proxy.key(), "DELETE", path, &Value::Null));
        until("the authorization server is asked", Duration::from_secs(10), || {
            (world.state().count("revoke") == 1).then_some(())
        });
        let made = api(&proxy, proxy.key(), "POST", "/api/v1/keys", &json!({"name": "meanwhile"}));
        assert_eq!(made.status, 201, "{}", made.text());
        assert!(!out.is_finished(), "it waits for the authorization server");
        drop(open);
        assert_eq!(out.join().expect("it ends").status, 204);
    });
}

#[test]
fn a_client_of_the_file_needs_nobody() {
    let world = World::start();
    let more = "grant = \"client_credentials\", client_id = \"us\", client_secret = \"{secret.client_secret}\", scopes = [\"a\", \"b\"]";
    let proxy = setup(&world, more).serve_at_trace();
    let mut client = proxy.client(Era::Legacy, "/mcp");
    until_good(&mut client);
    {
        let state = world.state();
        assert_eq!(state.count("token client_credentials"), 1);
        assert_eq!(state.last["scope"], "a b");
        assert_eq!(state.count("register"), 0);
    }
    // A token that the upstream takes no more is replaced, and the link stays.
    let opened = world.state().count("initialize");
    world.state().access.clear();
    until_good(&mut client);
    assert_eq!(world.state().count("token client_credentials"), 2);
    assert_eq!(world.state().count("initialize"), opened);
    let canary = Canary::new("the client's secret", b"canary-client-secret-of-login-tests");
    assert_eq!(canary.seen_in("the log", proxy.log().as_bytes()), None);
}

#[test]
fn a_program_gets_the_token_in_its_environment() {
    let world = World::start();
    let toml = format!(
        "[server]\nlisten = \"127.0.0.1:0\"\npublic_url = \"http://127.0.0.1:1\"\n\
         [upstreams.up]\ncommand = [\"{}\"]\nenv = {{ TOKEN = \"{{oauth.access_token}}\" }}\nallow_private = true\n\
         oauth = {{ issuer = \"{}\" }}\n\
         [tenants.test]\nkeys = [{{ name = \"test\", env = \"TEST_KEY\", role = \"admin\" }}]\n",
        crate::support::everything().display(),
        world.issuer_url()
    );
    let proxy = crate::support::Setup::new().config(&toml).serve();
    push(&proxy, &world, 3_600);
    let mut client = proxy.client(Era::Legacy, "/mcp");
    assert!(!client.list("tools/list", "tools").is_empty());
    let (_, _, command) = proxy
        .descendants()
        .into_iter()
        .find(|(_, _, command)| command.contains("everything"))
        .expect("it runs");
    let (pid, ..) =
        proxy.descendants().into_iter().rfind(|(_, _, found)| *found == command).expect("it runs");
    let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
    assert!(String::from_utf8_lossy(&environment).contains(TOKEN), "the program has its token");
}

#[test]
fn check_says_what_is_wrong_with_an_entry() {
    let world = World::start();
    for (more, said) in [
        ("grant = \"implicit\"", "grant"),
        ("client_secret = \"plain\"", "a secret in plain text"),
        ("client_secret = \"{secret.client_secret}\"", "has no `client_id`"),
        ("grant = \"client_credentials\"", "not what it needs"),
        ("scopes = [\"a b\"]", "is no scope"),
        ("issuer = \"http://example.com\"", "is no issuer"),
        ("style = \"tools\"", "goes only with `command`"),
        ("start = \"begin\"", "goes only with style = \"tools\""),
        ("}\nheaders = { authorization = \"Bearer x\"", "beside `oauth`: only one of them"),
        ("scope = \"a\"", "write scopes"),
        ("client_id = \"{secret.oauth.login}\"", "the proxy's own"),
    ] {
        let (status, out, errors) = setup(&world, more).run(&["check"], b"");
        assert_eq!(status.code(), Some(64), "{more}: {out}{errors}");
        assert!(format!("{out}{errors}").contains(said), "{more}: {out}{errors}");
    }
}
