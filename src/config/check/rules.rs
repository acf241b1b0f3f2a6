//! Rules about what is shown: filters, names and descriptions of tools, and their arguments.

use std::collections::BTreeMap;

use crate::base::Glob;
use crate::config::file::{Item, Table};
use crate::config::report::Report;
use crate::config::text::tame;
use crate::config::{Filter, Fixed, Held, InjectedArgument, Pattern, Rules, Worded};

/// Longest description of ours in characters.
const LONGEST_DESCRIPTION: usize = 4_000;
/// Longest name of ours in bytes.
const LONGEST_NAME: usize = 64;

/// The rules of `[upstreams.NAME]`, beside its `arguments`.
pub(super) fn of_upstream(
    table: &mut Table<'_>,
    arguments: Option<&BTreeMap<String, InjectedArgument>>,
    report: &mut Report<'_>,
) -> Rules {
    let pin = table.take("pin");
    let mut rules = filters(table, report);
    of_tools(table, pin.as_ref(), &mut rules, report);
    let both = rules.pin.keys().find(|name| arguments.is_some_and(|own| own.contains_key(*name)));
    if let (Some(name), Some(pin)) = (both, pin) {
        let message = format!("`{}` and `arguments` both fill in `{}`", pin.path, tame(name, 60));
        pin.key_problem(report, message).hint("keep one of them");
    }
    rules
}

/// The rules of one upstream in a profile.
pub(super) fn of_member(item: &Item<'_>, report: &mut Report<'_>) -> Rules {
    let Some(mut table) = item.table(report) else { return Rules::default() };
    let pin = table.take("pin");
    let mut rules = filters(&mut table, report);
    of_tools(&mut table, pin.as_ref(), &mut rules, report);
    let elsewhere = "say it of the upstream itself, in [upstreams.NAME]";
    let foreign = [("url", elsewhere), ("command", elsewhere), ("arguments", elsewhere)];
    table.finish(report, &["limits"], &foreign);
    rules
}

/// `tools`, `prompts`, `resources` and `read_only`.
pub(super) fn filters(table: &mut Table<'_>, report: &mut Report<'_>) -> Rules {
    let mut filter = |key, report: &mut Report<'_>| filter(&table.take(key)?, report);
    let (tools, prompts) = (filter("tools", report), filter("prompts", report));
    let resources = filter("resources", report);
    let read_only = table
        .take("read_only")
        .and_then(|item| item.boolean(report).filter(|only| *only).map(|_| item.line(report)));
    Rules { tools, prompts, resources, read_only, ..Rules::default() }
}

fn filter(item: &Item<'_>, report: &mut Report<'_>) -> Option<Filter> {
    if item.is_array() {
        item.mistyped(report, "a table").hint("write { allow = [\"NAME\"] }; * is any text");
        return None;
    }
    let mut table = item.table(report)?;
    let (allow, deny) = (table.take("allow"), table.take("deny"));
    table.finish(
        report,
        &[],
        &[("include", "write allow = [\"NAME\"]"), ("exclude", "write deny = [\"NAME\"]")],
    );
    let allow = match allow {
        Some(item) => Some(patterns(&item, report)?),
        None => None,
    };
    let deny = match deny {
        Some(item) => patterns(&item, report)?,
        None => Vec::new(),
    };
    Some(Filter { allow, deny, line: item.line(report) })
}

fn patterns(item: &Item<'_>, report: &mut Report<'_>) -> Option<Vec<Pattern>> {
    let mut patterns = Vec::new();
    for entry in item.array(report)? {
        match entry.string(report) {
            Some("") => {
                entry
                    .problem(report, format!("`{}` is empty", entry.path))
                    .hint("write a name as the upstream gives it; * is any text");
            }
            Some(text) => {
                patterns.push(Pattern { glob: Glob::new(text), line: entry.line(report) });
            }
            None => {}
        }
    }
    Some(patterns)
}

/// `rename`, `describe`, `pin` and `hide`.
fn of_tools(
    table: &mut Table<'_>,
    pin: Option<&Item<'_>>,
    rules: &mut Rules,
    report: &mut Report<'_>,
) {
    if let Some(item) = table.take("rename") {
        rules.rename = rename(&item, report).unwrap_or_default();
    }
    if let Some(item) = table.take("describe") {
        rules.describe = describe(&item, report).unwrap_or_default();
    }
    if let Some(item) = pin {
        item.hide(report);
        rules.pin = self::pin(item, report).unwrap_or_default();
    }
    if let Some(item) = table.take("hide") {
        rules.hide = hide(&item, report).unwrap_or_default();
        if let Some(name) = rules.hide.keys().find(|name| rules.pin.contains_key(*name)) {
            let message = format!("`{}` and `pin` both speak of `{}`", item.path, tame(name, 60));
            item.key_problem(report, message).hint("a pinned argument is hidden anyway");
        }
    }
}

/// True for a name that every client takes.
fn is_name(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    (1..=LONGEST_NAME).contains(&text.len()) && text.bytes().all(allowed)
}

fn rename(item: &Item<'_>, report: &mut Report<'_>) -> Option<BTreeMap<String, Worded>> {
    let mut names: BTreeMap<String, Worded> = BTreeMap::new();
    for (tool, item) in item.table(report)?.entries() {
        let Some(text) = item.string(report) else { continue };
        if !is_name(text) {
            item.problem(report, format!("`{}` is no name for a tool", item.path))
                .hint("use 1 to 64 of A-Z, a-z, 0-9, _ and -, without the upstream's prefix");
            continue;
        }
        if let Some((other, _)) = names.iter().find(|(_, name)| name.text == text) {
            let message =
                format!("`{}` and `{}` would both be `{text}`", tame(other, 60), tame(tool, 60));
            item.problem(report, message).hint("give each tool a name of its own");
            continue;
        }
        let line = item.line(report);
        names.insert(tool.to_owned(), Worded { text: text.to_owned(), line });
    }
    Some(names)
}

fn describe(item: &Item<'_>, report: &mut Report<'_>) -> Option<BTreeMap<String, Worded>> {
    let mut texts = BTreeMap::new();
    for (tool, item) in item.table(report)?.entries() {
        let Some(text) = item.string(report) else { continue };
        if !(1..=LONGEST_DESCRIPTION).contains(&text.chars().count()) {
            item.problem(report, format!("`{}` is empty or too long", item.path))
                .hint(format!("write 1 to {LONGEST_DESCRIPTION} characters"));
            continue;
        }
        let line = item.line(report);
        texts.insert(tool.to_owned(), Worded { text: text.to_owned(), line });
    }
    Some(texts)
}

fn pin(item: &Item<'_>, report: &mut Report<'_>) -> Option<BTreeMap<String, Fixed>> {
    let mut pins = BTreeMap::new();
    for (name, item) in item.table(report)?.entries() {
        if let Some(fixed) = fixed(&item, report) {
            pins.insert(name.to_owned(), fixed);
        }
    }
    Some(pins)
}

fn fixed(item: &Item<'_>, report: &mut Report<'_>) -> Option<Fixed> {
    let line = item.line(report);
    let (value, tools) = if item.is_table() {
        let mut table = item.table(report)?;
        let (value, tools) = (table.take("value"), table.take("tools"));
        table.finish(report, &[], &[]);
        let Some(value) = value else {
            item.key_problem(report, format!("`{}` has no `value`", item.path))
                .absence()
                .hint("write { value = VALUE, tools = [\"TOOL\"] }; also around a table");
            return None;
        };
        let tools = match tools {
            Some(tools) => Some(globs(&tools, report)?),
            None => None,
        };
        (value, tools)
    } else {
        (item.clone(), None)
    };
    if value.as_string().is_some_and(|text| text.contains("{secret.")) {
        value
            .problem(
                report,
                format!("`{}` is a constant, and no secret is put into it", value.path),
            )
            .hint("write it into `arguments` of the upstream");
        return None;
    }
    Some(Fixed { json: value.json(report)?.to_string(), tools, line })
}

fn hide(item: &Item<'_>, report: &mut Report<'_>) -> Option<BTreeMap<String, Held>> {
    let mut held = BTreeMap::new();
    if item.is_array() {
        for entry in item.array(report)? {
            let Some(name) = entry.string(report) else { continue };
            held.insert(name.to_owned(), Held { tools: None, line: entry.line(report) });
        }
        return Some(held);
    }
    if !item.is_table() {
        item.mistyped(report, "a list or a table")
            .hint("write hide = [\"ARGUMENT\"], or { ARGUMENT = [\"TOOL\"] } for some tools");
        return None;
    }
    for (name, item) in item.table(report)?.entries() {
        if let Some(tools) = globs(&item, report) {
            held.insert(name.to_owned(), Held { tools: Some(tools), line: item.line(report) });
        }
    }
    Some(held)
}

fn globs(item: &Item<'_>, report: &mut Report<'_>) -> Option<Vec<Glob>> {
    let globs: Vec<_> = patterns(item, report)?.into_iter().map(|pattern| pattern.glob).collect();
    if globs.is_empty() {
        item.problem(report, format!("`{}` names no tool", item.path))
            .hint("write the tools' own names, without the prefix; * is any text");
        return None;
    }
    Some(globs)
}
