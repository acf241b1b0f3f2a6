//! Collects what is wrong while the file is checked, so that all of it is told at once.

use std::ops::Range;
use std::sync::Arc;

use super::problem::{Problem, Problems, Warning};
use super::text::{Text, tame};

/// Longest sentence of a problem in characters.
const SENTENCE: usize = 400;
/// Longest value that a problem carries in characters.
const VALUE: usize = 200;

/// Something found, before it has lines and columns.
#[derive(Debug)]
pub(super) struct Found {
    span: Range<usize>,
    key: String,
    is_value: bool,
    message: String,
    hint: Option<String>,
    absence: bool,
}

impl Found {
    /// Says what to do.
    pub(super) fn hint(&mut self, hint: impl Into<String>) -> &mut Self {
        self.hint = Some(hint.into());
        self
    }

    /// Marks that something is not there. In a file with syntax errors that may be only because
    /// it could not be read, so it is not told then.
    pub(super) fn absence(&mut self) -> &mut Self {
        self.absence = true;
        self
    }
}

/// The findings of one file.
#[derive(Debug)]
pub(super) struct Report<'a> {
    text: Text<'a>,
    problems: Vec<Found>,
    warnings: Vec<Found>,
}

impl<'a> Report<'a> {
    /// An empty report on this text.
    pub(super) fn new(text: &'a str) -> Self {
        Self { text: Text::new(text), problems: Vec::new(), warnings: Vec::new() }
    }

    /// The file's text.
    pub(super) const fn text(&self) -> &Text<'a> {
        &self.text
    }

    /// Keeps a range out of everything that is printed.
    pub(super) fn hide(&mut self, range: Range<usize>) {
        self.text.hide(range);
    }

    /// A problem of the value in this range.
    pub(super) fn value(
        &mut self,
        key: &str,
        span: Range<usize>,
        message: impl Into<String>,
    ) -> &mut Found {
        push(&mut self.problems, key, span, true, message.into())
    }

    /// A problem of a key, a table or the syntax in this range.
    pub(super) fn key(
        &mut self,
        key: &str,
        span: Range<usize>,
        message: impl Into<String>,
    ) -> &mut Found {
        push(&mut self.problems, key, span, false, message.into())
    }

    /// Something that is allowed but that the operator should know.
    pub(super) fn warning(
        &mut self,
        key: &str,
        span: Range<usize>,
        message: impl Into<String>,
    ) -> &mut Found {
        push(&mut self.warnings, key, span, false, message.into())
    }

    /// How many problems there are so far.
    pub(super) const fn count(&self) -> usize {
        self.problems.len()
    }

    /// Everything found, in the order of the lines. `broken` are the places of syntax errors:
    /// what else was found in their lines, or only not found, follows from them and is left out.
    pub(super) fn finish(
        mut self,
        file: &str,
        broken: &[Range<usize>],
    ) -> (Option<Problems>, Vec<Warning>) {
        let lines: Vec<usize> =
            broken.iter().map(|span| self.text.position(span.start).0).collect();
        let mut problems = std::mem::take(&mut self.problems);
        problems.retain(|found| {
            let line = self.text.position(found.span.start).0;
            found.key.is_empty() || broken.is_empty() || !(found.absence || lines.contains(&line))
        });
        let file: Arc<str> = tame(file, SENTENCE).into();
        let warnings = std::mem::take(&mut self.warnings);
        let warnings = self.place(warnings, &file).into_iter().map(Warning).collect();
        (Problems::new(self.place(problems, &file)), warnings)
    }

    fn place(&self, mut found: Vec<Found>, file: &Arc<str>) -> Vec<Problem> {
        found.sort_by_key(|found| (found.span.start, found.span.end));
        found.into_iter().map(|found| self.problem(found, file)).collect()
    }

    fn problem(&self, found: Found, file: &Arc<str>) -> Problem {
        let (line, column) = self.text.position(found.span.start);
        let written = self.text.slice(found.span.clone());
        let shown = found.is_value && !written.contains('\n') && !self.text.is_hidden(&found.span);
        Problem {
            file: Arc::clone(file),
            line,
            column,
            key: found.key,
            value: shown.then(|| tame(written, VALUE)),
            message: tame(&found.message, SENTENCE),
            hint: found.hint.map(|hint| tame(&hint, SENTENCE)),
            excerpt: Some(self.text.excerpt(&found.span)),
        }
    }
}

fn push<'f>(
    list: &'f mut Vec<Found>,
    key: &str,
    span: Range<usize>,
    is_value: bool,
    message: String,
) -> &'f mut Found {
    let key = key.to_owned();
    list.push_mut(Found { span, key, is_value, message, hint: None, absence: false })
}
