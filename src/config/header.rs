//! Names of headers that no configuration decides.

use http::HeaderName;

/// Headers that concern one connection only (RFC 9110, section 7.6.1).
const HOP_BY_HOP: [&str; 9] = [
    "connection",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];
/// Headers whose value follows from the message or from the protocol, as all do that begin with
/// `mcp-`.
const OURS: [&str; 6] =
    ["host", "content-length", "content-type", "accept", "accept-encoding", "last-event-id"];

/// Why a header is not sent to an upstream as somebody has written it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reserved {
    /// It belongs to one connection.
    Connection,
    /// The proxy sets it.
    Proxy,
    /// It is never sent.
    Cookie,
}

impl Reserved {
    /// What this name is reserved for; `None` for one that may be written.
    #[must_use]
    pub fn of(name: &HeaderName) -> Option<Self> {
        match name.as_str() {
            name if HOP_BY_HOP.contains(&name) => Some(Self::Connection),
            name if OURS.contains(&name) || name.starts_with("mcp-") => Some(Self::Proxy),
            "cookie" => Some(Self::Cookie),
            _ => None,
        }
    }
}
