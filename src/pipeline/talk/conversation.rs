//! One call on its way back, and who hears what meanwhile.

use std::future::Future;
use std::sync::Arc;

use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use super::wording::worded;
use crate::base::{Fault, Kind, Retry, now};
use crate::bridge::{BridgeError, Question, Toward};
use crate::credential::Armed;
use crate::namespace::Plan;
use crate::pipeline::answer::Answer;
use crate::pipeline::call::Caller;
use crate::pipeline::finish::Record;
use crate::pipeline::line::Line;
use crate::pipeline::out::Out;
use crate::pipeline::relay::Asked;
use crate::pipeline::result::{Ready, notify, respond};
use crate::pipeline::task::{TaskExchange, Tasked, Wanted, is_task};
use crate::session::{Cast, Running};
use crate::upstream::{Exchange, Lease, LinkError, Message};
use crate::wire::{Edits, Era, InboundKind, Method, Posted};

/// A call and everything that its further rounds need.
#[derive(Debug)]
pub(in crate::pipeline) struct Talk {
    pub(in crate::pipeline) line: Arc<Line>,
    pub(in crate::pipeline) caller: Box<Caller>,
    pub(in crate::pipeline) posted: Box<Posted>,
    pub(in crate::pipeline) method: &'static Method,
    pub(in crate::pipeline) plan: Plan,
    pub(in crate::pipeline) armed: Arc<Armed>,
    pub(in crate::pipeline) asked: Asked,
    pub(in crate::pipeline) lease: Lease,
    /// Held to the end: as long as it lives, a legacy client can cancel the call.
    pub(in crate::pipeline) running: Option<Arc<Running>>,
    /// The last progress of a call of several rounds.
    pub(in crate::pipeline) progress: Option<f64>,
}

/// What has come from the upstream: a first message, and what follows it.
#[derive(Debug)]
pub(in crate::pipeline) struct Turn {
    pub(in crate::pipeline) first: Option<Message>,
    pub(in crate::pipeline) rest: Option<Box<dyn Exchange>>,
}

/// What came next.
pub(super) enum Heard<S> {
    /// From the upstream.
    Next(Result<Message, LinkError>),
    /// Nobody wants the answer any more.
    Gone,
    /// What was waited for besides.
    Side(S),
}

impl Talk {
    /// Goes on with the call in a task of its own; gives the answer as soon as its form is known.
    /// `early` is the stream that its client has already.
    pub(in crate::pipeline) async fn go_on(
        self: Box<Self>,
        turn: Turn,
        early: Option<Cast>,
        record: Option<Record>,
    ) -> Result<Answer, Fault> {
        let (sender, answer) = oneshot::channel();
        let out = Out::new(&self.asked, sender, early, record);
        let tasks = self.line.tasks.clone();
        if self.asked.tasked != Tasked::Sent {
            tasks.spawn("conversation", self.converse(out, turn));
        } else if self.caller.tasks {
            tasks.spawn("task for a client", Box::pin(self.keep(out, turn)));
        } else {
            let turn = self.followed(turn);
            tasks.spawn("conversation", self.converse(out, turn));
        }
        // Without an answer it was cancelled: the client wants nothing more for this id.
        answer.await.unwrap_or_else(|_| Ok(Answer::accepted()))
    }

    /// The task that comes back with `turn`, followed to its end for a client that takes none.
    fn followed(&self, turn: Turn) -> Turn {
        let upstream = self.asked.upstream.clone();
        let wanted = Wanted {
            lease: self.lease.share(),
            upstream: upstream.clone(),
            asker: self.caller.asker(),
            takes: self.caller.takes(self.method),
            until: now() + upstream.timing.max_time,
        };
        let followed = self.line.follow_task(wanted, turn);
        let exchange = TaskExchange { followed, upstream, told: None, steps: 0 };
        Turn { first: None, rest: Some(Box::new(exchange)) }
    }

    async fn converse(self: Box<Self>, out: Out, turn: Turn) {
        match (self.asked.era, self.asked.upstream_era) {
            (Era::Legacy, Era::Legacy) => Box::pin(self.forward(out, turn)).await,
            (Era::Legacy, Era::Modern) => Box::pin(self.rounds(out, turn)).await,
            (Era::Modern, Era::Legacy) => Box::pin(self.park(out, turn)).await,
            (Era::Modern, Era::Modern) => Box::pin(self.pass(out, turn)).await,
        }
    }

    /// Fires when a legacy client cancels the call.
    pub(super) fn cancelled(&self) -> CancellationToken {
        self.running.as_ref().map_or_else(CancellationToken::new, |run| run.cancelled().clone())
    }

    /// Waits for the next message of the upstream, for the end of the client's interest, or for
    /// `side`.
    pub(super) async fn hear<S>(
        &self,
        turn: &mut Turn,
        out: &mut Out,
        side: impl Future<Output = S>,
    ) -> Heard<S> {
        let cancelled = self.cancelled();
        let modern = self.asked.era == Era::Modern;
        if let Some(first) = turn.first.take() {
            return Heard::Next(Ok(first));
        }
        tokio::select! {
            next = next(&mut turn.rest) => Heard::Next(next),
            () = cancelled.cancelled() => Heard::Gone,
            // In the legacy era a lost connection is no cancellation (R51).
            () = out.closed(), if modern => Heard::Gone,
            side = side => Heard::Side(side),
        }
    }

    /// The changes that word a question for this client. What a model is shown names resources as
    /// the client knows them (R84), and has no content of a newer revision.
    pub(super) fn worded(
        &self,
        question: &Question,
        params: &str,
        toward: Toward,
    ) -> Result<Edits, BridgeError> {
        let upstream = self.asked.upstream.name.as_str();
        let recipient = self.asked.recipient();
        worded(question, params, toward, upstream, recipient)
    }

    /// Passes notifications on until a message that is none; `None` when nobody wants it.
    pub(super) async fn until_answer(
        &mut self,
        turn: &mut Turn,
        out: &mut Out,
    ) -> Option<Result<Message, LinkError>> {
        loop {
            match self.hear(turn, out, std::future::pending::<()>()).await {
                Heard::Next(Ok(message)) if message.inbound.kind == InboundKind::Notification => {
                    self.note(out, &message).await.then_some(())?;
                }
                Heard::Next(answer) => {
                    self.lease.report(answer.as_ref().map(drop));
                    return Some(answer);
                }
                Heard::Gone | Heard::Side(()) => return None,
            }
        }
    }

    /// Passes a notification on. False when the client does not read.
    pub(in crate::pipeline) async fn note(&mut self, out: &mut Out, message: &Message) -> bool {
        if !self.rises(message) {
            return true;
        }
        let Some(bytes) = notify(&self.asked, message) else { return true };
        let cancelled = self.cancelled();
        tokio::select! {
            sent = out.say(&bytes) => {
                if !sent {
                    tracing::debug!(upstream = %self.asked.upstream.name, "a client does not read its stream; it is ended");
                }
                sent
            }
            () = cancelled.cancelled() => false,
        }
    }

    /// False for progress that falls back behind what the client was told: each round of a call
    /// counts anew, and the client sees one call (R21).
    fn rises(&mut self, message: &Message) -> bool {
        let rounds = (self.asked.era, self.asked.upstream_era) == (Era::Legacy, Era::Modern);
        let progress: Option<f64> = match rounds {
            true => message.param("progress").and_then(|text| text.parse().ok()),
            false => None,
        };
        let Some(progress) = progress else { return true };
        let rises = self.progress.is_none_or(|told| progress > told);
        if rises {
            self.progress = Some(progress);
        }
        rises
    }

    /// The last message of the upstream, in the words of the client.
    pub(in crate::pipeline) fn last(
        &self,
        answer: Result<Message, LinkError>,
    ) -> Result<Ready, Fault> {
        let ready = match answer {
            Ok(message) if self.asks(&message) => self.required(&message),
            Ok(message) if is_task(&self.asked, &message) => self.task(&message),
            Ok(message) if self.wants_visits(&message) => self.visits(&message),
            Ok(message) => respond(&self.asked, &message),
            Err(error) => Err(error.into()),
        };
        // Headers are between the proxy and the upstream.
        ready.map_err(|fault| match fault.kind {
            Kind::HeaderMismatch => Fault::upstream(Retry::Never, fault.public),
            _ => fault,
        })
    }

    /// Both sides are modern: nothing but notifications comes between.
    async fn pass(mut self: Box<Self>, mut out: Out, mut turn: Turn) {
        if let Some(answer) = self.until_answer(&mut turn, &mut out).await {
            drop(turn);
            let ready = self.last(answer);
            out.finish(ready).await;
        }
    }
}

/// The next message of an exchange; never, when there is none.
async fn next(rest: &mut Option<Box<dyn Exchange>>) -> Result<Message, LinkError> {
    match rest {
        Some(exchange) => exchange.next().await,
        None => std::future::pending().await,
    }
}
