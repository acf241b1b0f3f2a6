//! A canary in each credential of a login, and everything that the proxy has written searched for
//! them: in plain text, base64, hex and percent-encoded.

use std::fs;

use base64::{Engine, engine::general_purpose::STANDARD};
use ring::{
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair},
};
use serde_json::{Value, json};

use crate::login::bed::{
    Browser, OPERATOR, api, call, link, login_state, modern_call, setup, until_good,
};
use crate::login::server::{Mode, TOKEN, World};
use crate::support::{Canary, Client, Era, Proxy};

/// What was seen outside the process.
struct Seen(Vec<(String, Vec<u8>)>);

impl Seen {
    fn note(&mut self, place: &str, content: impl Into<Vec<u8>>) {
        self.0.push((place.to_owned(), content.into()));
    }

    /// What the API says of everything, and what lies in the folder: the store and its journals.
    fn look(&mut self, proxy: &Proxy, what: &str) {
        for path in [
            "/api/v1/upstreams",
            "/api/v1/upstreams/up",
            "/api/v1/secrets",
            "/api/v1/errors",
            "/api/v1/audit",
            "/health",
            "/metrics",
        ] {
            for key in [proxy.key(), OPERATOR] {
                let answer = api(proxy, key, "GET", path, &Value::Null);
                self.note(&format!("{path}, {what}"), answer.text());
            }
        }
        for entry in fs::read_dir(proxy.folder()).expect("the folder is ours").flatten() {
            let content = fs::read(entry.path()).unwrap_or_default();
            self.note(&format!("{}, {what}", entry.path().display()), content);
        }
    }

    fn call(&mut self, client: &mut Client, what: &str) -> String {
        let (_, said) = call(client);
        self.note(&format!("the answer of a call, {what}"), said.clone());
        said
    }
}

/// The proxy with everything in its log.
fn started(world: &World, more: &str, secret: &str) -> Proxy {
    setup(world, more).env("CLIENT_SECRET", secret).serve_at_trace()
}

/// The server does what it can to have its tokens shown: every way in which a call or a page fails.
fn fail(seen: &mut Seen, world: &World, proxy: &Proxy) {
    let mut client = proxy.client(Era::Legacy, "/mcp");
    for mode in [Mode::Echo, Mode::Away, Mode::InvalidGrant] {
        {
            let mut state = world.state();
            state.mode = mode;
            state.access.clear();
        }
        seen.call(&mut client, "of a login that fails");
        seen.look(proxy, &format!("{mode:?}"));
    }
    world.state().mode = Mode::Good;
    let said = modern_call(proxy, &json!({}));
    seen.note("the answer of a modern call", said.to_string());
}

fn private_key() -> String {
    let random = SystemRandom::new();
    let made = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random);
    STANDARD.encode(made.expect("a key can be made").as_ref())
}

#[test]
fn no_credential_of_a_login_is_seen_anywhere() {
    const SECRET: &str = "canary-client-secret-of-login-tests";
    let key = private_key();
    let mut canaries = vec![
        Canary::new("the client secret", SECRET.as_bytes()),
        Canary::new("the private key", key.as_bytes()),
        Canary::new("the private key's bytes", &STANDARD.decode(&key).expect("base64")),
        // Access and refresh tokens, codes, and the secrets of registered clients begin so.
        Canary::new("a token or a code", TOKEN.as_bytes()),
        Canary::new("a pushed token", b"canary-pushed-access-token"),
        Canary::new("a pushed refresh token", b"canary-pushed-refresh-token"),
        Canary::new("a pushed client secret", b"canary-pushed-client-secret"),
    ];
    let mut seen = Seen(Vec::new());
    let mut states = Vec::new();
    let person = "client_id = \"us\", client_secret = \"{secret.client_secret}\"";
    let machine = format!("grant = \"client_credentials\", {person}");
    let signed = machine.replace("client_secret = ", "private_key = ");
    for (what, more, secret) in [
        ("registered", "", SECRET),
        ("a client of the file", person, SECRET),
        ("the client itself", machine.as_str(), SECRET),
        ("the client itself, signing", signed.as_str(), key.as_str()),
    ] {
        let world = World::start();
        let proxy = started(&world, more, secret);
        let mut client = proxy.client(Era::Legacy, "/mcp");
        let said = seen.call(&mut client, what);
        let mut browser = Browser::default();
        if more.contains("grant") {
            until_good(&mut client);
        } else {
            let link = link(&said);
            let back = browser.begin(&link, proxy.key());
            let state = world.state().last["state"].clone();
            // An answer that says no, one that is another browser's, and the one that counts.
            browser
                .get(&format!("{}?state={state}&error={TOKEN}", back.split('?').next().unwrap()));
            let back = browser.begin(&link, proxy.key());
            world.state().mode = Mode::Echo;
            browser.get(&back);
            let verifier = world.state().last["code_verifier"].clone();
            canaries.push(Canary::new("a code verifier", verifier.as_bytes()));
            world.state().mode = Mode::Good;
            let back = browser.begin(&link, proxy.key());
            states.push(Canary::new("a state", world.state().last["state"].as_bytes()));
            assert_eq!(browser.get(&back).status, 200);
            until_good(&mut client);
            canaries
                .push(Canary::new("a verifier", world.state().last["code_verifier"].as_bytes()));
        }
        assert_eq!(login_state(&proxy, proxy.key()), "logged-in", "{what}");
        seen.look(&proxy, what);
        fail(&mut seen, &world, &proxy);
        // Tokens that somebody brings.
        let mut body = json!({"access_token": "canary-pushed-access-token",
            "refresh_token": "canary-pushed-refresh-token", "expires_in": 0});
        if more.is_empty() {
            body["client_id"] = "pushed".into();
            body["client_secret"] = "canary-pushed-client-secret".into();
            body["issuer"] = world.issuer_url().into();
            body["token_endpoint"] = format!("{}/token", world.issuer_url()).into();
        }
        let put = api(&proxy, proxy.key(), "PUT", "/api/v1/upstreams/up/oauth", &body);
        assert_eq!(put.status, 200, "{what}: {}", put.text());
        seen.note("the answer of a push", put.text());
        body["access_token"] = "canary-pushed-access-token\u{7}".into();
        let put = api(&proxy, proxy.key(), "PUT", "/api/v1/upstreams/up/oauth", &body);
        assert_eq!(put.status, 400, "{what}: {}", put.text());
        seen.note("the refusal of a push", put.text());
        fail(&mut seen, &world, &proxy);
        // The pages' own bodies; a browser is led through URLs with a state, and with nothing else.
        seen.note("a page", browser.seen.clone());
        seen.note(&format!("the log, {what}"), proxy.log());
        let setup = proxy.stop();
        for entry in fs::read_dir(setup.folder()).expect("the folder is ours").flatten() {
            let content = fs::read(entry.path()).unwrap_or_default();
            seen.note(&format!("{}, {what}, at the end", entry.path().display()), content);
        }
    }
    let mut found: Vec<String> = Vec::new();
    for (place, content) in &seen.0 {
        found.extend(canaries.iter().filter_map(|canary| canary.seen_in(place, content)));
        if !place.starts_with("a page") {
            found.extend(states.iter().filter_map(|canary| canary.seen_in(place, content)));
        }
    }
    assert!(found.is_empty(), "{found:#?}");
}
