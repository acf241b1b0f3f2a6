//! A request that is traced, from its beginning to its spans.

use std::borrow::Cow;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use super::context::Context;
use crate::base::Name;

/// What came with a request.
#[derive(Debug, Clone)]
pub struct Incoming {
    /// The span that it belongs to.
    pub parent: Context,
    /// `tracestate`, as it came.
    pub state: Option<Box<str>>,
}

/// A request that is traced. It has two spans: what the client sees of the proxy, and within it
/// what the proxy sees of the upstream.
#[derive(Debug)]
pub struct Trace {
    pub(super) trace: [u8; 16],
    pub(super) incoming: Option<Incoming>,
    /// The span of the request.
    pub(super) own: [u8; 8],
    /// The span of what goes to the upstream.
    pub(super) onward: [u8; 8],
    pub(super) sampled: bool,
    /// Nanoseconds since the Unix epoch.
    pub(super) began: u64,
    /// When it went to the upstream, after its beginning.
    pub(super) sent: OnceLock<Duration>,
}

impl Trace {
    /// The `traceparent` for the upstream: the proxy's own span when its spans are kept, else that
    /// of the client, and of a trace that begins here and is not kept one that says so.
    #[must_use]
    pub fn onward(&self) -> Context {
        match &self.incoming {
            Some(incoming) if !self.sampled => incoming.parent,
            _ => Context { trace: self.trace, span: self.onward, sampled: self.sampled },
        }
    }

    /// `tracestate` for the upstream: that of the client.
    #[must_use]
    pub fn state(&self) -> Option<&str> {
        self.incoming.as_ref()?.state.as_deref()
    }

    /// The request as `traceparent`, for records of it.
    #[must_use]
    pub fn own(&self) -> Context {
        match &self.incoming {
            Some(incoming) if !self.sampled => incoming.parent,
            _ => Context { trace: self.trace, span: self.own, sampled: self.sampled },
        }
    }

    /// It goes to the upstream now, so long after its beginning. The first word counts.
    pub fn sent(&self, after: Duration) {
        let _ = self.sent.set(after);
    }
}

/// What came of a request, for its spans. No arguments, no results, no key.
#[derive(Debug)]
pub struct Ended {
    /// The method.
    pub method: Cow<'static, str>,
    /// The tenant.
    pub tenant: Name,
    /// Who had it.
    pub upstream: Option<Name>,
    /// The tool as the upstream knows it.
    pub tool: Option<Arc<str>>,
    /// The prompt, likewise.
    pub prompt: Option<Arc<str>>,
    /// One word for what came of it.
    pub outcome: &'static str,
    /// Whether that is a failure.
    pub failed: bool,
    /// How long it took.
    pub took: Duration,
}
