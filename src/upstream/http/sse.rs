//! A link over HTTP+SSE of 2024-11-05: requests are posted, everything comes back on one stream.
//! Which answer belongs to which request is told as on a pipe, by its number; so what a pipe's
//! two ends share is used here as well.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Uri};
use tokio::sync::{Semaphore, mpsc};
use tokio::time::timeout;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::answer::{Answer, ERROR_LIMIT, collect, judge};
use super::conversation::open_stream;
use super::events::Events;
use super::target::{HttpTarget, Road};
use crate::base::Tasks;
use crate::upstream::handshake::{initialize, initialized, judge_initialize};
use crate::upstream::link::{
    Cause, Facts, Interest, Link, LinkError, Outgoing, Pending, Ran, Reply, Sink,
};
use crate::upstream::stdio::{Arrival, Call, End, Item, PipeExchange, Shared, Ways};
use crate::wire::{CapSet, Era};

/// Requests and notifications that may wait for their post, and messages of our own.
const QUEUE: usize = 64;
const CONTROL: usize = 1_024;
/// Posts of requests at a time.
const AT_ONCE: u32 = 64;
/// A server that only accepts a post when it has done what is asked is not waited for longer,
/// before something that must come after it is posted.
const ORDER: Duration = Duration::from_secs(1);
/// The first event comes at once, or the stream is none of this transport.
const FIRST: Duration = Duration::from_secs(10);
/// Longest post of something that gets no answer.
const POST: Duration = Duration::from_secs(30);

/// Opens the stream, learns where to post, and shakes hands. The caller sets the deadline.
///
/// # Errors
/// When there is no such stream, or the handshake fails. Nothing was executed then.
pub(super) async fn open(
    road: Road,
    target: &HttpTarget,
    sink: Sink,
    tasks: Tasks,
) -> Result<Arc<dyn Link>, LinkError> {
    let refused = |detail: &str| road.error(Cause::Garbage, Ran::No, detail);
    let response = road.get(road.bare_headers(), None).await;
    let response =
        response.map_err(|error| LinkError { ran: Ran::No, ..road.unanswered(&error) })?;
    let mut events = open_stream(response)
        .await
        .map_err(|(_, detail)| refused(&format!("as HTTP+SSE, GET got {detail}")))?;
    let silent = |_| refused("its stream does not begin with an `endpoint` event in time");
    let endpoint = match timeout(FIRST, events.event()).await.map_err(silent)? {
        Ok(Some(event)) if event.event.as_deref() == Some("endpoint") => {
            let reference = String::from_utf8_lossy(&event.data).into_owned();
            road.resolve(reference.trim()).ok_or_else(|| {
                refused("its `endpoint` event names no place of the same scheme, host and port")
            })?
        }
        Ok(_) => return Err(refused("its stream does not begin with an `endpoint` event")),
        Err(broken) => return Err(refused(&broken.detail)),
    };
    let (queue, queued) = mpsc::channel(QUEUE);
    let (control, controlled) = mpsc::channel(CONTROL);
    let shared = Arc::new(Shared::new(
        target.upstream.clone(),
        Arc::clone(&target.redact),
        (target.capabilities, target.cancels),
        Ways { queue, control, direct: None },
        sink,
        tasks.clone(),
    ));
    // Also ends both tasks when the handshake fails.
    let guard = shared.stop.clone().drop_guard();
    tasks.spawn("sse reader", read(events, Arc::clone(&shared)));
    let poster = Arc::new(Poster {
        headers: road.bare_headers(),
        road,
        endpoint,
        shared: Arc::clone(&shared),
        places: Arc::new(Semaphore::new(AT_ONCE as usize)),
    });
    tasks.spawn("sse writer", Arc::clone(&poster).run(queued, controlled));
    let start = target.start;
    let not_started = |error: LinkError| LinkError { ran: Ran::No, ..error };
    let hello =
        shared.begin(&initialize(target.capabilities), (None, CapSet::NONE), start, start).await;
    let mut ticket = hello.map_err(not_started)?;
    let answer = loop {
        if let Arrival::End(message) = ticket.next().await.map_err(not_started)? {
            break message;
        }
    };
    let facts = judge_initialize(&answer)
        .map_err(|reason| poster.road.error(Cause::Garbage, Ran::No, &reason))?;
    // From here on its events are passed on.
    let _ = shared.era.set(Era::Legacy);
    shared.send(initialized(), start).await.map_err(not_started)?;
    tracing::info!(upstream = %shared.upstream, revision = facts.revision.as_str(), "speaks HTTP+SSE");
    Ok(Arc::new(SseLink { shared, facts, _guard: guard }))
}

/// Reads the stream to its end, which is the end of the link.
async fn read(mut events: Events, shared: Arc<Shared>) {
    let end = loop {
        let next = tokio::select! {
            next = events.next() => next,
            () = shared.stop.cancelled() => {
                let cause = if shared.closing.load(Ordering::Relaxed) { Cause::Closing } else { Cause::Gone };
                break End { cause, detail: "the link was ended".to_owned() };
            }
        };
        match next {
            Ok(Some(message)) => shared.message(message),
            Ok(None) => {
                break End { cause: Cause::Gone, detail: "its stream has ended".to_owned() };
            }
            Err(broken) if broken.cause == Cause::Garbage => {
                tracing::warn!(upstream = %shared.upstream, "an event is no message: {}", (shared.redact)(&broken.detail));
            }
            Err(broken) => {
                break End { cause: broken.cause, detail: (shared.redact)(&broken.detail) };
            }
        }
    };
    shared.finish(&end);
    shared.stop.cancel();
}

/// Posts what the link has to say.
struct Poster {
    road: Road,
    endpoint: Uri,
    headers: HeaderMap,
    shared: Arc<Shared>,
    /// One for each post of a request that is under way.
    places: Arc<Semaphore>,
}

impl Poster {
    async fn run(
        self: Arc<Self>,
        mut queue: mpsc::Receiver<Item>,
        mut control: mpsc::Receiver<Bytes>,
    ) {
        let stop: CancellationToken = self.shared.stop.clone();
        loop {
            let item = tokio::select! {
                biased;
                () = stop.cancelled() => return,
                Some(message) = control.recv() => Item::Note(message),
                item = queue.recv() => match item {
                    Some(item) => item,
                    None => return,
                },
            };
            tokio::select! {
                () = self.one(item) => {}
                () = stop.cancelled() => return,
            }
        }
    }

    async fn one(self: &Arc<Self>, item: Item) {
        match item {
            Item::Note(message) => {
                // A cancellation must not overtake what it cancels.
                drop(timeout(ORDER, self.places.acquire_many(AT_ONCE)).await);
                if !matches!(timeout(POST, self.post(message)).await, Ok(Ok(()))) {
                    tracing::debug!(upstream = %self.shared.upstream, "a message was not delivered");
                }
            }
            Item::Call(call, message) => {
                let Ok(place) = Arc::clone(&self.places).acquire_owned().await else { return };
                if !call.take() {
                    return;
                }
                let this = Arc::clone(self);
                let stop = self.shared.stop.clone();
                self.shared.tasks.spawn("sse post", async move {
                    tokio::select! {
                        posted = this.post(message) => {
                            if let Err((end, ran)) = posted {
                                this.failed(&call, end, ran);
                            }
                        }
                        () = stop.cancelled() => {}
                    }
                    drop(place);
                });
            }
        }
    }

    fn failed(&self, call: &Arc<Call>, end: End, ran: Ran) {
        if ran == Ran::No {
            call.give_back();
        }
        if self.shared.give_up(call, None, None) {
            call.end(Err(end));
        }
    }

    /// Posts one message. A session that is gone ends the link, so that the next request gets a
    /// new one.
    async fn post(&self, message: Bytes) -> Result<(), (End, Ran)> {
        let head = self.road.post_head_to(&self.endpoint, &self.headers);
        let response = self.road.post(head, message).await.map_err(|error| {
            let error = self.road.unanswered(&error);
            (End { cause: error.cause, detail: error.detail }, error.ran)
        })?;
        let status = response.status();
        if status.is_success() {
            // Read to its end, so that the connection can be used again.
            let _ = collect(response.body, ERROR_LIMIT).await;
            return Ok(());
        }
        let (cause, ran, detail) = match judge(response, 0, false).await {
            Answer::Refused(refusal) => (refusal.cause, refusal.ran, refusal.detail),
            _ => (Cause::Garbage, Ran::No, format!("a post got HTTP {}", status.as_u16())),
        };
        let detail = self.road.clean(&detail);
        if matches!(status.as_u16(), 404 | 410) {
            self.shared.finish(&End { cause: Cause::Gone, detail: detail.clone() });
            self.shared.stop.cancel();
            return Err((End { cause: Cause::Gone, detail }, Ran::No));
        }
        Err((End { cause, detail }, ran))
    }
}

/// A link over HTTP+SSE. Dropping it closes its stream, and with it its session.
#[derive(Debug)]
struct SseLink {
    shared: Arc<Shared>,
    facts: Facts,
    _guard: DropGuard,
}

impl Link for SseLink {
    fn facts(&self) -> &Facts {
        &self.facts
    }

    fn request(&self, outgoing: Outgoing) -> Pending<'_, Result<Reply, LinkError>> {
        Box::pin(async move {
            let Outgoing { draft, timeout, max_time, asker, takes, .. } = outgoing;
            let mut ticket = self.shared.begin(&draft, (asker, takes), timeout, max_time).await?;
            match ticket.next().await? {
                Arrival::End(response) => Ok(Reply::Message(response)),
                Arrival::Note(first) => {
                    Ok(Reply::Exchange(Box::new(PipeExchange::new(first, ticket))))
                }
            }
        })
    }

    fn send(&self, message: Bytes) -> Pending<'_, Result<(), LinkError>> {
        Box::pin(self.shared.send(message, POST))
    }

    fn listen(&self, interest: Interest) {
        self.shared.listen(interest);
    }

    fn is_open(&self) -> bool {
        self.shared.is_open()
    }

    fn close(&self) -> Pending<'_, ()> {
        self.shared.closing.store(true, Ordering::Relaxed);
        self.shared.stop.cancel();
        Box::pin(std::future::ready(()))
    }
}
