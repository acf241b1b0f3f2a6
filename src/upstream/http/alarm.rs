//! The deadline of whoever waits on a connection. The timer stays with the connection from one
//! request to the next and is seldom set anew: to put one into the runtime's wheel and to take it
//! out again is a lock that all threads share, twice for each call.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::time::{Instant, Sleep, sleep_until};

/// A deadline that is looked at when there is nothing else to do.
#[derive(Debug, Default)]
pub(super) struct Alarm {
    until: Option<Instant>,
    /// It may ring for a request of the past; then it is set for this one.
    timer: Option<Pin<Box<Sleep>>>,
}

impl Alarm {
    /// From now on it rings at this time, or never.
    pub(super) fn set(&mut self, until: Option<Instant>) {
        self.until = until;
    }

    /// Ready when the time has come.
    pub(super) fn poll(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let Some(until) = self.until else { return Poll::Pending };
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(until)));
        if timer.deadline() > until {
            timer.as_mut().reset(until);
        }
        loop {
            ready!(timer.as_mut().poll(context));
            if timer.deadline() >= until {
                return Poll::Ready(());
            }
            timer.as_mut().reset(until);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::time::Duration;

    use super::*;
    use crate::base::now;

    #[tokio::test(start_paused = true)]
    async fn it_rings_when_it_should_whatever_it_was_set_for_before() {
        let mut alarm = Alarm::default();
        let start = now();
        for (at, until) in [(0, 10), (10, 15), (15, 100), (100, 101)] {
            assert_eq!(now() - start, Duration::from_secs(at));
            alarm.set(Some(start + Duration::from_secs(until)));
            poll_fn(|context| alarm.poll(context)).await;
            assert_eq!(now() - start, Duration::from_secs(until));
        }
        // Looked at, and then meant for later and for sooner.
        for until in [200, 300, 250] {
            alarm.set(Some(start + Duration::from_secs(until)));
            assert!(poll_fn(|context| Poll::Ready(alarm.poll(context))).await.is_pending());
        }
        poll_fn(|context| alarm.poll(context)).await;
        assert_eq!(now() - start, Duration::from_secs(250));
        alarm.set(None);
        assert!(poll_fn(|context| Poll::Ready(alarm.poll(context))).await.is_pending());
    }
}
