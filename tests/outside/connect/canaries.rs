//! Nothing that proves who somebody is, is left anywhere: not in the log with everything in it, not in
//! the numbers, on pages, in answers of the API, or in the store.

use std::fs;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use super::bed::{
    Bed, Browser, FILED_SECRET, LOCAL, RESOURCE, TYPED, VERIFIER, asking, field, pair, use_tools,
};
use super::world::{Ask, OPERATOR, value};
use crate::support::{Canary, Era};

const CALLBACK: &str = "https://filed.example/cb";
const WRONG_SECRET: &str = "a-wrong-secret-of-the-client-of-the-file";
const STATE: &str = "a-state-that-is-a-secret-of-the-client";

#[test]
fn no_code_no_token_and_no_secret_of_a_client_is_left_anywhere() {
    let bed = Bed::new().at_trace();
    let (_, key) = bed.key("typed");
    let mut canaries = vec![
        ("the key that was typed", key.clone()),
        ("a key that was mistyped", TYPED.to_owned()),
        ("the secret of a client of the file", FILED_SECRET.to_owned()),
        ("a wrong secret", WRONG_SECRET.to_owned()),
        ("the verifier", VERIFIER.to_owned()),
        ("the state", STATE.to_owned()),
    ];
    let mut answers = String::new();

    // A client of the file, which shows its secret in each of the two ways.
    let mut browser = Browser::default();
    let path = asking("filed", &[("redirect_uri", CALLBACK), ("state", STATE)]);
    let page = browser.open(&bed, &path);
    browser.submit(&bed, &page, &[("answer", "key"), ("key", TYPED)]);
    let page = browser.submit(&bed, &page, &[("answer", "key"), ("key", &key)]);
    let code = field(&browser.answer(&bed, &page, "allow"), "code").expect("a code");
    let proof = [("client_secret", FILED_SECRET), ("redirect_uri", CALLBACK)];
    let wrong = [("client_secret", WRONG_SECRET), ("redirect_uri", CALLBACK)];
    answers += &bed.redeem("filed", &code, &wrong).text();
    let first = bed.redeem("filed", &code, &proof);
    assert_eq!(first.status, 200, "{}", first.text());
    let (access, refresh) = pair(&first);
    let basic = STANDARD.encode(format!("filed:{FILED_SECRET}"));
    let form = format!("grant_type=refresh_token&refresh_token={refresh}&resource={RESOURCE}");
    let ask = Ask::new("POST", "/connect/token")
        .text(&form)
        .header("Authorization", &format!("Basic {basic}"))
        .header("Content-Type", "application/x-www-form-urlencoded");
    let second = ask.at(bed.address());
    assert_eq!(second.status, 200, "{}", second.text());
    let (next_access, next_refresh) = pair(&second);
    // A client that has registered itself and been given a secret, one that it loses by playing a
    // refresh token again.
    let body = json!({ "redirect_uris": [LOCAL], "client_name": "With a secret" });
    let made = value(&Ask::new("POST", "/connect/register").json(&body).at(bed.address()));
    let text = |name: &str| made[name].as_str().expect("a text").to_owned();
    let (id, secret) = (text("client_id"), text("client_secret"));
    let other_code = bed.code(&id, &key);
    let other = bed.redeem(&id, &other_code, &[("client_secret", &secret)]);
    let (other_access, other_refresh) = pair(&other);
    for _ in 0..2 {
        let again = bed.form(
            "/connect/token",
            &[
                ("grant_type", "refresh_token"),
                ("client_id", &id),
                ("client_secret", &secret),
                ("refresh_token", &other_refresh),
            ],
        );
        if again.status != 200 {
            answers += &again.text();
        }
    }
    for (name, value) in [
        ("a code", code),
        ("another code", other_code),
        ("an access token", access.clone()),
        ("its successor", next_access.clone()),
        ("another access token", other_access.clone()),
        ("a refresh token", refresh),
        ("the successor of a refresh token", next_refresh.clone()),
        ("another refresh token", other_refresh),
        ("the secret of a client that registered itself", secret),
    ] {
        canaries.push((name, value));
    }
    // At the doors, where one is good, one has ended and one is at the wrong door.
    use_tools(&bed, Era::Legacy, "/connect/mcp", &next_access);
    answers += &bed.knock_at("/connect/mcp", &other_access).text();
    answers += &bed.knock_at("/mcp", &access).text();
    answers += &bed.knock_at("/connect/p/small/mcp", &access).text();
    for path in
        ["/api/v1/grants", "/api/v1/keys", "/api/v1/audit", "/api/v1/sessions", "/api/v1/me"]
    {
        answers += &Ask::new("GET", path).key(&bed.boss).at(bed.address()).text();
    }
    answers += &bed
        .form(
            "/connect/revoke",
            &[("client_id", "filed"), ("client_secret", FILED_SECRET), ("token", &next_refresh)],
        )
        .text();
    let metrics = Ask::new("GET", "/metrics").key(OPERATOR).at(bed.address()).text();
    assert!(answers.contains("With a secret") && metrics.contains("mcp_proxy_connector_"));
    let (_, exported, _) = bed.proxy.setup().run(&["audit", "export"], b"");
    assert!(exported.contains("connect/allow"), "{exported}");
    let (_, listed, _) = bed.proxy.setup().run(&["grant", "list", "--json"], b"");

    let canaries: Vec<_> =
        canaries.iter().map(|(name, value)| Canary::new(name, value.as_bytes())).collect();
    let mut places = vec![
        ("the log".to_owned(), bed.proxy.log().into_bytes()),
        ("the pages".to_owned(), browser.seen.clone().into_bytes()),
        ("answers".to_owned(), answers.into_bytes()),
        ("the metrics".to_owned(), metrics.into_bytes()),
        ("the audit".to_owned(), exported.into_bytes()),
        ("what a command lists".to_owned(), listed.into_bytes()),
    ];
    assert!(String::from_utf8_lossy(&places[0].1).contains("TRACE"), "everything is logged");
    // The store with its write-ahead log, while it runs.
    for entry in fs::read_dir(bed.proxy.folder()).expect("the folder is ours").flatten() {
        if entry.file_name().to_string_lossy().starts_with("mcp-proxy.db") {
            let content = fs::read(entry.path()).unwrap_or_default();
            places.push((entry.file_name().to_string_lossy().into_owned(), content));
        }
    }
    assert!(places.iter().any(|(name, content)| name.ends_with("-wal") && !content.is_empty()));
    let seen: Vec<String> = canaries
        .iter()
        .flat_map(|canary| places.iter().filter_map(|(place, text)| canary.seen_in(place, text)))
        .collect();
    assert!(seen.is_empty(), "{seen:#?}");
}
