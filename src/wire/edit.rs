//! Changes to a text by position, so that all that is not named stays as it came.

use bytes::Bytes;

use super::json::Span;
use super::{Draft, IdText};

/// What is put in the place of a range.
#[derive(Debug, Clone)]
enum Piece {
    Text(String),
    Id(IdText),
    Fixed(&'static str),
    /// The number that the next hop chooses for its request.
    Hole,
}

/// A set of changes to one text. Ranges do not overlap; insertions at one place keep their order.
#[derive(Debug, Clone, Default)]
pub struct Edits {
    list: Vec<(Span, Piece)>,
}

impl Edits {
    /// Puts `text` in the place of `span`.
    pub fn replace(&mut self, span: Span, text: impl Into<String>) {
        self.list.push((span, Piece::Text(text.into())));
    }

    /// Like `replace`, for an id.
    pub fn replace_id(&mut self, span: Span, id: IdText) {
        self.list.push((span, Piece::Id(id)));
    }

    /// Puts `text` before the byte at `at`.
    pub fn insert(&mut self, at: usize, text: impl Into<String>) {
        self.list.push((at..at, Piece::Text(text.into())));
    }

    /// Like `replace`, without a copy of the text.
    pub fn replace_fixed(&mut self, span: Span, text: &'static str) {
        self.list.push((span, Piece::Fixed(text)));
    }

    /// Like `insert`, without a copy of the text.
    pub fn insert_fixed(&mut self, at: usize, text: &'static str) {
        self.list.push((at..at, Piece::Fixed(text)));
    }

    /// Leaves a hole in the place of `span` for the number of the next hop's request.
    pub fn replace_with_id(&mut self, span: Span) {
        self.list.push((span, Piece::Hole));
    }

    /// Leaves such a hole before the byte at `at`.
    pub fn insert_id(&mut self, at: usize) {
        self.list.push((at..at, Piece::Hole));
    }

    /// Takes members of objects out of `text`, each given by the place of its value: key, colon
    /// and one comma go with it. No two may be the members of different objects one in the other.
    pub fn remove_members(&mut self, text: &str, values: impl IntoIterator<Item = Span>) {
        let mut values: Vec<Span> = values.into_iter().collect();
        values.sort_unstable_by_key(|value| value.start);
        let mut gone = 0;
        for value in values {
            // Before a value stand its key, whose text has no quote in it, and a colon.
            let before = text[..value.start].trim_end_matches([' ', '\t', '\r', '\n', ':']);
            let key = before.strip_suffix('"').and_then(|before| before.rfind('"'));
            let Some(key) = key else { continue };
            let before = text[..key].trim_end();
            let (start, end) = if before.ends_with(',') && before.len() > gone {
                (before.len() - 1, value.end)
            } else {
                // The first one, or the first that is left: the comma behind it goes.
                let rest = text[value.end..].trim_start();
                let behind = rest.strip_prefix(',').map_or(value.end, |rest| {
                    let next = rest.trim_start();
                    text.len() - next.len()
                });
                (key, behind)
            };
            self.replace(start..end, "");
            gone = end;
        }
    }

    /// Takes over the edits of a part that begins at `base` of this text.
    pub fn append(&mut self, part: Self, base: usize) {
        let moved =
            part.list.into_iter().map(|(span, piece)| (span.start + base..span.end + base, piece));
        self.list.extend(moved);
    }

    /// True when nothing changes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// The changed text. Holes are not allowed here and stay empty.
    #[must_use]
    pub fn apply(mut self, body: &Bytes) -> Bytes {
        if self.list.is_empty() {
            return body.clone();
        }
        self.sort();
        let mut out = Vec::with_capacity(self.size(body.len()).0);
        self.write(body, b"", &mut out);
        Bytes::from(out)
    }

    /// The changed text with its holes still open; the body is not copied.
    #[must_use]
    pub fn draft(mut self, body: &Bytes) -> Draft {
        self.sort();
        Draft::new(body.clone(), self)
    }

    /// The length of the changed text of so many bytes, and how many holes are in it.
    pub(super) fn size(&self, body: usize) -> (usize, usize) {
        let (mut length, mut holes) = (body, 0);
        for (span, piece) in &self.list {
            length = length + piece.text().len() - span.len();
            holes += usize::from(matches!(piece, Piece::Hole));
        }
        (length, holes)
    }

    /// Appends the changed text to `out`, with this in its holes. They are in their order.
    pub(super) fn write(&self, body: &[u8], hole: &[u8], out: &mut Vec<u8>) {
        let mut from = 0;
        for (span, piece) in &self.list {
            out.extend_from_slice(&body[from..span.start]);
            match piece {
                Piece::Hole => out.extend_from_slice(hole),
                piece => out.extend_from_slice(piece.text().as_bytes()),
            }
            from = span.end;
        }
        out.extend_from_slice(&body[from..]);
    }

    /// The same in pieces, where what stays is not copied.
    pub(super) fn pieces(&self, body: &Bytes, hole: &[u8]) -> Vec<Bytes> {
        let mut pieces = Vec::with_capacity(2 * self.list.len() + 1);
        let mut from = 0;
        for (span, piece) in &self.list {
            pieces.push(body.slice(from..span.start));
            let text = if matches!(piece, Piece::Hole) { hole } else { piece.text().as_bytes() };
            pieces.push(Bytes::copy_from_slice(text));
            from = span.end;
        }
        pieces.push(body.slice(from..));
        pieces.retain(|piece| !piece.is_empty());
        pieces
    }

    fn sort(&mut self) {
        // Stable: insertions at one place keep the order in which they were asked for, and stand
        // before a replacement that begins there.
        self.list.sort_by_key(|(span, _)| (span.start, span.end));
        debug_assert!(
            self.list.windows(2).all(|pair| pair[0].0.end <= pair[1].0.start),
            "edits overlap"
        );
    }
}

impl Piece {
    fn text(&self) -> &str {
        match self {
            Self::Text(text) => text,
            Self::Id(id) => id,
            Self::Fixed(text) => text,
            Self::Hole => "",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_named_stays() {
        let body = Bytes::from_static(b"{\"id\":1,\"x\":1.10}");
        let mut edits = Edits::default();
        edits.insert(16, ",\"y\":2");
        edits.replace(6..7, "\"abc\"");
        assert_eq!(&edits.apply(&body)[..], b"{\"id\":\"abc\",\"x\":1.10,\"y\":2}");
    }

    #[test]
    fn holes_take_the_number_of_the_hop() {
        let body = Bytes::from_static(b"{\"id\":\"a\",\"t\":7}");
        let mut edits = Edits::default();
        edits.replace_with_id(6..9);
        edits.replace_with_id(14..15);
        let draft = edits.draft(&body);
        assert_eq!(&draft.render(42)[..], b"{\"id\":42,\"t\":42}");
        assert_eq!(&draft.render(7)[..], b"{\"id\":7,\"t\":7}");
        assert_eq!(draft.pieces(7).concat(), b"{\"id\":7,\"t\":7}");
    }
}
