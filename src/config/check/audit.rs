//! `[audit]`: whether and how every decision is written down.

use std::time::Duration;

use super::value;
use crate::base::parse_duration;
use crate::config::file::{Item, Table};
use crate::config::report::Report;
use crate::config::{Audit, Durable, WhenFull};

const LONGEST: Duration = Duration::from_secs(36_500 * 86_400);

/// The section, or its defaults.
pub(super) fn check(table: Option<Table<'_>>, report: &mut Report<'_>) -> Audit {
    let mut audit = Audit::default();
    let Some(mut table) = table else { return audit };
    if let Some(enabled) = table.take("enabled").and_then(|item| item.boolean(report)) {
        audit.enabled = enabled;
    }
    if let Some(item) = table.take("retention") {
        audit.retention = retention(&item, report);
    }
    let full = [("wait", WhenFull::Wait), ("refuse", WhenFull::Refuse)];
    if let Some(word) = table.take("when_full").and_then(|item| word(&item, &full, report)) {
        audit.when_full = word;
    }
    let durable = [("batch", Durable::Batch), ("call", Durable::Call)];
    if let Some(word) = table.take("durable").and_then(|item| word(&item, &durable, report)) {
        audit.durable = word;
    }
    if let Some(item) = table.take("queue")
        && let Some(number) = item.integer(report, 16..=1_000_000)
    {
        audit.queue = usize::try_from(number).unwrap_or(audit.queue);
    }
    if let Some(time) = table.take("patience").and_then(|item| value::duration(&item, report)) {
        audit.patience = time;
    }
    table.finish(report, &[], &[("path", "the audit lies beside the store of [store]")]);
    audit
}

fn retention(item: &Item<'_>, report: &mut Report<'_>) -> Option<Duration> {
    const HINT: &str = "write a number of days such as \"90d\", or \"forever\"";
    let text = item.string(report)?;
    if text == "forever" {
        return None;
    }
    let time = parse_duration(text).filter(|time| !time.is_zero() && *time <= LONGEST);
    if time.is_none() {
        item.problem(report, "`audit.retention` is no length of time").hint(HINT);
    }
    time
}

fn word<T: Copy>(item: &Item<'_>, words: &[(&str, T)], report: &mut Report<'_>) -> Option<T> {
    let text = item.string(report)?;
    let found = words.iter().find(|(word, _)| *word == text).map(|(_, value)| *value);
    if found.is_none() {
        let names: Vec<String> = words.iter().map(|(word, _)| format!("\"{word}\"")).collect();
        item.problem(report, format!("`{}` is none of its words", item.path))
            .hint(format!("use {}", names.join(" or ")));
    }
    found
}
