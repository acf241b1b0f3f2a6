//! Wall time as people and log readers write it.

/// Seconds since the Unix epoch as RFC 3339 in UTC.
#[must_use]
pub fn rfc3339(seconds: u64) -> String {
    let (days, second) = (seconds / 86_400, seconds % 86_400);
    let (year, month, day) = civil(days);
    let (hour, minute) = (second / 3_600, second / 60 % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{:02}Z", second % 60)
}

/// The calendar month of a day in UTC, both counted from 1970.
#[must_use]
pub fn month_of_day(day: u64) -> u64 {
    let (year, month, _) = civil(day);
    (year - 1_970) * 12 + month - 1
}

/// Seconds from this moment to the next first of a month in UTC.
#[must_use]
pub fn seconds_to_next_month(seconds: u64) -> u64 {
    let today = seconds / 86_400;
    let this = month_of_day(today);
    let first = (1..=31).find(|more| month_of_day(today + more) != this).unwrap_or(31);
    (today + first) * 86_400 - seconds
}

/// Days since 1970-01-01 as a date.
#[must_use]
pub fn date(days: u64) -> String {
    let (year, month, day) = civil(days);
    format!("{year:04}-{month:02}-{day:02}")
}

/// Reads `2026-11-21`, which is the beginning of that day, or `2026-11-21T07:12:00Z`; gives
/// seconds since the Unix epoch. `None` for anything else, also for days that do not exist.
#[must_use]
pub fn parse_time(text: &str) -> Option<u64> {
    let number = |text: &str, length: usize| {
        let digits = text.len() == length && text.bytes().all(|byte| byte.is_ascii_digit());
        digits.then(|| text.parse::<u64>().ok()).flatten()
    };
    let (day, time) = match text.split_once('T') {
        Some((day, time)) => (day, Some(time.strip_suffix('Z')?)),
        None => (text, None),
    };
    let mut parts = day.split('-');
    let (year, month) = (number(parts.next()?, 4)?, number(parts.next()?, 2)?);
    let days = days_of(year, month, number(parts.next()?, 2)?)?;
    if parts.next().is_some() {
        return None;
    }
    let Some(time) = time else { return Some(days * 86_400) };
    let mut parts = time.split(':');
    let (hour, minute) = (number(parts.next()?, 2)?, number(parts.next()?, 2)?);
    let second = number(parts.next()?, 2)?;
    let fits = parts.next().is_none() && hour < 24 && minute < 60 && second < 60;
    fits.then_some(days * 86_400 + hour * 3_600 + minute * 60 + second)
}

/// The other way round: `civil` is asked whether the day exists.
fn days_of(year: u64, month: u64, day: u64) -> Option<u64> {
    if year < 1970 || !(1..=12).contains(&month) {
        return None;
    }
    // Years and months that begin in March, as below.
    let (year_of, month_of) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let era = year_of / 400;
    let of_era = year_of % 400;
    let of_year = (153 * month_of + 2) / 5 + day.checked_sub(1)?;
    let days = era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year;
    let days = days.checked_sub(719_468)?;
    (civil(days) == (year, month, day)).then_some(days)
}

/// Days since 1970-01-01 as year, month and day of the Gregorian calendar, counted in eras of 400
/// years that begin on the 1st of March, so that the leap day is the last of its year.
fn civil(days: u64) -> (u64, u64, u64) {
    let days = days.min(2_932_896) + 719_468;
    let (era, of_era) = (days / 146_097, days % 146_097);
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let shifted = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    (year + era * 400 + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn months_end() {
        // 2024-02-29, the last day of the 650th month.
        assert_eq!((month_of_day(19_782), month_of_day(19_783)), (649, 650));
        assert_eq!(seconds_to_next_month(1_709_164_800), 86_400);
        assert_eq!(seconds_to_next_month(0), 31 * 86_400);
    }

    #[test]
    fn times_are_the_calendar_s() {
        let known = [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_399, "2000-02-28T23:59:59Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (1_709_164_800, "2024-02-29T00:00:00Z"),
            (1_735_689_599, "2024-12-31T23:59:59Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
        ];
        for (seconds, text) in known {
            assert_eq!(rfc3339(seconds), text);
        }
        assert_eq!(rfc3339(u64::MAX)[..4], *"9999");
        for (seconds, text) in known {
            assert_eq!(parse_time(text), Some(seconds), "{text}");
            assert_eq!(parse_time(&text[..10]), Some(seconds / 86_400 * 86_400), "{text}");
            assert_eq!(date(seconds / 86_400), text[..10]);
        }
        for wrong in [
            "",
            "2026",
            "2026-02-29",
            "2026-13-01",
            "2026-1-1",
            "2026-11-21T25:00:00Z",
            "2026-11-21T10:00:00",
            "2026-11-21x",
            "1969-12-31",
            "2026-11-21T1:0:0Z",
        ] {
            assert_eq!(parse_time(wrong), None, "{wrong}");
        }
    }
}
