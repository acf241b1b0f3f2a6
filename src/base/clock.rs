//! The only place that tells the time.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

/// Monotonic time for deadlines; follows tokio's paused clock in tests.
#[must_use]
pub fn now() -> tokio::time::Instant {
    tokio::time::Instant::now()
}

/// Wall time in whole seconds since the Unix epoch, for expiries that outlive the process.
#[must_use]
pub fn unix_seconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs())
}

/// Wall time in milliseconds since the Unix epoch, for records.
#[must_use]
pub fn unix_millis() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |d| u64::try_from(d.as_millis()).unwrap_or(u64::MAX))
}

/// Wall time in nanoseconds since the Unix epoch, for spans.
#[must_use]
pub fn unix_nanos() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |d| u64::try_from(d.as_nanos()).unwrap_or(u64::MAX))
}

/// A coarse monotonic second counter that costs one atomic load to read: idle expiry of
/// thousands of sessions needs no timer and no system call each.
#[derive(Debug)]
pub struct Clock {
    start: tokio::time::Instant,
    seconds: AtomicU32,
}

impl Default for Clock {
    fn default() -> Self {
        Self { start: now(), seconds: AtomicU32::new(0) }
    }
}

impl Clock {
    /// Seconds since this clock was made, as of the last `tick`.
    #[must_use]
    pub fn seconds(&self) -> u32 {
        self.seconds.load(Ordering::Relaxed)
    }

    /// Brings `seconds` up to date; one task calls this about once a second.
    pub fn tick(&self) -> u32 {
        let seconds = u32::try_from(now().duration_since(self.start).as_secs()).unwrap_or(u32::MAX);
        self.seconds.store(seconds, Ordering::Relaxed);
        seconds
    }
}
