//! The reply to a batch: one JSON array, or one stream of events when something else than a
//! response comes first.

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::mpsc;

use super::message::Messages;
use crate::base::Tasks;
use crate::pipeline::{Answer, Body, Feed, Letter, Line, Outcome, Tally};
use crate::wire::{Era, IdText, Inbound, InboundKind, PostedKind, sse};

/// Messages that wait for a client that reads slowly.
const QUEUE: usize = 16;

/// What comes of a batch, piece by piece.
pub(super) enum Piece {
    /// A notification, or a question to the client.
    Aside(Bytes),
    /// A response.
    Response(Bytes),
}

/// Serves every message of a batch at once. What comes of them arrives on the channel, which
/// closes after the last; whoever drops it changes nothing in what runs.
pub(super) fn start(
    line: &Arc<Line>,
    tasks: &Tasks,
    letters: Vec<Letter>,
) -> mpsc::Receiver<Piece> {
    let (pieces, arriving) = mpsc::channel(QUEUE);
    for letter in letters {
        let (line, pieces) = (line.clone(), pieces.clone());
        tasks.spawn("message of a batch", async move {
            let asks = letter.kind() == PostedKind::Request;
            let (mut messages, _) = Messages::of(line.serve(letter).await);
            while let Some(message) = messages.next().await {
                if !asks {
                    continue;
                }
                let piece = if is_response(&message) {
                    Piece::Response(message)
                } else {
                    Piece::Aside(message)
                };
                // A client that has gone hears nothing; the legacy era goes on all the same.
                let _ = pieces.send(piece).await;
            }
        });
    }
    arriving
}

/// Serves a batch that was posted.
pub(super) async fn serve(line: &Arc<Line>, tasks: &Tasks, letters: Vec<Letter>) -> Outcome {
    let ended = letters.first().map(|letter| letter.posting().principal.ended().clone());
    let mut arriving = start(line, tasks, letters);
    let mut responses = Vec::new();
    while let Some(piece) = arriving.recv().await {
        match (piece, &ended) {
            (Piece::Response(message), _) => responses.push(message),
            (Piece::Aside(first), Some(ended)) => {
                let (events, feed) = mpsc::channel(QUEUE);
                let ends = [ended.clone(), ended.clone()];
                tasks.spawn("stream of a batch", async move {
                    for message in responses.into_iter().chain([first]) {
                        let _ = events.send(Ok(event(&message))).await;
                    }
                    while let Some(Piece::Response(message) | Piece::Aside(message)) =
                        arriving.recv().await
                    {
                        let _ = events.send(Ok(event(&message))).await;
                    }
                });
                return outcome(Answer::ok(Body::Events(Feed {
                    events: feed,
                    ends,
                    keep_alive: None,
                    tally: Tally::default(),
                })));
            }
            (Piece::Aside(_), None) => {}
        }
    }
    // Nothing is left to say when every request was cancelled, or none was there.
    outcome(if responses.is_empty() {
        Answer::accepted()
    } else {
        Answer::ok(Body::Pieces(array(responses)))
    })
}

/// Responses, of which there is at least one, as one array.
pub(super) fn array(responses: Vec<Bytes>) -> Vec<Bytes> {
    let mut pieces = Vec::with_capacity(responses.len() * 2 + 1);
    for response in responses {
        let before: &[u8] = if pieces.is_empty() { b"[" } else { b"," };
        pieces.extend([Bytes::from_static(before), response]);
    }
    pieces.push(Bytes::from_static(b"]"));
    pieces
}

fn is_response(message: &[u8]) -> bool {
    std::str::from_utf8(message)
        .ok()
        .and_then(|text| Inbound::read(text).ok())
        .is_some_and(|read| matches!(read.kind, InboundKind::Result | InboundKind::Error))
}

fn event(message: &[u8]) -> Bytes {
    let mut out = Vec::new();
    sse::encode(&mut out, None, message);
    Bytes::from(out)
}

fn outcome(answer: Answer) -> Outcome {
    Outcome { id: IdText::new_static("null"), era: Era::Legacy, tool: false, answer: Ok(answer) }
}
