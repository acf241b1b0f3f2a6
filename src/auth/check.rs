//! The check itself: first in memory, then in the store.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use http::HeaderMap;
use subtle::ConstantTimeEq as _;
use tokio::sync::{Semaphore, watch};

use super::admission::Admission;
use super::cache::{Cache, Entry};
use super::connector::Granted;
use super::declared::Declared;
use super::error::{AuthError, Denied};
use super::guests::Guests;
use super::key::KEY_PREFIX;
use super::principal::{Caller, Operator, Principal, Shown, TenantInfo};
use super::{declared, header, issue, key};
use crate::base::{KeyId, Name, Role, Secret, TenantId, unix_seconds};
use crate::config::SecretSource;
use crate::seal::{Digest, Ring};
use crate::store::{FoundKey, KeyRecord, Origin, Owner, Stores, TenantRecord};

/// Look-ups in the store at a time: junk with valid checksums waits in line here, and the line
/// has an end.
const LOOK_UPS: usize = 16;
const PATIENCE: Duration = Duration::from_secs(2);
const TOKEN_PATIENCE: Duration = Duration::from_secs(10);

/// Checks keys and tokens. Clones share everything.
#[derive(Clone)]
pub struct Auth(pub(super) Arc<Inner>);

pub(super) struct Inner {
    pub(super) stores: Stores,
    pub(super) cache: Cache,
    pub(super) guests: Guests,
    pub(super) granted: Granted,
    pub(super) changed: watch::Sender<u64>,
    /// False while the store does not say whether anything changed.
    pub(super) answers: AtomicBool,
    pub(super) ring: Arc<Ring>,
    pub(super) declared: ArcSwap<Declared>,
    /// Moves when other tenants are in the file, so that all keys are judged again.
    pub(super) declarations: AtomicU64,
    look_ups: Semaphore,
}

/// A text that has the shape of a key or a token.
enum Shape {
    Made(KeyId),
    Written,
    Token,
}

fn shape(text: &str) -> Result<Shape, Denied> {
    if text.starts_with(KEY_PREFIX) {
        key::parse(text).map(Shape::Made).ok_or(Denied::Malformed)
    } else if header::looks_like_token(text) {
        Ok(Shape::Token)
    } else {
        Ok(Shape::Written)
    }
}

impl Auth {
    /// Gives each tenant of the file its lasting id, reads the file's keys with `resolve`, and is
    /// ready to check. [`Auth::watch`] must run, or revocations stay unseen.
    ///
    /// # Errors
    /// When the store fails, or a key of the file is missing, weak, twice, or looks like ours.
    pub async fn new(
        stores: &Stores,
        ring: Arc<Ring>,
        admission: &Admission<'_>,
        resolve: &(dyn Fn(&SecretSource) -> Result<Secret, String> + Sync),
    ) -> Result<Self, AuthError> {
        let declared = declared::read(&*stores.tenants, &ring, admission, resolve).await?;
        Ok(Self(Arc::new(Inner {
            stores: stores.clone(),
            cache: Cache::default(),
            guests: Guests::default(),
            granted: Granted::default(),
            changed: watch::Sender::new(0),
            answers: AtomicBool::new(true),
            ring,
            declared: ArcSwap::from_pointee(declared),
            declarations: AtomicU64::new(0),
            look_ups: Semaphore::new(LOOK_UPS),
        })))
    }

    /// Reads what another version of the file says about who is let in. Nothing changes by it for
    /// callers.
    ///
    /// # Errors
    /// As [`Auth::new`].
    pub async fn read(
        &self,
        admission: &Admission<'_>,
        resolve: &(dyn Fn(&SecretSource) -> Result<Secret, String> + Sync),
    ) -> Result<Declared, AuthError> {
        declared::read(&*self.0.stores.tenants, &self.0.ring, admission, resolve).await
    }

    /// Puts what was read in the place of what the file said before. Keys and issuers that are in
    /// both go on; those that are gone have ended, with everybody who came by them, and so have,
    /// within the watch's next look, the store's keys of tenants that are gone.
    pub fn declare(&self, mut declared: Declared) {
        let ended = declared.succeed(&self.0.declared.load());
        self.0.declared.store(Arc::new(declared));
        self.0.declarations.fetch_add(1, Ordering::Release);
        for caller in ended {
            tracing::info!(key = %caller.key(), "the key is no longer in the file; it has ended");
            caller.ended().cancel();
        }
    }

    /// Moves whenever any process has written to the store, at most 200 ms later.
    #[must_use]
    pub fn changed(&self) -> watch::Receiver<u64> {
        self.0.changed.subscribe()
    }

    /// Whether the store gave an answer when it was last asked, a moment ago.
    #[must_use]
    pub fn store_answers(&self) -> bool {
        self.0.answers.load(Ordering::Relaxed)
    }

    /// Checks without waiting: `None` when only the store knows.
    #[must_use]
    pub fn check_cached(&self, headers: &HeaderMap) -> Option<Result<Principal, Denied>> {
        match self.caller_cached(headers)? {
            Ok(Caller::Tenant(principal)) => Some(Ok(principal)),
            // Who acts for a tenant is looked up first.
            Ok(Caller::Operator(_)) => None,
            Err(denied) => Some(Err(denied)),
        }
    }

    /// Checks, asking the store where memory does not know. Waits at most a few seconds. A key of
    /// the operator acts for the tenant in `X-Tenant`.
    ///
    /// # Errors
    /// Why there is no principal. Whatever is wrong with the key itself looks the same to the
    /// client.
    pub async fn check(&self, headers: &HeaderMap) -> Result<Principal, Denied> {
        match self.caller(headers).await? {
            Caller::Tenant(principal) => Ok(principal),
            Caller::Operator(operator) => {
                let name = header::tenant(headers)?.ok_or(Denied::TenantNeeded)?;
                self.act(operator, header::shown(headers)?, name).await
            }
        }
    }

    /// The same for whoever may do without a tenant.
    ///
    /// # Errors
    /// Why there is no caller; also when somebody of a tenant names another one.
    pub async fn identify(&self, headers: &HeaderMap) -> Result<Caller, Denied> {
        let caller = self.caller(headers).await?;
        match (caller, header::tenant(headers)?) {
            (caller, None) => Ok(caller),
            (Caller::Operator(operator), Some(name)) => {
                self.act(operator, header::shown(headers)?, name).await.map(Caller::Tenant)
            }
            (Caller::Tenant(principal), Some(name)) => {
                let own = principal.tenant().name().as_str() == name;
                if own { Ok(Caller::Tenant(principal)) } else { Err(Denied::OtherTenant) }
            }
        }
    }

    fn caller_cached(&self, headers: &HeaderMap) -> Option<Result<Caller, Denied>> {
        let text = match header::shown(headers) {
            Ok(text) => text,
            Err(denied) => return Some(Err(denied)),
        };
        match shape(text) {
            Err(denied) => Some(Err(denied)),
            Ok(Shape::Made(id)) => self.0.cached(id, text),
            Ok(Shape::Token) => self.0.guests.get(&self.0.badge(text), unix_seconds()).map(Ok),
            Ok(Shape::Written) => {
                let digest = declared::digest(&self.0.ring, text);
                Some(self.0.declared.load().key(&digest).cloned().ok_or(Denied::Unknown))
            }
        }
    }

    async fn caller(&self, headers: &HeaderMap) -> Result<Caller, Denied> {
        if let Some(verdict) = self.caller_cached(headers) {
            return verdict;
        }
        let text = header::shown(headers)?;
        let shape = shape(text)?;
        // An issuer that must be asked for its keys may take longer than the store.
        let patience = if matches!(shape, Shape::Token) { TOKEN_PATIENCE } else { PATIENCE };
        let looked_up = async {
            match shape {
                Shape::Made(id) => self.0.look_up(id, text).await,
                Shape::Token => self.0.open_token(text).await,
                Shape::Written => Err(Denied::Unknown),
            }
        };
        let looked_up = tokio::time::timeout(patience, looked_up).await;
        looked_up.unwrap_or_else(|_| Err(Denied::Unavailable("too many look-ups wait".to_owned())))
    }

    /// The operator as the tenant of this name.
    async fn act(&self, operator: Operator, shown: &str, name: &str) -> Result<Principal, Denied> {
        let inner = &self.0;
        let badge = inner.ring.digest("acting", &[shown.as_bytes(), name.as_bytes()]);
        let now = unix_seconds();
        if let Some(Caller::Tenant(principal)) = inner.guests.get(&badge, now) {
            return Ok(principal);
        }
        let name = Name::new(name).map_err(|_| Denied::UnknownTenant)?;
        let tenant = inner.tenant_info(&name).await?;
        let shown = operator.shown().clone();
        let expires_at = shown.until;
        let principal = Principal::behind(tenant, shown, Caller::Operator(operator));
        match inner.guests.keep(badge, Caller::Tenant(principal), expires_at, now) {
            Caller::Tenant(principal) => Ok(principal),
            Caller::Operator(_) => Err(Denied::UnknownTenant),
        }
    }

    /// The keys of the file that belong to a tenant, or without one to the operator: public id and
    /// name.
    #[must_use]
    pub fn declared(&self, tenant: Option<&Name>) -> Vec<(KeyId, String)> {
        let of = |caller: &&Caller| caller.tenant().map(|tenant| tenant.name()) == tenant;
        let declared = self.0.declared.load();
        let keys = declared.keys().filter(of);
        keys.map(|caller| (caller.key(), caller.key_name().to_owned())).collect()
    }

    /// The tenant of that name, unless it was declared in the file once and is no longer.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn tenant(
        &self,
        name: &Name,
    ) -> Result<Option<TenantRecord>, crate::store::StoreError> {
        self.0.tenant(name).await
    }

    /// The same for whoever does something for it; `None` also when the store fails.
    pub async fn known_tenant(&self, name: &Name) -> Option<Arc<TenantInfo>> {
        self.0.tenant_info(name).await.ok()
    }
}

impl Inner {
    fn cached(&self, id: KeyId, text: &str) -> Option<Result<Caller, Denied>> {
        match self.cache.get(id)? {
            Ok(entry) => Some(self.judge(&entry, text)),
            Err(denied) => Some(Err(self.refusal(text, denied))),
        }
    }

    async fn look_up(&self, id: KeyId, text: &str) -> Result<Caller, Denied> {
        match self.entry(id).await {
            Ok(entry) => self.judge(&entry, text),
            Err(denied) => Err(self.refusal(text, denied)),
        }
    }

    /// A key of the store by its id, whatever its secret is.
    pub(super) async fn entry(&self, id: KeyId) -> Result<Arc<Entry>, Denied> {
        let unavailable = |reason: &str| Denied::Unavailable(reason.to_owned());
        let _turn = self.look_ups.acquire().await.map_err(|_| unavailable("it is stopping"))?;
        loop {
            // Another request with the same key may have been here first.
            if let Some(known) = self.cache.get(id) {
                return known;
            }
            let epoch = self.cache.epoch();
            let found = self.stores.keys.find(vec![id]).await;
            let found = found.map_err(|error| Denied::Unavailable(error.to_string()))?.pop();
            let live = match found {
                Some(found) => self.live(&found).map(|()| found),
                None => Err(Denied::Unknown),
            };
            match live {
                Err(denied) => {
                    self.cache.refuse(epoch, id, denied.clone());
                    return Err(denied);
                }
                Ok(FoundKey { key, tenant }) => {
                    let (owner, digest, until) = (key.owner, key.digest, key.expires_at);
                    let shown = shown(key);
                    let caller = match tenant {
                        None => Caller::Operator(Operator::new(shown)),
                        Some(tenant) => {
                            let tenant = Arc::new(TenantInfo::new(tenant.id, tenant.name));
                            Caller::Tenant(Principal::new(tenant, shown))
                        }
                    };
                    let entry = Entry::new(owner, digest, caller, until);
                    // Kept whatever the secret was: the next wrong guess costs no query then.
                    if let Some(entry) = self.cache.keep(epoch, id, entry) {
                        return Ok(entry);
                    }
                }
            }
        }
    }

    fn judge(&self, entry: &Entry, text: &str) -> Result<Caller, Denied> {
        let digest = issue::digest(&self.ring, entry.owner, text);
        if !bool::from(digest.ct_eq(&entry.digest)) {
            return Err(Denied::Wrong);
        }
        let now = unix_seconds();
        if entry.expires_at() <= now {
            return Err(Denied::Expired);
        }
        entry.used(now);
        Ok(entry.caller.clone())
    }

    /// The work of a check without its outcome, so that an unknown id takes as long as a known.
    fn refusal(&self, text: &str, denied: Denied) -> Denied {
        let nobody = Owner::Tenant(TenantId::from_bytes([0; 16]));
        let digest = issue::digest(&self.ring, nobody, text);
        if bool::from(digest.ct_eq(&[0; 32])) { Denied::Wrong } else { denied }
    }

    /// Whether a stored key may be used now.
    pub(super) fn live(&self, found: &FoundKey) -> Result<(), Denied> {
        if found.key.revoked_at.is_some() {
            return Err(Denied::Revoked);
        }
        if found.key.expires_at.is_some_and(|at| at <= unix_seconds()) {
            return Err(Denied::Expired);
        }
        match &found.tenant {
            Some(tenant) if !self.is_declared_or_stored(tenant) => Err(Denied::NoTenant),
            _ => Ok(()),
        }
    }

    fn is_declared_or_stored(&self, tenant: &TenantRecord) -> bool {
        tenant.origin != Origin::File || self.declared.load().has(&tenant.name)
    }

    pub(super) async fn tenant(
        &self,
        name: &Name,
    ) -> Result<Option<TenantRecord>, crate::store::StoreError> {
        let found = self.stores.tenants.find(name).await?;
        Ok(found.filter(|found| self.is_declared_or_stored(found)))
    }

    /// A tenant that somebody is to act for.
    pub(super) async fn tenant_info(&self, name: &Name) -> Result<Arc<TenantInfo>, Denied> {
        let found = self.tenant(name).await;
        let found = found.map_err(|error| Denied::Unavailable(error.to_string()))?;
        let found = found.ok_or(Denied::UnknownTenant)?;
        Ok(Arc::new(TenantInfo::new(found.id, found.name)))
    }

    /// What a token is known by.
    pub(super) fn badge(&self, token: &str) -> Digest {
        self.ring.digest("token", &[token.as_bytes()])
    }
}

fn shown(key: KeyRecord) -> Shown {
    let KeyRecord { id, name, role, scopes, holder, .. } = key;
    debug_assert_eq!(role == Role::Operator, key.owner == Owner::Operator);
    Shown { key: id, name, origin: Origin::Store, role, scopes, holder, until: None }
}
