//! The check itself: first in memory, then in the store.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use http::HeaderMap;
use subtle::ConstantTimeEq as _;
use tokio::sync::{Semaphore, watch};

use super::cache::{Cache, Entry};
use super::declared::Declared;
use super::error::{AuthError, Denied};
use super::key::KEY_PREFIX;
use super::principal::{Principal, TenantInfo};
use super::{declared, header, issue, key};
use crate::base::{KeyId, Name, Secret, TenantId, unix_seconds};
use crate::config::{SecretSource, TenantDeclaration};
use crate::seal::Ring;
use crate::store::{FoundKey, Origin, Stores};

/// Look-ups in the store at a time: junk with valid checksums waits in line here, and the line
/// has an end.
const LOOK_UPS: usize = 16;
const PATIENCE: Duration = Duration::from_secs(2);

/// Checks keys. Clones share everything.
#[derive(Clone)]
pub struct Auth(pub(super) Arc<Inner>);

pub(super) struct Inner {
    pub(super) stores: Stores,
    pub(super) cache: Cache,
    pub(super) changed: watch::Sender<u64>,
    pub(super) ring: Arc<Ring>,
    pub(super) declared: ArcSwap<Declared>,
    /// Moves when other tenants are in the file, so that all keys are judged again.
    pub(super) declarations: AtomicU64,
    look_ups: Semaphore,
}

/// A text that has one of the two shapes of a key.
enum Shape {
    Made(KeyId),
    Written,
}

fn shape(text: &str) -> Result<Shape, Denied> {
    if text.starts_with(KEY_PREFIX) {
        key::parse(text).map(Shape::Made).ok_or(Denied::Malformed)
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
        tenants: &BTreeMap<Name, TenantDeclaration>,
        resolve: &(dyn Fn(&SecretSource) -> Result<Secret, String> + Sync),
    ) -> Result<Self, AuthError> {
        let declared = declared::read(&*stores.tenants, &ring, tenants, resolve).await?;
        Ok(Self(Arc::new(Inner {
            stores: stores.clone(),
            cache: Cache::default(),
            changed: watch::Sender::new(0),
            ring,
            declared: ArcSwap::from_pointee(declared),
            declarations: AtomicU64::new(0),
            look_ups: Semaphore::new(LOOK_UPS),
        })))
    }

    /// Reads the keys of another version of the file. Nothing changes by it for callers.
    ///
    /// # Errors
    /// As [`Auth::new`].
    pub async fn read(
        &self,
        tenants: &BTreeMap<Name, TenantDeclaration>,
        resolve: &(dyn Fn(&SecretSource) -> Result<Secret, String> + Sync),
    ) -> Result<Declared, AuthError> {
        declared::read(&*self.0.stores.tenants, &self.0.ring, tenants, resolve).await
    }

    /// Puts what was read in the place of what the file said before. Keys that are in both go on;
    /// those that are gone have ended, and so have, within the watch's next look, the store's keys
    /// of tenants that are gone.
    pub fn declare(&self, mut declared: Declared) {
        let ended = declared.succeed(&self.0.declared.load());
        self.0.declared.store(Arc::new(declared));
        self.0.declarations.fetch_add(1, Ordering::Release);
        for principal in ended {
            tracing::info!(key = %principal.key(), "the key is no longer in the file; it has ended");
            principal.ended().cancel();
        }
    }

    /// Moves whenever any process has written to the store, at most 200 ms later.
    #[must_use]
    pub fn changed(&self) -> watch::Receiver<u64> {
        self.0.changed.subscribe()
    }

    /// Checks without waiting: `None` when only the store knows.
    #[must_use]
    pub fn check_cached(&self, headers: &HeaderMap) -> Option<Result<Principal, Denied>> {
        let text = match header::bearer(headers) {
            Ok(text) => text,
            Err(denied) => return Some(Err(denied)),
        };
        match shape(text) {
            Err(denied) => Some(Err(denied)),
            Ok(Shape::Made(id)) => self.0.cached(id, text),
            Ok(Shape::Written) => {
                let digest = declared::digest(&self.0.ring, text);
                Some(self.0.declared.load().key(&digest).cloned().ok_or(Denied::Unknown))
            }
        }
    }

    /// Checks, asking the store where memory does not know. Waits at most a few seconds.
    ///
    /// # Errors
    /// Why there is no principal; every kind but `Unavailable` looks the same to the client.
    pub async fn check(&self, headers: &HeaderMap) -> Result<Principal, Denied> {
        if let Some(verdict) = self.check_cached(headers) {
            return verdict;
        }
        let text = header::bearer(headers)?;
        let Shape::Made(id) = shape(text)? else { return Err(Denied::Unknown) };
        let looked_up = tokio::time::timeout(PATIENCE, self.0.look_up(id, text)).await;
        looked_up.unwrap_or_else(|_| Err(Denied::Unavailable("too many look-ups wait".to_owned())))
    }
}

impl Inner {
    fn cached(&self, id: KeyId, text: &str) -> Option<Result<Principal, Denied>> {
        match self.cache.get(id)? {
            Ok(entry) => Some(self.judge(&entry, text)),
            Err(denied) => Some(Err(self.refusal(text, denied))),
        }
    }

    async fn look_up(&self, id: KeyId, text: &str) -> Result<Principal, Denied> {
        let unavailable = |reason: &str| Denied::Unavailable(reason.to_owned());
        let _turn = self.look_ups.acquire().await.map_err(|_| unavailable("it is stopping"))?;
        loop {
            // Another request with the same key may have been here first.
            if let Some(verdict) = self.cached(id, text) {
                return verdict;
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
                    return Err(self.refusal(text, denied));
                }
                Ok(FoundKey { key, tenant }) => {
                    let tenant = Arc::new(TenantInfo::new(tenant.id, tenant.name));
                    let principal = Principal::new(tenant, id, key.name, Origin::Store);
                    let entry = Entry::new(key.digest, principal, key.expires_at);
                    // Kept whatever the secret was: the next wrong guess costs no query then.
                    if let Some(entry) = self.cache.keep(epoch, id, entry) {
                        return self.judge(&entry, text);
                    }
                }
            }
        }
    }

    fn judge(&self, entry: &Entry, text: &str) -> Result<Principal, Denied> {
        let digest = issue::digest(&self.ring, entry.principal.tenant().id(), text);
        if !bool::from(digest.ct_eq(&entry.digest)) {
            return Err(Denied::Wrong);
        }
        let now = unix_seconds();
        if entry.expires_at() <= now {
            return Err(Denied::Expired);
        }
        entry.used(now);
        Ok(entry.principal.clone())
    }

    /// The work of a check without its outcome, so that an unknown id takes as long as a known.
    fn refusal(&self, text: &str, denied: Denied) -> Denied {
        let digest = issue::digest(&self.ring, TenantId::from_bytes([0; 16]), text);
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
        if found.tenant.origin == Origin::File && !self.declared.load().has(&found.tenant.name) {
            return Err(Denied::NoTenant);
        }
        Ok(())
    }
}
