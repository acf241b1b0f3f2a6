//! Work that goes on when the client has gone: in the legacy era a lost connection is no
//! cancellation (R51).

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use crate::base::Tasks;

type Work<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// Polls its future in place, without a task of its own; when it is dropped before the end, the
/// rest moves into a background task. The future must have a deadline of its own.
pub(super) struct KeepGoing<T: Send + 'static> {
    work: Option<Work<T>>,
    tasks: Tasks,
}

impl<T: Send + 'static> KeepGoing<T> {
    pub(super) fn new(tasks: &Tasks, work: impl Future<Output = T> + Send + 'static) -> Self {
        Self { work: Some(Box::pin(work)), tasks: tasks.clone() }
    }
}

impl<T: Send + 'static> Future for KeepGoing<T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<T> {
        let Some(work) = self.work.as_mut() else { return Poll::Pending };
        let output = std::task::ready!(work.as_mut().poll(context));
        self.work = None;
        Poll::Ready(output)
    }
}

impl<T: Send + 'static> Drop for KeepGoing<T> {
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
}
