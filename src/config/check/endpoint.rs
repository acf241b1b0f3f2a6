//! Upstreams behind a URL: `url` and `headers`.

use std::collections::HashSet;

use http::HeaderName;

use super::reference::References;
use crate::config::file::{Item, Table};
use crate::config::report::Report;
use crate::config::text::tame;
use crate::config::{Part, Reserved, Template, Transport};

/// The transport of an HTTP upstream.
pub(super) fn check(
    url: &Item<'_>,
    headers: Option<&Item<'_>>,
    references: &mut References,
    report: &mut Report<'_>,
) -> Option<Transport> {
    let endpoint = self::url(url, references, report);
    let headers = headers.map(|item| self::headers(item, references, report));
    Some(Transport::Http { url: endpoint?, headers: headers.unwrap_or_default() })
}

/// Refuses headers: this upstream is a process.
pub(super) fn refuse(headers: Option<&Item<'_>>, report: &mut Report<'_>) {
    if let Some(item) = headers {
        item.hide(report);
        item.key_problem(report, format!("`{}` goes only with `url`", item.path))
            .hint("a process gets its values from env = { NAME = \"{secret.…}\" }");
    }
}

/// Refuses the header that a login sends itself.
pub(super) fn refuse_authorization(headers: &Item<'_>, report: &mut Report<'_>) {
    if !headers.is_table() {
        return;
    }
    for (text, item) in headers.table(report).into_iter().flat_map(Table::entries) {
        if text.eq_ignore_ascii_case("authorization") {
            item.hide(report);
            let message = format!("`{}` beside `oauth`: only one of them", item.path);
            item.key_problem(report, message)
                .hint("take it out; the token of the login is sent as `Authorization` by itself");
        }
    }
}

fn url(item: &Item<'_>, references: &mut References, report: &mut Report<'_>) -> Option<Template> {
    const HINT: &str = "write a URL such as \"https://mcp.example.com/mcp\"";
    if item.as_string().is_some_and(has_userinfo) {
        item.hide(report);
    }
    let template = references.read(item, report)?;
    let parts = template.parts();
    let lead = match parts.first() {
        Some(Part::Text(text)) => text.as_str(),
        _ => "",
    };
    let authority = lead.split_once("://").map(|(_, rest)| rest);
    if parts.len() > 1 && !authority.is_some_and(|rest| rest.contains(['/', '?'])) {
        item.problem(report, format!("`{}` has a reference before its path", item.path))
            .hint("references may stand in the path and the query, not in scheme, host or port");
        return None;
    }
    let sample: String = parts.iter().map(part_sample).collect();
    // The parser of browsers also takes `https:host` and `https:///host`; other programs do not.
    let is_plain = authority.is_some_and(|rest| !rest.starts_with('/'));
    let parsed = url::Url::parse(&sample).ok().filter(|_| is_plain);
    let blank = |char: char| char.is_whitespace() || char.is_control() || char == '\\';
    let (message, hint) = match &parsed {
        Some(url) if !matches!(url.scheme(), "http" | "https") => {
            (format!("`{}` must start with http:// or https://", item.path), HINT)
        }
        None => (format!("`{}` is no URL", item.path), HINT),
        Some(url) if !url.username().is_empty() || url.password().is_some() => (
            format!("`{}` has a user or password in it", item.path),
            "send it as headers = { Authorization = \"Basic {secret.login}\" }",
        ),
        Some(url) if url.fragment().is_some() => (
            format!("`{}` has a # part, which is never sent", item.path),
            "write %23 where a # is meant",
        ),
        Some(_) if sample.contains(blank) => {
            (format!("`{}` has a space, a control character or a \\ in it", item.path), HINT)
        }
        Some(_) => return Some(template),
    };
    item.problem(report, message).hint(hint);
    None
}

fn has_userinfo(text: &str) -> bool {
    let rest = text.split_once("://").map_or(text, |(_, rest)| rest);
    rest.split(['/', '?', '#']).next().is_some_and(|authority| authority.contains('@'))
}

fn part_sample(part: &Part) -> &str {
    match part {
        Part::Text(text) => text,
        Part::Secret(_) | Part::Tenant | Part::Key | Part::AccessToken => "x",
    }
}

fn headers(
    item: &Item<'_>,
    references: &mut References,
    report: &mut Report<'_>,
) -> Vec<(HeaderName, Template)> {
    let mut list = Vec::new();
    let mut seen = HashSet::new();
    for (text, item) in item.table(report).into_iter().flat_map(Table::entries) {
        item.hide(report);
        let name = header_name(text, &item, report);
        let value = references.read(&item, report);
        if let Some(value) = &value
            && !value.parts().iter().all(|part| part_sample(part).bytes().all(is_field_byte))
        {
            let message = format!("`{}` has a character that no header may have", item.path);
            item.problem(report, message).hint("use visible ASCII characters and spaces");
        }
        let (Some(name), Some(value)) = (name, value) else { continue };
        if seen.insert(name.clone()) {
            list.push((name, value));
        } else {
            item.key_problem(report, format!("the header `{name}` is there twice"))
                .hint("upper and lower case do not matter in a header's name");
        }
    }
    list
}

const fn is_field_byte(byte: u8) -> bool {
    matches!(byte, b'\t' | b' '..=b'~')
}

fn header_name(text: &str, item: &Item<'_>, report: &mut Report<'_>) -> Option<HeaderName> {
    let shown = tame(text, 60);
    let Ok(name) = HeaderName::from_bytes(text.as_bytes()) else {
        item.key_problem(report, format!("`{shown}` is no name of a header"))
            .hint("use letters, digits and -");
        return None;
    };
    let (message, hint) = match Reserved::of(&name) {
        None => return Some(name),
        Some(Reserved::Connection) => {
            (format!("`{shown}` belongs to one connection"), "take it out; HTTP itself sets it")
        }
        Some(Reserved::Proxy) => {
            (format!("`{shown}` is set by the proxy"), "take it out; it follows from each message")
        }
        Some(Reserved::Cookie) => (
            "`Cookie` is never sent to an upstream".to_owned(),
            "send the value in another header, such as Authorization",
        ),
    };
    item.key_problem(report, message).hint(hint);
    None
}
