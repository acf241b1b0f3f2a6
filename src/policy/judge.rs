//! One entry against all rules that speak of it: each must let it pass, and the first that does
//! not decides.

use std::fmt;

use crate::base::{Glob, Name};
use crate::config::{Filter, Pattern, Rules};
use crate::namespace::Entry;
use crate::wire::ListKind;

/// The rule that decides about an entry.
#[derive(Debug, Clone, Copy)]
pub enum Rule<'a> {
    /// No rule speaks of it.
    None,
    /// An `allow` fits it.
    Allowed(Place<'a>, &'a Pattern),
    /// No `allow` fits it.
    NotAllowed(Place<'a>, &'a Filter),
    /// A `deny` fits it.
    Denied(Place<'a>, &'a Pattern),
    /// Only tools that say they change nothing, and this one does not say so.
    NotReadOnly(Place<'a>, usize),
    /// The key leaves nothing of it.
    Key,
    /// The upstream is not behind the door.
    NoUpstream,
}

/// Where a rule stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place<'a> {
    profile: Option<&'a Name>,
    upstream: Option<&'a Name>,
    kind: ListKind,
}

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.profile, self.upstream) {
            (Some(profile), Some(upstream)) => write!(f, "profiles.{profile}.upstreams.{upstream}"),
            (Some(profile), None) => write!(f, "profiles.{profile}"),
            (None, Some(upstream)) => write!(f, "upstreams.{upstream}"),
            (None, None) => Ok(()),
        }
    }
}

fn section(kind: ListKind) -> &'static str {
    match kind {
        ListKind::Tools => "tools",
        ListKind::Prompts => "prompts",
        ListKind::Resources | ListKind::Templates | ListKind::Skills => "resources",
    }
}

impl Rule<'_> {
    /// The line of the file where it stands, from 1; none for what was made over the API.
    #[must_use]
    pub fn line(&self) -> Option<usize> {
        self.place().filter(|line| *line > 0)
    }

    /// Where it comes from: the file, the store that the API writes to, or the key itself.
    #[must_use]
    pub fn origin(&self) -> Option<&'static str> {
        match self {
            Self::Key => Some("key"),
            _ => self.place().map(|line| if line > 0 { "file" } else { "store" }),
        }
    }

    /// The line as it was noted: 0 for what stands in no file.
    fn place(&self) -> Option<usize> {
        match self {
            Self::Allowed(_, pattern) | Self::Denied(_, pattern) => Some(pattern.line),
            Self::NotAllowed(_, filter) => Some(filter.line),
            Self::NotReadOnly(_, line) => Some(*line),
            Self::None | Self::Key | Self::NoUpstream => None,
        }
    }
}

impl fmt::Display for Rule<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fits = |f: &mut fmt::Formatter<'_>, place: &Place<'_>, word, pattern: &Pattern| {
            write!(f, "{place}.{}.{word} \"{}\" fits it", section(place.kind), pattern.glob)
        };
        match self {
            Self::None => f.write_str("no rule speaks of it, so it is shown"),
            Self::Allowed(place, pattern) => fits(f, place, "allow", pattern),
            Self::Denied(place, pattern) => fits(f, place, "deny", pattern),
            Self::NotAllowed(place, _) => {
                write!(f, "nothing in {place}.{}.allow fits it", section(place.kind))
            }
            Self::NotReadOnly(place, _) => {
                write!(f, "{place}.read_only, and its annotations do not say readOnlyHint")
            }
            Self::Key => f.write_str("the key's scopes leave it out"),
            Self::NoUpstream => f.write_str("its upstream is not behind this door"),
        }
    }
}

/// What rules say of an entry, and which one decides.
#[derive(Debug, Clone, Copy)]
pub struct Verdict<'a> {
    /// Whether it is shown, and so may be used.
    pub shown: bool,
    /// Why.
    pub rule: Rule<'a>,
}

/// Rules with the place that they stand at.
#[derive(Debug, Clone, Copy)]
pub(super) struct Layer<'a> {
    pub(super) profile: Option<&'a Name>,
    pub(super) upstream: Option<&'a Name>,
    pub(super) rules: &'a Rules,
}

impl<'a> Layer<'a> {
    /// The filter for a kind.
    pub(super) fn filter(&self, kind: ListKind) -> Option<&'a Filter> {
        match kind {
            ListKind::Tools => self.rules.tools.as_ref(),
            ListKind::Prompts => self.rules.prompts.as_ref(),
            ListKind::Resources | ListKind::Templates | ListKind::Skills => {
                self.rules.resources.as_ref()
            }
        }
    }

    /// The rule that holds the entry back, or else the one that lets it pass.
    pub(super) fn judge(&self, entry: &Entry<'_>) -> Verdict<'a> {
        let place = Place { profile: self.profile, upstream: self.upstream, kind: entry.kind };
        let held = |rule| Verdict { shown: false, rule };
        if entry.kind == ListKind::Tools
            && !entry.read_only
            && let Some(line) = self.rules.read_only
        {
            return held(Rule::NotReadOnly(place, line));
        }
        let Some(filter) = self.filter(entry.kind) else {
            return Verdict { shown: true, rule: Rule::None };
        };
        let fits = |glob: &Glob| {
            glob.fits(entry.id) || entry.templates.iter().any(|template| glob.fits(template))
        };
        if let Some(pattern) = filter.deny.iter().find(|pattern| fits(&pattern.glob)) {
            return held(Rule::Denied(place, pattern));
        }
        let Some(allow) = &filter.allow else { return Verdict { shown: true, rule: Rule::None } };
        match allow.iter().find(|pattern| fits(&pattern.glob)) {
            Some(pattern) => Verdict { shown: true, rule: Rule::Allowed(place, pattern) },
            None => held(Rule::NotAllowed(place, filter)),
        }
    }
}
