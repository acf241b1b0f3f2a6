//! Values that several sections have: durations, sizes, paths, and one word of a few.

use std::path::PathBuf;
use std::time::Duration;

use super::Surroundings;
use crate::base::parse_duration;
use crate::config::file::Item;
use crate::config::report::Report;
use crate::config::text::tame;

/// Longest duration of the file: far beyond any use, near enough that no sum overflows.
const LONGEST: Duration = Duration::from_secs(365 * 86_400);

/// A duration such as `10m`, more than nothing and at most a year.
pub(super) fn duration(item: &Item<'_>, report: &mut Report<'_>) -> Option<Duration> {
    const HINT: &str = "write a whole number with ms, s, m, h or d, such as \"30s\" or \"10m\"";
    let Some(text) = item.as_string() else {
        item.mistyped(report, "a duration").hint(HINT);
        return None;
    };
    let duration = parse_duration(text);
    match duration {
        Some(time) if time > Duration::ZERO && time <= LONGEST => return duration,
        Some(_) => {
            item.problem(report, format!("`{}` is out of range", item.path)).hint("use 1ms to 365d")
        }
        None => item
            .problem(report, format!("`{}` is `{}`, no duration", item.path, tame(text, 40)))
            .hint(HINT),
    };
    None
}

/// A number of bytes such as `512MiB`, within the limits.
pub(super) fn size(
    item: &Item<'_>,
    report: &mut Report<'_>,
    (min, max): (&str, &str),
) -> Option<u64> {
    let hint = format!("write a whole number with KiB, MiB or GiB, {min} to {max}");
    let Some(text) = item.as_string() else {
        item.mistyped(report, "a size").hint(hint);
        return None;
    };
    let size = parse_size(text);
    let message = match size {
        Some(size) if parse_size(min) <= Some(size) && Some(size) <= parse_size(max) => {
            return Some(size);
        }
        Some(_) => format!("`{}` is out of range", item.path),
        None => format!("`{}` is `{}`, no size", item.path, tame(text, 40)),
    };
    item.problem(report, message).hint(hint);
    None
}

fn parse_size(text: &str) -> Option<u64> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let shift = match unit.trim_start_matches(' ') {
        "KiB" => 10,
        "MiB" => 20,
        "GiB" => 30,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(1 << shift)
}

/// A path; a relative one starts at the file's folder.
pub(super) fn path(
    item: &Item<'_>,
    around: &Surroundings<'_>,
    report: &mut Report<'_>,
) -> Option<PathBuf> {
    let text = item.string(report)?;
    if text.is_empty() || text.contains('\0') {
        item.problem(report, format!("`{}` is no path", item.path))
            .hint("write a path; a relative one starts at the folder of this file");
        return None;
    }
    Some(around.folder.join(text))
}

/// One of a few words, each with its meaning.
pub(super) fn word<T: Copy>(
    item: &Item<'_>,
    report: &mut Report<'_>,
    words: &[(&str, T)],
) -> Option<T> {
    let text = item.string(report)?;
    let found = words.iter().find(|(word, _)| *word == text);
    if found.is_none() {
        let words: Vec<String> = words.iter().map(|(word, _)| format!("\"{word}\"")).collect();
        let (last, others) = words.split_last().map_or(("", &[][..]), |(l, o)| (l.as_str(), o));
        item.problem(report, format!("`{}` cannot be `{}`", item.path, tame(text, 40)))
            .hint(format!("use {} or {last}", others.join(", ")));
    }
    found.map(|(_, meaning)| *meaning)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_binary_units() {
        assert_eq!(parse_size("512MiB"), Some(512 << 20));
        assert_eq!(parse_size("2 GiB"), Some(2 << 30));
        assert_eq!(parse_size("1KiB"), Some(1024));
        for wrong in ["", "1", "1MB", "MiB", "-1MiB", "99999999999999GiB", "1.5GiB"] {
            assert_eq!(parse_size(wrong), None, "{wrong}");
        }
    }
}
