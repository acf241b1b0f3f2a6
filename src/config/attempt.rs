//! A reload as those who ask for it see it; `app/reload` does it.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use tokio::sync::broadcast;

use super::{Difference, Problems, Warning};
use crate::base::Name;

/// What made the file be read again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trigger {
    /// SIGHUP.
    Signal,
    /// The file was changed.
    File,
    /// Somebody with the right to do so asked for it.
    Operator,
}

impl Trigger {
    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Signal => "signal",
            Self::File => "file",
            Self::Operator => "operator",
        }
    }
}

/// What a reload has changed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Applied {
    /// What is different in the file.
    pub difference: Difference,
    /// Where the values of secrets that the file names are others, by tenant and upstream.
    pub secrets: Vec<(Name, Name)>,
    /// What the operator should know.
    pub warnings: Vec<Warning>,
}

/// Why the configuration that runs goes on running.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The file has problems.
    #[error("{0}")]
    Problems(Problems),
    /// What the file names cannot be used: a certificate, a key.
    #[error("{0}")]
    Unusable(String),
}

/// One reload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    /// When, in seconds since the Unix epoch.
    pub at: u64,
    /// Why.
    pub by: Trigger,
    /// What came of it. With an error nothing has changed.
    pub outcome: Result<Applied, Refusal>,
}

/// The answer of a reload that runs.
pub type Reloading = Pin<Box<dyn Future<Output = Arc<Attempt>> + Send>>;

/// Reads the file again and applies what is different.
pub trait Reload: Send + Sync {
    /// Does it now, after others that are under way. It goes on when the caller leaves.
    fn reload(self: Arc<Self>, by: Trigger) -> Reloading;

    /// The last one since the start, if any.
    fn last(&self) -> Option<Arc<Attempt>>;

    /// Hears of each from now on. Whoever is too slow loses some, and is told so.
    fn news(&self) -> broadcast::Receiver<Arc<Attempt>>;
}

/// What came of it, or why nothing has changed.
pub type Recomposing = Pin<Box<dyn Future<Output = Result<Difference, String>> + Send>>;

/// Puts in place what the store has of upstreams, beside the file as it was read last.
pub trait Recompose: Send + Sync {
    /// Does it now, after others that are under way. It goes on when the caller leaves.
    fn recompose(self: Arc<Self>) -> Recomposing;
}
