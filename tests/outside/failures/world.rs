//! A proxy, its upstreams, and the processes behind each of them, found by the process table.

use std::{
    collections::HashMap,
    fs,
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use mcp_proxy::upstream::stdio::MARK;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;

use crate::support::{Process, Proxy, everything, serve_everything, until};

/// The variable by which a test knows the processes of its own upstreams.
const OWN: &str = "FAILURES_TREE";
/// Longest time for a state that must come.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);
/// Longest time until nothing is left after the proxy has ended.
const LEFTOVERS: Duration = Duration::from_secs(10);

/// A process: its id, and how many generations below the proxy it stands (a guardian: 1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) id: u32,
    started: u64,
    pub(crate) depth: u32,
}

/// Where an upstream's own process stands below the proxy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// Below the guardian.
    Direct,
    /// Below a shell below the guardian.
    Wrapped,
    /// The last of a chain of wrappers.
    Last,
}

/// A proxy and the mark of its upstreams' processes.
pub(crate) struct World {
    proxy: Proxy,
    mark: String,
    others: Vec<Process>,
}

/// Part of a file for one stdio upstream whose processes can be found again.
pub(crate) fn stdio(mark: &str, name: &str, command: &[&str], more: &str) -> String {
    let command = json!(command);
    let own = format!("env = {{ {OWN} = \"{mark}-{name}\" }}");
    format!("[upstreams.{name}]\ncommand = {command}\n{own}\n{more}\n")
}

/// A mark that no other test has.
pub(crate) fn mark() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!("{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}

impl World {
    /// Serves what `toml` says; `mark` is the one that its upstreams were given.
    pub(crate) fn new(mark: String, toml: &str, others: Vec<Process>) -> Self {
        Self { proxy: Proxy::start(toml), mark, others }
    }

    /// The five of the issue: `victim`, `wrapped` and `forker` to be killed, `bystander` (HTTP)
    /// and `bystander2` (stdio) to notice nothing.
    pub(crate) fn five() -> Self {
        let mark = mark();
        let program = everything().to_str().expect("a path of ours");
        let shell = format!("'{program}'; exit $?");
        let (http, address) = serve_everything(&[]);
        let toml = [
            stdio(&mark, "victim", &[program], ""),
            stdio(&mark, "wrapped", &["sh", "-c", &shell], ""),
            stdio(&mark, "forker", &[program], ""),
            stdio(&mark, "bystander2", &[program], ""),
            format!("[upstreams.bystander]\nurl = \"http://{address}/mcp\"\n"),
        ];
        Self::new(mark, &toml.concat(), vec![http])
    }

    pub(crate) fn proxy(&self) -> &Proxy {
        &self.proxy
    }

    /// Processes of an upstream (of all of them: `""`), guardians left out.
    pub(crate) fn processes(&self, upstream: &str) -> Vec<Found> {
        let table = table();
        let parents: HashMap<u32, (u32, u64)> =
            table.iter().map(|(id, parent, started)| (*id, (*parent, *started))).collect();
        let depth = |mut id: u32| {
            let mut depth = 0;
            while id != self.proxy.id() {
                id = parents.get(&id)?.0;
                depth += 1;
            }
            Some(depth)
        };
        marked(&format!("{}-{upstream}", self.mark))
            .into_iter()
            .filter_map(|id| Some(Found { id, started: parents.get(&id)?.1, depth: depth(id)? }))
            .filter(|found| found.depth > 1)
            .collect()
    }

    /// The process of an upstream that speaks MCP; the youngest while an old tree is cleared.
    pub(crate) fn server(&self, upstream: &str, place: Place) -> Option<Found> {
        let all = self.processes(upstream);
        let depth = match place {
            Place::Direct => 2,
            Place::Wrapped => 3,
            Place::Last => all.iter().map(|found| found.depth).max()?,
        };
        all.into_iter()
            .filter(|found| found.depth == depth)
            .max_by_key(|found| (found.started, found.id))
    }

    /// The parent of a process.
    pub(crate) fn parent(&self, of: u32) -> Option<u32> {
        let found = table().into_iter().find(|(id, ..)| *id == of).map(|(_, parent, _)| parent);
        // Nothing outside the proxy's own tree is ever given.
        found.filter(|parent| self.proxy.descendants().iter().any(|(id, ..)| id == parent))
    }

    /// Waits until nothing that carries this world's mark is left, guardians included where the
    /// system lets them be read.
    pub(crate) fn nothing_is_left(mark: &str) {
        until("no process is left", LEFTOVERS, || marked(mark).is_empty().then_some(()));
    }

    /// Ends the proxy in good order (SIGTERM).
    pub(crate) fn stop(self) {
        let Self { proxy, mark, others } = self;
        proxy.stop();
        Self::nothing_is_left(&mark);
        drop(others);
    }

    /// Kills the proxy (SIGKILL).
    pub(crate) fn kill(self) {
        assert!(!marked(&self.mark).is_empty());
        let below = self.proxy.descendants();
        kill(self.proxy.id());
        Self::nothing_is_left(&self.mark);
        until("no guardian is left", LEFTOVERS, || {
            let table = table();
            let lives = |id: u32, started: u64| table.iter().any(|p| (p.0, p.2) == (id, started));
            (!below.iter().any(|(id, started, _)| lives(*id, *started))).then_some(())
        });
    }
}

/// Sends SIGKILL.
pub(crate) fn kill(id: u32) {
    send(id, Signal::KILL);
}

/// Sends a signal.
pub(crate) fn send(id: u32, signal: Signal) {
    if let Some(pid) = i32::try_from(id).ok().and_then(Pid::from_raw) {
        let _ = kill_process(pid, signal);
    }
}

/// Processes whose variable [`OWN`] begins with `mark`. Each must carry the proxy's mark too.
fn marked(mark: &str) -> Vec<u32> {
    let own = format!("{OWN}={mark}");
    let mut found = Vec::new();
    for (id, ..) in table() {
        let has = |start: &str| {
            fs::read(format!("/proc/{id}/environ")).is_ok_and(|environment| {
                environment
                    .split(|byte| *byte == 0)
                    .any(|entry| entry.starts_with(start.as_bytes()))
            })
        };
        if has(&own) {
            // In the middle of an exec a part of the environment can be read: look again.
            let carries = (0..1_000).any(|_| has(&format!("{MARK}=")) || !has(&own));
            assert!(carries, "process {id} does not carry {MARK}");
            found.push(id);
        }
    }
    found
}

/// (process id, parent, start time) of every process that is not a zombie.
fn table() -> Vec<(u32, u32, u64)> {
    let entries = fs::read_dir("/proc").expect("this system has /proc");
    entries
        .filter_map(|entry| {
            let id: u32 = entry.ok()?.file_name().to_str()?.parse().ok()?;
            let stat = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
            let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
            let state = fields.next()?;
            let parent = fields.next()?.parse().ok()?;
            let started = fields.nth(17)?.parse().ok()?;
            (!matches!(state, "Z" | "X")).then_some((id, parent, started))
        })
        .collect()
}
