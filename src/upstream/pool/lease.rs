//! One link in the pool, and the right to use it.

use std::fmt;
use std::ops::Deref;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::health::Health;
use crate::base::Clock;
use crate::telemetry::metrics::UpstreamMeter;
use crate::upstream::link::{Link, LinkError, LinkKey};

/// The state of one link, for status pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LinkState {
    /// Being made.
    Starting,
    /// Ready.
    Open {
        /// Leases that are held now.
        busy: u32,
        /// Time since the last lease was taken or given back, within a few seconds.
        idle: Duration,
    },
    /// It has ended; the next request makes a new one.
    Ended,
}

/// A link in use. While it is held the link is not ended for being idle; hold it until the whole
/// answer is read.
pub struct Lease {
    entry: Arc<Entry>,
    link: Arc<dyn Link>,
    probe: bool,
}

impl Lease {
    pub(super) fn new(entry: &Arc<Entry>, link: &Arc<dyn Link>, probe: bool) -> Self {
        entry.busy.fetch_add(1, Ordering::AcqRel);
        entry.touch();
        Self { entry: Arc::clone(entry), link: Arc::clone(link), probe }
    }

    /// One more lease of the same link, for work beside this one's.
    #[must_use]
    pub fn share(&self) -> Self {
        Self::new(&self.entry, &self.link, false)
    }

    /// The key of the link.
    #[must_use]
    pub fn key(&self) -> &LinkKey {
        &self.entry.key
    }

    /// True when the link serves nobody new, since another has taken its place.
    #[must_use]
    pub fn is_retired(&self) -> bool {
        self.entry.retired.load(Ordering::Relaxed)
    }

    /// The counts of its upstream.
    #[must_use]
    pub fn meter(&self) -> &Arc<UpstreamMeter> {
        &self.entry.meter
    }

    /// Says how a client's request went, once its response is there, so that an upstream that
    /// keeps failing gets a pause and one that works is back at once when it falls. Give an error
    /// of the link, not an error that the upstream answered with.
    pub fn report(&self, outcome: Result<(), &LinkError>) {
        let entry = &self.entry;
        let first = outcome.is_ok()
            && !entry.served.load(Ordering::Relaxed)
            && !entry.served.swap(true, Ordering::Relaxed);
        entry.health.served(first, outcome.map_err(|error| &error.cause));
    }
}

impl Deref for Lease {
    type Target = dyn Link;

    fn deref(&self) -> &Self::Target {
        &*self.link
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if self.probe {
            self.entry.health.end_probe();
        }
        self.entry.touch();
        self.entry.busy.fetch_sub(1, Ordering::AcqRel);
    }
}

impl fmt::Debug for Lease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lease").field("key", &self.entry.key).finish_non_exhaustive()
    }
}

/// How a start went, once it has ended.
pub(super) type Outcome = Option<Result<(), LinkError>>;

/// One link in the pool, also while it is made.
pub(super) struct Entry {
    pub(super) key: LinkKey,
    pub(super) idle_stop: u32,
    pub(super) clock: Arc<Clock>,
    pub(super) health: Arc<Health>,
    pub(super) meter: Arc<UpstreamMeter>,
    pub(super) link: OnceLock<Arc<dyn Link>>,
    pub(super) outcome: watch::Receiver<Outcome>,
    /// Taken out of the pool: a link that is still being made is given up.
    pub(super) ended: CancellationToken,
    /// Taken out of the pool, to be closed when the last lease is given back.
    pub(super) retired: AtomicBool,
    /// A request of a client has gone well over it.
    pub(super) served: AtomicBool,
    pub(super) busy: AtomicU32,
    pub(super) used: AtomicU32,
}

impl Entry {
    pub(super) fn touch(&self) {
        let now = self.clock.seconds();
        // Only what changes is written: every call on every processor comes by here.
        if self.used.load(Ordering::Relaxed) != now {
            self.used.store(now, Ordering::Relaxed);
        }
    }

    pub(super) fn idle(&self) -> u32 {
        self.clock.seconds().saturating_sub(self.used.load(Ordering::Relaxed))
    }

    pub(super) fn is_busy(&self) -> bool {
        self.link.get().is_none() || self.busy.load(Ordering::Acquire) > 0
    }

    /// True when the link was ready and is no more.
    pub(super) fn is_over(&self) -> bool {
        self.link.get().is_some_and(|link| !link.is_open())
    }

    pub(super) fn state(&self) -> LinkState {
        match self.link.get() {
            None => LinkState::Starting,
            Some(link) if link.is_open() => LinkState::Open {
                busy: self.busy.load(Ordering::Relaxed),
                idle: Duration::from_secs(self.idle().into()),
            },
            Some(_) => LinkState::Ended,
        }
    }
}
