//! CPU time and resident memory of processes, from /proc.

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
    /// The most that it was since `forget_peak`, in KiB.
    pub(crate) peak_kib: u64,
}

/// Reads what processes have used together.
///
/// # Errors
///
/// When one of them is not there.
pub(crate) fn usage(pids: &[u32]) -> Result<Usage, String> {
    let mut sum = Usage::default();
    for pid in pids {
        let one = of(*pid)?;
        sum.cpu_ms += one.cpu_ms;
        sum.resident_kib += one.resident_kib;
        sum.peak_kib += one.peak_kib;
    }
    Ok(sum)
}

/// From here on the peak of their memory counts anew (proc_pid_clear_refs(5)).
pub(crate) fn forget_peak(pids: &[u32]) {
    for pid in pids {
        // Where it is not permitted the peak is that of the whole life.
        let _ = fs::write(format!("/proc/{pid}/clear_refs"), "5");
    }
}

fn of(pid: u32) -> Result<Usage, String> {
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
    let kib = |name: &str| -> u64 {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        let number = line.and_then(|line| line.split_ascii_whitespace().next());
        number.and_then(|text| text.parse().ok()).unwrap_or(0)
    };
    Ok(Usage {
        cpu_ms: (field(11) + field(12)) * 1000.0 / TICKS,
        resident_kib: kib("VmRSS:"),
        peak_kib: kib("VmHWM:"),
    })
}
