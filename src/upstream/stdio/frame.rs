//! Lines out of a stream of bytes: each message of a stdio upstream is one line.

use bytes::{Bytes, BytesMut};

/// Longest line of a child.
pub(super) const LINE_LIMIT: usize = 16 * 1024 * 1024;
/// How much of a line that is too long is kept, to find its id.
const HEAD: usize = 512;
/// A buffer that has grown beyond this is given back once it is empty.
const KEEP: usize = 1024 * 1024;

/// What the stream gave.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Frame {
    /// A whole line without its end.
    Line(Bytes),
    /// The head of a line that is too long; the rest of it is skipped.
    TooLong(Bytes),
}

/// Cuts a stream into lines without copying them.
#[derive(Debug)]
pub(super) struct Framer {
    buffer: BytesMut,
    /// So much of `buffer` is known to hold no line end.
    scanned: usize,
    skipping: bool,
    limit: usize,
    head: usize,
}

impl Framer {
    pub(super) fn new(limit: usize) -> Self {
        Self { buffer: BytesMut::new(), scanned: 0, skipping: false, limit, head: HEAD }
    }

    /// Keeps so much of a line that is too long.
    pub(super) fn with_head(self, head: usize) -> Self {
        Self { head, ..self }
    }

    /// Where the next bytes are to be read into.
    pub(super) fn space(&mut self) -> &mut BytesMut {
        if self.buffer.is_empty() && self.buffer.capacity() > KEEP {
            self.buffer = BytesMut::new();
        }
        if self.buffer.capacity() - self.buffer.len() < 4 * 1024 {
            self.buffer.reserve(16 * 1024);
        }
        &mut self.buffer
    }

    /// The next line, when it is complete.
    pub(super) fn next(&mut self) -> Option<Frame> {
        loop {
            let Some(found) = memchr::memchr(b'\n', &self.buffer[self.scanned..]) else {
                self.scanned = self.buffer.len();
                if self.skipping {
                    self.buffer.clear();
                    self.scanned = 0;
                } else if self.buffer.len() > self.limit {
                    self.skipping = true;
                    let head = Bytes::copy_from_slice(&self.buffer[..self.head.min(self.limit)]);
                    self.buffer = BytesMut::new();
                    self.scanned = 0;
                    return Some(Frame::TooLong(head));
                }
                return None;
            };
            let end = self.scanned + found;
            let mut line = self.buffer.split_to(end + 1);
            self.scanned = 0;
            if std::mem::take(&mut self.skipping) {
                continue;
            }
            line.truncate(end - usize::from(line[..end].ends_with(b"\r")));
            if line.len() > self.limit {
                line.truncate(self.head);
                return Some(Frame::TooLong(Bytes::copy_from_slice(&line)));
            }
            if !line.is_empty() {
                return Some(Frame::Line(line.freeze()));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn frames(pieces: &[&[u8]], limit: usize) -> Vec<Frame> {
        let mut framer = Framer::new(limit);
        let mut found = Vec::new();
        for piece in pieces {
            framer.space().extend_from_slice(piece);
            found.extend(std::iter::from_fn(|| framer.next()));
        }
        found
    }

    fn line(text: &str) -> Frame {
        Frame::Line(Bytes::copy_from_slice(text.as_bytes()))
    }

    #[test]
    fn empty_lines_and_carriage_returns_are_no_content() {
        assert_eq!(frames(&[b"a\r\n\n\r\nb\nc"], 9), [line("a"), line("b")]);
    }

    #[test]
    fn after_a_line_that_is_too_long_the_next_one_is_read() {
        let long = Frame::TooLong(Bytes::from_static(b"0123"));
        assert_eq!(frames(&[b"012", b"345", b"678", b"9\nab\n"], 4), [long, line("ab")]);
    }

    proptest! {
        #[test]
        fn lines_do_not_depend_on_how_the_bytes_arrive(
            lines in proptest::collection::vec("[a-z]{1,20}", 0..20),
            cuts in proptest::collection::vec(1..9_usize, 1..50),
        ) {
            let text = lines.iter().map(|text| format!("{text}\n")).collect::<String>();
            let mut rest = text.as_bytes();
            let mut pieces = Vec::new();
            for cut in cuts.iter().cycle() {
                if rest.is_empty() { break }
                let (piece, tail) = rest.split_at((*cut).min(rest.len()));
                pieces.push(piece);
                rest = tail;
            }
            let expected: Vec<_> = lines.iter().map(|text| line(text)).collect();
            prop_assert_eq!(frames(&pieces, 20), expected);
        }
    }
}
