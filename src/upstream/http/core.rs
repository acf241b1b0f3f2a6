//! What a link, its running requests and its listener share: the way, the session, the end.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue};
use serde_json::Value;
use tokio::sync::{Mutex, Notify, Semaphore};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::answer::{Answer, ERROR_LIMIT, collect};
use super::desk::{Desk, Noted};
use super::head::{LONG, RequestHead};
use super::ladder::{FIRST_ID, Greeting, greet};
use super::target::{HttpTarget, Road};
use crate::base::Tasks;
use crate::upstream::link::{Cause, Event, Facts, LinkError, Message, Outgoing, Ran, Sink};
use crate::upstream::question::{Question, refusal};
use crate::wire::header::{METHOD, NAME};
use crate::wire::{CapSet, Era, Inbound, InboundKind};

/// Longest wait for an errand (a cancellation, the refusal of a question).
const ERRAND: Duration = Duration::from_secs(10);
/// Most errands of one link at a time; a link that has more to do drops them.
const ERRANDS: usize = 32;

/// What one legacy session (or, for a modern upstream, no session) puts on every request.
pub(super) struct Session {
    headers: HeaderMap,
    /// The same, written once for all requests.
    post: RequestHead,
    id: Option<HeaderValue>,
    /// Counts the sessions of this link.
    pub(super) number: u32,
}

impl Session {
    pub(super) fn new(road: &Road, greeting: &Greeting, number: u32) -> Self {
        let headers = road.headers(greeting.facts.revision, greeting.session.as_ref());
        Self { post: road.post_head(&headers), headers, id: greeting.session.clone(), number }
    }

    pub(super) fn headers(&self) -> HeaderMap {
        self.headers.clone()
    }

    /// The head of a POST, to be added to.
    pub(super) fn post(&self) -> RequestHead {
        self.post.before(0)
    }

    pub(super) fn has_id(&self) -> bool {
        self.id.is_some()
    }
}

pub(super) struct Core {
    pub(super) road: Road,
    pub(super) facts: Facts,
    pub(super) capabilities: CapSet,
    pub(super) desk: Desk,
    pub(super) tasks: Tasks,
    /// Cancelled when the link has ended.
    pub(super) stop: CancellationToken,
    /// Told when a new session has taken the place of a lost one.
    pub(super) renewed: Notify,
    start: Duration,
    session: ArcSwap<Session>,
    renewing: Mutex<()>,
    ids: AtomicU64,
    ended: AtomicBool,
    sink: Sink,
    errands: Arc<Semaphore>,
}

impl fmt::Debug for Core {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Core")
            .field("road", &self.road)
            .field("revision", &self.facts.revision)
            .field("open", &self.is_open())
            .finish_non_exhaustive()
    }
}

impl Core {
    pub(super) fn new(
        target: &HttpTarget,
        road: Road,
        greeting: Greeting,
        sink: Sink,
        tasks: Tasks,
    ) -> Self {
        let session = Session::new(&road, &greeting, 0);
        let legacy = greeting.facts.era == Era::Legacy;
        Self {
            desk: Desk::new(if legacy { target.capabilities } else { CapSet::NONE }),
            road,
            facts: greeting.facts,
            capabilities: target.capabilities,
            stop: tasks.stop().child_token(),
            tasks,
            renewed: Notify::new(),
            start: target.start,
            session: ArcSwap::from_pointee(session),
            renewing: Mutex::new(()),
            ids: AtomicU64::new(FIRST_ID),
            ended: AtomicBool::new(false),
            sink,
            errands: Arc::new(Semaphore::new(ERRANDS)),
        }
    }

    pub(super) fn next_id(&self) -> u64 {
        self.ids.fetch_add(1, Ordering::Relaxed)
    }

    pub(super) fn session(&self) -> Arc<Session> {
        self.session.load_full()
    }

    pub(super) fn is_legacy(&self) -> bool {
        self.facts.era == Era::Legacy
    }

    pub(super) fn is_open(&self) -> bool {
        !self.ended.load(Ordering::Relaxed)
    }

    /// Marks the end. True for the one caller who brought it about.
    pub(super) fn end(&self) -> bool {
        let first = !self.ended.swap(true, Ordering::Relaxed);
        self.stop.cancel();
        first
    }

    /// The upstream no longer is what the handshake found: the next request needs a new link.
    pub(super) fn contradicted(&self, detail: &str) -> LinkError {
        let error = self.road.error(Cause::Gone, Ran::No, detail);
        if self.end() {
            tracing::info!(upstream = %self.road.upstream, detail = %error.detail, "link ended");
            (self.sink)(Event::Gone);
        }
        error
    }

    /// The head of a request.
    pub(super) fn head(&self, session: &Session, outgoing: &Outgoing, id: u64) -> RequestHead {
        let length = outgoing.draft.len(id);
        let mut head = session.post.before(if length < LONG { length } else { 0 });
        if self.facts.era == Era::Modern {
            head.push(&METHOD, &HeaderValue::from_static(outgoing.method.name));
            if let Some(name) = &outgoing.name {
                head.push(&NAME, name);
            }
            for (name, value) in &outgoing.parameters {
                head.push(name, value);
            }
        }
        head
    }

    /// Replaces a session that the upstream has lost. `lost` is the number of that session; when
    /// another request has replaced it already, nothing happens.
    pub(super) async fn renew(&self, lost: u32) -> Result<(), LinkError> {
        let _turn = self.renewing.lock().await;
        if self.session().number != lost {
            return Ok(());
        }
        let greeting = timeout(self.start, greet(&self.road, self.capabilities)).await;
        let greeting = greeting.unwrap_or_else(|_| {
            Err(self.road.error(Cause::Timeout, Ran::No, "a new session took too long"))
        });
        let greeting = match greeting {
            Ok(greeting) => greeting,
            Err(error) if error.cause == Cause::Garbage => {
                return Err(self.contradicted(&error.detail));
            }
            Err(error) => return Err(LinkError { ran: Ran::No, ..error }),
        };
        self.session.store(Arc::new(Session::new(&self.road, &greeting, lost + 1)));
        tracing::info!(upstream = %self.road.upstream, "upstream session renewed");
        self.renewed.notify_one();
        // Its subscriptions and log level went with the old session.
        (self.sink)(Event::Missed);
        Ok(())
    }

    pub(super) fn tell(&self, event: Event) {
        (self.sink)(event);
    }

    /// Passes on a notification that belongs to no request.
    pub(super) fn announce(&self, message: Message) {
        let event = match message.inbound.method.as_deref() {
            Some("notifications/tools/list_changed") => Event::ListChanged("tools"),
            Some("notifications/prompts/list_changed") => Event::ListChanged("prompts"),
            Some("notifications/resources/list_changed") => Event::ListChanged("resources"),
            Some("notifications/resources/updated") => match uri(&message) {
                Some(uri) => Event::Updated { uri, message },
                None => return,
            },
            Some("notifications/message") => Event::Log(message),
            // They concern a request of ours, and that request is not known here.
            None | Some("notifications/progress" | "notifications/subscriptions/acknowledged") => {
                return;
            }
            Some("notifications/cancelled" | "notifications/elicitation/complete") => {
                let page = message.param("elicitationId").is_some();
                match self.desk.note(&message, None) {
                    Noted::Nobodys if page => Event::Other(message),
                    _ => return,
                }
            }
            Some(_) => Event::Other(message),
        };
        (self.sink)(event);
    }

    /// A question on the link's own stream: it waits for the call that it can only belong to, or
    /// is refused.
    pub(super) fn question(self: &Arc<Self>, message: &Message) {
        if !self.desk.attribute(message) {
            self.refuse(message);
        }
    }

    /// A question on the stream of a call: given back when it is the caller's to answer, else it
    /// is refused.
    pub(super) fn question_on(
        self: &Arc<Self>,
        message: Message,
        seat: Option<u64>,
    ) -> Option<Message> {
        let asked = Question::read(&message)
            .zip(seat)
            .is_some_and(|(question, seat)| self.desk.ask(&question, seat));
        if asked {
            return Some(message);
        }
        self.refuse(&message);
        None
    }

    /// False for an answer to a question that is not open.
    pub(super) fn answers(&self, message: &Bytes) -> bool {
        let Ok(text) = std::str::from_utf8(message) else { return true };
        match Inbound::read(text) {
            Ok(Inbound { kind: InboundKind::Result | InboundKind::Error, id, .. }) => {
                id.is_some_and(|id| self.desk.settle(&text[id]))
            }
            _ => true,
        }
    }

    /// Refuses a question, in the way of the era (R70, R77).
    fn refuse(self: &Arc<Self>, message: &Message) {
        debug_assert_eq!(message.inbound.kind, InboundKind::Request);
        let method = message.inbound.method.as_deref().unwrap_or_default();
        if !self.is_legacy() {
            let method: String = self.road.clean(method).chars().take(80).collect();
            tracing::warn!(upstream = %self.road.upstream, method, "a modern upstream sent a request; ignored");
            return;
        }
        if let Some(id) = message.inbound.id.clone() {
            self.errands("upstream-refusal", vec![refusal(method, &message.text()[id])]);
        }
    }

    /// Tells a legacy upstream that nobody waits for this request any more, before the refusals of
    /// what it has asked: no work goes on because of a refusal. For a modern one the closed
    /// connection says it.
    pub(super) fn cancel(self: &Arc<Self>, id: u64, mut refusals: Vec<Bytes>) {
        if self.is_legacy() {
            let cancelled = format!(
                "{{\"jsonrpc\":\"2.0\",\"method\":\"notifications/cancelled\",\
                 \"params\":{{\"requestId\":{id}}}}}"
            );
            refusals.insert(0, Bytes::from(cancelled));
            self.errands("upstream-cancel", refusals);
        }
    }

    /// Posts messages that nobody waits for, one after the other.
    pub(super) fn errands(self: &Arc<Self>, name: &'static str, bodies: Vec<Bytes>) {
        if bodies.is_empty() {
            return;
        }
        // Destructors may run when the runtime is gone.
        if tokio::runtime::Handle::try_current().is_err() {
            return;
        }
        let Ok(permit) = Arc::clone(&self.errands).try_acquire_owned() else {
            tracing::debug!(upstream = %self.road.upstream, task = name, "too busy; dropped");
            return;
        };
        let core = Arc::clone(self);
        self.tasks.spawn(name, async move {
            for body in bodies {
                let sent = timeout(ERRAND, core.deliver(body)).await;
                if !matches!(sent, Ok(Ok(()))) {
                    tracing::debug!(upstream = %core.road.upstream, task = name, "not delivered");
                }
            }
            drop(permit);
        });
    }

    /// Posts a notification or an answer. The caller sets the deadline.
    pub(super) async fn deliver(&self, body: Bytes) -> Result<(), LinkError> {
        let response = self
            .road
            .post(self.session().post(), body)
            .await
            .map_err(|error| self.road.unanswered(&error))?;
        let status = response.status();
        if status.is_success() {
            // Read to its end, so that the connection can be used again.
            let _ = collect(response.body, ERROR_LIMIT).await;
            return Ok(());
        }
        match super::answer::judge(response, 0, false).await {
            Answer::Refused(refusal) => {
                Err(self.road.error(refusal.cause, refusal.ran, &refusal.detail))
            }
            _ => Err(self.road.error(
                Cause::Garbage,
                Ran::No,
                &format!("a notification got HTTP {}", status.as_u16()),
            )),
        }
    }
}

fn uri(message: &Message) -> Option<String> {
    let params: Value =
        serde_json::from_str(&message.text()[message.inbound.payload.clone()?]).ok()?;
    params["uri"].as_str().map(str::to_owned)
}
