//! `[upstreams.NAME]`: names, and the keys that every transport has.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use super::command::{self, ChildKeys};
use super::reference::References;
use super::{Surroundings, argument, endpoint, oauth, quirk, rules, value};
use crate::base::{Glob, Name, Slot};
use crate::config::file::{Item, Table};
use crate::config::report::Report;
use crate::config::text::tame;
use crate::config::{EraSetting, Namespace, Pattern, Share, Timing, Transport, Upstream};

/// The slots of each upstream by its name as written; `None` when that upstream has problems of
/// its own or takes any, so that nothing is said about its slots.
pub(super) type Declared<'a> = BTreeMap<&'a str, Option<BTreeSet<Slot>>>;

const LATER: [&str; 6] = ["sse", "transport", "instances", "limits", "policy", "roles"];
const FOREIGN: [(&str, &str); 10] = [
    ("allow", "write tools = { allow = [\"NAME\"] }"),
    ("deny", "write tools = { deny = [\"NAME\"] }"),
    ("pinned", "write pin = { ARGUMENT = VALUE }"),
    ("hidden", "write hide = [\"ARGUMENT\"]"),
    ("args", "write them into `command`: command = [\"PROGRAM\", \"ARGUMENT\"]"),
    ("type", "take it out; `command` or `url` says it"),
    ("timeout_ms", "write timeout = \"30s\""),
    ("tenant", "write tenants = [\"NAME\"]"),
    ("disabled", "put a # before each line of this upstream"),
    ("enabled", "put a # before each line of this upstream"),
];

/// Bytes that a tool's own name needs at least beside the prefix to stay readable.
const ROOM: usize = 16;

/// Every upstream, and what each declares.
pub(super) fn check<'a>(
    table: Option<Table<'a>>,
    namespace: &Namespace,
    around: &Surroundings<'_>,
    report: &mut Report<'_>,
) -> (BTreeMap<Name, Arc<Upstream>>, Declared<'a>) {
    let (mut upstreams, mut declared) = (BTreeMap::new(), Declared::new());
    for (text, item) in table.into_iter().flat_map(Table::entries) {
        let before = report.count();
        let name = name(text, &item, namespace, report);
        let upstream = upstream(name.clone(), &item, around, report);
        let sound = upstream.filter(|_| report.count() == before);
        // Where all are put into calls, any name may be that of an argument.
        let fixed = sound.as_ref().filter(|upstream| !upstream.all_arguments);
        declared.insert(text, fixed.map(|upstream| upstream.slots.clone()));
        if let (Some(name), Some(upstream)) = (name, sound) {
            upstreams.insert(name, Arc::new(upstream));
        }
    }
    (upstreams, declared)
}

/// Upstreams that stand in no file.
pub(in crate::config) fn alone(
    table: Option<Table<'_>>,
    namespace: &Namespace,
    around: &Surroundings<'_>,
    report: &mut Report<'_>,
) -> BTreeMap<Name, Arc<Upstream>> {
    check(table, namespace, around, report).0
}

/// The lines where upstreams stand, from 1.
pub(super) fn lines(table: Option<&Table<'_>>, report: &Report<'_>) -> BTreeMap<Name, usize> {
    let entries = table.into_iter().flat_map(Table::each);
    entries.filter_map(|(text, item)| Some((Name::new(text).ok()?, item.line(report)))).collect()
}

fn name(
    text: &str,
    item: &Item<'_>,
    namespace: &Namespace,
    report: &mut Report<'_>,
) -> Option<Name> {
    let Ok(name) = Name::new(text) else {
        item.key_problem(report, format!("`{}` is no name for an upstream", tame(text, 80)))
            .hint("use 1 to 63 of a-z, 0-9 and -");
        return None;
    };
    let separator = &namespace.separator;
    // A name that ends like the separator begins would be cut too early when a public name is
    // taken apart.
    if format!("{text}{separator}").find(separator.as_str()) != Some(text.len()) {
        let message = format!("`{text}` cannot be told from the separator `{separator}`");
        item.key_problem(report, message)
            .hint("rename it, or choose another `separator` in [namespace]");
    } else if text.len() + ROOM > namespace.max_name {
        let message = format!(
            "`{text}` leaves less than {ROOM} of the {} characters of a public name",
            namespace.max_name
        );
        report
            .warning(&item.path, item.key_span.clone(), message)
            .hint("shorten it, or raise `max_name` in [namespace]");
    }
    Some(name)
}

/// The keys of one upstream. A name that is none is stood in for by another, so that the rest is
/// checked too.
fn upstream(
    name: Option<Name>,
    item: &Item<'_>,
    around: &Surroundings<'_>,
    report: &mut Report<'_>,
) -> Option<Upstream> {
    let mut table = item.table(report)?;
    let mut references = References::default();
    let (command, url) = (table.take("command"), table.take("url"));
    let (child, headers) = (ChildKeys::take(&mut table), table.take("headers"));
    let arguments = table.take("arguments");
    let all_arguments =
        arguments.as_ref().is_some_and(|item| argument::all(item, &mut references, report));
    let arguments = arguments.filter(Item::is_table).and_then(|item| item.table(report));
    let arguments = arguments.map(|table| argument::check(table, &mut references, report));
    let mut rules = rules::of_upstream(&mut table, arguments.as_ref(), report);
    let tenants = table.take("tenants").and_then(|item| tenants(&item, report));
    let bare = table.take("bare").and_then(|item| item.boolean(report));
    let quirks = table.take("quirks");
    let login = table.take("oauth");
    let private = table.take("allow_private").and_then(|item| item.boolean(report));
    let era = table.take("era").and_then(|item| era(&item, report));
    let timing = timing(&mut table, report);
    table.finish(report, &LATER, &FOREIGN);

    match (&command, &url) {
        (Some(command), Some(url)) => {
            let message = format!("`{}` beside `{}`: only one of them", url.path, command.path);
            url.key_problem(report, message)
                .hint("`command` starts a process, `url` connects; make two upstreams of it");
        }
        (None, None) => {
            item.key_problem(report, format!("`{}` has neither `command` nor `url`", item.path))
                .absence()
                .hint("write command = [\"PROGRAM\", \"ARGUMENT\"] or url = \"https://…\"");
        }
        (Some(_), None) => endpoint::refuse(headers.as_ref(), report),
        (None, Some(_)) => child.refuse(report),
    }
    let quirks = quirks.map(|item| quirk::upstream(&item, report));
    let (has_url, has_login) = (url.is_some(), login.is_some());
    let login = login.and_then(|item| {
        references.secret.get_or_insert_with(|| item.path.clone());
        oauth::check(&item, private.unwrap_or(false), has_url, &mut references, report)
    });
    let mut share = Some(Share::Tenant);
    if let Some(tools) = login.as_ref().and_then(|login| login.tools.as_ref()) {
        // The pages use them, and no model: what they give is a credential.
        let filter = rules.tools.get_or_insert_default();
        for tool in [&tools.start, &tools.finish] {
            filter.deny.push(Pattern { glob: Glob::new(tool), line: filter.line });
        }
    }
    let stdio = command.and_then(|command| {
        share = child.share(report);
        command::check(&command, child, share, &mut references, around, report)
    });
    let http = url.and_then(|url| endpoint::check(&url, headers.as_ref(), &mut references, report));
    if let Some(headers) = headers.as_ref().filter(|_| has_login && has_url) {
        endpoint::refuse_authorization(headers, report);
    }
    judge_key(&references, share, report);
    judge_tokens(&references, login.is_some(), !has_url, report);
    let is_stdio = matches!(stdio, Some(Transport::Stdio { .. }));
    Some(Upstream {
        name: name.or_else(|| Name::new("x").ok())?,
        transport: if is_stdio { stdio? } else { http? },
        arguments: arguments.unwrap_or_default(),
        all_arguments,
        rules,
        bare: bare.unwrap_or(false),
        tenants,
        guarded: false,
        oauth: login,
        quirks: quirks.unwrap_or_default(),
        era: era.unwrap_or(EraSetting::Auto),
        timing,
        uses_tenant: references.tenant.is_some(),
        uses_key: !references.keys.is_empty(),
        slots: references.slots,
    })
}

/// Who may see it. Nobody is written by taking the upstream out.
fn tenants(item: &Item<'_>, report: &mut Report<'_>) -> Option<BTreeSet<Name>> {
    let mut tenants = BTreeSet::new();
    let before = report.count();
    for entry in item.array(report)? {
        let Some(text) = entry.string(report) else { continue };
        match Name::new(text) {
            Ok(name) => drop(tenants.insert(name)),
            Err(_) => {
                let message = format!("`{}` is no name of a tenant", tame(text, 80));
                entry.problem(report, message).hint("use 1 to 63 of a-z, 0-9 and -");
            }
        }
    }
    if tenants.is_empty() && report.count() == before {
        item.problem(report, format!("`{}` names no tenant", item.path))
            .hint("name those that see it; without the key all do");
    }
    Some(tenants)
}

fn judge_key(references: &References, share: Option<Share>, report: &mut Report<'_>) {
    if matches!(share, None | Some(Share::Session)) {
        return;
    }
    for (path, span) in &references.keys {
        report
            .value(path, span.clone(), format!("`{path}` uses {{key}} without share = \"session\""))
            .hint("a process or connection that several keys share has no key of its own");
    }
}

/// The token of a login goes into env and arguments; over HTTP it is sent by itself.
fn judge_tokens(references: &References, login: bool, program: bool, report: &mut Report<'_>) {
    for (path, span) in &references.tokens {
        let key = path.split('.').nth(2).unwrap_or_default();
        let (message, hint) = if !login {
            ("no `oauth`", "write oauth = { … }, which says where the tenant logs in")
        } else if key == "arguments" || (key == "env" && program) {
            continue;
        } else {
            ("a place that takes no token", "over HTTP it is sent as `Authorization` by itself")
        };
        let message = format!("`{path}` uses {{oauth.access_token}} and has {message}");
        report.value(path, span.clone(), message).hint(hint);
    }
}

fn era(item: &Item<'_>, report: &mut Report<'_>) -> Option<EraSetting> {
    let words = [
        ("auto", EraSetting::Auto),
        ("modern", EraSetting::Modern),
        ("legacy", EraSetting::Legacy),
    ];
    value::word(item, report, &words)
}

fn timing(table: &mut Table<'_>, report: &mut Report<'_>) -> Timing {
    let timeout = table.take("timeout");
    let mut read = |item: Option<Item<'_>>, default| {
        item.and_then(|item| value::duration(&item, report)).unwrap_or(default)
    };
    let timing = Timing {
        timeout: read(timeout.clone(), Duration::from_secs(60)),
        max_time: read(table.take("max_time"), Duration::from_secs(300)),
        start: read(table.take("start_timeout"), Duration::from_secs(60)),
        idle_stop: read(table.take("idle_stop"), Duration::from_secs(600)),
    };
    if let Some(item) = timeout.filter(|_| timing.timeout > timing.max_time) {
        report
            .warning(&item.path, item.span, "`timeout` is longer than `max_time`, which ends first")
            .hint("raise `max_time` (default 5m) or lower `timeout` (default 60s)");
    }
    timing
}
