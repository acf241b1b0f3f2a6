//! Turns when the proxy is full: whoever waits is let in tenant by tenant, so that one that asks
//! for everything gets no more than its share.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;

use crate::base::TenantId;

/// Most calls of one tenant that wait.
const QUEUE: usize = 256;
/// Longest wait for a turn.
const PATIENCE: Duration = Duration::from_secs(30);

/// The proxy is full and stays so.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the proxy is full")]
pub struct Full;

/// The places of the process.
#[derive(Debug)]
pub struct Turns {
    most: AtomicUsize,
    running: AtomicUsize,
    waiting: AtomicUsize,
    queue: Mutex<Queue>,
}

#[derive(Debug, Default)]
struct Queue {
    /// Tenants that wait, the next one first.
    order: VecDeque<TenantId>,
    calls: HashMap<TenantId, VecDeque<oneshot::Sender<Turn>>>,
}

impl Turns {
    /// So many calls at a time.
    #[must_use]
    pub fn new(most: usize) -> Arc<Self> {
        Arc::new(Self {
            most: AtomicUsize::new(most),
            running: AtomicUsize::new(0),
            waiting: AtomicUsize::new(0),
            queue: Mutex::default(),
        })
    }

    /// From now on so many calls at a time; those under way go on.
    pub fn set(self: &Arc<Self>, most: usize) {
        self.most.store(most, Ordering::Relaxed);
        self.pump();
    }

    /// A place at once, when there is one and nobody waits. Costs two looks at memory.
    #[must_use]
    pub fn try_enter(self: &Arc<Self>) -> Option<Turn> {
        (self.waiting.load(Ordering::SeqCst) == 0 && self.take()).then(|| Turn(Some(self.clone())))
    }

    /// A place, when its turn comes.
    ///
    /// # Errors
    /// When too many calls of this tenant wait, or it takes too long.
    pub async fn enter(self: &Arc<Self>, tenant: TenantId) -> Result<Turn, Full> {
        if let Some(turn) = self.try_enter() {
            return Ok(turn);
        }
        let waiter = self.line_up(tenant)?;
        // Whoever left meanwhile may have seen nobody waiting.
        self.pump();
        match tokio::time::timeout(PATIENCE, waiter).await {
            Ok(Ok(turn)) => Ok(turn),
            // Its sender finds nobody there when its turn comes, and passes the place on.
            _ => Err(Full),
        }
    }

    fn line_up(&self, tenant: TenantId) -> Result<oneshot::Receiver<Turn>, Full> {
        let (sender, waiter) = oneshot::channel();
        let mut queue = self.queue();
        let Queue { order, calls } = &mut *queue;
        let own = calls.entry(tenant).or_default();
        if own.is_empty() {
            order.push_back(tenant);
        }
        if own.len() >= QUEUE {
            // Some of them may have gone.
            let before = own.len();
            own.retain(|sender| !sender.is_closed());
            self.waiting.fetch_sub(before - own.len(), Ordering::SeqCst);
            if own.len() >= QUEUE {
                return Err(Full);
            }
        }
        own.push_back(sender);
        self.waiting.fetch_add(1, Ordering::SeqCst);
        Ok(waiter)
    }

    fn take(&self) -> bool {
        let enter = |running| (running < self.most.load(Ordering::Relaxed)).then_some(running + 1);
        self.running.fetch_update(Ordering::SeqCst, Ordering::SeqCst, enter).is_ok()
    }

    /// Gives free places to those who wait.
    fn pump(self: &Arc<Self>) {
        while self.waiting.load(Ordering::SeqCst) > 0 && self.take() {
            let Some(next) = self.next() else {
                self.running.fetch_sub(1, Ordering::SeqCst);
                return;
            };
            // Whoever has gone leaves the place to the next one.
            if let Err(mut turn) = next.send(Turn(Some(self.clone()))) {
                turn.0 = None;
                self.running.fetch_sub(1, Ordering::SeqCst);
            }
        }
    }

    fn next(&self) -> Option<oneshot::Sender<Turn>> {
        let mut queue = self.queue();
        let Queue { order, calls } = &mut *queue;
        while let Some(tenant) = order.pop_front() {
            let Some(own) = calls.get_mut(&tenant) else { continue };
            let next = own.pop_front();
            if own.is_empty() {
                calls.remove(&tenant);
            } else {
                order.push_back(tenant);
            }
            if next.is_some() {
                self.waiting.fetch_sub(1, Ordering::SeqCst);
                return next;
            }
        }
        None
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A place among the calls under way. Dropping it lets the next one in.
#[derive(Debug)]
pub struct Turn(Option<Arc<Turns>>);

impl Drop for Turn {
    fn drop(&mut self) {
        let Some(turns) = self.0.take() else { return };
        turns.running.fetch_sub(1, Ordering::SeqCst);
        if turns.waiting.load(Ordering::SeqCst) > 0 {
            turns.pump();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tenant(number: u8) -> TenantId {
        TenantId::from_bytes([number; 16])
    }

    #[tokio::test]
    async fn tenants_take_turns_when_it_is_full() {
        let turns = Turns::new(1);
        let place = turns.try_enter().unwrap();
        let (sender, mut order) = tokio::sync::mpsc::channel(16);
        // Six of a greedy tenant stand in line before one of another.
        for (number, who) in [1, 1, 1, 1, 1, 1, 2].into_iter().enumerate() {
            let (own, sender) = (turns.clone(), sender.clone());
            tokio::spawn(async move {
                let turn = own.enter(tenant(who)).await.unwrap();
                sender.send(who).await.unwrap();
                drop(turn);
            });
            while turns.waiting.load(Ordering::SeqCst) <= number {
                tokio::task::yield_now().await;
            }
        }
        assert!(turns.try_enter().is_none());
        drop(place);
        let mut came = Vec::new();
        for _ in 0..7 {
            came.push(order.recv().await.unwrap());
        }
        assert_eq!(came[..2], [1, 2], "{came:?}");
        assert!(turns.try_enter().is_some());
    }

    #[tokio::test]
    async fn who_leaves_the_line_takes_no_place() {
        let turns = Turns::new(1);
        let place = turns.try_enter().unwrap();
        let waiting = turns.clone();
        let gone = tokio::spawn(async move { waiting.enter(tenant(1)).await.is_ok() });
        while turns.waiting.load(Ordering::SeqCst) == 0 {
            tokio::task::yield_now().await;
        }
        gone.abort();
        assert!(gone.await.is_err());
        drop(place);
        assert!(turns.try_enter().is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn a_wait_ends_and_a_line_has_an_end() {
        let turns = Turns::new(1);
        let _place = turns.try_enter().unwrap();
        assert_eq!(turns.enter(tenant(1)).await.unwrap_err(), Full);
        let _waiters: Vec<_> = (0..QUEUE).map(|_| turns.line_up(tenant(1)).unwrap()).collect();
        assert_eq!(turns.enter(tenant(1)).await.unwrap_err(), Full);
    }
}
