//! Values with references, and what one upstream refers to.

use std::collections::BTreeSet;
use std::ops::Range;

use crate::base::Slot;
use crate::config::file::Item;
use crate::config::report::Report;
use crate::config::{Part, Template};

/// What the templates of one upstream name.
#[derive(Debug, Default)]
pub(super) struct References {
    /// Every secret slot.
    pub(super) slots: BTreeSet<Slot>,
    /// The path of the first value with a secret.
    pub(super) secret: Option<String>,
    /// The path of the first value with `{tenant}`.
    pub(super) tenant: Option<String>,
    /// Path and place of every value with `{key}`.
    pub(super) keys: Vec<(String, Range<usize>)>,
    /// Path and place of every value with the token of a login.
    pub(super) tokens: Vec<(String, Range<usize>)>,
}

impl References {
    /// Reads a value and notes what it names.
    pub(super) fn read(&mut self, item: &Item<'_>, report: &mut Report<'_>) -> Option<Template> {
        let text = item.string(report)?;
        if text.contains('\0') {
            item.problem(report, format!("`{}` has a NUL in it", item.path))
                .hint("no program and no server takes one");
            return None;
        }
        let template = match Template::parse(text) {
            Ok(template) => template,
            Err((offset, sentence)) => {
                let span = item.within(report, offset);
                let (message, hint) = match sentence.split_once("; ") {
                    Some((message, hint)) => (message, hint),
                    None => (sentence.as_str(), "write {secret.NAME}, {tenant} or {key}"),
                };
                let message = format!("`{}`: {message}", item.path);
                report.value(&item.path, span, message).hint(hint);
                return None;
            }
        };
        self.note(&template, item);
        Some(template)
    }

    fn note(&mut self, template: &Template, item: &Item<'_>) {
        for part in template.parts() {
            match part {
                Part::Text(_) => {}
                Part::Secret(slot) => {
                    self.slots.insert(slot.clone());
                    self.secret.get_or_insert_with(|| item.path.clone());
                }
                Part::Tenant => {
                    self.tenant.get_or_insert_with(|| item.path.clone());
                }
                Part::Key => self.keys.push((item.path.clone(), item.span.clone())),
                Part::AccessToken => {
                    self.secret.get_or_insert_with(|| item.path.clone());
                    self.tokens.push((item.path.clone(), item.span.clone()));
                }
            }
        }
    }
}
