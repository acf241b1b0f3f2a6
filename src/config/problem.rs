//! What is wrong with a file, where, and what to do about it.

use std::fmt;
use std::sync::Arc;

use super::text::Excerpt;

/// One problem of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The file's name as it was given.
    pub file: Arc<str>,
    /// Line, from 1; 0 when the problem is the file itself.
    pub line: usize,
    /// Column in characters, from 1; 0 when the problem is the file itself.
    pub column: usize,
    /// The key's path, such as `upstreams.gh.url`; empty for TOML syntax.
    pub key: String,
    /// The value as written, when it is one line and certainly no secret.
    pub value: Option<String>,
    /// What is wrong, without a final period.
    pub message: String,
    /// What to do.
    pub hint: Option<String>,
    pub(super) excerpt: Option<Excerpt>,
}

impl Problem {
    /// A problem of the file as a whole, such as that it cannot be read.
    pub(super) fn whole(file: &str, message: String, hint: &str) -> Self {
        Self {
            file: file.into(),
            line: 0,
            column: 0,
            key: String::new(),
            value: None,
            message,
            hint: Some(hint.to_owned()),
            excerpt: None,
        }
    }

    /// A problem of a key of what stands in no file.
    pub(super) fn about(place: &str, key: &str, message: String, hint: &str) -> Self {
        let key = if key.is_empty() { place.to_owned() } else { format!("{place}.{key}") };
        Self { key, ..Self::whole(place, message, hint) }
    }

    /// The same without file, line and column, which are those of no text that anybody wrote.
    pub(super) fn without_place(self) -> Self {
        Self { line: 0, column: 0, excerpt: None, ..self }
    }

    fn render(&self, f: &mut fmt::Formatter<'_>, kind: &str) -> fmt::Result {
        write!(f, "{}:", self.file)?;
        if self.line > 0 {
            write!(f, "{}:{}:", self.line, self.column)?;
        }
        write!(f, " {kind}{}", self.message)?;
        if let Some(excerpt) = &self.excerpt {
            let number = self.line.to_string();
            let (gutter, indent) = (" ".repeat(number.len()), " ".repeat(excerpt.indent));
            write!(f, "\n  {number} | {}", excerpt.line)?;
            write!(f, "\n  {gutter} | {indent}{}", "^".repeat(excerpt.length))?;
        }
        match &self.hint {
            Some(hint) => write!(f, "\nhint: {hint}"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.render(f, "")
    }
}

/// Something that the file may say but that the operator should know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning(
    /// Place, words and hint, as of a problem.
    pub Problem,
);

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.render(f, "warning: ")
    }
}

/// Every problem of one file in the order of the lines; never empty. Prints them all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problems(Vec<Problem>);

impl Problems {
    /// Takes the list unless it is empty.
    pub(super) fn new(problems: Vec<Problem>) -> Option<Self> {
        (!problems.is_empty()).then_some(Self(problems))
    }

    /// The problems, at least one.
    pub fn iter(&self) -> std::slice::Iter<'_, Problem> {
        self.0.iter()
    }
}

impl From<Problem> for Problems {
    fn from(problem: Problem) -> Self {
        Self(vec![problem])
    }
}

impl<'a> IntoIterator for &'a Problems {
    type Item = &'a Problem;
    type IntoIter = std::slice::Iter<'a, Problem>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str("\n\n")?;
            }
            write!(f, "{problem}")?;
        }
        if self.0.len() > 1 {
            write!(f, "\n\n{} problems", self.0.len())?;
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}
