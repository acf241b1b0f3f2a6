//! The public keys of one issuer (RFC 7517), as they were last fetched.

use std::time::Duration;

use jsonwebtoken::jwk::{Jwk, PublicKeyUse};
use serde::Deserialize;
use tokio::sync::Mutex;
use tokio::time::Instant;
use url::Url;

use super::fetch::Fetcher;
use crate::base::now;
use crate::egress::Trust;

/// Keys of this age are fetched again before they are used.
const FRESH: Duration = Duration::from_secs(600);
/// Keys of this age are used no longer when none can be fetched.
const STALE: Duration = Duration::from_secs(24 * 3_600);
/// Between two fetches, whatever tokens come: strangers must not make us ask the issuer.
const PAUSE: Duration = Duration::from_secs(30);

/// The keys of one issuer.
#[derive(Default)]
pub(super) struct Keys(Mutex<State>);

#[derive(Default)]
struct State {
    keys: Vec<Jwk>,
    fetched: Option<Instant>,
    tried: Option<Instant>,
    failure: String,
}

#[derive(Deserialize)]
struct Discovered {
    issuer: String,
    jwks_uri: String,
}

#[derive(Deserialize)]
struct Set {
    keys: Vec<serde_json::Value>,
}

impl Keys {
    /// The key that a token names, or the only one when it names none. They are at `place`, which is
    /// trusted so far, or where the issuer's own document says.
    ///
    /// # Errors
    /// When the issuer has no such key, or its keys cannot be had.
    pub(super) async fn find(
        &self,
        fetcher: &Fetcher,
        issuer: &str,
        place: Option<&Url>,
        trust: Trust,
        kid: Option<&str>,
    ) -> Result<Jwk, String> {
        // One asks, the others wait for what it gets.
        let mut state = self.0.lock().await;
        let is_fresh = state.fetched.is_some_and(|at| now() - at < FRESH);
        let known = pick(&state.keys, kid);
        if let Some(key) = known.as_ref().filter(|_| is_fresh) {
            return Ok(key.clone());
        }
        if state.tried.is_none_or(|at| now() - at >= PAUSE) {
            state.tried = Some(now());
            match fetch(fetcher, issuer, place, trust).await {
                Ok(keys) => {
                    state.keys = keys;
                    state.fetched = Some(now());
                    state.failure.clear();
                }
                Err(failure) => {
                    tracing::warn!(issuer, %failure, "the keys of an issuer cannot be had");
                    state.failure = failure;
                }
            }
        }
        let usable = state.fetched.is_some_and(|at| now() - at < STALE);
        match pick(&state.keys, kid).filter(|_| usable) {
            Some(key) => Ok(key),
            None if usable => Err("its issuer has no such key".to_owned()),
            None => Err(format!("the keys of its issuer cannot be had: {}", state.failure)),
        }
    }
}

pub(super) fn pick(keys: &[Jwk], kid: Option<&str>) -> Option<Jwk> {
    match kid {
        Some(kid) => keys.iter().find(|key| key.common.key_id.as_deref() == Some(kid)).cloned(),
        None => match keys {
            [only] => Some(only.clone()),
            _ => None,
        },
    }
}

async fn fetch(
    fetcher: &Fetcher,
    issuer: &str,
    place: Option<&Url>,
    trust: Trust,
) -> Result<Vec<Jwk>, String> {
    let document = match place {
        Some(place) => fetcher.fetch(place, trust).await?,
        None => {
            let at = format!("{}/.well-known/openid-configuration", issuer.trim_end_matches('/'));
            let at = Url::parse(&at).map_err(|error| error.to_string())?;
            let found = fetcher.fetch(&at, trust).await?;
            let found: Discovered =
                serde_json::from_slice(&found).map_err(|error| format!("{at}: {error}"))?;
            // OIDC Discovery 1.0, section 4.3.
            if found.issuer != issuer {
                return Err(format!("{at} is of another issuer"));
            }
            // What stands beside the file's own URL is as trusted as that.
            let place = Url::parse(&found.jwks_uri).map_err(|error| format!("{at}: {error}"))?;
            let beside = place.origin() == at.origin();
            let trust = if beside { trust } else { Trust::Stranger };
            fetcher.fetch(&place, trust).await?
        }
    };
    let set: Set = serde_json::from_slice(&document).map_err(|error| error.to_string())?;
    Ok(signing(set.keys))
}

/// Those that sign. A key of a kind that we do not know must not cost the others.
pub(super) fn signing(keys: Vec<serde_json::Value>) -> Vec<Jwk> {
    let keys = keys.into_iter().filter_map(|key| serde_json::from_value::<Jwk>(key).ok());
    let signing = |key: &Jwk| {
        key.common.public_key_use.as_ref().is_none_or(|how| *how == PublicKeyUse::Signature)
    };
    keys.filter(signing).collect()
}
