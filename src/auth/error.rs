//! Why somebody is not let in, and why keys cannot be set up.

use crate::base::{Fault, Kind, Name, Retry, Side};
use crate::store::StoreError;

/// Why a request has no principal. The client learns only whether to bring a key or to try
/// again; the rest is for the log.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// No `Authorization` header, or none with `Bearer`.
    #[error("no key was sent")]
    NoKey,
    /// Several headers, a wrong shape or a wrong checksum.
    #[error("what was sent cannot be a key")]
    Malformed,
    /// Well-formed, but nobody's.
    #[error("the key is unknown")]
    Unknown,
    /// A known id with another secret.
    #[error("the key's secret is wrong")]
    Wrong,
    /// Revoked.
    #[error("the key was revoked")]
    Revoked,
    /// Expired or rotated away.
    #[error("the key has expired")]
    Expired,
    /// Its tenant is no longer declared in the file.
    #[error("the key's tenant is no longer in the file")]
    NoTenant,
    /// The store gives no answer, so nothing is known about the key.
    #[error("the key cannot be checked: {0}")]
    Unavailable(String),
}

impl From<Denied> for Fault {
    fn from(denied: Denied) -> Self {
        let private = denied.to_string();
        match denied {
            Denied::NoKey
            | Denied::Malformed
            | Denied::Unknown
            | Denied::Wrong
            | Denied::Revoked
            | Denied::Expired
            | Denied::NoTenant => Self::client(
                Kind::Unauthenticated,
                "a valid key is needed: send it as `Authorization: Bearer KEY`",
            )
            .because(private),
            Denied::Unavailable(_) => Self {
                kind: Kind::Busy,
                side: Side::Proxy,
                retry: Retry::Safe,
                public: "keys cannot be checked at the moment; try again soon".into(),
                private: Some(private),
            },
        }
    }
}

/// Why keys cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum AuthError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The system has no randomness to give.
    #[error("the system gives no random bytes; try again later")]
    Random,
    /// The value of a key in the file cannot be read.
    #[error("tenant `{tenant}`, key `{key}`: {reason}")]
    Source {
        /// The tenant.
        tenant: Name,
        /// The key's name.
        key: String,
        /// Why, with the next step.
        reason: String,
    },
    /// A key in the file looks like one that we make.
    #[error(
        "tenant `{tenant}`, key `{key}`: a key of the file must not begin with `mcpp_`; \
         make such keys with `mcp-proxy key create`, or choose another text"
    )]
    Prefix {
        /// The tenant.
        tenant: Name,
        /// The key's name.
        key: String,
    },
    /// A key in the file is too weak to be one.
    #[error(
        "tenant `{tenant}`, key `{key}`: a key of the file is 32 to 512 visible ASCII characters \
         without spaces; make one with `openssl rand -base64 33`"
    )]
    Shape {
        /// The tenant.
        tenant: Name,
        /// The key's name.
        key: String,
    },
    /// The same text for two keys.
    #[error(
        "tenant `{tenant}`, key `{key}`: the key `{other}` has the same text; each needs its own"
    )]
    Twice {
        /// The tenant.
        tenant: Name,
        /// The key's name.
        key: String,
        /// The first one, as `tenant/key`.
        other: String,
    },
    /// Somebody is to act for a tenant that is not there.
    #[error("there is no tenant `{0}`; make it with `mcp-proxy tenant add {0}`")]
    Tenant(Name),
    /// A name that cannot be shown in a list.
    #[error("a key's name has 1 to 64 characters and no control characters")]
    KeyName,
}
