//! CPU time and resident memory of a process, from /proc.

use std::fs;

/// Clock ticks per second in /proc; Linux fixes it at 100 for all programs.
const TICKS: f64 = 100.0;

/// What a process has used so far.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Usage {
    /// CPU time in user and system mode, in milliseconds, without children.
    pub(crate) cpu_ms: f64,
    /// Resident memory in KiB.
    pub(crate) resident_kib: u64,
}

/// Reads what a process has used.
///
/// # Errors
///
/// When there is no such process.
pub(crate) fn usage(pid: u32) -> Result<Usage, String> {
    let read = |file: &str| {
        let path = format!("/proc/{pid}/{file}");
        fs::read_to_string(&path).map_err(|error| format!("{path}: {error}"))
    };
    let stat = read("stat")?;
    // The command's name may hold spaces and parentheses; the numbers begin behind it.
    let fields = stat.rsplit_once(')').map_or("", |(_, fields)| fields);
    let field = |place: usize| -> f64 {
        let text = fields.split_ascii_whitespace().nth(place);
        text.and_then(|text| text.parse().ok()).unwrap_or(0.0)
    };
    let status = read("status")?;
    let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let resident = resident.and_then(|line| line.split_ascii_whitespace().next());
    Ok(Usage {
        cpu_ms: (field(11) + field(12)) * 1000.0 / TICKS,
        resident_kib: resident.and_then(|text| text.parse().ok()).unwrap_or(0),
    })
}
