//! A client with a session, an upstream of 2026-07-28: each result that asks becomes questions on the
//! stream of the client's request, and their answers become the next request (LM).

use tokio::sync::mpsc;

use super::conversation::{Talk, Turn};
use super::forward::{ANSWERS, THINKING, late, withdrawal};
use crate::base::{Fault, Retry, now};
use crate::bridge::{Asks, BridgeError, Next, Question, Reply, Rounds};
use crate::pipeline::compose::{Carry, compose};
use crate::pipeline::out::Out;
use crate::pipeline::relay::collect;
use crate::pipeline::result::{garbage, undeclared};
use crate::pipeline::task::is_task;
use crate::session;
use crate::upstream::{Message, Reply as Answered};
use crate::wire::Era;
use crate::wire::json::quote;

/// Results of one call that may ask something (R40).
const MOST_ROUNDS: u32 = 16;

/// Why a call with questions ends before its answer.
pub(super) enum Stop {
    /// The client wants nothing more.
    Gone,
    /// It is told this.
    Fault(Fault),
}

impl From<Fault> for Stop {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

impl Talk {
    pub(super) async fn rounds(mut self: Box<Self>, mut out: Out, mut turn: Turn) {
        let mut rounds = Rounds::new(self.toward(), self.caller.takes(self.method), MOST_ROUNDS);
        let outcome = loop {
            let Some(answer) = self.until_answer(&mut turn, &mut out).await else { return };
            drop(std::mem::replace(&mut turn, Turn { first: None, rest: None }));
            match answer {
                Ok(message) if self.asks(&message) => {
                    match Box::pin(self.round(&mut rounds, &mut out, &message)).await {
                        Ok(next) => turn = next,
                        Err(Stop::Gone) => return,
                        Err(Stop::Fault(fault)) => break Err(fault),
                    }
                }
                Ok(message) if is_task(&self.asked, &message) => {
                    match Box::pin(self.drive(&mut rounds, &mut out, &message)).await {
                        Ok(answer) => break self.last(Ok(answer)),
                        Err(Stop::Gone) => return,
                        Err(Stop::Fault(fault)) => break Err(fault),
                    }
                }
                answer => break self.last(answer),
            }
        };
        out.finish(outcome).await;
    }

    /// One round: asks, waits for the answers, and sends the request with them.
    async fn round(
        &mut self,
        rounds: &mut Rounds,
        out: &mut Out,
        message: &Message,
    ) -> Result<Turn, Stop> {
        let payload = message.inbound.payload.clone().unwrap_or(0..0);
        let result = &message.text()[payload];
        let upstream = self.asked.upstream.name.as_str();
        let mark = mark().ok_or_else(|| Fault::internal("the system gives no random bytes"))?;
        let next =
            rounds.begin(result, upstream, &mark).map_err(|error| self.cannot_ask(&error))?;
        match next {
            Next::Wait(pause) => {
                let cancelled = self.cancelled();
                tokio::select! {
                    () = tokio::time::sleep(pause) => {}
                    () = cancelled.cancelled() => return Err(Stop::Gone),
                }
            }
            Next::Ask(questions) => self.put_all(rounds, out, questions).await?,
        }
        let (answers, state) = rounds.carry();
        self.again(Carry::Own(answers, state)).await
    }

    pub(super) async fn put_all(
        &self,
        rounds: &mut Rounds,
        out: &mut Out,
        questions: Vec<(String, &'static str, String)>,
    ) -> Result<(), Stop> {
        let Some(session) = &self.caller.session else { return Err(Stop::Gone) };
        let (sender, mut answers) = mpsc::channel(ANSWERS);
        let mut open: Vec<(String, session::Question)> = Vec::new();
        let cancelled = self.cancelled();
        for (key, method, params) in questions {
            let params = self.with_uris(method, params);
            let asked = session.ask(sender.clone());
            let request = format!(
                "{{\"jsonrpc\":\"2.0\",\"id\":{},\"method\":{},\"params\":{params}}}",
                quote(&asked.id()),
                quote(method)
            );
            open.push((key, asked));
            tokio::select! {
                _ = out.say(request.as_bytes()) => {}
                () = cancelled.cancelled() => return Err(Stop::Gone),
            }
        }
        let until = now() + THINKING;
        while !rounds.is_answered() {
            let answer = tokio::select! {
                answer = answers.recv() => answer,
                () = late(Some(until)) => None,
                () = self.line.tasks.stop().cancelled() => None,
                () = cancelled.cancelled() => return Err(Stop::Gone),
            };
            let Some((number, body)) = answer else {
                for (_, asked) in &open {
                    let _ = out.say(withdrawal(&asked.id()).as_bytes()).await;
                }
                return Err(self.refused("was not given in time").into());
            };
            let Some(at) = open.iter().position(|(_, asked)| asked.number() == number) else {
                continue;
            };
            let (key, _) = open.swap_remove(at);
            let answered = Reply::read(body).is_ok_and(|reply| rounds.answer(&key, &reply));
            if !answered {
                for (_, asked) in &open {
                    let _ = out.say(withdrawal(&asked.id()).as_bytes()).await;
                }
                return Err(self.refused("was refused").into());
            }
        }
        Ok(())
    }

    /// What a model is shown names resources as the client knows them; nothing else changes.
    fn with_uris(&self, method: &str, params: String) -> String {
        let model = Question::read(method, &params).ok().filter(|q| q.asks == Asks::Model);
        let Some(edits) = model.and_then(|q| self.worded(&q, &params, self.toward()).ok()) else {
            return params;
        };
        let bytes = edits.apply(&bytes::Bytes::from(params));
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Sends the request once more, over whatever link there is by now.
    async fn again(&mut self, carry: Carry) -> Result<Turn, Stop> {
        let cancelled = self.cancelled();
        let line = self.line.clone();
        let sent = async {
            let upstream = self.plan.upstream();
            let lease = line.call_link(&self.caller, upstream, &self.armed).await?;
            let era = lease.facts().era;
            if era != Era::Modern {
                return Err(garbage(&self.asked, "it has changed its era in the middle of a call"));
            }
            let outgoing = compose(
                &self.caller,
                &self.posted,
                self.method,
                &self.plan,
                &self.armed,
                era,
                &carry,
            )?;
            let reply = lease.request(outgoing).await;
            if let Err(error) = &reply {
                lease.report(Err(error));
            }
            let turn = match reply? {
                Answered::Message(message) => Turn { first: Some(message), rest: None },
                Answered::Json { id, body, .. } => {
                    let message = collect(upstream, id, body, &[]).await?;
                    Turn { first: Some(message), rest: None }
                }
                Answered::Exchange(rest) => Turn { first: None, rest: Some(rest) },
            };
            Ok((lease, turn))
        };
        let (lease, turn) = tokio::select! {
            sent = Box::pin(sent) => sent?,
            () = cancelled.cancelled() => return Err(Stop::Gone),
        };
        self.lease = lease;
        Ok(turn)
    }

    /// What is asked cannot be put to this client.
    pub(super) fn cannot_ask(&self, error: &BridgeError) -> Fault {
        let name = &self.asked.upstream.name;
        match error {
            BridgeError::Undeclared(lacking) => undeclared(&self.asked, *lacking),
            BridgeError::Inexpressible(what) => Fault::upstream(
                Retry::Safe,
                format!(
                    "Upstream `{name}` asks for {what}, which this client's protocol revision cannot express; the \
                     user was not asked. Use a newer client, or a tool that needs no such answer."
                ),
            ),
            BridgeError::TooOften(rounds) => Fault::upstream(
                Retry::MayHaveRun,
                format!(
                    "Upstream `{name}` asked again after {rounds} rounds of answers; the call was given up."
                ),
            ),
            error => garbage(&self.asked, &error.to_string()),
        }
    }

    fn refused(&self, how: &str) -> Fault {
        Fault::upstream(
            Retry::MayHaveRun,
            format!(
                "Upstream `{}` needs an answer before it goes on, and the answer {how}. The call has ended; what ran \
                 before may have had effects.",
                self.asked.upstream.name
            ),
        )
    }
}

/// An id for visits to URLs, which have none in 2026-07-28.
pub(super) fn mark() -> Option<String> {
    let mut bytes = [0; 12];
    getrandom::fill(&mut bytes).ok()?;
    Some(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}
