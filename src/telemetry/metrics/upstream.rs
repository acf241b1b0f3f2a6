//! What is counted of one upstream; one more of the kind stands for the proxy itself.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::cell::{Counter, Gauge, Histogram};
use crate::wire::{Method, methods};

/// Outcomes of a request that can be told apart; `meters` is told their words.
pub(super) const OUTCOMES: usize = 16;
/// Rows of the table of methods, and one for what is none of them.
pub(super) const METHODS: usize = 40;

/// Why a link has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LinkEnd {
    /// Nobody used it for `idle_stop`.
    Idle,
    /// The upstream ended it, or its process ended.
    Gone,
    /// Another link took its place.
    Replaced,
    /// The proxy ended it: a key, a credential, a session or the proxy itself has ended.
    Closed,
}

impl LinkEnd {
    pub(super) const ALL: [Self; 4] = [Self::Idle, Self::Gone, Self::Replaced, Self::Closed];

    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::Gone => "gone",
            Self::Replaced => "replaced",
            Self::Closed => "closed",
        }
    }
}

/// What came of a try to renew a login.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LoginRenewal {
    /// There is a new token.
    Renewed,
    /// Not now; it is tried again.
    Failed,
    /// The login is over, and somebody has to log in.
    Ended,
}

impl LoginRenewal {
    const ALL: [Self; 3] = [Self::Renewed, Self::Failed, Self::Ended];

    const fn as_str(self) -> &'static str {
        match self {
            Self::Renewed => "renewed",
            Self::Failed => "failed",
            Self::Ended => "ended",
        }
    }
}

/// The counts of one upstream.
#[derive(Debug)]
pub struct UpstreamMeter {
    requests: [[Counter; OUTCOMES]; METHODS],
    pub(super) duration: Histogram,
    pub(super) in_flight: Gauge,
    pub(super) bytes: [Counter; 2],
    /// Links that were made, and that could not be made.
    pub(super) starts: [Counter; 2],
    pub(super) ends: [Counter; LinkEnd::ALL.len()],
    /// Lists that were read, and that could not be read.
    pub(super) lists: [Counter; 2],
    renewals: [Counter; LoginRenewal::ALL.len()],
    pub(super) children: Mutex<BTreeSet<u32>>,
}

impl Default for UpstreamMeter {
    fn default() -> Self {
        Self::new()
    }
}

impl UpstreamMeter {
    pub(super) const fn new() -> Self {
        Self {
            requests: [const { [const { Counter::new() }; OUTCOMES] }; METHODS],
            duration: Histogram::new(),
            in_flight: Gauge::new(),
            bytes: [const { Counter::new() }; 2],
            starts: [const { Counter::new() }; 2],
            ends: [const { Counter::new() }; LinkEnd::ALL.len()],
            lists: [const { Counter::new() }; 2],
            renewals: [const { Counter::new() }; LoginRenewal::ALL.len()],
            children: Mutex::new(BTreeSet::new()),
        }
    }

    /// A tenant's login was to be renewed.
    pub fn login_renewal(&self, came: LoginRenewal) {
        self.renewals[came as usize].one();
    }

    /// Tries to renew logins, by what came of them.
    pub fn login_renewals(&self) -> impl Iterator<Item = (&'static str, u64)> {
        LoginRenewal::ALL.iter().map(|came| (came.as_str(), self.renewals[*came as usize].get()))
    }

    /// A request is under way at it from now on.
    pub fn begin(&self) {
        self.in_flight.up();
    }

    /// A request that had begun is no longer under way.
    pub fn leave(&self) {
        self.in_flight.down();
    }

    /// A request has ended. `outcome` is the place of its word in what `Meters::tell` was given;
    /// `took` is none for what lasts as long as somebody listens; `bytes` came in and went out.
    pub fn end(
        &self,
        method: Option<&Method>,
        outcome: usize,
        took: Option<Duration>,
        bytes: (u64, u64),
    ) {
        let row = method.map_or(METHODS - 1, Method::place).min(METHODS - 1);
        self.requests[row][outcome.min(OUTCOMES - 1)].one();
        if let Some(took) = took {
            self.duration.note(took);
        }
        self.bytes[0].add(bytes.0);
        self.bytes[1].add(bytes.1);
    }

    /// Requests of a method that have ended, and those of them whose outcome is one that `fails`
    /// names by its place.
    #[must_use]
    pub fn ended_of(&self, method: &Method, fails: impl Fn(usize) -> bool) -> (u64, u64) {
        let counts = &self.requests[method.place().min(METHODS - 1)];
        counts.iter().enumerate().fold((0, 0), |(all, failed), (outcome, count)| {
            let count = count.get();
            (all + count, if fails(outcome) { failed + count } else { failed })
        })
    }

    /// Requests under way.
    #[must_use]
    pub fn running(&self) -> u64 {
        u64::try_from(self.in_flight.get()).unwrap_or_default()
    }

    /// A link was made, or could not be made.
    pub fn started(&self, well: bool) {
        self.starts[usize::from(!well)].one();
    }

    /// A link has ended.
    pub fn ended(&self, why: LinkEnd) {
        self.ends[why as usize].one();
    }

    /// Its lists were read, or could not be read.
    pub fn listed(&self, well: bool) {
        self.lists[usize::from(!well)].one();
    }

    /// A child process of this number runs.
    pub fn child_began(&self, pid: u32) {
        self.children.lock().unwrap_or_else(PoisonError::into_inner).insert(pid);
    }

    /// It has ended.
    pub fn child_ended(&self, pid: u32) {
        self.children.lock().unwrap_or_else(PoisonError::into_inner).remove(&pid);
    }

    /// The children that run.
    pub(super) fn children(&self) -> BTreeSet<u32> {
        self.children.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Each count of requests that is not zero, and when calls of tools are expected all of their
    /// outcomes, whose first increase would not be seen otherwise.
    pub(super) fn requests(
        &self,
        expects_calls: bool,
    ) -> impl Iterator<Item = (&'static str, usize, u64)> {
        let names = methods().iter().map(|row| row.name).take(METHODS - 1);
        let rows = self.requests.iter().take(methods().len()).chain(self.requests.last());
        names.chain(["other"]).zip(rows).enumerate().flat_map(move |(row, (name, counts))| {
            counts.iter().enumerate().filter_map(move |(outcome, count)| {
                let count = count.get();
                ((row == 0 && expects_calls) || count > 0).then_some((name, outcome, count))
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::Called;

    #[test]
    fn the_table_of_methods_fits() {
        assert!(methods().len() < METHODS);
        assert_eq!(methods()[0].name, "tools/call");
    }

    #[test]
    fn each_request_is_counted_at_its_method_and_outcome() {
        let meter = UpstreamMeter::new();
        let Called::Known(call) = Called::find("tools/call") else { panic!() };
        let Called::Known(last) = Called::find(methods()[methods().len() - 1].name) else {
            panic!()
        };
        meter.end(Some(call), 0, Some(Duration::ZERO), (3, 4));
        meter.end(Some(call), 0, Some(Duration::ZERO), (3, 4));
        meter.end(Some(last), 2, Some(Duration::ZERO), (0, 0));
        meter.end(None, 1, Some(Duration::ZERO), (0, 0));
        let counted: Vec<_> = meter.requests(false).collect();
        assert_eq!(counted, [("tools/call", 0, 2), (last.name, 2, 1), ("other", 1, 1)]);
        assert_eq!(meter.ended_of(call, |outcome| outcome == 0), (2, 2));
        assert_eq!(meter.ended_of(last, |outcome| outcome == 0), (1, 0));
        assert_eq!((meter.bytes[0].get(), meter.bytes[1].get()), (6, 8));
    }
}
