//! Which calls were executed, as the upstreams wrote it down, and what their callers were told.

use std::{
    collections::{BTreeMap, HashMap},
    fs::File,
    io::{Read, Seek, SeekFrom},
    path::PathBuf,
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
};

/// What its caller knows of a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Fate {
    /// A right answer.
    Right,
    /// The typed sentence: what happened, and that it was not executed.
    NotRun(String),
    /// The typed sentence: what happened, and that it may have been executed.
    MayHaveRun(String),
    /// The connection ended before an answer.
    Ended,
    /// Nobody listened.
    Unreached,
    /// Anything else, which no caller should ever see.
    Wrong(String),
}

/// All calls of a test.
#[derive(Debug, Default)]
pub(crate) struct Fates {
    next: AtomicU64,
    known: Mutex<Vec<(String, Fate)>>,
}

impl Fates {
    /// A name for one more call, which no other call has.
    pub(crate) fn call(&self, kind: &str) -> String {
        format!("{kind}-{}", self.next.fetch_add(1, Ordering::Relaxed))
    }

    pub(crate) fn note(&self, call: String, fate: Fate) {
        self.known.lock().expect("no holder panics").push((call, fate));
    }

    pub(crate) fn count(&self) -> usize {
        self.known.lock().expect("no holder panics").len()
    }

    /// Holds what callers were told against what ran: how often each kind of call came to what,
    /// and everything that does not fit together.
    pub(crate) fn judge(&self, book: &mut Book) -> (BTreeMap<String, usize>, Vec<String>) {
        book.look();
        let known = self.known.lock().expect("no holder panics");
        let (mut table, mut wrong) = (BTreeMap::<String, usize>::new(), Vec::new());
        let mut strangers: HashMap<&str, usize> =
            book.runs.iter().map(|(call, run)| (call.as_str(), run.times)).collect();
        for (call, fate) in known.iter() {
            let times = strangers.remove(call.as_str()).unwrap_or(0);
            let fits = match fate {
                Fate::Right => times == 1,
                Fate::NotRun(_) | Fate::Unreached => times == 0,
                Fate::MayHaveRun(_) | Fate::Ended => times <= 1,
                Fate::Wrong(_) => false,
            };
            if !fits {
                wrong.push(format!("{call} ran {times} times, and its caller got {fate:?}"));
            }
            let kind = call.split('-').next().unwrap_or_default();
            let ran =
                if *fate == Fate::Right { "" } else { [", did not run", ", ran"][times.min(1)] };
            *table.entry(format!("{kind}: {fate:?}{ran}")).or_default() += 1;
        }
        wrong.extend(
            strangers.iter().map(|(call, times)| format!("{call}, of nobody, ran {times} times")),
        );
        (table, wrong)
    }
}

/// How often a call ran, and in which process last.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Run {
    pub(crate) times: usize,
    pub(crate) process: u32,
}

/// What all upstreams have written down (`everything --ledger`).
#[derive(Debug)]
pub(crate) struct Book {
    place: PathBuf,
    read: u64,
    pub(crate) runs: HashMap<String, Run>,
}

impl Book {
    pub(crate) fn new(place: PathBuf) -> Self {
        Self { place, read: 0, runs: HashMap::new() }
    }

    /// Reads on; a line that is not whole yet is read later.
    pub(crate) fn look(&mut self) {
        let Ok(mut file) = File::open(&self.place) else { return };
        file.seek(SeekFrom::Start(self.read)).expect("a file");
        let mut text = String::new();
        file.read_to_string(&mut text).expect("the upstreams write text");
        let whole = text.rfind('\n').map_or(0, |end| end + 1);
        self.read += whole as u64;
        for line in text[..whole].lines() {
            let (call, process) = line.split_once(' ').expect("two words a line");
            let process = process.parse().expect("a process id");
            let run = self.runs.entry(call.to_owned()).or_insert(Run { times: 0, process });
            *run = Run { times: run.times + 1, process };
        }
    }

    /// In which process this call runs.
    pub(crate) fn runs_in(&self, call: &str) -> Option<u32> {
        self.runs.get(call).map(|run| run.process)
    }
}
