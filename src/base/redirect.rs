//! Callbacks of OAuth clients: which texts can be one, and when two mean the same.

use std::net::{Ipv4Addr, Ipv6Addr};

use url::{Host, Url};

/// Longest callback in bytes.
const LONGEST: usize = 2_048;
/// Schemes that a browser runs or reads itself.
const OWN: [&str; 12] = [
    "javascript",
    "data",
    "vbscript",
    "file",
    "filesystem",
    "blob",
    "about",
    "view-source",
    "ws",
    "wss",
    "ftp",
    "intent",
];

/// Why a text cannot be a callback; `None` for one that can.
#[must_use]
pub fn redirect_trouble(text: &str) -> Option<&'static str> {
    if text.len() > LONGEST || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Some("it is too long, or has something else than visible ASCII characters in it");
    }
    // Browsers read these as a slash, or as the end of a host.
    if text.contains(['\\', '"', '<', '>', '`', '{', '}', '|', '^']) {
        return Some("it has a character in it that must be percent-encoded");
    }
    let Ok(url) = Url::parse(text) else { return Some("it is no absolute URL") };
    if text.contains('#') {
        return Some("it has a fragment, in which the code would be lost");
    }
    if !url.username().is_empty() || url.password().is_some() || text_has_user(text) {
        return Some("it has a user or password in it");
    }
    match url.scheme() {
        "https" if url.host_str().is_some_and(|host| !host.is_empty()) => None,
        "http" if is_loopback(&url) => None,
        "http" => Some("http is for loopback only; use https"),
        scheme if OWN.contains(&scheme) => Some("a browser would not leave for this scheme"),
        "https" => Some("it has no host"),
        _ => None,
    }
}

/// An `@` before the path, also an empty user, which URL parsers drop.
fn text_has_user(text: &str) -> bool {
    let rest = text.split_once("://").map_or("", |(_, rest)| rest);
    rest.split(['/', '?']).next().unwrap_or_default().contains('@')
}

/// Whether a URL leads to the very machine of the browser, in one of the spellings of RFC 8252.
#[must_use]
pub fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(address)) => address == Ipv4Addr::LOCALHOST,
        Some(Host::Ipv6(address)) => address == Ipv6Addr::LOCALHOST,
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    }
}

/// Whether `asked` is the callback `known`: the same text, but that on loopback the port is what
/// the system gave (RFC 8252, section 7.3).
#[must_use]
pub fn same_redirect(known: &str, asked: &str) -> bool {
    if known == asked {
        return true;
    }
    // As they are written: a parser takes dots out of paths, and two texts become one.
    let (Some(one), Some(other)) = (loopback(known), loopback(asked)) else { return false };
    one == other
}

/// Host and path of a callback on loopback, without the port between them.
fn loopback(text: &str) -> Option<(&str, &str)> {
    let url = Url::parse(text).ok()?;
    if url.scheme() != "http" || !is_loopback(&url) || redirect_trouble(text).is_some() {
        return None;
    }
    let rest = text.strip_prefix("http://")?;
    let (authority, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
    let host = match authority.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
        _ => authority,
    };
    Some((host, path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn callbacks_are_https_loopback_or_of_an_app() {
        for good in [
            "https://claude.ai/api/mcp/auth_callback",
            "http://127.0.0.1:1/cb",
            "http://localhost/cb?x=1",
            "http://[::1]:9/cb",
            "cursor://anysphere.cursor-mcp/oauth/callback",
        ] {
            assert_eq!(redirect_trouble(good), None, "{good}");
        }
        for wrong in [
            "",
            "/cb",
            "claude.ai/cb",
            "http://claude.ai/cb",
            "https://",
            "https://a/#",
            "https://a/#x",
            "https://u@a/",
            "https://u:p@a/",
            "https://@a/",
            "javascript:alert(1)",
            "data:text/html,x",
            "file:///etc/passwd",
            "https://a/ b",
            "https://a\\@b/",
            "http://127.0.0.1.evil.com/",
            "http://127.0.0.2/",
            "https://é/",
            "view-source:https://a/",
        ] {
            assert!(redirect_trouble(wrong).is_some(), "{wrong}");
        }
    }

    #[test]
    fn only_the_port_of_loopback_may_differ() {
        assert!(same_redirect("http://127.0.0.1/cb", "http://127.0.0.1:4711/cb"));
        assert!(same_redirect("http://localhost:1/cb", "http://localhost:2/cb"));
        assert!(same_redirect("http://[::1]/cb", "http://[::1]:2/cb"));
        for (known, asked) in [
            ("http://127.0.0.1/cb", "http://localhost/cb"),
            ("http://127.0.0.1/cb", "http://127.0.0.1/cb/"),
            ("http://127.0.0.1/cb", "http://127.0.0.1:1/../cb"),
            ("http://127.0.0.1/cb", "http://127.0.0.1:1/%63b"),
            ("http://127.0.0.1/cb", "http://127.1:1/cb"),
            ("http://127.0.0.1/cb", "http://127.0.0.1/cb?x"),
            ("http://127.0.0.1/cb", "https://127.0.0.1/cb"),
            ("http://127.0.0.1/cb", "http://127.0.0.1@evil.com/cb"),
            ("http://127.0.0.1/cb", "http://u@127.0.0.1/cb"),
            ("https://a.example/cb", "https://a.example:444/cb"),
            ("https://a.example/cb", "https://a.example/cb/../x"),
            ("https://a.example/cb", "https://A.example/cb"),
        ] {
            assert!(!same_redirect(known, asked), "{known} {asked}");
        }
    }
}
