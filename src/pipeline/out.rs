//! Where the answer of a call goes: one JSON message when nothing came before it, else a stream.
//! Everything that is said to a client in the course of a call goes through here, in both eras.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use super::answer::{Answer, Body, Feed};
use super::finish::{Record, Tally};
use super::outlet::event;
use super::relay::Asked;
use super::result::Ready;
use crate::audit::Outcome;
use crate::base::Fault;
use crate::session::{Cast, Item, Session};
use crate::wire::{IdText, NameKind, Route};

/// Events that wait for a client that reads slowly; the upstream waits then.
const QUEUE: usize = 16;

/// What the request still waits for.
#[derive(Debug)]
pub(super) struct Out {
    way: Way,
    /// Whose stream it would become in the legacy era, for which request, and whether of a tool.
    session: Option<(Arc<Session>, IdText, bool)>,
    ends: [CancellationToken; 2],
    /// Longest time that a client which is there may take to read an event.
    patience: Duration,
    /// Ends with the last message.
    record: Option<Record>,
}

#[derive(Debug)]
enum Way {
    /// Nothing was said yet: status and form are still open (protocol.md 1.3, late commit).
    Open(oneshot::Sender<Result<Answer, Fault>>),
    /// A stream of a session: kept for a client that was cut, which is no end of the call (R51).
    Session(Cast),
    /// A stream to a modern client, whose connection is the call.
    Connection(mpsc::Sender<Item>),
    /// Nobody reads it.
    Gone,
}

impl Out {
    /// The way back of a request; `early` is the stream that its client has already.
    pub(super) fn new(
        asked: &Asked,
        answer: oneshot::Sender<Result<Answer, Fault>>,
        early: Option<Cast>,
        mut record: Option<Record>,
    ) -> Self {
        if let Some(record) = &mut record {
            // In the legacy era only a cancellation ends a call without a last message (R51).
            let legacy = asked.session.is_some();
            record.if_dropped(if legacy { Outcome::Cancelled } else { Outcome::Abandoned });
        }
        let tool = asked.method.route == Route::Name(NameKind::Tool);
        Self {
            way: early.map_or(Way::Open(answer), Way::Session),
            session: asked.session.clone().map(|session| (session, asked.id.clone(), tool)),
            ends: asked.ends(),
            patience: asked.upstream.timing.timeout,
            record,
        }
    }

    /// Sends a message that is not the last one. False when a client that is there does not read.
    pub(super) async fn say(&mut self, message: &[u8]) -> bool {
        self.put(Ok(message), false).await
    }

    /// Sends the last message.
    pub(super) async fn finish(mut self, outcome: Result<Ready, Fault>) {
        let outcome = match self.record.take() {
            Some(record) => record.said(outcome).await,
            None => outcome,
        };
        if let Way::Open(answer) = self.way {
            let answered = outcome.map(|ready| Answer {
                status: ready.status,
                body: Body::Json(ready.bytes),
                session: None,
                failed: ready.failed,
            });
            // A client that has gone hears nothing.
            let _ = answer.send(answered);
            return;
        }
        match outcome {
            Ok(ready) => self.put(Ok(&ready.bytes), true).await,
            Err(fault) => self.put(Err(fault), true).await,
        };
    }

    async fn put(&mut self, message: Result<&[u8], Fault>, last: bool) -> bool {
        if let (Some(record), Ok(message)) = (&mut self.record, &message) {
            record.add(message.len());
        }
        if matches!(self.way, Way::Open(_)) {
            self.begin();
        }
        match &self.way {
            Way::Session(cast) => {
                cast.say(message, last, self.patience).await;
                true
            }
            // One that has gone hears nothing; one that is there and does not read must not hold
            // the link for ever.
            Way::Connection(sender) => {
                let sent = sender.send(message.map(event).map_err(Box::new));
                tokio::time::timeout(self.patience, sent).await.is_ok()
            }
            Way::Open(_) | Way::Gone => true,
        }
    }

    /// Makes a stream of it.
    fn begin(&mut self) {
        let (way, events) = match &self.session {
            Some((session, id, tool)) => {
                let (cast, events) = Cast::begin(session, id, *tool);
                (Way::Session(cast), events)
            }
            None => {
                let (sender, events) = mpsc::channel(QUEUE);
                (Way::Connection(sender), events)
            }
        };
        let feed =
            Feed { events, ends: self.ends.clone(), keep_alive: None, tally: Tally::default() };
        if let Way::Open(answer) = std::mem::replace(&mut self.way, way)
            && answer.send(Ok(Answer::ok(Body::Events(feed)))).is_err()
            && self.session.is_none()
        {
            self.way = Way::Gone;
        }
    }

    /// Waits until the client has gone for good.
    pub(super) async fn closed(&mut self) {
        match &mut self.way {
            Way::Open(answer) => answer.closed().await,
            Way::Session(_) => std::future::pending().await,
            Way::Connection(sender) => sender.closed().await,
            Way::Gone => {}
        }
    }
}

/// Says on the stream that a client has already what its call came to, as the last event. A
/// client that does not read for `patience` is taken for gone.
pub(super) async fn finish_early(cast: Cast, answer: Result<Answer, Fault>, patience: Duration) {
    let message = match answer {
        Err(fault) => Err(fault),
        Ok(Answer { body: Body::Json(bytes), .. }) => Ok(bytes),
        Ok(Answer { body: Body::Pieces(pieces), .. }) => Ok(Bytes::from(pieces.concat())),
        // Cancelled: nothing more is said. A body that passes is read to its end when there is a
        // stream already, and a stream has said its own.
        Ok(_) => return,
    };
    match message {
        Ok(bytes) => cast.say(Ok(&bytes), true, patience).await,
        Err(fault) => cast.say(Err(fault), true, patience).await,
    }
}
