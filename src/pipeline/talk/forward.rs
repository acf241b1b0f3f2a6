//! Both sides have sessions: a question of the upstream goes out on the stream of the request that
//! it belongs to, under an id of ours, and its answer goes back under the upstream's (LL).

use std::time::Duration;

use bytes::Bytes;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

use super::conversation::{Heard, Talk, Turn};
use crate::base::now;
use crate::bridge::{Question, Reply, Toward};
use crate::pipeline::out::Out;
use crate::pipeline::result::respond;
use crate::session;
use crate::upstream::{Message, refusal};
use crate::wire::json::quote;
use crate::wire::{Edits, InboundKind, Revision};

/// Longest time for which a person may think about one question.
pub(super) const THINKING: Duration = Duration::from_secs(600);
/// Answers that wait to be taken: one for each question that may be open.
pub(super) const ANSWERS: usize = 64;

/// A question that the client has and the upstream waits for.
struct Open {
    asked: session::Question,
    /// The upstream's id as it stands.
    id: String,
    method: String,
    until: Instant,
}

/// What else a conversation waits for.
enum Side {
    Answer(u64, Bytes),
    TooLate,
}

impl Talk {
    /// How questions are worded for this legacy client.
    pub(super) fn toward(&self) -> Toward {
        let session = self.caller.session.as_ref();
        Toward::Legacy(session.map_or(Revision::LATEST_LEGACY, |s| s.opening().revision))
    }

    pub(super) async fn forward(mut self: Box<Self>, mut out: Out, mut turn: Turn) {
        let (sender, mut answers) = mpsc::channel(ANSWERS);
        let mut open: Vec<Open> = Vec::new();
        loop {
            let soonest = open.iter().map(|open| open.until).min();
            let side = async {
                tokio::select! {
                    Some((number, body)) = answers.recv() => Side::Answer(number, body),
                    () = late(soonest) => Side::TooLate,
                }
            };
            match self.hear(&mut turn, &mut out, side).await {
                Heard::Next(Ok(message)) => match message.inbound.kind {
                    InboundKind::Notification => {
                        if !self.withdrawn(&mut out, &mut open, &message).await
                            && !self.note(&mut out, &message).await
                        {
                            return;
                        }
                    }
                    InboundKind::Request => {
                        self.put(&mut out, &sender, &mut open, &message).await;
                    }
                    InboundKind::Result | InboundKind::Error => {
                        self.lease.report(Ok(()));
                        // Refuses what is open: the upstream has its reasons not to wait.
                        drop(turn);
                        let ready = respond(&self.asked, &message);
                        return out.finish(ready).await;
                    }
                },
                Heard::Next(Err(error)) => {
                    self.lease.report(Err(&error));
                    drop(turn);
                    return out.finish(Err(error.into())).await;
                }
                Heard::Gone => return,
                Heard::Side(Side::Answer(number, body)) => {
                    let Some(at) = open.iter().position(|open| open.asked.number() == number)
                    else {
                        continue;
                    };
                    let answered = open.swap_remove(at);
                    let answer = Reply::read(body).map(|reply| reply.under(&answered.id));
                    let answer = answer.unwrap_or_else(|_| refusal(&answered.method, &answered.id));
                    self.send(answer).await;
                }
                Heard::Side(Side::TooLate) => {
                    let time = now();
                    for late in open.extract_if(.., |open| open.until <= time) {
                        self.send(refusal(&late.method, &late.id)).await;
                        let _ = out.say(withdrawal(&late.asked.id()).as_bytes()).await;
                    }
                }
            }
        }
    }

    /// Puts a question to the client, or refuses it when it cannot be put.
    async fn put(
        &self,
        out: &mut Out,
        answers: &mpsc::Sender<(u64, Bytes)>,
        open: &mut Vec<Open>,
        message: &Message,
    ) {
        let (Some(place), Some(method), Some(session)) =
            (&message.inbound.id, &message.inbound.method, &self.caller.session)
        else {
            return;
        };
        let text = message.text();
        let id = text[place.clone()].to_owned();
        let params = message.inbound.payload.clone().unwrap_or(0..0);
        let words = &text[params.clone()];
        let worded = Question::read(method, if words.is_empty() { "{}" } else { words })
            .ok()
            .filter(|question| self.caller.takes(self.method).has(question.needs))
            .and_then(|question| self.worded(&question, words, self.toward()).ok());
        let Some(worded) = worded else {
            return self.send(refusal(method, &id)).await;
        };
        let asked = session.ask(answers.clone());
        let mut edits = Edits::default();
        edits.replace(place.clone(), quote(&asked.id()));
        edits.append(worded, params.start);
        let _ = out.say(&edits.apply(&message.bytes)).await;
        open.push(Open { asked, id, method: method.clone(), until: now() + THINKING });
    }

    /// True for the notification that withdraws an open question; the client is told.
    async fn withdrawn(&self, out: &mut Out, open: &mut Vec<Open>, message: &Message) -> bool {
        let Some(id) = withdraws(message) else { return false };
        if let Some(at) = open.iter().position(|open| open.id == id) {
            let gone = open.swap_remove(at);
            let _ = out.say(withdrawal(&gone.asked.id()).as_bytes()).await;
        }
        true
    }

    /// Sends an answer to the upstream; one that cannot be sent ends with its exchange.
    pub(in crate::pipeline) async fn send(&self, answer: Bytes) {
        if let Err(error) = self.lease.send(answer).await {
            tracing::debug!(upstream = %self.asked.upstream.name, %error, "an answer was not taken");
        }
    }
}

/// The id of the question that a notification withdraws, as it stands.
pub(super) fn withdraws(message: &Message) -> Option<&str> {
    let cancelled = message.inbound.method.as_deref() == Some("notifications/cancelled");
    cancelled.then(|| message.param("requestId")).flatten()
}

/// Tells a client that a question of ours wants no answer any more.
pub(super) fn withdrawal(id: &str) -> String {
    format!(
        "{{\"jsonrpc\":\"2.0\",\"method\":\"notifications/cancelled\",\"params\":{{\"requestId\":{}}}}}",
        quote(id)
    )
}

/// Waits for a time; for ever when there is none.
pub(super) async fn late(at: Option<Instant>) {
    match at {
        Some(at) => sleep_until(at).await,
        None => std::future::pending().await,
    }
}
