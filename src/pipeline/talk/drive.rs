//! A client with a session, an upstream of 2026-07-28 that made a task of the call: it is followed
//! for the client, whose call stays open until the task is over (protocol.md 3.4, LM).

use std::collections::BTreeSet;
use std::time::Duration;

use tokio::time::Instant;

use super::conversation::Talk;
use super::rounds::{Stop, mark};
use crate::base::{Fault, Retry, now};
use crate::bridge::{BridgeError, InputRequired, Next, Rounds, Status, Task};
use crate::pipeline::out::Out;
use crate::pipeline::result::garbage;
use crate::pipeline::task::{cancelled_at, response_of};
use crate::upstream::Message;
use crate::wire::json::quote;
use crate::wire::{Era, InboundKind, TaskVerb};

/// Looks at a task that may fail one after the other.
const FAILURES: u32 = 4;
/// Longest wait for the upstream to hear that a task is not wanted any more.
const GOODBYE: Duration = Duration::from_secs(10);

impl Talk {
    /// Follows the task that `message` tells of; gives the answer of the call.
    pub(super) async fn drive(
        &mut self,
        rounds: &mut Rounds,
        out: &mut Out,
        message: &Message,
    ) -> Result<Message, Stop> {
        let task = self.described(message)?;
        let id = task.id.clone();
        let outcome = Box::pin(self.pursue(rounds, out, task)).await;
        if outcome.is_err() {
            // Nobody waits for it any more.
            let end = self.about(TaskVerb::Cancel, &id, "");
            if !matches!(tokio::time::timeout(GOODBYE, end).await, Ok(Ok(_))) {
                tracing::debug!(upstream = %self.asked.upstream.name, "a task was not cancelled");
            }
        }
        outcome
    }

    async fn pursue(
        &mut self,
        rounds: &mut Rounds,
        out: &mut Out,
        mut task: Task,
    ) -> Result<Message, Stop> {
        let id = task.id.clone();
        let mut until = now() + self.asked.upstream.timing.max_time;
        let (mut told, mut failures) = (None, 0);
        let mut answered = BTreeSet::new();
        loop {
            self.tell(out, &mut told, &task).await;
            self.pause(task.pause(), until).await?;
            let looked = self.about(TaskVerb::Get, &id, "").await;
            let message = match looked {
                Ok(message) => message,
                Err(fault) if failures + 1 >= FAILURES => return Err(fault.into()),
                Err(_) => {
                    failures += 1;
                    continue;
                }
            };
            failures = 0;
            if message.inbound.kind == InboundKind::Error {
                // It is not kept any more: the upstream's own words say why.
                return Ok(message);
            }
            task = self.described(&message)?;
            let text = &message.text()[message.inbound.payload.clone().unwrap_or(0..0)];
            let part = |place: Option<std::ops::Range<usize>>, member: &str| {
                let found = place.and_then(|place| response_of(member, &text[place]));
                found.ok_or_else(|| garbage(&self.asked, "a task that is over, without its end"))
            };
            match task.status {
                Status::Completed => return Ok(part(task.result.clone(), "result")?),
                Status::Failed => return Ok(part(task.error.clone(), "error")?),
                Status::Cancelled => {
                    let upstream = self.asked.upstream.name.as_str();
                    let answer = cancelled_at(upstream);
                    return answer.ok_or_else(|| garbage(&self.asked, "cancelled").into());
                }
                Status::Working => {}
                Status::InputRequired => {
                    if let Some(asked) = self.unanswered(text, &mut answered)? {
                        let began = now();
                        self.put_and_update(rounds, out, &id, &asked).await?;
                        // A person's time is not the upstream's.
                        until += now() - began;
                    }
                }
            }
        }
    }

    /// What the task asks and was not asked before, in the form of a result that asks.
    fn unanswered(
        &self,
        text: &str,
        answered: &mut BTreeSet<String>,
    ) -> Result<Option<String>, Fault> {
        let found = InputRequired::read(text)
            .map_err(|error: BridgeError| garbage(&self.asked, &error.to_string()))?;
        let mut entries = Vec::new();
        for entry in found.entries {
            if !answered.insert(entry.key.clone()) {
                continue;
            }
            let params = entry.params.map_or("{}", |place| &text[place]);
            entries.push(format!(
                "{}:{{\"method\":{},\"params\":{params}}}",
                quote(&entry.key),
                quote(&entry.method)
            ));
        }
        Ok((!entries.is_empty())
            .then(|| format!("{{\"inputRequests\":{{{}}}}}", entries.join(","))))
    }

    /// Puts questions to the client, and gives its answers to the task.
    async fn put_and_update(
        &mut self,
        rounds: &mut Rounds,
        out: &mut Out,
        id: &str,
        asked: &str,
    ) -> Result<(), Stop> {
        let upstream = self.asked.upstream.name.as_str();
        let mark = mark().ok_or_else(|| Fault::internal("the system gives no random bytes"))?;
        let next = rounds.begin(asked, upstream, &mark).map_err(|error| self.cannot_ask(&error))?;
        let Next::Ask(questions) = next else { return Ok(()) };
        self.put_all(rounds, out, questions).await?;
        let (Some(answers), _) = rounds.carry() else { return Ok(()) };
        let more = format!(",\"inputResponses\":{answers}");
        let taken = self.about(TaskVerb::Update, id, &more).await?;
        if taken.inbound.kind == InboundKind::Error {
            return Err(garbage(&self.asked, "it refused the answers that it asked for").into());
        }
        Ok(())
    }

    /// A request of ours about the task, over whatever link there is by now.
    async fn about(&self, verb: TaskVerb, id: &str, more: &str) -> Result<Message, Fault> {
        let upstream = self.plan.upstream();
        let lease = self.line.call_link(&self.caller, upstream, &self.armed).await?;
        if lease.facts().era != Era::Modern {
            return Err(garbage(&self.asked, "it has changed its era while a task ran"));
        }
        self.line.ask_task(&lease, upstream, (verb, id, more), self.caller.declares).await
    }

    fn described(&self, message: &Message) -> Result<Task, Fault> {
        let payload = message.inbound.payload.clone().unwrap_or(0..0);
        Task::read(&message.text()[payload])
            .map_err(|error| garbage(&self.asked, &error.to_string()))
    }

    /// Tells the client what the upstream says about the task, as progress of its call.
    async fn tell(&mut self, out: &mut Out, told: &mut Option<String>, task: &Task) {
        let Some(token) = self.asked.token.clone() else { return };
        if task.message.is_none() || *told == task.message {
            return;
        }
        told.clone_from(&task.message);
        let step = self.progress.map_or(1.0, |before| before.floor() + 1.0);
        self.progress = Some(step);
        let said = quote(task.message.as_deref().unwrap_or_default());
        let said = self.armed.redact(&said).into_owned();
        let text = format!(
            "{{\"jsonrpc\":\"2.0\",\"method\":\"notifications/progress\",\"params\":{{\
             \"progressToken\":{token},\"progress\":{step},\"message\":{said}}}}}"
        );
        // One that has gone is no reason to stop (R51).
        let _ = out.say(text.as_bytes()).await;
    }

    /// Waits before the next look.
    async fn pause(&self, pause: Duration, until: Instant) -> Result<(), Stop> {
        let cancelled = self.cancelled();
        if now() >= until {
            return Err(self.too_long().into());
        }
        tokio::select! {
            () = tokio::time::sleep(pause) => Ok(()),
            () = tokio::time::sleep_until(until) => Err(self.too_long().into()),
            () = cancelled.cancelled() => Err(Stop::Gone),
            () = self.line.tasks.stop().cancelled() => Err(Stop::Gone),
        }
    }

    fn too_long(&self) -> Fault {
        Fault::upstream(
            Retry::MayHaveRun,
            format!(
                "Upstream `{}` made a task of the call and did not finish it in time; it was told to stop. What ran \
                 may have had effects; raise `max_time` of this upstream for longer work.",
                self.asked.upstream.name
            ),
        )
    }
}
