//! The process itself, by the names that every Prometheus client uses, and the processes below it.

use std::collections::{BTreeMap, BTreeSet};

use rustix::process::{Resource, getrlimit};

use super::page::{Kind, Page};

/// Ticks of a second in `/proc/PID/stat`: fixed by the kernel's interface on every machine that we
/// build for (proc(5), USER_HZ).
const TICKS: f64 = 100.0;
/// Bytes of a page of memory as `/proc/PID/stat` counts it, where the kernel has no larger ones.
const PAGE: u64 = 4096;

/// What `/proc/PID/stat` says of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stat {
    parent: u32,
    ticks: u64,
    virtual_bytes: u64,
    resident_pages: u64,
    threads: u64,
}

/// Reads `pid (name) state parent …`; the name may hold anything, brackets too.
fn parse(stat: &[u8]) -> Option<Stat> {
    let after = stat.iter().rposition(|byte| *byte == b')')? + 1;
    let fields: Vec<&str> =
        std::str::from_utf8(&stat[after..]).ok()?.split_ascii_whitespace().collect();
    // Field 3 of proc(5), the state, is the first one here.
    let number = |field: usize| fields.get(field - 3)?.parse::<u64>().ok();
    if matches!(*fields.first()?, "Z" | "X") {
        return None;
    }
    Some(Stat {
        parent: u32::try_from(number(4)?).ok()?,
        ticks: number(14)? + number(15)?,
        threads: number(20)?,
        virtual_bytes: number(23)?,
        resident_pages: number(24)?,
    })
}

/// Writes what the process uses. `started` is in seconds since the Unix epoch. What the system
/// does not tell is left out.
pub fn process(page: &mut Page, started: f64) {
    let (counter, gauge) = (Kind::Counter, Kind::Gauge);
    page.single(
        "process_start_time_seconds",
        gauge,
        "When the process began, in seconds since the Unix epoch.",
        started,
    );
    if let Some(bytes) = crate::telemetry::resident_memory() {
        let help = "Resident memory in bytes.";
        page.single("process_resident_memory_bytes", gauge, help, bytes);
    }
    if let Some(stat) = std::fs::read("/proc/self/stat").ok().and_then(|stat| parse(&stat)) {
        #[expect(clippy::cast_precision_loss, reason = "a float is what is shown")]
        let seconds = stat.ticks as f64 / TICKS;
        let help = "Processor time of the process in seconds.";
        page.single("process_cpu_seconds_total", counter, help, seconds);
        let help = "Address space in bytes.";
        page.single("process_virtual_memory_bytes", gauge, help, stat.virtual_bytes);
        page.single("process_threads", gauge, "Threads.", stat.threads);
    }
    if let Ok(entries) = std::fs::read_dir("/proc/self/fd") {
        // One of them is that of the folder which is read.
        let open = entries.count().saturating_sub(1);
        page.single("process_open_fds", gauge, "Open file descriptors.", open);
    }
    if let Some(most) = getrlimit(Resource::Nofile).current {
        page.single("process_max_fds", gauge, "Most open file descriptors.", most);
    }
}

/// Processor time of this process in milliseconds, and its threads; nothing where the system does
/// not tell.
#[must_use]
pub fn own_use() -> Option<(u64, u64)> {
    let stat = parse(&std::fs::read("/proc/self/stat").ok()?)?;
    // A tick is a hundredth of a second.
    Some((stat.ticks * 10, stat.threads))
}

/// Processes and resident bytes of each group of trees, by the roots of the trees.
pub(super) fn trees<'a>(
    groups: impl IntoIterator<Item = (&'a str, BTreeSet<u32>)>,
) -> BTreeMap<&'a str, (u64, u64)> {
    let groups: Vec<_> = groups.into_iter().collect();
    let table =
        if groups.iter().all(|(_, roots)| roots.is_empty()) { BTreeMap::new() } else { table() };
    let mut below: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
    for (pid, stat) in &table {
        below.entry(stat.parent).or_default().push(*pid);
    }
    let size = |roots: BTreeSet<u32>| {
        let mut seen = roots.clone();
        let mut open: Vec<u32> = roots.into_iter().collect();
        let (mut count, mut bytes) = (0, 0);
        while let Some(pid) = open.pop() {
            if let Some(stat) = table.get(&pid) {
                count += 1;
                bytes += stat.resident_pages * PAGE;
            }
            open.extend(below.get(&pid).into_iter().flatten().filter(|pid| seen.insert(**pid)));
        }
        (count, bytes)
    };
    groups.into_iter().map(|(name, roots)| (name, size(roots))).collect()
}

/// Every process that is not a zombie. Empty where there is no `/proc`.
fn table() -> BTreeMap<u32, Stat> {
    let Ok(entries) = std::fs::read_dir("/proc") else { return BTreeMap::new() };
    entries
        .filter_map(|entry| {
            let pid: u32 = entry.ok()?.file_name().to_str()?.parse().ok()?;
            Some((pid, parse(&std::fs::read(format!("/proc/{pid}/stat")).ok()?)?))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::metrics::Form;

    #[test]
    fn a_name_with_brackets_hides_nothing() {
        let stat =
            b"7 (a) S (b) S 3 7 7 0 -1 4194304 1 2 3 4 100 50 0 0 20 0 9 0 12345 8192 2 1844";
        let stat = parse(stat).unwrap();
        let wanted =
            Stat { parent: 3, ticks: 150, virtual_bytes: 8192, resident_pages: 2, threads: 9 };
        assert_eq!(stat, wanted);
        assert!(parse(b"7 (a) Z 3 7 7").is_none() && parse(b"7").is_none());
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn this_process_is_shown_as_every_client_shows_it() {
        let mut page = Page::new(Form::Plain);
        process(&mut page, 1.5);
        let text = page.finish();
        for name in [
            "process_start_time_seconds",
            "process_resident_memory_bytes",
            "process_cpu_seconds_total",
            "process_virtual_memory_bytes",
            "process_open_fds",
            "process_max_fds",
        ] {
            assert!(
                text.lines().any(|line| line.starts_with(&format!("{name} "))),
                "{name}: {text}"
            );
        }
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn a_tree_is_counted_from_its_root() {
        let own = std::process::id();
        let trees = trees([("a", BTreeSet::from([own])), ("b", BTreeSet::new())]);
        assert!(trees["a"].0 >= 1 && trees["a"].1 > 0);
        assert_eq!(trees["b"], (0, 0));
    }
}
