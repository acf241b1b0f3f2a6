//! Which protocol revisions the server knows, and how it turns away the rest.

use std::{borrow::Cow, str::FromStr};

use http::StatusCode;
use rmcp::model::ProtocolVersion;
use serde_json::{Value, json};

/// The `_meta` key by which a request names its own revision.
pub(crate) const META_VERSION: &str = "io.modelcontextprotocol/protocolVersion";

/// The protocol era that a server lives in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Era {
    /// Only the revisions with an `initialize` handshake.
    Legacy,
    /// Only 2026-07-28.
    Modern,
    /// Each request chooses.
    Both,
}

impl FromStr for Era {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        match text {
            "legacy" => Ok(Self::Legacy),
            "modern" => Ok(Self::Modern),
            "both" => Ok(Self::Both),
            _ => Err(()),
        }
    }
}

/// What is to happen with a message before the protocol library sees it.
pub(crate) enum Verdict {
    /// Goes on as it is.
    Pass,
    /// Goes on in this form.
    Changed(Value),
    /// Is answered with this JSON-RPC error, over HTTP with this status.
    Refuse(StatusCode, Value),
}

impl Era {
    /// The revisions of this era, oldest first.
    pub(crate) fn versions(self) -> Cow<'static, [ProtocolVersion]> {
        match self {
            Self::Legacy => {
                Cow::Borrowed(ProtocolVersion::known_up_to(&ProtocolVersion::V_2025_11_25))
            }
            Self::Modern => Cow::Owned(vec![ProtocolVersion::V_2026_07_28]),
            Self::Both => Cow::Borrowed(ProtocolVersion::KNOWN_VERSIONS),
        }
    }

    /// Judges a message of a client. `in_session`: an `initialize` came before it.
    pub(crate) fn screen(self, message: &Value, in_session: bool) -> Verdict {
        let Some(method) = message.get("method").and_then(Value::as_str) else {
            return Verdict::Pass;
        };
        let refuse = |status: StatusCode, code: i64, text: &str| {
            let id = message.get("id").cloned().unwrap_or(Value::Null);
            let error = json!({ "code": code, "message": text });
            Verdict::Refuse(status, json!({ "jsonrpc": "2.0", "id": id, "error": error }))
        };
        match (self, method) {
            (Self::Legacy, "server/discover" | "subscriptions/listen") => {
                refuse(StatusCode::BAD_REQUEST, -32601, "Method not found")
            }
            (Self::Legacy, _) => {
                let marked = message.pointer("/params/_meta").is_some_and(|meta| {
                    meta.as_object().is_some_and(|meta| meta.contains_key(META_VERSION))
                });
                if !marked {
                    Verdict::Pass
                } else if in_session {
                    // A server of those revisions ignores `_meta` keys that it does not know.
                    let mut message = message.clone();
                    if let Some(meta) =
                        message.pointer_mut("/params/_meta").and_then(Value::as_object_mut)
                    {
                        meta.retain(|key, _| !key.starts_with("io.modelcontextprotocol/"));
                    }
                    Verdict::Changed(message)
                } else {
                    refuse(StatusCode::BAD_REQUEST, -32600, "Bad Request: Server not initialized")
                }
            }
            (Self::Modern, "initialize") => {
                refuse(StatusCode::NOT_FOUND, -32601, "Method not found: initialize")
            }
            _ => Verdict::Pass,
        }
    }
}
