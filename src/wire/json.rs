//! A strict one-pass reader of JSON text that gives positions instead of values.
//!
//! The call path forwards bytes, so it must know where things stand, not what they mean. One
//! pass checks the grammar of RFC 8259 and the depth, and calls back on the members that the
//! caller cares about; all else is skipped at the speed of a string search. Property tests hold
//! it to `serde_json`: what it accepts is exactly what `serde_json` accepts.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::LazyLock;

use memchr::{memchr, memmem};

use super::block::string_stop;

/// Why a text is refused, with the byte offset.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum JsonError {
    /// The grammar is broken here.
    #[error("not JSON at byte {0}")]
    Syntax(usize),
    /// Nested deeper than the limit.
    #[error("nested too deep at byte {0}")]
    TooDeep(usize),
    /// A key that decides where a message goes stands twice.
    #[error("duplicate key at byte {0}")]
    Duplicate(usize),
    /// A value of another type than the protocol asks for.
    #[error("wrong type at byte {0}")]
    Type(usize),
}

/// A range of bytes.
pub type Span = Range<usize>;

/// Whether a string of this JSON text may hold `word`, which is of ASCII letters, digits and
/// dashes: it stands there, or some such character is escaped. Cheaper than to read the text; no
/// string holds it when this is false.
#[must_use]
pub fn may_hold(text: &str, word: &str) -> bool {
    static ESCAPE: LazyLock<memmem::Finder<'static>> =
        LazyLock::new(|| memmem::Finder::new(b"\\u00"));
    let text = text.as_bytes();
    // Few texts have any escape: one look for a byte spares most of them the other search.
    memmem::find(text, word.as_bytes()).is_some()
        || memchr(b'\\', text).is_some()
            && ESCAPE.find_iter(text).any(|at| matches!(text.get(at + 4), Some(b'2'..=b'7')))
}

/// A string as it stands in the text.
#[derive(Debug, Clone, Copy)]
pub struct Text<'a> {
    quoted: &'a str,
    start: usize,
    escaped: bool,
}

impl<'a> Text<'a> {
    /// Position with the quotes.
    #[must_use]
    pub fn span(&self) -> Span {
        self.start..self.start + self.quoted.len()
    }

    /// True when the string means `expected`, however it is escaped.
    #[must_use]
    pub fn is(&self, expected: &str) -> bool {
        if self.escaped {
            self.decode().is_some_and(|text| text == expected)
        } else {
            &self.quoted[1..self.quoted.len() - 1] == expected
        }
    }

    /// The meaning; `None` when an escape names a lone surrogate.
    #[must_use]
    pub fn decode(&self) -> Option<Cow<'a, str>> {
        if self.escaped {
            serde_json::from_str::<String>(self.quoted).ok().map(Cow::Owned)
        } else {
            Some(Cow::Borrowed(&self.quoted[1..self.quoted.len() - 1]))
        }
    }
}

/// Reads one JSON text from front to back.
#[derive(Debug)]
pub struct Reader<'a> {
    text: &'a str,
    at: usize,
    depth: u32,
    limit: u32,
}

/// Depth allowed to clients (security.md R8).
pub const CLIENT_DEPTH: u32 = 64;
/// Depth allowed to upstreams: what `serde_json` and most servers accept.
pub const UPSTREAM_DEPTH: u32 = 127;

impl<'a> Reader<'a> {
    /// Starts at the front of `text`; values nested deeper than `limit` (at most 127) are refused.
    #[must_use]
    pub fn new(text: &'a str, limit: u32) -> Self {
        Self { text, at: 0, depth: 0, limit: limit.min(UPSTREAM_DEPTH) }
    }

    /// Where the next byte is read.
    #[must_use]
    pub fn position(&self) -> usize {
        self.at
    }

    /// The first byte of the next value, not consumed.
    ///
    /// # Errors
    /// At the end of the text.
    pub fn peek(&mut self) -> Result<u8, JsonError> {
        self.skip_space();
        self.byte().ok_or(JsonError::Syntax(self.at))
    }

    /// Checks that only white space is left.
    ///
    /// # Errors
    /// When something else follows.
    pub fn end(&mut self) -> Result<(), JsonError> {
        self.skip_space();
        if self.at == self.text.len() { Ok(()) } else { Err(JsonError::Syntax(self.at)) }
    }

    /// Skips one value of any type and gives its place.
    ///
    /// # Errors
    /// When it is no JSON or nested too deep.
    pub fn value(&mut self) -> Result<Span, JsonError> {
        self.skip_space();
        let start = self.at;
        // One bit for each open container: 1 is an object.
        let mut objects: u128 = 0;
        let mut open = 0;
        loop {
            // A value is due here.
            self.skip_space();
            match self.byte() {
                Some(b'"') => drop(self.pass_string()?),
                Some(b'{' | b'[') => {
                    let object = self.byte() == Some(b'{');
                    self.enter()?;
                    open += 1;
                    objects = objects << 1 | u128::from(object);
                    self.skip_space();
                    match self.byte() {
                        Some(b'}') if object => {}
                        Some(b']') if !object => {}
                        _ => {
                            if object {
                                self.pass_key()?;
                            }
                            continue;
                        }
                    }
                    self.leave();
                    open -= 1;
                    objects >>= 1;
                }
                _ => self.scalar()?,
            }
            // A value has ended: close containers or go on to the next member.
            loop {
                if open == 0 {
                    return Ok(start..self.at);
                }
                self.skip_space();
                let object = objects & 1 == 1;
                match self.byte() {
                    Some(b',') => {
                        self.at += 1;
                        if object {
                            self.pass_key()?;
                        }
                        break;
                    }
                    Some(b'}') if object => {}
                    Some(b']') if !object => {}
                    _ => return Err(JsonError::Syntax(self.at)),
                }
                self.leave();
                open -= 1;
                objects >>= 1;
            }
        }
    }

    /// Reads an object; `member` is called with each key and must consume its value.
    ///
    /// # Errors
    /// When it is no object, no JSON, too deep, or `member` says so.
    pub fn object<E: From<JsonError>>(
        &mut self,
        mut member: impl FnMut(&mut Self, Text<'a>) -> Result<(), E>,
    ) -> Result<Span, E> {
        if self.peek()? != b'{' {
            return Err(JsonError::Type(self.at).into());
        }
        let start = self.at;
        self.enter()?;
        if self.peek()? == b'}' {
            self.leave();
            return Ok(start..self.at);
        }
        loop {
            let key = self.key()?;
            member(self, key)?;
            match self.peek()? {
                b',' => self.at += 1,
                b'}' => break,
                _ => return Err(JsonError::Syntax(self.at).into()),
            }
        }
        self.leave();
        Ok(start..self.at)
    }

    /// Reads an array; `item` is called before each item and must consume it.
    ///
    /// # Errors
    /// When it is no array, no JSON, too deep, or `item` says so.
    pub fn array<E: From<JsonError>>(
        &mut self,
        mut item: impl FnMut(&mut Self) -> Result<(), E>,
    ) -> Result<Span, E> {
        if self.peek()? != b'[' {
            return Err(JsonError::Type(self.at).into());
        }
        let start = self.at;
        self.enter()?;
        if self.peek()? == b']' {
            self.leave();
            return Ok(start..self.at);
        }
        loop {
            item(self)?;
            match self.peek()? {
                b',' => self.at += 1,
                b']' => break,
                _ => return Err(JsonError::Syntax(self.at).into()),
            }
        }
        self.leave();
        Ok(start..self.at)
    }

    /// Reads a string.
    ///
    /// # Errors
    /// When it is none.
    pub fn string(&mut self) -> Result<Text<'a>, JsonError> {
        if self.peek()? != b'"' {
            return Err(JsonError::Type(self.at));
        }
        let start = self.at;
        let escaped = self.pass_string()?;
        Ok(Text { quoted: &self.text[start..self.at], start, escaped })
    }

    fn key(&mut self) -> Result<Text<'a>, JsonError> {
        let (start, escaped) = self.pass_key()?;
        Ok(Text { quoted: &self.text[start.clone()], start: start.start, escaped })
    }

    /// Passes over a key and its colon; gives its place, and whether it has an escape.
    fn pass_key(&mut self) -> Result<(Span, bool), JsonError> {
        self.skip_space();
        if self.byte() != Some(b'"') {
            return Err(JsonError::Syntax(self.at));
        }
        let start = self.at;
        let escaped = self.pass_string()?;
        let end = self.at;
        self.skip_space();
        if self.byte() != Some(b':') {
            return Err(JsonError::Syntax(self.at));
        }
        self.at += 1;
        Ok((start..end, escaped))
    }

    /// Passes over a string, at whose first quote the reader stands. True when it has an escape.
    fn pass_string(&mut self) -> Result<bool, JsonError> {
        let bytes = self.text.as_bytes();
        let start = self.at;
        let mut from = start + 1;
        let mut escaped = false;
        loop {
            let end = string_stop(bytes, from).ok_or(JsonError::Syntax(start))?;
            if bytes[end] == b'"' {
                self.at = end + 1;
                return Ok(escaped);
            }
            if bytes[end] != b'\\' {
                // Control characters must be escaped (RFC 8259 section 7).
                return Err(JsonError::Syntax(end));
            }
            escaped = true;
            from = end
                + match bytes.get(end + 1) {
                    Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => 2,
                    Some(b'u')
                        if bytes
                            .get(end + 2..end + 6)
                            .is_some_and(|hex| hex.iter().all(u8::is_ascii_hexdigit)) =>
                    {
                        6
                    }
                    _ => return Err(JsonError::Syntax(end)),
                };
        }
    }

    fn scalar(&mut self) -> Result<(), JsonError> {
        let length = scalar(&self.text.as_bytes()[self.at..]).ok_or(JsonError::Syntax(self.at))?;
        self.at += length;
        Ok(())
    }

    fn enter(&mut self) -> Result<(), JsonError> {
        self.depth += 1;
        if self.depth > self.limit {
            return Err(JsonError::TooDeep(self.at));
        }
        self.at += 1;
        Ok(())
    }

    fn leave(&mut self) {
        self.depth -= 1;
        self.at += 1;
    }

    fn byte(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn skip_space(&mut self) {
        // Most text has none: one comparison says so.
        while let Some(byte @ ..=b' ') = self.byte()
            && matches!(byte, b' ' | b'\n' | b'\r' | b'\t')
        {
            self.at += 1;
        }
    }
}

/// Length of the number or literal that `bytes` starts with.
fn scalar(bytes: &[u8]) -> Option<usize> {
    let literal = match bytes.first() {
        Some(b't') => &b"true"[..],
        Some(b'f') => b"false",
        Some(b'n') => b"null",
        _ => return number(bytes),
    };
    bytes.starts_with(literal).then_some(literal.len())
}

/// Length of the number that `bytes` starts with (RFC 8259 section 6).
fn number(bytes: &[u8]) -> Option<usize> {
    let digits = |mut at: usize| {
        while bytes.get(at).is_some_and(u8::is_ascii_digit) {
            at += 1;
        }
        at
    };
    let start = usize::from(bytes.first() == Some(&b'-'));
    let mut at = digits(start);
    if at == start || (at > start + 1 && bytes[start] == b'0') {
        return None;
    }
    if bytes.get(at) == Some(&b'.') {
        let fraction = at + 1;
        at = digits(fraction);
        if at == fraction {
            return None;
        }
    }
    if matches!(bytes.get(at), Some(b'e' | b'E')) {
        let exponent = at + 1 + usize::from(matches!(bytes.get(at + 1), Some(b'+' | b'-')));
        at = digits(exponent);
        if at == exponent {
            return None;
        }
    }
    Some(at)
}

/// Writes `text` as a JSON string with its quotes.
#[must_use]
pub fn quote(text: &str) -> String {
    // A string always serializes.
    serde_json::to_string(text).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn accepts(text: &str) -> bool {
        let mut reader = Reader::new(text, UPSTREAM_DEPTH);
        reader.value().is_ok() && reader.end().is_ok()
    }

    fn judge(text: &str) -> bool {
        serde_json::from_str::<&serde_json::value::RawValue>(text).is_ok()
    }

    #[test]
    fn a_word_is_found_however_it_is_escaped() {
        assert!(may_hold(r#"{"uri":1}"#, "uri") && may_hold(r#"{"u\u0072i":1}"#, "uri"));
        assert!(may_hold(r#"{"\u0055RI":1}"#, "URI"));
        assert!(!may_hold(r#"{"url":"caf\u00e9 \u2075 \u0009"}"#, "uri"));
    }

    #[test]
    fn agrees_with_serde_json_on_the_corners() {
        for text in [
            "",
            " ",
            "{",
            "}",
            "{}",
            "[]",
            "[,]",
            "[1,]",
            "{\"a\"}",
            "{\"a\":}",
            "{\"a\":1,}",
            "01",
            "-",
            "-0",
            "1.",
            ".5",
            "1e",
            "1e+",
            "1E5",
            "1.5e-3",
            "tru",
            "true",
            "nul",
            "null ",
            "\"",
            "\"\\x\"",
            "\"\\u12\"",
            "\"\\u12ab\"",
            "\"\\ud800\"",
            "\"\t\"",
            "[1 2]",
            "{\"a\":[{\"b\":[]}]}",
            "1 2",
            "\u{feff}{}",
            "[true,false,null,-1.5e10,\"x\",{}]",
            "{\"a\":1 \"b\":2}",
            "{1:2}",
            "[\"a\":1]",
            "{\"a\":{}]",
            "[{]}",
            "1e400",
        ] {
            assert_eq!(accepts(text), judge(text), "{text:?}");
        }
    }

    #[test]
    fn depth_is_bounded_at_the_limit() {
        let nested = |n: usize| "[".repeat(n) + &"]".repeat(n);
        let read = |n| Reader::new(&nested(n), CLIENT_DEPTH).value().map(drop);
        assert_eq!(read(64), Ok(()));
        assert_eq!(read(65), Err(JsonError::TooDeep(64)));
    }

    #[test]
    fn members_are_found_with_their_places() {
        let text = r#" { "a" : [1, {"b":2}], "n\u0061me" : "x\n" } "#;
        let mut seen = Vec::new();
        let mut reader = Reader::new(text, CLIENT_DEPTH);
        let span = reader
            .object::<JsonError>(|reader, key| {
                seen.push((key.decode().unwrap().into_owned(), reader.value()?));
                Ok(())
            })
            .unwrap();
        reader.end().unwrap();
        assert_eq!(&text[span], text.trim());
        assert_eq!(seen[0].0, "a");
        assert_eq!(&text[seen[0].1.clone()], r#"[1, {"b":2}]"#);
        assert_eq!(seen[1].0, "name");
        assert_eq!(&text[seen[1].1.clone()], r#""x\n""#);
    }

    proptest! {
        #[test]
        fn agrees_with_serde_json_on_fragments(
            parts in proptest::collection::vec(
                prop::sample::select(vec![
                    "{", "}", "[", "]", ",", ":", "\"a\"", "\"\"", "1", "-2.5e3", "true", "null", " ", "\\", "\"", "x",
                ]),
                0..14,
            )
        ) {
            let text = parts.concat();
            prop_assert_eq!(accepts(&text), judge(&text), "{:?}", text);
        }

        #[test]
        fn agrees_with_serde_json_on_long_strings(
            parts in proptest::collection::vec(
                ("[a-z\u{e9}\u{7f}]{0,400}", prop::sample::select(vec![
                    "", "\\n", "\\\"", "\\\\", "\\u00e9", "\\ud83d\\ude00", "\\ud800", "\u{1f}", "\n", "\\x", "\"", "\\u12",
                ])),
                0..5,
            )
        ) {
            let inside: String = parts.into_iter().map(|(run, end)| run + end).collect();
            let text = format!("{{\"k\":\"{inside}\"}}");
            prop_assert_eq!(accepts(&text), judge(&text), "{:?}", text);
        }
    }
}
