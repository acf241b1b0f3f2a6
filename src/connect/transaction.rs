//! A request for access between its first page and its answer: sealed, carried by the page itself,
//! good for one browser, one answer and ten minutes.

use serde::{Deserialize, Serialize};

use super::browser::Browser;
use super::serve::Connect;
use crate::base::{GrantId, unix_seconds};

/// What its seal is for.
const PURPOSE: &str = "connect transaction";
/// What the seal of what was shown is for.
const SHOWN: &str = "connect shown";
/// How long it is good, in seconds.
const LIFE: u64 = 10 * 60;

/// What a client asks for, once that was judged.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Transaction {
    /// What the grant will be called: one transaction cannot become two.
    nonce: [u8; 16],
    until: u64,
    pub(super) client: String,
    pub(super) callback: String,
    pub(super) state: Option<String>,
    pub(super) challenge: String,
    /// Path of the connector door.
    pub(super) door: String,
}

impl Transaction {
    /// A fresh one; `None` when the system gives no random bytes.
    pub(super) fn new(
        client: &str,
        callback: &str,
        state: Option<&str>,
        challenge: &str,
        door: &str,
    ) -> Option<Self> {
        let mut nonce = [0; 16];
        getrandom::fill(&mut nonce).ok()?;
        Some(Self {
            nonce,
            until: unix_seconds() + LIFE,
            client: client.to_owned(),
            callback: callback.to_owned(),
            state: state.map(str::to_owned),
            challenge: challenge.to_owned(),
            door: door.to_owned(),
        })
    }

    /// What comes of it when somebody allows it.
    pub(super) fn grant(&self) -> GrantId {
        GrantId::from_bytes(self.nonce)
    }

    /// The text that the page carries.
    pub(super) fn seal(&self, connect: &Connect, browser: &Browser) -> Option<String> {
        connect.browsers.seal(PURPOSE, browser, &serde_json::to_vec(self).ok()?)
    }

    /// What this browser was given, as long as it is good.
    pub(super) fn open(connect: &Connect, browser: &Browser, text: &str) -> Option<Self> {
        let value = connect.browsers.open(PURPOSE, browser, text)?;
        let read: Self = serde_json::from_slice(&value).ok()?;
        read.is_good(unix_seconds()).then_some(read)
    }

    fn is_good(&self, now: u64) -> bool {
        now < self.until
    }

    /// Says that this browser was shown what this key would give: only that can be allowed.
    pub(super) fn shown(&self, connect: &Connect, browser: &Browser, key: &str) -> Option<String> {
        connect.browsers.seal(SHOWN, browser, &[&self.nonce, key.as_bytes()].concat())
    }

    /// Whether it was.
    pub(super) fn was_shown(
        &self,
        connect: &Connect,
        browser: &Browser,
        key: &str,
        text: &str,
    ) -> bool {
        connect
            .browsers
            .open(SHOWN, browser, text)
            .is_some_and(|value| value == [&self.nonce, key.as_bytes()].concat())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_good_for_ten_minutes() {
        let before = unix_seconds();
        let page = Transaction::new("c", "http://127.0.0.1/cb", None, "x", "/connect/mcp").unwrap();
        let after = unix_seconds();
        assert!(page.is_good(before + LIFE - 1));
        assert!(!page.is_good(after + LIFE) && LIFE == 600);
    }
}
