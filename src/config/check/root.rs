//! The file as a whole, and its three small sections.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{
    admin, audit, bodies, connect, issuer, limit, profile, server, telemetry, tenant, upstream,
    value,
};
use crate::config::file::Table;
use crate::config::report::Report;
use crate::config::{Config, Made, Namespace, Seal, Store};

/// What a file means depends on this too.
#[derive(Debug)]
pub(in crate::config) struct Surroundings<'a> {
    /// The folder of the file; relative paths start here.
    pub(in crate::config) folder: &'a Path,
    /// This very executable: what `mcp-proxy` as the first word of a `command` stands for.
    pub(in crate::config) program: &'a Path,
}

/// Sections of later versions.
const LATER: [&str; 3] = ["roles", "oauth", "console"];
const FOREIGN: [(&str, &str); 4] = [
    ("otel", "write a section [telemetry]"),
    ("mcpServers", "write a section [upstreams.NAME] for each server"),
    ("mcp_servers", "write a section [upstreams.NAME] for each server"),
    ("servers", "write a section [upstreams.NAME] for each server"),
];

/// Checks every section. What it gives is of use only when the report has no problem.
pub(in crate::config) fn check(
    mut root: Table<'_>,
    around: &Surroundings<'_>,
    report: &mut Report<'_>,
) -> Config {
    let mut section = |name, report: &mut Report<'_>| root.take(name)?.table(report);
    let server = server::check(section("server", report), around, report);
    let store = store(section("store", report), around, report);
    let seal = seal(section("seal", report), around, report);
    let namespace = namespace(section("namespace", report), report);
    let table = section("upstreams", report);
    let made = Made::of(around.folder, upstream::lines(table.as_ref(), report));
    let (upstreams, declared) = upstream::check(table, &namespace, around, report);
    let profiles = profile::check(section("profiles", report), &upstreams, &declared, report);
    let audit = audit::check(section("audit", report), report);
    let names: Vec<&str> = declared.keys().copied().collect();
    let limits = limit::check(section("limits", report), &names, report);
    let mut taken = tenant::Taken::new();
    let tenants = tenant::check(section("tenants", report), &declared, &mut taken, around, report);
    let admin = admin::check(section("admin", report), &mut taken, around, report);
    let issuers = issuer::check(section("auth", report), server.public_url.as_ref(), report);
    let telemetry = telemetry::check(section("telemetry", report), around, report);
    let connect = connect::check(root.take("connect"), server.public_url.as_ref(), around, report);
    let bodies = bodies::check(root.take("bodies"), audit.enabled, report);
    root.finish(report, &LATER, &FOREIGN);
    Config {
        file: "".into(),
        revision: [0; 8],
        server,
        store,
        seal,
        namespace,
        audit,
        bodies: bodies.map(Arc::new),
        limits,
        upstreams,
        made,
        profiles,
        tenants,
        admin,
        issuers,
        connect: Arc::new(connect),
        telemetry,
    }
}

fn store(table: Option<Table<'_>>, around: &Surroundings<'_>, report: &mut Report<'_>) -> Store {
    let mut path = around.folder.join("mcp-proxy.db");
    if let Some(mut table) = table {
        path = store_path(&mut table, around, report).unwrap_or(path);
        table.finish(report, &[], &[("path", "write url = \"sqlite:PATH\"")]);
    }
    Store { path }
}

fn store_path(
    table: &mut Table<'_>,
    around: &Surroundings<'_>,
    report: &mut Report<'_>,
) -> Option<PathBuf> {
    const HINT: &str = "write url = \"sqlite:PATH\", such as \"sqlite:mcp-proxy.db\"";
    let item = table.take("url")?;
    let text = item.string(report)?;
    let rest = text.strip_prefix("sqlite:");
    if rest.is_none() {
        // The URL of a database server often has a password in it.
        item.hide(report);
    }
    let message = match rest {
        _ if text.starts_with("postgres:") || text.starts_with("postgresql:") => {
            "`store.url` names PostgreSQL, which is not in this version yet"
        }
        None => "`store.url` is no store that this version knows",
        Some("") => "`store.url` has no path",
        Some(":memory:") => "`store.url` must be a file, or keys and secrets are lost at the end",
        Some(path) if path.starts_with("//") && !path.starts_with("///") => {
            "`store.url` is a path after `sqlite:`, without `//`"
        }
        Some(path) if path.contains('\0') => "`store.url` has a NUL in it",
        Some(path) => return Some(around.folder.join(path)),
    };
    item.problem(report, message).hint(HINT);
    None
}

fn seal(table: Option<Table<'_>>, around: &Surroundings<'_>, report: &mut Report<'_>) -> Seal {
    let mut key_file = around.folder.join("mcp-proxy.key");
    if let Some(mut table) = table {
        let item = table.take("key_file");
        key_file = item.and_then(|item| value::path(&item, around, report)).unwrap_or(key_file);
        table.finish(report, &[], &[("key", "the key stands in a file: key_file = \"PATH\"")]);
    }
    Seal { key_file }
}

fn namespace(table: Option<Table<'_>>, report: &mut Report<'_>) -> Namespace {
    let mut namespace = Namespace { separator: "__".to_owned(), max_name: 48 };
    let Some(mut table) = table else { return namespace };
    if let Some(item) = table.take("separator")
        && let Some(text) = item.string(report)
    {
        let fits = text.bytes().all(|byte| matches!(byte, b'_' | b'-' | b'.'));
        if (1..=3).contains(&text.len()) && fits {
            text.clone_into(&mut namespace.separator);
        } else {
            item.problem(report, "`namespace.separator` must be 1 to 3 characters of _ - .")
                .hint("the default is \"__\", as in gh__create_issue");
        }
    }
    if let Some(item) = table.take("max_name")
        && let Some(number) = item.integer(report, 16..=128)
    {
        namespace.max_name = usize::try_from(number).unwrap_or(namespace.max_name);
    }
    table.finish(report, &[], &[]);
    namespace
}
