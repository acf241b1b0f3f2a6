//! One request in flight: what has come for it, and what happens when nobody waits any more.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU8, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, OwnedSemaphorePermit};
use tokio::time::Instant;

use super::shared::{End, Shared};
use crate::base::now;
use crate::upstream::link::{Cause, Exchange, LinkError, Message, Pending, Ran};
use crate::upstream::question::{Asker, Seat};
use crate::wire::{CapSet, InboundKind};

/// Most notifications kept for a caller that does not fetch them; the oldest goes first.
const NOTES: usize = 64;

const QUEUED: u8 = 0;
const WRITTEN: u8 = 1;
const ABANDONED: u8 = 2;

/// The reader's and the writer's side of a request.
#[derive(Debug)]
pub(in crate::upstream) struct Call {
    pub(in crate::upstream) id: u64,
    pub(super) began: Instant,
    asker: Option<Asker>,
    takes: CapSet,
    state: AtomicU8,
    /// Its questions that are open.
    asked: AtomicU32,
    inbox: Mutex<Inbox>,
    arrived: Notify,
}

#[derive(Debug, Default)]
struct Inbox {
    notes: VecDeque<Message>,
    end: Option<Result<Message, End>>,
}

impl Call {
    pub(in crate::upstream) fn new(id: u64, asker: Option<Asker>, takes: CapSet) -> Self {
        Self {
            id,
            began: now(),
            asker,
            takes,
            state: AtomicU8::new(QUEUED),
            asked: AtomicU32::new(0),
            inbox: Mutex::default(),
            arrived: Notify::new(),
        }
    }

    /// Who waits for it, once the upstream may know of it: before that it asks nothing.
    pub(in crate::upstream) fn seat(&self) -> Option<Seat> {
        let written = self.state.load(Ordering::Acquire) == WRITTEN;
        written.then_some(Seat { number: self.id, asker: self.asker, takes: self.takes })
    }

    pub(in crate::upstream) fn asker(&self) -> Option<Asker> {
        self.asker
    }

    /// One more question of it is open. Called before the question is noted.
    pub(in crate::upstream) fn asked(&self) {
        self.asked.fetch_add(1, Ordering::AcqRel);
    }

    /// One of its questions has its answer or was withdrawn.
    pub(in crate::upstream) fn settled(&self) {
        self.asked.fetch_sub(1, Ordering::AcqRel);
        // Its silence counts again.
        self.arrived.notify_one();
    }

    fn is_asked(&self) -> bool {
        self.asked.load(Ordering::Acquire) > 0
    }

    /// Called by the writer before the first byte goes out. Gives false when nobody waits any
    /// more, so that it is not sent at all.
    pub(in crate::upstream) fn take(&self) -> bool {
        let change = (Ordering::AcqRel, Ordering::Acquire);
        self.state.compare_exchange(QUEUED, WRITTEN, change.0, change.1).is_ok()
    }

    /// It did not go out after all.
    pub(in crate::upstream) fn give_back(&self) {
        let change = (Ordering::AcqRel, Ordering::Acquire);
        let _ = self.state.compare_exchange(WRITTEN, QUEUED, change.0, change.1);
    }

    /// Gives true when it was not sent and never will be.
    fn abandon(&self) -> bool {
        let change = (Ordering::AcqRel, Ordering::Acquire);
        self.state.compare_exchange(QUEUED, ABANDONED, change.0, change.1) != Err(WRITTEN)
    }

    /// A notification or a question that belongs to it.
    pub(in crate::upstream) fn note(&self, message: Message) {
        let mut inbox = self.inbox.lock().unwrap_or_else(PoisonError::into_inner);
        if inbox.notes.len() >= NOTES {
            // Questions stay: there are few, and each waits for an answer.
            let is_note = |note: &Message| note.inbound.kind == InboundKind::Notification;
            if let Some(oldest) = inbox.notes.iter().position(is_note) {
                inbox.notes.remove(oldest);
            }
        }
        inbox.notes.push_back(message);
        drop(inbox);
        self.arrived.notify_one();
    }

    /// Its response, or the reason why there will be none. Only the first one counts.
    pub(in crate::upstream) fn end(&self, end: Result<Message, End>) {
        self.inbox.lock().unwrap_or_else(PoisonError::into_inner).end.get_or_insert(end);
        self.arrived.notify_one();
    }

    fn pop(&self) -> Option<Result<Arrival, End>> {
        let mut inbox = self.inbox.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(note) = inbox.notes.pop_front() {
            return Some(Ok(Arrival::Note(note)));
        }
        inbox.end.take().map(|end| end.map(Arrival::End))
    }
}

/// What came for a call.
#[derive(Debug)]
pub(in crate::upstream) enum Arrival {
    /// A notification or a question; more follows.
    Note(Message),
    /// The response.
    End(Message),
}

/// The caller's side of a request. Dropping it before the response has come cancels the request
/// at the upstream.
#[derive(Debug)]
pub(in crate::upstream) struct Ticket {
    shared: Arc<Shared>,
    pub(in crate::upstream) call: Arc<Call>,
    /// Longest silence.
    timeout: Duration,
    silence: Instant,
    hard: Instant,
    /// A question of it was open when it was last looked at: its silence does not count.
    asked: bool,
    /// How long it may still be asking after it was given up.
    max_time: Duration,
    done: bool,
    /// Where calls go one at a time: its turn.
    turn: Option<OwnedSemaphorePermit>,
    /// Sent upstream when it is dropped early.
    reason: &'static str,
}

impl Ticket {
    pub(in crate::upstream) fn new(
        shared: Arc<Shared>,
        call: Arc<Call>,
        timeout: Duration,
        max_time: Duration,
    ) -> Self {
        let start = call.began;
        Self {
            shared,
            call,
            timeout,
            silence: start + timeout,
            hard: start + max_time,
            asked: false,
            max_time,
            done: false,
            turn: None,
            reason: "the client no longer waits for it",
        }
    }

    /// Keeps a turn until the call is over.
    pub(in crate::upstream) fn keep(mut self, turn: Option<OwnedSemaphorePermit>) -> Self {
        self.turn = turn;
        self
    }

    /// When it is given up if nothing comes.
    pub(in crate::upstream) fn deadline(&self) -> Instant {
        if self.asked { self.hard } else { self.silence.min(self.hard) }
    }

    /// The next message for this call.
    pub(in crate::upstream) async fn next(&mut self) -> Result<Arrival, LinkError> {
        loop {
            match self.call.pop() {
                Some(Ok(Arrival::Note(note))) => {
                    if note.inbound.kind == InboundKind::Request {
                        self.asked = true;
                    } else if note.inbound.method.as_deref() == Some("notifications/progress") {
                        self.silence = now() + self.timeout;
                    }
                    return Ok(Arrival::Note(note));
                }
                Some(Ok(end)) => {
                    self.done = true;
                    return Ok(end);
                }
                Some(Err(end)) => return Err(self.failed(end)),
                None if self.done => {
                    let detail = "the response was already given".to_owned();
                    return Err(self.failed(End { cause: Cause::Gone, detail }));
                }
                None => {}
            }
            if self.asked && !self.call.is_asked() {
                self.asked = false;
                self.silence = now() + self.timeout;
            }
            let deadline = self.deadline();
            if tokio::time::timeout_at(deadline, self.call.arrived.notified()).await.is_err() {
                return Err(self.timed_out());
            }
        }
    }

    /// Gives up because of a deadline.
    pub(in crate::upstream) fn timed_out(&mut self) -> LinkError {
        self.reason = "it took too long";
        let detail = if self.deadline() == self.hard {
            "it took longer than `max_time`"
        } else {
            "it was silent for longer than `timeout`"
        };
        let written = !self.call.abandon();
        self.withdraw(written);
        self.error(Cause::Timeout, written, detail.to_owned())
    }

    /// Gives up because the link has ended.
    pub(in crate::upstream) fn failed(&mut self, end: End) -> LinkError {
        self.done = true;
        let written = !self.call.abandon();
        self.error(end.cause, written, end.detail)
    }

    /// Stops waiting without a word to the upstream: for the handshake only.
    pub(in crate::upstream) fn forget(mut self) {
        self.done = true;
        self.call.abandon();
        self.shared.give_up(&self.call, None, None);
    }

    fn error(&self, cause: Cause, written: bool, detail: String) -> LinkError {
        let ran = if written { Ran::Maybe } else { Ran::No };
        LinkError { upstream: self.shared.upstream.clone(), cause, ran, detail }
    }

    fn withdraw(&mut self, written: bool) {
        self.done = true;
        let left = written.then(|| now() + self.max_time);
        let reason = written.then_some(self.reason);
        if self.shared.give_up(&self.call, left, reason) && written {
            self.shared.sound(self.call.id);
        }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if !self.done {
            let written = !self.call.abandon();
            self.withdraw(written);
        }
    }
}

/// A call whose first message was not its response.
#[derive(Debug)]
pub(in crate::upstream) struct PipeExchange {
    first: Option<Message>,
    ticket: Ticket,
}

impl PipeExchange {
    pub(in crate::upstream) fn new(first: Message, ticket: Ticket) -> Self {
        Self { first: Some(first), ticket }
    }
}

impl Exchange for PipeExchange {
    fn next(&mut self) -> Pending<'_, Result<Message, LinkError>> {
        Box::pin(async {
            if let Some(first) = self.first.take() {
                return Ok(first);
            }
            match self.ticket.next().await? {
                Arrival::Note(message) | Arrival::End(message) => Ok(message),
            }
        })
    }
}
