//! The questions of a legacy session over HTTP: which calls may be asked, what waits for them,
//! and what is open. A question on the stream of a call belongs to that call; one on the link's
//! own stream goes where it can only belong. A link that declared nothing that can be asked keeps
//! no such books.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::base::now;
use crate::upstream::link::Message;
use crate::upstream::question::{Asker, Ledger, Question, Seat};
use crate::wire::CapSet;

/// Messages that may wait for a call; one more question is refused, one more notification lost.
const WAITING: usize = 64;

/// The books of one link.
#[derive(Debug)]
pub(super) struct Desk {
    declared: CapSet,
    books: Mutex<Books>,
    /// Told of each change.
    changed: Notify,
}

#[derive(Debug, Default)]
struct Books {
    last: u64,
    calls: Vec<Call>,
    questions: Ledger,
}

/// Whom a word about a question concerns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Noted {
    /// The call on whose stream it came.
    Own,
    /// Another call, for which it waits now.
    Others,
    /// No question that is known.
    Nobodys,
}

/// Whether the silence of a call counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pause {
    /// It was never asked.
    Never,
    /// A question of it is open.
    Now,
    /// Its last question was settled then.
    Until(Instant),
}

#[derive(Debug)]
struct Call {
    seat: Seat,
    /// When a question of it had its answer last.
    settled: Option<Instant>,
    waiting: VecDeque<Message>,
}

impl Books {
    fn call(&mut self, number: u64) -> Option<&mut Call> {
        self.calls.iter_mut().find(|call| call.seat.number == number)
    }

    /// The question with this id has its answer or was withdrawn; gives the call.
    fn settle(&mut self, id: &str) -> Option<u64> {
        let number = self.questions.settle(id)?;
        self.call(number)?.settled = Some(now());
        Some(number)
    }
}

impl Desk {
    /// `declared`: what the upstream was told that it may ask.
    pub(super) fn new(declared: CapSet) -> Self {
        Self {
            declared: declared.and(CapSet::QUESTIONS),
            books: Mutex::default(),
            changed: Notify::new(),
        }
    }

    /// True when the upstream may ask anything.
    pub(super) fn is_open(&self) -> bool {
        self.declared != CapSet::NONE
    }

    fn books(&self) -> MutexGuard<'_, Books> {
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A call begins; gives its number here.
    pub(super) fn enter(&self, asker: Option<Asker>, takes: CapSet) -> u64 {
        let mut books = self.books();
        books.last += 1;
        let seat = Seat { number: books.last, asker, takes };
        books.calls.push(Call { seat, settled: None, waiting: VecDeque::new() });
        seat.number
    }

    /// A call is over; gives the refusals of what it leaves open. `given_up`: the upstream may go
    /// on working on it, for this long at most.
    pub(super) fn leave(&self, number: u64, given_up: Option<Duration>) -> Vec<Bytes> {
        let mut books = self.books();
        let Some(place) = books.calls.iter().position(|call| call.seat.number == number) else {
            return Vec::new();
        };
        let call = books.calls.swap_remove(place);
        if let Some(rest) = given_up {
            let start = now();
            books.questions.leave(number, call.seat.asker, start + rest, start);
        }
        books.questions.close(number)
    }

    /// A question that came on the stream of a call. False when it must be refused.
    pub(super) fn ask(&self, question: &Question<'_>, number: u64) -> bool {
        let mut books = self.books();
        let takes = books.call(number).map(|call| call.seat.takes.and(self.declared));
        let allowed = question.need.zip(takes).is_some_and(|(need, takes)| takes.has(need));
        allowed && books.questions.open(question, number)
    }

    /// A question that came on the link's own stream: it waits for the call that it can only
    /// belong to. False when there is none and it must be refused.
    pub(super) fn attribute(&self, message: &Message) -> bool {
        let mut guard = self.books();
        let books = &mut *guard;
        let owner = Question::read(message).and_then(|question| {
            let need = question.need.filter(|need| self.declared.has(*need))?;
            let seats = books.calls.iter().map(|call| call.seat);
            let owner = books.questions.owner(seats, need, now())?;
            let room = books.call(owner).is_some_and(|call| call.waiting.len() < WAITING);
            (room && books.questions.open(&question, owner)).then_some(owner)
        });
        let Some(call) = owner.and_then(|owner| books.call(owner)) else { return false };
        call.waiting.push_back(message.clone());
        drop(guard);
        self.changed.notify_waiters();
        true
    }

    /// What the upstream says about one of its questions: that it is withdrawn, or that a page is
    /// done with. `on`: the call on whose stream it came. It waits for another call when it
    /// belongs to that one.
    pub(super) fn note(&self, message: &Message, on: Option<u64>) -> Noted {
        let mut guard = self.books();
        let books = &mut *guard;
        let owner = if let Some(id) = message.param("requestId") {
            books.settle(id)
        } else {
            let id = message.param("elicitationId");
            let id: Option<String> = id.and_then(|id| serde_json::from_str(id).ok());
            id.and_then(|id| books.questions.elicited(&id))
        };
        let Some(owner) = owner else { return Noted::Nobodys };
        let own = on == Some(owner);
        if !own && let Some(call) = books.call(owner).filter(|call| call.waiting.len() < WAITING) {
            call.waiting.push_back(message.clone());
        }
        drop(guard);
        self.changed.notify_waiters();
        if own { Noted::Own } else { Noted::Others }
    }

    /// The question with this id has its answer. False when no such question is open.
    pub(super) fn settle(&self, id: &str) -> bool {
        let settled = self.books().settle(id).is_some();
        if settled {
            self.changed.notify_waiters();
        }
        settled
    }

    /// Whether the silence of this call counts.
    pub(super) fn pause(&self, number: u64) -> Pause {
        let mut books = self.books();
        if books.questions.is_asked(number) {
            return Pause::Now;
        }
        books.call(number).and_then(|call| call.settled).map_or(Pause::Never, Pause::Until)
    }

    /// Waits for the next change after the call of this function.
    pub(super) fn change(&self) -> tokio::sync::futures::Notified<'_> {
        self.changed.notified()
    }

    /// The next message from the link's own stream for this call. May be dropped and called again.
    pub(super) async fn next(&self, number: u64) -> Message {
        loop {
            // A change counts from here on, so that none falls between the look and the wait.
            let change = self.change();
            if let Some(message) = self.books().call(number).and_then(|c| c.waiting.pop_front()) {
                return message;
            }
            change.await;
        }
    }
}
