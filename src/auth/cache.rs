//! Checked keys in memory. Whoever is cached here is watched: a key that ends is taken out and
//! its principals are told.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use super::error::Denied;
use super::principal::Caller;
use crate::base::KeyId;
use crate::base::Map;
use crate::seal::Digest;
use crate::store::Owner;

/// Keys kept. Those with an open request or stream stay beyond it, or nobody could end them.
const KEYS: usize = 100_000;
/// Refused ids kept, so that repeated junk costs no query.
const REFUSED: usize = 10_000;
/// Last uses kept of keys that have left the cache since the last batch.
const LEFT: usize = 10_000;

/// A key of the store, as far as a check needs it.
pub(super) struct Entry {
    pub(super) owner: Owner,
    pub(super) digest: Digest,
    pub(super) caller: Caller,
    expires_at: AtomicU64,
    used_at: AtomicU64,
    written_at: AtomicU64,
}

impl Entry {
    pub(super) fn new(
        owner: Owner,
        digest: Digest,
        caller: Caller,
        expires_at: Option<u64>,
    ) -> Self {
        Self {
            owner,
            digest,
            caller,
            expires_at: AtomicU64::new(expires_at.unwrap_or(u64::MAX)),
            used_at: AtomicU64::new(0),
            written_at: AtomicU64::new(0),
        }
    }

    /// Seconds since the Unix epoch; the largest number when it never expires.
    pub(super) fn expires_at(&self) -> u64 {
        self.expires_at.load(Ordering::Relaxed)
    }

    pub(super) fn set_expiry(&self, expires_at: Option<u64>) {
        self.expires_at.store(expires_at.unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// Notes a use; within the same second nothing is written, so cores do not fight for it.
    pub(super) fn used(&self, now: u64) {
        if self.used_at.load(Ordering::Relaxed) < now {
            self.used_at.store(now, Ordering::Relaxed);
        }
    }

    fn unwritten(&self) -> Option<u64> {
        let used = self.used_at.load(Ordering::Relaxed);
        (used > self.written_at.load(Ordering::Relaxed)).then_some(used)
    }
}

#[derive(Default)]
struct Content {
    keys: Map<KeyId, Arc<Entry>>,
    refused: HashMap<KeyId, Denied>,
    left: Vec<(KeyId, u64)>,
    /// Moves with every change of the store: what was read before it may not be kept after it.
    epoch: u64,
}

impl Content {
    fn take_out(&mut self, id: KeyId) -> Option<Arc<Entry>> {
        let entry = self.keys.remove(&id)?;
        if let Some(used) = entry.unwritten().filter(|_| self.left.len() < LEFT) {
            self.left.push((id, used));
        }
        Some(entry)
    }
}

#[derive(Default)]
pub(super) struct Cache(RwLock<Content>);

impl Cache {
    fn read(&self) -> RwLockReadGuard<'_, Content> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Content> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is known about an id, if anything.
    pub(super) fn get(&self, id: KeyId) -> Option<Result<Arc<Entry>, Denied>> {
        let content = self.read();
        match content.keys.get(&id) {
            Some(entry) => Some(Ok(entry.clone())),
            None => content.refused.get(&id).cloned().map(Err),
        }
    }

    pub(super) fn epoch(&self) -> u64 {
        self.read().epoch
    }

    /// Keeps a key that was read in `epoch`. Gives the entry that holds, or `None` when the store
    /// has changed since, so that it must be read again.
    pub(super) fn keep(&self, epoch: u64, id: KeyId, entry: Entry) -> Option<Arc<Entry>> {
        let mut content = self.write();
        if content.epoch != epoch {
            return None;
        }
        if content.keys.len() >= KEYS && !content.keys.contains_key(&id) {
            let idle: Vec<_> = content
                .keys
                .iter()
                .filter(|(_, entry)| !entry.caller.in_use())
                .map(|(id, _)| *id)
                .take(KEYS / 10)
                .collect();
            for id in idle {
                content.take_out(id);
            }
        }
        Some(content.keys.entry(id).or_insert_with(|| Arc::new(entry)).clone())
    }

    /// Keeps the refusal of an id that was read in `epoch`.
    pub(super) fn refuse(&self, epoch: u64, id: KeyId, denied: Denied) {
        let mut content = self.write();
        if content.epoch == epoch {
            if content.refused.len() >= REFUSED {
                content.refused.clear();
            }
            content.refused.insert(id, denied);
        }
    }

    /// Begins a new epoch, forgets refusals, and gives the ids to read again.
    pub(super) fn next_epoch(&self) -> (u64, Vec<KeyId>) {
        let mut content = self.write();
        content.epoch += 1;
        content.refused.clear();
        (content.epoch, content.keys.keys().copied().collect())
    }

    pub(super) fn entry(&self, id: KeyId) -> Option<Arc<Entry>> {
        self.read().keys.get(&id).cloned()
    }

    /// Takes a key out and ends its principals. Gives false when it was not there.
    pub(super) fn end(&self, id: KeyId) -> bool {
        let entry = self.write().take_out(id);
        entry.inspect(|entry| entry.caller.ended().cancel()).is_some()
    }

    /// Ends everybody: nothing is known about any key any more.
    pub(super) fn end_all(&self) -> usize {
        let (_, ids) = self.next_epoch();
        ids.into_iter().filter(|id| self.end(*id)).count()
    }

    /// Ends the keys whose time has come.
    pub(super) fn end_expired(&self, now: u64) {
        self.end_where(|entry| entry.expires_at() <= now);
    }

    /// Ends the keys for which `over` holds.
    pub(super) fn end_where(&self, over: impl Fn(&Entry) -> bool) {
        let content = self.read();
        let ended = content.keys.iter().filter(|(_, entry)| over(entry)).map(|(id, _)| *id);
        let ended: Vec<_> = ended.collect();
        drop(content);
        for id in ended {
            self.end(id);
        }
    }

    /// The uses that are not written yet.
    pub(super) fn unwritten(&self) -> Vec<(KeyId, u64)> {
        let content = self.read();
        let cached = content.keys.iter().filter_map(|(id, entry)| Some((*id, entry.unwritten()?)));
        cached.chain(content.left.iter().copied()).collect()
    }

    /// Notes that these uses are written.
    pub(super) fn written(&self, uses: &[(KeyId, u64)]) {
        let mut content = self.write();
        for (id, used) in uses {
            if let Some(entry) = content.keys.get(id) {
                entry.written_at.store(*used, Ordering::Relaxed);
            }
        }
        content.left.retain(|left| !uses.contains(left));
    }
}
