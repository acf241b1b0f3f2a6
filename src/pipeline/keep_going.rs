//! Work that goes on when the client has gone: in the legacy era a lost connection is no
//! cancellation (R51).

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use crate::base::Tasks;

type Work<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// Polls its future in place, without a task of its own; when it is dropped before the end, the
/// rest moves into a background task. The future must have a deadline of its own.
///
/// `early` may give an output before the future does: it is asked whenever the future waits, and
/// what it gives ends the waiting, but not the work.
pub(super) struct KeepGoing<'t, T: Send + 'static, E = fn() -> Option<T>> {
    work: Option<Work<T>>,
    early: E,
    tasks: &'t Tasks,
}

impl<'t, T: Send + 'static> KeepGoing<'t, T> {
    pub(super) fn new(tasks: &'t Tasks, work: impl Future<Output = T> + Send + 'static) -> Self {
        Self::or_early(tasks, || None, Box::pin(work))
    }
}

impl<'t, T: Send + 'static, E: Fn() -> Option<T> + Unpin> KeepGoing<'t, T, E> {
    pub(super) fn or_early(tasks: &'t Tasks, early: E, work: Work<T>) -> Self {
        Self { work: Some(work), early, tasks }
    }
}

impl<T: Send + 'static, E: Fn() -> Option<T> + Unpin> Future for KeepGoing<'_, T, E> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<T> {
        let Some(work) = self.work.as_mut() else { return Poll::Pending };
        match work.as_mut().poll(context) {
            Poll::Ready(output) => {
                self.work = None;
                // The work may give both in one go; whoever waits is owed the early one.
                Poll::Ready((self.early)().unwrap_or(output))
            }
            Poll::Pending => (self.early)().map_or(Poll::Pending, Poll::Ready),
        }
    }
}

impl<T: Send + 'static, E> Drop for KeepGoing<'_, T, E> {
    fn drop(&mut self) {
        if let Some(work) = self.work.take() {
            self.tasks.spawn("call without a client", async move { drop(work.await) });
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::oneshot;

    use super::*;

    #[tokio::test]
    async fn dropped_work_still_ends() {
        let tasks = Tasks::default();
        let (start, started) = oneshot::channel::<()>();
        let (end, ended) = oneshot::channel();
        let work = KeepGoing::new(&tasks, async move {
            let _ = started.await;
            let _ = end.send(());
        });
        drop(work);
        start.send(()).unwrap();
        ended.await.unwrap();
    }

    #[tokio::test]
    async fn an_early_output_comes_first_when_the_work_ends_at_once() {
        let early = || Some("early");
        let output =
            KeepGoing::or_early(&Tasks::default(), early, Box::pin(async { "late" })).await;
        assert_eq!(output, "early");
    }

    #[tokio::test]
    async fn an_early_output_does_not_end_the_work() {
        let tasks = Tasks::default();
        let (start, started) = oneshot::channel::<()>();
        let (end, ended) = oneshot::channel();
        let work = async move {
            let _ = started.await;
            let _ = end.send(());
            "late"
        };
        assert_eq!(KeepGoing::or_early(&tasks, || Some("early"), Box::pin(work)).await, "early");
        start.send(()).unwrap();
        ended.await.unwrap();
    }
}
