//! The system's process table: who descends from whom, who carries a tree's mark, and what a tree
//! uses.

use std::collections::HashMap;

use rustix::process::{Pid, Signal, kill_process};

/// Ticks of a second in `/proc/PID/stat`: fixed by the kernel's interface on every machine that we
/// build for (proc(5), USER_HZ).
const TICKS: u64 = 100;
/// KiB of a page of memory as `/proc/PID/stat` counts it, where the kernel has no larger ones.
const PAGE: u64 = 4;

/// One process, as `/proc` shows it.
struct Process {
    pid: i32,
    parent: i32,
    session: i32,
    /// Processor time of its own, and of children that it has waited for.
    ticks: u64,
    reaped: u64,
    /// When it began, in ticks since the system did.
    began: u64,
    pages: u64,
}

/// What a tree uses: the program that was started and all that it has started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Size {
    /// The program.
    pub(super) program: Option<u32>,
    /// Processes that run.
    pub(super) processes: u32,
    /// Processor time in milliseconds, also of those that have ended.
    pub(super) cpu_ms: u64,
    /// Resident memory in KiB.
    pub(super) resident: u64,
}

/// Every process that is not a zombie. Empty where there is no `/proc`.
fn processes() -> Vec<Process> {
    let Ok(entries) = std::fs::read_dir("/proc") else { return Vec::new() };
    entries
        .filter_map(|entry| {
            let pid: i32 = entry.ok()?.file_name().to_str()?.parse().ok()?;
            parse(pid, &std::fs::read(format!("/proc/{pid}/stat")).ok()?)
        })
        .collect()
}

/// Reads `pid (name) state parent group session …`; the name may hold anything, brackets too.
fn parse(pid: i32, stat: &[u8]) -> Option<Process> {
    let after = stat.iter().rposition(|byte| *byte == b')')? + 1;
    let mut fields = std::str::from_utf8(&stat[after..]).ok()?.split_ascii_whitespace();
    if matches!(fields.next()?, "Z" | "X") {
        return None;
    }
    let parent = fields.next()?.parse().ok()?;
    let session = fields.nth(1)?.parse().ok()?;
    // The fields of proc(5) from 7 on.
    let mut number = |skip| fields.nth(skip).and_then(|field| field.parse::<u64>().ok());
    let ticks = number(7).unwrap_or_default() + number(0).unwrap_or_default();
    let reaped = number(0).unwrap_or_default() + number(0).unwrap_or_default();
    let began = number(4).unwrap_or_default();
    let pages = number(1).unwrap_or_default();
    Some(Process { pid, parent, session, ticks, reaped, began, pages })
}

/// What the trees below these guardians use; of those that have ended nothing.
pub(super) fn sizes(guardians: &[u32]) -> HashMap<u32, Size> {
    let table = processes();
    let by_pid: HashMap<i32, &Process> = table.iter().map(|p| (p.pid, p)).collect();
    let mut below: HashMap<i32, Vec<&Process>> = HashMap::new();
    for process in &table {
        below.entry(process.parent).or_default().push(process);
    }
    let children = |pid: i32| below.get(&pid).into_iter().flatten().copied();
    let size = |guardian: &u32| {
        let root = *by_pid.get(&i32::try_from(*guardian).ok()?)?;
        // What was left by its parent comes to the guardian, too, and later than the program.
        let program = children(root.pid).min_by_key(|child| (child.began, child.pid));
        let (mut processes, mut ticks, mut pages) = (0, root.reaped, 0);
        let mut open: Vec<&Process> = children(root.pid).collect();
        while let Some(process) = open.pop() {
            processes += 1;
            ticks += process.ticks + process.reaped;
            pages += process.pages;
            open.extend(children(process.pid));
        }
        let program = program.and_then(|program| u32::try_from(program.pid).ok());
        Some((
            *guardian,
            Size { program, processes, cpu_ms: ticks * 1_000 / TICKS, resident: pages * PAGE },
        ))
    };
    guardians.iter().filter_map(size).collect()
}

/// Everything below `root`, children before their own children, zombies left out.
pub(super) fn descendants(root: Pid) -> Vec<Pid> {
    let table = processes();
    let mut found = vec![root.as_raw_nonzero().get()];
    let mut next = 0;
    while next < found.len() {
        let parent = found[next];
        found.extend(table.iter().filter(|p| p.parent == parent).map(|p| p.pid));
        next += 1;
    }
    found.into_iter().skip(1).filter_map(Pid::from_raw).collect()
}

/// Everything in the session that `leader` led, and everything whose environment holds `mark`
/// (`NAME=value`): what is left of a tree whose guardian was killed.
pub(super) fn remains(leader: i32, mark: &str) -> Vec<Pid> {
    processes()
        .into_iter()
        .filter(|process| {
            process.session == leader
                || std::fs::read(format!("/proc/{}/environ", process.pid)).is_ok_and(|text| {
                    text.split(|byte| *byte == 0).any(|entry| entry == mark.as_bytes())
                })
        })
        .filter_map(|process| Pid::from_raw(process.pid))
        .collect()
}

/// Sends `signal` to each; one that has ended meanwhile is no failure.
pub(super) fn signal(pids: &[Pid], signal: Signal) {
    for pid in pids {
        let _ = kill_process(*pid, signal);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_brackets_hides_nothing() {
        let process = parse(7, b"7 (a) S (b) S 3 7 5 0 -1").unwrap();
        assert_eq!((process.pid, process.parent, process.session), (7, 3, 5));
        assert!(parse(7, b"7 (a) Z 3 7 5").is_none());
        assert!(parse(7, b"7").is_none());
        let stat = b"7 (a) S 3 7 7 0 -1 4194304 1 2 3 4 100 50 7 3 20 0 9 0 12345 8192 2 1844";
        let process = parse(7, stat).unwrap();
        assert_eq!((process.ticks, process.reaped), (150, 10));
        assert_eq!((process.began, process.pages), (12_345, 2));
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn a_tree_is_measured_without_its_guardian() {
        // This process stands for a guardian: it has no program below it unless a test starts one.
        let own = std::process::id();
        let found = sizes(&[own, u32::MAX]);
        assert!(found.contains_key(&own) && found.len() == 1, "{found:?}");
    }
}
