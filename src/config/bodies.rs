//! `[bodies]` as it is compiled.

use std::time::Duration;

use crate::base::Glob;

/// `[bodies]`: whose calls are kept with their arguments and answers. Without the section none is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bodies {
    /// Calls of tenants that one of these fits; empty: of all.
    pub tenants: Vec<Glob>,
    /// Calls to upstreams that one of these fits; empty: to all.
    pub upstreams: Vec<Glob>,
    /// Calls of tools that one of these fits, by the upstream's own names; empty: of all, and
    /// whatever else goes to an upstream.
    pub tools: Vec<Glob>,
    /// Most bytes that are kept of the arguments, and of the answer (default 16 KiB).
    pub max_body: usize,
    /// How long they are kept (default 1 day).
    pub retention: Duration,
    /// Most bytes of all that is kept; the oldest go first (default 64 MiB).
    pub max_total: u64,
}

impl Default for Bodies {
    fn default() -> Self {
        Self {
            tenants: Vec::new(),
            upstreams: Vec::new(),
            tools: Vec::new(),
            max_body: 16 << 10,
            retention: Duration::from_secs(86_400),
            max_total: 64 << 20,
        }
    }
}

impl Bodies {
    /// Whether a call is one of those that are kept; `tool` is `None` for what is no tool.
    #[must_use]
    pub fn take(&self, tenant: &str, upstream: &str, tool: Option<&str>) -> bool {
        let fits = |globs: &[Glob], text: &str| {
            globs.is_empty() || globs.iter().any(|glob| glob.fits(text))
        };
        let tool = tool.map_or_else(|| self.tools.is_empty(), |tool| fits(&self.tools, tool));
        tool && fits(&self.tenants, tenant) && fits(&self.upstreams, upstream)
    }
}
