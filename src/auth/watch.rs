//! The watch over cached keys: sees what any process wrote, ends what has ended, and writes last
//! uses in batches.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::MissedTickBehavior;

use super::check::{Auth, Inner};
use crate::base::{GrantId, KeyId, Tasks, now, unix_seconds};
use crate::store::StoreError;

/// How often the store is asked whether anything changed: a revocation is seen within this plus
/// one query, well below one second.
const POLL: Duration = Duration::from_millis(200);
/// The longest that one question may take.
const ANSWER: Duration = Duration::from_secs(1);
/// After this long without an answer nobody's key counts as checked any more.
const BLIND: Duration = Duration::from_secs(5);
/// How often last uses are written.
const BATCH: Duration = Duration::from_secs(10);
/// Keys read again by one query.
const CHUNK: usize = 5_000;

impl Auth {
    /// Starts the watch; it ends with `tasks`, after writing the last uses.
    pub fn watch(&self, tasks: &Tasks) {
        let (auth, stop) = (self.clone(), tasks.stop().clone());
        tasks.spawn("key watch", async move {
            let mut ticks = tokio::time::interval(POLL);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            let (mut seen, mut answered, mut batched) = (None, now(), now());
            loop {
                tokio::select! {
                    () = stop.cancelled() => break,
                    _ = ticks.tick() => {}
                }
                auth.0.cache.end_expired(unix_seconds());
                auth.0.guests.end_expired(unix_seconds());
                let polled = auth.0.poll(&mut seen).await;
                auth.0.answers.store(polled.is_ok(), Ordering::Relaxed);
                match polled {
                    Ok(()) => answered = now(),
                    Err(error) if now() - answered < BLIND => {
                        tracing::warn!(%error, "the store does not say whether keys changed");
                    }
                    Err(error) => {
                        let keys = auth.0.cache.end_all();
                        auth.0.guests.end_all();
                        auth.0.granted.end_all();
                        tracing::error!(%error, keys, "keys are refused until the store answers");
                    }
                }
                if now() - batched >= BATCH {
                    auth.0.write_uses().await;
                    batched = now();
                }
            }
            auth.0.write_uses().await;
        });
    }
}

impl Inner {
    /// Asks whether anything changed since `seen` (the store's version, and how often the file's
    /// tenants were read) and, if so, reads the cached keys again.
    async fn poll(&self, seen: &mut Option<(u64, u64)>) -> Result<(), StoreError> {
        let timeout = |_| StoreError::Busy;
        let declarations = self.declarations.load(Ordering::Acquire);
        let version = self.stores.changes.version();
        let version = tokio::time::timeout(ANSWER, version).await.map_err(timeout)??;
        let version = (version, declarations);
        if *seen == Some(version) {
            return Ok(());
        }
        let ids = self.begin_epoch();
        for ids in ids.chunks(CHUNK) {
            let found = self.stores.keys.find(ids.to_vec());
            let found = tokio::time::timeout(ANSWER, found).await.map_err(timeout)??;
            let mut found: HashMap<KeyId, _> =
                found.into_iter().map(|found| (found.key.id, found)).collect();
            for id in ids {
                let Some(entry) = self.cache.entry(*id) else { continue };
                let same = found.remove(id).filter(|found| {
                    let tenant = entry.caller.tenant().map(|tenant| (tenant.id(), tenant.name()));
                    self.live(found).is_ok()
                        && found.key.owner == entry.owner
                        && found.key.digest == entry.digest
                        && found.key.role == entry.caller.role()
                        && found.key.scopes == *entry.caller.scopes()
                        && found.tenant.as_ref().map(|tenant| (tenant.id, &tenant.name)) == tenant
                });
                match same {
                    Some(found) => entry.set_expiry(found.key.expires_at),
                    None => {
                        self.cache.end(*id);
                        tracing::info!(key = %id, "the key has ended");
                    }
                }
            }
        }
        for (name, id) in self.guests.tenants() {
            let found =
                tokio::time::timeout(ANSWER, self.tenant(&name)).await.map_err(timeout)??;
            if found.is_none_or(|found| found.id != id) {
                self.guests.end_where(|tenant| tenant.id() == id);
            }
        }
        for ids in self.granted.live().chunks(CHUNK) {
            let live = self.stores.grants.live(ids.to_vec());
            let live = tokio::time::timeout(ANSWER, live).await.map_err(timeout)??;
            let live: HashSet<GrantId> = live.into_iter().collect();
            for id in ids.iter().filter(|id| !live.contains(*id)) {
                self.granted.end(id);
                tracing::info!(grant = %id, "what was allowed to a client has ended");
            }
        }
        // Only now: what failed half-way is done again at the next tick.
        *seen = Some(version);
        Ok(())
    }

    async fn write_uses(&self) {
        let uses = self.cache.unwritten();
        if uses.is_empty() {
            return;
        }
        let writing = self.stores.keys.touch(uses.clone());
        match tokio::time::timeout(ANSWER, writing).await.unwrap_or(Err(StoreError::Busy)) {
            Ok(()) => self.cache.written(&uses),
            Err(error) => tracing::warn!(%error, "last uses of keys are not written yet"),
        }
    }
}
