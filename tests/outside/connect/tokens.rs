//! Attacks with codes and tokens (security.md T22): none of them gets a token, and what is found to
//! be in two hands ends for both.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::bed::{Bed, OTHER, pair};
use super::world::{Ask, OPERATOR, value};
use crate::support::Answer;

fn error(answer: &Answer) -> (u16, String) {
    (answer.status, value(answer)["error"].as_str().unwrap_or_default().to_owned())
}

#[test]
fn a_code_is_for_its_client_its_proof_and_one_time() {
    let bed = Bed::new();
    let client = bed.register(&["http://127.0.0.1:1/callback"]);
    let other = bed.register(&["http://127.0.0.1:1/callback"]);
    for (what, more, status, word) in [
        (
            "another verifier",
            &[("code_verifier", "another-verifier-that-is-long-enough-000000001")][..],
            400,
            "invalid_grant",
        ),
        ("no verifier", &[("code_verifier", "")], 400, "invalid_grant"),
        (
            "the challenge as verifier",
            &[("code_verifier", "PgWdKA3J6mxjiX4HDpJLqg4CISNKHFBfiRAXzPYFWZs")],
            400,
            "invalid_grant",
        ),
        (
            "another port",
            &[("redirect_uri", "http://127.0.0.1:33419/callback")],
            400,
            "invalid_grant",
        ),
        ("another path", &[("redirect_uri", "http://127.0.0.1:33418/")], 400, "invalid_grant"),
        ("no callback", &[("redirect_uri", "")], 400, "invalid_grant"),
        (
            "another resource",
            &[("resource", "https://mcp.example.test/connect/p/small/mcp")],
            400,
            "invalid_target",
        ),
        ("a foreign resource", &[("resource", "https://evil.example/")], 400, "invalid_target"),
        ("another client", &[("client_id", other.as_str())], 400, "invalid_grant"),
        ("an unknown client", &[("client_id", "mcpc_unknown")], 401, "invalid_client"),
        (
            "the client of the file without its secret",
            &[("client_id", "filed")],
            401,
            "invalid_client",
        ),
        ("no client", &[("client_id", "")], 401, "invalid_client"),
        ("another grant type", &[("grant_type", "password")], 400, "unsupported_grant_type"),
        (
            "client credentials",
            &[("grant_type", "client_credentials")],
            400,
            "unsupported_grant_type",
        ),
        ("no grant type", &[("grant_type", "")], 400, "invalid_request"),
        ("a code as refresh token", &[("grant_type", "refresh_token")], 400, "invalid_request"),
        ("no code", &[("code", "")], 400, "invalid_request"),
        ("junk", &[("code", "AAAA")], 400, "invalid_grant"),
    ] {
        let code = bed.code(&client, &bed.boss);
        let answer = bed.redeem(&client, &code, more);
        assert_eq!(error(&answer), (status, word.to_owned()), "{what}: {}", answer.text());
        assert!(!answer.text().contains("access_token"), "{what}");
    }
    // Whoever could not prove that a code is his has spoiled it.
    let code = bed.code(&client, &bed.boss);
    bed.redeem(
        &client,
        &code,
        &[("code_verifier", "another-verifier-that-is-long-enough-000000001")],
    );
    assert_eq!(bed.redeem(&client, &code, &[]).status, 400);
    // A changed code is none, and does the real one no harm.
    let code = bed.code(&client, &bed.boss);
    for at in [0, code.len() / 2, code.len() - 1] {
        let mut changed = code.clone().into_bytes();
        changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
        assert_eq!(
            bed.redeem(&client, &String::from_utf8(changed).expect("text"), &[]).status,
            400
        );
    }
    let answer = bed.redeem(&client, &code, &[]);
    let (access, refresh) = pair(&answer);
    assert_eq!(bed.knock(&access), 200);
    // Played again: what came of it ends.
    assert_eq!(error(&bed.redeem(&client, &code, &[])), (400, "invalid_grant".to_owned()));
    assert_eq!(bed.knock(&access), 401);
    assert_eq!(bed.refresh(&client, &refresh).status, 400);
}

#[test]
fn a_refresh_token_that_comes_twice_ends_the_family() {
    let bed = Bed::new();
    let client = bed.register(&["http://127.0.0.1:1/callback"]);
    let other = bed.register(&["http://127.0.0.1:1/callback"]);
    let (access, first) = bed.tokens(&client, &bed.boss);
    // Nobody else can use it, or harm it.
    assert_eq!(error(&bed.refresh(&other, &first)), (400, "invalid_grant".to_owned()));
    assert_eq!(error(&bed.refresh("filed", &first)), (401, "invalid_client".to_owned()));
    assert_eq!(bed.refresh(&client, &access).status, 400, "an access token is none");
    let elsewhere = bed.form(
        "/connect/token",
        &[
            ("grant_type", "refresh_token"),
            ("client_id", &client),
            ("refresh_token", &first),
            ("resource", "https://mcp.example.test/connect/p/small/mcp"),
        ],
    );
    assert_eq!(error(&elsewhere), (400, "invalid_target".to_owned()));
    assert_eq!(
        bed.form("/connect/revoke", &[("client_id", &other), ("token", &first)]).status,
        200
    );
    let (second_access, second) = pair(&bed.refresh(&client, &first));
    assert_eq!(bed.knock(&second_access), 200);
    assert_eq!(error(&bed.refresh(&client, &first)), (400, "invalid_grant".to_owned()));
    assert_eq!((bed.knock(&access), bed.knock(&second_access)), (401, 401), "all of it has ended");
    assert_eq!(bed.refresh(&client, &second).status, 400, "the newest one too");
    let bed = bed.restarted();
    assert_eq!(bed.refresh(&client, &second).status, 400, "for ever");
}

#[test]
fn a_token_opens_its_own_door_and_nothing_else() {
    let bed = Bed::new();
    let client = bed.register(&["http://127.0.0.1:1/callback"]);
    let (access, _) = bed.tokens(&client, &bed.boss);
    let (theirs, _) = bed.tokens(&client, OTHER);
    for door in ["/mcp", "/mcp/demo", "/p/small/mcp", "/connect/p/small/mcp", "/sse"] {
        let answer = if door == "/sse" {
            Ask::new("GET", door)
                .key(&access)
                .header("Accept", "text/event-stream")
                .at(bed.address())
        } else {
            bed.knock_at(door, &access)
        };
        assert_eq!(answer.status, 401, "{door}: {}", answer.text());
        if !door.starts_with("/connect") {
            assert_eq!(answer.header("www-authenticate"), Some("Bearer"), "{door}");
        }
    }
    for path in ["/api/v1/me", "/api/v1/keys", "/api/v1/tools", "/health"] {
        assert_eq!(Ask::new("GET", path).key(&access).at(bed.address()).status, 401, "{path}");
    }
    let ask = Ask::new("POST", "/connect/mcp").header("X-API-Key", &access).at(bed.address());
    assert_eq!(ask.status, 401);
    let query = Ask::new("POST", &format!("/connect/mcp?access_token={access}")).at(bed.address());
    assert_eq!(query.status, 401);
    // A key, a token of a tenant, the operator: nobody of them comes in by this door.
    let minted =
        Ask::new("POST", "/api/v1/token").key(&bed.boss).json(&json!({})).at(bed.address());
    let minted = value(&minted)["token"].as_str().expect("a token").to_owned();
    for other in [bed.boss.as_str(), OTHER, OPERATOR, &minted, "junk", ""] {
        assert_eq!(bed.knock(other), 401, "{other}");
    }
    // Named for another tenant it stays what it is.
    let acting = Ask::new("POST", "/connect/mcp").key(&theirs).header("X-Tenant", "acme");
    let acting = acting
        .json(&crate::support::Era::hello(0))
        .header("Accept", "application/json, text/event-stream");
    assert_eq!(acting.at(bed.address()).status, 200);
    // Changed in any part it is none.
    let parts: Vec<&str> = access.split('.').collect();
    let decode = |part: &str| -> Value {
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).expect("base64url")).expect("JSON")
    };
    let encode = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let claims = decode(parts[1]);
    for (name, forged) in [
        ("aud", json!("https://mcp.example.test/connect/p/small/mcp")),
        ("iss", json!("https://evil.example")),
        ("tenant_id", decode(theirs.split('.').nth(1).unwrap())["tenant_id"].clone()),
        ("sub", decode(theirs.split('.').nth(1).unwrap())["sub"].clone()),
        ("exp", json!(u64::MAX)),
    ] {
        let mut changed = claims.clone();
        changed[name] = forged;
        let token = format!("{}.{}.{}", parts[0], encode(&changed), parts[2]);
        assert_eq!(bed.knock(&token), 401, "{name}");
    }
    let mut head = decode(parts[0]);
    head["alg"] = json!("none");
    for token in [
        format!("{}.{}.", encode(&head), parts[1]),
        format!("{}.{}.{}", encode(&head), parts[1], parts[2]),
        format!("{}.{}.{}", parts[0], parts[1], theirs.split('.').nth(2).unwrap()),
        format!("{}.{}", parts[0], parts[1]),
        theirs.replace('.', ""),
    ] {
        assert_eq!(bed.knock(&token), 401);
    }
    assert_eq!((bed.knock(&access), bed.knock(&theirs)), (200, 200));
    assert_eq!(claims["aud"], "https://mcp.example.test/connect/mcp");
    assert!(claims["exp"].as_u64().unwrap() - claims["iat"].as_u64().unwrap() <= 900);
}

#[test]
fn nobody_signs_in_with_what_is_not_a_key_of_a_tenant() {
    let bed = Bed::new();
    let client = bed.register(&["http://127.0.0.1:1/callback"]);
    let (access, _) = bed.tokens(&client, &bed.boss);
    let minted =
        Ask::new("POST", "/api/v1/token").key(&bed.boss).json(&json!({})).at(bed.address());
    let minted = value(&minted)["token"].as_str().expect("a token").to_owned();
    for other in [OPERATOR, access.as_str(), minted.as_str(), "Bearer x", "a\nb"] {
        let mut browser = super::bed::Browser::default();
        let page = browser.open(&bed, &super::bed::asking(&client, &[]));
        let answer = browser.submit(&bed, &page, &[("answer", "key"), ("key", other)]);
        assert_eq!(answer.status, 403, "{other}");
        let answer = browser.submit(&bed, &page, &[("answer", "allow")]);
        assert!(super::bed::led(&answer).is_none(), "{other}");
    }
}
