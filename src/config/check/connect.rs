//! `[connect]`: clients of the connector doors and their callbacks.

use std::collections::BTreeMap;

use super::Surroundings;
use super::tenant::read_source;
use crate::base::redirect_trouble;
use crate::config::file::{Item, Table};
use crate::config::report::Report;
use crate::config::text::tame;
use crate::config::{Connect, ConnectClient};

/// Longest name of a client.
const LONGEST_NAME: usize = 64;
/// Longest id of a client.
const LONGEST_ID: usize = 128;
/// How ids of clients begin that registered themselves.
const MADE: &str = "mcpc_";

/// The section, or its defaults.
pub(super) fn check(
    item: Option<Item<'_>>,
    public_url: Option<&url::Url>,
    around: &Surroundings<'_>,
    report: &mut Report<'_>,
) -> Connect {
    let mut connect = Connect::default();
    let Some(item) = item else { return connect };
    let Some(mut table) = item.table(report) else { return connect };
    if let Some(list) = table.take("redirects") {
        connect.redirects = redirects(&list, report);
    }
    let clients = table.take("clients");
    if let Some(truth) = table.take("registration") {
        connect.registration = truth.boolean(report).unwrap_or(true);
    }
    if let Some(truth) = table.take("allow_private") {
        connect.allow_private = truth.boolean(report).unwrap_or(false);
    }
    let foreign = [
        ("redirect_uris", "write redirects = [\"https://…\"]"),
        ("dcr", "write registration = true or false"),
        ("client", "write a section [connect.clients.ID] for each client"),
    ];
    table.finish(report, &[], &foreign);
    let clients = clients.and_then(|item| item.table(report));
    connect.clients = self::clients(clients, around, report);
    if public_url.is_none() {
        let message = "`connect` has no effect without `public_url`";
        report
            .warning(&item.path, item.span.clone(), message)
            .hint("set public_url in [server]: OAuth needs the URL that clients use");
    }
    connect
}

fn redirects(item: &Item<'_>, report: &mut Report<'_>) -> Vec<String> {
    let mut list = Vec::new();
    for entry in item.array(report).unwrap_or_default() {
        let Some(text) = entry.string(report) else { continue };
        match redirect_trouble(text) {
            None => list.push(text.to_owned()),
            Some(trouble) => {
                let message = format!("`{}` is no callback: {trouble}", tame(text, 80));
                entry.problem(report, message).hint(
                    "write the whole URL as the client sends it, such as \"https://app.example.com/callback\"",
                );
            }
        }
    }
    list
}

fn clients(
    table: Option<Table<'_>>,
    around: &Surroundings<'_>,
    report: &mut Report<'_>,
) -> BTreeMap<String, ConnectClient> {
    let mut clients = BTreeMap::new();
    for (id, item) in table.into_iter().flat_map(Table::entries) {
        let fits = (1..=LONGEST_ID).contains(&id.len())
            && id.bytes().all(|byte| byte.is_ascii_graphic())
            && !id.starts_with(MADE)
            && !id.contains("://");
        if !fits {
            item.key_problem(report, format!("`{}` is no id for a client", tame(id, 80))).hint(
                "use 1 to 128 visible characters; mcpc_ and URLs are for clients that are not in the file",
            );
        }
        let Some(mut table) = item.table(report) else { continue };
        let name = table.take("name").and_then(|item| name(&item, report));
        let list = table.take("redirects");
        let secret = table.take("secret").and_then(|item| read_source(&item, around, report));
        table.finish(report, &[], &[("redirect_uris", "write redirects = [\"https://…\"]")]);
        let redirects = list.map(|item| self::redirects(&item, report));
        if redirects.as_ref().is_none_or(Vec::is_empty) {
            item.problem(report, format!("`{}` has no `redirects`", item.path))
                .absence()
                .hint("write redirects = [\"https://app.example.com/callback\"]");
        }
        let name = name.unwrap_or_else(|| id.to_owned());
        let redirects = redirects.unwrap_or_default();
        clients.insert(id.to_owned(), ConnectClient { name, redirects, secret });
    }
    clients
}

fn name(item: &Item<'_>, report: &mut Report<'_>) -> Option<String> {
    let text = item.string(report)?;
    let fits = (1..=LONGEST_NAME).contains(&text.chars().count());
    if !fits || text.chars().any(char::is_control) {
        item.problem(report, format!("`{}` is no name for a client", tame(text, 80)))
            .hint("use 1 to 64 visible characters; people read it when they are asked");
        return None;
    }
    Some(text.to_owned())
}
