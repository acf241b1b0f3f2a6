//! What the call path knows of a decision. Everything in here is shared or copied; nothing is
//! formatted, parsed or digested before the writer has it.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::oneshot;

use super::body::Heard;
use crate::base::{KeyId, Name, Role, TenantId};

/// A request up to this size is copied, so that its connection can use its memory again.
const COPIED: usize = 4 * 1024;

/// Nobody's tenant: what belongs to no tenant stands in a chain of its own, under the name `-`, and
/// uses nothing.
pub const NOBODY: TenantId = TenantId::from_bytes([0; 16]);

/// What came of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// It was answered.
    Ok,
    /// The upstream's answer is an error, or the result of a tool that says it failed.
    Error,
    /// The proxy refused it.
    Refused,
    /// The upstream failed, is down, or was too slow.
    UpstreamFailed,
    /// The tenant has not filled in the upstream's secrets.
    NeedsSetup,
    /// A defect of the proxy.
    Internal,
    /// Too much at once.
    Busy,
    /// The client took it back.
    Cancelled,
    /// The client was gone before the end of the answer.
    Abandoned,
    /// The upstream broke off in the middle of its answer.
    Broken,
    /// The key or the session ended in the middle of the answer.
    Ended,
    /// A stream on which a client listened is over.
    Closed,
    /// A limit was reached.
    Limited,
}

impl Outcome {
    /// All of them; the place of each is its number in a record, so that new ones go to the end.
    pub const ALL: [Self; 13] = [
        Self::Ok,
        Self::Error,
        Self::Refused,
        Self::UpstreamFailed,
        Self::NeedsSetup,
        Self::Internal,
        Self::Busy,
        Self::Cancelled,
        Self::Abandoned,
        Self::Broken,
        Self::Ended,
        Self::Closed,
        Self::Limited,
    ];

    /// The word for it in logs, exports and tables.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Error => "error",
            Self::Refused => "refused",
            Self::UpstreamFailed => "upstream_failed",
            Self::NeedsSetup => "needs_setup",
            Self::Internal => "internal",
            Self::Busy => "busy",
            Self::Cancelled => "cancelled",
            Self::Abandoned => "abandoned",
            Self::Broken => "broken",
            Self::Ended => "ended",
            Self::Closed => "closed",
            Self::Limited => "limited",
        }
    }

    /// Whether it counts as an error in the usage.
    #[must_use]
    pub const fn is_error(self) -> bool {
        !matches!(self, Self::Ok | Self::Cancelled | Self::Abandoned | Self::Ended | Self::Closed)
    }
}

/// Whether what was asked for has run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Ran {
    /// It has not.
    No,
    /// It has.
    Yes,
    /// Nobody can say.
    MayHave,
}

impl Ran {
    /// All of them; the place of each is its number in a record.
    pub const ALL: [Self; 3] = [Self::No, Self::Yes, Self::MayHave];

    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::No => "no",
            Self::Yes => "yes",
            Self::MayHave => "may_have",
        }
    }
}

/// Why somebody was not let in. These are counted and not written one by one, so that strangers
/// cannot fill the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Denial {
    /// No key was sent.
    NoKey,
    /// What was sent cannot be a key.
    Malformed,
    /// The key is nobody's, or its secret is wrong.
    Unknown,
    /// The key was revoked, has expired, or its tenant is gone.
    Ended,
    /// The key could not be checked.
    Unchecked,
    /// The key is good, and there was no place for a record of what it asked.
    Unrecorded,
}

impl Denial {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::NoKey,
        Self::Malformed,
        Self::Unknown,
        Self::Ended,
        Self::Unchecked,
        Self::Unrecorded,
    ];

    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NoKey => "no_key",
            Self::Malformed => "malformed",
            Self::Unknown => "unknown",
            Self::Ended => "ended",
            Self::Unchecked => "unchecked",
            Self::Unrecorded => "unrecorded",
        }
    }
}

/// What the client calls itself.
#[derive(Debug, Clone, Default)]
pub enum Client {
    /// It did not say.
    #[default]
    Unknown,
    /// `clientInfo` as JSON text.
    Info(Arc<str>),
    /// It stands in `_meta` of the request.
    InRequest,
}

/// A request, of which the writer takes what a record keeps.
#[derive(Debug, Clone, Default)]
pub struct Posted {
    body: Bytes,
    /// Place of the name or URI as JSON text.
    pub name: Option<Range<usize>>,
    /// Place of the arguments.
    pub arguments: Option<Range<usize>>,
    /// Place of `_meta`.
    pub meta: Option<Range<usize>>,
}

impl Posted {
    /// Keeps a body, with nothing found in it yet.
    #[must_use]
    pub fn keep(body: &Bytes) -> Self {
        let body = if body.len() <= COPIED { Bytes::copy_from_slice(body) } else { body.clone() };
        Self { body, ..Self::default() }
    }

    pub(super) fn text(&self, place: Option<&Range<usize>>) -> Option<&str> {
        std::str::from_utf8(self.body.get(place?.clone())?).ok()
    }

    pub(super) fn bytes(&self, place: Option<&Range<usize>>) -> Option<&[u8]> {
        self.body.get(place?.clone())
    }
}

/// One decision, as the call path hands it over.
#[derive(Debug)]
pub struct Event {
    /// When the request came, in milliseconds since the Unix epoch.
    pub at: u64,
    /// Whose.
    pub tenant: TenantId,
    /// The tenant's name.
    pub tenant_name: Name,
    /// The public id of the key.
    pub key: Option<KeyId>,
    /// On whose behalf somebody else acted, or what else must be said of who acted.
    pub actor: Option<Box<str>>,
    /// The client.
    pub client: Client,
    /// The path by which it came.
    pub door: Arc<str>,
    /// The method.
    pub method: Cow<'static, str>,
    /// What was asked for, where no request of MCP says it.
    pub target: Option<Box<str>>,
    /// The upstream, once it was found.
    pub upstream: Option<Name>,
    /// What was asked for, as the upstream names it.
    pub original: Option<Arc<str>>,
    /// Whether that is a tool.
    pub is_tool: bool,
    /// The request.
    pub posted: Posted,
    /// `traceparent` of its head.
    pub traceparent: Option<Box<str>>,
    /// The rules that held.
    pub policy: [u8; 8],
    /// What came of it.
    pub outcome: Outcome,
    /// Whether it has run.
    pub ran: Ran,
    /// Bytes of the request.
    pub bytes_in: u64,
    /// Bytes of the answer.
    pub bytes_out: u64,
    /// Milliseconds from the request to the end of the answer.
    pub ms: u64,
    /// What was heard of its body, where the file wants that.
    pub heard: Option<Box<Heard>>,
    /// How many requests this stands for; 1 but for what is counted only.
    pub count: u64,
    /// Told when the record is on disk.
    pub(super) on_disk: Option<oneshot::Sender<()>>,
}

impl Event {
    /// Notes who asked: the operator, who is no part of the tenant, is named as such.
    pub fn asked_by(&mut self, role: Role, key_name: &str) {
        if role == Role::Operator {
            self.actor = Some(format!("operator {key_name}").into());
        }
    }

    /// An event of this tenant and key; everything else is to be filled in.
    #[must_use]
    pub fn new(at: u64, tenant: TenantId, tenant_name: Name, key: Option<KeyId>) -> Self {
        Self {
            at,
            tenant,
            tenant_name,
            key,
            actor: None,
            client: Client::Unknown,
            door: Arc::default(),
            method: Cow::Borrowed(""),
            target: None,
            upstream: None,
            original: None,
            is_tool: false,
            posted: Posted::default(),
            traceparent: None,
            policy: [0; 8],
            outcome: Outcome::Ok,
            ran: Ran::Yes,
            bytes_in: 0,
            bytes_out: 0,
            ms: 0,
            heard: None,
            count: 1,
            on_disk: None,
        }
    }

    /// Bytes that it holds on to.
    pub(super) fn weight(&self) -> usize {
        self.posted.body.len() + 512 + self.heard.as_ref().map_or(0, |heard| heard.weight())
    }
}
