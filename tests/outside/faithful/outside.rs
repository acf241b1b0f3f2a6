//! What may differ between what was sent and what arrived (protocol.md 3.1, 4.4, R11, R12, R61,
//! R65, R87, R91, R96), and that nothing else does.

use crate::faithful::tokens::{cut, cut_empty, find, put, tokens};
use crate::support::Era;

/// Members of a result that belong to a hop of the modern era.
const HINTS: [&str; 3] = ["resultType", "ttlMs", "cacheScope"];
const SERVER: &str = "io.modelcontextprotocol/serverInfo";
/// Members of `_meta` of a request that belong to a hop of the modern era.
const RESERVED: [&str; 4] = [
    "io.modelcontextprotocol/protocolVersion",
    "io.modelcontextprotocol/clientInfo",
    "io.modelcontextprotocol/clientCapabilities",
    "io.modelcontextprotocol/logLevel",
];

/// One pair of eras, and how the upstream is reached.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Crossing {
    pub(crate) client: Era,
    pub(crate) upstream: Era,
    pub(crate) pipe: bool,
}

impl Crossing {
    /// True when the two speak different eras.
    pub(crate) fn crosses(self) -> bool {
        self.client != self.upstream
    }

    /// What is wrong with the messages of an answer, which came for the same id and token.
    pub(crate) fn answers(self, direct: &[String], proxied: &[String]) -> Vec<String> {
        if direct.len() != proxied.len() {
            let shown: Vec<String> = proxied.iter().map(|m| format!("{m:.300}")).collect();
            return vec![format!("{} messages became {shown:?}", direct.len())];
        }
        let both = direct.iter().zip(proxied);
        both.filter_map(|(direct, proxied)| self.answer(direct, proxied)).collect()
    }

    fn answer(self, direct: &str, proxied: &str) -> Option<String> {
        // On a pipe the message stands on one line, and an event stream has its own line ends.
        if !self.crosses() && self.client == Era::Legacy {
            return differ(direct, proxied);
        }
        let (mut left, mut right) = (direct.to_owned(), proxied.to_owned());
        for hint in HINTS {
            let path = ["result", hint];
            let given = find(direct, &path).is_some();
            if self.crosses() || !given || hint == "cacheScope" {
                (left, right) = (cut(&left, &path), cut(&right, &path));
            }
        }
        let path = ["result", "_meta", SERVER];
        (left, right) = (cut(&left, &path), cut(&right, &path));
        let path = ["result", "_meta"];
        (left, right) = (cut_empty(&left, &path), cut_empty(&right, &path));
        if self.crosses() { alike(&left, &right) } else { differ(&left, &right) }
    }

    /// What is wrong with a request that arrived.
    pub(crate) fn request(self, sent: &str, got: &str) -> Option<String> {
        let plain = |text: &str| {
            let text = put(text, &["id"], "1");
            put(&text, &["params", "_meta", "progressToken"], "1")
        };
        let (mut left, mut right) = (plain(sent), plain(got));
        if self.pipe {
            left = left.replace(['\n', '\r'], " ");
        }
        if !self.crosses() {
            return differ(&left, &right);
        }
        for key in RESERVED {
            let path = ["params", "_meta", key];
            (left, right) = (cut(&left, &path), cut(&right, &path));
        }
        let path = ["params", "_meta"];
        (left, right) = (cut_empty(&left, &path), cut_empty(&right, &path));
        alike(&left, &right)
    }
}

/// Byte for byte.
pub(crate) fn differ(expected: &str, found: &str) -> Option<String> {
    if expected == found {
        return None;
    }
    let at = expected.bytes().zip(found.bytes()).take_while(|(a, b)| a == b).count();
    let around = |text: &str| {
        let bytes = &text.as_bytes()[at.saturating_sub(80)..text.len().min(at + 120)];
        String::from_utf8_lossy(bytes).into_owned()
    };
    Some(format!(
        "differs at byte {at}\n  sent    …{}\n  arrived …{}",
        around(expected),
        around(found)
    ))
}

/// Equal as JSON, in each number's, key's and string's own spelling and in the same order.
pub(crate) fn alike(expected: &str, found: &str) -> Option<String> {
    if tokens(expected) == tokens(found) {
        return None;
    }
    differ(&tokens(expected).join(" "), &tokens(found).join(" "))
}
