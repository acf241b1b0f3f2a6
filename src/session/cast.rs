//! The speaker's end of a session's streams: what is said goes to whoever listens, and on tape.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc::{self, error::TrySendError};

use super::state::Session;
use super::tape::{Found, GENERAL, Item};
use crate::base::Fault;
use crate::wire::Revision;

/// Events that wait for a client that reads the answer to a call slowly; the upstream waits then.
const CALL_QUEUE: usize = 16;
/// Events that wait on the stream that belongs to no request.
const GENERAL_QUEUE: usize = 256;

/// The stream of one call. It ends with this value.
#[derive(Debug)]
pub struct Cast {
    session: Arc<Session>,
    stream: u32,
}

/// What the event leads to that a client has heard last.
#[derive(Debug)]
pub enum Return {
    /// Its stream goes on.
    To(Resumed),
    /// It was the stream of a call, and nothing of it is kept any more.
    Ended,
    /// Nobody knows this event.
    Unknown,
}

/// A stream that a client has come back to.
#[derive(Debug)]
pub struct Resumed {
    /// What it missed and what follows.
    pub events: mpsc::Receiver<Item>,
    /// The request that the stream answers, its id as JSON text and whether it calls a tool;
    /// none for the stream that belongs to no request.
    pub request: Option<(String, bool)>,
    /// Some of what it missed is no longer kept.
    pub gap: bool,
}

impl Cast {
    /// Begins the stream that answers a request. `id` is the request's, as JSON text; `tool` says
    /// that it calls a tool.
    #[must_use]
    pub fn begin(session: &Arc<Session>, id: &str, tool: bool) -> (Self, mpsc::Receiver<Item>) {
        let prime = session.primes();
        let request = (id.to_owned(), tool);
        let (stream, events) =
            session.tapes(|tapes, now| tapes.open(request, prime, CALL_QUEUE, now));
        (Self { session: session.clone(), stream }, events)
    }

    /// Says something. Nobody need listen: it is kept for whoever comes back. A client that does
    /// not read for `patience` is taken for gone.
    pub async fn say(&self, message: Result<&[u8], Fault>, last: bool, patience: Duration) {
        let said = self.session.tapes(|tapes, now| tapes.say(self.stream, message, last, now));
        let Some((queue, item)) = said else { return };
        let sent = tokio::time::timeout(patience, queue.send(item)).await;
        if !matches!(sent, Ok(Ok(()))) {
            self.session.tapes(|tapes, now| tapes.leave(self.stream, &queue, now));
        }
    }
}

impl Drop for Cast {
    fn drop(&mut self) {
        self.session.tapes(|tapes, _| tapes.end(self.stream));
    }
}

impl Session {
    /// Streams begin with an event that carries nothing but its id (2025-11-25); older clients
    /// would take its data for a broken message.
    fn primes(&self) -> bool {
        self.opening().revision >= Revision::V2025_11_25
    }

    /// True when the client knows what to do with a stream that begins without a message.
    #[must_use]
    pub fn takes_early_streams(&self) -> bool {
        self.primes()
    }

    /// Opens the stream that belongs to no request, in the place of an older one, with what
    /// nobody was there to hear.
    #[must_use]
    pub fn open_general(&self) -> Resumed {
        let prime = self.primes();
        let opened = self.tapes(|tapes, now| tapes.open_general(prime, GENERAL_QUEUE, now));
        Resumed { events: opened.events, request: None, gap: opened.gap }
    }

    /// Goes on with a stream after the event of this id.
    #[must_use]
    pub fn resume(&self, event: &str) -> Return {
        match self.tapes(|tapes, now| tapes.resume(event, GENERAL_QUEUE, now)) {
            Found::Stream(found) => {
                Return::To(Resumed { events: found.events, request: found.request, gap: found.gap })
            }
            Found::Ended => Return::Ended,
            Found::Unknown => Return::Unknown,
        }
    }

    /// The request whose stream an earlier process had begun, when the event of this id is one of
    /// its: its id as JSON text, and whether it calls a tool.
    #[must_use]
    pub fn broken_off(&self, event: &str) -> Option<(String, bool)> {
        self.tapes(|tapes, _| tapes.broken_off(event))
    }

    /// Says something on the stream that belongs to no request. A client that does not read loses
    /// its connection and may come back for what it missed.
    pub fn say_general(&self, message: &[u8]) {
        self.tapes(|tapes, now| {
            if let Some((queue, item)) = tapes.say(GENERAL, Ok(message), false, now)
                && let Err(TrySendError::Full(_) | TrySendError::Closed(_)) = queue.try_send(item)
            {
                tapes.leave(GENERAL, &queue, now);
            }
        });
    }

    /// Whether somebody hears that stream, or has heard it a moment ago and may come back.
    #[must_use]
    pub fn hears_general(&self) -> bool {
        self.is_taped()
            && !self.ended().is_cancelled()
            && self.tapes(|tapes, now| tapes.is_heard(self.grace(), now))
    }

    /// Ends that stream's connection.
    pub fn close_general(&self) {
        if self.is_taped() {
            self.tapes(|tapes, _| tapes.hang_up(GENERAL));
        }
    }
}
