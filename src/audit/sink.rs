//! The audit as the running proxy has it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::{Notify, broadcast, oneshot};

use super::body::{BodyLog, Heard};
use super::chain::Chain;
use super::error::AuditError;
use super::event::{Denial, Event};
use super::queue::Queue;
use super::reader::AuditReader;
use super::record::Written;
use super::writer;
use crate::base::{Tasks, TenantId};
use crate::config::{self, Bodies, Durable, WhenFull};
use crate::seal::{Handles, MacKey, Ring};
use crate::store::{AuditHead, AuditStore};

/// Batches that a slow listener may be behind.
const NEWS: usize = 64;
/// What bodies are sealed for.
pub(super) const BODIES: &str = "body";

/// The audit. Clones share everything.
#[derive(Clone)]
pub struct Audit(pub(super) Arc<Inner>);

pub(super) struct Inner {
    pub(super) queue: Queue,
    pub(super) store: Arc<dyn AuditStore>,
    pub(super) chain: Arc<Chain>,
    pub(super) digests: MacKey,
    pub(super) settings: config::Audit,
    pub(super) bodies: BodyLog,
    pub(super) seals: Arc<Handles>,
    pub(super) failing: AtomicBool,
    /// The rules about bodies are others: maybe they expire sooner.
    pub(super) swept: Notify,
    pub(super) news: broadcast::Sender<Arc<News>>,
    pub(super) tasks: Tasks,
}

/// What has just been written.
#[derive(Debug, Clone)]
pub struct News {
    /// The records, in their order.
    pub records: Vec<Written>,
    /// The heads of their chains.
    pub heads: Vec<AuditHead>,
}

impl std::fmt::Debug for Audit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Audit").field("left", &self.0.queue.left()).finish_non_exhaustive()
    }
}

impl Audit {
    /// Begins to write what is recorded. `tasks` are the audit's own: it must outlive everything
    /// that still ends in a record.
    #[must_use]
    pub fn start(
        store: Arc<dyn AuditStore>,
        ring: &Ring,
        settings: config::Audit,
        tasks: &Tasks,
    ) -> Self {
        let seals = Arc::new(ring.handles(BODIES));
        let inner = Arc::new(Inner {
            queue: Queue::new(settings.queue),
            store,
            chain: Arc::new(Chain::new(ring)),
            digests: ring.mac_key("audit arguments"),
            settings,
            bodies: BodyLog::new(seals.clone()),
            seals,
            failing: AtomicBool::new(false),
            swept: Notify::new(),
            news: broadcast::Sender::new(NEWS),
            tasks: tasks.clone(),
        });
        let stop = tasks.stop().clone();
        tasks.spawn("audit bodies", writer::sweep(inner.clone(), stop.clone()));
        tasks.spawn("audit writer", writer::run(inner.clone(), stop.clone()));
        if let Some(retention) = inner.settings.retention {
            tasks.spawn("audit retention", writer::retain(inner.clone(), retention, stop));
        }
        Self(inner)
    }

    /// Whether a request may begin now. Costs one look at memory.
    #[must_use]
    pub fn has_room(&self) -> bool {
        self.0.queue.has_room()
    }

    /// Waits until a request may begin, as long as the file says.
    ///
    /// # Errors
    /// When there is no room, and the file says to refuse or the wait was too long. That is
    /// counted.
    pub async fn room(&self) -> Result<(), AuditError> {
        let settings = &self.0.settings;
        let waits = settings.when_full == WhenFull::Wait;
        if self.has_room() || (waits && self.0.queue.wait(settings.patience).await) {
            return Ok(());
        }
        self.0.queue.deny(Denial::Unrecorded);
        Err(AuditError::Full(self.0.queue.left()))
    }

    /// Records a decision. Gives what must be waited for before the answer, if the file says so.
    #[must_use]
    pub fn record(&self, mut event: Box<Event>) -> Option<Kept> {
        if event.heard.is_some() {
            self.0.bodies.admit(&mut event);
        }
        if self.0.settings.durable == Durable::Call {
            return Some(self.record_now(event));
        }
        self.0.queue.push(event);
        None
    }

    /// Records a decision that is rare and weighs more, whatever the file says of calls. Gives
    /// what must be waited for before the answer.
    #[must_use]
    pub fn record_now(&self, mut event: Box<Event>) -> Kept {
        let (told, on_disk) = oneshot::channel();
        event.on_disk = Some(told);
        self.0.queue.push(event);
        Kept { on_disk, patience: self.0.settings.patience }
    }

    /// From now on bodies of these calls are kept, or of none.
    pub fn keep_bodies(&self, rules: Option<Arc<Bodies>>) {
        self.0.bodies.set(rules);
        self.0.swept.notify_one();
    }

    /// Where the body of this call is gathered, if the file wants it kept. Costs one look at memory
    /// where the file wants none.
    #[must_use]
    pub fn hears(&self, event: &Event) -> Option<Box<Heard>> {
        self.0.bodies.wants(event)
    }

    /// Removes the bodies of a tenant that is gone.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn forget_bodies(&self, tenant: TenantId) -> Result<(), AuditError> {
        self.0.store.forget_bodies(tenant).await?;
        Ok(())
    }

    /// Counts somebody who was not let in.
    pub fn deny(&self, denial: Denial) {
        self.0.queue.deny(denial);
    }

    /// Records that are not on disk yet.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.0.queue.left()
    }

    /// True while the store takes no records.
    #[must_use]
    pub fn is_failing(&self) -> bool {
        self.0.failing.load(Ordering::Relaxed)
    }

    /// Hears of what is written from now on. Whoever is too slow loses some, and is told so.
    #[must_use]
    pub fn subscribe(&self) -> broadcast::Receiver<Arc<News>> {
        self.0.news.subscribe()
    }

    /// The same audit for reading.
    #[must_use]
    pub fn reader(&self) -> AuditReader {
        AuditReader {
            store: self.0.store.clone(),
            chain: self.0.chain.clone(),
            seals: self.0.seals.clone(),
        }
    }

    /// Writes what waits and ends. Gives how many records are lost because the store did not take
    /// them in time.
    pub async fn close(&self, limit: Duration) -> usize {
        if self.0.tasks.finish(limit).await { 0 } else { self.0.queue.left() }
    }
}

/// A record on its way to the disk.
#[derive(Debug)]
pub struct Kept {
    on_disk: oneshot::Receiver<()>,
    patience: Duration,
}

impl Kept {
    /// Waits until it is there.
    ///
    /// # Errors
    /// When it is not within the time that the file gives.
    pub async fn wait(self) -> Result<(), AuditError> {
        match tokio::time::timeout(self.patience, self.on_disk).await {
            Ok(Ok(())) => Ok(()),
            _ => Err(AuditError::Late),
        }
    }
}
