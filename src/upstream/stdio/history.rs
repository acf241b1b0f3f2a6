//! What became of the processes of an upstream: when each began and ended, and what it used in the
//! last hour. Somebody looks at all of them now and then; nothing of it is on the way of a call.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::table::Size;
use crate::base::{now, unix_millis};
use crate::upstream::link::Holder;

/// How often it is written down what processes use.
pub const EVERY: Duration = Duration::from_secs(10);
/// For how long that is kept, also of a process that has ended.
pub const KEPT: Duration = Duration::from_secs(3_600);

/// Looks that are kept of one process.
#[expect(clippy::cast_possible_truncation, reason = "360")]
const LOOKS: usize = (KEPT.as_secs() / EVERY.as_secs()) as usize;
/// Ended processes that are kept of a tenant's upstream; the one that ended first goes.
const ENDED: usize = 64;

/// What a process and all that it has started used at a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Usage {
    /// When, in seconds since the Unix epoch.
    pub at: u64,
    /// Processor time since it began, in milliseconds.
    pub cpu_ms: u64,
    /// Resident memory in bytes.
    pub resident: u64,
    /// Processes: the program and those that it has started.
    pub processes: u32,
}

/// One look, small since there are many.
#[derive(Debug, Clone, Copy)]
struct Look {
    /// Seconds since the process began.
    after: u32,
    /// Hundredths of a second.
    cpu: u32,
    /// KiB.
    resident: u32,
    processes: u16,
}

/// One process as it is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProcessReport {
    /// The program's id, once it was seen.
    pub pid: Option<u32>,
    /// When it was started, in milliseconds since the Unix epoch.
    pub began: u64,
    /// When it ended, likewise.
    pub ended: Option<u64>,
    /// With which code; 128 and the number of a signal for one that was ended by that.
    pub exit: Option<i32>,
    /// What it used when it was last seen.
    pub last: Option<Usage>,
    /// What it used in the last hour, the oldest first.
    pub looks: Vec<Usage>,
}

/// The processes of a tenant's upstream.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HistoryReport {
    /// How often a process was started in the place of another since the proxy began.
    pub restarts: u64,
    /// Those that run, and those that have ended within the last hour; the oldest first.
    pub processes: Vec<ProcessReport>,
}

impl HistoryReport {
    /// Those that run.
    pub fn running(&self) -> impl Iterator<Item = &ProcessReport> {
        self.processes.iter().filter(|process| process.ended.is_none())
    }
}

#[derive(Debug)]
struct Process {
    guardian: u32,
    program: Option<u32>,
    holder: Option<Holder>,
    began: u64,
    /// When it ended, for people and for us.
    ended: Option<(u64, tokio::time::Instant)>,
    exit: Option<i32>,
    last: Option<Look>,
    looks: VecDeque<Look>,
}

impl Process {
    fn look(&mut self, size: Size, keep: bool) {
        let after = unix_millis().saturating_sub(self.began) / 1_000;
        let look = Look {
            after: u32::try_from(after).unwrap_or(u32::MAX),
            cpu: u32::try_from(size.cpu_ms / 10).unwrap_or(u32::MAX),
            resident: u32::try_from(size.resident).unwrap_or(u32::MAX),
            processes: u16::try_from(size.processes).unwrap_or(u16::MAX),
        };
        self.program = size.program.or(self.program);
        self.last = Some(look);
        if keep {
            if self.looks.len() >= LOOKS {
                self.looks.pop_front();
            }
            self.looks.push_back(look);
        }
    }

    fn usage(&self, look: Look) -> Usage {
        Usage {
            at: self.began / 1_000 + u64::from(look.after),
            cpu_ms: u64::from(look.cpu) * 10,
            resident: u64::from(look.resident) * 1_024,
            processes: look.processes.into(),
        }
    }

    fn report(&self, with_looks: bool) -> ProcessReport {
        let looks = if with_looks { &self.looks } else { &VecDeque::new() };
        ProcessReport {
            pid: self.program,
            began: self.began,
            ended: self.ended.map(|(at, _)| at),
            exit: self.exit,
            last: self.last.map(|look| self.usage(look)),
            looks: looks.iter().map(|look| self.usage(*look)).collect(),
        }
    }
}

#[derive(Debug, Default)]
struct Book {
    restarts: u64,
    /// Whether one that everybody of the tenant shares was ever started.
    shared: bool,
    processes: VecDeque<Process>,
}

/// The processes of a tenant's upstream, those that run and those that have ended lately.
#[derive(Debug, Default)]
pub(super) struct History(Mutex<Book>);

impl History {
    fn book(&self) -> MutexGuard<'_, Book> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A process begins, for one session or key, or for all of the tenant. `again` where it is a
    /// second try to find out how a program speaks.
    pub(super) fn began(&self, guardian: u32, holder: Option<&Holder>, again: bool) {
        let mut book = self.book();
        let before = match holder {
            None => book.shared,
            Some(_) => book.processes.iter().any(|one| one.holder.as_ref() == holder),
        };
        book.restarts += u64::from(before && !again);
        book.shared |= holder.is_none();
        book.processes.push_back(Process {
            guardian,
            program: None,
            holder: holder.cloned(),
            began: unix_millis(),
            ended: None,
            exit: None,
            last: None,
            looks: VecDeque::new(),
        });
    }

    /// It has ended.
    pub(super) fn ended(&self, guardian: u32, exit: Option<i32>) {
        let mut book = self.book();
        let runs = |one: &&mut Process| one.guardian == guardian && one.ended.is_none();
        if let Some(process) = book.processes.iter_mut().find(runs) {
            process.ended = Some((unix_millis(), now()));
            process.exit = exit;
        }
        let ended = book.processes.iter().filter(|one| one.ended.is_some());
        if ended.clone().count() > ENDED {
            let first =
                book.processes.iter().enumerate().filter_map(|(at, one)| Some((one.ended?.1, at)));
            if let Some((_, at)) = first.min() {
                book.processes.remove(at);
            }
        }
    }

    /// The guardians of those that run.
    pub(super) fn running(&self) -> Vec<u32> {
        let book = self.book();
        let running = book.processes.iter().filter(|one| one.ended.is_none());
        running.map(|one| one.guardian).collect()
    }

    /// What those that run use now, by their guardians; `keep` writes it down.
    pub(super) fn look(&self, size: impl Fn(u32) -> Option<Size>, keep: bool) {
        for process in self.book().processes.iter_mut().filter(|one| one.ended.is_none()) {
            if let Some(size) = size(process.guardian) {
                process.look(size, keep);
            }
        }
    }

    /// Forgets those that ended too long ago.
    pub(super) fn prune(&self) {
        self.book().processes.retain(|one| one.ended.is_none_or(|(_, end)| end.elapsed() < KEPT));
    }

    /// All of them, with what they used where that is asked for.
    pub(super) fn report(&self, with_looks: bool) -> HistoryReport {
        self.prune();
        let book = self.book();
        let processes = book.processes.iter().map(|process| process.report(with_looks));
        HistoryReport { restarts: book.restarts, processes: processes.collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn size(cpu_ms: u64) -> Size {
        Size { program: Some(77), processes: 2, cpu_ms, resident: 3 }
    }

    #[tokio::test(start_paused = true)]
    async fn a_process_is_told_of_until_its_time_is_over() {
        let history = History::default();
        history.began(7, None, false);
        assert_eq!(history.running(), [7]);
        for round in 0..LOOKS as u64 + 5 {
            history.look(|guardian| (guardian == 7).then(|| size(round * 10)), true);
        }
        history.look(|_| Some(size(999_990)), false);
        let told = history.report(true);
        let process = &told.processes[0];
        assert_eq!((told.restarts, process.pid, process.looks.len()), (0, Some(77), LOOKS));
        assert_eq!(process.looks[0].cpu_ms, 50, "the oldest have gone");
        let last = process.last.unwrap();
        assert_eq!((last.cpu_ms, last.resident, last.processes), (999_990, 3_072, 2));
        assert!(history.report(false).processes[0].looks.is_empty());

        history.ended(7, Some(3));
        history.began(8, None, false);
        history.began(9, None, true);
        let told = history.report(true);
        assert_eq!((told.restarts, told.processes.len()), (1, 3), "a second try is no restart");
        assert_eq!((told.processes[0].exit, told.processes[0].looks.len()), (Some(3), LOOKS));
        assert_eq!(told.running().count(), 2);
        tokio::time::advance(KEPT).await;
        assert_eq!(history.report(true).processes.len(), 2, "those that run stay");
    }

    #[tokio::test(start_paused = true)]
    async fn restarts_are_counted_for_each_holder_and_the_past_has_a_bound() {
        let history = History::default();
        let (one, two): (Holder, Holder) = ("one".into(), "two".into());
        history.began(1, Some(&one), false);
        history.began(2, Some(&two), false);
        assert_eq!(history.report(false).restarts, 0);
        for pid in 3..103 {
            history.began(pid, Some(&one), false);
            history.ended(pid, None);
            tokio::time::advance(Duration::from_secs(1)).await;
        }
        let told = history.report(false);
        assert_eq!((told.restarts, told.processes.len()), (100, ENDED + 2));
        assert_eq!(history.running(), [1, 2]);
    }
}
