//! A message from an upstream: what kind it is and where its parts stand.

use super::json::{JsonError, Reader, Span, UPSTREAM_DEPTH};

/// The member of a result's `_meta` in which a modern server names itself; it belongs to one hop.
pub const SERVER_INFO: &str = "io.modelcontextprotocol/serverInfo";

/// What an upstream sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InboundKind {
    /// Has a `result`.
    Result,
    /// Has an `error`.
    Error,
    /// Has a `method` and no id.
    Notification,
    /// Has a `method` and an id: a question to the client (legacy era).
    Request,
}

/// The parts of one JSON-RPC message from an upstream, as positions in its text.
#[derive(Debug, Clone)]
pub struct Inbound {
    /// What it is.
    pub kind: InboundKind,
    /// Place of the id.
    pub id: Option<Span>,
    /// The id when it is one of ours: a plain decimal number (also when an upstream made a
    /// string of it).
    pub number: Option<u64>,
    /// The method of a notification or request.
    pub method: Option<String>,
    /// Place of `result`, `error` or `params`.
    pub payload: Option<Span>,
    /// What the proxy must know of a result.
    pub result: ResultParts,
}

/// A range of bytes of one message, which is far shorter than 4 GiB; half the size of a [`Span`],
/// since every message carries several.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    start: u32,
    end: u32,
}

impl Place {
    /// The range.
    #[must_use]
    pub fn span(self) -> Span {
        self.start as usize..self.end as usize
    }
}

impl From<Span> for Place {
    fn from(span: Span) -> Self {
        let short = |at: usize| u32::try_from(at).unwrap_or(u32::MAX);
        Self { start: short(span.start), end: short(span.end) }
    }
}

/// Members of a result that belong to the protocol and not to the method.
#[derive(Debug, Clone, Default)]
pub struct ResultParts {
    /// True when the result is an object without members.
    pub empty: bool,
    /// True when the result says of itself that it is an error (`isError`).
    pub failed: bool,
    /// Place of the value of `resultType`.
    pub result_type: Option<Place>,
    /// Place of the value of `ttlMs`.
    pub ttl: Option<Place>,
    /// Place of the value of `cacheScope`.
    pub scope: Option<Place>,
    /// Place of the value of `structuredContent`.
    pub structured: Option<Place>,
    /// Place of the value of `_meta`.
    pub meta: Option<Place>,
    /// Place of the value of `_meta["io.modelcontextprotocol/serverInfo"]`.
    pub server_info: Option<Place>,
}

impl ResultParts {
    fn read(&mut self, reader: &mut Reader<'_>) -> Result<Span, JsonError> {
        if reader.peek()? != b'{' {
            return reader.value();
        }
        self.empty = true;
        reader.object::<JsonError>(|reader, key| {
            self.empty = false;
            if key.is("_meta") && reader.peek()? == b'{' {
                let meta = reader.object::<JsonError>(|reader, key| {
                    let value = reader.value()?;
                    if key.is(SERVER_INFO) {
                        self.server_info = Some(value.into());
                    }
                    Ok(())
                })?;
                self.meta = Some(meta.into());
                return Ok(());
            }
            if key.is("isError") {
                self.failed = reader.peek()? == b't';
            }
            let value = reader.value()?;
            if key.is("resultType") {
                self.result_type = Some(value.into());
            } else if key.is("ttlMs") {
                self.ttl = Some(value.into());
            } else if key.is("cacheScope") {
                self.scope = Some(value.into());
            } else if key.is("structuredContent") {
                self.structured = Some(value.into());
            } else if key.is("_meta") {
                self.meta = Some(value.into());
            }
            Ok(())
        })
    }
}

impl Inbound {
    /// Reads one message.
    ///
    /// # Errors
    /// When `text` is no JSON object or has neither `method` nor `result` nor `error`.
    pub fn read(text: &str) -> Result<Self, JsonError> {
        let (mut id, mut method) = (None, None);
        let (mut result, mut error, mut params) = (None, None, None);
        let mut parts = ResultParts::default();
        let mut reader = Reader::new(text, UPSTREAM_DEPTH);
        reader.object::<JsonError>(|reader, key| {
            if key.is("id") {
                id = Some(reader.value()?);
            } else if key.is("method") {
                let at = reader.position();
                method = Some(reader.string()?.decode().ok_or(JsonError::Type(at))?.into_owned());
            } else if key.is("result") {
                result = Some(parts.read(reader)?);
            } else if key.is("error") {
                error = Some(reader.value()?);
            } else if key.is("params") {
                params = Some(reader.value()?);
            } else {
                reader.value()?;
            }
            Ok(())
        })?;
        reader.end()?;
        let number = id.clone().and_then(|span: Span| text[span].trim_matches('"').parse().ok());
        // Some servers send `"error": null` beside a result.
        if error.as_ref().is_some_and(|span: &Span| &text[span.clone()] == "null")
            && result.is_some()
        {
            error = None;
        }
        let (kind, payload) = match (&method, &id, result, error) {
            (Some(_), None, None, None) => (InboundKind::Notification, params),
            (Some(_), Some(_), None, None) => (InboundKind::Request, params),
            (None, _, Some(result), None) => (InboundKind::Result, Some(result)),
            (None, _, None, Some(error)) => (InboundKind::Error, Some(error)),
            _ => return Err(JsonError::Type(0)),
        };
        Ok(Self { kind, id, number, method, payload, result: parts })
    }

    /// `params.progressToken` as one of our numbers, of a progress notification.
    #[must_use]
    pub fn progress_token(&self, text: &str) -> Option<(u64, Span)> {
        let span = self.payload.clone()?;
        let mut found = None;
        let mut reader = Reader::new(&text[span.clone()], UPSTREAM_DEPTH);
        reader
            .object::<JsonError>(|reader, key| {
                let value = reader.value()?;
                if key.is("progressToken") {
                    found = Some(value.start + span.start..value.end + span.start);
                }
                Ok(())
            })
            .ok()?;
        let place = found?;
        let number = text[place.clone()].trim_matches('"').parse().ok()?;
        Some((number, place))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_told_apart() {
        let kind = |text| Inbound::read(text).map(|message| message.kind);
        assert_eq!(kind(r#"{"jsonrpc":"2.0","id":1,"result":{}}"#), Ok(InboundKind::Result));
        assert_eq!(kind(r#"{"result":{},"jsonrpc":"2.0","id":1}"#), Ok(InboundKind::Result));
        assert_eq!(kind(r#"{"id":1,"error":{"code":1}}"#), Ok(InboundKind::Error));
        assert_eq!(kind(r#"{"id":1,"result":{},"error":null}"#), Ok(InboundKind::Result));
        assert_eq!(kind(r#"{"method":"a"}"#), Ok(InboundKind::Notification));
        assert_eq!(kind(r#"{"method":"a","id":"x"}"#), Ok(InboundKind::Request));
        assert!(kind("[]").is_err());
        assert!(kind("{}").is_err());
        assert!(kind(r#"{"id":1,"result":{},"error":{}}"#).is_err());
    }

    #[test]
    fn our_numbers_are_found_in_ids_and_tokens() {
        let read = |text: &str| Inbound::read(text).unwrap();
        assert_eq!(read(r#"{"id":17,"result":1}"#).number, Some(17));
        assert_eq!(read(r#"{"id":"17","result":1}"#).number, Some(17));
        assert_eq!(read(r#"{"id":1.5,"result":1}"#).number, None);
        let text =
            r#"{"method":"notifications/progress","params":{"progress":1,"progressToken":9}}"#;
        let (number, place) = read(text).progress_token(text).unwrap();
        assert_eq!((number, &text[place]), (9, "9"));
    }
}
