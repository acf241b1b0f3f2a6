//! The file's text as people see it: lines, columns, and excerpts in which what may be secret
//! is hidden.

use std::ops::Range;

/// Most characters of a line that an excerpt shows.
const WIDTH: usize = 120;
/// Characters kept before the caret when a line is too long to be shown whole.
const LEAD: usize = 60;
/// What stands for a value that is not shown.
const HIDDEN: &str = "[hidden]";

/// A text with its line starts and the ranges that no excerpt may show.
#[derive(Debug)]
pub(super) struct Text<'a> {
    text: &'a str,
    starts: Vec<usize>,
    hidden: Vec<Range<usize>>,
}

/// One line of the text with the part that is meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Excerpt {
    /// The line, printable and at most `WIDTH` characters and two ellipses long.
    pub(super) line: String,
    /// Characters before the caret.
    pub(super) indent: usize,
    /// Characters under the caret, at least one.
    pub(super) length: usize,
}

impl<'a> Text<'a> {
    /// Finds the lines.
    pub(super) fn new(text: &'a str) -> Self {
        let breaks = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n');
        let starts = std::iter::once(0).chain(breaks.map(|(at, _)| at + 1)).collect();
        Self { text, starts, hidden: Vec::new() }
    }

    /// Keeps this range out of every excerpt.
    pub(super) fn hide(&mut self, range: Range<usize>) {
        self.hidden.push(range);
    }

    /// True when some byte of the range is hidden.
    pub(super) fn is_hidden(&self, range: &Range<usize>) -> bool {
        self.hidden.iter().any(|hidden| hidden.start < range.end && range.start < hidden.end)
    }

    /// The text of a range; empty when the range is none of this text.
    pub(super) fn slice(&self, range: Range<usize>) -> &'a str {
        self.text.get(range).unwrap_or_default()
    }

    /// Line and column of a byte offset, both from 1, columns in characters.
    pub(super) fn position(&self, offset: usize) -> (usize, usize) {
        let offset = self.text.floor_char_boundary(offset);
        let line = self.line(offset);
        (line + 1, self.text[self.starts[line]..offset].chars().count() + 1)
    }

    /// The bytes of the line around an offset, without its end.
    pub(super) fn line_range(&self, offset: usize) -> Range<usize> {
        let line = self.line(offset);
        let start = self.starts[line];
        let end = self.starts.get(line + 1).map_or(self.text.len(), |next| next - 1);
        start..start + self.text[start..end].trim_end_matches('\r').len()
    }

    /// The ranges of the lines before the one around an offset, nearest first.
    pub(super) fn lines_before(&self, offset: usize) -> impl Iterator<Item = Range<usize>> {
        self.starts[..self.line(offset)].iter().rev().map(|start| self.line_range(*start))
    }

    /// The line where the span starts, ready to be printed.
    pub(super) fn excerpt(&self, span: &Range<usize>) -> Excerpt {
        let shown = self.shown(self.line_range(span.start));
        let caret = shown.iter().position(|(range, _)| range.end > span.start);
        let caret = caret.unwrap_or(shown.len());
        let end = shown.iter().position(|(range, _)| range.start >= span.end);
        let end = end.unwrap_or(shown.len()).max(caret + 1);

        let from = if shown.len() > WIDTH { caret.saturating_sub(LEAD) } else { 0 };
        let to = shown.len().min(from + WIDTH);
        let mut line = String::new();
        if from > 0 {
            line.push('…');
        }
        let indent = caret - from + line.chars().count();
        line.extend(shown[from..to].iter().map(|(_, char)| *char));
        if to < shown.len() {
            line.push('…');
        }
        let length = end.min(to.max(caret + 1)) - caret;
        Excerpt { line: line.trim_end().to_owned(), indent, length }
    }

    /// The characters to show, each with the bytes that it stands for.
    fn shown(&self, line: Range<usize>) -> Vec<(Range<usize>, char)> {
        let mut shown = Vec::new();
        let mut at = line.start;
        while at < line.end {
            if let Some(hidden) = self.hidden.iter().find(|hidden| hidden.contains(&at)) {
                let end = self.text.ceil_char_boundary(hidden.end).min(line.end);
                shown.extend(HIDDEN.chars().map(|char| (at..end, char)));
                at = end;
            } else if let Some(char) = self.text[at..].chars().next() {
                shown.push((at..at + char.len_utf8(), printable(char)));
                at += char.len_utf8();
            }
        }
        shown
    }

    fn line(&self, offset: usize) -> usize {
        self.starts.partition_point(|start| *start <= offset).saturating_sub(1)
    }
}

/// One column for one character: what a terminal would obey instead of show is replaced.
fn printable(char: char) -> char {
    match char {
        '\t' => ' ',
        _ if is_plain(char) => char,
        _ => '\u{fffd}',
    }
}

fn is_plain(char: char) -> bool {
    matches!(char, '"' | '\'' | '\\') || char.escape_debug().count() == 1
}

/// A text from the file made fit for a sentence: control characters escaped, at most `limit`
/// characters.
pub(super) fn tame(text: &str, limit: usize) -> String {
    let mut tamed = String::new();
    for (index, char) in text.chars().enumerate() {
        if index == limit {
            tamed.push('…');
            break;
        }
        if is_plain(char) {
            tamed.push(char);
        } else {
            tamed.extend(char.escape_debug());
        }
    }
    tamed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_count_characters() {
        let text = Text::new("a = 1\nü = \"€\" x\r\n");
        assert_eq!(text.position(0), (1, 1));
        assert_eq!(text.position(5), (1, 6));
        let x = "a = 1\nü = \"€\" ".len();
        assert_eq!(text.position(x), (2, 9));
        assert_eq!(
            text.excerpt(&(x..x + 1)),
            Excerpt { line: "ü = \"€\" x".into(), indent: 8, length: 1 }
        );
        assert_eq!(text.position(999), (3, 1));
    }

    #[test]
    fn hidden_ranges_are_never_shown_and_the_caret_still_fits() {
        let line = "token = \"hunter2\", other = 1";
        let mut text = Text::new(line);
        text.hide(8..17);
        let other = line.find("other").unwrap();
        let excerpt = text.excerpt(&(other..other + 5));
        assert_eq!(excerpt.line, "token = [hidden], other = 1");
        assert_eq!(excerpt.indent, "token = [hidden], ".len());
        assert_eq!(text.excerpt(&(10..12)).indent, 8);
        assert_eq!(text.excerpt(&(8..17)).length, HIDDEN.len());
    }

    #[test]
    fn long_lines_are_cut_around_the_caret() {
        let line = format!("{}X{}", "a".repeat(500), "b".repeat(500));
        let excerpt = Text::new(&line).excerpt(&(500..501));
        assert_eq!(excerpt.line.chars().nth(excerpt.indent), Some('X'));
        assert_eq!(excerpt.line.chars().count(), WIDTH + 2);
    }

    #[test]
    fn what_a_terminal_obeys_is_escaped() {
        assert_eq!(tame("a\u{1b}[2J\"\u{202e}", 80), "a\\u{1b}[2J\"\\u{202e}");
        assert_eq!(tame("abcdef", 3), "abc…");
        assert_eq!(Text::new("a\u{1b}\tb").excerpt(&(0..1)).line, "a\u{fffd} b");
    }
}
