//! `[tenants.NAME]`: keys and secrets that the operator wrote, by where they are found.

use std::collections::{BTreeMap, BTreeSet};

use super::upstream::Declared;
use super::{Surroundings, value};
use crate::base::{Name, Role, Scope, Scopes, Slot};
use crate::config::file::{Item, Table};
use crate::config::near::nearest;
use crate::config::report::Report;
use crate::config::text::tame;
use crate::config::{KeyDeclaration, SecretSource, TenantDeclaration};

const LATER: [&str; 6] = ["profiles", "roles", "role", "limits", "members", "oauth"];
const LATER_KEYS: [&str; 4] = ["roles", "expires", "limits", "profiles"];
const SOURCE: &str =
    "write { env = \"VARIABLE\" } or { file = \"PATH\" }; the file holds no secret";

/// Sources that keys come from, with the path of the key that uses each: the same key twice
/// would leave open whose it is.
pub(super) type Taken = Vec<(SecretSource, String)>;

/// The lines where secrets stand.
type Lines = BTreeMap<(Name, Slot), usize>;

/// Every tenant of the file.
pub(super) fn check(
    table: Option<Table<'_>>,
    upstreams: &Declared<'_>,
    taken: &mut Taken,
    around: &Surroundings<'_>,
    report: &mut Report<'_>,
) -> BTreeMap<Name, TenantDeclaration> {
    let mut tenants = BTreeMap::new();
    for (text, item) in table.into_iter().flat_map(Table::entries) {
        let name = Name::new(text).ok();
        if name.is_none() {
            item.key_problem(report, format!("`{}` is no name for a tenant", tame(text, 80)))
                .hint("use 1 to 63 of a-z, 0-9 and -");
        }
        let Some(mut table) = item.table(report) else { continue };
        let keys = table.take("keys");
        let keys = keys.map(|item| self::keys(&item, Holders::Tenant, taken, around, report));
        let secrets = table.take("secrets");
        let secrets = secrets.map(|item| self::secrets(&item, upstreams, around, report));
        table.finish(
            report,
            &LATER,
            &[("key", "write keys = [{ name = \"NAME\", env = \"VARIABLE\" }]")],
        );
        let (secrets, secret_lines) = secrets.unwrap_or_default();
        let line = report.text().position(item.key_span.start).0;
        let keys = keys.unwrap_or_default();
        let declaration = TenantDeclaration { line, keys, secrets, secret_lines };
        if let Some(name) = name {
            tenants.insert(name, declaration);
        }
    }
    tenants
}

/// Whose keys are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Holders {
    Tenant,
    Operator,
}

/// A list of keys.
pub(super) fn keys(
    item: &Item<'_>,
    holders: Holders,
    taken: &mut Taken,
    around: &Surroundings<'_>,
    report: &mut Report<'_>,
) -> Vec<KeyDeclaration> {
    if !item.is_array() {
        item.hide(report);
    }
    let mut keys: Vec<KeyDeclaration> = Vec::new();
    for entry in item.array(report).unwrap_or_default() {
        if !entry.is_table() {
            entry.hide(report);
            entry
                .mistyped(report, "a table")
                .hint("write { name = \"NAME\", env = \"VARIABLE\" }, or file = \"PATH\"");
            continue;
        }
        let Some(mut table) = entry.table(report) else { continue };
        let name = table.take("name");
        if name.is_none() {
            entry
                .problem(report, format!("`{}` has no `name`", entry.path))
                .absence()
                .hint("write { name = \"laptop\", env = \"VARIABLE\" }");
        }
        let name = name.and_then(|item| key_name(&item, &keys, report));
        let role = match (table.take("role"), holders) {
            (Some(item), Holders::Tenant) => role(&item, report),
            (Some(item), Holders::Operator) => {
                item.key_problem(report, format!("`{}` is operator here", item.path))
                    .hint("take it out; keys of tenants stand in [tenants.NAME]");
                Role::Operator
            }
            (None, Holders::Tenant) => Role::Member,
            (None, Holders::Operator) => Role::Operator,
        };
        let scopes = table.take("scopes");
        let scopes = scopes.map_or(Scopes::everything(), |item| self::scopes(&item, report));
        let source = source(&entry, table, &LATER_KEYS, around, report);
        let (Some(name), Some(source)) = (name, source) else { continue };
        if let Some((_, other)) = taken.iter().find(|(other, _)| *other == source) {
            let message = format!("`{}` is the same key as `{other}`", entry.path);
            entry.problem(report, message).hint("give each key a value of its own");
        } else {
            taken.push((source.clone(), entry.path.clone()));
        }
        let line = report.text().position(entry.span.start).0;
        keys.push(KeyDeclaration { name, source, role, scopes, line });
    }
    keys
}

pub(super) fn role(item: &Item<'_>, report: &mut Report<'_>) -> Role {
    let Some(text) = item.string(report) else { return Role::Member };
    match text.parse() {
        Ok(role @ (Role::Member | Role::Admin)) => role,
        Ok(Role::Operator) => {
            item.problem(report, "a key of a tenant cannot be the operator's")
                .hint("write keys of the operator as keys = [{ … }] in [admin]");
            Role::Member
        }
        Err(_) => {
            item.problem(report, format!("`{}` is no role", tame(text, 40)))
                .hint("write role = \"admin\" or role = \"member\"");
            Role::Member
        }
    }
}

pub(super) fn scopes(item: &Item<'_>, report: &mut Report<'_>) -> Scopes {
    let mut scopes = Vec::new();
    for entry in item.array(report).unwrap_or_default() {
        let Some(text) = entry.string(report) else { continue };
        match text.parse::<Scope>() {
            Ok(scope) => scopes.push(scope),
            Err(_) => {
                entry.problem(report, format!("`{}` is no scope", tame(text, 80))).hint(
                    "write \"profile:NAME\" or \"tool:UPSTREAM__NAME\" with * for any characters",
                );
            }
        }
    }
    if scopes.is_empty() {
        item.problem(report, format!("`{}` has no scope in it", item.path))
            .hint("without `scopes` a key may use everything of its tenant");
    }
    match Scopes::new(scopes) {
        Ok(scopes) => scopes,
        Err(error) => {
            item.problem(report, error.to_string());
            Scopes::everything()
        }
    }
}

fn key_name(item: &Item<'_>, others: &[KeyDeclaration], report: &mut Report<'_>) -> Option<String> {
    let text = item.string(report)?;
    let visible = |char: char| char == ' ' || char.is_ascii_graphic() || char.is_alphanumeric();
    if !(1..=64).contains(&text.chars().count())
        || !text.chars().all(visible)
        || text.trim() != text
    {
        item.problem(report, format!("`{}` is no name for a key", tame(text, 80)))
            .hint("use 1 to 64 visible characters");
        return None;
    }
    if others.iter().any(|other| other.name == text) {
        item.problem(report, format!("this tenant has another key named `{text}`"))
            .hint("names of keys are unique in a tenant");
    }
    Some(text.to_owned())
}

fn secrets(
    item: &Item<'_>,
    upstreams: &Declared<'_>,
    around: &Surroundings<'_>,
    report: &mut Report<'_>,
) -> (BTreeMap<(Name, Slot), SecretSource>, Lines) {
    let (mut secrets, mut lines) = (BTreeMap::new(), BTreeMap::new());
    hide_texts(item, report);
    for (upstream, item) in item.table(report).into_iter().flat_map(Table::entries) {
        hide_texts(&item, report);
        let declared = upstreams.get(upstream);
        if declared.is_none() {
            unknown_upstream(upstream, &item, upstreams, report);
        }
        let slots = declared.and_then(Option::as_ref);
        for (text, item) in item.table(report).into_iter().flat_map(Table::entries) {
            let slot = slot(text, upstream, &item, slots, report);
            let line = report.text().position(item.key_span.start).0;
            let source = read_source(&item, around, report);
            if let (Ok(name), Some(slot), Some(source)) = (Name::new(upstream), slot, source) {
                lines.insert((name.clone(), slot.clone()), line);
                secrets.insert((name, slot), source);
            }
        }
    }
    (secrets, lines)
}

fn unknown_upstream(
    name: &str,
    item: &Item<'_>,
    upstreams: &Declared<'_>,
    report: &mut Report<'_>,
) {
    let known: Vec<&str> = upstreams.keys().copied().collect();
    let hint = match nearest(name, &known) {
        Some(near) => format!("did you mean `{near}`?"),
        None if known.is_empty() => "the file has no upstreams".to_owned(),
        None => format!("its upstreams are {}", known.join(", ")),
    };
    item.key_problem(report, format!("there is no upstream `{}`", tame(name, 80)))
        .absence()
        .hint(hint);
}

fn slot(
    text: &str,
    upstream: &str,
    item: &Item<'_>,
    slots: Option<&BTreeSet<Slot>>,
    report: &mut Report<'_>,
) -> Option<Slot> {
    let Ok(slot) = Slot::new(text) else {
        item.key_problem(report, format!("`{}` is no name for a secret", tame(text, 80)))
            .hint("use 1 to 64 of A-Z, a-z, 0-9, _ . and -");
        return None;
    };
    if let Some(slots) = slots
        && !slots.contains(&slot)
    {
        let known: Vec<&str> = slots.iter().map(Slot::as_str).collect();
        let hint = match nearest(text, &known) {
            Some(near) => format!("did you mean `{near}`?"),
            None if known.is_empty() => {
                format!("nothing in [upstreams.{upstream}] says {{secret.{text}}}")
            }
            None => format!("it uses {}", known.join(", ")),
        };
        item.key_problem(report, format!("upstream `{upstream}` uses no secret `{text}`"))
            .absence()
            .hint(hint);
    }
    Some(slot)
}

/// A value that must say where the secret is.
pub(super) fn read_source(
    item: &Item<'_>,
    around: &Surroundings<'_>,
    report: &mut Report<'_>,
) -> Option<SecretSource> {
    if !item.is_table() {
        item.hide(report);
        item.mistyped(report, "a table").hint(SOURCE);
        return None;
    }
    let table = item.table(report)?;
    source(item, table, &[], around, report)
}

fn source(
    item: &Item<'_>,
    mut table: Table<'_>,
    later: &[&str],
    around: &Surroundings<'_>,
    report: &mut Report<'_>,
) -> Option<SecretSource> {
    const INLINE: [(&str, &str); 4] =
        [("value", SOURCE), ("key", SOURCE), ("secret", SOURCE), ("token", SOURCE)];
    let (env, file) = (table.take("env"), table.take("file"));
    let before = report.count();
    table.finish(report, later, &INLINE);
    match (env, file) {
        (Some(env), None) => variable(&env, report).map(SecretSource::Env),
        (None, Some(file)) => value::path(&file, around, report).map(SecretSource::File),
        (Some(_), Some(file)) => {
            file.key_problem(report, format!("`{}` has both `env` and `file`", item.path))
                .hint("keep one of them");
            None
        }
        (None, None) if report.count() > before => None,
        (None, None) => {
            item.problem(report, format!("`{}` does not say where the value is", item.path))
                .absence()
                .hint(SOURCE);
            None
        }
    }
}

fn variable(item: &Item<'_>, report: &mut Report<'_>) -> Option<String> {
    let text = item.string(report)?;
    if text.is_empty() || text.contains(['=', '\0']) {
        item.hide(report);
        item.problem(report, format!("`{}` is no name of a variable", item.path))
            .hint("write the variable's name, such as env = \"ACME_KEY\"");
        return None;
    }
    Some(text.to_owned())
}

/// Where somebody may have written a secret instead of its source.
fn hide_texts(item: &Item<'_>, report: &mut Report<'_>) {
    if !item.is_table() {
        item.hide(report);
    }
}
