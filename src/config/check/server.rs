//! `[server]`: where and to whom the doors are open.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use super::{Surroundings, quirk, value};
use crate::config::file::{Item, Table};
use crate::config::report::Report;
use crate::config::text::tame;
use crate::config::{Server, Tls};

const LATER: [&str; 4] = ["admin", "oauth", "limits", "socket"];
const FOREIGN: [(&str, &str); 3] = [
    ("port", "write listen = \"127.0.0.1:PORT\""),
    ("address", "write listen = \"127.0.0.1:8808\""),
    ("bind", "write listen = \"127.0.0.1:8808\""),
];

/// The section, or its defaults.
pub(super) fn check(
    table: Option<Table<'_>>,
    around: &Surroundings<'_>,
    report: &mut Report<'_>,
) -> Server {
    let mut server = Server {
        listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 8808)),
        public_url: None,
        hosts: Vec::new(),
        origins: Vec::new(),
        trusted_proxies: Vec::new(),
        tls: None,
        max_body: 4 << 20,
        max_connections: 10_000,
        session_idle: Duration::from_secs(3600),
        client_quirks: Vec::new(),
    };
    let Some(mut table) = table else { return server };
    let listen = table.take("listen");
    let public = table.take("public_url");
    let before = report.count();
    if let Some(address) = listen.as_ref().and_then(|item| address(item, report)) {
        server.listen = address;
    }
    server.public_url = public.as_ref().and_then(|item| public_url(item, report));
    server.hosts = each(table.take("hosts"), report, host);
    server.origins = each(table.take("origins"), report, origin);
    server.trusted_proxies = each(table.take("trusted_proxies"), report, network);
    let tls = table.take("tls");
    server.tls = tls.as_ref().and_then(|item| self::tls(item, around, report));
    if let Some(item) = table.take("max_body")
        && let Some(size) = value::size(&item, report, ("1KiB", "1GiB"))
    {
        server.max_body = usize::try_from(size).unwrap_or(server.max_body);
    }
    if let Some(item) = table.take("max_connections")
        && let Some(number) = item.integer(report, 1..=1_000_000)
    {
        server.max_connections = usize::try_from(number).unwrap_or(server.max_connections);
    }
    if let Some(item) = table.take("session_idle")
        && let Some(time) = value::duration(&item, report)
    {
        server.session_idle = time;
    }
    if let Some(item) = table.take("client_quirks") {
        server.client_quirks = quirk::clients(&item, report);
    }
    table.finish(report, &LATER, &FOREIGN);
    // Whoever follows what we say of ourselves asks for that name. It is the operator's own, so that no
    // page of somebody else's name comes in by it.
    if let Some(url) = server.public_url.as_ref().filter(|url| !is_loopback(url))
        && let Some(host) = url.host_str()
        && !server.hosts.iter().any(|accepted| accepted == host)
    {
        server.hosts.push(host.to_owned());
    }
    if report.count() == before {
        warn(&server, listen.as_ref(), report);
    }
    server
}

fn warn(server: &Server, listen: Option<&Item<'_>>, report: &mut Report<'_>) {
    let secure = server.public_url.as_ref().is_some_and(|url| url.scheme() == "https");
    if let Some(item) = listen
        && !server.listen.ip().is_loopback()
        && server.tls.is_none()
        && !secure
    {
        let message = format!("`{}` is reached from other machines without TLS", server.listen);
        report.warning(&item.path, item.span.clone(), message).hint(
            "set tls = { cert = \"…\", key = \"…\" }, or public_url to the https:// URL of the \
             proxy in front",
        );
    }
}

pub(super) fn is_loopback(url: &url::Url) -> bool {
    match url.host() {
        Some(url::Host::Domain(name)) => name == "localhost",
        Some(url::Host::Ipv4(ip)) => ip.is_loopback(),
        Some(url::Host::Ipv6(ip)) => ip.is_loopback(),
        None => false,
    }
}

pub(super) fn address(item: &Item<'_>, report: &mut Report<'_>) -> Option<SocketAddr> {
    let text = item.string(report)?;
    let address = text.parse().ok();
    if address.is_none() {
        let message = format!("`{}` is no address to listen on", tame(text, 60));
        item.problem(report, message).hint("write IP:PORT, such as \"127.0.0.1:8808\"");
    }
    address
}

fn public_url(item: &Item<'_>, report: &mut Report<'_>) -> Option<url::Url> {
    let text = item.string(report)?;
    let url = url::Url::parse(text).ok();
    if url.as_ref().is_some_and(|url| !url.username().is_empty() || url.password().is_some()) {
        item.hide(report);
    }
    let message = match &url {
        None => format!("`{}` is no URL", tame(text, 80)),
        Some(url) if !matches!(url.scheme(), "http" | "https") => {
            "`public_url` must start with http:// or https://".to_owned()
        }
        Some(url) if !url.username().is_empty() || url.password().is_some() => {
            "`public_url` has a user or password in it".to_owned()
        }
        Some(url) if url.path() != "/" || url.query().is_some() || url.fragment().is_some() => {
            "`public_url` has more than scheme, host and port".to_owned()
        }
        Some(_) => return url,
    };
    item.problem(report, message)
        .hint("write it without path, query and user, such as \"https://mcp.example.com\"");
    None
}

/// The good ones of a list of strings.
fn each<T>(
    item: Option<Item<'_>>,
    report: &mut Report<'_>,
    read: impl Fn(&str) -> Result<T, &'static str>,
) -> Vec<T> {
    let entries = item.and_then(|item| item.array(report)).unwrap_or_default();
    let mut list = Vec::new();
    for entry in entries {
        let Some(text) = entry.string(report) else { continue };
        match read(text) {
            Ok(value) => list.push(value),
            Err(hint) => {
                let message = format!("`{}` cannot be `{}`", entry.path, tame(text, 80));
                entry.problem(report, message).hint(hint);
            }
        }
    }
    list
}

fn host(text: &str) -> Result<String, &'static str> {
    const HINT: &str = "write a host name without scheme and port, such as \"mcp.example.com\"";
    if let Ok(ip) = text.parse::<Ipv6Addr>() {
        return Ok(format!("[{ip}]"));
    }
    if text.contains('*') {
        return Err("write every host name out; there are no wildcards");
    }
    match url::Host::parse(text) {
        Ok(host) if !text.is_empty() => Ok(host.to_string()),
        _ => Err(HINT),
    }
}

fn origin(text: &str) -> Result<String, &'static str> {
    const HINT: &str =
        "write scheme://host[:port] without a path, such as \"https://app.example.com\"";
    let Some((scheme, rest)) = text.split_once("://") else { return Err(HINT) };
    if rest.is_empty() || rest.contains(['/', '?', '#', '@', '\\', '*']) || scheme.is_empty() {
        return Err(HINT);
    }
    let url = url::Url::parse(text).map_err(|_| HINT)?;
    if url.host_str().is_none_or(str::is_empty) {
        return Err(HINT);
    }
    match url.origin() {
        // Only the schemes of the web have origins by rule; others are sent as they are.
        url::Origin::Opaque(_) => Ok(text.to_ascii_lowercase()),
        origin @ url::Origin::Tuple(..) => Ok(origin.ascii_serialization()),
    }
}

fn network(text: &str) -> Result<(IpAddr, u8), &'static str> {
    const HINT: &str =
        "write an address or a network, such as \"10.0.0.7\", \"10.0.0.0/8\" or \"fd00::/8\"";
    let (address, length) = match text.split_once('/') {
        Some((address, length)) => (address, Some(length)),
        None => (text, None),
    };
    let ip: IpAddr = address.parse().map_err(|_| HINT)?;
    let (bits, width) = match ip {
        IpAddr::V4(ip) => (u128::from(ip.to_bits()) << 96, 32),
        IpAddr::V6(ip) => (ip.to_bits(), 128),
    };
    let length: u8 = match length {
        Some(text) if text.bytes().all(|byte| byte.is_ascii_digit()) => {
            text.parse().map_err(|_| HINT)?
        }
        Some(_) => return Err(HINT),
        None => width,
    };
    if length > width {
        return Err("the part after / is at most 32 for IPv4 and 128 for IPv6");
    }
    if bits.checked_shl(u32::from(length)).unwrap_or(0) != 0 {
        return Err("the bits after the prefix must be zero, as in \"10.0.0.0/8\"");
    }
    Ok((ip, length))
}

fn tls(item: &Item<'_>, around: &Surroundings<'_>, report: &mut Report<'_>) -> Option<Tls> {
    let mut table = item.table(report)?;
    let (cert, key) = (table.take("cert"), table.take("key"));
    table.finish(report, &[], &[]);
    if cert.is_none() || key.is_none() {
        let missing = if cert.is_none() { "cert" } else { "key" };
        item.key_problem(report, format!("`{}` has no `{missing}`", item.path))
            .absence()
            .hint("TLS needs both: tls = { cert = \"cert.pem\", key = \"key.pem\" }");
    }
    let cert = cert.and_then(|item| value::path(&item, around, report));
    let key = key.and_then(|item| value::path(&item, around, report));
    Some(Tls { cert: cert?, key: key? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_names_without_port_in_lower_case() {
        assert_eq!(host("MCP.Example.com").unwrap(), "mcp.example.com");
        assert_eq!(host("::1").unwrap(), "[::1]");
        assert_eq!(host("[fd00::1]").unwrap(), "[fd00::1]");
        for wrong in ["", "a:80", "https://a", "a/b", "*.example.com", "a b", "u@h"] {
            assert!(host(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn origins_are_scheme_host_and_port() {
        assert_eq!(origin("https://App.example.com:443").unwrap(), "https://app.example.com");
        assert_eq!(origin("http://a:8080").unwrap(), "http://a:8080");
        assert_eq!(origin("vscode-webview://ab12").unwrap(), "vscode-webview://ab12");
        for wrong in ["", "null", "*", "https://a/", "https://", "a.example.com", "https://u@a"] {
            assert!(origin(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn networks_have_no_bits_behind_their_prefix() {
        assert_eq!(network("10.0.0.7").unwrap(), ("10.0.0.7".parse().unwrap(), 32));
        assert_eq!(network("10.0.0.0/8").unwrap(), ("10.0.0.0".parse().unwrap(), 8));
        assert_eq!(network("fd00::/8").unwrap(), ("fd00::".parse().unwrap(), 8));
        assert_eq!(network("0.0.0.0/0").unwrap().1, 0);
        assert_eq!(network("::1").unwrap().1, 128);
        for wrong in ["", "10.0.0.1/8", "10.0.0.0/33", "::/129", "10.0.0.0/", "a/8", "1.2.3.4/+8"] {
            assert!(network(wrong).is_err(), "{wrong}");
        }
    }
}
