//! A client of 2026-07-28, an upstream with a session: the upstream's questions end the client's
//! request, and the call waits until the client comes back with the answers (ML).

use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::Instant;

use super::conversation::{Talk, Turn};
use super::forward::{late, withdraws};
use super::visit::required;
use crate::base::{Fault, now, unix_seconds};
use crate::bridge::{Carried, Inner, Park, Purpose, Question, Responses, Toward};
use crate::pipeline::out::Out;
use crate::pipeline::parks::{Comeback, Parked, RETRIES};
use crate::pipeline::result::Ready;
use crate::pipeline::state::refused;
use crate::upstream::{LinkError, Message, refusal};
use crate::wire::{Era, InboundKind};

/// Questions that come within this time go out together.
const TOGETHER: Duration = Duration::from_millis(30);
/// Longest wait for a client that does not come back.
const WAIT: Duration = Duration::from_secs(300);

/// A call that may wait.
struct Waiting {
    talk: Box<Talk>,
    turn: Turn,
    park: Park,
    /// The request that is being served; none between two rounds.
    out: Option<Out>,
    /// When the questions that are there go out.
    ask_at: Option<Instant>,
    /// The upstream's answer, when it came between two rounds.
    answer: Option<Result<Message, LinkError>>,
    sender: mpsc::Sender<Comeback>,
    parked: Option<Parked>,
}

enum Step {
    Heard(Result<Message, LinkError>),
    Comeback(Comeback),
    Late,
    Gone,
}

impl Talk {
    pub(super) async fn park(self: Box<Self>, out: Out, turn: Turn) {
        let (sender, mut comebacks) = mpsc::channel(RETRIES);
        let mut waiting = Waiting {
            talk: self,
            turn,
            park: Park::default(),
            out: Some(out),
            ask_at: None,
            answer: None,
            sender,
            parked: None,
        };
        let ended = waiting.talk.caller.principal.ended().clone();
        let stop = waiting.talk.line.tasks.stop().clone();
        loop {
            let step = tokio::select! {
                step = waiting.step(&mut comebacks) => step,
                () = ended.cancelled() => break,
                () = stop.cancelled() => break,
            };
            if waiting.take(step).await.is_none() {
                break;
            }
        }
        waiting.give_up().await;
    }
}

impl Talk {
    /// A question of a legacy upstream with its `params` for a modern client, if there are any;
    /// `None` when the client cannot be asked that.
    fn worded_for_modern(
        &self,
        method: &str,
        params: Option<&str>,
    ) -> Option<(Question, Option<String>)> {
        let question = Question::read(method, params.unwrap_or("{}")).ok()?;
        if !self.caller.takes(self.method).has(question.needs) {
            return None;
        }
        let Some(params) = params else { return Some((question, None)) };
        let toward = Toward::Modern { from: Era::Legacy };
        let edits = self.worded(&question, params, toward).ok()?;
        let bytes = edits.apply(&bytes::Bytes::copy_from_slice(params.as_bytes()));
        Some((question, Some(String::from_utf8_lossy(&bytes).into_owned())))
    }

    /// Puts a question of a legacy upstream among those that wait for a modern client, or refuses
    /// it. True when it waits.
    pub(in crate::pipeline) async fn wait_or_refuse(
        &self,
        park: &mut Park,
        message: &Message,
    ) -> bool {
        let (Some(place), Some(method)) = (message.inbound.id.clone(), &message.inbound.method)
        else {
            return false;
        };
        let id = &message.text()[place];
        let params = message.inbound.payload.clone().map(|place| &message.text()[place]);
        let worded = self.worded_for_modern(method, params);
        let waits = worded.is_some_and(|(question, params)| park.ask(id, &question, params));
        if !waits {
            self.send(refusal(method, id)).await;
        }
        waits
    }
}

impl Waiting {
    async fn step(&mut self, comebacks: &mut mpsc::Receiver<Comeback>) -> Step {
        if let Some(first) = self.turn.first.take() {
            return Step::Heard(Ok(first));
        }
        let timer = if self.out.is_some() { self.ask_at } else { self.park.deadline() };
        let deaf = self.answer.is_some();
        let rest = &mut self.turn.rest;
        let heard = async {
            match rest {
                Some(exchange) if !deaf => exchange.next().await,
                _ => std::future::pending().await,
            }
        };
        let out = &mut self.out;
        let closed = async {
            match out {
                Some(out) => out.closed().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            heard = heard => Step::Heard(heard),
            // The client left while its request was being served: that cancels the call (R17).
            () = closed => Step::Gone,
            Some(comeback) = comebacks.recv() => Step::Comeback(comeback),
            () = late(timer) => Step::Late,
        }
    }

    /// Does what a step asks for; `None` when the call is over.
    async fn take(&mut self, step: Step) -> Option<()> {
        match step {
            Step::Gone => None,
            Step::Late if self.out.is_none() => None,
            Step::Late => {
                self.ask_at = None;
                if self.park.asks() { self.pause().await } else { Some(()) }
            }
            Step::Comeback(comeback) => self.resume(comeback).await,
            Step::Heard(Ok(message)) if message.inbound.kind == InboundKind::Notification => {
                if let Some(id) = withdraws(&message) {
                    self.park.withdraw(id);
                } else if let Some(out) = &mut self.out {
                    // Between two rounds there is nobody to tell.
                    return self.talk.note(out, &message).await.then_some(());
                }
                Some(())
            }
            Step::Heard(Ok(message)) if message.inbound.kind == InboundKind::Request => {
                self.asked(&message).await;
                Some(())
            }
            Step::Heard(answer) => {
                self.talk.lease.report(answer.as_ref().map(drop));
                self.answer = Some(answer);
                self.answer_if_heard().await
            }
        }
    }

    /// The upstream asks.
    async fn asked(&mut self, message: &Message) {
        if self.talk.wait_or_refuse(&mut self.park, message).await && self.out.is_some() {
            self.ask_at.get_or_insert(now() + TOGETHER);
        }
    }

    /// Ends a round with what is asked.
    async fn pause(&mut self) -> Option<()> {
        if self.parked.is_none() {
            self.parked = self.talk.line.parks.park(&self.talk.caller, self.sender.clone());
        }
        let Some(parked) = &self.parked else {
            tracing::warn!(upstream = %self.talk.asked.upstream.name, "too many calls wait for their clients");
            self.refuse().await;
            return Some(());
        };
        let wait = WAIT.min(self.talk.asked.upstream.timing.max_time);
        let (round, requests) = self.park.pause(now() + wait);
        let inner = Inner::Park { boot: parked.boot, id: parked.id, round };
        let carried = Carried { expires: unix_seconds() + wait.as_secs() + 1, inner };
        let ready =
            self.sealed(&carried).map(|state| required(&self.talk.asked.id, &requests, &state));
        let failed = ready.is_err();
        if let Some(out) = self.out.take() {
            out.finish(ready).await;
        }
        (!failed).then_some(())
    }

    fn sealed(&self, carried: &Carried) -> Result<String, Fault> {
        let Talk { line, caller, posted, method, plan, .. } = &*self.talk;
        line.seal_state(caller, posted, (method, plan), (Purpose::Park, carried))
    }

    /// The client comes back.
    async fn resume(&mut self, comeback: Comeback) -> Option<()> {
        let Comeback { round, id, token, level, declares, responses, record, answer } = comeback;
        let read = Responses::read(&responses).ok();
        let Some(read) = read.filter(|_| self.park.resume(round, now())) else {
            // The client of a replay has to be told; when it has gone there is nobody.
            let _ = answer.send(Err(refused()));
            return Some(());
        };
        self.talk.asked.id = id;
        self.talk.asked.token = token;
        self.talk.asked.level = level;
        let record = record.map(|mut record| {
            record.sent();
            record
        });
        self.out = Some(Out::new(&self.talk.asked, answer, None, record));
        self.talk.caller.declares = declares;
        for answer in self.park.deliver(&responses, &read) {
            self.talk.send(answer).await;
        }
        for waiting in self.park.narrow(declares) {
            self.talk.send(refusal(waiting.method, &waiting.id)).await;
        }
        if self.park.asks() {
            self.ask_at = Some(now());
        }
        self.answer_if_heard().await
    }

    /// Gives the upstream's answer to the request that is being served. `None` when that was it.
    async fn answer_if_heard(&mut self) -> Option<()> {
        if self.answer.is_none() || self.out.is_none() {
            return Some(());
        }
        let (answer, out) = (self.answer.take()?, self.out.take()?);
        // The exchange is over; what it still had open is refused with it.
        self.turn.rest = None;
        drop(self.park.give_up());
        let ready: Result<Ready, Fault> = self.talk.last(answer);
        out.finish(ready).await;
        None
    }

    async fn refuse(&mut self) {
        for waiting in self.park.give_up() {
            self.talk.send(refusal(waiting.method, &waiting.id)).await;
        }
    }

    /// Nobody waits any more: the call is cancelled with its exchange, and what is open then is
    /// refused (R38).
    async fn give_up(mut self) {
        self.turn.rest = None;
        self.refuse().await;
    }
}
