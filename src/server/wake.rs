//! Wakes that a connection gives itself. hyper and what serves a request hand the body to each
//! other inside one task, and each hand-over wakes that task while it runs. The runtime takes such
//! a wake for a wish to yield: it queues the task anew and wakes another thread to help, for each
//! request. Here it is answered where it comes up, by polling once more.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

/// Nobody polls: a wake goes to the task.
const IDLE: u8 = 0;
/// It is being polled, and nothing has woken it.
const POLLED: u8 = 1;
/// It was woken while it was polled.
const AGAIN: u8 = 2;

/// Polls in one go; more and the task yields as usual, so that others get their turn.
const TURNS: usize = 4;

/// Answers the wakes of one future that come while it is polled.
#[derive(Debug)]
pub(super) struct SelfWake {
    state: Arc<State>,
    waker: Waker,
}

#[derive(Debug)]
struct State {
    now: AtomicU8,
    task: Mutex<Waker>,
}

impl Wake for State {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        let polled = self.now.compare_exchange(POLLED, AGAIN, Ordering::AcqRel, Ordering::Acquire);
        if polled == Err(IDLE) {
            self.task.lock().unwrap_or_else(PoisonError::into_inner).wake_by_ref();
        }
    }
}

impl SelfWake {
    pub(super) fn new() -> Self {
        let state = State { now: AtomicU8::new(IDLE), task: Mutex::new(Waker::noop().clone()) };
        let state = Arc::new(state);
        Self { waker: Waker::from(state.clone()), state }
    }

    /// Polls until the future has nothing more to do with itself, or for so many turns.
    pub(super) fn poll<F: Future>(
        &mut self,
        mut future: Pin<&mut F>,
        context: &mut Context<'_>,
    ) -> Poll<F::Output> {
        self.state.task.lock().unwrap_or_else(PoisonError::into_inner).clone_from(context.waker());
        let mut own = Context::from_waker(&self.waker);
        for _ in 0..TURNS {
            self.state.now.store(POLLED, Ordering::Release);
            let polled = future.as_mut().poll(&mut own);
            let now = &self.state.now;
            let quiet = now.compare_exchange(POLLED, IDLE, Ordering::AcqRel, Ordering::Acquire);
            if polled.is_ready() || quiet.is_ok() {
                return polled;
            }
        }
        self.state.now.store(IDLE, Ordering::Release);
        context.waker().wake_by_ref();
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use super::*;

    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn a_wake_while_polled_is_answered_at_once_and_others_reach_the_task() {
        let (task, mut turns, mut kept) = (Arc::new(Count::default()), 0, None);
        let (mut gate, waker) = (SelfWake::new(), Waker::from(task.clone()));
        let mut context = Context::from_waker(&waker);
        let mut future = Box::pin(std::future::poll_fn(|context| {
            turns += 1;
            kept = Some(context.waker().clone());
            if turns == 1 {
                context.waker().wake_by_ref();
            }
            Poll::<()>::Pending
        }));
        assert!(gate.poll(future.as_mut(), &mut context).is_pending());
        drop(future);
        assert_eq!((turns, task.0.load(Ordering::Relaxed)), (2, 0));
        kept.unwrap().wake();
        assert_eq!(task.0.load(Ordering::Relaxed), 1);
    }

    #[test]
    fn a_future_that_always_wakes_itself_lets_others_run() {
        let task = Arc::new(Count::default());
        let waker = Waker::from(task.clone());
        let mut future = Box::pin(std::future::poll_fn(|context| {
            context.waker().wake_by_ref();
            Poll::<()>::Pending
        }));
        let polled = SelfWake::new().poll(future.as_mut(), &mut Context::from_waker(&waker));
        assert!(polled.is_pending());
        assert_eq!(task.0.load(Ordering::Relaxed), 1);
    }
}
