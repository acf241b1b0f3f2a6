//! Tokens of an issuer that runs beside the test, good ones and all kinds of others.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use http::HeaderMap;
use http::header::AUTHORIZATION;
use ring::rand::SystemRandom;
use ring::signature as by;
use ring::signature::KeyPair as _;
use serde_json::{Value, json};

use super::rsa;
use crate::auth::{Admission, Auth, Caller, Denied, fresh_tenant};
use crate::base::{Fault, Name, Role, Scopes, Secret, Tasks, unix_seconds};
use crate::config::{Issuer, IssuerRule, RuleTenant, SecretSource};
use crate::seal::{Ring, RootKey};
use crate::store::{Origin, Sqlite};

const AUDIENCE: &str = "https://mcp.example.com";

struct Keys {
    ed: by::Ed25519KeyPair,
    ec: by::EcdsaKeyPair,
    rsa: by::RsaKeyPair,
}

impl Keys {
    fn new() -> Self {
        let random = SystemRandom::new();
        let ed = by::Ed25519KeyPair::generate_pkcs8(&random).unwrap();
        let ecdsa = &by::ECDSA_P256_SHA256_FIXED_SIGNING;
        let ec = by::EcdsaKeyPair::generate_pkcs8(ecdsa, &random).unwrap();
        Self {
            ed: by::Ed25519KeyPair::from_pkcs8(ed.as_ref()).unwrap(),
            ec: by::EcdsaKeyPair::from_pkcs8(ecdsa, ec.as_ref(), &random).unwrap(),
            rsa: by::RsaKeyPair::from_pkcs8(&STANDARD.decode(rsa::KEY).unwrap()).unwrap(),
        }
    }

    fn set(&self) -> Value {
        let text = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let point = self.ec.public_key().as_ref();
        json!({ "keys": [
            { "kty": "OKP", "crv": "Ed25519", "kid": "ed", "use": "sig", "x": text(self.ed.public_key().as_ref()) },
            { "kty": "EC", "crv": "P-256", "kid": "ec", "alg": "ES256", "x": text(&point[1..33]), "y": text(&point[33..]) },
            { "kty": "RSA", "kid": "rsa", "alg": "RS256", "n": rsa::MODULUS, "e": "AQAB" },
            { "kty": "of a kind that comes later", "kid": "new" },
            { "kty": "RSA", "kid": "for secrets", "use": "enc", "n": rsa::MODULUS, "e": "AQAB" },
        ]})
    }

    fn token(&self, header: &Value, claims: &Value) -> String {
        let text = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let message = format!("{}.{}", text(header), text(claims));
        let (random, bytes) = (SystemRandom::new(), message.as_bytes());
        let signature = match header["alg"].as_str().unwrap() {
            "EdDSA" => self.ed.sign(bytes).as_ref().to_vec(),
            "ES256" => self.ec.sign(&random, bytes).unwrap().as_ref().to_vec(),
            "RS256" | "RS384" => {
                let padding: &'static dyn by::RsaEncoding = if header["alg"] == "RS256" {
                    &by::RSA_PKCS1_SHA256
                } else {
                    &by::RSA_PKCS1_SHA384
                };
                let mut signature = vec![0; self.rsa.public().modulus_len()];
                self.rsa.sign(padding, &random, bytes, &mut signature).unwrap();
                signature
            }
            // Whoever knows a public key could sign with it as if it were a secret.
            "HS256" => {
                let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, rsa::MODULUS.as_bytes());
                ring::hmac::sign(&key, bytes).as_ref().to_vec()
            }
            _ => Vec::new(),
        };
        format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature))
    }
}

/// The issuer's web server: its discovery document and its keys.
struct Web {
    address: SocketAddr,
    set: Arc<Mutex<Value>>,
    down: Arc<AtomicBool>,
    asked: Arc<AtomicUsize>,
}

impl Web {
    fn start(set: Value) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let web = Self {
            address,
            set: Arc::new(Mutex::new(set)),
            down: Arc::default(),
            asked: Arc::default(),
        };
        let (set, down, asked) = (web.set.clone(), web.down.clone(), web.asked.clone());
        // It ends with the test's process.
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let mut head = Vec::new();
                let mut byte = [0];
                while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).unwrap_or(0) > 0 {
                    head.push(byte[0]);
                }
                asked.fetch_add(1, Ordering::SeqCst);
                let discovery = head.starts_with(b"GET /.well-known/openid-configuration ");
                let body = if discovery {
                    let issuer = format!("http://{address}");
                    json!({ "issuer": issuer, "jwks_uri": format!("{issuer}/keys") }).to_string()
                } else {
                    set.lock().unwrap().to_string()
                };
                let status = if down.load(Ordering::SeqCst) { "503 Not now" } else { "200 OK" };
                let _ = write!(
                    stream,
                    "HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
                    body.len()
                );
            }
        });
        web
    }

    fn issuer(&self) -> String {
        format!("http://{}", self.address)
    }
}

struct House {
    _folder: tempfile::TempDir,
    auth: Auth,
    keys: Keys,
    web: Web,
}

fn rule(claim: &str, value: Option<&str>, tenant: RuleTenant, role: Role) -> IssuerRule {
    let scopes = Scopes::read(["support"]).unwrap();
    IssuerRule {
        claim: Some(claim.to_owned()),
        value: value.map(str::to_owned),
        tenant,
        role,
        scopes,
    }
}

async fn house() -> House {
    let keys = Keys::new();
    let web = Web::start(keys.set());
    let folder = tempfile::tempdir().unwrap();
    let tasks = Tasks::default();
    let stores = Sqlite::open(&folder.path().join("store.db"), &tasks).unwrap().stores();
    let acme = Name::new("acme").unwrap();
    stores.tenants.create(fresh_tenant(&acme, Origin::Store).unwrap()).await.unwrap();
    let issuer = Issuer {
        issuer: web.issuer(),
        audience: AUDIENCE.to_owned(),
        algorithms: ["EdDSA", "ES256", "RS256"].map(str::to_owned).to_vec(),
        jwks_url: None,
        leeway: Duration::from_secs(30),
        rules: vec![
            rule("groups", Some("admins"), RuleTenant::Named(acme), Role::Admin),
            rule("groups", Some("machine"), RuleTenant::Nobody, Role::Operator),
            rule("org", None, RuleTenant::FromClaim, Role::Member),
        ],
    };
    let tenants = BTreeMap::new();
    let admission =
        Admission { tenants: &tenants, operators: &[], issuers: &[issuer], public_url: None };
    let ring = Arc::new(Ring::new(&RootKey::for_test(1)));
    let nothing = |_: &SecretSource| -> Result<Secret, String> { Err("none".to_owned()) };
    let auth = Auth::new(&stores, ring, &admission, &nothing).await.unwrap();
    House { _folder: folder, auth, keys, web }
}

impl House {
    fn claims(&self) -> Value {
        let now = unix_seconds();
        json!({
            "iss": self.web.issuer(), "aud": AUDIENCE, "sub": "zoe@example.com", "iat": now,
            "exp": now + 600, "groups": ["users", "admins"],
        })
    }

    async fn check(&self, text: &str) -> Result<Caller, Denied> {
        let headers =
            HeaderMap::from_iter([(AUTHORIZATION, format!("Bearer {text}").parse().unwrap())]);
        self.auth.identify(&headers).await
    }

    fn with(&self, change: &Value) -> String {
        let mut claims = self.claims();
        for (name, value) in change.as_object().unwrap() {
            claims[name] = value.clone();
        }
        self.keys.token(&json!({ "alg": "EdDSA", "kid": "ed" }), &claims)
    }
}

#[tokio::test]
async fn a_token_of_each_kind_of_key_is_taken_for_whom_the_rules_say() {
    let house = house().await;
    let mut ids = Vec::new();
    for (alg, kid) in [("EdDSA", "ed"), ("ES256", "ec"), ("RS256", "rsa")] {
        let token = house.keys.token(&json!({ "alg": alg, "kid": kid }), &house.claims());
        let caller = house.check(&token).await.unwrap_or_else(|denied| panic!("{alg}: {denied}"));
        assert_eq!(caller.tenant().unwrap().name().as_str(), "acme");
        assert_eq!((caller.role(), caller.key_name()), (Role::Admin, "zoe@example.com"));
        assert_eq!(caller.scopes().to_string(), "profile:support");
        assert!(caller.token_until().is_some_and(|until| until > unix_seconds()));
        ids.push(caller.key());
    }
    assert!(ids.iter().all(|id| *id == ids[0]), "the same person");
    assert_eq!(house.web.asked.load(Ordering::SeqCst), 2, "asked once for all");
    let member = house.check(&house.with(&json!({ "groups": [], "org": "acme" }))).await.unwrap();
    assert_eq!(member.role(), Role::Member);
    let other = house.check(&house.with(&json!({ "sub": "yan@example.com" }))).await.unwrap();
    assert_ne!(other.key(), ids[0]);
    let operator = house.check(&house.with(&json!({ "groups": "machine" }))).await.unwrap();
    assert!(matches!(operator, Caller::Operator(_)));
    let several = house.check(&house.with(&json!({ "aud": ["other", AUDIENCE] }))).await;
    assert!(several.is_ok());
}

#[tokio::test]
async fn what_is_wrong_with_a_token_is_refused_alike() {
    let house = house().await;
    let (keys, claims, now) = (&house.keys, house.claims(), unix_seconds());
    let other = Keys::new();
    let without = |name: &str| {
        let mut claims = claims.clone();
        claims.as_object_mut().unwrap().remove(name);
        keys.token(&json!({ "alg": "EdDSA", "kid": "ed" }), &claims)
    };
    let signed = |header: Value| keys.token(&header, &claims);
    let cases = [
        ("no signature", signed(json!({ "alg": "none", "kid": "ed" }))),
        ("a public key as a secret", signed(json!({ "alg": "HS256", "kid": "rsa" }))),
        (
            "an algorithm that the file does not allow",
            signed(json!({ "alg": "RS384", "kid": "rsa" })),
        ),
        ("the key of another algorithm", signed(json!({ "alg": "EdDSA", "kid": "ec" }))),
        ("another algorithm's key", signed(json!({ "alg": "ES256", "kid": "ed" }))),
        ("a key for secrets", signed(json!({ "alg": "RS256", "kid": "for secrets" }))),
        ("an unknown key", signed(json!({ "alg": "EdDSA", "kid": "nobody's" }))),
        ("no key named among several", signed(json!({ "alg": "EdDSA" }))),
        (
            "somebody else's signature",
            other.token(&json!({ "alg": "EdDSA", "kid": "ed" }), &claims),
        ),
        ("another audience", house.with(&json!({ "aud": "https://other.example.com" }))),
        ("no audience", without("aud")),
        ("another issuer", house.with(&json!({ "iss": "https://evil.example.com" }))),
        ("no issuer", without("iss")),
        (
            "the issuer with a slash",
            house.with(&json!({ "iss": format!("{}/", house.web.issuer()) })),
        ),
        ("an end that is over", house.with(&json!({ "exp": now - 31 }))),
        ("no end", without("exp")),
        ("an end that is no time", house.with(&json!({ "exp": "tomorrow" }))),
        ("a beginning to come", house.with(&json!({ "nbf": now + 90 }))),
        ("no subject", without("sub")),
        ("no rule", house.with(&json!({ "groups": ["users"] }))),
        ("a tenant that is not there", house.with(&json!({ "groups": [], "org": "nobody" }))),
        ("no name of a tenant", house.with(&json!({ "groups": [], "org": "../acme" }))),
    ];
    for (what, token) in cases {
        let denied = house.check(&token).await.map(|_| ()).expect_err(what);
        assert!(matches!(denied, Denied::Token(_)), "{what}: {denied:?}");
        let public = Fault::from(denied).public;
        assert_eq!(public, Fault::from(Denied::NoKey).public, "{what}");
    }
    // Within the leeway.
    assert!(house.check(&house.with(&json!({ "exp": now - 5 }))).await.is_ok());
    assert!(house.check(&house.with(&json!({ "nbf": now + 5 }))).await.is_ok());
}

/// Lets time pass for deadlines and pauses.
async fn later(time: Duration) {
    tokio::time::pause();
    tokio::time::advance(time).await;
    tokio::time::resume();
}

#[tokio::test]
async fn keys_are_fetched_when_needed_and_strangers_do_not_make_us_ask() {
    let house = house().await;
    let asked = || house.web.asked.load(Ordering::SeqCst);
    let unknown = |number: usize| {
        let header = json!({ "alg": "EdDSA", "kid": format!("unknown {number}") });
        house.keys.token(&header, &house.claims())
    };
    for number in 0..40 {
        assert!(house.check(&unknown(number)).await.is_err());
    }
    assert_eq!(asked(), 2, "the document and the keys, once");

    // The issuer has a new key: after a pause its first token makes us look.
    let fresh = Keys::new();
    let token = fresh.token(&json!({ "alg": "EdDSA", "kid": "ed" }), &house.claims());
    let mut set = fresh.set();
    set["keys"][0]["kid"] = json!("ed 2");
    let renamed = fresh.token(&json!({ "alg": "EdDSA", "kid": "ed 2" }), &house.claims());
    *house.web.set.lock().unwrap() = set;
    assert!(house.check(&renamed).await.is_err(), "not before the pause is over");
    later(Duration::from_secs(31)).await;
    assert!(house.check(&renamed).await.is_ok());
    assert_eq!(asked(), 4);
    assert!(house.check(&token).await.is_err());
}

#[tokio::test]
async fn without_its_issuer_a_new_token_is_refused_and_a_known_key_goes_on() {
    let house = house().await;
    house.web.down.store(true, Ordering::SeqCst);
    let first = house.check(&house.with(&json!({ "jti": 1 }))).await;
    assert!(matches!(first, Err(Denied::Token(_))));
    house.web.down.store(false, Ordering::SeqCst);
    later(Duration::from_secs(31)).await;
    assert!(house.check(&house.with(&json!({ "jti": 2 }))).await.is_ok());
    house.web.down.store(true, Ordering::SeqCst);
    later(Duration::from_secs(700)).await;
    assert!(house.check(&house.with(&json!({ "jti": 3 }))).await.is_ok(), "the keys are known");
    later(Duration::from_secs(25 * 3_600)).await;
    assert!(house.check(&house.with(&json!({ "jti": 4 }))).await.is_err(), "not for ever");
}
