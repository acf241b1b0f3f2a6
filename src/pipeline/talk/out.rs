//! Where the answer of a request goes: one JSON message when nothing came before it, else a stream.

use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use crate::base::Fault;
use crate::pipeline::answer::{Answer, Body, Feed};
use crate::pipeline::outlet::event;
use crate::pipeline::result::Ready;

/// Events that wait for a client that reads slowly; the upstream waits then.
const QUEUE: usize = 16;

/// What the request still waits for.
#[derive(Debug)]
pub(in crate::pipeline) struct Out {
    way: Way,
    ends: [CancellationToken; 2],
    /// Longest time that a client which is there may take to read an event.
    patience: Duration,
}

#[derive(Debug)]
enum Way {
    /// Nothing was said yet: status and form are still open (protocol.md 1.3, late commit).
    Open(oneshot::Sender<Result<Answer, Fault>>),
    /// A stream.
    Stream(mpsc::Sender<Result<Bytes, Fault>>),
    /// Nobody reads it.
    Gone,
}

impl Out {
    pub(in crate::pipeline) fn new(
        answer: oneshot::Sender<Result<Answer, Fault>>,
        ends: [CancellationToken; 2],
        patience: Duration,
    ) -> Self {
        Self { way: Way::Open(answer), ends, patience }
    }

    /// Sends a message that is not the last one. False when a client that is there does not read.
    pub(in crate::pipeline) async fn say(&mut self, message: &[u8]) -> bool {
        self.put(Ok(event(message))).await
    }

    /// Sends the last message.
    pub(in crate::pipeline) async fn finish(mut self, outcome: Result<Ready, Fault>) {
        if let Way::Open(answer) = self.way {
            let answered = outcome.map(|ready| Answer {
                status: ready.status,
                body: Body::Json(ready.bytes),
                session: None,
            });
            // A client that has gone hears nothing.
            let _ = answer.send(answered);
            return;
        }
        self.put(outcome.map(|ready| event(&ready.bytes))).await;
    }

    async fn put(&mut self, item: Result<Bytes, Fault>) -> bool {
        if matches!(self.way, Way::Open(_)) {
            let (sender, events) = mpsc::channel(QUEUE);
            let feed = Feed { events, ends: self.ends.clone(), keep_alive: None };
            let open = std::mem::replace(&mut self.way, Way::Stream(sender));
            if let Way::Open(answer) = open
                && answer.send(Ok(Answer::ok(Body::Events(feed)))).is_err()
            {
                self.way = Way::Gone;
            }
        }
        let Way::Stream(sender) = &self.way else { return true };
        // One that has gone hears nothing; one that is there and does not read must not hold the
        // link for ever.
        let sent = tokio::time::timeout(self.patience, sender.send(item)).await;
        sent.is_ok()
    }

    /// Waits until the client has gone.
    pub(in crate::pipeline) async fn closed(&mut self) {
        match &mut self.way {
            Way::Open(answer) => answer.closed().await,
            Way::Stream(sender) => sender.closed().await,
            Way::Gone => {}
        }
    }
}
