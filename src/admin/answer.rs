//! What a route answers when all went well.

use bytes::Bytes;
use serde_json::Value;

use super::stream::ApiBody;

/// What an answer holds.
#[derive(Debug)]
pub(super) enum Content {
    /// A document.
    Value(Value),
    /// A document as text that must stay as it is.
    Text(Bytes),
    /// Server-sent events.
    Events(ApiBody),
}

/// What a route answers when all went well.
#[derive(Debug)]
pub(super) struct Reply {
    /// 200, 201 or 204.
    pub(super) status: u16,
    /// None with 204.
    pub(super) body: Option<Content>,
    /// Names this state of the thing (RFC 9110, section 8.8.3), with its quotes.
    pub(super) etag: Option<String>,
    /// Where a new thing is.
    pub(super) location: Option<String>,
    /// The answer to an earlier request of the same name.
    pub(super) repeated: bool,
}

impl Reply {
    /// A document.
    pub(super) fn ok(body: Value) -> Self {
        Self::with(Content::Value(body))
    }

    /// 200 with this.
    pub(super) fn with(body: Content) -> Self {
        Self { status: 200, body: Some(body), etag: None, location: None, repeated: false }
    }

    /// A new thing, and where it is.
    pub(super) fn created(location: String, body: Value) -> Self {
        Self { status: 201, location: Some(location), ..Self::ok(body) }
    }

    /// Done, and nothing to show.
    pub(super) fn done() -> Self {
        Self { status: 204, body: None, etag: None, location: None, repeated: false }
    }

    /// Names the state that it shows.
    pub(super) fn with_etag(mut self, etag: String) -> Self {
        self.etag = Some(etag);
        self
    }

    /// The document; none where there is none, or it is no value.
    pub(super) fn value(&self) -> Option<&Value> {
        match &self.body {
            Some(Content::Value(value)) => Some(value),
            _ => None,
        }
    }
}
