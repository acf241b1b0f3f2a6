//! Wrong requests on the way to a code: each is told in its own place, and none of them gets one.
//! `deputy` has the attacks that are none of a client's own mistakes.

use super::bed::{Bed, Browser, LOCAL, asking, field, has_code, led, public};
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
        assert!(led(&answer).is_none(), "{callback} is led somewhere");
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
        assert!(led(&answer).is_none());
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
