//! A link over streamable HTTP.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::watch;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_util::sync::DropGuard;

use super::answer::{Answer, judge};
use super::attended::attend;
use super::client::{HttpClient, SendError};
use super::conversation::{Cancel, Conversation, HttpExchange, Patience};
use super::core::{Core, Session};
use super::ladder::{Found, climb};
use super::listen::Progress;
use super::target::{HttpTarget, Road};
use super::{listen, sse};
use crate::base::{Tasks, now};
use crate::upstream::link::{
    Cause, Event, Facts, Interest, LISTENING, Link, LinkError, Message, Outgoing, Pending, Ran,
    Reply, Sink,
};
use crate::wire::InboundKind;

/// Longest wait for the delivery of a notification.
const NOTIFY: Duration = Duration::from_secs(30);
/// Longest wait for the end of a session.
const CLOSE: Duration = Duration::from_secs(2);

/// Makes a link: finds out the era (unless the target fixes it) and shakes hands, within the
/// target's `start`. Events of the link go to `sink`; what it does in the background runs in
/// `tasks`. Dropping the link ends its background work; `close` also ends its session.
///
/// # Errors
/// When the upstream cannot be reached, wants other credentials, or speaks neither era. Nothing
/// has been executed then.
pub async fn open(
    target: HttpTarget,
    client: HttpClient,
    sink: Sink,
    tasks: Tasks,
) -> Result<Arc<dyn Link>, LinkError> {
    let road = Road::new(&target, &client);
    let slow = road.error(Cause::Timeout, Ran::No, "the handshake took too long");
    let deadline = now() + target.start;
    let found = timeout_at(deadline, Box::pin(climb(&road, &target))).await;
    let greeting = match found.map_err(|_| slow.clone())?? {
        Found::Streamable(greeting) => greeting,
        Found::Perhaps(refused) => {
            let older = Box::pin(sse::open(road, &target, sink, tasks));
            return timeout_at(deadline, older).await.map_err(|_| slow)?.map_err(|error| {
                let detail = format!("{}; {}", refused.detail, error.detail);
                LinkError { detail, ..refused }
            });
        }
    };
    let core = Arc::new(Core::new(&target, road, greeting, sink, tasks));
    Ok(Arc::new(HttpLink {
        _stop: core.stop.clone().drop_guard(),
        wanted: watch::channel(Interest::default()).0,
        progress: Arc::new(Progress {
            tried: watch::channel(None).0,
            late: AtomicBool::new(false),
        }),
        listening: AtomicBool::new(false),
        core,
    }))
}

#[derive(Debug)]
struct HttpLink {
    core: Arc<Core>,
    wanted: watch::Sender<Interest>,
    progress: Arc<Progress>,
    listening: AtomicBool,
    _stop: DropGuard,
}

/// How one attempt ended without an answer.
enum Failed {
    /// There was no more time.
    Late,
    Unsent(SendError),
    Broken(SendError),
    Refused(super::answer::Refusal),
}

impl Core {
    /// Sends a request; `seat` is its number at the desk, when it may be asked.
    pub(super) async fn ask(
        self: &Arc<Self>,
        outgoing: Outgoing,
        seat: Option<u64>,
    ) -> Result<Reply, LinkError> {
        let core = self;
        let patience = Patience::new(outgoing.timeout, outgoing.max_time, seat);
        let (mut renewed, mut repeated) = (false, false);
        loop {
            if !core.is_open() {
                return Err(core.road.error(Cause::Closing, Ran::No, "the link has ended"));
            }
            // Each attempt is a new request with its own number.
            let id = core.next_id();
            let session = core.session();
            let seat = seat.map(|seat| (seat, outgoing.max_time));
            let mut cancel = Cancel::new(core, id, seat);
            let attempt = self.attempt(&session, &outgoing, id, patience.fixed());
            let answer = match seat {
                None => attempt.await,
                Some(_) => {
                    let attempt = pin!(attempt);
                    patience.wait(core, attempt).await.unwrap_or(Err(Failed::Late))
                }
            };
            match answer {
                Ok(Answer::Message(message)) => {
                    cancel.disarm();
                    if core.is_legacy() && is_modern_error(&message) {
                        return Err(core.contradicted("it has become a modern server"));
                    }
                    return Ok(Reply::Message(message));
                }
                Ok(Answer::Json { length, body }) => {
                    cancel.disarm();
                    return Ok(Reply::Json { id, length, body });
                }
                Ok(Answer::Stream(body)) => {
                    let mut rest =
                        Conversation::new(core, (id, session.number), body, patience, cancel);
                    // Boxed: an answer without a stream does not carry the reading of one with it.
                    let first = Box::pin(rest.next()).await?;
                    let complete =
                        matches!(first.inbound.kind, InboundKind::Result | InboundKind::Error);
                    return Ok(if complete {
                        Reply::Message(first)
                    } else {
                        Reply::Exchange(Box::new(HttpExchange { first: Some(first), rest }))
                    });
                }
                Ok(Answer::Accepted | Answer::Refused(_)) => {
                    return Err(core.road.error(
                        Cause::Garbage,
                        Ran::Maybe,
                        "a request was accepted without an answer",
                    ));
                }
                Err(Failed::Late) => return Err(patience.timeout(core)),
                Err(Failed::Unsent(error)) => {
                    cancel.disarm();
                    return Err(core.road.unanswered(&error));
                }
                Err(Failed::Broken(_)) if outgoing.method.repeatable && !repeated => {
                    // Most often a kept connection that the upstream was just closing.
                    cancel.disarm();
                    repeated = true;
                }
                Err(Failed::Broken(error)) => return Err(core.road.unanswered(&error)),
                Err(Failed::Refused(refusal)) => {
                    cancel.disarm();
                    let code = refusal.status.as_u16();
                    let doubtful = refusal.about_session && matches!(code, 400 | 404);
                    if core.is_legacy() && session.has_id() && doubtful && !renewed {
                        // It was refused for its session, so it did not run.
                        renewed = true;
                        let renewal = core.renew(session.number);
                        match timeout_at(patience.until(), Box::pin(renewal)).await {
                            Ok(done) => done?,
                            Err(_) => return Err(patience.timeout(core)),
                        }
                    } else if !core.is_legacy() && matches!(code, 400 | 404 | 405) {
                        // A modern upstream says why it refuses: this one no longer is modern.
                        return Err(core.contradicted(&refusal.detail));
                    } else {
                        return Err(core.road.error(refusal.cause, refusal.ran, &refusal.detail));
                    }
                }
            }
        }
    }

    async fn attempt(
        &self,
        session: &Session,
        outgoing: &Outgoing,
        id: u64,
        until: Option<Instant>,
    ) -> Result<Answer, Failed> {
        let head = self.head(session, outgoing, id);
        let sent = self.road.post_draft(head, (&outgoing.draft, id), until).await;
        let response = sent.map_err(|error| match error {
            error if error.late => Failed::Late,
            error if error.unsent => Failed::Unsent(error),
            error => Failed::Broken(error),
        })?;
        let mut answer = judge(response, id, false).await;
        match &mut answer {
            Answer::Json { body, .. } | Answer::Stream(body) => body.take_your_time(),
            // What did not come in time is no answer at all.
            Answer::Refused(_) if until.is_some_and(|until| now() >= until) => {
                return Err(Failed::Late);
            }
            _ => {}
        }
        match answer {
            Answer::Refused(refusal) => Err(Failed::Refused(refusal)),
            answer => Ok(answer),
        }
    }
}

/// An error that only a server of 2026-07-28 gives, for a request that it did not execute.
fn is_modern_error(message: &Message) -> bool {
    message.inbound.kind == InboundKind::Error
        && message.inbound.payload.clone().is_some_and(|error| {
            serde_json::from_str::<serde_json::Value>(&message.text()[error])
                .is_ok_and(|error| matches!(error["code"].as_i64(), Some(-32022..=-32020)))
        })
}

impl Link for HttpLink {
    fn facts(&self) -> &Facts {
        &self.core.facts
    }

    fn request(&self, outgoing: Outgoing) -> Pending<'_, Result<Reply, LinkError>> {
        if self.core.desk.is_open() && outgoing.asker.is_some() {
            return Box::pin(attend(&self.core, outgoing));
        }
        Box::pin(self.core.ask(outgoing, None))
    }

    fn send(&self, message: Bytes) -> Pending<'_, Result<(), LinkError>> {
        Box::pin(async move {
            if !self.core.answers(&message) {
                tracing::debug!(upstream = %self.core.road.upstream, "an answer to a question that is not open");
                return Ok(());
            }
            timeout(NOTIFY, self.core.deliver(message)).await.unwrap_or_else(|_| {
                let detail = "a notification was not taken in time";
                Err(self.core.road.error(Cause::Timeout, Ran::Maybe, detail))
            })
        })
    }

    fn listen(&self, interest: Interest) {
        if !self.core.is_open() {
            return;
        }
        let wanted = interest != Interest::default();
        self.wanted.send_if_modified(|now| {
            let changed = *now != interest;
            *now = interest;
            changed
        });
        if wanted && !self.listening.swap(true, Ordering::Relaxed) {
            let (core, progress) = (Arc::clone(&self.core), Arc::clone(&self.progress));
            let listener = listen::run(core, self.wanted.subscribe(), progress);
            self.core.tasks.spawn("upstream-listen", listener);
        }
    }

    fn listening(&self) -> Pending<'_, ()> {
        Box::pin(async move {
            // Others may want more meanwhile, for which nobody waits here.
            let own = self.wanted.borrow().clone();
            if own == Interest::default() {
                return;
            }
            let progress = &self.progress;
            let covers =
                |tried: &Option<Interest>| tried.as_ref().is_some_and(|tried| tried.covers(&own));
            let mut tried = progress.tried.subscribe();
            let late = tokio::select! {
                done = timeout(LISTENING, tried.wait_for(covers)) => done.is_err(),
                () = self.core.stop.cancelled() => false,
            };
            if late {
                // Nobody waits longer; what is missed until the stream is open is made up for.
                progress.late.store(true, Ordering::SeqCst);
                let open = covers(&progress.tried.borrow());
                if open && progress.late.swap(false, Ordering::SeqCst) {
                    self.core.tell(Event::Missed);
                }
            }
        })
    }

    fn is_open(&self) -> bool {
        self.core.is_open()
    }

    fn close(&self) -> Pending<'_, ()> {
        Box::pin(async move {
            let session = self.core.session();
            if self.core.end() && session.has_id() {
                let ended = timeout(CLOSE, self.core.road.delete(session.headers())).await;
                if !matches!(ended, Ok(Ok(_))) {
                    tracing::debug!(upstream = %self.core.road.upstream, "session was not ended");
                }
            }
        })
    }
}
