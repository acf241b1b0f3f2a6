//! Names of the headers of streamable HTTP (protocol.md 1.2, 1.9).

use http::HeaderName;

/// The id of a session (until 2025-11-25).
pub const SESSION: HeaderName = HeaderName::from_static("mcp-session-id");
/// The revision that a request is written in (since 2025-06-18).
pub const VERSION: HeaderName = HeaderName::from_static("mcp-protocol-version");
/// The method of the body (since 2026-07-28).
pub const METHOD: HeaderName = HeaderName::from_static("mcp-method");
/// What the body names (since 2026-07-28).
pub const NAME: HeaderName = HeaderName::from_static("mcp-name");
/// The last event that a reader has seen (until 2025-11-25).
pub const LAST_EVENT: HeaderName = HeaderName::from_static("last-event-id");
