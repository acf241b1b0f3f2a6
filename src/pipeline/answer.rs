//! What the line gives back to a door.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::mpsc;

use super::finish::Tally;
use super::sieve::Sieve;
use crate::base::Fault;
use crate::upstream::Lease;
use crate::wire::{Era, IdText};

/// The body of an answer.
#[derive(Debug)]
pub enum Body {
    /// None: 202.
    Empty,
    /// One JSON message.
    Json(Bytes),
    /// One JSON message made of several pieces.
    Pieces(Vec<Bytes>),
    /// One JSON message whose tail is still arriving from the upstream and goes on as it comes.
    /// (Boxed: few answers are such, and every answer goes through many hands.)
    Passing(Box<Passing>),
    /// Server-sent events.
    Events(Feed),
}

/// An answer that goes on as it comes.
#[derive(Debug)]
pub struct Passing {
    /// What was read already, changed back.
    pub head: VecDeque<Bytes>,
    /// The rest.
    pub rest: crate::upstream::Arriving,
    /// What changes the rest, unless it goes on untouched.
    pub sieve: Option<Box<Sieve>>,
    /// Bytes of both together, when that is known.
    pub length: Option<u64>,
    /// The link it comes over, kept until all has come.
    pub lease: Lease,
    /// Longest silence of the upstream, and longest time for everything.
    pub limits: (Duration, Duration),
    /// End it at once when they fire (key revoked, session ended).
    pub ends: [tokio_util::sync::CancellationToken; 2],
    /// Told of each byte and of the end.
    pub tally: Tally,
}

/// Events for a client as they come, already in their wire form.
#[derive(Debug)]
pub struct Feed {
    /// The events, or a fault that ends the request; the stream ends when the sender is gone.
    pub events: mpsc::Receiver<Result<Bytes, Box<Fault>>>,
    /// End the stream at once when they fire (key revoked, session ended).
    pub ends: [tokio_util::sync::CancellationToken; 2],
    /// A comment goes out after this much silence, when the client needs it sooner than others.
    pub keep_alive: Option<Duration>,
    /// Told of each byte and of the end.
    pub tally: Tally,
}

/// A good answer.
#[derive(Debug)]
pub struct Answer {
    /// HTTP status, 200 unless the protocol asks for another.
    pub status: u16,
    /// The body.
    pub body: Body,
    /// A new session id for the client (`initialize`).
    pub session: Option<String>,
    /// It is an error of the upstream, or the result of a tool that says it failed.
    pub failed: bool,
}

impl Answer {
    /// 200 with this body.
    #[must_use]
    pub fn ok(body: Body) -> Self {
        Self { status: 200, body, session: None, failed: false }
    }

    /// A JSON-RPC result: `result` is the text of the result object.
    #[must_use]
    pub fn result(id: &str, result: &str) -> Self {
        Self::ok(Body::Json(Bytes::from(format!(
            "{{\"jsonrpc\":\"2.0\",\"id\":{id},\"result\":{result}}}"
        ))))
    }

    /// 202 without a body.
    #[must_use]
    pub fn accepted() -> Self {
        Self { status: 202, body: Body::Empty, session: None, failed: false }
    }
}

/// What became of one posted message: an answer or a fault, and how to word the fault.
#[derive(Debug)]
pub struct Outcome {
    /// The request's id as the client wrote it, `null` when it is not known.
    pub id: IdText,
    /// The era in which it is answered.
    pub era: Era,
    /// True for `tools/call`: an upstream's failure is a result with `isError`.
    pub tool: bool,
    /// The answer.
    pub answer: Result<Answer, Fault>,
}
