//! What a client of the legacy era posts in answer to a question.

use bytes::Bytes;

use super::error::BridgeError;
use super::question::string_at;
use crate::wire::json::Span;
use crate::wire::{Edits, Inbound, InboundKind};

/// An answer with its parts found.
#[derive(Debug, Clone)]
pub struct Reply {
    body: Bytes,
    id: Span,
    payload: Span,
    /// False for a JSON-RPC error.
    pub good: bool,
}

impl Reply {
    /// Reads a posted JSON-RPC response.
    ///
    /// # Errors
    /// When it is none.
    pub fn read(body: Bytes) -> Result<Self, BridgeError> {
        let no = BridgeError::Shape("no JSON-RPC response");
        let text = std::str::from_utf8(&body).map_err(|_| no.clone())?;
        let inbound = Inbound::read(text)?;
        let good = match inbound.kind {
            InboundKind::Result => true,
            InboundKind::Error => false,
            InboundKind::Notification | InboundKind::Request => return Err(no),
        };
        let (Some(id), Some(payload)) = (inbound.id, inbound.payload) else { return Err(no) };
        Ok(Self { body, id, payload, good })
    }

    /// Its id, when that is a text as ours are.
    #[must_use]
    pub fn id(&self) -> Option<String> {
        string_at(self.text(), self.id.clone())
    }

    /// The text of its result or error.
    #[must_use]
    pub fn payload(&self) -> &str {
        self.text().get(self.payload.clone()).unwrap_or_default()
    }

    /// The same answer under another id, given as JSON text; nothing else changes.
    #[must_use]
    pub fn under(&self, id: &str) -> Bytes {
        let mut edits = Edits::default();
        edits.replace(self.id.clone(), id);
        edits.apply(&self.body)
    }

    fn text(&self) -> &str {
        // It was read as text.
        std::str::from_utf8(&self.body).unwrap_or_default()
    }
}

/// A JSON-RPC response: `id` and `result` as JSON texts.
#[must_use]
pub fn answer_to(id: &str, result: &str) -> Bytes {
    Bytes::from(format!("{{\"jsonrpc\":\"2.0\",\"id\":{id},\"result\":{result}}}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_id_changes() {
        let body =
            Bytes::from_static(br#"{ "result":{"a":1.0, "id":"p-1"},"jsonrpc":"2.0","id":"p-1" }"#);
        let reply = Reply::read(body).unwrap();
        assert_eq!((reply.id().as_deref(), reply.good), (Some("p-1"), true));
        assert_eq!(
            &reply.under("7")[..],
            br#"{ "result":{"a":1.0, "id":"p-1"},"jsonrpc":"2.0","id":7 }"#
        );
        let error = Reply::read(Bytes::from_static(br#"{"id":3,"error":{"code":-1}}"#)).unwrap();
        assert_eq!((error.id(), error.good, error.payload()), (None, false, r#"{"code":-1}"#));
        assert!(Reply::read(Bytes::from_static(br#"{"id":3,"method":"x"}"#)).is_err());
    }
}
