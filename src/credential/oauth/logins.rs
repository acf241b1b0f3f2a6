//! The logins of all tenants: what is sealed of each, and the token that its links send.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwapOption;
use tokio::time::Instant;
use url::Url;

use super::client::Home;
use super::error::OAuthError;
use super::record::{AuthMethod, Client, Known, Record};
use super::target::Target;
use super::token;
use crate::base::{Bearer, Name, Secret, Slot, Tasks, TenantId, unix_seconds};
use crate::credential::Armed;
use crate::credential::vault::Vault;
use crate::egress::Egress;
use crate::seal::{Handles, Ring, SealError};
use crate::store::{self, SecretPlace};

/// The slot in which a login is sealed. No template of the file can name it.
pub(in crate::credential) fn login_slot() -> Slot {
    Slot::new("oauth.login").expect("its characters are those of slots")
}

/// The logins of all tenants. Clones share everything.
#[derive(Clone)]
pub struct Logins(pub(super) Arc<Inner>);

pub(super) struct Inner {
    pub(super) vault: Vault,
    pub(super) store: Arc<dyn store::Logins>,
    pub(super) attempts: Handles,
    pub(super) egress: Egress,
    pub(super) tasks: Tasks,
    /// Who we are to other processes on the same store.
    pub(super) holder: [u8; 16],
    home: ArcSwapOption<Home>,
    /// Moved when something was written: who has armed before reads anew.
    written: Arc<AtomicU64>,
    places: Mutex<HashMap<(TenantId, Name), Arc<Place>>>,
}

/// One login as this process knows it.
#[derive(Default)]
pub(super) struct Place {
    pub(super) bearer: Arc<Bearer>,
    /// Whose turn it is to renew.
    pub(super) turn: Arc<tokio::sync::Mutex<Turn>>,
    known: Mutex<(u64, Option<Arc<Record>>)>,
}

/// How the last try to renew went.
#[derive(Default)]
pub(super) struct Turn {
    pub(super) failed: Option<(Instant, OAuthError)>,
}

/// How a login stands, for whoever looks after it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoginState {
    /// `logged-in`, `expired` (it can be renewed), or `logged-out`.
    pub state: &'static str,
    /// The authorization server.
    pub issuer: Option<String>,
    /// What was granted.
    pub scopes: Vec<String>,
    /// When the token ends, in seconds since the Unix epoch.
    pub expires_at: Option<u64>,
    /// Whether it is renewed without anybody.
    pub renews: bool,
}

/// Tokens that somebody brings.
#[derive(Debug)]
pub struct Pushed {
    /// The access token.
    pub access_token: Secret,
    /// Renews it.
    pub refresh_token: Option<Secret>,
    /// Seconds for which the access token is good.
    pub expires_in: Option<u64>,
    /// What was granted.
    pub scopes: Vec<String>,
    /// The authorization server; found out when it is not said.
    pub issuer: Option<String>,
    /// Its token endpoint; found out when it is not said.
    pub token_endpoint: Option<String>,
    /// The client that the tokens were given to, unless it is that of the file.
    pub client_id: Option<String>,
    /// Its secret.
    pub client_secret: Option<Secret>,
}

impl LoginState {
    /// Every word for how a login stands.
    pub const ALL: [&'static str; 3] = ["logged-in", "expired", "logged-out"];

    fn word(record: Option<&Record>) -> &'static str {
        match record {
            Some(record) if record.is_good(unix_seconds()) => "logged-in",
            Some(record) if record.refresh_token.is_some() => "expired",
            _ => "logged-out",
        }
    }
}

impl std::fmt::Debug for Logins {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Logins").finish_non_exhaustive()
    }
}

impl Logins {
    pub(in crate::credential) fn new(
        vault: Vault,
        store: Arc<dyn store::Logins>,
        ring: &Ring,
        tasks: &Tasks,
        written: Arc<AtomicU64>,
    ) -> Self {
        let mut holder = [0; 16];
        // Without random bytes nothing else of the process would have started.
        if getrandom::fill(&mut holder).is_err() {
            tracing::error!("the system gives no random bytes");
        }
        Self(Arc::new(Inner {
            vault,
            store,
            attempts: ring.handles("login attempt"),
            egress: Egress::default(),
            tasks: tasks.clone(),
            holder,
            home: ArcSwapOption::empty(),
            written,
            places: Mutex::default(),
        }))
    }

    /// Says where browsers reach the proxy.
    pub fn set_public_url(&self, url: Option<&Url>) {
        self.0.home.store(url.map(|url| Arc::new(Home { public_url: url.clone() })));
    }

    pub(super) fn home(&self) -> Result<Arc<Home>, OAuthError> {
        self.0.home.load_full().ok_or(OAuthError::NoPublicUrl)
    }

    /// A place of ours as browsers reach it.
    #[must_use]
    pub fn link(&self, path: &str) -> Option<String> {
        Some(self.home().ok()?.at(path))
    }

    /// What authorization servers may read about us at `/connect/client`.
    #[must_use]
    pub fn about_us(&self) -> Option<serde_json::Value> {
        Some(self.home().ok()?.about_us())
    }

    fn places(&self) -> MutexGuard<'_, HashMap<(TenantId, Name), Arc<Place>>> {
        self.0.places.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn place(&self, tenant: TenantId, upstream: &Name) -> Arc<Place> {
        self.places().entry((tenant, upstream.clone())).or_default().clone()
    }

    /// What links of this tenant send.
    pub(in crate::credential) fn bearer(&self, tenant: TenantId, upstream: &Name) -> Arc<Bearer> {
        self.place(tenant, upstream).bearer.clone()
    }

    /// Takes over what the store has; an older one than is known is a roll-back and not taken.
    pub(in crate::credential) fn adopt(
        &self,
        tenant: TenantId,
        upstream: &Name,
        found: Option<(u64, Result<Secret, SealError>)>,
    ) {
        let place = self.place(tenant, upstream);
        match found {
            None => place.learn(None),
            Some((generation, Ok(text))) => place.learn(Some((generation, Record::decode(&text)))),
            Some((_, Err(reason))) => {
                tracing::error!(%tenant, %upstream, %reason, "a sealed login is refused");
            }
        }
    }

    /// Reads what the store has.
    pub(super) async fn load(&self, target: &Target) -> Result<(), OAuthError> {
        let (tenant, slot) = (target.tenant.id(), login_slot());
        let mut opened = self.0.vault.open(tenant, target.name(), Some(&[&slot])).await?;
        let found = opened.remove(&slot).map(|it| (it.generation, it.value));
        self.adopt(tenant, target.name(), found);
        Ok(())
    }

    /// Seals a login in place of the one that was known, or of whichever there is. False when
    /// somebody else has written meanwhile; then that one is known.
    pub(super) async fn save(
        &self,
        target: &Target,
        record: Record,
        before: Option<u64>,
    ) -> Result<bool, OAuthError> {
        let tenant = target.tenant.id();
        let at = SecretPlace { upstream: target.name().clone(), slot: login_slot() };
        let text = record.encode()?;
        let Some(generation) = self.0.vault.set_after(tenant, at, text, before).await? else {
            self.load(target).await?;
            return Ok(false);
        };
        self.place(tenant, target.name()).learn(Some((generation, Some(record))));
        self.0.written.fetch_add(1, Ordering::Release);
        Ok(true)
    }

    /// How the tenant's login stands, as far as this process knows.
    #[must_use]
    pub fn state(&self, armed: &Armed) -> LoginState {
        let place = self.place(armed.tenant().id(), &armed.upstream().name);
        let (_, record) = place.known();
        let blank = LoginState {
            state: LoginState::word(None),
            issuer: None,
            scopes: Vec::new(),
            expires_at: None,
            renews: false,
        };
        let Some(record) = record else { return blank };
        LoginState {
            state: LoginState::word(Some(&record)),
            issuer: Some(record.issuer.clone()),
            scopes: record.scopes.clone(),
            expires_at: record.expires_at,
            renews: record.refresh_token.is_some(),
        }
    }

    /// How each login stands that this process has looked at: at which upstream, and the word for
    /// it.
    #[must_use]
    pub fn standings(&self) -> Vec<(Name, &'static str)> {
        let places: Vec<(Name, Arc<Place>)> = self
            .places()
            .iter()
            .map(|((_, upstream), place)| (upstream.clone(), place.clone()))
            .collect();
        let word = |place: &Place| LoginState::word(place.known().1.as_deref());
        places.into_iter().map(|(upstream, place)| (upstream, word(&place))).collect()
    }

    /// Logins of the store that were not written since `before`, in seconds since the Unix epoch:
    /// at most so many tenants and upstreams.
    ///
    /// # Errors
    /// When the store gives no answer.
    pub async fn unused(
        &self,
        before: u64,
        most: usize,
    ) -> Result<Vec<(Name, Name)>, store::StoreError> {
        self.0.store.unused(&login_slot(), before, most).await
    }

    /// Whether the tenant's token is used up and can be renewed without anybody.
    pub(in crate::credential) fn is_due(&self, armed: &Armed) -> bool {
        let place = self.place(armed.tenant().id(), &armed.upstream().name);
        let (_, record) = place.known();
        record.is_some_and(|record| record.refresh_token.is_some())
            && !place.bearer.is_fresh(unix_seconds())
    }

    /// Keeps tokens that somebody brings.
    ///
    /// # Errors
    /// When the authorization server is not said and cannot be found, or the store fails.
    pub async fn push(&self, armed: &Armed, pushed: Pushed) -> Result<(), OAuthError> {
        let target = Target::of(armed)?;
        let plain = |token: &Secret| {
            !token.expose().is_empty() && token.expose().bytes().all(|it| it.is_ascii_graphic())
        };
        if !plain(&pushed.access_token) || !pushed.refresh_token.as_ref().is_none_or(plain) {
            return Err(OAuthError::Setup(
                "a token has characters that no header takes".to_owned(),
            ));
        }
        let needed = pushed.refresh_token.is_some();
        // What proves who the file's client is goes where the upstream or the file says, and not
        // where somebody who brings tokens says.
        let keyed = pushed.client_id.is_none()
            && (target.client_secret.is_some() || target.private_key.is_some());
        let (issuer, endpoint, revoke, resource) = match (pushed.issuer, pushed.token_endpoint) {
            (issuer, _) if !needed => (issuer.unwrap_or_default(), String::new(), None, None),
            (Some(issuer), Some(endpoint)) if !keyed => (issuer, endpoint, None, target.resource()),
            (issuer, _) => {
                let found = super::discover::discover(&self.0.egress, &target).await?;
                let server = found.server;
                let bare = |text: &str| text.trim_end_matches('/').to_owned();
                if issuer.is_some_and(|issuer| bare(&issuer) != bare(&server.issuer)) {
                    return Err(OAuthError::Setup(
                        "`issuer` is not the authorization server of this upstream; leave it out, \
                         or bring `token_endpoint` and the `client_id` that the tokens were given to"
                            .to_owned(),
                    ));
                }
                let revoke = server.revoke.map(|url| url.to_string());
                (server.issuer, server.token.to_string(), revoke, found.resource)
            }
        };
        let client = match (pushed.client_id, &target.client_id) {
            (Some(id), _) => {
                let secret = pushed.client_secret;
                let method = if secret.is_some() { AuthMethod::Basic } else { AuthMethod::None };
                let known = Known::Pushed;
                Some(Client { id, secret, method, known, redirect: String::new() })
            }
            (None, Some(id)) => {
                let method = match (&target.private_key, &target.client_secret) {
                    (Some(_), _) => AuthMethod::Assertion,
                    (None, Some(_)) => AuthMethod::Basic,
                    (None, None) => AuthMethod::None,
                };
                let (id, known) = (id.clone(), Known::File);
                Some(Client { id, secret: None, method, known, redirect: String::new() })
            }
            (None, None) => None,
        };
        let now = unix_seconds();
        let record = Record {
            issuer,
            token_endpoint: endpoint,
            revocation_endpoint: revoke,
            resource,
            client,
            access_token: Some(pushed.access_token),
            refresh_token: pushed.refresh_token,
            scopes: pushed.scopes,
            obtained_at: now,
            expires_at: pushed.expires_in.map(|life| now.saturating_add(life)),
            wanted: Vec::new(),
            denied: 0,
        };
        self.save(&target, record, None).await?;
        Ok(())
    }

    /// Logs the tenant out: the tokens are taken back at the authorization server where it takes
    /// them, and forgotten here in any case. False when it was not logged in.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn log_out(&self, armed: &Armed) -> Result<bool, OAuthError> {
        let target = Target::of(armed)?;
        self.load(&target).await?;
        let (_, Some(record)) = self.place(target.tenant.id(), target.name()).known() else {
            return Ok(false);
        };
        if record.access_token.is_none() && record.refresh_token.is_none() {
            return Ok(false);
        }
        self.save(&target, record.logged_out(), None).await?;
        if let (Some(endpoint), Some(client)) = (&record.revocation_endpoint, &record.client) {
            let at = (endpoint.as_str(), record.issuer.as_str());
            let refresh = record.refresh_token.as_ref().map(|token| (token, "refresh_token"));
            let access = record.access_token.as_ref().map(|token| (token, "access_token"));
            for token in refresh.into_iter().chain(access) {
                let done = token::revoke(&self.0.egress, &target, at, client, token).await;
                if let Err(reason) = done {
                    let (tenant, upstream) = (target.tenant.name(), target.name());
                    tracing::warn!(%tenant, %upstream, %reason, "a token was not taken back");
                }
            }
        }
        Ok(true)
    }
}

impl Place {
    /// What is known.
    pub(super) fn known(&self) -> (u64, Option<Arc<Record>>) {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn learn(&self, found: Option<(u64, Option<Record>)>) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let Some((generation, record)) = found else {
            if known.1.take().is_some() {
                self.bearer.drop_token();
            }
            return;
        };
        if generation < known.0 || (generation == known.0 && known.1.is_some()) {
            return;
        }
        let token = record.as_ref().and_then(|record| record.access_token.clone());
        match (token, &record) {
            (Some(token), Some(record)) => {
                if !self.bearer.hold(&token, record.fresh_until()) {
                    self.bearer.drop_token();
                }
            }
            _ => self.bearer.drop_token(),
        }
        *known = (generation, record.map(Arc::new));
    }
}
