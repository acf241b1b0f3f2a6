//! The messages of an event stream.

use bytes::Bytes;
use http_body::Body;
use http_body_util::BodyExt;

use super::answer::{MESSAGE_LIMIT, read_message};
use super::connection::Arriving;
use crate::upstream::link::{Cause, Message};
use crate::wire::sse::{Decoder, Event};

/// An open stream. Dropping it closes its connection unless the stream has ended.
#[derive(Debug)]
pub(super) struct Events {
    body: Arriving,
    decoder: Decoder,
    ended: bool,
}

/// Why no further message can be read.
#[derive(Debug)]
pub(super) struct Broken {
    pub(super) cause: Cause,
    pub(super) detail: String,
}

impl Events {
    pub(super) fn new(body: Arriving) -> Self {
        Self { body, decoder: Decoder::new(MESSAGE_LIMIT), ended: false }
    }

    /// The next message; `None` at the end of the stream. May be dropped and called again
    /// without losing anything.
    pub(super) async fn next(&mut self) -> Result<Option<Message>, Broken> {
        loop {
            match self.event().await? {
                None => return Ok(None),
                // Other types than `message` are no part of this transport.
                Some(event) if event.event.is_some() => {}
                Some(event) => {
                    return read_message(event.data)
                        .map(Some)
                        .map_err(|detail| Broken { cause: Cause::Garbage, detail });
                }
            }
        }
    }

    /// The next event of any type; `None` at the end of the stream. May be dropped and called
    /// again without losing anything.
    pub(super) async fn event(&mut self) -> Result<Option<Event>, Broken> {
        loop {
            match self.decoder.next() {
                Ok(Some(event)) => return Ok(Some(event)),
                Ok(None) if self.ended => return Ok(None),
                Ok(None) => match self.body.frame().await {
                    None => self.ended = true,
                    Some(Ok(frame)) => {
                        self.decoder.push(frame.into_data().unwrap_or_else(|_| Bytes::new()));
                    }
                    Some(Err(error)) => {
                        self.ended = true;
                        return Err(Broken { cause: Cause::Gone, detail: error.to_string() });
                    }
                },
                Err(error) => {
                    self.ended = true;
                    return Err(Broken { cause: Cause::TooLarge, detail: error.to_string() });
                }
            }
        }
    }

    /// From where the stream can be resumed.
    pub(super) fn last_id(&self) -> Option<&str> {
        self.decoder.last_id()
    }

    /// How long the server wants a reader to wait before it resumes, in milliseconds.
    pub(super) fn retry(&self) -> Option<u64> {
        self.decoder.retry()
    }

    /// True when nothing is left to read, so that dropping it harms no pooled connection.
    pub(super) fn is_over(&self) -> bool {
        self.ended || self.body.is_end_stream()
    }

    /// The rest, to be read to its end.
    pub(super) fn into_body(self) -> Arriving {
        self.body
    }
}
