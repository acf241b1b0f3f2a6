//! Which tools answer at once. A call of one that does not may become a stream before its answer
//! is there (2025-11-25), so that a client that is cut meanwhile can come back for it. For tools
//! that do, nothing is set up: looking here costs one hash and one read of memory.

use std::hash::BuildHasher as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use foldhash::fast::RandomState;

use crate::base::Name;

/// A call that is silent for this long becomes a stream.
pub(super) const QUIET: Duration = Duration::from_millis(75);
/// Tools that are remembered; one that falls on the place of another is waited for once more.
const PLACES: usize = 4_096;

/// The tools that last answered within [`QUIET`].
#[derive(Debug)]
pub(super) struct Quick {
    places: Box<[AtomicU64]>,
    hasher: RandomState,
}

impl Default for Quick {
    fn default() -> Self {
        let places = (0..PLACES).map(|_| AtomicU64::new(0)).collect();
        Self { places, hasher: RandomState::default() }
    }
}

impl Quick {
    pub(super) fn has(&self, upstream: &Name, tool: &str) -> bool {
        let hash = self.hash(upstream, tool);
        self.place(hash).load(Ordering::Relaxed) == hash
    }

    pub(super) fn note(&self, upstream: &Name, tool: &str, quick: bool) {
        let hash = self.hash(upstream, tool);
        if quick {
            self.place(hash).store(hash, Ordering::Relaxed);
        } else {
            // Only where it is itself: another one may have its place.
            let _ =
                self.place(hash).compare_exchange(hash, 0, Ordering::Relaxed, Ordering::Relaxed);
        }
    }

    fn hash(&self, upstream: &Name, tool: &str) -> u64 {
        self.hasher.hash_one((upstream.as_str(), tool)) | 1
    }

    fn place(&self, hash: u64) -> &AtomicU64 {
        let at = usize::try_from(hash >> 8).unwrap_or_default() % PLACES;
        &self.places[at]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tool_is_quick_until_it_is_not() {
        let (quick, up) = (Quick::default(), Name::new("up").unwrap());
        assert!(!quick.has(&up, "a"));
        quick.note(&up, "a", true);
        assert!(quick.has(&up, "a") && !quick.has(&up, "b"));
        quick.note(&up, "b", false);
        assert!(quick.has(&up, "a"));
        quick.note(&up, "a", false);
        assert!(!quick.has(&up, "a"));
    }
}
