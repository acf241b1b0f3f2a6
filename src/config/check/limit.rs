//! `[limits]`: rates, numbers at a time, quotas.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::time::Duration;

use super::value;
use crate::base::Name;
use crate::config::file::{Item, Table};
use crate::config::near::nearest;
use crate::config::report::Report;
use crate::config::text::tame;
use crate::config::{Limit, Limits, Rate};

const FOREIGN: [(&str, &str); 2] =
    [("rpm", "write rate = \"60/m\""), ("rps", "write rate = \"10/s\"")];

/// The section, or its defaults. `upstreams` and `tenants` are the names that the file has;
/// tenants may also be in the store.
pub(super) fn check(
    table: Option<Table<'_>>,
    upstreams: &[&str],
    report: &mut Report<'_>,
) -> Limits {
    let mut limits = Limits::default();
    let Some(mut table) = table else { return limits };
    if let Some(item) = table.take("calls")
        && let Some(number) = item.integer(report, 1..=1_000_000)
    {
        limits.calls = usize::try_from(number).unwrap_or(limits.calls);
    }
    let scopes: [(&str, &mut Limit); 4] = [
        ("key", &mut limits.key),
        ("tenant", &mut limits.tenant),
        ("upstream", &mut limits.upstream),
        ("tool", &mut limits.tool),
    ];
    for (name, place) in scopes {
        if let Some(item) = table.take(name) {
            *place = limit(&item, report);
        }
    }
    if let Some(item) = table.take("tenants") {
        limits.tenants = named(&item, None, report);
    }
    if let Some(item) = table.take("upstreams") {
        limits.upstreams = named(&item, Some(upstreams), report);
    }
    if let Some(item) = table.take("tools") {
        limits.tools = tools(&item, upstreams, report);
    }
    table.finish(report, &[], &FOREIGN);
    limits
}

fn named(
    item: &Item<'_>,
    known: Option<&[&str]>,
    report: &mut Report<'_>,
) -> BTreeMap<Name, Limit> {
    let entries = item.table(report).into_iter().flat_map(Table::entries);
    let mut all = BTreeMap::new();
    for (text, item) in entries {
        if let Some(name) = name(text, &item, known, report) {
            all.insert(name, limit(&item, report));
        }
    }
    all
}

fn tools(
    item: &Item<'_>,
    upstreams: &[&str],
    report: &mut Report<'_>,
) -> BTreeMap<Name, Vec<(String, Limit)>> {
    let mut all = BTreeMap::new();
    for (text, item) in item.table(report).into_iter().flat_map(Table::entries) {
        let Some(name) = name(text, &item, Some(upstreams), report) else { continue };
        let patterns = item.table(report).into_iter().flat_map(Table::entries);
        let mut patterns: Vec<_> =
            patterns.map(|(pattern, item)| (pattern.to_owned(), limit(&item, report))).collect();
        // The most exact one first, whatever order the file has: TOML tables have none.
        patterns
            .sort_by_key(|(pattern, _)| (pattern.contains('*'), std::cmp::Reverse(pattern.len())));
        all.insert(name, patterns);
    }
    all
}

fn name(
    text: &str,
    item: &Item<'_>,
    known: Option<&[&str]>,
    report: &mut Report<'_>,
) -> Option<Name> {
    if let Some(known) = known
        && !known.contains(&text)
    {
        let hint = match nearest(text, known) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("its upstreams are {}", known.join(", ")),
        };
        item.key_problem(report, format!("there is no upstream `{}`", tame(text, 80)))
            .absence()
            .hint(hint);
        return None;
    }
    let name = Name::new(text).ok();
    if name.is_none() {
        item.key_problem(report, format!("`{}` is no name of a tenant", tame(text, 80)))
            .hint("use 1 to 63 of a-z, 0-9 and -");
    }
    name
}

fn limit(item: &Item<'_>, report: &mut Report<'_>) -> Limit {
    const MOST: i64 = 1_000_000_000_000;
    let mut limit = Limit::default();
    let Some(mut table) = item.table(report) else { return limit };
    limit.rate = table.take("rate").and_then(|item| rate(&item, report));
    if let Some(item) = table.take("burst") {
        let burst = item.integer(report, 1..=1_000_000).and_then(|n| u32::try_from(n).ok());
        match (&mut limit.rate, burst.and_then(NonZeroU32::new)) {
            (Some(rate), Some(burst)) => rate.burst = burst,
            (None, _) => {
                item.key_problem(report, format!("`{}` without a `rate`", item.path))
                    .hint("write rate = \"20/s\" beside it");
            }
            _ => {}
        }
    }
    if let Some(item) = table.take("concurrent") {
        let number = item.integer(report, 1..=1_000_000).and_then(|n| u32::try_from(n).ok());
        limit.concurrent = number.and_then(NonZeroU32::new);
    }
    let mut count = |key, report: &mut Report<'_>| {
        let number = table.take(key)?.integer(report, 1..=MOST)?;
        u64::try_from(number).ok()
    };
    limit.per_day = count("per_day", report);
    limit.per_month = count("per_month", report);
    limit.bytes_per_day = table
        .take("bytes_per_day")
        .and_then(|item| value::size(&item, report, ("1KiB", "1048576GiB")));
    table.finish(report, &[], &FOREIGN);
    limit
}

/// `20/s`, `100/m`, `1000/h`, `5/d`, or a longer time: `10/5m`.
fn rate(item: &Item<'_>, report: &mut Report<'_>) -> Option<Rate> {
    const HINT: &str = "write a number, a / and a time, such as \"20/s\", \"100/m\" or \"10/5m\"";
    let text = item.string(report)?;
    let read = || {
        let (count, per) = text.split_once('/')?;
        let count = count.parse().ok().and_then(NonZeroU32::new)?;
        let number = if per.starts_with(|c: char| c.is_ascii_digit()) { "" } else { "1" };
        let per = crate::base::parse_duration(&format!("{number}{per}"))?;
        // One at a time must be a time that can be counted: a nanosecond at least.
        (per > Duration::ZERO && per.as_nanos() >= u128::from(count.get())).then_some(Rate {
            count,
            per,
            burst: count,
        })
    };
    let rate = read();
    if rate.is_none() {
        item.problem(report, format!("`{}` is `{}`, no rate", item.path, tame(text, 40)))
            .hint(HINT);
    }
    rate
}
