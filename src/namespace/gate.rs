//! What a view asks while it is made: which entries are shown at its door, and as what. The
//! answers are the policy's.

use crate::base::Name;
use crate::wire::ListKind;

/// One entry of an upstream's list, or what could be one.
#[derive(Debug, Clone, Copy)]
pub struct Entry<'a> {
    /// Of which list.
    pub kind: ListKind,
    /// Its name, URI or template at the upstream.
    pub id: &'a str,
    /// A tool whose annotations say `readOnlyHint`.
    pub read_only: bool,
    /// The upstream's templates that can give this URI, of resources, templates and skills.
    pub templates: &'a [&'a str],
}

/// An argument with a value of its own.
#[derive(Debug, Clone, Copy)]
pub struct Pin<'a> {
    /// The argument.
    pub name: &'a str,
    /// Its value as JSON text.
    pub json: &'a str,
    /// False: only where the tool's schema has the argument.
    pub always: bool,
}

/// As what a tool is shown.
#[derive(Debug, Clone, Default)]
pub struct Guise<'a> {
    /// Another name.
    pub name: Option<&'a str>,
    /// Another description.
    pub description: Option<&'a str>,
    /// Arguments that are filled in, and not shown.
    pub pins: Vec<Pin<'a>>,
    /// Arguments that are not shown, and refused.
    pub hides: Vec<&'a str>,
}

/// Decides about the entries of upstreams at one door, for one kind of key.
pub trait Gate {
    /// True when not everything of a list may be shown, or not as it is: then only what the list
    /// has is known at all.
    fn narrows(&self, upstream: &Name, kind: ListKind) -> bool;

    /// Whether an entry is shown.
    fn admits(&self, upstream: &Name, entry: &Entry<'_>) -> bool;

    /// As what a tool is shown.
    fn guise(&self, upstream: &Name, tool: &str) -> Guise<'_>;
}

/// Shows everything as it is.
#[cfg(test)]
pub(crate) struct Open;

#[cfg(test)]
impl Gate for Open {
    fn narrows(&self, _: &Name, _: ListKind) -> bool {
        false
    }

    fn admits(&self, _: &Name, _: &Entry<'_>) -> bool {
        true
    }

    fn guise(&self, _: &Name, _: &str) -> Guise<'_> {
        Guise::default()
    }
}
