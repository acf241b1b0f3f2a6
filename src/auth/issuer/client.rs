//! Assertions by which clients of our own OAuth server prove who they are: tokens that they sign
//! with keys of their own (RFC 7523, section 2.2; `private_key_jwt` of OpenID Connect Core 1.0, section 9).

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use jsonwebtoken::jwk::KeyAlgorithm;
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde_json::Value;
use url::Url;

use super::fetch::Fetcher;
use super::keys::{Keys, pick, signing};
use crate::auth::crypto;
use crate::base::unix_seconds;
use crate::egress::Trust;

/// How a client may sign. None of these has a secret that both sides know.
const ALGORITHMS: [(Algorithm, &str); 4] = [
    (Algorithm::RS256, "RS256"),
    (Algorithm::PS256, "PS256"),
    (Algorithm::ES256, "ES256"),
    (Algorithm::EdDSA, "EdDSA"),
];
/// Clocks differ by so many seconds.
const LEEWAY: u64 = 60;
/// An assertion is good for no longer, in seconds.
const LIFE: u64 = 3_600;
/// Longest `jti` in bytes.
const LONGEST_ID: usize = 256;
/// Places of keys at most.
const MOST: usize = 10_000;

/// Where the public keys of a client are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClientKeys {
    /// A set of them at this URL.
    At(Url),
    /// These, as JWKs.
    Here(Vec<Value>),
}

/// An assertion that was shown.
#[derive(Debug, Clone, Copy)]
pub struct Assertion<'a> {
    /// The token.
    pub text: &'a str,
    /// Of which client it has to be.
    pub client: &'a str,
    /// For whom it may be made: each is us.
    pub audiences: &'a [String],
    /// With whose keys it has to be signed.
    pub keys: &'a ClientKeys,
    /// How far a URL of keys is trusted.
    pub trust: Trust,
}

/// The id that a client gave an assertion: it is good once, and whoever takes it remembers that.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AssertionId {
    /// The id, which is its client's own.
    pub text: String,
    /// Until when it has to be remembered, in seconds since the Unix epoch.
    pub until: u64,
}

/// Checks assertions.
#[derive(Default)]
pub struct Assertions {
    fetcher: Fetcher,
    keys: Mutex<HashMap<Url, Arc<Keys>>>,
}

impl Assertions {
    /// The words for how a client may sign.
    #[must_use]
    pub fn algorithms() -> [&'static str; 4] {
        ALGORITHMS.map(|(_, word)| word)
    }

    /// Of which client an assertion says it is. Nothing is checked yet.
    #[must_use]
    pub fn claimed(text: &str) -> Option<String> {
        let claims: Value = jsonwebtoken::dangerous::insecure_decode_claims(text).ok()?;
        claims["sub"].as_str().map(str::to_owned)
    }

    /// Whether it proves that the client is who it says, if it was not shown before: its id, where
    /// it has one, is for the caller to look up.
    ///
    /// # Errors
    /// Why not, for the log.
    pub async fn check(&self, shown: &Assertion<'_>) -> Result<Option<AssertionId>, String> {
        crypto::install();
        let header = jsonwebtoken::decode_header(shown.text).map_err(|error| error.to_string())?;
        if !ALGORITHMS.iter().any(|(known, _)| *known == header.alg) {
            return Err(format!("it is signed with {:?}", header.alg));
        }
        let kid = header.kid.as_deref();
        let key = match shown.keys {
            ClientKeys::Here(keys) => {
                pick(&signing(keys.clone()), kid).ok_or("the client has no such key")?
            }
            ClientKeys::At(place) => {
                let keys = self.keys_at(place);
                keys.find(&self.fetcher, shown.client, Some(place), shown.trust, kid).await?
            }
        };
        if key.common.key_algorithm.is_some_and(|own| own != KeyAlgorithm::from(header.alg)) {
            return Err("its key is for another algorithm".to_owned());
        }
        let key = DecodingKey::from_jwk(&key).map_err(|error| error.to_string())?;
        let mut validation = Validation::new(header.alg);
        validation.set_issuer(&[shown.client]);
        validation.set_audience(shown.audiences);
        validation.sub = Some(shown.client.to_owned());
        validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
        validation.leeway = LEEWAY;
        validation.validate_nbf = true;
        let claims = jsonwebtoken::decode::<Value>(shown.text, &key, &validation);
        let claims = claims.map_err(|error| error.to_string())?.claims;
        let now = unix_seconds();
        let until = claims["exp"].as_f64().map(|time| time as u64).ok_or("it has no end")?;
        if until > now + LIFE + LEEWAY {
            return Err("it is good for longer than an hour".to_owned());
        }
        match claims["jti"].as_str() {
            Some(id) if id.len() > LONGEST_ID => Err("its id is too long".to_owned()),
            Some(id) => Ok(Some(AssertionId { text: id.to_owned(), until: until + LEEWAY })),
            // Then its time and what it comes with (a code, a refresh token) make it good once.
            None => Ok(None),
        }
    }

    fn keys_at(&self, place: &Url) -> Arc<Keys> {
        let mut all = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() >= MOST && !all.contains_key(place) {
            all.clear();
        }
        all.entry(place.clone()).or_default().clone()
    }
}
