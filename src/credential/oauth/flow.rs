//! Taking a browser through the authorization server and back (OAuth 2.1, section 4.1).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;
use url::Url;
use zeroize::Zeroizing;

use super::client;
use super::discover::discover;
use super::error::OAuthError;
use super::logins::Logins;
use super::record::{Client, Record};
use super::renew::{chosen, taken_over, union};
use super::target::Target;
use super::token::{Asked, ask, known_code};
use crate::base::{KeyId, Name, TenantId, unix_seconds};
use crate::credential::Armed;
use crate::egress::Trust;

/// Seconds within which a login is finished.
const LIFE: u64 = 600;

/// What tells one browser from another: the secret of a cookie that only it has.
#[derive(Clone, Copy)]
pub struct Browser<'a>(pub &'a str);

/// Where the browser goes.
#[derive(Debug)]
pub struct Begun {
    /// The page of the authorization server.
    pub url: String,
}

/// With what it came back.
#[derive(Debug, Default)]
pub struct Callback {
    /// `state`
    pub state: String,
    /// `code`
    pub code: Option<String>,
    /// `iss` (RFC 9207)
    pub iss: Option<String>,
    /// `error`
    pub error: Option<String>,
}

/// A login that was begun, taken out of the store: nobody takes it again.
pub struct Finished {
    /// Of which upstream.
    pub upstream: Name,
    attempt: Attempt,
}

impl std::fmt::Debug for Finished {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Finished").field("upstream", &self.upstream).finish_non_exhaustive()
    }
}

/// What is kept while the browser is away, sealed.
#[derive(Serialize, Deserialize)]
pub(super) struct Attempt {
    pub(super) upstream: String,
    pub(super) holder: String,
    pub(super) browser: [u8; 32],
    pub(super) verifier: String,
    pub(super) names_itself: bool,
    /// The state of an upstream that logs in by its own tools.
    #[serde(default)]
    pub(super) own_state: Option<String>,
    pub(super) record: Record,
}

impl Finished {
    pub(super) fn own_state(&self) -> Option<&str> {
        self.attempt.own_state.as_deref()
    }

    pub(super) fn into_record(self) -> Record {
        self.attempt.record
    }
}

pub(super) fn random() -> Result<String, OAuthError> {
    let mut bytes = Zeroizing::new([0; 32]);
    getrandom::fill(&mut *bytes).map_err(|_| crate::seal::SealError::Broken)?;
    Ok(URL_SAFE_NO_PAD.encode(*bytes))
}

pub(super) fn digest(text: &str) -> [u8; 32] {
    Sha256::digest(text.as_bytes()).into()
}

impl Logins {
    /// Begins a login for the tenant of `armed`, which `holder` asked for in this browser.
    ///
    /// # Errors
    /// When the authorization server cannot be found or used.
    pub async fn begin(
        &self,
        armed: &Armed,
        holder: KeyId,
        browser: Browser<'_>,
    ) -> Result<Begun, OAuthError> {
        let (target, home) = (Target::of(armed)?, self.home()?);
        let found = discover(&self.0.egress, &target).await?;
        let server = &found.server;
        let Some(authorize) = server.authorize.clone() else {
            return Err(OAuthError::Document(
                "authorization server's metadata",
                "nobody can log in",
            ));
        };
        // A browser is sent there, and never a place that only runs something.
        let secure = authorize.scheme() == "https" || target.trust(&authorize) != Trust::Stranger;
        if !secure {
            return Err(OAuthError::Document(
                "authorization server's metadata",
                "its page is not https",
            ));
        }
        self.load(&target).await?;
        let (_, before) = self.place(target.tenant.id(), target.name()).known();
        self.bound(&target, before.as_deref(), &server.issuer)?;
        let before = before.filter(|record| record.issuer == server.issuer);
        let known = before.as_ref().and_then(|record| record.client.as_ref());
        let who = client::choose(&self.0.egress, &target, server, &home, known).await?;
        let wanted = before.as_ref().map(|it| it.wanted.clone()).unwrap_or_default();
        let mut scopes = chosen(&target, &found);
        if !wanted.is_empty() {
            let had = before.as_ref().map(|it| it.scopes.clone()).unwrap_or_default();
            scopes = union(&union(&had, &scopes), &wanted);
        }
        if server.scopes.iter().any(|scope| scope == "offline_access") {
            scopes = union(&scopes, &["offline_access".to_owned()]);
        }
        let (state, verifier) = (random()?, random()?);
        let url = page(authorize, &who, &state, &verifier, &scopes, found.resource.as_deref());
        let attempt = Attempt {
            upstream: target.name().to_string(),
            holder: holder.as_str().to_owned(),
            browser: digest(browser.0),
            verifier,
            names_itself: server.names_itself,
            own_state: None,
            record: Record {
                issuer: server.issuer.clone(),
                token_endpoint: server.token.to_string(),
                revocation_endpoint: server.revoke.as_ref().map(ToString::to_string),
                resource: found.resource.clone(),
                client: Some(who),
                access_token: None,
                refresh_token: None,
                scopes,
                obtained_at: 0,
                expires_at: None,
                wanted,
                denied: before.as_ref().map_or(0, |it| it.denied),
            },
        };
        self.keep(target.tenant.id(), &state, &attempt).await?;
        Ok(Begun { url })
    }

    pub(super) async fn keep(
        &self,
        tenant: TenantId,
        state: &str,
        attempt: &Attempt,
    ) -> Result<(), OAuthError> {
        let place = digest(state);
        let text = Zeroizing::new(
            serde_json::to_vec(attempt).map_err(|_| crate::seal::SealError::Broken)?,
        );
        let sealed = self.0.attempts.seal(&place, &text)?;
        let now = unix_seconds();
        match self.0.store.begin(tenant, place, sealed, now, now + LIFE).await? {
            true => Ok(()),
            false => Err(OAuthError::TooMany),
        }
    }

    /// Takes what a browser comes back for. It is taken once, whoever brings it; only the browser
    /// and the person that began it get anything for it.
    ///
    /// # Errors
    /// When there is no such login, or it is somebody else's.
    pub async fn take(
        &self,
        callback: &Callback,
        (tenant, holder): (TenantId, KeyId),
        browser: Browser<'_>,
    ) -> Result<Finished, OAuthError> {
        let place = digest(&callback.state);
        let taken = self.0.store.take(place, unix_seconds()).await?;
        let (of, sealed) = taken.ok_or(OAuthError::State)?;
        let text = Zeroizing::new(self.0.attempts.open(&place, &sealed)?);
        let attempt: Attempt = serde_json::from_slice(&text).map_err(|_| OAuthError::State)?;
        let same_browser: bool = attempt.browser.ct_eq(&digest(browser.0)).into();
        if of != tenant || attempt.holder != holder.as_str() || !same_browser {
            return Err(OAuthError::State);
        }
        let upstream = Name::new(&attempt.upstream).map_err(|_| OAuthError::State)?;
        Ok(Finished { upstream, attempt })
    }

    /// Trades what the browser has brought for tokens, and keeps them.
    ///
    /// # Errors
    /// When the answer came from another server, says no, or the tokens are refused.
    pub async fn finish(
        &self,
        armed: &Armed,
        finished: Finished,
        callback: &Callback,
    ) -> Result<(), OAuthError> {
        let target = Target::of(armed)?;
        let Attempt { record, names_itself, verifier, .. } = finished.attempt;
        // Before anything that it says is believed (RFC 9207, section 2.4).
        match &callback.iss {
            Some(iss) if *iss != record.issuer => return Err(OAuthError::Issuer),
            None if names_itself => return Err(OAuthError::Issuer),
            _ => {}
        }
        if let Some(error) = &callback.error {
            return Err(OAuthError::Refused(known_code(error)));
        }
        let code = callback.code.as_deref().ok_or(OAuthError::State)?;
        let who = record.client.clone().ok_or(OAuthError::State)?;
        let at = (record.token_endpoint.as_str(), record.issuer.as_str());
        let redirect = self.home()?.callback();
        let asked = Asked::Code { code, verifier: &verifier, redirect: &redirect };
        let given =
            ask(&self.0.egress, &target, at, &who, record.resource.as_deref(), asked).await?;
        let mut fresh = taken_over(&record, given);
        fresh.wanted = Vec::new();
        target.bearer.forgive();
        self.save(&target, fresh, None).await?;
        let (tenant, upstream) = (target.tenant.name(), target.name());
        tracing::info!(%tenant, %upstream, "logged in");
        Ok(())
    }
}

/// The page of the authorization server with everything that it must know.
fn page(
    mut url: Url,
    who: &Client,
    state: &str,
    verifier: &str,
    scopes: &[String],
    resource: Option<&str>,
) -> String {
    let challenge = URL_SAFE_NO_PAD.encode(digest(verifier));
    let mut query = url.query_pairs_mut();
    query
        .append_pair("response_type", "code")
        .append_pair("client_id", &who.id)
        .append_pair("redirect_uri", &who.redirect)
        .append_pair("state", state)
        .append_pair("code_challenge", &challenge)
        .append_pair("code_challenge_method", "S256");
    if !scopes.is_empty() {
        query.append_pair("scope", &scopes.join(" "));
    }
    if scopes.iter().any(|scope| scope == "offline_access") {
        // OpenID Connect Core, section 11.
        query.append_pair("prompt", "consent");
    }
    if let Some(resource) = resource {
        query.append_pair("resource", resource);
    }
    drop(query);
    url.into()
}
