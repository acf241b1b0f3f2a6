//! Which questions of an upstream are open, and whose they are. Nothing on a pipe or on a GET
//! stream says which call a question belongs to; so it is handed over only when it can be of one
//! caller alone, and never guessed (product.md, Links). No I/O and no clock: time is passed in.
//!
//! A call that was given up counts among those in flight until it was answered all the same, with
//! a result or an error, and else for `max_time`. That its cancellation was read frees nothing: an
//! upstream may go on with what is cancelled, and its SDK answers a ping meanwhile. Only one that
//! is known to stop (`quirks = { cancels = true }`) is believed when it answers a ping that was
//! sent behind the cancellation on an ordered way.

use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

use super::{Asker, Question, refusal};
use crate::wire::CapSet;

/// Questions of one call that may be open at a time; one more is refused.
const QUESTIONS: usize = 16;
/// How long an upstream that stops what is cancelled may still write what it was just writing.
const MOMENT: Duration = Duration::from_secs(2);
/// Calls that were given up and may still ask; with more nobody is asked anything for a while.
const LEFT: usize = 256;

/// A call in flight, as attribution sees it.
#[derive(Debug, Clone, Copy)]
pub(in crate::upstream) struct Seat {
    /// Grows with each call of the link.
    pub(in crate::upstream) number: u64,
    /// Who waits for it; `None` for a request of the proxy's own, which no question belongs to.
    pub(in crate::upstream) asker: Option<Asker>,
    /// Which questions it can have answered.
    pub(in crate::upstream) takes: CapSet,
}

/// The questions of one link.
#[derive(Debug, Default)]
pub(in crate::upstream) struct Ledger {
    open: Vec<Open>,
    /// URL elicitations that were handed over, and to which call, as long as that lasts.
    elicitations: Vec<(String, u64)>,
    left: Vec<Left>,
    /// Too many calls were given up: until then, nobody can be told from the others.
    crowded: Option<Instant>,
}

#[derive(Debug)]
struct Open {
    id: Box<str>,
    method: Box<str>,
    call: u64,
}

/// A call that nobody waits for any more, but that the upstream may still be working on.
#[derive(Debug)]
struct Left {
    call: u64,
    asker: Asker,
    until: Instant,
    /// The request whose answer says that its cancellation was read.
    ping: Option<u64>,
}

impl Ledger {
    /// The call that a question with this need belongs to when nothing but what is in flight
    /// tells: that of the only caller, the newest one that takes it.
    pub(in crate::upstream) fn owner(
        &mut self,
        calls: impl Iterator<Item = Seat>,
        need: CapSet,
        now: Instant,
    ) -> Option<u64> {
        if self.crowded.is_some_and(|until| until > now) {
            return None;
        }
        self.crowded = None;
        self.left.retain(|left| left.until > now);
        let mut only = self.left.first().map(|left| left.asker);
        if self.left.iter().any(|left| Some(left.asker) != only) {
            return None;
        }
        let mut newest = None;
        for seat in calls {
            let Some(asker) = seat.asker else { continue };
            if *only.get_or_insert(asker) != asker {
                return None;
            }
            if seat.takes.has(need) {
                newest = newest.max(Some(seat.number));
            }
        }
        newest
    }

    /// A question goes to `call`. False when it must be refused: its id is open already, or the
    /// call has too many questions.
    pub(in crate::upstream) fn open(&mut self, question: &Question<'_>, call: u64) -> bool {
        let count = self.open.iter().filter(|open| open.call == call).count();
        if count >= QUESTIONS || self.open.iter().any(|open| *open.id == *question.id) {
            return false;
        }
        self.open.push(Open { id: question.id.into(), method: question.method.into(), call });
        if let Some(elicitation) = &question.elicitation {
            let of_call = |(_, other): &&(String, u64)| *other == call;
            // Only the last ones: a call may ask for as long as it runs.
            if self.elicitations.iter().filter(of_call).count() >= QUESTIONS
                && let Some(oldest) = self.elicitations.iter().position(|one| of_call(&one))
            {
                self.elicitations.remove(oldest);
            }
            self.elicitations.push((elicitation.clone(), call));
        }
        true
    }

    /// The question with this id has its answer, or was withdrawn; gives the call that it went
    /// to, `None` when no such question is open.
    pub(in crate::upstream) fn settle(&mut self, id: &str) -> Option<u64> {
        let place = self.open.iter().position(|open| *open.id == *id)?;
        Some(self.open.swap_remove(place).call)
    }

    /// The call that was asked to open the page that is now done with.
    pub(in crate::upstream) fn elicited(&self, elicitation: &str) -> Option<u64> {
        self.elicitations.iter().find(|(id, _)| id == elicitation).map(|(_, call)| *call)
    }

    /// True while a question of this call is open.
    pub(in crate::upstream) fn is_asked(&self, call: u64) -> bool {
        self.open.iter().any(|open| open.call == call)
    }

    /// The call is over. Gives the refusals of its open questions: none is left hanging (R70).
    pub(in crate::upstream) fn close(&mut self, call: u64) -> Vec<Bytes> {
        if self.open.is_empty() && self.elicitations.is_empty() {
            return Vec::new();
        }
        self.elicitations.retain(|(_, other)| *other != call);
        let closed = self.open.extract_if(.., |open| open.call == call);
        closed.map(|open| refusal(&open.method, &open.id)).collect()
    }

    /// The call was given up while the upstream worked on it. Until `until` it may still ask, and
    /// what it asks must not reach another caller.
    pub(in crate::upstream) fn leave(
        &mut self,
        call: u64,
        asker: Option<Asker>,
        until: Instant,
        now: Instant,
    ) {
        let Some(asker) = asker else { return };
        self.left.retain(|left| left.until > now);
        if self.left.len() >= LEFT {
            self.crowded = self.crowded.max(Some(until));
        } else {
            self.left.push(Left { call, asker, until, ping: None });
        }
    }

    /// The answer to request `ping` says that the cancellation of `call` was read. False when that
    /// call is not waited for.
    pub(in crate::upstream) fn sounded(&mut self, call: u64, ping: u64) -> bool {
        let left = self.left.iter_mut().find(|left| left.call == call);
        left.map(|left| left.ping = Some(ping)).is_some()
    }

    /// Request `ping` was answered: what it was sent behind may ask for a moment longer, with what
    /// was being written then. False when it is none of `sounded`.
    pub(in crate::upstream) fn has_read(&mut self, ping: u64, now: Instant) -> bool {
        let left = self.left.iter_mut().find(|left| left.ping == Some(ping));
        left.map(|left| left.until = left.until.min(now + MOMENT)).is_some()
    }

    /// True while another caller's call that was given up may still be worked on.
    pub(in crate::upstream) fn left_by_others(
        &mut self,
        asker: Option<Asker>,
        now: impl Fn() -> Instant,
    ) -> bool {
        if self.left.is_empty() && self.crowded.is_none() {
            return false;
        }
        let now = now();
        self.crowded.is_some_and(|until| until > now)
            || self.left.iter().any(|left| left.until > now && Some(left.asker) != asker)
    }

    /// A call that was given up was answered all the same: it asks nothing any more.
    pub(in crate::upstream) fn ended_late(&mut self, call: u64) {
        self.left.retain(|left| left.call != call);
    }
}
