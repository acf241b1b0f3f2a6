//! Who gets no token: other browsers, other people, other issuers (security.md T22).

use serde_json::{Value, json};

use crate::login::bed::{Browser, OTHER, SECOND, call, link, login_state, proxy};
use crate::login::server::World;
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
    for (what, mut thief) in [
        ("a browser that nobody has signed in at", Browser::default()),
        ("another browser of the same person", fresh(proxy.key())),
        ("another key of the tenant", fresh(SECOND)),
        ("another tenant", fresh(OTHER)),
    ] {
        let back = browser.begin(&link, proxy.key());
        nothing(what, &mut thief, &back);
        if !what.contains("nobody") {
            // And it is used up.
            nothing(what, &mut browser, &back);
        }
    }
    let back = browser.begin(&link, proxy.key());
    for changed in [
        back.replace("state=", "state=x"),
        back.replace("state=", "other="),
        back.split('?').next().unwrap_or_default().to_owned(),
        format!("{back}&state=again"),
    ] {
        nothing(&changed, &mut browser, &changed);
    }
    // Its own browser signs in as somebody else in between.
    browser.press(&proxy.url("/connect/upstreams/up"), "sign-out", "");
    browser.press(&proxy.url("/connect/upstreams/up"), "sign-in", OTHER);
    nothing("signed in as another", &mut browser, &back);

    // The page is not for somebody else than the caller, and forms are not for other browsers.
    let page = browser.get(&link);
    assert_eq!(page.status, 403, "{}", page.text());
    let page = fresh(SECOND).get(&link);
    assert_eq!(page.status, 403, "{}", page.text());
    let page = browser.post(&link, "do=log-in&token=made-up");
    assert_eq!(page.status, 403, "{}", page.text());
}

#[test]
fn answers_of_other_issuers_and_weaker_servers_end_there() {
    let world = World::start();
    let proxy = proxy(&world);
    let link = asked(&proxy);
    let issuer = world.issuer_url();
    let none = Value::Null;
    // What the metadata says, what the resource says, and the issuer of the answer.
    let at_the_end = [
        (json!({}), Some("https://evil.example".to_owned())),
        (json!({}), Some(format!("{issuer}/"))),
        (json!({}), Some(issuer.to_uppercase())),
        (json!({"authorization_response_iss_parameter_supported": true}), None),
        (
            json!({"authorization_response_iss_parameter_supported": true}),
            Some(format!("{issuer}/tenant")),
        ),
    ];
    let mut browser = Browser::default();
    for (metadata, iss) in at_the_end {
        let what = format!("{metadata} {iss:?}");
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
    let at_the_beginning = [
        (json!({"issuer": "https://evil.example"}), none.clone()),
        (json!({"issuer": format!("{issuer}/x")}), none.clone()),
        (json!({"code_challenge_methods_supported": []}), none.clone()),
        (json!({"code_challenge_methods_supported": ["plain"]}), none.clone()),
        (json!({"code_challenge_methods_supported": null}), none.clone()),
        (json!({"authorization_endpoint": "javascript:alert(1)"}), none.clone()),
        (json!({"authorization_endpoint": "file:///etc/passwd"}), none.clone()),
        (json!({"authorization_endpoint": "--help"}), none.clone()),
        (json!({"token_endpoint": "gopher://127.0.0.1/"}), none.clone()),
        (json!({"token_endpoint": null}), none.clone()),
        (none.clone(), json!({"resource": "https://evil.example/mcp"})),
        (none.clone(), json!({"resource": format!("{}/deeper", world.url())})),
        (none.clone(), json!({"authorization_servers": ["https://169.254.169.254"]})),
        (none.clone(), json!({"authorization_servers": ["ftp://example.com"]})),
        (none.clone(), json!({"authorization_servers": [format!("{issuer}?x=1")]})),
    ];
    for (metadata, prm) in at_the_beginning {
        let what = format!("{metadata} {prm}");
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
