//! Why somebody is not let in, and why keys cannot be set up.

use crate::base::{Fault, Kind, Name, Retry, Role, Side};
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
    /// A token that is none of ours, or no longer good.
    #[error("the token is refused: {0}")]
    Token(String),
    /// A key of the operator at a door of tenants.
    #[error("a key of the operator names no tenant")]
    TenantNeeded,
    /// A tenant that is not there.
    #[error("the operator names a tenant that is not there")]
    UnknownTenant,
    /// Somebody of a tenant names another one.
    #[error("the key belongs to another tenant than X-Tenant names")]
    OtherTenant,
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
            | Denied::NoTenant
            | Denied::Token(_) => Self::client(
                Kind::Unauthenticated,
                "a valid key is needed: send it as `Authorization: Bearer KEY`",
            )
            .because(private),
            Denied::TenantNeeded => Self::client(
                Kind::Tenant,
                "a key of the operator acts for a tenant: name it in the header `X-Tenant`",
            )
            .because(private),
            Denied::UnknownTenant => Self::client(
                Kind::Tenant,
                "the tenant in `X-Tenant` does not exist; `mcp-proxy tenant list` shows all",
            )
            .because(private),
            Denied::OtherTenant => Self::client(
                Kind::Forbidden(None),
                "this key acts for its own tenant only; leave `X-Tenant` out",
            )
            .because(private),
            Denied::Unavailable(_) => Self {
                kind: Kind::Busy,
                side: Side::Proxy,
                retry: Retry::Safe,
                public: "keys cannot be checked at the moment; try again soon".into(),
                private: Some(private),
                cause: None,
            },
        }
    }
}

/// Why no token is made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MintError {
    /// A token was shown instead of a key.
    #[error("a token is made from a key, and not from another token; show the key")]
    Token,
    /// Too short or too long.
    #[error("a token lives between 1 second and 1 hour; ask for less")]
    Life,
    /// A role above that of the key.
    #[error("the key has the role {0}; a token of it has the same or less")]
    Role(Role),
    /// A role within a tenant, and no tenant.
    #[error("this role is one within a tenant; name the tenant in `X-Tenant`")]
    Tenant,
    /// Scopes that the key does not have.
    #[error("the key does not have the scope `{0}`; ask for no more than it has")]
    Scope(String),
    /// The system has no randomness to give.
    #[error("the system gives no random bytes; try again later")]
    Random,
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
    #[error("{owner}, key `{key}`: {reason}")]
    Source {
        /// Whose.
        owner: String,
        /// The key's name.
        key: String,
        /// Why, with the next step.
        reason: String,
    },
    /// A key in the file looks like one that we make.
    #[error(
        "{owner}, key `{key}`: a key of the file must not begin with `mcpp_`; \
         make such keys with `mcp-proxy key create`, or choose another text"
    )]
    Prefix {
        /// Whose.
        owner: String,
        /// The key's name.
        key: String,
    },
    /// A key in the file is too weak to be one.
    #[error(
        "{owner}, key `{key}`: a key of the file is 32 to 512 visible ASCII characters \
         without spaces; make one with `openssl rand -base64 33`"
    )]
    Shape {
        /// Whose.
        owner: String,
        /// The key's name.
        key: String,
    },
    /// A key of the file that looks like a token.
    #[error(
        "{owner}, key `{key}`: it looks like a signed token, which is checked in another way; \
         choose another text, such as `openssl rand -base64 33` makes"
    )]
    LikeToken {
        /// Whose.
        owner: String,
        /// The key's name.
        key: String,
    },
    /// The same text for two keys.
    #[error("{owner}, key `{key}`: the key `{other}` has the same text; each needs its own")]
    Twice {
        /// Whose.
        owner: String,
        /// The key's name.
        key: String,
        /// The first one, as `tenant/key`.
        other: String,
    },
    /// Somebody is to act for a tenant that is not there.
    #[error("there is no tenant `{0}`; make it with `mcp-proxy tenant add {0}`")]
    Tenant(Name),
    /// A role that does not fit the owner.
    #[error("the role operator is for keys of the operator, and these have no other")]
    Role,
    /// A name that cannot be shown in a list.
    #[error("a key's name has 1 to 64 characters and no control characters")]
    KeyName,
}
