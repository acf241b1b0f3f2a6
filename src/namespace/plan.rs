//! Where a request goes: evidence that a name leads somewhere at the door it came in by.

use std::sync::Arc;

use super::catalogue::Tool;
use crate::config::Upstream;

/// What a plan leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// A tool, by its name.
    Tool,
    /// A prompt, by its name.
    Prompt,
    /// A resource, a template or a skill, by its URI.
    Resource,
    /// A task, by the upstream's id of it.
    Task,
}

/// Where a request goes: made by a view alone, from a name that it shows, or from one that only
/// its upstream can know.
#[derive(Debug, Clone)]
pub struct Plan {
    upstream: Arc<Upstream>,
    original: Arc<str>,
    target: Target,
    tool: Option<Arc<Tool>>,
    merged: bool,
    renamed: bool,
    judged: bool,
    templates: Box<[Box<str>]>,
}

impl Plan {
    pub(super) fn new(
        upstream: Arc<Upstream>,
        target: Target,
        original: Arc<str>,
        merged: bool,
    ) -> Self {
        Self {
            upstream,
            original,
            target,
            tool: None,
            merged,
            renamed: false,
            judged: true,
            templates: Box::default(),
        }
    }

    pub(super) fn with_tool(mut self, tool: Option<Arc<Tool>>, renamed: bool) -> Self {
        (self.tool, self.renamed) = (tool, renamed);
        self
    }

    /// Says that no list has shown it, though rules decide what is shown.
    pub(super) fn unjudged(mut self, templates: Box<[Box<str>]>) -> Self {
        (self.judged, self.templates) = (false, templates);
        self
    }

    /// The upstream that owns the name.
    #[must_use]
    pub fn upstream(&self) -> &Arc<Upstream> {
        &self.upstream
    }

    /// The name or URI as the upstream knows it.
    #[must_use]
    pub fn original(&self) -> &str {
        &self.original
    }

    /// The same, to be kept.
    #[must_use]
    pub fn shared_original(&self) -> &Arc<str> {
        &self.original
    }

    /// What it leads to.
    #[must_use]
    pub fn target(&self) -> Target {
        self.target
    }

    /// Routing facts, of a tool that has any.
    #[must_use]
    pub fn tool(&self) -> Option<&Tool> {
        self.tool.as_deref()
    }

    /// True when what comes back must be made public again.
    #[must_use]
    pub fn merged(&self) -> bool {
        self.merged
    }

    /// True when the client's name is not the upstream's.
    #[must_use]
    pub fn renamed(&self) -> bool {
        self.merged || self.renamed
    }

    /// True when rules have let it pass as the view was made, or there are none about it.
    #[must_use]
    pub fn judged(&self) -> bool {
        self.judged
    }

    /// The upstream's templates that can give this URI, where it is not judged.
    #[must_use]
    pub fn templates(&self) -> &[Box<str>] {
        &self.templates
    }
}
