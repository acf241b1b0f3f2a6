//! A message from a client: judged once, in one pass, and forwarded as it was judged.

use std::borrow::Cow;

use bytes::Bytes;

use super::json::{CLIENT_DEPTH, JsonError, Reader, Span, Text};
use super::method::Called;

/// The JSON text of an id: most are short, and those need no memory of their own.
pub type IdText = smol_str::SmolStr;

/// Why a body is no message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// Not UTF-8, or not JSON.
    #[error("the body is not JSON: {0}")]
    NotJson(JsonError),
    /// Nested too deep.
    #[error("the body is nested deeper than {CLIENT_DEPTH} levels")]
    TooDeep,
    /// An array: a batch.
    #[error("batches are not part of this protocol revision; send one message for each POST")]
    Batch,
    /// A batch of too many messages.
    #[error("a batch holds at most {} messages", super::BATCH_LIMIT)]
    LongBatch,
    /// JSON of another shape.
    #[error("the body is no JSON-RPC 2.0 message: {0}")]
    NotMessage(&'static str),
}

impl From<JsonError> for WireError {
    fn from(error: JsonError) -> Self {
        match error {
            JsonError::Syntax(_) => Self::NotJson(error),
            JsonError::TooDeep(_) => Self::TooDeep,
            JsonError::Duplicate(_) => Self::NotMessage("a key that routes it stands twice"),
            JsonError::Type(_) => Self::NotMessage("a member has a wrong type"),
        }
    }
}

macro_rules! fields {
    ($(#[$doc:meta])* $type:ident, $count:ident { $($(#[$inner:meta])* $name:ident = $key:literal),* $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum $type { $($(#[$inner])* $name),* }

        const $count: usize = [$($key),*].len();

        impl $type {
            /// How it is written.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => $key,)*
                }
            }

            /// The one that is written so.
            #[must_use]
            pub fn parse(text: &str) -> Option<Self> {
                match text {
                    $($key => Some(Self::$name),)*
                    _ => None,
                }
            }

            fn of(key: &Text<'_>) -> Option<Self> {
                Self::parse(&key.decode()?)
            }
        }
    };
}

fields! {
    /// Members of `params` that decide something. Each may stand once.
    Field, FIELDS {
        /// `name`
        Name = "name",
        /// `arguments`
        Arguments = "arguments",
        /// `_meta`
        Meta = "_meta",
        /// `uri`
        Uri = "uri",
        /// `cursor`
        Cursor = "cursor",
        /// `ref`
        Ref = "ref",
        /// `level`
        Level = "level",
        /// `requestId`
        RequestId = "requestId",
        /// `requestState`
        RequestState = "requestState",
        /// `inputResponses`
        InputResponses = "inputResponses",
        /// `notifications`
        Notifications = "notifications",
        /// `protocolVersion`
        ProtocolVersion = "protocolVersion",
        /// `capabilities`
        Capabilities = "capabilities",
        /// `clientInfo`
        ClientInfo = "clientInfo",
        /// `task`
        Task = "task",
        /// `taskId`
        TaskId = "taskId",
    }
}

fields! {
    /// Members of `params._meta` that the protocol reserves. Each may stand once.
    MetaKey, META_KEYS {
        /// `io.modelcontextprotocol/protocolVersion`
        ProtocolVersion = "io.modelcontextprotocol/protocolVersion",
        /// `io.modelcontextprotocol/clientCapabilities`
        ClientCapabilities = "io.modelcontextprotocol/clientCapabilities",
        /// `io.modelcontextprotocol/clientInfo`
        ClientInfo = "io.modelcontextprotocol/clientInfo",
        /// `io.modelcontextprotocol/logLevel`
        LogLevel = "io.modelcontextprotocol/logLevel",
        /// `progressToken`
        ProgressToken = "progressToken",
        /// `baggage` (W3C): a client's own remarks, which go no further than here.
        Baggage = "baggage",
    }
}

/// What a body is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PostedKind {
    /// A request: has an id.
    Request,
    /// A notification.
    Notification,
    /// An answer to a question that we passed on (legacy era).
    Response,
}

/// `params._meta` as it stands.
#[derive(Debug, Clone, Default)]
pub struct Meta {
    /// Place of the object.
    pub span: Span,
    /// Every member in order: place of the key, place of the value, and what it is if reserved.
    pub members: Vec<(Span, Span, Option<MetaKey>)>,
}

impl Meta {
    /// Place of a reserved member's value.
    #[must_use]
    pub fn get(&self, key: MetaKey) -> Option<Span> {
        self.members.iter().find(|member| member.2 == Some(key)).map(|member| member.1.clone())
    }
}

/// `params` as it stands.
#[derive(Debug, Clone)]
pub struct Params {
    /// Place of the object.
    pub span: Span,
    /// True when it has no member.
    pub empty: bool,
    fields: [Option<(u32, u32)>; FIELDS],
    meta: Option<Meta>,
}

impl Params {
    /// Place of a member's value.
    #[must_use]
    pub fn get(&self, field: Field) -> Option<Span> {
        self.fields[field as usize].map(|(start, end)| start as usize..end as usize)
    }

    /// `_meta`, when it is there.
    #[must_use]
    pub fn meta(&self) -> Option<&Meta> {
        self.meta.as_ref()
    }
}

type Envelope = (PostedKind, Called, Option<Span>, Option<Params>);

/// One message that a client posted.
#[derive(Debug, Clone)]
pub struct Posted {
    body: Bytes,
    /// What it is.
    pub kind: PostedKind,
    /// Its method; an unknown one with an empty name for responses.
    pub called: Called,
    id: Option<Span>,
    params: Option<Params>,
}

impl Posted {
    /// Reads a body of at most 4 GiB.
    ///
    /// # Errors
    /// When it is not one well-formed JSON-RPC 2.0 message; with the body, since a batch may have
    /// a right to be read otherwise.
    pub fn read(body: Bytes) -> Result<Self, (WireError, Bytes)> {
        match Self::envelope(&body) {
            Ok((kind, called, id, params)) => Ok(Self { body, kind, called, id, params }),
            Err(error) => Err((error, body)),
        }
    }

    fn envelope(body: &[u8]) -> Result<Envelope, WireError> {
        let text = std::str::from_utf8(body)
            .map_err(|error| WireError::NotJson(JsonError::Syntax(error.valid_up_to())))?;
        let mut reader = Reader::new(text, CLIENT_DEPTH);
        if reader.peek()? == b'[' {
            reader.value()?;
            reader.end()?;
            return Err(WireError::Batch);
        }
        if reader.peek()? != b'{' {
            reader.value()?;
            reader.end()?;
            return Err(WireError::NotMessage("not an object"));
        }
        let (mut version, mut id, mut method, mut params) = (None, None, None, None);
        let mut answer = false;
        let mut two = false;
        reader.object::<WireError>(|reader, key| {
            if key.is("jsonrpc") {
                two |= version.is_some();
                version = Some(reader.peek()? == b'"' && reader.string()?.is("2.0"));
                if version == Some(false) {
                    return Err(WireError::NotMessage("`jsonrpc` is not \"2.0\""));
                }
            } else if key.is("id") {
                two |= id.is_some();
                id = Some(reader.value()?);
            } else if key.is("method") {
                two |= method.is_some();
                let name = reader.string()?.decode();
                method = Some(
                    name.map(|name| Called::find(&name))
                        .ok_or(WireError::NotMessage("`method` is no text"))?,
                );
            } else if key.is("params") {
                two |= params.is_some();
                params = Some(read_params(reader)?);
            } else {
                let result = key.is("result") || key.is("error");
                two |= answer && result;
                answer |= result;
                reader.value()?;
            }
            Ok(())
        })?;
        reader.end()?;
        if two {
            return Err(WireError::NotMessage("a member stands twice"));
        }
        if version.is_none() {
            return Err(WireError::NotMessage("`jsonrpc` is missing"));
        }
        if let Some(span) = &id
            && !valid_id(&text[span.clone()])
        {
            return Err(WireError::NotMessage("`id` is neither a string nor an integer"));
        }
        let (kind, called) = match (method, &id, answer) {
            (Some(_), _, true) => return Err(WireError::NotMessage("both `method` and an answer")),
            (Some(called), Some(_), false) => (PostedKind::Request, called),
            (Some(called), None, false) => (PostedKind::Notification, called),
            (None, Some(_), true) => (PostedKind::Response, Called::Unknown(String::new())),
            _ => return Err(WireError::NotMessage("`method` is missing")),
        };
        Ok((kind, called, id, params))
    }

    /// The whole text.
    #[must_use]
    pub fn body(&self) -> &Bytes {
        &self.body
    }

    /// Place of the id.
    #[must_use]
    pub fn id(&self) -> Option<Span> {
        self.id.clone()
    }

    /// The id as the client wrote it, `null` when there is none.
    #[must_use]
    pub fn id_text(&self) -> &str {
        self.id.clone().map_or("null", |span| self.text(span))
    }

    /// `params`, when it is there.
    #[must_use]
    pub fn params(&self) -> Option<&Params> {
        self.params.as_ref()
    }

    /// Place of a member of `params`.
    #[must_use]
    pub fn field(&self, field: Field) -> Option<Span> {
        self.params.as_ref()?.get(field)
    }

    /// The JSON text of a member of `params`.
    #[must_use]
    pub fn raw(&self, field: Field) -> Option<&str> {
        self.field(field).map(|span| self.text(span))
    }

    /// A member of `params` that is a string; `None` also for other types and lone surrogates.
    #[must_use]
    pub fn string(&self, field: Field) -> Option<Cow<'_, str>> {
        unquote(self.raw(field)?)
    }

    /// The JSON text of a reserved member of `_meta`.
    #[must_use]
    pub fn meta_raw(&self, key: MetaKey) -> Option<&str> {
        self.params.as_ref()?.meta()?.get(key).map(|span| self.text(span))
    }

    /// A reserved member of `_meta` that is a string.
    #[must_use]
    pub fn meta_string(&self, key: MetaKey) -> Option<Cow<'_, str>> {
        unquote(self.meta_raw(key)?)
    }

    /// The text at a place that this message gave out.
    #[must_use]
    pub fn text(&self, span: Span) -> &str {
        // The whole body was checked to be UTF-8 and spans stand on token borders.
        std::str::from_utf8(&self.body[span]).unwrap_or_default()
    }
}

/// The meaning of a JSON string; `None` when `raw` is another type or names a lone surrogate.
fn unquote(raw: &str) -> Option<Cow<'_, str>> {
    let inner = raw.strip_prefix('"')?.strip_suffix('"')?;
    if inner.contains('\\') {
        serde_json::from_str::<String>(raw).ok().map(Cow::Owned)
    } else {
        Some(Cow::Borrowed(inner))
    }
}

/// A string or an integer, never null (basic/index). The text is kept as it is, so integers of
/// any size come back unchanged.
fn valid_id(raw: &str) -> bool {
    raw.starts_with('"')
        || (!raw.is_empty()
            && raw.strip_prefix('-').unwrap_or(raw).bytes().all(|b| b.is_ascii_digit()))
}

fn read_params(reader: &mut Reader<'_>) -> Result<Params, WireError> {
    if reader.peek()? != b'{' {
        return Err(WireError::NotMessage("`params` is not an object"));
    }
    let mut fields = [None; FIELDS];
    let mut meta = None;
    let mut empty = true;
    let span = reader.object::<WireError>(|reader, key| {
        empty = false;
        let field = Field::of(&key);
        let span = if field == Some(Field::Meta) && reader.peek()? == b'{' {
            let read = read_meta(reader)?;
            let span = read.span.clone();
            meta = Some(read);
            span
        } else if matches!(field, Some(Field::Name | Field::Uri)) && reader.peek()? == b'"' {
            let name = reader.string()?;
            if name.decode().is_none() {
                return Err(WireError::NotMessage("a name has an escape that names no character"));
            }
            name.span()
        } else {
            reader.value()?
        };
        if let Some(field) = field {
            let place = |at| u32::try_from(at).map_err(|_| WireError::NotMessage("too long"));
            if fields[field as usize].replace((place(span.start)?, place(span.end)?)).is_some() {
                return Err(WireError::NotMessage("a key of `params` that routes it stands twice"));
            }
        }
        Ok(())
    })?;
    Ok(Params { span, empty, fields, meta })
}

fn read_meta(reader: &mut Reader<'_>) -> Result<Meta, WireError> {
    let mut members = Vec::new();
    let mut seen = [false; META_KEYS];
    let span = reader.object::<WireError>(|reader, key| {
        let value = reader.value()?;
        let known = MetaKey::of(&key);
        if let Some(known) = known
            && std::mem::replace(&mut seen[known as usize], true)
        {
            return Err(WireError::NotMessage("a reserved key of `_meta` stands twice"));
        }
        members.push((key.span(), value, known));
        Ok(())
    })?;
    Ok(Meta { span, members })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Posted, WireError> {
        Posted::read(Bytes::copy_from_slice(text.as_bytes())).map_err(|(error, _)| error)
    }

    #[test]
    fn a_call_is_read_with_its_places() {
        let posted = read(
            r#"{"jsonrpc":"2.0","id":12345678901234567890123,"method":"tools/call","params":{"name":"a\u0062c",
               "arguments":{"x":1.10},"_meta":{"progressToken":"t","io.modelcontextprotocol/protocolVersion":"2026-07-28"}}}"#,
        )
        .unwrap();
        assert_eq!(posted.kind, PostedKind::Request);
        assert_eq!(posted.id_text(), "12345678901234567890123");
        assert_eq!(posted.string(Field::Name).unwrap(), "abc");
        assert_eq!(posted.raw(Field::Arguments).unwrap(), r#"{"x":1.10}"#);
        assert_eq!(posted.meta_string(MetaKey::ProtocolVersion).unwrap(), "2026-07-28");
        assert_eq!(posted.meta_raw(MetaKey::ProgressToken).unwrap(), "\"t\"");
    }

    #[test]
    fn what_was_judged_is_what_is_forwarded() {
        for twice in [
            r#"{"jsonrpc":"2.0","id":1,"method":"ping","method":"tools/call"}"#,
            r#"{"jsonrpc":"2.0","id":1,"id":2,"method":"ping"}"#,
            r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"safe","n\u0061me":"evil"}}"#,
            r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{},"params":{}}"#,
            r#"{"jsonrpc":"2.0","id":1,"method":"x","params":{"_meta":{"progressToken":1,"progressToken":2}}}"#,
        ] {
            assert!(matches!(read(twice), Err(WireError::NotMessage(_))), "{twice}");
        }
    }

    #[test]
    fn wrong_envelopes_are_refused() {
        for text in [
            "1",
            "{}",
            r#"{"id":1,"method":"ping"}"#,
            r#"{"jsonrpc":"1.0","id":1,"method":"ping"}"#,
            r#"{"jsonrpc":"2.0","id":null,"method":"ping"}"#,
            r#"{"jsonrpc":"2.0","id":1.5,"method":"ping"}"#,
            r#"{"jsonrpc":"2.0","id":{},"method":"ping"}"#,
            r#"{"jsonrpc":"2.0","id":1,"method":7}"#,
            r#"{"jsonrpc":"2.0","id":1,"Method":"ping"}"#,
            r#"{"jsonrpc":"2.0","id":1,"method":"ping","params":[]}"#,
            r#"{"jsonrpc":"2.0","id":1,"method":"ping","result":{}}"#,
            r#"{"jsonrpc":"2.0","id":1,"result":{},"error":{}}"#,
        ] {
            assert!(matches!(read(text), Err(WireError::NotMessage(_))), "{text}");
        }
        assert_eq!(read("[]").unwrap_err(), WireError::Batch);
        for text in ["", "{", "{}x", "\u{feff}{}", "\"\\q\""] {
            assert!(matches!(read(text), Err(WireError::NotJson(_))), "{text}");
        }
        assert!(matches!(
            Posted::read(Bytes::from_static(b"\"\xff\"")),
            Err((WireError::NotJson(_), _))
        ));
        assert_eq!(read(&"[".repeat(100)).unwrap_err(), WireError::TooDeep);
    }
}
