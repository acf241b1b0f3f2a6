//! The one error that the request line returns: what went wrong, on whose side, whether it may
//! be tried again, what the client may read and what only the log may read.

use std::borrow::Cow;

/// On whose side the fault lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// The client's request.
    Client,
    /// An upstream server.
    Upstream,
    /// This proxy.
    Proxy,
}

/// Whether the same request may be sent again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retry {
    /// It would fail again.
    Never,
    /// It certainly did not run: trying again is safe.
    Safe,
    /// It may have run: only the caller can decide.
    MayHaveRun,
}

/// Where somebody logs in at an upstream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoginPage {
    /// The page.
    pub link: String,
    /// The upstream.
    pub upstream: String,
}

/// What happened. `server/reply.rs` alone turns this into codes and statuses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// No valid key.
    Unauthenticated,
    /// The key is good but not for this; carries the scopes that would do, if any would.
    Forbidden(Option<String>),
    /// A key of the operator that names no tenant, or none that is there.
    Tenant,
    /// Host or Origin not accepted.
    ForeignOrigin,
    /// The path is no door.
    NoSuchDoor,
    /// The HTTP method has no meaning here; carries those that have, as `Allow` lists them.
    HttpMethod(&'static str),
    /// The body is not JSON.
    NotJson,
    /// JSON, but no request, notification or response.
    NotMessage,
    /// Headers over the limit.
    HeadTooLarge,
    /// A body over the limit.
    TooLarge,
    /// A body that did not arrive in time.
    BodyTimeout,
    /// A wrong `Content-Type`.
    MediaType,
    /// An `Accept` that takes none of our types.
    NotAcceptable,
    /// The method does not exist in this era.
    UnknownMethod,
    /// Parameters are missing or wrong; HTTP 200.
    InvalidParams,
    /// A tool or prompt that is not there, or that the caller may not know of; else as
    /// `InvalidParams`.
    UnknownName,
    /// A required `_meta` field is missing (modern era): as `InvalidParams`, but HTTP 400.
    MissingMeta,
    /// Header and body differ, or a required header is missing.
    HeaderMismatch,
    /// A protocol version that is not spoken; carries what was asked for.
    UnsupportedVersion(String),
    /// A legacy request without a session id.
    NoSession,
    /// A session that is unknown, ended, or somebody else's.
    UnknownSession,
    /// The resource is not there; carries its URI.
    UnknownResource(String),
    /// The upstream needs to ask what the client did not declare; carries `requiredCapabilities`
    /// as JSON text. In the legacy era, which has no word for it, as `Upstream`.
    Undeclared(String),
    /// The upstream failed; tools answer this as a result with `isError`.
    Upstream,
    /// The upstream did not answer in time; else as `Upstream`.
    UpstreamTimeout,
    /// The tenant has not filled in the upstream's secrets.
    NeedsSetup,
    /// Somebody has to log in at the upstream; carries the page for that.
    NeedsLogin {
        /// The page, and at which upstream. (Boxed: every answer has room for a fault.)
        at: Box<LoginPage>,
        /// The client of the older era takes the page as an error of its own (`-32042`).
        asked: bool,
    },
    /// A limit of the file was reached; carries which, as the file names it, and after how many
    /// seconds the same request may be let in.
    Limited {
        /// Such as `key rate`.
        limit: &'static str,
        /// In seconds.
        wait: u64,
    },
    /// Too much at once.
    Busy,
    /// A defect of ours.
    Internal,
}

impl Kind {
    /// The word for it, for what is counted: nothing that a client has said is in it.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Unauthenticated => "unauthenticated",
            Self::Forbidden(_) => "forbidden",
            Self::Tenant => "tenant",
            Self::ForeignOrigin => "foreign_origin",
            Self::NoSuchDoor => "no_such_door",
            Self::HttpMethod(_) => "http_method",
            Self::NotJson => "not_json",
            Self::NotMessage => "not_message",
            Self::HeadTooLarge => "head_too_large",
            Self::TooLarge => "too_large",
            Self::BodyTimeout => "body_timeout",
            Self::MediaType => "media_type",
            Self::NotAcceptable => "not_acceptable",
            Self::UnknownMethod => "unknown_method",
            Self::InvalidParams => "invalid_params",
            Self::UnknownName => "unknown_name",
            Self::MissingMeta => "missing_meta",
            Self::HeaderMismatch => "header_mismatch",
            Self::UnsupportedVersion(_) => "unsupported_version",
            Self::NoSession => "no_session",
            Self::UnknownSession => "unknown_session",
            Self::UnknownResource(_) => "unknown_resource",
            Self::Undeclared(_) => "undeclared",
            Self::Upstream => "upstream",
            Self::UpstreamTimeout => "upstream_timeout",
            Self::NeedsSetup => "needs_setup",
            Self::NeedsLogin { .. } => "needs_login",
            Self::Limited { limit, .. } => limit,
            Self::Busy => "busy",
            Self::Internal => "internal",
        }
    }
}

/// A fault. `public` goes to the client, `private` to the log and nowhere else.
#[derive(Debug, Clone)]
pub struct Fault {
    /// What happened.
    pub kind: Kind,
    /// On whose side.
    pub side: Side,
    /// Whether to try again.
    pub retry: Retry,
    /// One sentence for the client: the thing, the reason, the next step.
    pub public: Cow<'static, str>,
    /// The cause, for the log.
    pub private: Option<String>,
    /// In one word why an upstream failed, where that is known.
    pub cause: Option<&'static str>,
}

impl Fault {
    /// A fault of the client's request.
    pub fn client(kind: Kind, public: impl Into<Cow<'static, str>>) -> Self {
        Self {
            kind,
            side: Side::Client,
            retry: Retry::Never,
            public: public.into(),
            private: None,
            cause: None,
        }
    }

    /// A fault of an upstream.
    pub fn upstream(retry: Retry, public: impl Into<Cow<'static, str>>) -> Self {
        Self {
            kind: Kind::Upstream,
            side: Side::Upstream,
            retry,
            public: public.into(),
            private: None,
            cause: None,
        }
    }

    /// A fault of ours: the client reads only that it is ours.
    pub fn internal(private: impl Into<String>) -> Self {
        Self {
            kind: Kind::Internal,
            side: Side::Proxy,
            retry: Retry::Never,
            public: Cow::Borrowed("mcp-proxy failed to answer; its log says why"),
            private: Some(private.into()),
            cause: None,
        }
    }

    /// Adds the cause that only the log may read.
    #[must_use]
    pub fn because(mut self, private: impl Into<String>) -> Self {
        self.private = Some(private.into());
        self
    }
}
