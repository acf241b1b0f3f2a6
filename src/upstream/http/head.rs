//! The head of a request as bytes, and the head of a response read from bytes (RFC 9112).

use std::collections::VecDeque;
use std::fmt;
use std::io::{Cursor, IoSlice, Write};
use std::mem::MaybeUninit;
use std::ops::Range;

use bytes::{Buf, Bytes, BytesMut};
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Method as Verb, StatusCode, Uri};
use httparse::ParserConfig;

use crate::wire::Draft;

/// Longest head of a response in bytes, and most headers in it (security.md R8).
const HEAD_LIMIT: usize = 64 << 10;
const HEADERS: usize = 100;

/// The head of a request without its end: what all requests of a session have in common is
/// written once, and each of them copies it and adds its own.
pub(super) struct RequestHead(Vec<u8>);

/// Bodies from this length on are not copied behind their heads.
pub(super) const LONG: usize = 16 << 10;

/// A body in several pieces, none of which is empty.
struct Pieces(VecDeque<Bytes>);

impl Buf for Pieces {
    fn remaining(&self) -> usize {
        self.0.iter().map(Bytes::len).sum()
    }

    fn chunk(&self) -> &[u8] {
        self.0.front().map_or(&[], |piece| piece)
    }

    fn chunks_vectored<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        let filled = slices.iter_mut().zip(&self.0);
        filled.map(|(slice, piece)| *slice = IoSlice::new(piece)).count()
    }

    fn advance(&mut self, mut count: usize) {
        while let Some(piece) = self.0.front_mut() {
            if count < piece.len() {
                return piece.advance(count);
            }
            count -= piece.len();
            self.0.pop_front();
        }
    }
}

/// What a request adds: method, name, length, and most often nothing else.
const ADDED: usize = 256;

impl RequestHead {
    /// A copy with room for what a request adds, and for a body of so many bytes.
    pub(super) fn before(&self, body: usize) -> Self {
        let mut copy = Vec::with_capacity(self.0.len() + ADDED + body);
        copy.extend_from_slice(&self.0);
        Self(copy)
    }

    /// Request line, `Host` (unless it is among the headers) and these headers.
    pub(super) fn new(verb: &Verb, uri: &Uri, headers: &HeaderMap) -> Self {
        let mut head = Self(Vec::with_capacity(1024));
        let target = uri.path_and_query().map_or("/", |target| target.as_str());
        head.0.extend_from_slice(verb.as_str().as_bytes());
        // `http://host?query` has no path.
        head.0.extend_from_slice(if target.starts_with('/') { b" " } else { b" /" });
        head.0.extend_from_slice(target.as_bytes());
        head.0.extend_from_slice(b" HTTP/1.1\r\n");
        if !headers.contains_key(header::HOST) {
            head.write("host", host(uri).as_bytes());
        }
        for (name, value) in headers {
            head.push(name, value);
        }
        head
    }

    /// Adds a header. Its value has no line end in it: `HeaderValue` takes none.
    pub(super) fn push(&mut self, name: &HeaderName, value: &HeaderValue) {
        self.write(name.as_str(), value.as_bytes());
    }

    fn write(&mut self, name: &str, value: &[u8]) {
        self.0.extend_from_slice(name.as_bytes());
        self.0.extend_from_slice(b": ");
        self.0.extend_from_slice(value);
        self.0.extend_from_slice(b"\r\n");
    }

    /// The head complete, before a body of this many bytes (`None`: before none at all).
    pub(super) fn finish(self, length: Option<usize>) -> impl Buf + Send {
        Cursor::new(self.complete(length))
    }

    /// The whole request, in one piece: best made of a copy with room for its body.
    pub(super) fn with(self, draft: &Draft, id: u64) -> impl Buf + Send {
        let mut request = self.complete(Some(draft.len(id)));
        draft.render_into(id, &mut request);
        Cursor::new(request)
    }

    /// The whole request with its body beside it: for a long one.
    pub(super) fn beside(self, draft: &Draft, id: u64) -> impl Buf + Send {
        let body = Pieces(draft.pieces(id).into());
        self.finish(Some(draft.len(id))).chain(body)
    }

    fn complete(mut self, length: Option<usize>) -> Vec<u8> {
        if let Some(length) = length {
            // Writing to a Vec cannot fail.
            let _ = write!(self.0, "content-length: {length}\r\n");
        }
        self.0.extend_from_slice(b"\r\n");
        self.0
    }
}

impl fmt::Debug for RequestHead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Its target and its headers hold secrets.
        f.debug_struct("RequestHead").finish_non_exhaustive()
    }
}

/// `Host`: without user information, and without the port that the scheme has anyway.
fn host(uri: &Uri) -> String {
    let name = uri.host().unwrap_or_default();
    let usual = if uri.scheme_str() == Some("https") { 443 } else { 80 };
    match uri.port_u16() {
        Some(port) if port != usual => format!("{name}:{port}"),
        _ => name.to_owned(),
    }
}

/// Why bytes are no head of a response.
#[derive(Debug, thiserror::Error)]
pub(super) enum HeadError {
    #[error("the head of its response is not HTTP/1.1 ({0})")]
    Syntax(httparse::Error),
    #[error("the head of its response is longer than {HEAD_LIMIT} bytes")]
    TooLong,
    #[error("its response has a status that was not asked for")]
    Status,
    #[error("the length of its response is not clear")]
    Length,
}

/// How a body ends (RFC 9112 section 6.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BodyEnd {
    /// After this many bytes.
    Length(u64),
    Chunked,
    /// With the connection.
    Close,
}

/// The head of a response.
#[derive(Debug)]
pub(super) struct ResponseHead {
    pub(super) status: StatusCode,
    /// How its body ends.
    pub(super) end: BodyEnd,
    /// Its connection may carry another request afterwards.
    pub(super) keep: bool,
    bytes: Bytes,
    fields: Vec<(Range<usize>, Range<usize>)>,
}

impl ResponseHead {
    /// Takes a head off the front of what has come; `None` when it is not all there yet. Interim
    /// responses (1xx) are passed over.
    pub(super) fn take(buffer: &mut BytesMut) -> Result<Option<Self>, HeadError> {
        while let Some(head) = Self::read(buffer)? {
            match head.status.as_u16() {
                101 => return Err(HeadError::Status),
                100..=199 => {}
                _ => return Ok(Some(head)),
            }
        }
        Ok(None)
    }

    fn read(buffer: &mut BytesMut) -> Result<Option<Self>, HeadError> {
        let mut places = [const { MaybeUninit::uninit() }; HEADERS];
        let mut response = httparse::Response::new(&mut []);
        let read = ParserConfig::default().parse_response_with_uninit_headers(
            &mut response,
            buffer,
            &mut places,
        );
        let length = match read.map_err(HeadError::Syntax)? {
            httparse::Status::Complete(length) if length <= HEAD_LIMIT => length,
            httparse::Status::Partial if buffer.len() <= HEAD_LIMIT => return Ok(None),
            _ => return Err(HeadError::TooLong),
        };
        let start = buffer.as_ptr().addr();
        let place = |part: &[u8]| {
            let from = part.as_ptr().addr() - start;
            from..from + part.len()
        };
        let fields = response.headers.iter();
        let fields: Vec<_> =
            fields.map(|field| (place(field.name.as_bytes()), place(field.value))).collect();
        let status = response.code.and_then(|code| StatusCode::from_u16(code).ok());
        let status = status.ok_or(HeadError::Status)?;
        let new = response.version == Some(1);
        let bytes = buffer.split_to(length).freeze();
        let mut head = Self { status, end: BodyEnd::Close, keep: new, bytes, fields };
        head.frame(new)?;
        Ok(Some(head))
    }

    /// Finds out how the body ends. What two readers could understand differently is refused, or
    /// at least the last thing that its connection carries.
    fn frame(&mut self, new: bool) -> Result<(), HeadError> {
        let (mut length, mut chunked, mut closing) = (None, false, false);
        for (name, value) in &self.fields {
            let (name, value) = (&self.bytes[name.clone()], &self.bytes[value.clone()]);
            if name.eq_ignore_ascii_case(b"content-length") {
                let value = std::str::from_utf8(value).ok();
                let value = value.filter(|value| value.bytes().all(|digit| digit.is_ascii_digit()));
                let value: Option<u64> = value.and_then(|value| value.parse().ok());
                if value.is_none() || length.is_some_and(|known| Some(known) != value) {
                    return Err(HeadError::Length);
                }
                length = value;
            } else if name.eq_ignore_ascii_case(b"transfer-encoding") {
                if chunked || !new || !value.eq_ignore_ascii_case(b"chunked") {
                    return Err(HeadError::Length);
                }
                chunked = true;
            } else if name.eq_ignore_ascii_case(b"connection") {
                let mut tokens = value.split(|byte| *byte == b',');
                closing |= tokens.any(|token| token.trim_ascii().eq_ignore_ascii_case(b"close"));
            }
        }
        self.end = match (self.status.as_u16(), length) {
            (204 | 304, _) => BodyEnd::Length(0),
            _ if chunked => BodyEnd::Chunked,
            (_, Some(length)) => BodyEnd::Length(length),
            (_, None) => BodyEnd::Close,
        };
        let ambiguous = chunked && length.is_some();
        self.keep &= !closing && !ambiguous && self.end != BodyEnd::Close;
        Ok(())
    }

    /// The first header of this name.
    pub(super) fn get(&self, name: &HeaderName) -> Option<&[u8]> {
        let name = name.as_str().as_bytes();
        let mut fields = self.fields.iter();
        let (_, value) =
            fields.find(|(key, _)| self.bytes[key.clone()].eq_ignore_ascii_case(name))?;
        Some(&self.bytes[value.clone()])
    }

    /// Every header of this name that is text.
    pub(super) fn texts(&self, name: &HeaderName) -> Vec<String> {
        let name = name.as_str().as_bytes();
        let own = self
            .fields
            .iter()
            .filter(|(key, _)| self.bytes[key.clone()].eq_ignore_ascii_case(name));
        own.filter_map(|(_, value)| std::str::from_utf8(&self.bytes[value.clone()]).ok())
            .map(str::to_owned)
            .collect()
    }

    /// The first header of this name, as text.
    pub(super) fn text(&self, name: &HeaderName) -> Option<&str> {
        std::str::from_utf8(self.get(name)?).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(text: &str) -> Result<Option<ResponseHead>, HeadError> {
        ResponseHead::take(&mut BytesMut::from(text))
    }

    fn framed(fields: &str) -> Option<(BodyEnd, bool)> {
        let head = head(&format!("HTTP/1.1 200 OK\r\n{fields}\r\n")).ok().flatten()?;
        Some((head.end, head.keep))
    }

    #[test]
    fn a_request_head_is_written_once_and_added_to() {
        let mut headers = HeaderMap::new();
        headers.insert("x-key", HeaderValue::from_static("v"));
        let uri = Uri::from_static("http://u:p@example.com:8080/mcp?a=b");
        let mut head = RequestHead::new(&Verb::POST, &uri, &headers);
        assert!(!format!("{head:?}").contains("x-key"));
        head.push(&HeaderName::from_static("mcp-name"), &HeaderValue::from_static("echo"));
        let text = |head: RequestHead, length| {
            let mut head = head.finish(length);
            String::from_utf8(head.copy_to_bytes(head.remaining()).to_vec()).unwrap()
        };
        assert_eq!(
            text(head, Some(12)),
            "POST /mcp?a=b HTTP/1.1\r\nhost: example.com:8080\r\nx-key: v\r\nmcp-name: echo\r\n\
             content-length: 12\r\n\r\n"
        );
        let get = |uri| text(RequestHead::new(&Verb::GET, &uri, &HeaderMap::new()), None);
        assert_eq!(
            get(Uri::from_static("https://example.com:443")),
            "GET / HTTP/1.1\r\nhost: example.com\r\n\r\n"
        );
        assert_eq!(
            get(Uri::from_static("http://[::1]:443?q")),
            "GET /?q HTTP/1.1\r\nhost: [::1]:443\r\n\r\n"
        );
        headers.insert(header::HOST, HeaderValue::from_static("other"));
        let head = text(RequestHead::new(&Verb::GET, &uri, &headers), None);
        assert_eq!(head.matches("host:").count(), 1);
    }

    #[test]
    fn a_head_that_is_not_whole_waits_and_interim_ones_are_passed_over() {
        let whole = "HTTP/1.1 103 Early\r\nlink: x\r\n\r\nHTTP/1.1 200 OK\r\nA: 1\r\na: 2\r\ncontent-length: 3\r\n\r\nabc";
        for end in 0..whole.len() - 3 {
            assert!(head(&whole[..end]).unwrap().is_none(), "{end}");
        }
        let mut buffer = BytesMut::from(whole);
        let head = ResponseHead::take(&mut buffer).unwrap().unwrap();
        assert_eq!(head.text(&HeaderName::from_static("a")), Some("1"));
        assert_eq!((&buffer[..], head.end), (&b"abc"[..], BodyEnd::Length(3)));
    }

    #[test]
    fn the_end_of_a_body_is_clear_or_the_response_refused() {
        use BodyEnd::{Chunked, Close, Length};
        assert_eq!(framed("content-length: 5\r\n"), Some((Length(5), true)));
        assert_eq!(framed("Content-Length: 5\r\nCONTENT-LENGTH: 5\r\n"), Some((Length(5), true)));
        assert_eq!(framed("transfer-encoding: Chunked\r\n"), Some((Chunked, true)));
        assert_eq!(
            framed("transfer-encoding: chunked\r\ncontent-length: 5\r\n"),
            Some((Chunked, false))
        );
        assert_eq!(
            framed("content-length: 5\r\nconnection: x, Close\r\n"),
            Some((Length(5), false))
        );
        assert_eq!(framed(""), Some((Close, false)));
        for wrong in [
            "content-length: 5\r\ncontent-length: 6\r\n",
            "content-length: 5, 5\r\n",
            "content-length: +5\r\n",
            "content-length: \r\n",
            "content-length: 99999999999999999999\r\n",
            "transfer-encoding: gzip, chunked\r\n",
            "transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n",
            "transfer-encoding : chunked\r\n",
            " folded: x\r\n",
        ] {
            assert_eq!(framed(wrong), None, "{wrong:?}");
        }
        assert!(matches!(head("HTTP/1.1 101 Switching\r\n\r\n"), Err(HeadError::Status)));
        let old = head("HTTP/1.0 200 OK\r\ncontent-length: 1\r\n\r\n").unwrap().unwrap();
        assert!(!old.keep);
        assert!(head("HTTP/1.0 200 OK\r\ntransfer-encoding: chunked\r\n\r\n").is_err());
        let empty = head("HTTP/1.1 204 No\r\n\r\n").unwrap().unwrap();
        assert_eq!((empty.end, empty.keep), (Length(0), true));
    }

    #[test]
    fn a_head_has_an_end() {
        let long = format!("HTTP/1.1 200 OK\r\na: {}", "x".repeat(HEAD_LIMIT));
        assert!(matches!(head(&long), Err(HeadError::TooLong)));
        assert!(matches!(head(&format!("{long}\r\n\r\n")), Err(HeadError::TooLong)));
        let many = format!("HTTP/1.1 200 OK\r\n{}\r\n", "a: 1\r\n".repeat(HEADERS + 1));
        assert!(matches!(head(&many), Err(HeadError::Syntax(_))));
    }
}
