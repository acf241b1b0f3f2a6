//! Attacks on the way to a code (security.md T21): none of them gets one.

use serde_json::json;

use super::bed::{Bed, Browser, LOCAL, OTHER, asking, field, has_code, hidden, public};
use super::world::Ask;
use crate::support::Answer;

/// What a request for access gets that differs in these fields.
fn ask(bed: &Bed, client: &str, more: &[(&str, &str)]) -> Answer {
    // Somebody is signed in, so that nothing but the consent is missing.
    let mut browser = Browser::default();
    browser.consent(bed, client, &bed.boss);
    browser.open(bed, &asking(client, more))
}

#[test]
fn a_wrong_place_to_go_back_to_leads_nowhere() {
    let bed = Bed::new();
    let client = bed.register(&["http://127.0.0.1:1/callback"]);
    for callback in [
        "http://127.0.0.1:33418/callback2",
        "http://127.0.0.1:33418/callback/",
        "http://127.0.0.1:33418/",
        "http://127.0.0.1:33418/callback?x=1",
        "http://127.0.0.1:33418/callback#x",
        "http://user@127.0.0.1:33418/callback",
        "http://@127.0.0.1:33418/callback",
        "http://127.0.0.1:33418@evil.example/callback",
        "http://127.0.0.1.evil.example/callback",
        "http://localhost:33418/callback",
        "http://127.0.0.2:33418/callback",
        "https://127.0.0.1:33418/callback",
        "https://evil.example/callback",
        "https://claude.ai/api/mcp/auth_callback",
        "//127.0.0.1/callback",
        "/callback",
        "javascript:alert(1)",
        "data:text/html,x",
        "http://127.0.0.1:33418/callback\\@evil.example",
        "http://127.0.0.1:33418/../callback",
        "http://127.0.0.1:33418/%63allback",
        "HTTP://127.0.0.1:33418/callback\u{0}",
    ] {
        let answer = ask(&bed, &client, &[("redirect_uri", callback)]);
        assert_eq!(answer.status, 400, "{callback}: {}", answer.text());
        assert!(answer.header("location").is_none(), "{callback} is led somewhere");
    }
    for (unknown, more) in [
        ("mcpc_unknown", &[][..]),
        ("https://evil.example/client.json", &[][..]),
        ("https://127.0.0.1/client.json", &[][..]),
        ("http://127.0.0.1:1/client.json", &[][..]),
        ("", &[][..]),
        (client.as_str(), &[("redirect_uri", "")][..]),
    ] {
        let mut browser = Browser::default();
        let answer = browser.open(&bed, &asking(unknown, more));
        assert_eq!(answer.status, 400, "{unknown}: {}", answer.text());
        assert!(answer.header("location").is_none());
    }
}

#[test]
fn a_wrong_request_goes_back_with_its_error_and_our_name() {
    let bed = Bed::new();
    let client = bed.register(&["http://127.0.0.1:1/callback"]);
    for (more, error) in [
        (&[("response_type", "token")][..], "unsupported_response_type"),
        (&[("response_type", "")], "invalid_request"),
        (&[("code_challenge", "")], "invalid_request"),
        (&[("code_challenge_method", "plain")], "invalid_request"),
        (&[("code_challenge_method", "")], "invalid_request"),
        (&[("code_challenge", "short")], "invalid_request"),
        (&[("resource", "https://evil.example/connect/mcp")], "invalid_target"),
        (&[("resource", "https://mcp.example.test/mcp")], "invalid_target"),
        (&[("resource", "https://mcp.example.test/connect/mcp/")], "invalid_target"),
        (&[("resource", "https://mcp.example.test.evil.example/connect/mcp")], "invalid_target"),
        (&[("resource", "https://MCP.example.test/connect/mcp")], "invalid_target"),
        (&[("resource", "https://mcp.example.test/connect/p/../mcp")], "invalid_target"),
        (&[("response_mode", "fragment")], "invalid_request"),
        (&[("request", "eyJ")], "request_not_supported"),
        (&[("request_uri", "https://evil.example/")], "request_not_supported"),
        (&[("state", "a\nb")], "invalid_request"),
    ] {
        let answer = ask(&bed, &client, more);
        assert_eq!(answer.status, 303, "{more:?}: {}", answer.text());
        let back = answer.header("location").expect("a place");
        assert!(back.starts_with(LOCAL) && !has_code(back), "{more:?}: {back}");
        assert_eq!(field(back, "error").as_deref(), Some(error), "{more:?}");
        assert_eq!(field(back, "iss"), Some(public("/connect")), "{more:?}");
        let kept = field(back, "state");
        assert_eq!(kept.is_some(), more[0].0 != "state", "{more:?}: {kept:?}");
    }
    let twice = format!("{}&resource=https%3A%2F%2Fevil.example", asking(&client, &[]));
    let answer = Browser::default().open(&bed, &twice);
    let back = answer.header("location").expect("a place");
    assert_eq!(field(back, "error").as_deref(), Some("invalid_target"));
    let twice = format!("{}&redirect_uri=https%3A%2F%2Fevil.example", asking(&client, &[]));
    assert_eq!(Browser::default().open(&bed, &twice).status, 400);
}

#[test]
fn a_page_is_answered_once_and_in_its_own_browser() {
    let bed = Bed::new();
    let client = bed.register(&["http://127.0.0.1:1/callback"]);
    let mut browser = Browser::default();
    let consent = browser.consent(&bed, &client, &bed.boss);
    let no_code = |answer: &Answer, what: &str| {
        let led = answer.header("location").unwrap_or_default();
        assert!(!has_code(led), "{what}: {led}");
        assert!(answer.status >= 400, "{what}: {}", answer.status);
    };
    let allow: &[(&str, &str)] = &[("answer", "allow")];
    // Elsewhere: in another browser, without cookies, with a part of them, signed in as another.
    no_code(&Browser::default().submit(&bed, &consent, allow), "without cookies");
    let mut second = Browser::default();
    second.consent(&bed, &client, &bed.boss);
    no_code(&second.submit(&bed, &consent, allow), "the same person elsewhere");
    let mut victim = Browser::default();
    victim.consent(&bed, &client, OTHER);
    no_code(&victim.submit(&bed, &consent, allow), "another person");
    let mut mixed = victim.clone();
    mixed.cookies.extend(
        browser
            .cookies
            .iter()
            .filter(|(n, _)| n.contains("session"))
            .map(|(n, v)| (n.clone(), v.clone())),
    );
    no_code(&mixed.submit(&bed, &consent, allow), "a session of another browser");
    // Forged: no transaction, another's, a changed one, none of the browser's own.
    no_code(
        &browser.submit(&bed, &consent, &[("answer", "allow"), ("transaction", "")]),
        "no transaction",
    );
    let theirs = hidden(&second.open(&bed, &asking(&client, &[])).text());
    no_code(
        &browser.submit(&bed, &consent, &[("answer", "allow"), ("transaction", &theirs[0].1)]),
        "another's transaction",
    );
    let mut changed = hidden(&consent.text())[0].1.clone().into_bytes();
    changed[40] ^= 1;
    let changed = String::from_utf8(changed).expect("base64url");
    no_code(
        &browser.submit(&bed, &consent, &[("answer", "allow"), ("transaction", &changed)]),
        "a changed one",
    );
    // What was not shown is not allowed: the page asks again.
    for shown in ["", "junk", &hidden(&consent.text())[0].1] {
        let again = browser.submit(&bed, &consent, &[("answer", "allow"), ("shown", shown)]);
        assert_eq!(again.status, 200, "{shown}");
        assert!(again.header("location").is_none());
    }
    // From another site, by a form of its own.
    let body = format!("transaction={}&answer=allow", hidden(&consent.text())[0].1);
    let forged = |origin: &str, site: &str| {
        let ask = Ask::new("POST", "/connect/authorize").text(&body);
        let ask = ask.header("Content-Type", "application/x-www-form-urlencoded");
        let ask = ask.header("Origin", origin).header("Sec-Fetch-Site", site);
        browser.clone().send(&bed, ask)
    };
    assert_eq!(forged("https://evil.example", "cross-site").status, 403);
    assert_eq!(forged("null", "cross-site").status, 403);
    assert_eq!(forged("https://mcp.example.test.evil.example", "same-site").status, 403);
    let mut get = browser.clone();
    no_code(&get.open(&bed, &format!("/connect/authorize?{body}")), "a GET");
    let wrong_kind = Ask::new("POST", "/connect/authorize").json(&json!({ "answer": "allow" }));
    no_code(&browser.clone().send(&bed, wrong_kind), "JSON");
    // The person is asked for each client, also when signed in and asked before.
    let back = browser.answer(&bed, &consent, "allow");
    assert!(has_code(&back));
    no_code(&browser.submit(&bed, &consent, allow), "the same page again");
    let other = bed.register(&["http://127.0.0.1:1/callback"]);
    for id in [&client, &other] {
        let page = browser.open(&bed, &asking(id, &[("prompt", "none")]));
        assert_eq!(page.status, 200, "nothing is allowed without asking");
    }
    // Denied is denied, also for who goes back.
    let page = browser.open(&bed, &asking(&client, &[]));
    let back = browser.answer(&bed, &page, "deny");
    assert_eq!(field(&back, "error").as_deref(), Some("access_denied"));
    assert_eq!(field(&back, "state").as_deref(), Some("the-state"));
    no_code(&browser.submit(&bed, &page, allow), "after a no");
}

#[test]
fn keys_are_guessed_slowly_and_refused_alike() {
    let bed = Bed::new();
    let client = bed.register(&["http://127.0.0.1:1/callback"]);
    let (id, revoked) = bed.key("gone");
    bed.revoke(&id);
    let mut browser = Browser::default();
    let page = browser.open(&bed, &asking(&client, &[]));
    let mut texts = Vec::new();
    for key in [
        "",
        "x",
        "mcpp_0000000000_0000000000000000000000000000000000000000000_000000",
        &revoked,
        "é",
    ] {
        let answer = browser.submit(&bed, &page, &[("answer", "key"), ("key", key)]);
        assert_eq!(answer.status, 403, "{key}");
        let text = answer.text();
        assert!(!text.contains(&revoked));
        let said = text.split("id=\"key-problem\"").nth(1).expect("a message").split("</p>").next();
        texts.push(said.unwrap().to_owned());
    }
    texts.dedup();
    assert_eq!(texts.len(), 1, "{texts:?}");
    let statuses: Vec<u16> = (0..12)
        .map(|_| browser.submit(&bed, &page, &[("answer", "key"), ("key", "wrong")]).status)
        .collect();
    assert_eq!(statuses.last(), Some(&429), "{statuses:?}");
    assert!(!bed.proxy.log().contains(&revoked));
}

#[test]
fn registrations_are_few_small_and_for_known_places() {
    let bed = Bed::new();
    let register = |body: &str| {
        let ask = Ask::new("POST", "/connect/register").text(body);
        ask.header("Content-Type", "application/json").at(bed.address()).status
    };
    for wrong in [
        "",
        "[]",
        "{}",
        r#"{"redirect_uris":[]}"#,
        r#"{"redirect_uris":["https://evil.example/cb"]}"#,
        r#"{"redirect_uris":["javascript:alert(1)"]}"#,
        r#"{"redirect_uris":["https://claude.ai/other"]}"#,
        r#"{"redirect_uris":["http://127.0.0.1/cb","https://evil.example/cb"]}"#,
        r#"{"redirect_uris":["http://127.0.0.1/cb"],"grant_types":["client_credentials"]}"#,
        r#"{"redirect_uris":["http://127.0.0.1/cb"],"response_types":["token"]}"#,
        r#"{"redirect_uris":["http://127.0.0.1/cb"],"token_endpoint_auth_method":"private_key_jwt"}"#,
    ] {
        assert_eq!(register(wrong), 400, "{wrong}");
    }
    let large =
        format!(r#"{{"redirect_uris":["http://127.0.0.1/cb"],"x":"{}"}}"#, "x".repeat(16 << 10));
    assert_eq!(register(&large), 413);
    let statuses: Vec<u16> =
        (0..25).map(|_| register(r#"{"redirect_uris":["http://127.0.0.1/cb"]}"#)).collect();
    assert_eq!(statuses.last(), Some(&429), "{statuses:?}");
}
