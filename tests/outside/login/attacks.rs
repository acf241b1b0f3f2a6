//! Who gets no token: other browsers, other people, other issuers, and who comes twice. The thirty
//! vectors of security.md T22 at the proxy as client, each by its name, and some more.

use serde_json::{Value, json};

use crate::login::bed::{
    Browser, OTHER, SECOND, api, call, link, login_state, proxy, setup, until_good,
};
use crate::login::server::{Mode, TOKEN, World};
use crate::support::{Era, Proxy};

fn asked(proxy: &Proxy) -> String {
    let (_, said) = call(&mut proxy.client(Era::Legacy, "/mcp"));
    link(&said)
}

#[test]
fn another_browser_or_another_person_gets_nothing_for_a_callback() {
    let world = World::start();
    let proxy = proxy(&world);
    let link = asked(&proxy);
    let nothing = |what: &str, browser: &mut Browser, back: &str| {
        let page = browser.get(back);
        assert_eq!(page.status, 403, "{what}: {}", page.text());
        assert_eq!(world.state().count("token "), 0, "{what}");
        assert_eq!(login_state(&proxy, proxy.key()), "logged-out", "{what}");
    };
    let fresh = |key: &str| {
        let mut browser = Browser::default();
        browser.press(&proxy.url("/connect/upstreams/up"), "sign-in", key);
        browser
    };
    let mut browser = Browser::default();
    let thieves = [
        ("1 a browser that nobody has signed in at", Browser::default()),
        ("2 another browser of the same person", fresh(proxy.key())),
        ("3 another key of the tenant", fresh(SECOND)),
        ("4 another tenant", fresh(OTHER)),
    ];
    for (what, mut thief) in thieves {
        let back = browser.begin(&link, proxy.key());
        nothing(what, &mut thief, &back);
        if !what.starts_with('1') {
            nothing("5 a state that somebody else has used up", &mut browser, &back);
        }
    }
    let back = browser.begin(&link, proxy.key());
    for (what, changed) in [
        ("6 another state", back.replace("state=", "state=x")),
        ("7 no state", back.replace("state=", "other=")),
        ("8 nothing at all", back.split('?').next().unwrap_or_default().to_owned()),
        ("9 two states", format!("{back}&state=again")),
    ] {
        nothing(what, &mut browser, &changed);
    }
    // Its own browser signs in as somebody else in between.
    browser.press(&proxy.url("/connect/upstreams/up"), "sign-out", "");
    browser.press(&proxy.url("/connect/upstreams/up"), "sign-in", OTHER);
    nothing("10 signed in as another", &mut browser, &back);

    // The page is not for somebody else than the caller, and forms are not for other browsers.
    let page = browser.get(&link);
    assert_eq!(page.status, 403, "11 the link of another tenant's caller: {}", page.text());
    let page = fresh(SECOND).get(&link);
    assert_eq!(page.status, 403, "12 the link of another key's caller: {}", page.text());
    let page = browser.post(&link, "do=log-in&token=made-up");
    assert_eq!(page.status, 403, "13 a form of another site: {}", page.text());
}

#[test]
fn answers_of_other_issuers_and_weaker_servers_end_there() {
    let world = World::start();
    let proxy = proxy(&world);
    let link = asked(&proxy);
    let issuer = world.issuer_url();
    let named = json!({"authorization_response_iss_parameter_supported": true});
    let mut browser = Browser::default();
    for (what, metadata, iss) in [
        (
            "14 mix-up: the answer of another issuer",
            json!({}),
            Some("https://evil.example".to_owned()),
        ),
        ("15 the issuer with a slash more", json!({}), Some(format!("{issuer}/"))),
        ("16 the issuer in capitals", json!({}), Some(issuer.to_uppercase())),
        ("17 no issuer where one is promised", named.clone(), None),
        ("18 a tenant of the issuer", named, Some(format!("{issuer}/tenant"))),
    ] {
        {
            let mut state = world.state();
            (state.metadata, state.iss) = (metadata, iss);
        }
        let back = browser.begin(&link, proxy.key());
        let page = browser.get(&back);
        assert_eq!(page.status, 403, "{what}: {}", page.text());
        assert_eq!(world.state().count("token "), 0, "{what}");
    }
    world.state().iss = None;
    let metadata = [
        ("19 metadata of another issuer", json!({"issuer": "https://evil.example"})),
        ("20 metadata of a place below", json!({"issuer": format!("{issuer}/x")})),
        ("21 PKCE downgrade: none", json!({"code_challenge_methods_supported": []})),
        ("22 PKCE downgrade: plain", json!({"code_challenge_methods_supported": ["plain"]})),
        ("23 PKCE downgrade: unsaid", json!({"code_challenge_methods_supported": null})),
        ("24 a page that runs", json!({"authorization_endpoint": "javascript:alert(1)"})),
        ("25 a page that is a file", json!({"authorization_endpoint": "file:///etc/passwd"})),
        ("26 a page that is an option", json!({"authorization_endpoint": "--help"})),
        ("27 tokens over another protocol", json!({"token_endpoint": "gopher://127.0.0.1/"})),
        ("28 no token endpoint", json!({"token_endpoint": null})),
    ];
    let prm = [
        ("29 wrong audience: another host", json!({"resource": "https://evil.example/mcp"})),
        ("30 wrong audience: deeper", json!({"resource": format!("{}/deeper", world.url())})),
        ("31 an issuer inside", json!({"authorization_servers": ["https://169.254.169.254"]})),
        (
            "32 an issuer over another protocol",
            json!({"authorization_servers": ["ftp://a.example"]}),
        ),
        ("33 an issuer with a query", json!({"authorization_servers": [format!("{issuer}?x=1")]})),
    ];
    let metadata = metadata.into_iter().map(|(what, said)| (what, said, Value::Null));
    let prm = prm.into_iter().map(|(what, said)| (what, Value::Null, said));
    for (what, metadata, prm) in metadata.chain(prm) {
        {
            let mut state = world.state();
            (state.metadata, state.prm) = (metadata, prm);
            state.asked.clear();
        }
        let page = browser.press(&link, "log-in", "");
        assert!(page.header("refresh").is_none() && page.status >= 400, "{what}: {}", page.text());
        assert!(!page.text().contains("evil.example"), "{what}: {}", page.text());
        let state = world.state();
        assert_eq!((state.count("authorize"), state.count("token ")), (0, 0), "{what}");
    }
    assert_eq!(login_state(&proxy, proxy.key()), "logged-out");
}

#[test]
fn what_was_used_once_or_belongs_to_one_server_goes_nowhere_else() {
    let (world, other) = (World::start(), World::start());
    let proxy = proxy(&world);
    let link = asked(&proxy);
    let mut browser = Browser::default();
    let back = browser.begin(&link, proxy.key());
    assert_eq!(browser.get(&back).status, 200);
    let again = browser.get(&back);
    assert_eq!(again.status, 403, "34 a code that is brought twice: {}", again.text());
    assert_eq!(world.state().count("token authorization_code"), 1, "34");
    let mut client = proxy.client(Era::Legacy, "/mcp");
    until_good(&mut client);

    // 35: a refresh token is used once, and one that the server takes no more is forgotten.
    let used: Vec<String> = world.state().refresh.drain().collect();
    world.state().access.clear();
    let (failed, said) = call(&mut client);
    assert!(failed && said.contains("needs a login"), "35 {said}");
    assert_eq!(world.state().last["refresh_token"], used[0], "35");
    assert!(call(&mut client).0);
    assert_eq!(world.state().count("token refresh_token"), 1, "35 it is not shown again");

    // 36: the upstream names another server; what the first one gave is not shown to it, neither
    // the refresh token nor the client that is registered there.
    Browser::default().log_in(&link, proxy.key());
    until_good(&mut client);
    world.state().prm = json!({"authorization_servers": [other.issuer_url()]});
    world.state().access.clear();
    let (failed, said) = call(&mut client);
    assert!(failed && said.contains("needs a login"), "36 {said}");
    assert_eq!(other.state().count("token "), 0, "36");
    Browser::default().log_in(&link, proxy.key());
    assert_eq!(other.state().count("register"), 1, "36 it is known there anew");
    // 37: tokens of the one are none of the other's: it has heard of its own code first.
    let first = other.state().asked.iter().find(|asked| asked.starts_with("token ")).cloned();
    assert_eq!(first.as_deref(), Some("token authorization_code"), "37");
}

#[test]
fn the_client_of_the_file_is_shown_to_one_authorization_server_only() {
    const SECRET: &str = "canary-client-secret-of-login-tests";
    let (world, evil) = (World::start(), World::start());
    let more = "client_id = \"us\", client_secret = \"{secret.client_secret}\"";
    let proxy = setup(&world, more).serve();
    // 38: whoever brings tokens does not say where the client's secret goes.
    let body = json!({"access_token": "a", "refresh_token": "r", "expires_in": 0,
        "issuer": evil.issuer_url(), "token_endpoint": format!("{}/token", evil.issuer_url())});
    let put = api(&proxy, proxy.key(), "PUT", "/api/v1/upstreams/up/oauth", &body);
    assert_eq!(put.status, 400, "38 {}", put.text());
    assert!(put.text().contains("is not the authorization server"), "38 {}", put.text());
    let mut body = body;
    body["issuer"] = world.issuer_url().into();
    let put = api(&proxy, proxy.key(), "PUT", "/api/v1/upstreams/up/oauth", &body);
    assert_eq!(put.status, 200, "38 {}", put.text());
    let mut client = proxy.client(Era::Legacy, "/mcp");
    world.state().mode = Mode::InvalidGrant;
    assert!(call(&mut client).0);
    assert!(world.state().last["authorization"].starts_with("Basic "), "38");
    assert!(evil.state().asked.is_empty(), "38 {:?}", evil.state().asked);
    // 39: nor does the upstream, once the client was used at one server.
    world.state().mode = Mode::Good;
    let link = asked(&proxy);
    let mut browser = Browser::default();
    browser.log_in(&link, proxy.key());
    until_good(&mut client);
    world.state().prm = json!({"authorization_servers": [evil.issuer_url()]});
    let page = browser.press(&link, "log-in", "");
    assert!(page.status >= 400 && page.header("refresh").is_none(), "39 {}", page.text());
    assert!(page.text().contains("names another authorization server"), "39 {}", page.text());
    let state = evil.state();
    assert_eq!((state.count("token"), state.count("authorize")), (0, 0), "39");
    assert!(!state.last.values().any(|value| value.contains(SECRET) || value.contains(TOKEN)));
}
