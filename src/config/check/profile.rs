//! `[profiles.NAME]`: which upstreams, and what of them.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::rules;
use super::upstream::Declared;
use crate::base::Name;
use crate::config::file::{Item, Table};
use crate::config::near::nearest;
use crate::config::report::Report;
use crate::config::text::tame;
use crate::config::{Profile, Rules, Upstream};

const LATER: [&str; 4] = ["limits", "roles", "search", "audit"];
const FOREIGN: [(&str, &str); 6] = [
    ("servers", "write upstreams = [\"NAME\"]"),
    ("upstream", "write upstreams = [\"NAME\"]"),
    ("rename", "write [profiles.NAME.upstreams.UPSTREAM] and say it there"),
    ("describe", "write [profiles.NAME.upstreams.UPSTREAM] and say it there"),
    ("pin", "write [profiles.NAME.upstreams.UPSTREAM] and say it there"),
    ("hide", "write [profiles.NAME.upstreams.UPSTREAM] and say it there"),
];
const UPSTREAMS: &str =
    "write upstreams = [\"NAME\"], or sections [profiles.NAME.upstreams.UPSTREAM] with rules";

/// Every profile of the file.
pub(super) fn check(
    table: Option<Table<'_>>,
    upstreams: &BTreeMap<Name, Arc<Upstream>>,
    declared: &Declared<'_>,
    report: &mut Report<'_>,
) -> BTreeMap<Name, Arc<Profile>> {
    let mut profiles = BTreeMap::new();
    for (text, item) in table.into_iter().flat_map(Table::entries) {
        let name = Name::new(text).ok();
        if name.is_none() {
            item.key_problem(report, format!("`{}` is no name for a profile", tame(text, 80)))
                .hint("use 1 to 63 of a-z, 0-9 and -");
        }
        let line = item.line(report);
        let Some(mut table) = item.table(report) else { continue };
        let members = table.take("upstreams");
        let rules = rules::filters(&mut table, report);
        table.finish(report, &LATER, &FOREIGN);
        let Some(members) = members else {
            item.key_problem(report, format!("`{}` has no `upstreams`", item.path))
                .absence()
                .hint(UPSTREAMS);
            continue;
        };
        let members = self::members(&members, upstreams, declared, report);
        if let Some(name) = name {
            let profile = Profile { name: name.clone(), upstreams: members, rules, line };
            profiles.insert(name, Arc::new(profile));
        }
    }
    profiles
}

/// One that stands in no file, beside these upstreams; it may name the `known` ones.
pub(in crate::config) fn alone(
    table: Option<Table<'_>>,
    upstreams: &BTreeMap<Name, Arc<Upstream>>,
    known: &[&Name],
    report: &mut Report<'_>,
) -> Option<Profile> {
    let declared: Declared<'_> = known.iter().map(|name| (name.as_str(), None)).collect();
    let found = check(table, upstreams, &declared, report).into_values().next();
    found.map(Arc::unwrap_or_clone)
}

fn members(
    item: &Item<'_>,
    upstreams: &BTreeMap<Name, Arc<Upstream>>,
    declared: &Declared<'_>,
    report: &mut Report<'_>,
) -> BTreeMap<Name, Rules> {
    let mut members = BTreeMap::new();
    let before = report.count();
    if item.is_array() {
        for entry in item.array(report).unwrap_or_default() {
            let Some(text) = entry.string(report) else { continue };
            if let Some(name) = known(text, &entry, declared, report) {
                members.insert(name, Rules::default());
            }
        }
    } else if item.is_table() {
        for (text, item) in item.table(report).into_iter().flat_map(Table::entries) {
            let name = known(text, &item, declared, report);
            let rules = rules::of_member(&item, report);
            if let Some(upstream) = name.as_ref().and_then(|name| upstreams.get(name)) {
                against(upstream, &rules, &item, report);
            }
            members.extend(name.map(|name| (name, rules)));
        }
    } else {
        item.mistyped(report, "a list or a table").hint(UPSTREAMS);
        return members;
    }
    if members.is_empty() && report.count() == before {
        item.problem(report, format!("`{}` names no upstream", item.path))
            .absence()
            .hint(UPSTREAMS);
    }
    members
}

fn known(
    text: &str,
    item: &Item<'_>,
    declared: &Declared<'_>,
    report: &mut Report<'_>,
) -> Option<Name> {
    if declared.contains_key(text) {
        return Name::new(text).ok();
    }
    let known: Vec<&str> = declared.keys().copied().collect();
    let hint = match nearest(text, &known) {
        Some(near) => format!("did you mean `{near}`?"),
        None if known.is_empty() => "the file has no upstreams".to_owned(),
        None => format!("its upstreams are {}", known.join(", ")),
    };
    item.key_problem(report, format!("there is no upstream `{}`", tame(text, 80)))
        .absence()
        .hint(hint);
    None
}

/// A profile narrows: what the upstream's own entry fixes, it cannot fix otherwise.
fn against(upstream: &Upstream, rules: &Rules, item: &Item<'_>, report: &mut Report<'_>) {
    let own = |name: &String| {
        upstream.rules.pin.contains_key(name) || upstream.arguments.contains_key(name)
    };
    if let Some(name) = rules.pin.keys().find(|name| own(name)) {
        let message = format!(
            "`{}.pin` speaks of `{}`, which [upstreams.{}] fills in already",
            item.path,
            tame(name, 60),
            upstream.name
        );
        item.key_problem(report, message).hint("take it out; a profile narrows, and never widens");
    }
    let others = upstream.rules.rename.iter().filter(|(tool, _)| !rules.rename.contains_key(*tool));
    for (tool, worded) in others {
        if let Some((own, _)) = rules.rename.iter().find(|(_, name)| name.text == worded.text) {
            let message = format!(
                "`{}` and `{}` would both be `{}`",
                tame(tool, 60),
                tame(own, 60),
                worded.text
            );
            item.key_problem(report, message).hint(format!(
                "[upstreams.{}] gives the name to the first one; choose another for the second",
                upstream.name
            ));
        }
    }
}
