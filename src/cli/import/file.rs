//! The text of `mcp-proxy.toml` with the new upstreams at its end.

use toml_edit::{DocumentMut, InlineTable, Item, Table, value};

use super::convert::{Made, Source};
use crate::base::{Name, Slot};
use crate::cli::connect::{Syntax, read_toml};

/// Adds upstreams behind everything that is there.
///
/// # Errors
/// When the text is no TOML.
pub(super) fn with(text: &str, from: &str, made: &[Made]) -> Result<String, Syntax> {
    let line = if text.contains("\r\n") { "\r\n" } else { "\n" };
    let mut new = text.to_owned();
    if !new.is_empty() && !new.ends_with('\n') {
        new += line;
    }
    for upstream in made {
        let mut document = DocumentMut::new();
        let mut parent = Table::new();
        parent.set_implicit(true);
        parent.insert(upstream.name.as_str(), Item::Table(upstream.table.clone()));
        document.insert("upstreams", Item::Table(parent));
        let table = document.to_string();
        let from = from.replace(char::is_control, "?");
        new += &format!("{line}# From {from}{line}{}{line}", table.trim().replace('\n', line));
    }
    read_toml(&new)?;
    Ok(new)
}

/// Writes where the values of slots are that stand in variables, for a tenant of the file.
///
/// # Errors
/// When the tenant is written in a way that cannot be added to.
pub(super) fn with_variables(text: &str, tenant: &Name, made: &[Made]) -> Result<String, Syntax> {
    let places: Vec<(&Name, &Slot, &str)> = made
        .iter()
        .flat_map(|upstream| {
            upstream.secrets.iter().filter_map(|(slot, source)| match source {
                Source::Variable(variable) => Some((&upstream.name, slot, variable.as_str())),
                _ => None,
            })
        })
        .collect();
    if places.is_empty() {
        return Ok(text.to_owned());
    }
    let mut document = read_toml(text)?;
    let kind = || Syntax::Kind(format!("tenants.{tenant}"), "a section that can be added to");
    let section = document.get_mut("tenants").and_then(|tenants| tenants.get_mut(tenant.as_str()));
    let section = section.and_then(Item::as_table_like_mut).ok_or_else(kind)?;
    if !section.contains_key("secrets") {
        section.insert("secrets", value(InlineTable::new()));
    }
    let secrets = section.get_mut("secrets").and_then(Item::as_table_like_mut).ok_or_else(kind)?;
    for (upstream, slot, variable) in places {
        if !secrets.contains_key(upstream.as_str()) {
            secrets.insert(upstream.as_str(), value(InlineTable::new()));
        }
        let slots = secrets.get_mut(upstream.as_str()).and_then(Item::as_table_like_mut);
        let mut source = InlineTable::new();
        source.insert("env", variable.into());
        slots.ok_or_else(kind)?.insert(slot.as_str(), value(source));
    }
    let made = document.to_string().replace("\r\n", "\n");
    Ok(if text.contains("\r\n") { made.replace('\n', "\r\n") } else { made })
}
