//! What becomes of links, for those who watch: told when one begins and when one ends, never in
//! the course of a request. With nobody watching it costs one look.

use tokio::sync::broadcast;

use crate::base::{Name, TenantId, unix_millis};
use crate::telemetry::metrics::LinkEnd;
use crate::upstream::link::{Cause, LinkKey};

/// Changes that a slow listener may be behind.
const NEWS: usize = 512;

/// What has become of a link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LinkChange {
    /// It is being made.
    Starting,
    /// It is there.
    Ready,
    /// It could not be made.
    Failed(Cause),
    /// It has ended.
    Stopped(LinkEnd),
}

impl LinkChange {
    /// Every word for one.
    pub const WORDS: [&'static str; 4] = ["starting", "ready", "failed", "stopped"];

    /// The word for it.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        let [starting, ready, failed, stopped] = Self::WORDS;
        match self {
            Self::Starting => starting,
            Self::Ready => ready,
            Self::Failed(_) => failed,
            Self::Stopped(_) => stopped,
        }
    }

    /// Why, in one word, where there is a why.
    #[must_use]
    pub const fn reason(&self) -> Option<&'static str> {
        match self {
            Self::Starting | Self::Ready => None,
            Self::Failed(cause) => Some(cause.as_str()),
            Self::Stopped(why) => Some(why.as_str()),
        }
    }
}

/// A link has begun, or ended.
#[derive(Debug, Clone)]
pub struct LinkNews {
    /// When, in milliseconds since the Unix epoch.
    pub at: u64,
    /// Whose link; `None` when it is everybody's.
    pub tenant: Option<TenantId>,
    /// To which upstream.
    pub upstream: Name,
    /// What has become of it.
    pub change: LinkChange,
}

/// Tells those who watch.
#[derive(Debug)]
pub(super) struct Teller(broadcast::Sender<LinkNews>);

impl Teller {
    pub(super) fn new() -> Self {
        Self(broadcast::Sender::new(NEWS))
    }

    pub(super) fn tell(&self, key: &LinkKey, change: LinkChange) {
        if self.0.receiver_count() > 0 {
            let (tenant, upstream) = (key.tenant, key.upstream.clone());
            // The last one may have left just now.
            let _ = self.0.send(LinkNews { at: unix_millis(), tenant, upstream, change });
        }
    }

    pub(super) fn subscribe(&self) -> broadcast::Receiver<LinkNews> {
        self.0.subscribe()
    }
}
