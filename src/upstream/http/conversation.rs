//! One request and the stream of messages that answers it.

use std::fmt;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout, timeout_at};

use super::answer::{Answer, ERROR_LIMIT, collect, judge, own};
use super::connection::{Arriving, Response};
use super::core::Core;
use super::desk::{Noted, Pause};
use super::events::Events;
use crate::base::now;
use crate::upstream::link::{Cause, Exchange, LinkError, Message, Pending, Ran};
use crate::wire::InboundKind;

/// Longest wait for the end of a stream whose answer has come.
const DRAIN: Duration = Duration::from_secs(2);
/// Wait before a resumption when the upstream names none.
const RESUME: Duration = Duration::from_secs(1);
const RESUME_MIN: Duration = Duration::from_millis(100);
const RESUME_MAX: Duration = Duration::from_secs(30);
/// Resumptions that may fail one after another.
const RESUME_FAILURES: u32 = 5;

/// The two deadlines of a request: silence, which each message starts anew, and the whole. While
/// a question of it is open its silence does not count.
#[derive(Debug, Clone, Copy)]
pub(super) struct Patience {
    silence: Duration,
    silent_until: Instant,
    hard: Instant,
    /// Its number at the desk, when it may be asked.
    seat: Option<u64>,
}

impl Patience {
    pub(super) fn new(silence: Duration, whole: Duration, seat: Option<u64>) -> Self {
        let start = now();
        Self { silence, silent_until: start + silence, hard: start + whole, seat }
    }

    /// The time at which it is over, for a request that cannot be asked: nothing puts that off.
    pub(super) fn fixed(&self) -> Option<Instant> {
        self.seat.is_none().then(|| self.until())
    }

    /// Waits for `work` as long as the request may take; `None` when that is over.
    pub(super) async fn wait<T>(
        &self,
        core: &Core,
        work: Pin<&mut (impl Future<Output = T> + Send)>,
    ) -> Option<T> {
        match self.seat {
            None => timeout_at(self.until(), work).await.ok(),
            Some(seat) => Box::pin(self.wait_seated(core, seat, work)).await,
        }
    }

    async fn wait_seated<T>(
        &self,
        core: &Core,
        seat: u64,
        mut work: Pin<&mut (impl Future<Output = T> + Send)>,
    ) -> Option<T> {
        loop {
            // A change counts from here on, so that none falls between the look and the wait.
            let change = core.desk.change();
            let until = match core.desk.pause(seat) {
                Pause::Now => self.hard,
                Pause::Until(end) => self.silent_until.max(end + self.silence).min(self.hard),
                Pause::Never => self.until(),
            };
            tokio::select! {
                biased;
                output = &mut work => return Some(output),
                () = tokio::time::sleep_until(until) => return None,
                () = change => {}
            }
        }
    }

    fn heard(&mut self) {
        self.silent_until = now() + self.silence;
    }

    pub(super) fn until(&self) -> Instant {
        self.silent_until.min(self.hard)
    }

    pub(super) fn timeout(&self, core: &Core) -> LinkError {
        let what = if now() >= self.hard { "the longest time" } else { "silence" };
        core.road.error(Cause::Timeout, Ran::Maybe, &format!("deadline reached: {what}"))
    }
}

/// Cancels a request at a legacy upstream unless it is told that the request is over.
pub(super) struct Cancel {
    core: Option<Arc<Core>>,
    id: u64,
    /// Its number at the desk, and how long the upstream may go on working on it.
    seat: Option<(u64, Duration)>,
}

impl Cancel {
    pub(super) fn new(core: &Arc<Core>, id: u64, seat: Option<(u64, Duration)>) -> Self {
        Self { core: core.is_legacy().then(|| Arc::clone(core)), id, seat }
    }

    pub(super) fn disarm(&mut self) {
        self.core = None;
    }

    fn fire(&mut self) {
        if let Some(core) = self.core.take() {
            let refusals = self.seat.map(|(seat, rest)| core.desk.leave(seat, Some(rest)));
            core.cancel(self.id, refusals.unwrap_or_default());
        }
    }
}

impl Drop for Cancel {
    fn drop(&mut self) {
        self.fire();
    }
}

/// The messages of one request that come as events.
pub(super) struct Conversation {
    core: Arc<Core>,
    id: u64,
    /// The number of the session that it belongs to.
    session: u32,
    events: Option<Events>,
    patience: Patience,
    cancel: Cancel,
    /// From where a legacy stream is resumed, and after how long.
    last_id: Option<String>,
    retry: Option<u64>,
    failures: u32,
    over: bool,
}

impl Conversation {
    pub(super) fn new(
        core: &Arc<Core>,
        (id, session): (u64, u32),
        body: Arriving,
        patience: Patience,
        cancel: Cancel,
    ) -> Self {
        Self {
            core: Arc::clone(core),
            id,
            session,
            events: Some(Events::new(body)),
            patience,
            cancel,
            last_id: None,
            retry: None,
            failures: 0,
            over: false,
        }
    }

    /// The next notification of this request, or its response.
    pub(super) async fn next(&mut self) -> Result<Message, LinkError> {
        if self.over {
            return Err(self.core.road.error(Cause::Gone, Ran::Maybe, "the exchange is over"));
        }
        let stop = self.core.stop.clone();
        let (core, patience) = (Arc::clone(&self.core), self.patience);
        let step = {
            let work = pin!(self.step());
            tokio::select! {
                step = patience.wait(&core, work) => Some(step),
                () = stop.cancelled() => None,
            }
        };
        let result = match step {
            Some(Some(result)) => result,
            Some(None) => Err(self.patience.timeout(&self.core)),
            None => Err(self.core.road.error(Cause::Closing, Ran::Maybe, "the link was closed")),
        };
        match &result {
            Ok(message) => {
                self.patience.heard();
                if matches!(message.inbound.kind, InboundKind::Result | InboundKind::Error) {
                    self.cancel.disarm();
                    self.finish();
                }
            }
            Err(_) => {
                self.over = true;
                self.events = None;
                self.cancel.fire();
            }
        }
        result
    }

    async fn step(&mut self) -> Result<Message, LinkError> {
        loop {
            let Some(events) = &mut self.events else {
                self.resume().await?;
                continue;
            };
            let cut = match events.next().await {
                Ok(Some(message)) => {
                    self.failures = 0;
                    match self.sort(message)? {
                        Some(message) => return Ok(message),
                        None => continue,
                    }
                }
                Ok(None) => "the stream ended before the answer".to_owned(),
                Err(broken) if broken.cause == Cause::Gone => broken.detail,
                Err(broken) => {
                    return Err(self.core.road.error(broken.cause, Ran::Maybe, &broken.detail));
                }
            };
            if let Some(id) = events.last_id() {
                self.last_id = Some(id.to_owned());
            }
            self.retry = events.retry().or(self.retry);
            self.events = None;
            // A modern request whose stream broke is lost (R75); a legacy stream that has given
            // an id may be polled (2025-11-25).
            if !self.core.is_legacy() || self.last_id.is_none() {
                return Err(self.core.road.error(Cause::Gone, Ran::Maybe, &cut));
            }
        }
    }

    /// Finds out whether a message belongs to this request; others are seen to here.
    fn sort(&self, message: Message) -> Result<Option<Message>, LinkError> {
        match message.inbound.kind {
            InboundKind::Request => {
                return Ok(self.core.question_on(message, self.patience.seat));
            }
            InboundKind::Notification => match message.inbound.method.as_deref() {
                Some("notifications/progress") => {
                    let token = message.inbound.progress_token(message.text());
                    return Ok(token.is_some_and(|(token, _)| token == self.id).then_some(message));
                }
                // That of a question: it is withdrawn.
                Some("notifications/cancelled") => {
                    let noted = self.core.desk.note(&message, self.patience.seat);
                    return Ok((noted == Noted::Own).then_some(message));
                }
                Some(
                    "notifications/tools/list_changed"
                    | "notifications/prompts/list_changed"
                    | "notifications/resources/list_changed"
                    | "notifications/resources/updated",
                ) => self.core.announce(message),
                // Most often it is this call that was asked to open the page.
                Some("notifications/elicitation/complete") => {
                    let noted = self.core.desk.note(&message, self.patience.seat);
                    return Ok((noted != Noted::Others).then_some(message));
                }
                _ => return Ok(Some(message)),
            },
            InboundKind::Result | InboundKind::Error => match own(message, self.id) {
                Ok(message) => return Ok(Some(message)),
                Err(detail) => {
                    let detail = self.core.road.clean(&detail);
                    tracing::debug!(upstream = %self.core.road.upstream, detail, "event dropped");
                }
            },
        }
        Ok(None)
    }

    /// Asks for the rest of a stream that was cut. What is refused once is refused for ever; and
    /// in a new session nobody knows the events of the lost one.
    async fn resume(&mut self) -> Result<(), LinkError> {
        let wait = self.retry.map_or(RESUME, Duration::from_millis).clamp(RESUME_MIN, RESUME_MAX);
        sleep(wait).await;
        let session = self.core.session();
        if session.number != self.session {
            return Err(self.core.road.error(Cause::Gone, Ran::Maybe, "its session was lost"));
        }
        let got = self.core.road.get(session.headers(), self.last_id.as_deref()).await;
        let detail = match got {
            Ok(response) => match open_stream(response).await {
                Ok(events) => {
                    self.events = Some(events);
                    return Ok(());
                }
                Err((status, detail)) => {
                    if matches!(status, 400..=499) && !matches!(status, 408 | 425 | 429) {
                        self.failures = RESUME_FAILURES;
                    }
                    detail
                }
            },
            Err(error) => error.detail,
        };
        self.failures += 1;
        if self.failures >= RESUME_FAILURES {
            let detail = format!("the stream was cut and cannot be resumed: {detail}");
            return Err(self.core.road.error(Cause::Gone, Ran::Maybe, &detail));
        }
        Ok(())
    }

    /// The answer has come: what follows does not matter, but a connection that is read to its
    /// end can be used again.
    fn finish(&mut self) {
        self.over = true;
        let Some(events) = self.events.take() else { return };
        if !events.is_over() {
            self.core.tasks.spawn("upstream-drain", async move {
                let _ = timeout(DRAIN, collect(events.into_body(), ERROR_LIMIT)).await;
            });
        }
    }
}

/// The stream that a GET gives; or the status (when there is one) and what is wrong.
pub(super) async fn open_stream(response: Response) -> Result<Events, (u16, String)> {
    let status = response.status().as_u16();
    match judge(response, 0, false).await {
        Answer::Stream(body) => Ok(Events::new(body)),
        Answer::Refused(refusal) => Err((status, refusal.detail)),
        _ => Err((status, format!("HTTP {status} without an event stream"))),
    }
}

impl fmt::Debug for Conversation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Conversation").field("id", &self.id).finish_non_exhaustive()
    }
}

/// A conversation whose first message was read to find out what it is.
#[derive(Debug)]
pub(super) struct HttpExchange {
    pub(super) first: Option<Message>,
    pub(super) rest: Conversation,
}

impl Exchange for HttpExchange {
    fn next(&mut self) -> Pending<'_, Result<Message, LinkError>> {
        Box::pin(async move {
            match self.first.take() {
                Some(message) => Ok(message),
                None => self.rest.next().await,
            }
        })
    }
}
