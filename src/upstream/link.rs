//! What a link is, whatever it runs over: one live connection to an upstream, its key, what is
//! sent and what comes back.

use std::collections::BTreeSet;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderName, HeaderValue};

use super::question::Asker;
use crate::base::{Fault, Kind, Name, Retry, TenantId};
use crate::wire::json::{JsonError, Reader, UPSTREAM_DEPTH};
use crate::wire::{CapSet, Draft, Era, Inbound, Method, Revision};

/// A boxed future, so that `dyn Link` is possible.
pub type Pending<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Who has a link alone: the id of a key or of a session. A short one needs no memory of its own.
pub type Holder = smol_str::SmolStr;

/// Which link serves a request. All five parts are always there; the upstream's settings say
/// which of them are left out (product.md, Links).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct LinkKey {
    /// Whose link; `None` only with `share = "all"`.
    pub tenant: Option<TenantId>,
    /// To which upstream.
    pub upstream: Name,
    /// With which revision of the tenant's credentials.
    pub credential: u64,
    /// For which principal (a key id, or a client session); `None` when they share.
    pub principal: Option<Holder>,
    /// With which client capabilities declared.
    pub capabilities: CapSet,
}

/// What an upstream said about itself in the handshake.
#[derive(Debug, Clone)]
pub struct Facts {
    /// How it speaks.
    pub era: Era,
    /// The revision agreed on.
    pub revision: Revision,
    /// Its `ServerCapabilities` object as JSON text.
    pub capabilities: String,
    /// Its instructions.
    pub instructions: Option<String>,
    /// Its `serverInfo` as JSON text.
    pub server_info: Option<String>,
}

impl Facts {
    /// True when its capabilities have this top-level member (`tools`, `prompts`, `logging`, …).
    #[must_use]
    pub fn can(&self, capability: &str) -> bool {
        self.member(capability).is_some_and(|value| !value.is_null())
    }

    /// True when `resources.subscribe` is declared.
    #[must_use]
    pub fn can_subscribe(&self) -> bool {
        self.member("resources").is_some_and(|value| value["subscribe"] == true)
    }

    /// True when `tasks.requests.tools.call` is declared (2025-11-25).
    #[must_use]
    pub fn runs_tools_as_tasks(&self) -> bool {
        self.member("tasks").is_some_and(|tasks| tasks["requests"]["tools"]["call"].is_object())
    }

    /// True when `listChanged` is declared for this capability.
    #[must_use]
    pub fn announces(&self, capability: &str) -> bool {
        self.member(capability).is_some_and(|value| value["listChanged"] == true)
    }

    fn member(&self, name: &str) -> Option<serde_json::Value> {
        let mut value: serde_json::Value = serde_json::from_str(&self.capabilities).ok()?;
        value.get_mut(name).map(serde_json::Value::take)
    }
}

/// One request on its way to an upstream.
#[derive(Debug, Clone)]
pub struct Outgoing {
    /// Its row of the method table.
    pub method: &'static Method,
    /// The message, with holes for the id and progress token that the link mints.
    pub draft: Draft,
    /// `Mcp-Name` for a modern HTTP upstream, already in its header form.
    pub name: Option<HeaderValue>,
    /// `Mcp-Param-*` for a modern HTTP upstream.
    pub parameters: Vec<(HeaderName, HeaderValue)>,
    /// Longest silence; progress starts it anew.
    pub timeout: Duration,
    /// Longest time whatever happens.
    pub max_time: Duration,
    /// Who waits for the answer; `None` for a request of the proxy's own, which asks nobody.
    pub asker: Option<Asker>,
    /// Which questions of a legacy upstream the caller can answer now; what it does not have is
    /// refused at once.
    pub takes: CapSet,
}

/// A whole message from an upstream, with its parts found.
#[derive(Debug, Clone)]
pub struct Message {
    /// The text, valid UTF-8.
    pub bytes: Bytes,
    /// Its parts.
    pub inbound: Inbound,
}

impl Message {
    /// The text.
    #[must_use]
    pub fn text(&self) -> &str {
        // Links hand out only what `Inbound::read` took as text.
        std::str::from_utf8(&self.bytes).unwrap_or_default()
    }

    /// The JSON text of a member of `params` (or of the result), as it stands.
    #[must_use]
    pub fn param(&self, name: &str) -> Option<&str> {
        let params = &self.text()[self.inbound.payload.clone()?];
        let mut found = None;
        Reader::new(params, UPSTREAM_DEPTH)
            .object::<JsonError>(|reader, key| {
                let value = reader.value()?;
                if key.is(name) {
                    found = Some(value);
                }
                Ok(())
            })
            .ok()?;
        Some(&params[found?])
    }
}

/// What comes back for one request.
#[derive(Debug)]
pub enum Reply {
    /// The response, complete.
    Message(Message),
    /// The response as JSON that is still arriving over HTTP: `Content-Length` when it was
    /// given, and the body. Its id is the number that the link put into the draft.
    Json {
        /// The number minted for this request.
        id: u64,
        /// `Content-Length`.
        length: Option<u64>,
        /// The body.
        body: super::http::Arriving,
    },
    /// Notifications and questions, then the response.
    Exchange(Box<dyn Exchange>),
}

/// The messages of one request that did not come all at once. Dropping it before the response
/// has come cancels the request at the upstream, in the way of its transport and era, and refuses
/// the questions that are open then.
pub trait Exchange: Send + std::fmt::Debug {
    /// The next message; may be dropped and called again without losing anything.
    ///
    /// - Notifications, any number. Among them are `notifications/cancelled` whose `requestId` is
    ///   that of an open question, which is withdrawn by it and wants no answer any more; and
    ///   `notifications/elicitation/complete` of an elicitation that came out here.
    /// - Requests of a legacy upstream: `elicitation/create`, `sampling/createMessage`,
    ///   `roots/list`, only such as [`Outgoing::takes`] and what the link declared allow, at most
    ///   16 open at a time. Each is answered with [`Link::send`], in any order, with the
    ///   upstream's own id as it stands. Everything else an upstream asks is answered by the link.
    /// - One response, the last message. Questions that are open then are refused.
    ///
    /// The deadlines of the request hold here too. While a question is open its silence does not
    /// count (the person is thinking), only [`Outgoing::max_time`].
    fn next(&mut self) -> Pending<'_, Result<Message, LinkError>>;
}

/// What an upstream says on its own account, outside any request.
#[derive(Debug, Clone)]
pub enum Event {
    /// `notifications/{tools,prompts,resources}/list_changed`: `tools`, `prompts`, `resources`.
    ListChanged(&'static str),
    /// `notifications/resources/updated`: the whole notification and the URI in it.
    Updated {
        /// The URI as the upstream knows it.
        uri: String,
        /// The message.
        message: Message,
    },
    /// `notifications/message` that belongs to no request that is known.
    Log(Message),
    /// Another notification that belongs to no request that is known.
    Other(Message),
    /// The link's own event stream was cut and is back: something may have been missed.
    Missed,
    /// The link has ended.
    Gone,
}

/// Where the events of a link go. Called from the link's reader: it must not block.
pub type Sink = Arc<dyn Fn(Event) + Send + Sync>;

/// Longest wait for an upstream to listen as it was told.
pub(super) const LISTENING: Duration = Duration::from_secs(1);

/// What a link should listen for outside requests.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Interest {
    /// Changes of lists.
    pub lists: bool,
    /// Updates of these resources (modern upstreams: part of the listen filter; legacy ones are
    /// subscribed by requests, and this only opens the stream on which the updates come).
    pub resources: BTreeSet<String>,
    /// What becomes of these tasks (modern upstreams; by the upstream's own ids).
    pub tasks: BTreeSet<String>,
}

impl Interest {
    /// True when who listens for this hears everything of `other`.
    pub(super) fn covers(&self, other: &Self) -> bool {
        (self.lists || !other.lists) && self.resources.is_superset(&other.resources)
    }
}

/// One live connection to an upstream: an HTTP session or a child process.
pub trait Link: Send + Sync + std::fmt::Debug {
    /// What the upstream said about itself.
    fn facts(&self) -> &Facts;

    /// Sends a request and waits for the first sign of an answer.
    fn request(&self, outgoing: Outgoing) -> Pending<'_, Result<Reply, LinkError>>;

    /// Sends a notification, or the answer to a question that came out of an exchange of this
    /// link. An answer to a question that is not open (any more) is not sent; that is no failure.
    fn send(&self, message: Bytes) -> Pending<'_, Result<(), LinkError>>;

    /// Says what to listen for from now on. Returns at once; events come to the sink.
    fn listen(&self, interest: Interest);

    /// Waits until the upstream listens as it was last told to, or cannot, or a second has passed:
    /// what happens after that is heard.
    fn listening(&self) -> Pending<'_, ()> {
        Box::pin(std::future::ready(()))
    }

    /// False when it has ended and a new one must be made.
    fn is_open(&self) -> bool;

    /// Ends it in good order, within a few seconds.
    fn close(&self) -> Pending<'_, ()>;
}

/// Whether a request that failed may have been executed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ran {
    /// It certainly was not.
    No,
    /// It may have been.
    Maybe,
}

/// Why a link could not serve.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cause {
    /// It could not be reached or started.
    Down,
    /// It ended while the request was running.
    Gone,
    /// It did not answer in time.
    Timeout,
    /// What it sent is no answer.
    Garbage,
    /// What it sent is too long.
    TooLarge,
    /// It wants a login or other credentials (401, 403).
    Login,
    /// It is not tried again before this much time has passed.
    Resting(Duration),
    /// The proxy is stopping it.
    Closing,
}

impl Cause {
    /// The word for it, for what is counted and told.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Down => "down",
            Self::Gone => "gone",
            Self::Timeout => "timeout",
            Self::Garbage => "garbage",
            Self::TooLarge => "too_large",
            Self::Login => "login",
            Self::Resting(_) => "resting",
            Self::Closing => "closing",
        }
    }
}

/// A failed request to an upstream. The text says what happened in words for the person behind
/// the client; the detail is for the log.
#[derive(Debug, Clone, thiserror::Error)]
#[error("upstream `{upstream}`: {cause:?} ({detail})")]
pub struct LinkError {
    /// Which upstream.
    pub upstream: Name,
    /// What happened.
    pub cause: Cause,
    /// Whether the request may have been executed.
    pub ran: Ran,
    /// For the log: no secret may stand in it.
    pub detail: String,
}

impl LinkError {
    /// A failure before anything was sent.
    pub fn before(upstream: &Name, cause: Cause, detail: impl Into<String>) -> Self {
        Self { upstream: upstream.clone(), cause, ran: Ran::No, detail: detail.into() }
    }

    /// A failure after the request was sent.
    pub fn after(upstream: &Name, cause: Cause, detail: impl Into<String>) -> Self {
        Self { upstream: upstream.clone(), cause, ran: Ran::Maybe, detail: detail.into() }
    }
}

impl From<LinkError> for Fault {
    fn from(error: LinkError) -> Self {
        let happened = match &error.cause {
            Cause::Down => "could not be reached",
            Cause::Gone => "ended while it worked on this",
            Cause::Timeout => "did not answer in time",
            Cause::Garbage => "sent an answer that is not valid MCP",
            Cause::TooLarge => "sent an answer that is too large",
            Cause::Login => "refused the credentials that it was given",
            Cause::Resting(_) => "has failed repeatedly and is being given a pause",
            Cause::Closing => "is being stopped",
        };
        let retry = match error.ran {
            Ran::No => Retry::Safe,
            Ran::Maybe => Retry::MayHaveRun,
        };
        let ran = match error.ran {
            Ran::No => "The request was not executed",
            Ran::Maybe => "The request may have been executed",
        };
        let next = match (&error.cause, error.ran) {
            (Cause::Login, _) => "check this upstream's credentials, then try again".to_owned(),
            (Cause::Resting(pause), _) => format!("try again in {} s", pause.as_secs().max(1)),
            (Cause::TooLarge, _) => "ask for less".to_owned(),
            (_, Ran::No) => "try again in a few seconds".to_owned(),
            (_, Ran::Maybe) => "check before you repeat it".to_owned(),
        };
        let late = matches!(error.cause, Cause::Timeout);
        let sentence = format!("Upstream `{}` {happened}. {ran}; {next}.", error.upstream);
        let mut fault = Self::upstream(retry, sentence).because(error.detail);
        fault.cause = Some(error.cause.as_str());
        if late {
            fault.kind = Kind::UpstreamTimeout;
        }
        fault
    }
}
