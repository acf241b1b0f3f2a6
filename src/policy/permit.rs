//! Evidence that rules let something pass. Only this module's parent makes one.

use std::sync::Arc;

use crate::config::Upstream;

/// An upstream may be used for what was judged.
#[derive(Debug, Clone, Copy)]
pub struct Permit<'p> {
    upstream: &'p Arc<Upstream>,
}

impl<'p> Permit<'p> {
    pub(super) fn new(upstream: &'p Arc<Upstream>) -> Self {
        Self { upstream }
    }

    /// The upstream.
    #[must_use]
    pub fn upstream(&self) -> &'p Arc<Upstream> {
        self.upstream
    }
}

/// It may not be seen. Whoever asked hears that it is not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the rules of the file hide it; `mcp-proxy explain` says which")]
pub struct Hidden;

/// What the proxy does on the tenant's own account, whoever asks: reads lists, follows what was
/// permitted, keeps a link. No call of a client goes out on it.
#[must_use]
pub fn own_work(upstream: &Arc<Upstream>) -> Permit<'_> {
    Permit::new(upstream)
}
