//! An outcome as the JSON-RPC messages that it means, one after the other: for doors where an
//! answer is not the body of one HTTP reply.

use std::pin::pin;

use bytes::{Bytes, BytesMut};
use http::{HeaderValue, header};
use http_body_util::BodyExt;

use super::body::ReplyBody;
use super::reply::{fault_message, reply};
use crate::base::{Fault, Retry};
use crate::pipeline::Outcome;
use crate::wire::header::SESSION;
use crate::wire::sse::Decoder;
use crate::wire::{Era, IdText};

/// Longest answer in one piece.
const LONGEST: usize = 64 << 20;

/// The messages of one outcome, as they come.
pub(super) struct Messages {
    body: ReplyBody,
    /// When the reply is a stream of events.
    events: Option<Decoder>,
    ended: bool,
    /// Words a fault.
    id: IdText,
    era: Era,
    tool: bool,
}

impl Messages {
    /// Takes the reply that HTTP would get apart. Also gives the id of the session that it opens.
    pub(super) fn of(outcome: Outcome) -> (Self, Option<HeaderValue>) {
        let (id, era, tool) = (outcome.id.clone(), outcome.era, outcome.tool);
        let (mut head, body) = reply(outcome).into_parts();
        let stream = head.headers.get(header::CONTENT_TYPE);
        let events = stream.is_some_and(|kind| kind == "text/event-stream").then(Decoder::default);
        let session = head.headers.remove(SESSION);
        (Self { body, events, ended: false, id, era, tool }, session)
    }

    /// The next one; `None` when there is no more.
    pub(super) async fn next(&mut self) -> Option<Bytes> {
        if self.events.is_some() { self.next_event().await } else { self.whole().await }
    }

    async fn next_event(&mut self) -> Option<Bytes> {
        loop {
            let decoder = self.events.as_mut()?;
            match decoder.next() {
                // Without data it is about the stream, which ends here.
                Ok(Some(event)) if event.data.is_empty() => continue,
                Ok(Some(event)) => return Some(event.data),
                Ok(None) if self.ended => return None,
                Ok(None) => {}
                Err(_) => {
                    self.ended = true;
                    self.events = None;
                    return Some(self.broken());
                }
            }
            match pin!(&mut self.body).frame().await {
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        decoder.push(data);
                    }
                }
                Some(Err(_)) | None => self.ended = true,
            }
        }
    }

    async fn whole(&mut self) -> Option<Bytes> {
        let mut first = Bytes::new();
        let mut more = BytesMut::new();
        while !self.ended {
            match pin!(&mut self.body).frame().await {
                None => self.ended = true,
                Some(Ok(frame)) => {
                    let Ok(data) = frame.into_data() else { continue };
                    if first.len() + more.len() + data.len() > LONGEST {
                        self.ended = true;
                        return Some(self.broken());
                    }
                    if first.is_empty() && more.is_empty() {
                        first = data;
                    } else {
                        more.extend_from_slice(&std::mem::take(&mut first));
                        more.extend_from_slice(&data);
                    }
                }
                Some(Err(_)) => {
                    self.ended = true;
                    return Some(self.broken());
                }
            }
        }
        let whole = if more.is_empty() { first } else { more.freeze() };
        (!whole.is_empty()).then_some(whole)
    }

    fn broken(&self) -> Bytes {
        let fault = Fault::upstream(
            Retry::MayHaveRun,
            "The answer broke off or is too large. The request may have been executed; check before you repeat it.",
        );
        Bytes::from(fault_message(&self.id, self.era, self.tool, &fault))
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::mpsc;
    use tokio_util::sync::CancellationToken;

    use super::*;
    use crate::base::Kind;
    use crate::pipeline::{Answer, Body, Feed, Tally};
    use crate::wire::sse;

    fn outcome(answer: Result<Answer, Fault>) -> Outcome {
        Outcome { id: IdText::new_static("7"), era: Era::Legacy, tool: false, answer }
    }

    async fn all(outcome: Outcome) -> Vec<String> {
        let (mut messages, _) = Messages::of(outcome);
        let mut all = Vec::new();
        while let Some(message) = messages.next().await {
            all.push(String::from_utf8(message.to_vec()).unwrap());
        }
        assert!(messages.next().await.is_none(), "the end stays the end");
        all
    }

    #[tokio::test]
    async fn answers_become_messages() {
        let pieces = vec![Bytes::from("{\"a\""), Bytes::from(":1}")];
        assert_eq!(all(outcome(Ok(Answer::ok(Body::Pieces(pieces))))).await, ["{\"a\":1}"]);
        assert_eq!(all(outcome(Ok(Answer::ok(Body::Json("{}".into()))))).await, ["{}"]);
        assert!(all(outcome(Ok(Answer::accepted()))).await.is_empty());
        let fault = Fault::client(Kind::UnknownMethod, "Method not found: x");
        assert!(all(outcome(Err(fault))).await[0].contains("\"id\":7,\"error\""));
    }

    #[tokio::test]
    async fn a_stream_becomes_its_messages_and_a_fault_the_last() {
        let (sender, events) = mpsc::channel(8);
        for id in [None, Some("x-1")] {
            let mut event = Vec::new();
            sse::encode(&mut event, id, if id.is_some() { b"" } else { b"{\n}" });
            sender.send(Ok(Bytes::from(event))).await.unwrap();
        }
        sender.send(Err(Box::new(Fault::client(Kind::Busy, "later")))).await.unwrap();
        drop(sender);
        let ends = [CancellationToken::new(), CancellationToken::new()];
        let all = all(outcome(Ok(Answer::ok(Body::Events(Feed {
            events,
            ends,
            keep_alive: None,
            tally: Tally::default(),
        })))))
        .await;
        assert_eq!(all.len(), 2, "{all:?}");
        assert_eq!(all[0], "{\n}");
        assert!(all[1].contains("later"));
    }
}
