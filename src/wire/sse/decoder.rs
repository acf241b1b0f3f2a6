//! Reading events.

use bytes::{Buf, Bytes, BytesMut};

/// Longest event that a decoder takes unless told otherwise: 16 MiB (security.md R8).
pub const EVENT_LIMIT: usize = 16 << 20;

/// Why a stream cannot be read on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SseError {
    /// A line or the data of an event is longer than this many bytes.
    #[error("an event is longer than {0} bytes")]
    TooLong(usize),
}

/// One event with data.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Event {
    /// Its type; `None` means `message`.
    pub event: Option<String>,
    /// The id that stands in this event; see `Decoder::last_id` for the one to resume from.
    pub id: Option<String>,
    /// Reconnection time in milliseconds that stands in this event.
    pub retry: Option<u64>,
    /// Its data lines, joined by LF. Not checked to be UTF-8.
    pub data: Bytes,
}

/// Reads a stream piece by piece; pieces may be cut anywhere, also inside CRLF or a character.
/// Data that came in one piece is not copied.
#[derive(Debug)]
pub struct Decoder {
    limit: usize,
    /// What is not read yet.
    rest: Bytes,
    /// The front of a line whose end has not come.
    partial: Vec<u8>,
    /// The last line ended with CR: an LF that follows belongs to it.
    after_cr: bool,
    first_line: bool,
    data: Data,
    event: Event,
    last_id: Option<String>,
    retry: Option<u64>,
    failed: bool,
}

#[derive(Debug)]
enum Data {
    None,
    One(Bytes),
    More(BytesMut),
}

impl Data {
    fn len(&self) -> usize {
        match self {
            Self::None => 0,
            Self::One(line) => line.len() + 1,
            Self::More(lines) => lines.len() + 1,
        }
    }

    fn push(&mut self, line: Bytes) {
        *self = match std::mem::replace(self, Self::None) {
            Self::None => Self::One(line),
            Self::One(first) => {
                let mut lines = BytesMut::with_capacity(first.len() + line.len() + 1);
                lines.extend_from_slice(&first);
                Self::joined(lines, &line)
            }
            Self::More(lines) => Self::joined(lines, &line),
        };
    }

    fn joined(mut lines: BytesMut, line: &[u8]) -> Self {
        lines.extend_from_slice(b"\n");
        lines.extend_from_slice(line);
        Self::More(lines)
    }

    fn take(&mut self) -> Bytes {
        match std::mem::replace(self, Self::None) {
            Self::None => Bytes::new(),
            Self::One(line) => line,
            Self::More(lines) => lines.freeze(),
        }
    }
}

impl Default for Decoder {
    fn default() -> Self {
        Self::new(EVENT_LIMIT)
    }
}

impl Decoder {
    /// A decoder at the beginning of a stream. `limit` is the longest line and the longest data
    /// of one event, in bytes.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        Self {
            limit,
            rest: Bytes::new(),
            partial: Vec::new(),
            after_cr: false,
            first_line: true,
            data: Data::None,
            event: Event::default(),
            last_id: None,
            retry: None,
            failed: false,
        }
    }

    /// Adds the next piece of the stream. Call `next` until it gives `None` before adding more:
    /// then nothing is copied but the line that is cut.
    pub fn push(&mut self, piece: Bytes) {
        if self.rest.is_empty() {
            self.rest = piece;
        } else {
            let mut joined = BytesMut::with_capacity(self.rest.len() + piece.len());
            joined.extend_from_slice(&self.rest);
            joined.extend_from_slice(&piece);
            self.rest = joined.freeze();
        }
    }

    /// The next event that is complete and has data; `None` when more bytes are needed. An event
    /// without data only changes `last_id` and `retry`.
    ///
    /// # Errors
    /// When a line or event is over the limit; the stream cannot be read any further.
    #[expect(clippy::should_implement_trait, reason = "a stream's end is unknown to the decoder")]
    pub fn next(&mut self) -> Result<Option<Event>, SseError> {
        while let Some(line) = self.line()? {
            if line.is_empty() {
                if let Some(event) = self.dispatch() {
                    return Ok(Some(event));
                }
            } else {
                self.field(&line)?;
            }
        }
        Ok(None)
    }

    /// The id of the last event that ended, to resume the stream from.
    #[must_use]
    pub fn last_id(&self) -> Option<&str> {
        self.last_id.as_deref().filter(|id| !id.is_empty())
    }

    /// The last reconnection time that the stream gave, in milliseconds.
    #[must_use]
    pub fn retry(&self) -> Option<u64> {
        self.retry
    }

    fn fail<T>(&mut self) -> Result<T, SseError> {
        self.failed = true;
        self.partial = Vec::new();
        self.rest.clear();
        Err(SseError::TooLong(self.limit))
    }

    /// One line without its end.
    fn line(&mut self) -> Result<Option<Bytes>, SseError> {
        if self.failed {
            return Err(SseError::TooLong(self.limit));
        }
        if self.after_cr && !self.rest.is_empty() {
            self.after_cr = false;
            if self.rest[0] == b'\n' {
                self.rest.advance(1);
            }
        }
        // The field name and its colon do not count.
        let longest = self.limit.saturating_add(8);
        let Some(end) = memchr::memchr2(b'\r', b'\n', &self.rest) else {
            if self.partial.len() + self.rest.len() > longest {
                return self.fail();
            }
            self.partial.extend_from_slice(&self.rest);
            self.rest = Bytes::new();
            return Ok(None);
        };
        if self.partial.len() + end > longest {
            return self.fail();
        }
        let mut line = self.rest.split_to(end);
        self.after_cr = self.rest[0] == b'\r';
        self.rest.advance(1);
        if !self.partial.is_empty() {
            self.partial.extend_from_slice(&line);
            line = Bytes::from(std::mem::take(&mut self.partial));
        }
        if std::mem::replace(&mut self.first_line, false) && line.starts_with(b"\xEF\xBB\xBF") {
            line.advance(3);
        }
        Ok(Some(line))
    }

    fn field(&mut self, line: &Bytes) -> Result<(), SseError> {
        let colon = memchr::memchr(b':', line).unwrap_or(line.len());
        let mut value = line.slice((colon + 1).min(line.len())..);
        if value.first() == Some(&b' ') {
            value.advance(1);
        }
        match &line[..colon] {
            b"data" => {
                if self.data.len() + value.len() > self.limit {
                    return self.fail();
                }
                self.data.push(value);
            }
            b"event" => self.event.event = Some(text(&value)),
            b"id" if !value.contains(&0) => self.event.id = Some(text(&value)),
            b"retry" if !value.is_empty() && value.iter().all(u8::is_ascii_digit) => {
                self.event.retry = text(&value).parse().ok();
            }
            // Comments (an empty name) and fields of a later standard.
            _ => {}
        }
        Ok(())
    }

    fn dispatch(&mut self) -> Option<Event> {
        let mut event = std::mem::take(&mut self.event);
        if event.id.is_some() {
            self.last_id.clone_from(&event.id);
        }
        self.retry = event.retry.or(self.retry);
        event.data = self.data.take();
        event.event = event.event.filter(|name| !name.is_empty() && name != "message");
        (!event.data.is_empty()).then_some(event)
    }
}

fn text(value: &[u8]) -> String {
    String::from_utf8_lossy(value).into_owned()
}
