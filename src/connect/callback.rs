//! Where people may be led back to: the callbacks of the clients that these doors are made for,
//! loopback, and what the file adds. A client that nobody here knows cannot name its own place.

use url::Url;

use crate::base::{is_loopback, redirect_trouble};
use crate::config::Connect;

/// Claude (both hosts), and the one of ChatGPT that all its connectors had.
const KNOWN: [&str; 3] = [
    "https://claude.ai/api/mcp/auth_callback",
    "https://claude.com/api/mcp/auth_callback",
    "https://chatgpt.com/connector_platform_oauth_redirect",
];
/// ChatGPT gives each connector one of its own below this.
const CHATGPT: &str = "https://chatgpt.com/connector/oauth/";

/// Whether a client that nobody here has named may lead people there.
pub(super) fn is_allowed(connect: &Connect, callback: &str) -> bool {
    if redirect_trouble(callback).is_some() {
        return false;
    }
    KNOWN.contains(&callback)
        || connect.redirects.iter().any(|known| known == callback)
        || callback.strip_prefix(CHATGPT).is_some_and(is_id)
        || Url::parse(callback).is_ok_and(|url| url.scheme() == "http" && is_loopback(&url))
}

fn is_id(text: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    (1..=128).contains(&text.len()) && text.bytes().all(fits)
}

/// Who gets what is sent there, as people read it.
pub(super) fn host(callback: &str) -> String {
    let Ok(url) = Url::parse(callback) else { return callback.to_owned() };
    match (url.scheme(), url.host_str()) {
        ("http" | "https", Some(host)) if is_loopback(&url) => {
            format!("a program on this computer ({host})")
        }
        ("https", Some(host)) => {
            url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
        }
        (scheme, _) => format!("an app on this computer ({scheme}:)"),
    }
}

/// Whether whatever runs on the person's machine gets it, and nobody can say who that is.
pub(super) fn is_local(callback: &str) -> bool {
    Url::parse(callback).is_ok_and(|url| url.scheme() != "https" || is_loopback(&url))
}

/// The source by which a page's policy lets a form lead there.
pub(super) fn source(callback: &str) -> String {
    let Ok(url) = Url::parse(callback) else { return String::new() };
    match url.host() {
        // Policies have no words for addresses of IPv6.
        Some(url::Host::Ipv6(_)) => format!("{}:", url.scheme()),
        Some(_) if matches!(url.scheme(), "http" | "https") => url.origin().ascii_serialization(),
        _ => format!("{}:", url.scheme()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_known_callbacks_and_loopback_are_allowed() {
        let own = "https://app.example.com/cb".to_owned();
        let connect = Connect { redirects: vec![own], ..Connect::default() };
        for good in KNOWN.into_iter().chain([
            "https://chatgpt.com/connector/oauth/OUbdUMlL15Ct",
            "http://127.0.0.1:33418/callback",
            "http://localhost:1/",
            "http://[::1]:2/x",
            "https://app.example.com/cb",
        ]) {
            assert!(is_allowed(&connect, good), "{good}");
        }
        for wrong in [
            "https://claude.ai/api/mcp/auth_callback/",
            "https://claude.ai/api/mcp/auth_callback?x=1",
            "https://claude.ai/api/mcp/auth_callback#x",
            "https://claude.ai:444/api/mcp/auth_callback",
            "https://claude.ai.evil.com/api/mcp/auth_callback",
            "https://u@claude.ai/api/mcp/auth_callback",
            "http://claude.ai/api/mcp/auth_callback",
            "https://claude.ai/api/mcp/../evil",
            "https://chatgpt.com/connector/oauth/",
            "https://chatgpt.com/connector/oauth/a/b",
            "https://chatgpt.com/connector/oauth/..",
            "https://chatgpt.com/connector/oauth/a?b",
            "https://app.example.com/cb2",
            "https://app.example.com",
            "cursor://x/y",
            "http://192.168.0.1/cb",
        ] {
            assert!(!is_allowed(&connect, wrong), "{wrong}");
        }
    }

    #[test]
    fn a_policy_names_where_a_form_leads() {
        assert_eq!(source("https://claude.ai/api"), "https://claude.ai");
        assert_eq!(source("http://127.0.0.1:99/cb"), "http://127.0.0.1:99");
        assert_eq!(source("http://[::1]:99/cb"), "http:");
        assert_eq!(source("cursor://a/b"), "cursor:");
        assert!(is_local("cursor://a/b") && is_local("http://localhost/") && !is_local(KNOWN[0]));
    }
}
