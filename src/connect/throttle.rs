//! How often one address may try: whoever guesses, floods or registers without end is told to wait.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::num::NonZeroU32;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use governor::clock::{Clock as _, MonotonicClock};
use governor::state::keyed::HashMapStateStore;
use governor::{Quota, RateLimiter};
use tokio::time::Instant;

use crate::base::now;

/// Addresses remembered; those that have waited long enough are forgotten first.
const MOST: usize = 20_000;

type Keyed = RateLimiter<IpAddr, HashMapStateStore<IpAddr>, MonotonicClock>;

/// One rate for each address.
#[derive(Debug)]
pub(super) struct Throttle {
    rate: Keyed,
    /// Who has to wait, and until when: for what is counted only when it fails.
    closed: Mutex<HashMap<IpAddr, Instant>>,
}

impl Throttle {
    /// `burst` at once, and one more after each `period`.
    pub(super) fn new(burst: u32, period: Duration) -> Self {
        let burst = NonZeroU32::new(burst).unwrap_or(NonZeroU32::MIN);
        let quota = Quota::with_period(period)
            .unwrap_or_else(|| Quota::per_second(NonZeroU32::MIN))
            .allow_burst(burst);
        let rate = RateLimiter::hashmap_with_clock(quota, MonotonicClock);
        Self { rate, closed: Mutex::default() }
    }

    fn closed(&self) -> MutexGuard<'_, HashMap<IpAddr, Instant>> {
        self.closed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether this address may try something that is counted when it fails; otherwise after how
    /// many seconds.
    pub(super) fn lets(&self, address: IpAddr) -> Result<(), u64> {
        let until = self.closed().get(&network(address)).copied();
        match until.and_then(|until| until.checked_duration_since(now())) {
            Some(left) if !left.is_zero() => Err(left.as_secs().saturating_add(1)),
            _ => Ok(()),
        }
    }

    /// Counts one that has failed.
    pub(super) fn failed(&self, address: IpAddr) -> Result<(), u64> {
        let taken = self.take(address);
        if let Err(wait) = taken {
            let mut closed = self.closed();
            if closed.len() >= MOST {
                let now = now();
                closed.retain(|_, until| *until > now);
            }
            if closed.len() < MOST {
                closed.insert(network(address), now() + Duration::from_secs(wait));
            }
        }
        taken
    }

    /// Counts one try; otherwise after how many seconds the next one counts.
    pub(super) fn take(&self, address: IpAddr) -> Result<(), u64> {
        if self.rate.len() >= MOST {
            self.rate.retain_recent();
            // All of them have tried a moment ago: somebody has very many addresses.
            if self.rate.len() >= MOST {
                return Err(60);
            }
        }
        self.rate
            .check_key(&network(address))
            .map_err(|early| early.wait_time_from(MonotonicClock.now()).as_secs().saturating_add(1))
    }
}

/// Who has one IPv6 address has the 2^64 beside it, too.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => {
            let [a, b, c, d, ..] = v6.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_has_failed_too_often_has_to_wait() {
        let throttle = Throttle::new(1, Duration::from_secs(60));
        let one: IpAddr = "192.0.2.1".parse().unwrap();
        assert!(throttle.lets(one).is_ok() && throttle.lets(one).is_ok());
        assert!(throttle.failed(one).is_ok() && throttle.lets(one).is_ok());
        assert!(throttle.failed(one).is_err() && throttle.lets(one).is_err());
    }

    #[test]
    fn each_address_has_its_own_rate() {
        let throttle = Throttle::new(2, Duration::from_secs(60));
        let (one, two): (IpAddr, IpAddr) =
            ("192.0.2.1".parse().unwrap(), "2001:db8::1".parse().unwrap());
        assert!(throttle.take(one).is_ok() && throttle.take(one).is_ok());
        let wait = throttle.take(one).unwrap_err();
        assert!((1..=61).contains(&wait), "{wait}");
        assert!(throttle.take(two).is_ok());
        assert!(throttle.take("2001:db8::2".parse().unwrap()).is_ok());
        assert!(throttle.take("2001:db8::3".parse().unwrap()).is_err(), "the same network");
    }
}
