//! Durations as people write them in the file: `500ms`, `30s`, `10m`, `2h`, `7d`.

use std::time::Duration;

/// Reads `<whole number><ms|s|m|h|d>`. Gives `None` for anything else, also for overflow.
///
/// ```
/// # use mcp_proxy::base::parse_duration;
/// # use std::time::Duration;
/// assert_eq!(parse_duration("10m"), Some(Duration::from_secs(600)));
/// assert_eq!(parse_duration("10"), None);
/// ```
#[must_use]
pub fn parse_duration(text: &str) -> Option<Duration> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let number: u64 = number.parse().ok()?;
    let milliseconds = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return None,
    };
    number.checked_mul(milliseconds).map(Duration::from_millis)
}
