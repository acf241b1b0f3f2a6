//! `[admin]`: keys of the operator, and where they count.

use super::Surroundings;
use super::command;
use super::server::address;
use super::tenant::{Holders, Taken, keys};
use crate::base::Glob;
use crate::config::file::{Item, Table};
use crate::config::report::Report;
use crate::config::{Admin, Program};

/// The section, or its defaults.
pub(super) fn check(
    table: Option<Table<'_>>,
    taken: &mut Taken,
    around: &Surroundings<'_>,
    report: &mut Report<'_>,
) -> Admin {
    let Some(mut table) = table else { return Admin::default() };
    let listen = table.take("listen").and_then(|item| address(&item, report));
    let list = table.take("keys");
    let keys = list.map(|item| keys(&item, Holders::Operator, taken, around, report));
    let programs = table.take("programs");
    let programs = programs.map(|item| self::programs(&item, around, report));
    let foreign = [("key", "write keys = [{ name = \"NAME\", env = \"VARIABLE\" }]")];
    table.finish(report, &["socket"], &foreign);
    Admin { listen, keys: keys.unwrap_or_default(), programs: programs.unwrap_or_default() }
}

/// What may be started over the API.
fn programs(item: &Item<'_>, around: &Surroundings<'_>, report: &mut Report<'_>) -> Vec<Program> {
    const HINT: &str = "write programs = [\"uvx\", [\"npx\", \"-y\", \"@scope/*\"]]";
    let mut programs = Vec::new();
    for entry in item.array(report).into_iter().flatten() {
        let words = if entry.is_array() { entry.array(report) } else { Some(vec![entry.clone()]) };
        let mut words = words.into_iter().flatten();
        let Some(first) = words.next() else {
            entry.problem(report, format!("`{}` names no program", entry.path)).hint(HINT);
            continue;
        };
        let Some(text) = first.string(report) else { continue };
        let found = command::place(text, around).filter(|name| !name.is_empty());
        let arguments: Vec<Glob> =
            words.filter_map(|word| word.string(report)).map(Glob::new).collect();
        match found {
            Some(_) if text.contains(['*', '{', '\0']) => {
                let message = format!("`{}` must be the plain name of a program", first.path);
                first.problem(report, message).hint("a * may stand in its first arguments");
            }
            Some(name) => programs.push(Program { name, arguments }),
            None => {
                first.problem(report, format!("`{}` names no program", first.path)).hint(HINT);
            }
        }
    }
    programs
}
