//! The stream that answers one call: everything that is said to its client in the course of the
//! call goes through here, in both eras.

use std::time::Duration;

use bytes::Bytes;
use tokio::sync::mpsc;

use super::answer::{Answer, Body};
use super::outlet::event;
use crate::base::Fault;
use crate::session::{Cast, Item};

/// Events that wait for a client that reads slowly; the upstream waits then.
const QUEUE: usize = 16;

/// The speaker's end of a call's stream. The stream ends with this value.
#[derive(Debug)]
pub(super) enum Out {
    /// Of a session: kept for a client that was cut, which is no end of the call (R51).
    Session(Cast),
    /// Of a modern client, whose connection is the call.
    Connection(mpsc::Sender<Item>),
}

impl Out {
    /// A stream to a modern client.
    pub(super) fn connection() -> (Self, mpsc::Receiver<Item>) {
        let (sender, events) = mpsc::channel(QUEUE);
        (Self::Connection(sender), events)
    }

    /// Says something to the client, `last` when nothing follows. False when nobody will hear any
    /// more, also not later. A client that does not read for `patience` is taken for gone.
    pub(super) async fn say(
        &self,
        message: Result<&[u8], Fault>,
        last: bool,
        patience: Duration,
    ) -> bool {
        match self {
            Self::Session(cast) => {
                cast.say(message, last, patience).await;
                true
            }
            Self::Connection(sender) => {
                let sent = sender.send(message.map(event));
                matches!(tokio::time::timeout(patience, sent).await, Ok(Ok(())))
            }
        }
    }

    /// Fires when the client has gone for good.
    pub(super) async fn gone(&self) {
        match self {
            Self::Session(_) => std::future::pending().await,
            Self::Connection(sender) => sender.closed().await,
        }
    }

    /// Says what a call came to, as the last event.
    pub(super) async fn finish(self, answer: Result<Answer, Fault>, patience: Duration) {
        let message = match answer {
            Err(fault) => Err(fault),
            Ok(Answer { body: Body::Json(bytes), .. }) => Ok(bytes),
            Ok(Answer { body: Body::Pieces(pieces), .. }) => Ok(Bytes::from(pieces.concat())),
            // Cancelled: nothing more is said. A body that passes is read to its end when there
            // is a stream already, and a stream has said its own.
            Ok(_) => return,
        };
        match message {
            Ok(bytes) => self.say(Ok(&bytes), true, patience).await,
            Err(fault) => self.say(Err(fault), true, patience).await,
        };
    }
}
