//! A task of an upstream of 2025-11-25, followed to its end: looked at as often as the upstream
//! says; when it asks something, and when it is over, its result is waited for, on whose exchange
//! the questions come (R104, protocol.md 3.4).

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::Instant;

use super::ask::message_of;
use crate::base::{Fault, now};
use crate::bridge::{Status, Task};
use crate::config::Upstream;
use crate::pipeline::line::Line;
use crate::pipeline::relay::collect;
use crate::pipeline::talk::Turn;
use crate::upstream::{
    Asker, Cause, Exchange, Lease, LinkError, Message, Outgoing, Pending, Reply, own_request,
};
use crate::wire::json::{JsonError, Reader, UPSTREAM_DEPTH, quote};
use crate::wire::{CapSet, Edits, Era, InboundKind, TaskVerb};

/// What is heard waits this long in number; the follower waits then.
const QUEUE: usize = 16;
/// Looks that may fail one after the other.
const FAILURES: u32 = 4;
/// Longest wait for the upstream to hear that a task is not wanted any more.
const GOODBYE: Duration = Duration::from_secs(10);

/// What the follower of a task says.
#[derive(Debug)]
pub(in crate::pipeline) enum Heard {
    /// A notification, a question, or the response that the call ends with.
    Message(Message),
    /// Where the task stands; the first one says that there is a task.
    Standing(Task),
}

/// The ends of a follower that its listener holds; it gives up when they are dropped.
#[derive(Debug)]
pub(in crate::pipeline) struct Followed {
    /// What it says.
    pub(in crate::pipeline) heard: mpsc::Receiver<Result<Heard, LinkError>>,
    /// Makes it cancel the task.
    pub(in crate::pipeline) cancel: mpsc::Sender<()>,
}

/// For whom a task is followed.
#[derive(Debug)]
pub(in crate::pipeline) struct Wanted {
    pub(in crate::pipeline) lease: Lease,
    pub(in crate::pipeline) upstream: Arc<Upstream>,
    pub(in crate::pipeline) asker: Asker,
    /// Which questions its client can be asked.
    pub(in crate::pipeline) takes: CapSet,
    /// Until when it is followed at most.
    pub(in crate::pipeline) until: Instant,
}

struct Follower {
    line: Arc<Line>,
    wanted: Wanted,
    heard: mpsc::Sender<Result<Heard, LinkError>>,
}

/// Why a follower stops before the end of the task.
enum Stop {
    /// Nobody listens any more.
    Gone,
    /// Its time is over.
    Late,
}

/// What a wait for a result ended with.
enum Fetched {
    Over,
    /// The client cancelled: where the task stands must be asked anew.
    Cancelled,
}

impl Line {
    /// Follows the task that comes back with `turn`. A response that is no task is passed on.
    pub(in crate::pipeline) fn follow_task(
        self: &Arc<Self>,
        wanted: Wanted,
        turn: Turn,
    ) -> Followed {
        let (sender, heard) = mpsc::channel(QUEUE);
        let (cancel, cancels) = mpsc::channel(1);
        let follower = Follower { line: self.clone(), wanted, heard: sender };
        self.tasks.spawn("task of an upstream", Box::pin(follower.run(turn, cancels)));
        Followed { heard, cancel }
    }
}

impl Follower {
    async fn run(self, turn: Turn, mut cancel: mpsc::Receiver<()>) {
        let Ok(Some(task)) = self.until_task(turn).await else { return };
        let id = task.id.clone();
        let stop = self.line.tasks.stop().clone();
        let followed = tokio::select! {
            followed = self.follow(task, &mut cancel) => followed,
            () = stop.cancelled() => Err(Stop::Gone),
        };
        let Err(stop) = followed else { return };
        self.end(&id).await;
        if matches!(stop, Stop::Late) {
            let detail = "the task was not finished in time";
            let error = LinkError::after(&self.wanted.upstream.name, Cause::Timeout, detail);
            let _ = self.say(Err(error)).await;
        }
    }

    /// Passes on what comes before there is a task. `None` when the call ended without one.
    async fn until_task(&self, mut turn: Turn) -> Result<Option<Task>, Stop> {
        loop {
            let next = match (turn.first.take(), &mut turn.rest) {
                (Some(first), _) => Ok(first),
                (None, Some(rest)) => tokio::select! {
                    next = rest.next() => next,
                    () = self.heard.closed() => return Err(Stop::Gone),
                },
                (None, None) => return Ok(None),
            };
            let message = match next {
                Ok(message) => message,
                Err(error) => {
                    self.say(Err(error)).await?;
                    return Ok(None);
                }
            };
            let over = matches!(message.inbound.kind, InboundKind::Result | InboundKind::Error);
            let task = message.param("task").and_then(|text| Task::read(text).ok());
            match task {
                Some(task) if message.inbound.kind == InboundKind::Result => {
                    return Ok(Some(task));
                }
                _ => self.say(Ok(Heard::Message(message))).await?,
            }
            if over {
                return Ok(None);
            }
        }
    }

    async fn follow(&self, mut task: Task, cancel: &mut mpsc::Receiver<()>) -> Result<(), Stop> {
        let mut failures = 0;
        let id = task.id.clone();
        loop {
            self.say(Ok(Heard::Standing(task.clone()))).await?;
            match task.status {
                Status::Cancelled => return Ok(()),
                Status::Working => self.pause(&id, cancel, task.pause()).await?,
                Status::InputRequired | Status::Completed | Status::Failed => {
                    match Box::pin(self.fetch(&id, cancel)).await? {
                        Fetched::Over => return Ok(()),
                        Fetched::Cancelled => {}
                    }
                }
            }
            let looked = self.ask(TaskVerb::Get, &id).await?;
            let (seen, detail) = match looked {
                // It is not kept any more; the upstream's own words say why.
                Ok(message) if message.inbound.kind == InboundKind::Error => {
                    return self.say(Ok(Heard::Message(message))).await;
                }
                Ok(message) => (described(&message), "it tells nothing about its task".to_owned()),
                Err(fault) => (None, fault.private.unwrap_or_else(|| fault.public.into_owned())),
            };
            match seen {
                Some(seen) => (task, failures) = (seen, 0),
                None if failures + 1 < FAILURES => {
                    failures += 1;
                    self.pause(&id, cancel, task.pause()).await?;
                }
                None => return self.lost(&detail).await,
            }
        }
    }

    /// Waits for the result of the task; what it asks comes before it.
    async fn fetch(&self, id: &str, cancel: &mut mpsc::Receiver<()>) -> Result<Fetched, Stop> {
        let wanted = &self.wanted;
        let method = TaskVerb::Result.method();
        // It comes when the task is over, however long that takes.
        let rest = wanted.until.saturating_duration_since(now());
        let members = format!("\"taskId\":{}", quote(id));
        let outgoing = Outgoing {
            method,
            draft: own_request(Era::Legacy, CapSet::NONE, method.name, &members),
            name: None,
            parameters: Vec::new(),
            timeout: rest,
            max_time: rest,
            asker: Some(wanted.asker),
            takes: wanted.takes,
        };
        let waits = async {
            let mut exchange = match wanted.lease.request(outgoing).await {
                Ok(Reply::Exchange(exchange)) => exchange,
                Ok(Reply::Message(message)) => return self.passed(message).await.map(drop),
                Ok(Reply::Json { id, body, .. }) => {
                    let whole = collect(&wanted.upstream, id, body, &[]).await;
                    return match whole {
                        Ok(message) => self.passed(message).await.map(drop),
                        Err(fault) => {
                            self.lost(fault.private.as_deref().unwrap_or(&fault.public)).await
                        }
                    };
                }
                Err(error) => return self.say(Err(error)).await,
            };
            loop {
                match exchange.next().await {
                    Ok(message) => {
                        if self.passed(message).await? {
                            return Ok(());
                        }
                    }
                    Err(error) => return self.say(Err(error)).await,
                }
            }
        };
        let mut waits = std::pin::pin!(waits);
        tokio::select! {
            over = &mut waits => over.map(|()| Fetched::Over),
            () = self.heard.closed() => Err(Stop::Gone),
            () = tokio::time::sleep_until(wanted.until) => Err(Stop::Late),
            Some(()) = cancel.recv() => {
                // Before the wait is given up, and with it what the task asks.
                self.end(id).await;
                Ok(Fetched::Cancelled)
            }
        }
    }

    /// Passes a message of the wait for the result on; true for the last one.
    async fn passed(&self, message: Message) -> Result<bool, Stop> {
        let over = matches!(message.inbound.kind, InboundKind::Result | InboundKind::Error);
        self.say(Ok(Heard::Message(unrelated(message)))).await?;
        Ok(over)
    }

    async fn ask(&self, verb: TaskVerb, id: &str) -> Result<Result<Message, Fault>, Stop> {
        let Wanted { lease, upstream, until, .. } = &self.wanted;
        tokio::select! {
            asked = self.line.ask_task(lease, upstream, (verb, id, ""), CapSet::NONE) => Ok(asked),
            () = self.heard.closed() => Err(Stop::Gone),
            () = tokio::time::sleep_until(*until) => Err(Stop::Late),
        }
    }

    /// Tells the upstream that the task is not wanted any more.
    async fn end(&self, id: &str) {
        let Wanted { lease, upstream, .. } = &self.wanted;
        let told = self.line.ask_task(lease, upstream, (TaskVerb::Cancel, id, ""), CapSet::NONE);
        if !matches!(tokio::time::timeout(GOODBYE, told).await, Ok(Ok(_))) {
            tracing::debug!(upstream = %upstream.name, "a task was not cancelled");
        }
    }

    /// Waits before the next look; a wish to cancel comes first.
    async fn pause(
        &self,
        id: &str,
        cancel: &mut mpsc::Receiver<()>,
        pause: Duration,
    ) -> Result<(), Stop> {
        let until = self.wanted.until;
        if now() >= until {
            return Err(Stop::Late);
        }
        tokio::select! {
            () = tokio::time::sleep(pause) => Ok(()),
            () = self.heard.closed() => Err(Stop::Gone),
            () = tokio::time::sleep_until(until) => Err(Stop::Late),
            Some(()) = cancel.recv() => {
                self.end(id).await;
                Ok(())
            }
        }
    }

    async fn lost(&self, detail: &str) -> Result<(), Stop> {
        let error = LinkError::after(&self.wanted.upstream.name, Cause::Gone, detail);
        self.say(Err(error)).await
    }

    async fn say(&self, heard: Result<Heard, LinkError>) -> Result<(), Stop> {
        tokio::select! {
            sent = self.heard.send(heard) => sent.map_err(|_| Stop::Gone),
            () = tokio::time::sleep_until(self.wanted.until.max(now() + GOODBYE)) => Err(Stop::Gone),
        }
    }
}

/// What the answer to `tasks/get` says.
fn described(message: &Message) -> Option<Task> {
    let payload = message.inbound.payload.clone()?;
    Task::read(&message.text()[payload]).ok()
}

/// A result or question of a task without the mark of its task, whose id is the upstream's.
fn unrelated(message: Message) -> Message {
    let Some(payload) = message.inbound.payload.clone() else { return message };
    let text = message.text();
    let mut mark = None;
    let read =
        Reader::new(&text[payload.clone()], UPSTREAM_DEPTH).object::<JsonError>(|reader, key| {
            if !key.is("_meta") || reader.peek()? != b'{' {
                return reader.value().map(drop);
            }
            reader
                .object::<JsonError>(|reader, key| {
                    let value = reader.value()?;
                    if key.is("io.modelcontextprotocol/related-task") {
                        mark = Some(value.start + payload.start..value.end + payload.start);
                    }
                    Ok(())
                })
                .map(drop)
        });
    let (Ok(_), Some(mark)) = (read, mark) else { return message };
    let mut edits = Edits::default();
    edits.remove_members(text, [mark]);
    let changed = edits.apply(&message.bytes);
    String::from_utf8(changed.to_vec()).ok().and_then(message_of).unwrap_or(message)
}

/// A followed task as the exchange of a call: its standing comes as progress, and its end is the
/// answer. Dropping it cancels the task.
#[derive(Debug)]
pub(in crate::pipeline) struct TaskExchange {
    pub(in crate::pipeline) followed: Followed,
    pub(in crate::pipeline) upstream: Arc<Upstream>,
    pub(in crate::pipeline) told: Option<String>,
    pub(in crate::pipeline) steps: u64,
}

impl TaskExchange {
    async fn message(&mut self) -> Result<Message, LinkError> {
        let gone = |upstream: &Upstream| {
            LinkError::after(&upstream.name, Cause::Gone, "its task was lost")
        };
        loop {
            let heard = self.followed.heard.recv().await.ok_or_else(|| gone(&self.upstream))??;
            let task = match heard {
                Heard::Message(message) => return Ok(message),
                Heard::Standing(task) => task,
            };
            if task.status == Status::Cancelled {
                let name = self.upstream.name.as_str();
                return super::cancelled_at(name).ok_or_else(|| gone(&self.upstream));
            }
            if task.message.is_some() && task.message != self.told {
                self.told = task.message;
                self.steps += 1;
                let said = quote(self.told.as_deref().unwrap_or_default());
                let text = format!(
                    "{{\"jsonrpc\":\"2.0\",\"method\":\"notifications/progress\",\"params\":{{\
                     \"progressToken\":0,\"progress\":{},\"message\":{said}}}}}",
                    self.steps
                );
                if let Some(message) = message_of(text) {
                    return Ok(message);
                }
            }
        }
    }
}

impl Exchange for TaskExchange {
    fn next(&mut self) -> Pending<'_, Result<Message, LinkError>> {
        Box::pin(self.message())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_task_says_loses_the_mark_of_the_task_and_nothing_else() {
        let said = |text: &str| {
            let message = unrelated(message_of(text.to_owned()).unwrap());
            message.text().to_owned()
        };
        assert_eq!(
            said(
                r#"{"id":1,"result":{"content":[1.0],"_meta":{"a":1,"io.modelcontextprotocol/related-task":{"taskId":"x"}}}}"#
            ),
            r#"{"id":1,"result":{"content":[1.0],"_meta":{"a":1}}}"#
        );
        assert_eq!(
            said(
                r#"{"id":1,"method":"roots/list","params":{"_meta":{"io.modelcontextprotocol/related-task":{"taskId":"x"}}}}"#
            ),
            r#"{"id":1,"method":"roots/list","params":{"_meta":{}}}"#
        );
        let plain = r#"{"id":1,"result":{"content":[{"_meta":{"io.modelcontextprotocol/related-task":1}}]}}"#;
        assert_eq!(said(plain), plain);
    }
}
