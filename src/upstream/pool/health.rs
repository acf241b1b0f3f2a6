//! When an upstream that fails is tried again. Starts and requests are judged apart: the pause
//! after a failed start holds up further starts and no link that lives; requests over a living
//! link are held up only after several of them failed in a row.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::base::now;
use crate::upstream::breaker::Breaker;
use crate::upstream::link::Cause;

/// Requests that fail one after another before a place whose links live gets a pause.
const FAILURES: u32 = 5;
/// While one request tries whether it is well again, others wait this long; then the next one
/// tries. The first may be a call that takes long, or a link that is held for its news.
const PROBE: Duration = Duration::from_secs(1);

/// Whether a place may be tried. Costs one atomic load while nothing is wrong.
#[derive(Debug)]
pub(super) struct Health {
    troubled: AtomicBool,
    state: Mutex<Record>,
}

#[derive(Debug)]
struct Record {
    breaker: Breaker,
    /// Requests in a row that a live link did not answer.
    failures: u32,
    /// Until then one request alone tries whether it is well again.
    probing: Option<Instant>,
}

impl Health {
    pub(super) fn new() -> Self {
        let seed = getrandom::u64().unwrap_or_default();
        let record = Record { breaker: Breaker::new(seed), failures: 0, probing: None };
        Self { troubled: AtomicBool::new(false), state: Mutex::new(record) }
    }

    fn state(&self) -> MutexGuard<'_, Record> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn is_troubled(&self) -> bool {
        self.troubled.load(Ordering::Acquire)
    }

    /// Whether a link may be made.
    pub(super) fn permit(&self) -> Result<(), Duration> {
        if self.is_troubled() { self.state().breaker.permit(now()) } else { Ok(()) }
    }

    /// Whether a request may go over a link that is there; true when it is the one that tries.
    pub(super) fn admit(&self) -> Result<bool, Duration> {
        if !self.is_troubled() {
            return Ok(false);
        }
        let mut state = self.state();
        if state.failures < FAILURES {
            return Ok(false);
        }
        let now = now();
        state.breaker.permit(now)?;
        if let Some(until) = state.probing.filter(|until| *until > now) {
            return Err(until - now);
        }
        state.probing = Some(now + PROBE);
        Ok(true)
    }

    /// The request that tried is over, however it went.
    pub(super) fn end_probe(&self) {
        self.state().probing = None;
    }

    /// A link was made, or was not, or has ended by itself.
    pub(super) fn made(&self, result: Result<(), &Cause>) {
        let mut state = self.state();
        match result {
            Ok(()) => state.breaker.succeeded(now()),
            // Other credentials may come at any time, and then nothing should be in their way.
            Err(Cause::Resting(_) | Cause::Closing | Cause::Login) => {}
            Err(_) => {
                state.breaker.failed(now());
                self.troubled.store(true, Ordering::Release);
            }
        }
    }

    /// A request went well, or did not. `first`: nothing went well over its link before. Only
    /// then does it speak for the starts too, since an old link says nothing about new ones.
    pub(super) fn served(&self, first: bool, result: Result<(), &Cause>) {
        match result {
            Ok(()) if !self.is_troubled() => {}
            // Refusals and long answers come from a living upstream, too.
            Ok(()) | Err(Cause::Login | Cause::TooLarge) => {
                let mut state = self.state();
                let hung = std::mem::take(&mut state.failures) >= FAILURES;
                if first || hung {
                    state.breaker.served();
                }
                if state.breaker.failures() == 0 {
                    self.troubled.store(false, Ordering::Release);
                }
            }
            Err(Cause::Down | Cause::Timeout | Cause::Garbage) => {
                let mut state = self.state();
                state.failures = state.failures.saturating_add(1);
                self.troubled.store(true, Ordering::Release);
                // Requests that fail together are one failure.
                if state.failures >= FAILURES && state.breaker.permit(now()).is_ok() {
                    state.breaker.failed(now());
                }
            }
            // The end of a link counts once, when it is found (see `made`).
            Err(Cause::Gone | Cause::Resting(_) | Cause::Closing) => {}
        }
    }
}
