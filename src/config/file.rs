//! The TOML of the file with positions: values that tell their place, and tables that know which
//! of their keys nobody asked for.

use std::collections::BTreeMap;
use std::ops::{Range, RangeInclusive};

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::near::nearest;
use super::report::{Found, Report};
use super::text::tame;

/// Reads the text. Syntax errors go to the report; what could be read in spite of them is given.
pub(super) fn parse<'a>(text: &'a str, report: &mut Report<'a>) -> Spanned<DeTable<'a>> {
    let (root, errors) = DeTable::parse_recoverable(text);
    let mut last_line = 0;
    for error in errors {
        let span = error.span().unwrap_or(text.len()..text.len());
        let line = report.text().position(span.start).0;
        // The reader stumbles over the rest of a line, too; that is no news.
        if line == last_line {
            continue;
        }
        last_line = line;
        conceal(report, span.start);
        let message = error.message().trim_end_matches(", expected nothing");
        let is_open = message.contains("array") || message.contains("inline table");
        let hint = match message {
            "duplicate key" => "each key and each section stands in the file once",
            _ if is_open => "close the [ ] or { } that begins before this place, and put commas",
            _ => "a text stands in quotes, a list in [ ], a section's name in [ ] on its own line",
        };
        report.syntax(span, format!("this is not TOML: {message}"), is_open).hint(hint);
        if is_open {
            break;
        }
    }
    root
}

/// Hides the value in a line that could not be read, unless it stands where no secret stands.
fn conceal(report: &mut Report<'_>, at: usize) {
    const OPEN: [&str; 4] = ["server", "store", "seal", "namespace"];
    const OPEN_KEYS: [&str; 6] = ["command", "cwd", "share", "interactive", "era", "bare"];
    let text = report.text();
    let range = text.line_range(at);
    let line = text.slice(range.clone());
    let section = text
        .lines_before(at)
        .map(|range| text.slice(range).trim_start())
        .find(|line| line.starts_with('['));
    let section = section.unwrap_or_default().trim_matches(['[', ']', ' ']);
    let key = line.split('=').next().unwrap_or_default().trim();
    let is_header = line.trim_start().starts_with('[') && !line.contains('=');
    if is_header || OPEN.contains(&section) || OPEN_KEYS.contains(&key) {
        return;
    }
    let start = line.find('=').map_or(0, |at| at + 1);
    let blank = line[start..].len() - line[start..].trim_start().len();
    if range.start + start + blank < range.end {
        report.hide(range.start + start + blank..range.end);
    }
}

/// A value of the file and where it stands.
#[derive(Debug, Clone)]
pub(super) struct Item<'a> {
    /// The key's path, such as `upstreams.gh.url` or `server.hosts[1]`.
    pub(super) path: String,
    /// Where the value is.
    pub(super) span: Range<usize>,
    /// Where its key is; for entries of an array, where the entry is.
    pub(super) key_span: Range<usize>,
    value: &'a DeValue<'a>,
}

impl<'a> Item<'a> {
    /// The text, or a problem.
    pub(super) fn string(&self, report: &mut Report<'_>) -> Option<&'a str> {
        match self.value {
            DeValue::String(text) => Some(text),
            DeValue::Integer(_) | DeValue::Float(_) | DeValue::Boolean(_) => {
                self.mistyped(report, "a string").hint("put it in quotes");
                None
            }
            _ => {
                self.mistyped(report, "a string");
                None
            }
        }
    }

    /// The text without a problem when it is something else.
    pub(super) fn as_string(&self) -> Option<&'a str> {
        self.value.as_str()
    }

    /// True when this is a table.
    pub(super) fn is_table(&self) -> bool {
        self.value.is_table()
    }

    /// True when this is an array.
    pub(super) fn is_array(&self) -> bool {
        self.value.is_array()
    }

    /// The whole number, or a problem.
    pub(super) fn integer(
        &self,
        report: &mut Report<'_>,
        allowed: RangeInclusive<i64>,
    ) -> Option<i64> {
        let DeValue::Integer(integer) = self.value else {
            self.mistyped(report, "a whole number");
            return None;
        };
        let number = i64::from_str_radix(integer.as_str(), integer.radix()).ok();
        if let Some(number) = number.filter(|number| allowed.contains(number)) {
            return Some(number);
        }
        let (min, max) = allowed.into_inner();
        report
            .value(&self.path, self.span.clone(), format!("`{}` is out of range", self.path))
            .hint(format!("use {min} to {max}"));
        None
    }

    /// The truth value, or a problem.
    pub(super) fn boolean(&self, report: &mut Report<'_>) -> Option<bool> {
        let value = self.value.as_bool();
        if value.is_none() {
            self.mistyped(report, "true or false");
        }
        value
    }

    /// The entries of an array, or a problem.
    pub(super) fn array(&self, report: &mut Report<'_>) -> Option<Vec<Self>> {
        let DeValue::Array(array) = self.value else {
            let found = self.mistyped(report, "an array");
            if self.value.is_str() {
                found.hint("put it in [ ]");
            }
            return None;
        };
        let entries = array.iter().enumerate().map(|(index, entry)| Self {
            path: format!("{}[{index}]", self.path),
            span: entry.span(),
            key_span: entry.span(),
            value: entry.get_ref(),
        });
        Some(entries.collect())
    }

    /// The value as JSON, or a problem where JSON has no such value.
    pub(super) fn json(&self, report: &mut Report<'_>) -> Option<serde_json::Value> {
        let found = json(self.value);
        if found.is_none() {
            self.problem(report, format!("`{}` holds what JSON has not", self.path))
                .hint("use texts, finite numbers, true and false, lists and tables");
        }
        found
    }

    /// The line of its key, from 1.
    pub(super) fn line(&self, report: &Report<'_>) -> usize {
        report.text().position(self.key_span.start).0
    }

    /// The table, or a problem.
    pub(super) fn table(&self, report: &mut Report<'_>) -> Option<Table<'a>> {
        let table = self.value.as_table();
        if table.is_none() {
            self.mistyped(report, "a table");
        }
        Some(Table::new(self.path.clone(), table?))
    }

    /// A problem with this value.
    pub(super) fn problem<'r>(
        &self,
        report: &'r mut Report<'_>,
        message: impl Into<String>,
    ) -> &'r mut Found {
        report.value(&self.path, self.span.clone(), message)
    }

    /// A problem with this key.
    pub(super) fn key_problem<'r>(
        &self,
        report: &'r mut Report<'_>,
        message: impl Into<String>,
    ) -> &'r mut Found {
        report.key(&self.path, self.key_span.clone(), message)
    }

    /// Says that the value has the wrong type; `wanted` comes with its article.
    pub(super) fn mistyped<'r>(&self, report: &'r mut Report<'_>, wanted: &str) -> &'r mut Found {
        let is = match self.value {
            DeValue::String(_) => "a string",
            DeValue::Integer(_) => "a whole number",
            DeValue::Float(_) => "a fraction",
            DeValue::Boolean(_) => "true or false",
            DeValue::Datetime(_) => "a date or time",
            DeValue::Array(_) => "an array",
            DeValue::Table(_) => "a table",
        };
        self.problem(report, format!("`{}` must be {wanted}, not {is}", self.path))
    }

    /// Where a byte of the string stands in the file, when the string is written as it is;
    /// otherwise the whole value.
    pub(super) fn within(&self, report: &Report<'_>, offset: usize) -> Range<usize> {
        let written = report.text().slice(self.span.clone());
        match self.value.as_str() {
            Some(text) if written.get(1..written.len().saturating_sub(1)) == Some(text) => {
                self.span.start + 1 + offset..self.span.end - 1
            }
            _ => self.span.clone(),
        }
    }

    /// Keeps every text and number inside this value out of what is printed.
    pub(super) fn hide(&self, report: &mut Report<'_>) {
        hide(self.value, &self.span, report);
    }
}

fn hide(value: &DeValue<'_>, span: &Range<usize>, report: &mut Report<'_>) {
    match value {
        DeValue::Array(list) => list.iter().for_each(|v| hide(v.get_ref(), &v.span(), report)),
        DeValue::Table(table) => {
            table.iter().for_each(|(_, value)| hide(value.get_ref(), &value.span(), report));
        }
        DeValue::Boolean(_) => {}
        _ => report.hide(span.clone()),
    }
}

fn json(value: &DeValue<'_>) -> Option<serde_json::Value> {
    use serde_json::{Number, Value};
    Some(match value {
        DeValue::String(text) => Value::String(text.to_string()),
        DeValue::Integer(number) => {
            let number = i64::from_str_radix(number.as_str(), number.radix()).ok()?;
            Value::Number(number.into())
        }
        DeValue::Float(number) => Value::Number(Number::from_f64(number.as_str().parse().ok()?)?),
        DeValue::Boolean(truth) => Value::Bool(*truth),
        DeValue::Datetime(time) => Value::String(time.to_string()),
        DeValue::Array(list) => {
            Value::Array(list.iter().map(|entry| json(entry.get_ref())).collect::<Option<_>>()?)
        }
        DeValue::Table(table) => {
            let members = table
                .iter()
                .map(|(key, value)| Some((key.get_ref().to_string(), json(value.get_ref())?)));
            Value::Object(members.collect::<Option<_>>()?)
        }
    })
}

/// A table of the file; what is not taken out of it is unknown.
#[derive(Debug)]
pub(super) struct Table<'a> {
    /// The table's path; empty for the whole file.
    pub(super) path: String,
    rest: BTreeMap<&'a str, Item<'a>>,
    known: Vec<&'static str>,
}

impl<'a> Table<'a> {
    /// A table with its path.
    pub(super) fn new(path: String, table: &'a DeTable<'a>) -> Self {
        let rest = table.iter().map(|(key, value)| {
            let name: &'a str = key.get_ref();
            let item = Item {
                path: join(&path, name),
                span: value.span(),
                key_span: key.span(),
                value: value.get_ref(),
            };
            (name, item)
        });
        let rest = rest.collect();
        Self { path, rest, known: Vec::new() }
    }

    /// Takes one key out, and remembers that it is a key of this table.
    pub(super) fn take(&mut self, key: &'static str) -> Option<Item<'a>> {
        self.known.push(key);
        self.rest.remove(key)
    }

    /// Looks at every entry.
    pub(super) fn each(&self) -> impl Iterator<Item = (&'a str, &Item<'a>)> {
        self.rest.iter().map(|(name, item)| (*name, item))
    }

    /// Every entry, for tables whose keys are names.
    pub(super) fn entries(self) -> impl Iterator<Item = (&'a str, Item<'a>)> {
        self.rest.into_iter()
    }

    /// Reports every key that nobody took. `later` are keys of later versions, `foreign` are
    /// words that other programs' files use, with what to write instead.
    pub(super) fn finish(self, report: &mut Report<'_>, later: &[&str], foreign: &[(&str, &str)]) {
        let known = self.known;
        // A slip in a word of these is as open as the word; what else nobody knows may be a
        // secret in the wrong place.
        let is_open = matches!(self.path.as_str(), "server" | "namespace");
        for (name, item) in self.rest {
            let instead = foreign.iter().find(|(word, _)| *word == name);
            let near = nearest(name, &known);
            if !(is_open && (instead.is_some() || near.is_some())) {
                item.hide(report);
            }
            if later.contains(&name) {
                item.key_problem(report, format!("`{}` is not in this version yet", item.path))
                    .stray()
                    .hint("take it out; a later version will know it");
                continue;
            }
            let place = match self.path.as_str() {
                "" => "the file".to_owned(),
                path => format!("`{path}`"),
            };
            let message = format!("{place} has no key `{}`", tame(name, 60));
            let hint = match (instead, near) {
                (Some((_, instead)), _) => (*instead).to_owned(),
                (None, Some(near)) => format!("did you mean `{near}`?"),
                (None, None) => format!("its keys are {}", known.join(", ")),
            };
            item.key_problem(report, message).stray().hint(hint);
        }
    }
}

/// The path of a key inside a table, quoted where TOML wants it.
fn join(path: &str, key: &str) -> String {
    let bare = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    let key = tame(key, 80);
    let key = if !key.is_empty() && key.bytes().all(bare) { key } else { format!("\"{key}\"") };
    if path.is_empty() { key } else { format!("{path}.{key}") }
}
