//! What the store is told of sessions: many changes in one transaction, never on the path of a
//! call. Who must know that a change is on disk waits for it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::state::Session;
use crate::base::{TenantId, now, unix_seconds};
use crate::store::{SessionRecord, SessionStates, StoreError};

/// Longest wait for a change to be on disk.
const PATIENCE: Duration = Duration::from_secs(3);
/// Longest wait for one transaction.
const TRANSACTION: Duration = Duration::from_secs(5);
/// Records of one transaction.
const CHUNK: usize = 1_000;
/// After a failed write.
const AGAIN: Duration = Duration::from_secs(1);
/// How long an end is remembered here after it is in the store: longer than any reading of the
/// store that began before.
const REMEMBER: Duration = Duration::from_secs(30);
/// Between two removals of rows that decide nothing any more.
const PRUNE: Duration = Duration::from_secs(60);

/// What is to be written, and how far that has come.
pub struct Ledger {
    store: Arc<dyn SessionStates>,
    queue: Mutex<Queue>,
    wake: Notify,
    done: watch::Sender<u64>,
    writing: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct Queue {
    /// Changes that are queued now are in the store when `done` is larger than this.
    round: u64,
    changed: Vec<Arc<Session>>,
    ended: Vec<(TenantId, SessionRecord)>,
    /// Sessions that have ended, and since when the store knows.
    buried: HashMap<[u8; 16], Option<Instant>>,
}

impl std::fmt::Debug for Ledger {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ledger").finish_non_exhaustive()
    }
}

impl Ledger {
    /// A ledger of this store. [`Ledger::run`] must run, or nothing is written.
    #[must_use]
    pub fn new(store: Arc<dyn SessionStates>) -> Self {
        Self {
            store,
            queue: Mutex::default(),
            wake: Notify::new(),
            done: watch::Sender::new(0),
            writing: tokio::sync::Mutex::default(),
        }
    }

    /// Writes down what the session is now, soon.
    pub fn note(&self, sessions: impl IntoIterator<Item = Arc<Session>>) {
        let mut queue = self.queue();
        let before = queue.changed.len();
        queue.changed.extend(sessions);
        let more = queue.changed.len() > before;
        drop(queue);
        if more {
            self.wake.notify_one();
        }
    }

    /// Writes down what the session is now, and waits until it is on disk. False when that takes
    /// too long; it is tried further.
    pub async fn keep(&self, session: &Arc<Session>) -> bool {
        let round = {
            let mut queue = self.queue();
            queue.changed.push(session.clone());
            queue.round
        };
        self.written(round).await
    }

    /// From now on these sessions have ended and are not taken up again; it is written soon.
    pub fn bury<'a>(&self, sessions: impl IntoIterator<Item = &'a Arc<Session>>) {
        let mut queue = self.queue();
        for session in sessions {
            queue.buried.insert(*session.id().as_bytes(), None);
            queue.ended.push((session.opening().tenant, session.tombstone()));
        }
        drop(queue);
        self.wake.notify_one();
    }

    /// Waits until everything queued up to now is on disk. False when that takes too long.
    pub async fn settle(&self) -> bool {
        let round = self.queue().round;
        self.written(round).await
    }

    /// True when the session has ended and the store may not know that yet.
    #[must_use]
    pub fn is_buried(&self, id: &[u8; 16]) -> bool {
        self.queue().buried.contains_key(id)
    }

    /// What the store knows of a session.
    ///
    /// # Errors
    /// When the store does not answer in time.
    pub async fn find(
        &self,
        tenant: TenantId,
        id: [u8; 16],
    ) -> Result<Option<SessionRecord>, StoreError> {
        let found = tokio::time::timeout(TRANSACTION, self.store.find(tenant, id)).await;
        found.unwrap_or(Err(StoreError::Busy))
    }

    /// Writes until the stop, and then once more.
    pub async fn run(&self, stop: CancellationToken) {
        let mut prune = tokio::time::interval(PRUNE);
        prune.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = stop.cancelled() => break,
                () = self.wake.notified() => {}
                _ = prune.tick() => {
                    let pruned = tokio::time::timeout(TRANSACTION, self.store.prune(unix_seconds()));
                    if let Ok(Err(error)) = pruned.await {
                        tracing::warn!(%error, "what ended sessions left is not removed yet");
                    }
                }
            }
            if let Err(error) = self.flush().await {
                tracing::warn!(%error, "what sessions are to leave is not written yet");
                tokio::select! {
                    () = stop.cancelled() => break,
                    () = tokio::time::sleep(AGAIN) => self.wake.notify_one(),
                }
            }
        }
        if let Err(error) = self.flush().await {
            tracing::warn!(%error, "what sessions are to leave was not written");
        }
    }

    /// Writes everything that is queued.
    ///
    /// # Errors
    /// When the store fails; what was not written stays queued.
    pub async fn flush(&self) -> Result<(), StoreError> {
        let _turn = self.writing.lock().await;
        let (round, changed, ended) = {
            let mut queue = self.queue();
            queue.buried.retain(|_, since| since.is_none_or(|since| now() - since < REMEMBER));
            queue.round += 1;
            (queue.round, std::mem::take(&mut queue.changed), std::mem::take(&mut queue.ended))
        };
        let mut records: Vec<(TenantId, SessionRecord)> = changed
            .iter()
            .filter_map(|session| Some((session.opening().tenant, session.record()?)))
            .collect();
        // After what they were: the end is what holds.
        records.extend(ended.iter().cloned());
        for chunk in records.chunks(CHUNK) {
            let saved = tokio::time::timeout(TRANSACTION, self.store.save(chunk.to_vec())).await;
            if let Err(error) = saved.unwrap_or(Err(StoreError::Busy)) {
                let mut queue = self.queue();
                queue.changed.extend(changed);
                queue.ended.extend(ended);
                return Err(error);
            }
        }
        let mut queue = self.queue();
        for (_, record) in &ended {
            queue.buried.insert(record.id, Some(now()));
        }
        drop(queue);
        self.done.send_replace(round);
        Ok(())
    }

    async fn written(&self, round: u64) -> bool {
        let mut done = self.done.subscribe();
        self.wake.notify_one();
        let waited = tokio::time::timeout(PATIENCE, done.wait_for(|done| *done > round)).await;
        matches!(waited, Ok(Ok(_)))
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Level, Opening, Sessions};
    use super::*;
    use crate::base::{Clock, Tasks};
    use crate::seal::{Ring, RootKey};
    use crate::store::contract;
    use crate::store::{Sqlite, Stores};
    use crate::wire::{CapSet, Revision};

    fn opening(tenant: TenantId) -> Opening {
        Opening {
            tenant,
            key: "aaaaaaaaaa".parse().unwrap(),
            door: Arc::from("/mcp"),
            revision: Revision::V2025_11_25,
            capabilities: CapSet::NONE,
            client_info: "{}".into(),
            address: None,
        }
    }

    fn table(idle: u32) -> Sessions {
        let ring = Arc::new(Ring::new(&RootKey::for_test(1)));
        Sessions::new(Arc::new(Clock::default()), ring, idle)
    }

    async fn store(folder: &tempfile::TempDir) -> (Stores, TenantId) {
        let stores = Sqlite::open(&folder.path().join("s.db"), &Tasks::default()).unwrap().stores();
        let tenant = contract::tenant("acme", 1);
        stores.tenants.create(tenant.clone()).await.unwrap();
        (stores, tenant.id)
    }

    /// What a start after a kill makes of a pointer.
    async fn after_restart(
        stores: &Stores,
        tenant: TenantId,
        pointer: &str,
    ) -> Option<Arc<Session>> {
        let (sessions, ledger) = (table(60), Ledger::new(stores.sessions.clone()));
        let opening = opening(tenant);
        let pointed = sessions.read(pointer, tenant, opening.key, &opening.door)?;
        let known = ledger.find(tenant, *pointed.id().as_bytes()).await.unwrap();
        sessions.restore(pointer, pointed, known.as_ref()).unwrap().map(|(session, _)| session)
    }

    #[tokio::test]
    async fn what_was_changed_is_there_after_a_restart_and_what_ended_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let (stores, tenant) = store(&folder).await;
        let (sessions, ledger) = (table(60), Ledger::new(stores.sessions.clone()));
        let plain = sessions.open(opening(tenant)).unwrap();
        let session = sessions.open(opening(tenant)).unwrap();
        session.set_level(Level::Warning);
        session.subscribe("a\nb");
        ledger.note([session.clone()]);
        ledger.flush().await.unwrap();
        let found = after_restart(&stores, tenant, session.pointer()).await.unwrap();
        assert_eq!((found.id(), found.level()), (session.id(), Some(Level::Warning)));
        assert!(found.is_subscribed("a\nb"));
        assert!(after_restart(&stores, tenant, plain.pointer()).await.is_some(), "never written");

        ledger.bury([&session]);
        assert!(ledger.is_buried(session.id().as_bytes()));
        // A change that was under way does not bring it back.
        ledger.note([session.clone()]);
        ledger.flush().await.unwrap();
        ledger.note([session.clone()]);
        ledger.flush().await.unwrap();
        assert!(after_restart(&stores, tenant, session.pointer()).await.is_none());
    }

    #[tokio::test]
    async fn state_of_another_session_does_not_open() {
        let folder = tempfile::tempdir().unwrap();
        let (stores, tenant) = store(&folder).await;
        let (sessions, ledger) = (table(60), Ledger::new(stores.sessions.clone()));
        let (one, two) =
            (sessions.open(opening(tenant)).unwrap(), sessions.open(opening(tenant)).unwrap());
        one.set_level(Level::Error);
        ledger.note([one.clone()]);
        ledger.flush().await.unwrap();
        let mut moved = ledger.find(tenant, *one.id().as_bytes()).await.unwrap().unwrap();
        moved.id = *two.id().as_bytes();
        stores.sessions.save(vec![(tenant, moved)]).await.unwrap();
        assert!(after_restart(&stores, tenant, two.pointer()).await.is_none());
    }

    #[tokio::test]
    async fn who_waits_is_told_when_it_is_on_disk() {
        let folder = tempfile::tempdir().unwrap();
        let (stores, tenant) = store(&folder).await;
        let (sessions, ledger) = (table(60), Arc::new(Ledger::new(stores.sessions.clone())));
        let (tasks, own) = (Tasks::default(), ledger.clone());
        let stop = tasks.stop().clone();
        tasks.spawn("ledger", async move { own.run(stop).await });
        let session = sessions.open(opening(tenant)).unwrap();
        session.subscribe("test://followed");
        assert!(ledger.keep(&session).await);
        let known = ledger.find(tenant, *session.id().as_bytes()).await.unwrap().unwrap();
        assert!(!known.ended && !known.state.contains("followed"), "sealed");
        ledger.bury([&session]);
        assert!(ledger.settle().await);
        assert!(ledger.find(tenant, *session.id().as_bytes()).await.unwrap().unwrap().ended);
        assert!(tasks.finish(Duration::from_secs(5)).await);
    }
}
