//! Where events wait to be written: bounded, and cheap for whoever puts one in. Whether there is
//! room is asked before a request is served, so that what was served always has a place.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

use super::event::{Denial, Event};

/// Events that are written together without waiting for more.
const BATCH: usize = 512;
/// Bytes of requests that waiting events may hold.
const MOST_BYTES: usize = 64 << 20;

/// The queue.
#[derive(Debug)]
pub(super) struct Queue {
    state: Mutex<State>,
    /// For the writer: something has come.
    wake: Notify,
    /// For requests: there is room again.
    room: Notify,
    full: AtomicBool,
    most: usize,
}

#[derive(Debug, Default)]
struct State {
    #[expect(clippy::vec_box, reason = "an event is handed on by its pointer")]
    events: Vec<Box<Event>>,
    bytes: usize,
    /// Taken by the writer and not on disk yet.
    writing: usize,
    /// Somebody waits for the disk.
    urgent: bool,
    denied: [u64; Denial::ALL.len()],
    closed: bool,
}

impl State {
    fn is_full(&self, most: usize) -> bool {
        self.events.len() + self.writing >= most || self.bytes >= MOST_BYTES
    }
}

impl Queue {
    pub(super) fn new(most: usize) -> Self {
        Self {
            state: Mutex::default(),
            wake: Notify::new(),
            room: Notify::new(),
            full: AtomicBool::new(false),
            most,
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a request may begin: one look at memory.
    pub(super) fn has_room(&self) -> bool {
        !self.full.load(Ordering::Relaxed)
    }

    /// Waits for room; false when there was none in time.
    pub(super) async fn wait(&self, patience: Duration) -> bool {
        let there = async {
            loop {
                let mut room = std::pin::pin!(self.room.notified());
                room.as_mut().enable();
                if self.has_room() {
                    return;
                }
                room.await;
            }
        };
        tokio::time::timeout(patience, there).await.is_ok()
    }

    /// Puts an event in. Requests that had begun before the queue was full have their place all
    /// the same: there are no more of them than connections.
    pub(super) fn push(&self, event: Box<Event>) {
        let mut state = self.state();
        if state.closed {
            drop(state);
            tracing::error!(method = %event.method, "a request ended after the audit; it is not recorded");
            return;
        }
        let urgent = event.on_disk.is_some();
        state.bytes += event.weight();
        state.events.push(event);
        let length = state.events.len();
        let wakes = length == 1 || length == BATCH || (urgent && !state.urgent);
        state.urgent |= urgent;
        if state.is_full(self.most) {
            self.full.store(true, Ordering::Relaxed);
        }
        drop(state);
        if wakes {
            self.wake.notify_one();
        }
    }

    /// Counts somebody who was not let in.
    pub(super) fn deny(&self, denial: Denial) {
        let mut state = self.state();
        let first = state.denied.iter().all(|count| *count == 0);
        state.denied[denial as usize] += 1;
        drop(state);
        if first {
            self.wake.notify_one();
        }
    }

    /// Waits until there is something for the writer.
    pub(super) async fn woken(&self) {
        self.wake.notified().await;
    }

    /// Whether anything waits, and whether it can wait for more.
    pub(super) fn waits(&self) -> (bool, bool) {
        let state = self.state();
        (!state.events.is_empty(), !state.urgent && state.events.len() < BATCH)
    }

    /// Whether anybody was counted since the counts were taken.
    pub(super) fn has_denied(&self) -> bool {
        self.state().denied.iter().any(|count| *count > 0)
    }

    /// Takes the counts.
    pub(super) fn take_denied(&self) -> [u64; Denial::ALL.len()] {
        std::mem::take(&mut self.state().denied)
    }

    /// Takes everything that waits. It counts until `written`.
    #[expect(clippy::vec_box, reason = "an event is handed on by its pointer")]
    pub(super) fn take(&self) -> Vec<Box<Event>> {
        let mut state = self.state();
        state.writing = state.events.len();
        state.bytes = 0;
        state.urgent = false;
        std::mem::take(&mut state.events)
    }

    /// So many of what was taken are on disk.
    pub(super) fn written(&self, count: usize) {
        let mut state = self.state();
        state.writing = state.writing.saturating_sub(count);
        let full = state.is_full(self.most);
        drop(state);
        if !full && self.full.swap(false, Ordering::Relaxed) {
            self.room.notify_waiters();
        }
    }

    /// Records that are not on disk yet.
    pub(super) fn left(&self) -> usize {
        let state = self.state();
        state.events.len() + state.writing
    }

    /// Nothing more is taken in once nothing waits; false when something does.
    pub(super) fn close(&self) -> bool {
        let mut state = self.state();
        state.closed = state.events.is_empty();
        state.closed
    }
}
