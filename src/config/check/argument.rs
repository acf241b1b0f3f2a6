//! `arguments`: values put into tool calls and hidden from the model.

use std::collections::{BTreeMap, BTreeSet};

use super::reference::References;
use crate::config::InjectedArgument;
use crate::config::file::{Item, Table};
use crate::config::report::Report;

/// True for `arguments = "all"`. Anything else but a table is a problem.
pub(super) fn all(item: &Item<'_>, references: &mut References, report: &mut Report<'_>) -> bool {
    if item.is_table() {
        return false;
    }
    if item.as_string() == Some("all") {
        references.secret.get_or_insert_with(|| item.path.clone());
        return true;
    }
    // Maybe a secret in the wrong place.
    item.hide(report);
    item.problem(report, format!("`{}` is neither a table nor \"all\"", item.path)).hint(
        "write { ARGUMENT = \"{secret.NAME}\" }, or \"all\" for every secret whose name a tool's schema has",
    );
    false
}

/// `{ property = "template" }` or `{ property = { value = "template", tools = ["name"] } }`.
pub(super) fn check(
    table: Table<'_>,
    references: &mut References,
    report: &mut Report<'_>,
) -> BTreeMap<String, InjectedArgument> {
    let mut arguments = BTreeMap::new();
    for (name, item) in table.entries() {
        if name.is_empty() {
            item.key_problem(report, "an argument has a name")
                .hint("write the property of the tool's input that gets the value");
        } else if let Some(argument) = argument(&item, references, report) {
            arguments.insert(name.to_owned(), argument);
        }
    }
    arguments
}

fn argument(
    item: &Item<'_>,
    references: &mut References,
    report: &mut Report<'_>,
) -> Option<InjectedArgument> {
    if !item.is_table() {
        item.hide(report);
        let value = references.read(item, report)?;
        return Some(InjectedArgument { value, tools: None });
    }
    let mut table = item.table(report)?;
    let (value, tools) = (table.take("value"), table.take("tools"));
    table.finish(report, &[], &[]);
    if let Some(value) = &value {
        value.hide(report);
    } else {
        item.key_problem(report, format!("`{}` has no `value`", item.path))
            .absence()
            .hint("write { value = \"{secret.NAME}\", tools = [\"TOOL\"] }");
    }
    let tools = match tools {
        Some(tools) => Some(self::tools(&tools, report)?),
        None => None,
    };
    Some(InjectedArgument { value: references.read(&value?, report)?, tools })
}

fn tools(item: &Item<'_>, report: &mut Report<'_>) -> Option<BTreeSet<String>> {
    let mut names = BTreeSet::new();
    for entry in item.array(report)? {
        match entry.string(report) {
            Some("") => {
                entry
                    .problem(report, format!("`{}` is empty", entry.path))
                    .hint("write the tool's own name, without the prefix");
            }
            Some(name) => {
                names.insert(name.to_owned());
            }
            None => {}
        }
    }
    if names.is_empty() {
        item.problem(report, format!("`{}` names no tool", item.path))
            .hint("without `tools` the value goes to each tool that has the property");
        return None;
    }
    Some(names)
}
