//! When an upstream that failed may be tried again. Knows no clock and does no I/O: time is
//! passed in.
//!
//! What users expect differs by what the upstream did before it failed:
//! - One that worked and was then killed is back at once: the next start waits at most 250 ms.
//!   To have worked means to have answered a request of a client since it was made, or to have
//!   been up for more than a minute.
//! - One that cannot be started, ends before it has answered anything, or ends at each request,
//!   gets longer and longer pauses, up to a minute, so that it does not burn the host. That it
//!   started, or listed its tools, does not count: many a broken server does that.

use std::time::Duration;

use tokio::time::Instant;

/// The first pause.
const SHORTEST: Duration = Duration::from_millis(250);
/// The longest pause.
const LONGEST: Duration = Duration::from_secs(60);
/// An upstream that stayed up for longer than this begins anew.
const STEADY: Duration = Duration::from_secs(60);

/// Counts failures in a row and answers whether a start is permitted. Each failure doubles the
/// pause, from 250 ms to 60 s, each with a jitter of its own (between half and the whole), so that
/// many upstreams that fell together do not rise together. While a pause lasts nothing is tried; after it, one caller at
/// a time tries (the owner sees to that by starting single-flight).
#[derive(Debug, Clone)]
pub struct Breaker {
    seed: u64,
    failures: u32,
    until: Option<Instant>,
    up_since: Option<Instant>,
}

impl Breaker {
    /// `seed` decides the jitter: a random number, or a fixed one in tests.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self { seed, failures: 0, until: None, up_since: None }
    }

    /// Whether a start is permitted now.
    ///
    /// # Errors
    /// The rest of the pause.
    pub fn permit(&self, now: Instant) -> Result<(), Duration> {
        match self.until {
            Some(until) if until > now => Err(until - now),
            _ => Ok(()),
        }
    }

    /// It is up. Earlier failures are forgotten only once it has worked or has stayed up, so that
    /// one that starts and falls at once does not begin anew each time.
    pub fn succeeded(&mut self, now: Instant) {
        self.until = None;
        self.up_since.get_or_insert(now);
    }

    /// It has worked: everything before is forgotten.
    pub fn served(&mut self) {
        self.failures = 0;
        self.until = None;
    }

    /// It could not be started, or was up and has ended by itself.
    pub fn failed(&mut self, now: Instant) {
        if self.up_since.take().is_some_and(|since| now.duration_since(since) > STEADY) {
            self.failures = 0;
        }
        let full = SHORTEST.saturating_mul(1 << self.failures.min(16)).min(LONGEST);
        self.failures = self.failures.saturating_add(1);
        // Between half and the whole of it.
        let nanos = u64::try_from(full.as_nanos()).unwrap_or(u64::MAX);
        let pause = Duration::from_nanos(nanos / 2 + self.random() % (nanos / 2 + 1));
        self.until = Some(now + pause);
    }

    /// Failures in a row.
    #[must_use]
    pub fn failures(&self) -> u32 {
        self.failures
    }

    /// `SplitMix64`: a jitter need not be secret, only different.
    fn random(&mut self) -> u64 {
        self.seed = self.seed.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.seed;
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ mixed >> 31
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn start() -> Instant {
        crate::base::now()
    }

    #[test]
    fn a_steady_run_forgets_and_a_short_one_does_not() {
        let t = start();
        let mut breaker = Breaker::new(1);
        assert_eq!(breaker.permit(t), Ok(()));
        for _ in 0..5 {
            breaker.failed(t);
        }
        breaker.succeeded(t);
        assert_eq!(breaker.permit(t), Ok(()));
        breaker.failed(t + Duration::from_secs(1));
        assert_eq!(breaker.failures(), 6);
        breaker.succeeded(t + Duration::from_secs(20));
        breaker.failed(t + Duration::from_secs(81));
        assert_eq!(breaker.failures(), 1);
        let pause = breaker.permit(t + Duration::from_secs(81)).unwrap_err();
        assert!(pause <= SHORTEST);
    }

    #[test]
    fn one_that_worked_is_back_at_once_however_often_it_falls() {
        let mut t = start();
        let mut breaker = Breaker::new(3);
        (0..9).for_each(|_| breaker.failed(t));
        for _ in 0..200 {
            breaker.succeeded(t);
            breaker.served();
            breaker.failed(t);
            let pause = breaker.permit(t).unwrap_err();
            assert!(pause >= SHORTEST / 2 && pause <= SHORTEST, "{pause:?}");
            t += pause;
        }
    }

    #[test]
    fn two_seeds_rise_at_different_times() {
        let t = start();
        let pauses: Vec<_> = (0..20)
            .map(|seed| {
                let mut breaker = Breaker::new(seed);
                (0..10).for_each(|_| breaker.failed(t));
                breaker.permit(t).unwrap_err()
            })
            .collect();
        let distinct: std::collections::BTreeSet<_> = pauses.iter().collect();
        assert!(distinct.len() >= 19);
    }

    proptest! {
        /// Whatever happened before, only what it did since its last good answer counts.
        #[test]
        fn the_pause_follows_from_the_failures_since_it_last_worked(
            seed: u64,
            events in prop::collection::vec((0..3_u8, 0..5_000_u64), 1..100),
        ) {
            let mut t = start();
            let mut breaker = Breaker::new(seed);
            let mut since = 0;
            for (event, ms) in events {
                t += Duration::from_millis(ms);
                match event {
                    0 => breaker.succeeded(t),
                    1 => {
                        breaker.served();
                        since = 0;
                    }
                    _ => {
                        breaker.failed(t);
                        since = if breaker.failures() == 1 { 1 } else { since + 1 };
                        let full = SHORTEST.saturating_mul(1 << (since - 1).min(16)).min(LONGEST);
                        let pause = breaker.permit(t).unwrap_err();
                        prop_assert!(pause >= full / 2 && pause <= full);
                    }
                }
                prop_assert_eq!(breaker.failures(), since);
            }
        }

        #[test]
        fn pauses_grow_to_their_limit_and_always_end(seed: u64, failures in 1..200_u32) {
            let t = start();
            let mut breaker = Breaker::new(seed);
            for count in 0..failures {
                breaker.failed(t);
                let full = SHORTEST.saturating_mul(1 << count.min(16)).min(LONGEST);
                let pause = breaker.permit(t).unwrap_err();
                prop_assert!(pause >= full / 2 && pause <= full);
                prop_assert_eq!(breaker.permit(t + pause), Ok(()));
            }
        }
    }
}
