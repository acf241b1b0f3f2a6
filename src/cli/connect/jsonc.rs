//! JSON as people write it: with comments and trailing commas. What is added is spliced in, so
//! that every other byte of the file stays as it was.
//!
//! The parser gives positions; the edits are our own, because a tree that is printed again is
//! held to the printer's idea of lines, and a splice cannot be wrong about what it does not touch.

use jsonc_parser::ast::{self, Object, ObjectProp};
use jsonc_parser::common::Ranged as _;
use jsonc_parser::{CollectOptions, ParseOptions, parse_to_ast};

use super::node::{Node, quote};

/// Why a text is no document that can be worked on.
#[derive(Debug, thiserror::Error)]
pub(in crate::cli) enum Syntax {
    #[error("line {0}, column {1}: {2}")]
    At(usize, usize, String),
    #[error("`{0}` stands there twice; take one out")]
    Twice(String),
    #[error("`{0}` is not {1}")]
    Kind(String, &'static str),
}

/// Reads a document; nothing where only blanks and comments are.
pub(in crate::cli) fn parse(text: &str) -> Result<Option<ast::Value<'_>>, Syntax> {
    let collect = CollectOptions::default();
    // What no client's own parser takes is an error here too.
    let options = ParseOptions {
        allow_comments: true,
        allow_trailing_commas: true,
        allow_loose_object_property_names: false,
        allow_missing_commas: false,
        allow_single_quoted_strings: false,
        allow_hexadecimal_numbers: false,
        allow_unary_plus_numbers: false,
        ..ParseOptions::default()
    };
    let parsed = parse_to_ast(text, &collect, &options).map_err(|error| {
        let kind = error.kind().to_string();
        Syntax::At(error.line_display(), error.column_display(), kind)
    })?;
    Ok(parsed.value)
}

/// Some bytes of the text, and what takes their place.
type Splice = (std::ops::Range<usize>, String);

/// Puts an entry of this name into a member of the document, in the place of one of the same
/// name. `input` is added to the array `inputs` unless one with its `id` is there.
///
/// # Errors
/// When the text is no such document.
pub(super) fn put(
    text: &str,
    (member, name): (&'static str, &'static str),
    entry: &Node,
    input: Option<&Node>,
) -> Result<String, Syntax> {
    let mark = if text.starts_with('\u{feff}') { '\u{feff}'.len_utf8() } else { 0 };
    let (mark, text) = text.split_at(mark);
    let style = Style::of(text);
    let mut splices: Vec<Splice> = Vec::new();
    match parse(text)? {
        None => {
            let mut members = Vec::new();
            if let Some(input) = input {
                members.push(("inputs", input.clone()));
            }
            members.push((member, Node::Table(vec![(name, entry.clone())])));
            let begin = if text.is_empty() || text.ends_with('\n') { "" } else { style.line };
            let text_of = style.whole(&members);
            splices.push((text.len()..text.len(), format!("{begin}{text_of}{}", style.line)));
        }
        Some(ast::Value::Object(root)) => {
            let mut added: Vec<(&str, Node)> = Vec::new();
            if let Some(input) = input {
                match one(&root, "inputs")? {
                    None => added.push(("inputs", input.clone())),
                    Some(found) => splices.extend(style.append(found, input)?),
                }
            }
            match one(&root, member)? {
                None => added.push((member, Node::Table(vec![(name, entry.clone())]))),
                Some(ObjectProp { value: ast::Value::Object(servers), .. }) => {
                    match one(servers, name)? {
                        Some(old) => {
                            let indent = style.indent_at(old.start());
                            let line = style.spread(servers).then_some(style.line);
                            let new = entry.write(indent, &style.unit, line);
                            splices.push((old.value.start()..old.value.end(), new));
                        }
                        None => splices.extend(style.add(servers, &[(name, entry.clone())])),
                    }
                }
                Some(_) => return Err(Syntax::Kind(member.to_owned(), "an object")),
            }
            if !added.is_empty() {
                splices.extend(style.add(&root, &added));
            }
        }
        Some(_) => return Err(Syntax::Kind("the document".to_owned(), "an object")),
    }
    // Those at one place stay in their order.
    splices.sort_by_key(|(range, _)| range.start);
    let mut new = mark.to_owned();
    let mut at = 0;
    for (range, insert) in splices {
        new += &text[at..range.start];
        new += &insert;
        at = range.end;
    }
    new += &text[at..];
    Ok(new)
}

/// The member of this name, which must not be there twice: clients differ in which one counts.
fn one<'o, 't>(object: &'o Object<'t>, name: &str) -> Result<Option<&'o ObjectProp<'t>>, Syntax> {
    let mut found = object.properties.iter().filter(|prop| prop.name.as_str() == name);
    let first = found.next();
    if found.next().is_some() { Err(Syntax::Twice(name.to_owned())) } else { Ok(first) }
}

/// How a document is laid out.
struct Style<'t> {
    text: &'t str,
    line: &'static str,
    unit: String,
}

impl<'t> Style<'t> {
    fn of(text: &'t str) -> Self {
        let line = match text.find('\n') {
            Some(at) if text[..at].ends_with('\r') => "\r\n",
            _ => "\n",
        };
        let mut style = Self { text, line, unit: "  ".to_owned() };
        if let Ok(Some(ast::Value::Object(root))) = parse(text)
            && let Some(first) = root.properties.first()
            && let Some(indent) = style.alone(first.start())
            && let Some(unit) = indent.strip_prefix(style.indent_at(root.start()))
            && !unit.is_empty()
        {
            style.unit = unit.to_owned();
        }
        style
    }

    /// The blanks before a place, where nothing else stands before it in its line.
    fn alone(&self, at: usize) -> Option<&'t str> {
        let begin = self.text[..at].rfind('\n').map_or(0, |at| at + 1);
        let before = &self.text[begin..at];
        (begin > 0 && before.chars().all(|char| matches!(char, ' ' | '\t'))).then_some(before)
    }

    /// The blanks that begin the line of a place.
    fn indent_at(&self, at: usize) -> &'t str {
        let begin = self.text[..at].rfind('\n').map_or(0, |at| at + 1);
        let line = &self.text[begin..at];
        &line[..line.len() - line.trim_start_matches([' ', '\t']).len()]
    }

    /// True when each member of an object has a line of its own, or would.
    fn spread(&self, object: &Object<'_>) -> bool {
        object.properties.last().is_none_or(|last| self.alone(last.start()).is_some())
    }

    fn member(&self, (name, node): &(&str, Node), indent: &str, line: Option<&str>) -> String {
        // One of `inputs` is made with its array.
        if *name == "inputs" {
            let item = node.write(indent, &self.unit, None);
            return format!("{}: [{item}]", quote(name));
        }
        format!("{}: {}", quote(name), node.write(indent, &self.unit, line))
    }

    fn whole(&self, members: &[(&str, Node)]) -> String {
        let (line, unit) = (self.line, &self.unit);
        let members: Vec<_> =
            members.iter().map(|member| self.member(member, unit, Some(line))).collect();
        format!("{{{line}{unit}{}{line}}}", members.join(&format!(",{line}{unit}")))
    }

    /// Adds members after the last one of an object.
    fn add(&self, object: &Object<'_>, members: &[(&str, Node)]) -> Vec<Splice> {
        let close = object.end() - 1;
        let Some(last) = object.properties.last() else {
            return self.fill(object.start() + 1, close, members);
        };
        let comma = self.comma(last.end(), close);
        let mut splices = Vec::new();
        match self.alone(last.start()) {
            Some(indent) => {
                let line = self.line;
                let written: Vec<_> =
                    members.iter().map(|one| self.member(one, indent, Some(line))).collect();
                let mut new =
                    format!("{line}{indent}{}", written.join(&format!(",{line}{indent}")));
                match comma {
                    // The style of this file is kept.
                    Some(_) => new += ",",
                    None => splices.push((last.end()..last.end(), ",".to_owned())),
                }
                let at = self.after_comment(comma.map_or(last.end(), |at| at + 1), close);
                splices.push((at..at, new));
            }
            None => {
                let written: Vec<_> =
                    members.iter().map(|one| self.member(one, "", None)).collect();
                let new = written.join(", ");
                match comma {
                    Some(at) => splices.push((at + 1..at + 1, format!(" {new},"))),
                    None => splices.push((last.end()..last.end(), format!(", {new}"))),
                }
            }
        }
        splices
    }

    /// Puts members into an object that has none, behind the comments in it.
    fn fill(&self, open: usize, close: usize, members: &[(&str, Node)]) -> Vec<Splice> {
        let outer = self.indent_at(open - 1);
        let indent = format!("{outer}{}", self.unit);
        let inner = &self.text[open..close];
        let at = open + inner.trim_end().len();
        let line = self.line;
        let written: Vec<_> =
            members.iter().map(|one| self.member(one, &indent, Some(line))).collect();
        let mut new = format!("{line}{indent}{}", written.join(&format!(",{line}{indent}")));
        if !self.text[at..close].contains('\n') {
            new += &format!("{line}{outer}");
        }
        vec![(at..at, new)]
    }

    /// Adds an item to an array of objects, unless it has one with the same `id`.
    fn append(&self, prop: &ObjectProp<'_>, item: &Node) -> Result<Option<Splice>, Syntax> {
        let ast::Value::Array(array) = &prop.value else {
            return Err(Syntax::Kind(prop.name.as_str().to_owned(), "an array"));
        };
        let id = item.value()["id"].as_str().unwrap_or_default().to_owned();
        let same = |value: &ast::Value<'_>| match value {
            ast::Value::Object(object) => {
                object.get_string("id").is_some_and(|found| found.value == id)
            }
            _ => false,
        };
        if array.elements.iter().any(same) {
            return Ok(None);
        }
        let new = item.write("", "", None);
        let close = array.end() - 1;
        let Some(last) = array.elements.last() else {
            return Ok(Some((array.start() + 1..array.start() + 1, new)));
        };
        let between = match self.alone(last.start()) {
            Some(indent) => format!("{}{indent}", self.line),
            None => " ".to_owned(),
        };
        Ok(Some(match self.comma(last.end(), close) {
            Some(at) => (at + 1..at + 1, format!("{between}{new},")),
            None => (last.end()..last.end(), format!(",{between}{new}")),
        }))
    }

    /// Where a comma stands after a place, before anything but blanks and comments.
    fn comma(&self, from: usize, to: usize) -> Option<usize> {
        let mut at = from;
        while at < to {
            let rest = &self.text[at..to];
            if rest.starts_with(',') {
                return Some(at);
            }
            at += comment(rest).unwrap_or_else(|| rest.chars().next().map_or(1, char::len_utf8));
        }
        None
    }

    /// Behind the comments that end the line of a place: they belong to what stands before them.
    fn after_comment(&self, from: usize, to: usize) -> usize {
        let mut at = from;
        loop {
            let rest = &self.text[at..to];
            let blank = rest.len() - rest.trim_start_matches([' ', '\t']).len();
            match comment(&rest[blank..]) {
                Some(length) if !rest[blank..blank + length].trim_end().contains('\n') => {
                    at += blank + length;
                }
                _ => return at,
            }
        }
    }
}

/// The length of the comment that a text begins with, without the line end of one with slashes.
fn comment(text: &str) -> Option<usize> {
    if text.starts_with("//") {
        let end = text.find('\n').unwrap_or(text.len());
        return Some(if text[..end].ends_with('\r') { end - 1 } else { end });
    }
    text.starts_with("/*").then(|| text[2..].find("*/").map_or(text.len(), |at| at + 4))
}
