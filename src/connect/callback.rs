//! Where people may be led back to: the callbacks of the clients that these doors are made for,
//! loopback, and what the file adds. A client that nobody here knows cannot name its own place.
//!
//! Codex, Gemini CLI, Zed, Claude Code and most others listen on loopback, at a port of the moment.
//! A scheme of an app's own (RFC 8252, section 7.1) can be claimed by another app of that computer, as a
//! port of loopback can: the code is of no use there without the verifier (PKCE), and the page says
//! that the answer stays on the computer of whoever reads it.

use url::Url;

use crate::base::{is_loopback, redirect_trouble};
use crate::config::Connect;

/// Callbacks as clients register them, and the app on the person's own computer that gets the
/// answer in the end. A registration is taken whole or not at all, so all that a client names are here.
const KNOWN: [(&str, Option<&str>); 8] = [
    ("https://claude.ai/api/mcp/auth_callback", None),
    ("https://claude.com/api/mcp/auth_callback", None),
    // The one that all connectors of ChatGPT had.
    ("https://chatgpt.com/connector_platform_oauth_redirect", None),
    // Cursor names both, and one on loopback.
    ("https://www.cursor.com/agents/mcp/oauth/callback", None),
    ("cursor://anysphere.cursor-mcp/oauth/callback", Some("Cursor")),
    // VS Code names both, and four on loopback. They hand on what they get to the app.
    ("https://vscode.dev/redirect", Some("Visual Studio Code")),
    ("https://insiders.vscode.dev/redirect", Some("Visual Studio Code Insiders")),
    // Antigravity took the place of Gemini CLI for many.
    ("https://antigravity.google/oauth-callback", None),
];
/// ChatGPT gives each connector one of its own below this.
const CHATGPT: &str = "https://chatgpt.com/connector/oauth/";

/// Whether a client that nobody here has named may lead people there.
pub(super) fn is_allowed(connect: &Connect, callback: &str) -> bool {
    if redirect_trouble(callback).is_some() {
        return false;
    }
    KNOWN.iter().any(|(known, _)| *known == callback)
        || connect.redirects.iter().any(|known| known == callback)
        || callback.strip_prefix(CHATGPT).is_some_and(is_id)
        || Url::parse(callback).is_ok_and(|url| url.scheme() == "http" && is_loopback(&url))
}

/// The app that gets what is sent there, of those that are known.
fn app(callback: &str) -> Option<&'static str> {
    KNOWN.iter().find(|(known, _)| *known == callback).and_then(|(_, app)| *app)
}

fn is_id(text: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    (1..=128).contains(&text.len()) && text.bytes().all(fits)
}

/// Who gets what is sent there, as people read it.
pub(super) fn host(callback: &str) -> String {
    let Ok(url) = Url::parse(callback) else { return callback.to_owned() };
    match (url.scheme(), url.host_str(), app(callback)) {
        ("http" | "https", Some(host), _) if is_loopback(&url) => {
            format!("a program on this computer ({host})")
        }
        ("https", Some(host), Some(app)) => {
            format!("{host}, which hands it to {app} on this computer")
        }
        ("https", Some(host), None) => {
            url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
        }
        (scheme, _, app) => format!("{} on this computer ({scheme}:)", app.unwrap_or("an app")),
    }
}

/// Whether whatever runs on the person's machine gets it, and nobody can say who that is.
pub(super) fn is_local(callback: &str) -> bool {
    app(callback).is_some()
        || Url::parse(callback).is_ok_and(|url| url.scheme() != "https" || is_loopback(&url))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_known_callbacks_and_loopback_are_allowed() {
        let own = "https://app.example.com/cb".to_owned();
        let connect = Connect { redirects: vec![own], ..Connect::default() };
        for good in KNOWN.into_iter().map(|(known, _)| known).chain([
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
            "cursor://anysphere.cursor-mcp/oauth/callback/x",
            "cursor://anysphere.cursor-mcp/oauth/callback?x=1",
            "cursor:anysphere.cursor-mcp/oauth/callback",
            "CURSOR://anysphere.cursor-mcp/oauth/callback",
            "vscode://dynamicauthprovider/x",
            "https://vscode.dev/redirect/mcp/install",
            "https://vscode.dev/redirect?url=vscode://x",
            "https://cursor.com/agents/mcp/oauth/callback",
            "http://192.168.0.1/cb",
        ] {
            assert!(!is_allowed(&connect, wrong), "{wrong}");
        }
    }

    #[test]
    fn people_read_who_gets_the_answer() {
        for (callback, shown, local) in [
            ("https://claude.ai/api/mcp/auth_callback", "claude.ai", false),
            ("https://app.example.com:8443/cb", "app.example.com:8443", false),
            ("http://127.0.0.1:99/cb", "a program on this computer (127.0.0.1)", true),
            ("http://[::1]:99/cb", "a program on this computer ([::1])", true),
            (
                "cursor://anysphere.cursor-mcp/oauth/callback",
                "Cursor on this computer (cursor:)",
                true,
            ),
            (
                "https://vscode.dev/redirect",
                "vscode.dev, which hands it to Visual Studio Code on this computer",
                true,
            ),
            ("windsurf://x/y", "an app on this computer (windsurf:)", true),
        ] {
            assert_eq!((host(callback).as_str(), is_local(callback)), (shown, local));
        }
    }
}
