//! `oauth` of an upstream: how a tenant logs in there.

use std::sync::Arc;

use super::reference::References;
use super::value;
use crate::config::file::{Item, Table};
use crate::config::report::Report;
use crate::config::text::tame;
use crate::config::{Grant, OAuth, Template, ToolLogin};

const LATER: [&str; 1] = ["token_exchange"];
/// The tools of upstreams with a login of their own, unless the file names others.
const TOOLS: [&str; 2] = ["auth_get_authorization_url", "auth_exchange_code"];
const FOREIGN: [(&str, &str); 6] = [
    ("scope", "write scopes = [\"SCOPE\"]"),
    ("secret", "write client_secret = \"{secret.client_secret}\""),
    ("id", "write client_id = \"ID\""),
    ("authorization_server", "write issuer = \"https://…\""),
    ("authorization_url", "take it out; the proxy finds it, or write issuer = \"https://…\""),
    ("token_url", "take it out; the proxy finds it, or write issuer = \"https://…\""),
];

/// The table, with what `allow_private` of the upstream says.
pub(super) fn check(
    item: &Item<'_>,
    allow_private: bool,
    has_url: bool,
    references: &mut References,
    report: &mut Report<'_>,
) -> Option<Arc<OAuth>> {
    if !item.is_table() {
        item.mistyped(report, "a table").hint("write oauth = {}; what it needs is found out");
        return None;
    }
    let mut table = item.table(report)?;
    let tools = tools(&mut table, has_url, report);
    let words = [
        ("authorization_code", Grant::AuthorizationCode),
        ("client_credentials", Grant::ClientCredentials),
    ];
    let grant = table.take("grant").and_then(|item| value::word(&item, report, &words));
    let grant = grant.unwrap_or(Grant::AuthorizationCode);
    let client_id = table.take("client_id").and_then(|item| references.read(&item, report));
    let mut sealed = |name, report: &mut Report<'_>| secret(&table.take(name)?, references, report);
    let client_secret = sealed("client_secret", report);
    let private_key = sealed("private_key", report);
    let key_id = table.take("key_id").and_then(|item| item.string(report).map(str::to_owned));
    let scopes = table.take("scopes").map(|item| scopes(&item, report)).unwrap_or_default();
    let issuer = table.take("issuer").and_then(|item| issuer(&item, report));
    let resource = table.take("resource").and_then(|item| resource(&item, report));
    table.finish(report, &LATER, &FOREIGN);
    let mut lack = |message: &str, hint: &str| {
        item.key_problem(report, format!("`{}` {message}", item.path)).absence().hint(hint);
    };
    let foreign = client_id.is_some()
        || client_secret.is_some()
        || private_key.is_some()
        || !scopes.is_empty()
        || issuer.is_some()
        || resource.is_some()
        || grant == Grant::ClientCredentials;
    if tools.is_some() && foreign {
        lack(
            "has style = \"tools\" and keys of a login that the proxy does itself",
            "keep `start`, `finish` and `take`; the program knows its client and its server",
        );
    }
    if !has_url && issuer.is_none() && tools.is_none() {
        lack("has no `issuer`", "a program names no authorization server: issuer = \"https://…\"");
    }
    if client_secret.is_some() && private_key.is_some() {
        lack("has `client_secret` and `private_key`", "keep the one that the client was made with");
    }
    let keyed = client_secret.is_some() || private_key.is_some();
    if keyed && client_id.is_none() {
        lack("has no `client_id`", "a secret belongs to a client: client_id = \"ID\"");
    }
    if grant == Grant::ClientCredentials && !(keyed && client_id.is_some()) {
        lack(
            "has grant = \"client_credentials\" and not what it needs",
            "write client_id = \"ID\" and client_secret or private_key = \"{secret.NAME}\"",
        );
    }
    Some(Arc::new(OAuth {
        grant,
        client_id,
        client_secret,
        private_key,
        key_id,
        scopes,
        issuer,
        resource,
        tools,
        allow_private,
    }))
}

/// `style = "tools"` with its keys.
fn tools(table: &mut Table<'_>, has_url: bool, report: &mut Report<'_>) -> Option<ToolLogin> {
    let style = table.take("style");
    let by_tools = style.as_ref().and_then(|item| {
        let words = [("standard", false), ("tools", true)];
        value::word(item, report, &words)
    });
    let mut own = |name: &'static str, report: &mut Report<'_>| {
        let item = table.take(name)?;
        if by_tools != Some(true) {
            item.key_problem(report, format!("`{}` goes only with style = \"tools\"", item.path))
                .hint("take it out, or write style = \"tools\" beside it");
        }
        tool(&item, report)
    };
    let (start, finish) = (own("start", report), own("finish", report));
    let take = own("take", report);
    let style = style.filter(|_| by_tools == Some(true))?;
    if has_url {
        style
            .problem(report, format!("`{}` = \"tools\" goes only with `command`", style.path))
            .hint("a server behind a URL is logged in to by its authorization server: oauth = {}");
    }
    let [usual, other] = TOOLS.map(str::to_owned);
    Some(ToolLogin { start: start.unwrap_or(usual), finish: finish.unwrap_or(other), take })
}

/// The name of a tool, or of a member of what it gives.
fn tool(item: &Item<'_>, report: &mut Report<'_>) -> Option<String> {
    let text = item.string(report)?;
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.' | b'/');
    if (1..=128).contains(&text.len()) && text.bytes().all(fits) {
        return Some(text.to_owned());
    }
    item.problem(report, format!("`{}` is no name of a tool", tame(text, 80)))
        .hint("use letters, digits and _ - . / as the program's own list has it");
    None
}

/// A value that stands in no file.
fn secret(
    item: &Item<'_>,
    references: &mut References,
    report: &mut Report<'_>,
) -> Option<Template> {
    item.hide(report);
    let template = references.read(item, report)?;
    if template.has_secret() {
        return Some(template);
    }
    item.problem(report, format!("`{}` is a secret in plain text", item.path))
        .hint("write \"{secret.NAME}\", and set it for each tenant with `mcp-proxy secret set`");
    None
}

fn scopes(item: &Item<'_>, report: &mut Report<'_>) -> Vec<String> {
    let mut list = Vec::new();
    for entry in item.array(report).unwrap_or_default() {
        let Some(text) = entry.string(report) else { continue };
        // RFC 6749, section 3.3.
        let good = |byte| matches!(byte, 0x21 | 0x23..=0x5b | 0x5d..=0x7e);
        if text.is_empty() || !text.bytes().all(good) {
            entry
                .problem(report, format!("`{}` is no scope", tame(text, 80)))
                .hint("write each scope as an entry of its own, without spaces and quotes");
        } else {
            list.push(text.to_owned());
        }
    }
    list
}

fn issuer(item: &Item<'_>, report: &mut Report<'_>) -> Option<url::Url> {
    let text = item.string(report)?;
    let url = url::Url::parse(text).ok().filter(|url| {
        let secure =
            url.scheme() == "https" || (url.scheme() == "http" && super::server::is_loopback(url));
        let plain = url.username().is_empty() && url.password().is_none();
        secure && plain && url.query().is_none() && url.fragment().is_none()
    });
    if url.is_none() {
        item.problem(report, format!("`{}` is no issuer", item.path)).hint(
            "write its https:// URL without a query, such as \"https://accounts.example.com\"",
        );
    }
    url
}

fn resource(item: &Item<'_>, report: &mut Report<'_>) -> Option<String> {
    let text = item.string(report)?;
    // RFC 8707, section 2.
    if url::Url::parse(text).is_ok_and(|url| url.fragment().is_none()) {
        return Some(text.to_owned());
    }
    item.problem(report, format!("`{}` is no resource", item.path))
        .hint("write an absolute URL without a # part");
    None
}
