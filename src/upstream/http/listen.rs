//! The stream on which an upstream speaks on its own account: `subscriptions/listen` (modern) or
//! GET (legacy). It may be silent for hours, so it has no idle deadline: a peer that vanished is
//! noticed by TCP keep-alive (see `client`), one that closes by the end of the stream.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use http::HeaderValue;
use tokio::sync::watch;
use tokio::time::{sleep_until, timeout};

use super::answer::{Answer, judge};
use super::conversation::open_stream;
use super::core::Core;
use super::events::Events;
use super::overlap::{Next, Streams};
use super::target::Road;
use crate::base::now;
use crate::upstream::handshake::own_request;
use crate::upstream::link::{Event, Interest, Message};
use crate::wire::header::METHOD;
use crate::wire::{CapSet, Era, InboundKind};

/// Longest wait for a stream to open.
const OPEN: Duration = Duration::from_secs(30);
/// First and longest pause before a stream that was cut is opened again.
const BACKOFF: Duration = Duration::from_millis(500);
const BACKOFF_MAX: Duration = Duration::from_secs(60);
/// A stream that lived this long starts the pauses anew.
const STEADY: Duration = Duration::from_secs(10);

/// What those who wait for a stream know of it.
#[derive(Debug)]
pub(super) struct Progress {
    /// For what the stream was opened, or was found not to open.
    pub(super) tried: watch::Sender<Option<Interest>>,
    /// Somebody was promised a stream that was not open yet; what came until then is lost.
    pub(super) late: AtomicBool,
}

/// Keeps the stream as `wanted` says until the link ends.
pub(super) async fn run(
    core: Arc<Core>,
    wanted: watch::Receiver<Interest>,
    progress: Arc<Progress>,
) {
    let stop = core.stop.clone();
    let mut listener = Listener {
        core,
        wanted,
        progress,
        streams: Streams::default(),
        last_id: None,
        session: 0,
        cut: false,
        pauses: 0,
        retry: None,
    };
    tokio::select! {
        () = listener.keep() => {}
        () = stop.cancelled() => {}
    }
}

fn log(road: &Road, what: &str, detail: &str) {
    tracing::debug!(upstream = %road.upstream, detail = road.clean(detail), "{what}");
}

struct Listener {
    core: Arc<Core>,
    wanted: watch::Receiver<Interest>,
    progress: Arc<Progress>,
    streams: Streams,
    /// From where a legacy stream is resumed, and in which session that means something.
    last_id: Option<String>,
    session: u32,
    /// A stream was open before, or was promised, and what came meanwhile is lost.
    cut: bool,
    pauses: u32,
    retry: Option<u64>,
}

enum Opened {
    Yes(Box<Events>),
    /// This upstream has no such stream, or none for this interest.
    Never(String),
    /// It may work later.
    NotNow(String),
}

impl Listener {
    /// Ends when the link is dropped.
    async fn keep(&mut self) {
        loop {
            let interest = self.wanted.borrow_and_update().clone();
            let Some(filter) = self.filter(&interest) else {
                self.streams.close();
                self.progress.tried.send_replace(Some(interest));
                (self.cut, self.pauses) = (false, 0);
                if self.wanted.changed().await.is_err() {
                    return;
                }
                continue;
            };
            let opened = timeout(OPEN, Box::pin(self.open(&filter))).await;
            match opened.unwrap_or_else(|_| Opened::NotNow("it did not open in time".to_owned())) {
                Opened::Yes(events) => {
                    self.streams.replace(*events);
                    self.progress.tried.send_replace(Some(interest));
                    // Who was not waited for looks at both in the other order.
                    let late = self.progress.late.swap(false, Ordering::SeqCst);
                    if std::mem::take(&mut self.cut) || late {
                        self.core.tell(Event::Missed);
                    }
                    let since = now();
                    let alive = self.read().await;
                    if !alive {
                        return;
                    }
                    if now() - since >= STEADY {
                        self.pauses = 0;
                    }
                    if self.streams.current().is_none() && !self.pause().await {
                        return;
                    }
                }
                Opened::Never(detail) => {
                    log(&self.core.road, "no event stream", &detail);
                    self.streams.close();
                    self.progress.tried.send_replace(Some(interest));
                    if !self.change().await {
                        return;
                    }
                }
                Opened::NotNow(detail) => {
                    log(&self.core.road, "no event stream now", &detail);
                    self.cut = true;
                    self.progress.tried.send_replace(Some(interest));
                    if !self.pause().await {
                        return;
                    }
                }
            }
        }
    }

    /// Waits until an upstream that has no stream is worth asking again: for a legacy one a new
    /// session, for a modern one a new interest. False when the link was dropped.
    async fn change(&mut self) -> bool {
        loop {
            tokio::select! {
                changed = self.wanted.changed() => match changed {
                    Err(_) => return false,
                    Ok(()) if self.core.is_legacy() => {}
                    Ok(()) => return true,
                },
                () = self.core.renewed.notified() => return true,
            }
        }
    }

    /// What to ask for: members of `params` for a modern upstream, nothing for a legacy one.
    /// `None` when nothing is wanted that this upstream can give.
    fn filter(&self, interest: &Interest) -> Option<String> {
        let facts = &self.core.facts;
        if facts.era == Era::Legacy {
            return (*interest != Interest::default()).then(String::new);
        }
        let mut members = Vec::new();
        if interest.lists {
            for capability in ["tools", "prompts", "resources"] {
                if facts.announces(capability) {
                    members.push(format!("\"{capability}ListChanged\":true"));
                }
            }
        }
        if !interest.resources.is_empty() && facts.can_subscribe() {
            let uris = serde_json::json!(interest.resources);
            members.push(format!("\"resourceSubscriptions\":{uris}"));
        }
        if !interest.tasks.is_empty() {
            members.push(format!("\"taskIds\":{}", serde_json::json!(interest.tasks)));
        }
        (!members.is_empty()).then(|| format!("\"notifications\":{{{}}}", members.join(",")))
    }

    async fn open(&mut self, filter: &str) -> Opened {
        match self.core.facts.era {
            Era::Modern => self.subscribe(filter).await,
            Era::Legacy => self.get().await,
        }
    }

    /// A new `subscriptions/listen`, open when the upstream has acknowledged it.
    async fn subscribe(&mut self, filter: &str) -> Opened {
        let core = &self.core;
        let id = core.next_id();
        let mut head = core.session().post();
        head.push(&METHOD, &HeaderValue::from_static("subscriptions/listen"));
        // Whoever follows tasks must say that it takes them.
        let tasks =
            if self.wanted.borrow().tasks.is_empty() { CapSet::NONE } else { CapSet::TASKS };
        let declared = core.capabilities.with(tasks);
        let draft = own_request(Era::Modern, declared, "subscriptions/listen", filter);
        let response = match core.road.post(head, draft.render(id)).await {
            Ok(response) => response,
            Err(error) => return Opened::NotNow(error.detail),
        };
        let status = response.status().as_u16();
        let mut events = match judge(response, id, false).await {
            Answer::Stream(body) => Events::new(body),
            Answer::Refused(refusal) if matches!(status, 401 | 403 | 408 | 429 | 500..=599) => {
                return Opened::NotNow(refusal.detail);
            }
            Answer::Refused(refusal) => return Opened::Never(refusal.detail),
            _ => return Opened::Never(format!("HTTP {status} without an event stream")),
        };
        match events.next().await {
            Ok(Some(message)) if message.inbound.kind == InboundKind::Error => {
                Opened::Never("`subscriptions/listen` was refused".to_owned())
            }
            Ok(Some(message)) => {
                self.take(message);
                Opened::Yes(Box::new(events))
            }
            Ok(None) => Opened::NotNow("the stream ended at once".to_owned()),
            Err(broken) => Opened::NotNow(broken.detail),
        }
    }

    /// The GET stream of a legacy session.
    async fn get(&mut self) -> Opened {
        let session = self.core.session();
        if session.number != self.session {
            self.session = session.number;
            self.last_id = None;
        }
        let response = self.core.road.get(session.headers(), self.last_id.as_deref()).await;
        let response = match response {
            Ok(response) => response,
            Err(error) => return Opened::NotNow(error.detail),
        };
        match open_stream(response).await {
            Ok(events) => {
                // What was missed comes again.
                if self.last_id.is_some() {
                    self.cut = false;
                }
                Opened::Yes(Box::new(events))
            }
            Err((404, _)) if session.has_id() => match self.core.renew(session.number).await {
                Ok(()) => Opened::NotNow("its session was lost".to_owned()),
                Err(error) => Opened::NotNow(error.detail),
            },
            Err((401 | 403 | 408 | 429 | 500 | 502..=599, detail)) => Opened::NotNow(detail),
            Err((_, detail)) => Opened::Never(detail),
        }
    }

    /// Reads until the stream ends (then it is gone) or something else is wanted. False when the
    /// link was dropped.
    async fn read(&mut self) -> bool {
        loop {
            if self.streams.current().is_none() {
                return true;
            }
            tokio::select! {
                changed = self.wanted.changed() => {
                    if changed.is_err() {
                        return false;
                    }
                    // One legacy stream carries everything.
                    let now = self.wanted.borrow().clone();
                    if !self.core.is_legacy() || now == Interest::default() {
                        return true;
                    }
                    self.progress.tried.send_replace(Some(now));
                }
                () = self.core.renewed.notified() => {
                    if self.core.session().number != self.session {
                        self.streams.close();
                        (self.cut, self.pauses) = (false, 0);
                    }
                }
                next = self.streams.next() => self.heard(next),
            }
        }
    }

    fn heard(&mut self, next: Next) {
        let broken = match next {
            Next::Message(message) => return self.take(message),
            Next::Ended(broken) => broken,
        };
        if let Some(broken) = broken {
            log(&self.core.road, "event stream cut", &broken.detail);
        }
        if let Some(stream) = self.streams.current() {
            if let Some(id) = stream.last_id() {
                self.last_id = Some(id.to_owned());
            }
            self.retry = stream.retry().or(self.retry);
        }
        self.streams.close();
        self.cut = true;
    }

    fn take(&self, message: Message) {
        match message.inbound.kind {
            InboundKind::Notification => self.core.announce(message),
            InboundKind::Request => self.core.question(&message),
            InboundKind::Result | InboundKind::Error => {}
        }
    }

    /// Waits with backoff and jitter; a change of interest ends the wait. False when the link was
    /// dropped.
    async fn pause(&mut self) -> bool {
        let longest = BACKOFF.saturating_mul(1 << self.pauses.min(10)).min(BACKOFF_MAX);
        self.pauses += 1;
        let share = getrandom::u32().map_or(0.5, |random| f64::from(random) / f64::from(u32::MAX));
        let asked = Duration::from_millis(self.retry.unwrap_or(0)).min(BACKOFF_MAX);
        let wait = (longest / 2 + (longest / 2).mul_f64(share)).max(asked);
        let end = now() + wait;
        loop {
            tokio::select! {
                () = sleep_until(end) => return true,
                changed = self.wanted.changed() => return changed.is_ok(),
                // One that serves until there is a better one.
                next = self.streams.next() => self.heard(next),
            }
        }
    }
}
