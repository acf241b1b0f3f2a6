//! What is kept of a tenant's processes of one upstream, also of those that have ended: what they
//! wrote to standard error, and what became of them.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::history::{History, HistoryReport};
use super::stderr::Tail;
use super::table;
use crate::base::{Name, TenantId};
use crate::upstream::link::Holder;

/// How much is kept of what they wrote.
const LOG: usize = 32 * 1024;
/// For how many tenants and upstreams something is kept; of those whose processes have ended, the
/// one that began first goes.
const LOGS: usize = 1_024;

/// Where the processes of a tenant's upstream leave what is kept of them.
#[derive(Debug, Clone)]
pub struct Log {
    tail: Arc<Tail>,
    history: Arc<History>,
    holder: Option<Holder>,
}

impl Log {
    /// The last lines that they wrote, the oldest first, without secrets and without control
    /// characters; about 32 KiB of them.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        self.tail.lines()
    }

    /// What became of them, with what they used where that is asked for.
    #[must_use]
    pub fn history(&self, with_looks: bool) -> HistoryReport {
        self.history.report(with_looks)
    }

    /// For a process of one session or key.
    #[must_use]
    pub fn held_by(mut self, holder: Option<Holder>) -> Self {
        self.holder = holder;
        self
    }

    pub(super) fn push(&self, line: String) {
        self.tail.push(line);
    }

    /// A process begins; see [`History::began`].
    pub(super) fn began(&self, guardian: u32, again: bool) {
        self.history.began(guardian, self.holder.as_ref(), again);
    }

    /// It has ended.
    pub(super) fn ended(&self, guardian: u32, exit: Option<i32>) {
        self.history.ended(guardian, exit);
    }
}

/// What is kept of every tenant's processes of each upstream.
#[derive(Debug, Default)]
pub struct Logs(Mutex<Kept>);

type Place = (Option<TenantId>, Name);

#[derive(Debug, Default)]
struct Kept {
    logs: HashMap<Place, (u64, Log)>,
    count: u64,
}

impl Logs {
    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where the processes of an upstream leave it that are this tenant's, or everybody's.
    #[must_use]
    pub fn of(&self, tenant: Option<TenantId>, upstream: &Name) -> Log {
        let mut kept = self.kept();
        let place = (tenant, upstream.clone());
        if let Some((_, log)) = kept.logs.get(&place) {
            return log.clone();
        }
        if kept.logs.len() >= LOGS {
            let age = |(count, log): &(u64, Log)| (!log.history.running().is_empty(), *count);
            let first = kept.logs.iter().min_by_key(|(_, entry)| age(entry));
            if let Some(first) = first.map(|(place, _)| place.clone()) {
                kept.logs.remove(&first);
            }
        }
        kept.count += 1;
        let log = Log { tail: Arc::new(Tail::of(LOG)), history: Arc::default(), holder: None };
        let count = kept.count;
        kept.logs.insert(place, (count, log.clone()));
        log
    }

    /// What there is, if any process was started.
    #[must_use]
    pub fn find(&self, tenant: Option<TenantId>, upstream: &Name) -> Option<Log> {
        self.kept().logs.get(&(tenant, upstream.clone())).map(|(_, log)| log.clone())
    }

    /// Forgets an upstream that is there no more.
    pub fn forget(&self, upstream: &Name) {
        self.kept().logs.retain(|(_, name), _| name != upstream);
    }

    fn all(&self) -> Vec<(Place, Log)> {
        let kept = self.kept();
        kept.logs.iter().map(|(place, (_, log))| (place.clone(), log.clone())).collect()
    }

    /// Sees what every process uses now; `keep` writes it down, and forgets what is too old. Reads
    /// `/proc`: not for a thread that must not wait.
    pub fn look(&self, keep: bool) {
        let all = self.all();
        let running: Vec<u32> = all.iter().flat_map(|(_, log)| log.history.running()).collect();
        let sizes = if running.is_empty() { HashMap::new() } else { table::sizes(&running) };
        for (_, log) in &all {
            log.history.look(|guardian| sizes.get(&guardian).copied(), keep);
            if keep {
                log.history.prune();
            }
        }
    }

    /// What became of the processes of each upstream: those of this tenant, or of everybody.
    #[must_use]
    pub fn histories(&self, tenant: Option<TenantId>) -> BTreeMap<Name, Vec<HistoryReport>> {
        let mut found: BTreeMap<Name, Vec<HistoryReport>> = BTreeMap::new();
        for ((whose, upstream), log) in self.all() {
            if tenant.is_none() || tenant == whose {
                found.entry(upstream).or_default().push(log.history(false));
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_runs_nothing_more_makes_room() {
        let logs = Logs::default();
        let up = |number: usize| Name::new(&format!("u{number}")).unwrap();
        logs.of(None, &up(0)).began(1, false);
        for number in 1..LOGS {
            drop(logs.of(None, &up(number)));
        }
        assert_eq!(logs.all().len(), LOGS);
        drop(logs.of(None, &up(LOGS)));
        assert_eq!(logs.all().len(), LOGS);
        assert!(logs.find(None, &up(0)).is_some(), "its process runs");
        assert!(logs.find(None, &up(1)).is_none(), "it was the first of the others");
        assert_eq!(logs.histories(None)[&up(0)][0].running().count(), 1);
        assert!(logs.histories(Some(TenantId::from_bytes([1; 16]))).is_empty());
        logs.forget(&up(0));
        assert!(logs.find(None, &up(0)).is_none());
    }
}
