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
    kind: Kind,
}

/// What a syntax error elsewhere may have to do with a finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Nothing.
    Plain,
    /// What is missing may be what could not be read.
    Absence,
    /// The key may belong to a section whose name could not be read.
    Stray,
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
        self.kind = Kind::Absence;
        self
    }

    /// Marks that a key is not known where it stands. In a file with a broken section name that
    /// may be the wrong place, so it is not told then.
    pub(super) fn stray(&mut self) -> &mut Self {
        self.kind = Kind::Stray;
        self
    }
}

/// The findings of one file.
#[derive(Debug)]
pub(super) struct Report<'a> {
    text: Text<'a>,
    problems: Vec<Found>,
    warnings: Vec<Found>,
    broken: Vec<Range<usize>>,
    /// Where a value begins to take in what follows it.
    lost: usize,
}

impl<'a> Report<'a> {
    /// An empty report on this text.
    pub(super) fn new(text: &'a str) -> Self {
        Self {
            text: Text::new(text),
            problems: Vec::new(),
            warnings: Vec::new(),
            broken: Vec::new(),
            lost: usize::MAX,
        }
    }

    /// The file's text.
    pub(super) const fn text(&self) -> &Text<'a> {
        &self.text
    }

    /// Keeps a range out of everything that is printed.
    pub(super) fn hide(&mut self, range: Range<usize>) {
        self.text.hide(range);
    }

    /// A problem of the syntax. After one that `swallows` what follows, nothing is told: the rest
    /// was read as part of a value that does not end.
    pub(super) fn syntax(
        &mut self,
        span: Range<usize>,
        message: String,
        swallows: bool,
    ) -> &mut Found {
        self.broken.push(span.clone());
        if swallows {
            self.lost = self.lost.min(span.start);
        }
        push(&mut self.problems, "", span, false, message)
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

    /// A problem of a key or a table in this range.
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

    /// Everything found, in the order of the lines, without what only follows from a syntax
    /// error.
    pub(super) fn finish(mut self, file: &str) -> (Option<Problems>, Vec<Warning>) {
        let mut problems = std::mem::take(&mut self.problems);
        if !self.broken.is_empty() {
            self.sift(&mut problems);
        }
        let file: Arc<str> = tame(file, SENTENCE).into();
        let warnings = std::mem::take(&mut self.warnings);
        let warnings = self.place(warnings, &file).into_iter().map(Warning).collect();
        (Problems::new(self.place(problems, &file)), warnings)
    }

    fn sift(&self, problems: &mut Vec<Found>) {
        let line = |span: &Range<usize>| self.text.line_range(span.start);
        let lines: Vec<Range<usize>> = self.broken.iter().map(line).collect();
        let lost_section =
            lines.iter().any(|line| self.text.slice(line.clone()).trim_start().starts_with('['));
        problems.retain(|found| {
            let follows = match found.kind {
                Kind::Plain => false,
                Kind::Absence => true,
                Kind::Stray => lost_section,
            };
            let is_syntax = found.key.is_empty();
            let is_around =
                |at: &Range<usize>| found.span.start <= at.start && at.start <= found.span.end;
            let is_lost = found.span.end > self.lost
                || lines.contains(&line(&found.span))
                || self.broken.iter().any(is_around);
            is_syntax || !(follows || is_lost)
        });
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
    list.push_mut(Found { span, key, is_value, message, hint: None, kind: Kind::Plain })
}
