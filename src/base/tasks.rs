//! Every background task has a name and an owner.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// The tracker and the stop signal of everything that runs in the background. Clones share both.
/// (Behind one pointer: to clone the signal itself takes a lock.)
#[derive(Clone, Debug, Default)]
pub struct Tasks(Arc<Owner>);

#[derive(Debug, Default)]
struct Owner {
    tracker: TaskTracker,
    stop: CancellationToken,
}

impl Tasks {
    /// Runs `future` until it ends; `name` stands in traces. Nothing is spawned elsewhere, so
    /// `finish` can wait for everything.
    pub fn spawn<F>(&self, name: &'static str, future: F) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        tracing::trace!(task = name, "task started");
        self.0.tracker.spawn(future)
    }

    /// Runs blocking work (database, files) on the threads kept for that.
    pub fn spawn_blocking<F, T>(&self, name: &'static str, work: F) -> JoinHandle<T>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        tracing::trace!(task = name, "blocking task started");
        self.0.tracker.spawn_blocking(work)
    }

    /// The signal that tells tasks to end; take a child token for narrower owners.
    #[must_use]
    pub fn stop(&self) -> &CancellationToken {
        &self.0.stop
    }

    /// Tells every task to end and waits at most `limit`. Gives true when all have ended.
    pub async fn finish(&self, limit: Duration) -> bool {
        self.0.stop.cancel();
        self.0.tracker.close();
        tokio::time::timeout(limit, self.0.tracker.wait()).await.is_ok()
    }
}
