//! Numbers that many threads change at once and one reader shows now and then.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

/// A number that only grows.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Zero.
    #[must_use]
    pub const fn new() -> Self {
        Self(AtomicU64::new(0))
    }

    /// One more.
    pub fn one(&self) {
        self.add(1);
    }

    /// So many more.
    pub fn add(&self, count: u64) {
        self.0.fetch_add(count, Ordering::Relaxed);
    }

    /// How many.
    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// A number that goes up and down.
#[derive(Debug, Default)]
pub struct Gauge(AtomicI64);

impl Gauge {
    /// Zero.
    #[must_use]
    pub const fn new() -> Self {
        Self(AtomicI64::new(0))
    }

    /// One more.
    pub fn up(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    /// One less.
    pub fn down(&self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }

    /// One more for as long as the guard lives.
    pub fn hold(&'static self) -> Standing {
        self.up();
        Standing(self)
    }

    /// How many.
    #[must_use]
    pub fn get(&self) -> i64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// One in a gauge.
#[derive(Debug)]
pub struct Standing(&'static Gauge);

impl Drop for Standing {
    fn drop(&mut self) {
        self.0.down();
    }
}

/// Upper ends of the buckets: microseconds, and how each is written in seconds. From a call that
/// is answered from memory to one that takes as long as the default `max_time`.
const ENDS: [(u64, &str); 15] = [
    (500, "0.0005"),
    (1_000, "0.001"),
    (2_500, "0.0025"),
    (5_000, "0.005"),
    (10_000, "0.01"),
    (25_000, "0.025"),
    (50_000, "0.05"),
    (100_000, "0.1"),
    (250_000, "0.25"),
    (500_000, "0.5"),
    (1_000_000, "1.0"),
    (2_500_000, "2.5"),
    (10_000_000, "10.0"),
    (60_000_000, "60.0"),
    (300_000_000, "300.0"),
];

/// How long things took.
#[derive(Debug, Default)]
pub struct Histogram {
    buckets: [Counter; ENDS.len() + 1],
    micros: Counter,
}

/// A histogram at one moment.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Shown {
    /// Upper end in seconds as text, and how many took no longer; the last end is `+Inf`.
    pub buckets: Vec<(&'static str, u64)>,
    /// All of them.
    pub count: u64,
    /// Seconds of all of them together.
    pub seconds: f64,
}

impl Histogram {
    /// Nothing.
    #[must_use]
    pub const fn new() -> Self {
        Self { buckets: [const { Counter::new() }; ENDS.len() + 1], micros: Counter::new() }
    }

    /// One more that took this long.
    pub fn note(&self, took: Duration) {
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let bucket = ENDS.iter().position(|(end, _)| micros <= *end).unwrap_or(ENDS.len());
        self.buckets[bucket].one();
        self.micros.add(micros);
    }

    /// What it holds now. The count is the sum of the buckets, so that they agree also while it is
    /// being written to.
    pub(super) fn shown(&self) -> Shown {
        let mut count = 0;
        let ends = ENDS.iter().map(|(_, text)| *text).chain(["+Inf"]);
        let buckets = ends
            .zip(&self.buckets)
            .map(|(end, bucket)| {
                count += bucket.get();
                (end, count)
            })
            .collect();
        #[expect(clippy::cast_precision_loss, reason = "a float is what is shown")]
        let seconds = self.micros.get() as f64 / 1e6;
        Shown { buckets, count, seconds }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_took_as_long_as_a_bucket_is_in_it() {
        let histogram = Histogram::default();
        for micros in [0, 500, 501, 1_000, 300_000_001] {
            histogram.note(Duration::from_micros(micros));
        }
        let shown = histogram.shown();
        assert_eq!(shown.buckets[..3], [("0.0005", 2), ("0.001", 4), ("0.0025", 4)]);
        assert_eq!(shown.buckets.last(), Some(&("+Inf", 5)));
        assert_eq!(shown.count, 5);
        assert!((shown.seconds - 300.002_002).abs() < 1e-9, "{}", shown.seconds);
    }

    #[test]
    fn ends_grow_and_are_written_as_they_are() {
        assert!(ENDS.windows(2).all(|pair| pair[0].0 < pair[1].0));
        for (micros, text) in ENDS {
            let seconds: f64 = text.parse().unwrap();
            assert!((seconds * 1e6 - micros as f64).abs() < 1e-6, "{text}");
        }
    }

    #[test]
    fn a_guard_stands_for_one() {
        static GAUGE: Gauge = Gauge::new();
        let (one, two) = (GAUGE.hold(), GAUGE.hold());
        assert_eq!(GAUGE.get(), 2);
        drop(one);
        assert_eq!(GAUGE.get(), 1);
        drop(two);
        assert_eq!(GAUGE.get(), 0);
    }
}
