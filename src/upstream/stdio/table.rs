//! The system's process table: who descends from whom, and who carries a tree's mark.

use rustix::process::{Pid, Signal, kill_process};

/// One process, as `/proc` shows it.
struct Process {
    pid: i32,
    parent: i32,
    session: i32,
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
    Some(Process { pid, parent, session })
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
    }
}
