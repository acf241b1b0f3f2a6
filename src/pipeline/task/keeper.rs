//! A task of a legacy upstream as a client of 2026-07-28 has it: described anew with each change,
//! its questions under keys that are never used again, its result kept as long as it may be asked
//! for (protocol.md 3.4, ML).

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::Instant;

use super::follow::{Followed, Heard, Wanted};
use super::kept::{ORDERS, Order, Place};
use crate::auth::Principal;
use crate::base::{Fault, Retry, now, rfc3339, unix_seconds};
use crate::bridge::{Described, Park, Responses, Status, Task, TaskHandle, Whose};
use crate::pipeline::line::{Line, SERVER_INFO_META};
use crate::pipeline::out::Out;
use crate::pipeline::outlet::subscription_meta;
use crate::pipeline::result::{Ready, respond};
use crate::pipeline::talk::{Talk, Turn};
use crate::upstream::{LinkError, Message, refusal};
use crate::wire::json::quote;
use crate::wire::{InboundKind, TaskVerb};

/// Longest life of a task here, whatever its upstream says: its process or session is held open
/// until it is over, and its result is kept.
const LIFE: Duration = Duration::from_secs(24 * 3_600);
/// Shortest time that a task can be asked for, so that somebody can see how it ended.
const SHORTEST: Duration = Duration::from_secs(60);

/// What outlives the work on a task: its description, and who may ask for it.
struct Record {
    line: Arc<Line>,
    principal: Principal,
    handle: String,
    task: TaskHandle,
    described: Described,
    until: Instant,
    orders: mpsc::Receiver<Order>,
    place: Place,
}

/// A task at work.
struct Keeper {
    talk: Box<Talk>,
    followed: Followed,
    park: Park,
    record: Record,
    /// The client has cancelled, and it is not known yet what came of it.
    cancelled: bool,
}

enum Step {
    Heard(Option<Result<Heard, LinkError>>),
    Order(Order),
    Over,
}

impl Talk {
    /// Gives the client a task for the answer, and keeps it as long as it lives. A call that comes
    /// back without one is answered as it is.
    pub(in crate::pipeline) async fn keep(mut self: Box<Self>, mut out: Out, turn: Turn) {
        let wanted = Wanted {
            lease: self.lease.share(),
            upstream: self.asked.upstream.clone(),
            asker: self.caller.asker(),
            takes: self.caller.takes(self.method),
            until: now() + LIFE,
        };
        let mut followed = self.line.follow_task(wanted, turn);
        let task = loop {
            let heard = tokio::select! {
                heard = followed.heard.recv() => heard,
                // The client left before it knew of a task: that cancels the call (R17).
                () = out.closed() => return,
            };
            let answer = match heard {
                None => return,
                Some(Ok(Heard::Standing(task))) => break task,
                Some(Ok(Heard::Message(message))) => match message.inbound.kind {
                    InboundKind::Notification => {
                        if !self.note(&mut out, &message).await {
                            return;
                        }
                        continue;
                    }
                    InboundKind::Request => {
                        // Before there is a task nobody can be asked for it.
                        self.refuse(&message).await;
                        continue;
                    }
                    InboundKind::Result | InboundKind::Error => Ok(message),
                },
                Some(Err(error)) => Err(error),
            };
            self.lease.report(answer.as_ref().map(drop));
            let ready = self.last(answer);
            return out.finish(ready).await;
        };
        self.lease.report(Ok(()));
        match self.record(&task) {
            Ok(record) => {
                let members = record.described.members(&record.handle, true);
                let id = &self.asked.id;
                let text = format!(
                    "{{\"jsonrpc\":\"2.0\",\"id\":{id},\"result\":{{{SERVER_INFO_META}\"resultType\":\"task\",{members}}}}}"
                );
                let ready = Ready { status: 200, bytes: text.into(), failed: false };
                out.finish(Ok(ready)).await;
                let park = Park::default();
                let keeper = Keeper { talk: self, followed, park, record, cancelled: false };
                Box::pin(keeper.work(task)).await;
            }
            Err(fault) => out.finish(Err(fault)).await,
        }
    }

    /// Makes a place for a task.
    fn record(&self, task: &Task) -> Result<Record, Fault> {
        let (sender, orders) = mpsc::channel(ORDERS);
        let place = self.line.kept.keep(&self.caller, sender).ok_or_else(|| {
            Fault::upstream(
                Retry::MayHaveRun,
                format!(
                    "Upstream `{}` made a task of the call, and too many are kept already; it was told to stop. Wait \
                     for others to end, then call again.",
                    self.asked.upstream.name
                ),
            )
        })?;
        let whose = Whose::Kept { boot: place.boot, id: place.id };
        let upstream = self.asked.upstream.name.as_str().to_owned();
        let named = TaskHandle { upstream, whose };
        let (principal, door) = (&self.caller.principal, &self.caller.door);
        let handle = self.line.seal_task(principal, door, &named)?;
        let ttl = task.ttl.unwrap_or(LIFE).clamp(SHORTEST, LIFE);
        let made = time();
        let described = Described {
            status: Status::Working,
            message: None,
            created: task.created.clone().unwrap_or_else(|| made.clone()),
            updated: task.updated.clone().unwrap_or(made),
            ttl,
            poll: Some(task.pause()),
            more: None,
        };
        let (line, principal) = (self.line.clone(), principal.clone());
        let until = now() + ttl;
        Ok(Record { line, principal, handle, task: named, described, until, orders, place })
    }

    async fn refuse(&self, question: &Message) {
        if let (Some(id), Some(method)) =
            (question.inbound.id.clone(), question.inbound.method.as_deref())
        {
            self.send(refusal(method, &question.text()[id])).await;
        }
    }
}

impl Keeper {
    async fn work(mut self, task: Task) {
        self.stand(&task);
        let stop = self.record.line.tasks.stop().clone();
        let ended = self.record.principal.ended().clone();
        while !self.record.described.status.is_over() {
            let step = tokio::select! {
                heard = self.followed.heard.recv() => Step::Heard(heard),
                Some(order) = self.record.orders.recv() => Step::Order(order),
                () = tokio::time::sleep_until(self.record.until) => Step::Over,
                () = stop.cancelled() => Step::Over,
                () = ended.cancelled() => Step::Over,
            };
            match step {
                Step::Heard(heard) => self.heard(heard).await,
                Step::Order(order) => self.serve(order).await,
                // Nobody can ask for it any more: dropping it cancels what runs.
                Step::Over => return self.give_up().await,
            }
        }
        self.refuse_all().await;
        let Self { mut record, talk, followed, park, cancelled: _ } = self;
        // Process or session are free again; the description stays.
        drop((talk, followed, park));
        record.place.over();
        loop {
            tokio::select! {
                order = record.orders.recv() => {
                    // Its place was given to a task that runs.
                    let Some(order) = order else { return };
                    let words = record.words(order.verb);
                    // A client that has gone hears nothing.
                    let _ = order.answer.send(words);
                }
                () = tokio::time::sleep_until(record.until) => return,
                () = stop.cancelled() => return,
                () = ended.cancelled() => return,
            }
        }
    }

    async fn heard(&mut self, heard: Option<Result<Heard, LinkError>>) {
        match heard {
            Some(Ok(Heard::Standing(task))) => {
                self.stand(&task);
                if std::mem::take(&mut self.cancelled) {
                    self.refuse_all().await;
                }
            }
            Some(Ok(Heard::Message(message))) => match message.inbound.kind {
                InboundKind::Request => self.asked(&message).await,
                InboundKind::Notification => {
                    let withdrawn = message.param("requestId").map(|id| self.park.withdraw(id));
                    if withdrawn == Some(true) {
                        self.ask();
                    }
                }
                InboundKind::Result | InboundKind::Error => self.end(Ok(&message)),
            },
            Some(Err(error)) => self.end(Err(error.into())),
            None => self.end(Err(Fault::internal("the follower of a task has ended"))),
        }
    }

    /// Takes over where the upstream says that the task stands. What is over counts only with its
    /// result, but for what was cancelled, which has none.
    fn stand(&mut self, task: &Task) {
        let said = task.message.as_deref().map(|said| self.talk.armed.redact(said).into_owned());
        let described = &mut self.record.described;
        let before = described.clone();
        if task.status == Status::Cancelled {
            described.status = Status::Cancelled;
            described.more = None;
        }
        described.poll = Some(task.pause());
        described.message = said;
        if *described != before {
            described.updated = task.updated.clone().unwrap_or_else(time);
            self.record.tell();
        }
    }

    /// The upstream asks something for its task.
    async fn asked(&mut self, message: &Message) {
        if self.talk.wait_or_refuse(&mut self.park, message).await {
            self.ask();
        }
    }

    /// Describes the task by what it asks now.
    fn ask(&mut self) {
        let described = &mut self.record.described;
        let asks = self.park.asks();
        described.status = if asks { Status::InputRequired } else { Status::Working };
        described.more = asks.then(|| format!("\"inputRequests\":{}", self.park.requests()));
        described.updated = time();
        self.record.tell();
    }

    /// A request of the client.
    async fn serve(&mut self, order: Order) {
        match order.verb {
            TaskVerb::Update => {
                // Answers to nothing that is open are ignored (R36).
                if let Ok(read) = Responses::read(&order.responses) {
                    for answer in self.park.deliver(&order.responses, &read) {
                        self.talk.send(answer).await;
                    }
                    self.ask();
                }
            }
            TaskVerb::Cancel => {
                let described = &mut self.record.described;
                (described.status, described.more) = (Status::Working, None);
                described.updated = time();
                self.record.tell();
                // What it asks is refused when it has been told: it would take a refusal that comes
                // first for an answer, and go on.
                self.cancelled = true;
                // One wish is enough: a second one while it waits says nothing new.
                let _ = self.followed.cancel.try_send(());
            }
            TaskVerb::Get | TaskVerb::Result => {}
        }
        let words = self.record.words(order.verb);
        // A client that has gone hears nothing.
        let _ = order.answer.send(words);
    }

    /// The task has ended, with this response of the upstream or without one.
    fn end(&mut self, response: Result<&Message, Fault>) {
        self.talk.lease.report(Ok(()));
        let ready = response.and_then(|message| respond(&self.talk.asked, message));
        let (status, more) = match ready.as_ref().map(|ready| super::message_at(&ready.bytes)) {
            Ok(Some(message)) => {
                let payload = message.inbound.payload.clone().unwrap_or(0..0);
                let text = &message.text()[payload];
                match message.inbound.kind {
                    InboundKind::Error => (Status::Failed, format!("\"error\":{text}")),
                    _ => (Status::Completed, format!("\"result\":{text}")),
                }
            }
            Ok(None) => (Status::Completed, failure("The end of the task could not be read.")),
            Err(fault) => (Status::Completed, failure(&fault.public)),
        };
        let described = &mut self.record.described;
        described.status = status;
        described.more = Some(more);
        described.updated = time();
        self.record.tell();
    }

    async fn refuse_all(&mut self) {
        for waiting in self.park.give_up() {
            self.talk.send(refusal(waiting.method, &waiting.id)).await;
        }
    }

    async fn give_up(mut self) {
        self.refuse_all().await;
    }
}

impl Record {
    /// The members of an answer.
    fn words(&self, verb: TaskVerb) -> String {
        match verb {
            TaskVerb::Get => self.described.members(&self.handle, false),
            // Only that it has arrived.
            TaskVerb::Update | TaskVerb::Cancel | TaskVerb::Result => String::new(),
        }
    }

    /// Tells those who listen for it.
    fn tell(&self) {
        let Some(tenant) = self.line.find_tenant(&self.principal.tenant().id()) else { return };
        tenant.outlets().task_news(&self.task, |_, handle, listen| {
            let members = self.described.members(handle, false);
            Some(format!("{{{members},{}}}", subscription_meta(listen)))
        });
    }
}

/// A call that failed on its way has a result that says so: the model can read it and go on.
fn failure(sentence: &str) -> String {
    format!(
        "\"result\":{{\"resultType\":\"complete\",\"content\":[{{\"type\":\"text\",\"text\":{}}}],\
         \"isError\":true}}",
        quote(sentence)
    )
}

fn time() -> String {
    rfc3339(unix_seconds())
}
