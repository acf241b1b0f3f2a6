//! The whole way: discovery, registration, login, tools in both eras, refresh, restart, the end of
//! the key.

use std::time::Duration;

use serde_json::json;

use super::bed::{
    Bed, Browser, CLAUDE, FILED_SECRET, ISSUER, VERIFIER, asking, challenge, field, pair, use_tools,
};
use super::world::{Ask, value};
use crate::support::{Client, Era, Raw, until};

#[test]
fn a_client_logs_in_works_refreshes_outlives_a_restart_and_ends_with_its_key() {
    let bed = Bed::new();
    let client = bed.register(&["http://127.0.0.1:1/callback"]);
    let (id, key) = bed.key("for the connector");
    let mut browser = Browser::default();
    let consent = browser.consent(&bed, &client, &key);
    for part in [
        "Test &lt;app&gt;",
        "acme",
        "for the connector",
        "a program on this computer",
        "demo__echo",
    ] {
        assert!(consent.text().contains(part), "{part}: {}", consent.text());
    }
    assert!(!consent.text().contains(&key), "the key is shown again");
    let back = browser.answer(&bed, &consent, "allow");
    assert!(back.starts_with("http://127.0.0.1:33418/callback?"), "{back}");
    assert_eq!(field(&back, "state").as_deref(), Some("the-state"));
    assert_eq!(field(&back, "iss").as_deref(), Some(ISSUER));
    let answer = bed.redeem(&client, &field(&back, "code").expect("a code"), &[]);
    assert_eq!(
        (answer.status, answer.header("cache-control")),
        (200, Some("no-store")),
        "{}",
        answer.text()
    );
    let (access, refresh) = pair(&answer);
    for era in Era::BOTH {
        let said = use_tools(&bed, era, "/connect/mcp", &access);
        assert!(said.to_string().contains("hello"), "{said}");
    }
    // The person is still signed in at this browser: no key is asked for the next one.
    let again = browser.open(&bed, &asking(&client, &[]));
    assert!(again.text().contains("Allow Test"), "{}", again.text());

    let answer = bed.refresh(&client, &refresh);
    let (fresh, next) = pair(&answer);
    assert!(fresh != access && next != refresh);
    assert_eq!((bed.knock(&access), bed.knock(&fresh)), (200, 200));
    let bed = bed.restarted();
    assert_eq!(bed.knock(&fresh), 200, "an access token outlives a restart");
    let (fresh, next) = pair(&bed.refresh(&client, &next));
    let said = use_tools(&bed, Era::Modern, "/connect/mcp", &fresh);
    assert!(said.to_string().contains("hello"), "{said}");

    let session = Client::connect(Era::Legacy, bed.address(), "/connect/mcp", Some(&fresh));
    let mut stream = Raw::connect(bed.address());
    let head = format!(
        "GET /connect/mcp HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {fresh}\r\nAccept: text/event-stream\r\n\
         Mcp-Session-Id: {}\r\nMCP-Protocol-Version: 2025-11-25\r\nConnection: close\r\n\r\n",
        bed.address(),
        session.session().expect("a session"),
    );
    stream.send(head.as_bytes()).expect("it listens");
    assert_eq!(stream.head().expect("a head").status, 200);
    bed.revoke(&id);
    assert_eq!(bed.knock(&fresh), 401, "its next request is refused");
    assert!(stream.closes_within(Duration::from_secs(1)), "its stream has ended within a second");
    let answer = bed.refresh(&client, &next);
    assert_eq!((answer.status, value(&answer)["error"].as_str()), (400, Some("invalid_grant")));
    assert!(!bed.proxy.log().contains(&key), "the key is in the log");
    assert!(!bed.proxy.log().contains(&fresh) && !bed.proxy.log().contains(&next));
}

#[test]
fn sessions_outlive_the_token_that_opened_them_and_stay_at_their_door() {
    let bed = Bed::new();
    let client = bed.register(&["http://127.0.0.1:1/callback"]);
    let (access, refresh) = bed.tokens(&client, &bed.boss);
    let session = Client::connect(Era::Legacy, bed.address(), "/connect/mcp", Some(&access));
    let session = session.session().expect("a session").to_owned();
    let (fresh, _) = pair(&bed.refresh(&client, &refresh));
    let list = |door: &str, key: &str| {
        let body = json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/list" });
        let ask = Ask::new("POST", door).key(key).json(&body).header("Mcp-Session-Id", &session);
        let ask = ask.header("MCP-Protocol-Version", "2025-11-25");
        ask.header("Accept", "application/json, text/event-stream").at(bed.address()).status
    };
    assert_eq!(list("/connect/mcp", &fresh), 200);
    assert_eq!(list("/mcp", &bed.boss), 404, "another door does not know it");
}

#[test]
fn profiles_have_doors_of_their_own_and_clients_of_the_file_prove_who_they_are() {
    let bed = Bed::new();
    let small = "https://mcp.example.test/connect/p/small/mcp";
    let callback = "https://filed.example/cb";
    let mut browser = Browser::default();
    let path = asking("filed", &[("resource", small), ("redirect_uri", callback)]);
    let page = browser.open(&bed, &path);
    assert!(page.text().contains("Filed app"), "{}", page.text());
    let page = browser.submit(&bed, &page, &[("answer", "key"), ("key", &bed.boss)]);
    assert!(page.text().contains("<dd>small</dd>"), "{}", page.text());
    let back = browser.answer(&bed, &page, "allow");
    let code = field(&back, "code").expect("a code");
    let proof = [("client_secret", FILED_SECRET), ("resource", small), ("redirect_uri", callback)];
    let answer = bed.redeem("filed", &code, &proof);
    assert_eq!(answer.status, 200, "{}", answer.text());
    let (access, _) = pair(&answer);
    assert_eq!(bed.knock_at("/connect/p/small/mcp", &access).status, 200);
    assert_eq!(bed.knock(&access), 401, "the door of everything is another one");
    // A profile that is not there is not said to be there.
    let page = browser.open(
        &bed,
        &asking(
            "filed",
            &[
                ("resource", "https://mcp.example.test/connect/p/none/mcp"),
                ("redirect_uri", callback),
            ],
        ),
    );
    assert_eq!(page.status, 403, "{}", page.text());
    let refused = browser.submit(&bed, &page, &[("answer", "allow")]);
    assert!(super::bed::led(&refused).is_none());
}

#[test]
fn claude_and_a_client_with_a_secret_register_themselves() {
    let bed = Bed::new();
    let body = json!({ "redirect_uris": [CLAUDE], "client_name": "Claude", "grant_types": ["authorization_code", "refresh_token"],
        "response_types": ["code"], "token_endpoint_auth_method": "client_secret_post", "scope": "claudeai" });
    let made = value(&Ask::new("POST", "/connect/register").json(&body).at(bed.address()));
    let (id, secret) =
        (made["client_id"].as_str().unwrap(), made["client_secret"].as_str().unwrap());
    let mut browser = Browser::default();
    let page = browser.open(&bed, &asking(id, &[("redirect_uri", CLAUDE), ("scope", "claudeai")]));
    assert!(page.text().contains("<dd>claude.ai</dd>") && !page.text().contains("class=\"warn\""));
    let policy = page.header("content-security-policy").expect("a policy");
    assert!(policy.contains("form-action 'self';"), "{policy}");
    let page = browser.submit(&bed, &page, &[("answer", "key"), ("key", &bed.boss)]);
    let code = field(&browser.answer(&bed, &page, "allow"), "code").expect("a code");
    let wrong = bed.redeem(id, &code, &[("redirect_uri", CLAUDE)]);
    assert_eq!((wrong.status, value(&wrong)["error"].as_str()), (401, Some("invalid_client")));
    let wrong = bed.redeem(id, &code, &[("redirect_uri", CLAUDE), ("client_secret", "guessed")]);
    assert_eq!(wrong.status, 401);
    let answer = bed.redeem(id, &code, &[("redirect_uri", CLAUDE), ("client_secret", secret)]);
    assert_eq!(answer.status, 200, "{}", answer.text());
    let (_, refresh) = pair(&answer);
    // The same by the header, whose parts are encoded.
    use base64::Engine as _;
    let basic = base64::engine::general_purpose::STANDARD.encode(format!("{id}:{secret}"));
    let form = format!("grant_type=refresh_token&refresh_token={refresh}");
    let ask = Ask::new("POST", "/connect/token")
        .text(&form)
        .header("Authorization", &format!("Basic {basic}"));
    let answer = ask.header("Content-Type", "application/x-www-form-urlencoded").at(bed.address());
    assert_eq!(answer.status, 200, "{}", answer.text());
    // A client that was forgotten is told so in the word that makes it register again.
    let gone = bed.refresh("mcpc_0000000000000000000000", &refresh);
    assert_eq!((gone.status, value(&gone)["error"].as_str()), (401, Some("invalid_client")));
    let _ = challenge(VERIFIER);
}

#[test]
fn what_a_client_gives_back_has_ended_with_its_streams() {
    let bed = Bed::new();
    let client = bed.register(&["http://127.0.0.1:1/callback"]);
    for by_access in [false, true] {
        let (access, refresh) = bed.tokens(&client, &bed.boss);
        let (other, _) = bed.tokens(&client, &bed.boss);
        assert_eq!(bed.knock(&access), 200);
        let token = if by_access { &access } else { &refresh };
        let answer = bed.form("/connect/revoke", &[("client_id", &client), ("token", token)]);
        assert_eq!(answer.status, 200, "{}", answer.text());
        until("the token is refused", Duration::from_secs(1), || {
            (bed.knock(&access) == 401).then_some(())
        });
        assert_eq!(bed.refresh(&client, &refresh).status, 400);
        assert_eq!(bed.knock(&other), 200, "what else was allowed goes on");
    }
    // Whoever looks after the tenant sees it, and takes it back.
    let (access, refresh) = bed.tokens(&client, &bed.boss);
    let grants = || {
        let listed = Ask::new("GET", "/api/v1/grants").key(&bed.boss).at(bed.address());
        value(&listed)["items"].as_array().expect("a list").clone()
    };
    let listed = grants();
    assert_eq!(listed.len(), 5, "{listed:?}");
    assert!(listed.iter().all(|grant| grant["client_name"] == "Test <app>"));
    assert_eq!(listed.iter().filter(|grant| grant["ended_by"] == "revoked").count(), 2);
    let foreign = Ask::new("GET", "/api/v1/grants").key(super::bed::OTHER).at(bed.address());
    assert_eq!(value(&foreign)["items"], json!([]));
    for grant in listed.iter().filter(|grant| grant["ended_at"].is_null()) {
        let path = format!("/api/v1/grants/{}", grant["id"].as_str().expect("an id"));
        let foreign = Ask::new("DELETE", &path).key(super::bed::OTHER).at(bed.address());
        assert_eq!(foreign.status, 404);
        assert_eq!(Ask::new("DELETE", &path).key(&bed.boss).at(bed.address()).status, 204);
    }
    assert_eq!((bed.knock(&access), bed.refresh(&client, &refresh).status), (401, 400));
    assert!(grants().iter().all(|grant| !grant["ended_at"].is_null()));
    let unknown = bed.form("/connect/revoke", &[("client_id", &client), ("token", "junk")]);
    assert_eq!(unknown.status, 200, "what is unknown is over as well");
}
