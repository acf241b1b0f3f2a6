//! A person at a browser: which browser it is, and with which key somebody has signed in there.
//! Both stand in cookies that only this server reads; nothing is kept here, and what was signed in
//! ends with its key.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use http::header::{AUTHORIZATION, COOKIE};
use http::{HeaderMap, HeaderValue};
use serde::{Deserialize, Serialize};
use url::Url;

use super::throttle::Throttle;
use crate::auth::{Auth, Caller, Denied, Principal};
use crate::base::{KeyId, unix_seconds};
use crate::seal::Ring;

/// How long somebody stays signed in, in seconds.
const STAY: u64 = 15 * 60;
/// Wrong keys of one address: so many at once, and one more after each of these times.
const TRIES: u32 = 10;
const TRY: Duration = Duration::from_secs(6);

/// A browser, by the random text in its cookie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Browser([u8; 16]);

impl Browser {
    /// What a handle that was given to this browser is bound to.
    pub(super) fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

/// Why nobody is signed in.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum SignInError {
    /// The same whatever is wrong with the key.
    #[error(
        "This key is not accepted. Check that you have copied all of it, or ask whoever gave it to you."
    )]
    Wrong,
    /// A key of the operator.
    #[error(
        "This is a key of the operator, which belongs to no tenant. Use a key of the tenant whose tools are wanted."
    )]
    Operator,
    /// Too many wrong keys; after how many seconds to try again.
    #[error("Too many keys were tried. Wait {0} seconds and try again.")]
    TooMany(u64),
    /// Keys cannot be checked.
    #[error("Keys cannot be checked at the moment. Try again in a minute.")]
    Unavailable,
}

/// What the cookie of somebody who has signed in says.
#[derive(Serialize, Deserialize)]
struct Stay {
    key: String,
    until: u64,
}

/// Names of cookies. With `__Host-` a browser takes them from this very host only, over TLS; a
/// plain one is for a proxy on one's own machine.
fn name(what: &str, public_url: &Url) -> String {
    let prefix = if public_url.scheme() == "https" { "__Host-" } else { "" };
    format!("{prefix}mcp-proxy-{what}")
}

fn cookie(what: &str, value: &str, life: Option<u64>, public_url: &Url) -> Option<HeaderValue> {
    let secure = if public_url.scheme() == "https" { "; Secure" } else { "" };
    let life = life.map_or_else(String::new, |seconds| format!("; Max-Age={seconds}"));
    let name = name(what, public_url);
    // Lax: whoever comes from a client's page is still the same browser.
    let text = format!("{name}={value}; Path=/; HttpOnly; SameSite=Lax{life}{secure}");
    let mut value = HeaderValue::from_str(&text).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// The one cookie of this name. Two of them are none: one was put there by somebody else.
fn read<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let lines = headers.get_all(COOKIE).iter().filter_map(|line| line.to_str().ok());
    let pairs =
        lines.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
    let mut values = pairs.filter(|(found, _)| *found == name).map(|(_, value)| value);
    let first = values.next()?;
    values.next().is_none().then_some(first)
}

/// Signs people in.
pub(super) struct Browsers {
    ring: Arc<Ring>,
    auth: Auth,
    tries: Throttle,
}

impl Browsers {
    pub(super) fn new(ring: Arc<Ring>, auth: Auth) -> Self {
        Self { ring, auth, tries: Throttle::new(TRIES, TRY) }
    }

    /// The browser that has sent this, if it was here before.
    pub(super) fn known(&self, headers: &HeaderMap, public_url: &Url) -> Option<Browser> {
        let text = read(headers, &name("browser", public_url))?;
        let value = self.ring.open_handle("connect browser", &[], text).ok()?;
        value.try_into().ok().map(Browser)
    }

    /// A browser that was not here before, and the cookie by which it is known from now on.
    pub(super) fn fresh(&self, public_url: &Url) -> Option<(Browser, HeaderValue)> {
        let mut random = [0; 16];
        getrandom::fill(&mut random).ok()?;
        let text = self.ring.seal_handle("connect browser", &[], &random).ok()?;
        Some((Browser(random), cookie("browser", &text, None, public_url)?))
    }

    /// Who has signed in at this browser, as long as the key is good.
    pub(super) async fn signed_in(
        &self,
        headers: &HeaderMap,
        browser: &Browser,
        public_url: &Url,
    ) -> Option<Principal> {
        let text = read(headers, &name("session", public_url))?;
        let value = self.ring.open_handle("connect session", browser.as_bytes(), text).ok()?;
        let stay: Stay = serde_json::from_slice(&value).ok()?;
        if stay.until <= unix_seconds() {
            return None;
        }
        let key: KeyId = stay.key.parse().ok()?;
        self.auth.holder_of(key).await.ok()
    }

    /// Signs in with a key that somebody typed; gives who that is, and the cookie that says so.
    ///
    /// # Errors
    /// In words for the person.
    pub(super) async fn sign_in(
        &self,
        key: &str,
        (browser, address): (&Browser, IpAddr),
        public_url: &Url,
    ) -> Result<(Principal, HeaderValue), (SignInError, Option<Denied>)> {
        self.tries.lets(address).map_err(|wait| (SignInError::TooMany(wait), None))?;
        let wrong = |denied| match self.tries.failed(address) {
            Ok(()) => (SignInError::Wrong, Some(denied)),
            Err(wait) => (SignInError::TooMany(wait), Some(denied)),
        };
        let mut headers = HeaderMap::new();
        let shown = HeaderValue::from_str(&format!("Bearer {}", key.trim()));
        let mut shown = shown.map_err(|_| wrong(Denied::Malformed))?;
        shown.set_sensitive(true);
        headers.insert(AUTHORIZATION, shown);
        let principal = match self.auth.identify(&headers).await {
            // Whoever has only a token cannot make it last longer.
            Ok(caller) if caller.token_until().is_some() => {
                return Err(wrong(Denied::Token("a key is wanted, and not a token".to_owned())));
            }
            Ok(Caller::Tenant(principal)) => principal,
            Ok(Caller::Operator(_)) => {
                return Err((SignInError::Operator, Some(Denied::TenantNeeded)));
            }
            Err(denied @ Denied::Unavailable(_)) => {
                return Err((SignInError::Unavailable, Some(denied)));
            }
            Err(denied) => return Err(wrong(denied)),
        };
        let stay = Stay { key: principal.key().to_string(), until: unix_seconds() + STAY };
        let cookie = serde_json::to_vec(&stay).ok().and_then(|stay| {
            let text = self.ring.seal_handle("connect session", browser.as_bytes(), &stay).ok()?;
            cookie("session", &text, Some(STAY), public_url)
        });
        Ok((principal, cookie.ok_or((SignInError::Unavailable, None))?))
    }

    /// The cookie that signs out.
    pub(super) fn signed_out(&self, public_url: &Url) -> Option<HeaderValue> {
        cookie("session", "", Some(0), public_url)
    }

    /// Seals what this browser alone may bring back.
    pub(super) fn seal(&self, purpose: &str, browser: &Browser, value: &[u8]) -> Option<String> {
        self.ring.seal_handle(purpose, browser.as_bytes(), value).ok()
    }

    /// Opens what this browser was given.
    pub(super) fn open(&self, purpose: &str, browser: &Browser, text: &str) -> Option<Vec<u8>> {
        self.ring.open_handle(purpose, browser.as_bytes(), text).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_cookies_of_one_name_are_none() {
        let read = |lines: &[&str]| {
            let mut headers = HeaderMap::new();
            for line in lines {
                headers.append(COOKIE, line.parse().unwrap());
            }
            read(&headers, "a").map(str::to_owned)
        };
        assert_eq!(read(&["b=2; a=1"]).as_deref(), Some("1"));
        assert_eq!(read(&["xa=1", "a=2"]).as_deref(), Some("2"));
        assert_eq!(read(&["a=1; a=2"]), None);
        assert_eq!(read(&["a=1", "a=2"]), None);
        assert_eq!(read(&[]), None);
    }

    #[test]
    fn cookies_belong_to_this_host_alone() {
        let secure = Url::parse("https://mcp.example.com").unwrap();
        let cookie = cookie("session", "x", Some(9), &secure).unwrap();
        assert_eq!(
            cookie.to_str().unwrap(),
            "__Host-mcp-proxy-session=x; Path=/; HttpOnly; SameSite=Lax; Max-Age=9; Secure"
        );
        let local = Url::parse("http://127.0.0.1:8808").unwrap();
        assert!(
            !super::cookie("session", "x", None, &local)
                .unwrap()
                .to_str()
                .unwrap()
                .contains("Secure")
        );
    }
}
