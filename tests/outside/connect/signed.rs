//! Clients that sign who they are with keys at a place that their document names: ChatGPT's document
//! says that it can do both, and one that only signs is not taken without.

use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use serde_json::{Value, json};

use super::bed::{Bed, CONFIG, ISSUER, pair};
use super::documents::documents;
use super::world::value;

const JWT: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

fn key() -> EcdsaKeyPair {
    let (random, kind) = (SystemRandom::new(), &ECDSA_P256_SHA256_FIXED_SIGNING);
    let text = EcdsaKeyPair::generate_pkcs8(kind, &random).expect("a key");
    EcdsaKeyPair::from_pkcs8(kind, text.as_ref(), &random).expect("a key")
}

/// The public part (RFC 7518, section 6.2.1).
fn set(key: &EcdsaKeyPair) -> String {
    let point = key.public_key().as_ref();
    let part = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    json!({ "keys": [{ "kty": "EC", "crv": "P-256", "kid": "one", "use": "sig", "alg": "ES256",
        "x": part(&point[1..33]), "y": part(&point[33..]) }] })
    .to_string()
}

fn sign(key: &EcdsaKeyPair, head: &Value, claims: &Value) -> String {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let text = format!("{}.{}", part(head), part(claims));
    let signature = key.sign(&SystemRandom::new(), text.as_bytes()).expect("it signs");
    format!("{text}.{}", URL_SAFE_NO_PAD.encode(signature))
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs()
}

#[test]
fn a_client_that_signs_who_it_is_is_taken_at_nothing_less() {
    let (own, foreign) = (key(), key());
    let keys = set(&own);
    let (base, _) = documents(move |path, base| {
        let supported = match path {
            "/keys.json" => return Some(keys.clone()),
            "/both.json" => json!(["none", "private_key_jwt"]),
            "/signs.json" => json!(["private_key_jwt"]),
            _ => return None,
        };
        let document = json!({ "client_id": format!("{base}{path}"), "client_name": "Signs",
            "redirect_uris": ["http://127.0.0.1/callback"], "jwks_uri": format!("{base}/keys.json"),
            "token_endpoint_auth_method": "private_key_jwt",
            "token_endpoint_auth_methods_supported": supported,
            "token_endpoint_auth_signing_alg": "ES256" });
        Some(document.to_string())
    });
    let bed = Bed::with(&format!("{CONFIG}[connect]\nallow_private = true\n"));
    let server = value(&bed.get("/.well-known/oauth-authorization-server/connect"));
    let offered = |name: &str, what: &str| {
        server[name].as_array().is_some_and(|list| list.iter().any(|one| one == what))
    };
    assert!(offered("token_endpoint_auth_methods_supported", "private_key_jwt"));
    assert!(offered("token_endpoint_auth_methods_supported", "none"), "Claude looks for it");
    assert!(offered("token_endpoint_auth_signing_alg_values_supported", "ES256"));

    let (both, signs) = (format!("{base}/both.json"), format!("{base}/signs.json"));
    let head = json!({ "alg": "ES256", "kid": "one" });
    let mut count = 0;
    let mut claims = |client: &str| {
        count += 1;
        json!({ "iss": client, "sub": client, "aud": ISSUER, "exp": now() + 60, "iat": now(),
            "jti": format!("id-{count}") })
    };
    let with = |client: &str, code: &str, assertion: &str| {
        let proof = [("client_assertion_type", JWT), ("client_assertion", assertion)];
        bed.redeem(client, code, &proof)
    };
    // Who can come without may; who shows an assertion has to show a good one.
    let code = bed.code(&both, &bed.boss);
    let bad = sign(&foreign, &head, &claims(&both));
    assert_eq!(with(&both, &code, &bad).status, 401);
    let answer = bed.redeem(&both, &code, &[]);
    assert_eq!(answer.status, 200, "{}", answer.text());

    let code = bed.code(&signs, &bed.boss);
    let good = claims(&signs);
    let used = sign(&own, &head, &good);
    let changed = |name: &str, other: Value| {
        let mut claims = good.clone();
        claims["jti"] = json!(format!("changed-{name}"));
        claims[name] = other;
        sign(&own, &head, &claims)
    };
    let parts: Vec<&str> = used.split('.').collect();
    let none = URL_SAFE_NO_PAD.encode(json!({ "alg": "none" }).to_string());
    for (what, assertion) in [
        ("none", String::new()),
        ("junk", "a.b.c".to_owned()),
        ("another's key", sign(&foreign, &head, &good)),
        ("an unknown key", sign(&own, &json!({ "alg": "ES256", "kid": "two" }), &good)),
        ("no signature", format!("{none}.{}.", parts[1])),
        ("another algorithm", sign(&own, &json!({ "alg": "HS256", "kid": "one" }), &good)),
        ("for another server", changed("aud", json!("https://evil.example"))),
        ("for the door", changed("aud", json!("https://mcp.example.test/connect/mcp"))),
        ("of another client", changed("sub", json!(both))),
        ("by another client", changed("iss", json!(both))),
        ("expired", changed("exp", json!(now() - 120))),
        ("without an end", changed("exp", Value::Null)),
        ("for a year", changed("exp", json!(now() + 365 * 86_400))),
        ("not yet", changed("nbf", json!(now() + 600))),
    ] {
        let answer = if assertion.is_empty() {
            bed.redeem(&signs, &code, &[])
        } else {
            with(&signs, &code, &assertion)
        };
        let said = value(&answer)["error"].as_str().unwrap_or_default().to_owned();
        assert_eq!((answer.status, said.as_str()), (401, "invalid_client"), "{what}");
    }
    let two = [
        ("client_assertion_type", JWT),
        ("client_assertion", used.as_str()),
        ("client_secret", "x"),
    ];
    assert_eq!(bed.redeem(&signs, &code, &two).status, 400, "two proofs");
    let kind = [("client_assertion_type", "x"), ("client_assertion", used.as_str())];
    assert_eq!(bed.redeem(&signs, &code, &kind).status, 400, "another kind of proof");
    // None of that has cost the code. The client need not say twice who it is.
    let proof =
        [("client_id", ""), ("client_assertion_type", JWT), ("client_assertion", used.as_str())];
    let answer = bed.redeem(&signs, &code, &proof);
    assert_eq!(answer.status, 200, "{}", answer.text());
    let (access, refresh) = pair(&answer);
    assert_eq!(bed.knock(&access), 200);
    let refreshed = |bed: &Bed, assertion: &str| {
        bed.form(
            "/connect/token",
            &[
                ("grant_type", "refresh_token"),
                ("refresh_token", &refresh),
                ("client_id", &signs),
                ("client_assertion_type", JWT),
                ("client_assertion", assertion),
            ],
        )
    };
    assert_eq!(refreshed(&bed, &used).status, 401, "an assertion is good once");
    assert!(!bed.proxy.log().contains(&used), "an assertion is in the log");
    // Another process of the same store knows it, too.
    let bed = bed.restarted();
    assert_eq!(refreshed(&bed, &used).status, 401, "good once, whoever is shown it");
    let mut next = good.clone();
    next["jti"] = json!("another");
    next["aud"] = json!([format!("{ISSUER}/token"), "https://else.example"]);
    let answer = refreshed(&bed, &sign(&own, &head, &next));
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert!(!bed.proxy.log().contains(&used), "an assertion is in the log");
}
