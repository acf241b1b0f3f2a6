//! What one scope has used: a rate (GCRA), calls under way, and counts of a day and a month.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use governor::clock::{Clock as _, MonotonicClock};
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};

use crate::base::{month_of_day, seconds_to_next_month, unix_seconds};
use crate::config::{Limit, Rate};
use crate::store::QuotaRow;

const DAY: u64 = 86_400;
/// When a call that runs will end is not known.
const SOON: Duration = Duration::from_secs(1);

/// What of a limit was reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Measure {
    /// Requests in a time.
    Rate,
    /// Calls under way.
    Concurrent,
    /// Calls in a day.
    Day,
    /// Calls in a month.
    Month,
    /// Bytes in a day.
    Bytes,
}

impl Measure {
    /// The key of the file that limits it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Rate => "rate",
            Self::Concurrent => "concurrent",
            Self::Day => "per_day",
            Self::Month => "per_month",
            Self::Bytes => "bytes_per_day",
        }
    }
}

/// A limit that was reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exceeded {
    /// What.
    pub measure: Measure,
    /// From when on the same request may be let in.
    pub wait: Duration,
}

type Gcra = RateLimiter<NotKeyed, InMemoryState, MonotonicClock>;

/// What one scope has used.
#[derive(Debug)]
pub(super) struct Bucket {
    limit: Limit,
    rate: Option<Gcra>,
    running: AtomicU32,
    spent: Mutex<Spent>,
}

/// Counts since the last midnight, and since the first of the month. In UTC.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Spent {
    pub(super) day: u64,
    pub(super) calls: u64,
    pub(super) bytes: u64,
    pub(super) month_calls: u64,
    /// It has changed since somebody asked.
    news: bool,
}

impl Spent {
    /// Begins anew where a day or a month has begun.
    fn turn(&mut self, today: u64) {
        if self.day == today {
            return;
        }
        if month_of_day(self.day) != month_of_day(today) {
            self.month_calls = 0;
        }
        (self.day, self.calls, self.bytes) = (today, 0, 0);
    }
}

impl Bucket {
    pub(super) fn new(limit: Limit) -> Self {
        let rate = limit.rate.and_then(quota);
        Self {
            rate: rate.map(|quota| RateLimiter::direct_with_clock(quota, MonotonicClock)),
            limit,
            running: AtomicU32::new(0),
            spent: Mutex::new(Spent { day: unix_seconds() / DAY, ..Spent::default() }),
        }
    }

    /// What it is held to.
    pub(super) fn limit(&self) -> &Limit {
        &self.limit
    }

    /// What was used, held to another limit from now on.
    pub(super) fn under(&self, limit: Limit) -> Self {
        Self { spent: Mutex::new(*self.spent()), ..Self::new(limit) }
    }

    fn spent(&self) -> MutexGuard<'_, Spent> {
        self.spent.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What was used, when that has changed since the last time.
    pub(super) fn news(&self) -> Option<Spent> {
        let mut spent = self.spent();
        std::mem::take(&mut spent.news).then_some(*spent)
    }

    /// Counts on from what was used before.
    pub(super) fn restore(&self, used: &QuotaRow) {
        let &QuotaRow { place: _, day, calls, bytes, month_calls } = used;
        *self.spent() = Spent { day, calls, bytes, month_calls, news: false };
    }

    fn counts(&self) -> bool {
        let Limit { rate: _, concurrent: _, per_day, per_month, bytes_per_day } = self.limit;
        per_day.is_some() || per_month.is_some() || bytes_per_day.is_some()
    }

    /// One request, which the rate alone limits.
    pub(super) fn pass(&self) -> Result<(), Exceeded> {
        let Some(rate) = &self.rate else { return Ok(()) };
        rate.check().map_err(|until| {
            let wait = until.wait_time_from(MonotonicClock.now());
            Exceeded { measure: Measure::Rate, wait }
        })
    }

    /// One call more under way, and of the day; `leave` takes it back.
    pub(super) fn enter(&self) -> Result<(), Exceeded> {
        if let Some(most) = self.limit.concurrent {
            let enter = |running| (running < most.get()).then_some(running + 1);
            if self.running.fetch_update(Ordering::AcqRel, Ordering::Acquire, enter).is_err() {
                return Err(Exceeded { measure: Measure::Concurrent, wait: SOON });
            }
        }
        let counted = if self.counts() { self.count() } else { Ok(()) };
        if counted.is_err() {
            self.leave();
        }
        counted
    }

    fn count(&self) -> Result<(), Exceeded> {
        let seconds = unix_seconds();
        let today = seconds / DAY;
        let mut spent = self.spent();
        spent.turn(today);
        let reached = |used: u64, most: Option<u64>| most.is_some_and(|most| used >= most);
        let midnight = Duration::from_secs((today + 1) * DAY - seconds);
        let measure = if reached(spent.month_calls, self.limit.per_month) {
            let wait = Duration::from_secs(seconds_to_next_month(seconds));
            return Err(Exceeded { measure: Measure::Month, wait });
        } else if reached(spent.calls, self.limit.per_day) {
            Measure::Day
        } else if reached(spent.bytes, self.limit.bytes_per_day) {
            Measure::Bytes
        } else {
            spent.calls += 1;
            spent.month_calls += 1;
            spent.news = true;
            return Ok(());
        };
        Err(Exceeded { measure, wait: midnight })
    }

    /// A call has ended.
    pub(super) fn leave(&self) {
        if self.limit.concurrent.is_some() {
            self.running.fetch_sub(1, Ordering::AcqRel);
        }
    }

    /// A call that was counted did not take place after all.
    pub(super) fn take_back(&self) {
        if self.counts() {
            let mut spent = self.spent();
            spent.calls = spent.calls.saturating_sub(1);
            spent.month_calls = spent.month_calls.saturating_sub(1);
            spent.news = true;
        }
        self.leave();
    }

    /// Bytes that a call has moved.
    pub(super) fn spend(&self, bytes: u64) {
        if self.limit.bytes_per_day.is_some() {
            let mut spent = self.spent();
            spent.turn(unix_seconds() / DAY);
            spent.bytes = spent.bytes.saturating_add(bytes);
            spent.news = true;
        }
    }

    /// True when forgetting it changes nothing: nothing runs, nothing is counted, and the rate has
    /// had a whole time to recover.
    pub(super) fn is_idle(&self) -> bool {
        if self.counts() || self.running.load(Ordering::Acquire) > 0 {
            return false;
        }
        let mut spent = *self.spent();
        spent.turn(unix_seconds() / DAY);
        if (spent.calls, spent.bytes, spent.month_calls) != (0, 0, 0) {
            return false;
        }
        // Asked last, since it uses up what it asks for: only what is thrown away may be asked.
        let burst = self.limit.rate.map(|rate| rate.burst);
        match (&self.rate, burst) {
            (Some(rate), Some(burst)) => matches!(rate.check_n(burst), Ok(Ok(()))),
            _ => true,
        }
    }
}

/// A rate as `governor` wants it: the time for one, and how many may come at once.
fn quota(rate: Rate) -> Option<Quota> {
    let each = rate.per.checked_div(rate.count.get())?;
    Quota::with_period(each).map(|quota| quota.allow_burst(rate.burst))
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use super::*;

    fn some(number: u32) -> NonZeroU32 {
        NonZeroU32::new(number).unwrap()
    }

    #[test]
    fn a_rate_lets_a_burst_in_and_says_when_the_next_may_come() {
        let per = Duration::from_secs(3_600);
        let rate = Rate { count: some(60), per, burst: some(3) };
        let bucket = Bucket::new(Limit { rate: Some(rate), ..Limit::default() });
        for _ in 0..3 {
            bucket.pass().unwrap();
        }
        let exceeded = bucket.pass().unwrap_err();
        assert_eq!(exceeded.measure, Measure::Rate);
        let minute = Duration::from_secs(60);
        assert!(exceeded.wait <= minute && exceeded.wait > minute / 2, "{exceeded:?}");
        assert!(!bucket.is_idle());
    }

    #[test]
    fn calls_under_way_are_counted_and_given_back() {
        let bucket = Bucket::new(Limit { concurrent: Some(some(2)), ..Limit::default() });
        bucket.enter().unwrap();
        bucket.enter().unwrap();
        assert_eq!(bucket.enter().unwrap_err().measure, Measure::Concurrent);
        bucket.leave();
        bucket.enter().unwrap();
        assert!(!bucket.is_idle());
        bucket.leave();
        bucket.leave();
        assert!(bucket.is_idle());
    }

    #[test]
    fn a_day_and_a_month_end() {
        // 2026-01-31, then the day after.
        let mut spent = Spent { day: 20_484, calls: 5, bytes: 7, month_calls: 9, news: false };
        spent.turn(20_484);
        assert_eq!(spent.calls, 5);
        spent.turn(20_485);
        assert_eq!((spent.calls, spent.bytes, spent.month_calls), (0, 0, 0));
        let mut spent = Spent { day: 20_482, calls: 5, bytes: 7, month_calls: 9, news: false };
        spent.turn(20_483);
        assert_eq!((spent.calls, spent.bytes, spent.month_calls), (0, 0, 9));
    }

    #[test]
    fn quotas_end_at_midnight_and_what_did_not_take_place_is_given_back() {
        let limit = Limit { per_day: Some(2), bytes_per_day: Some(100), ..Limit::default() };
        let bucket = Bucket::new(limit);
        bucket.enter().unwrap();
        bucket.enter().unwrap();
        let exceeded = bucket.enter().unwrap_err();
        assert_eq!(exceeded.measure, Measure::Day);
        assert!(exceeded.wait <= Duration::from_secs(DAY));
        bucket.take_back();
        bucket.enter().unwrap();
        bucket.take_back();
        bucket.spend(100);
        assert_eq!(bucket.enter().unwrap_err().measure, Measure::Bytes);
    }
}
