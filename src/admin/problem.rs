//! Why a request is refused, in words for whoever sent it. `reply` turns it into a status and a
//! document (RFC 9457).

use crate::auth::{AuthError, Denied, MintError};
use crate::base::{Fault, Kind, NameError, RoleError, ScopeError};
use crate::config::{Problems, Refusal};
use crate::credential::VaultError;
use crate::seal::SealError;
use crate::store::StoreError;

/// Why a request is refused.
#[derive(Debug, Clone, thiserror::Error)]
pub(super) enum Problem {
    /// Host or Origin is not ours.
    #[error("{0}")]
    Foreign(String),
    /// No good key.
    #[error("this needs a valid key, as `Authorization: Bearer KEY` or `X-API-Key: KEY`")]
    Unauthenticated,
    /// The key is good but may not do this.
    #[error("{0}")]
    Forbidden(String),
    /// Nothing of that name, or nothing that the caller may know of.
    #[error("{0}")]
    NotFound(String),
    /// The path has other methods.
    #[error("this path has the methods {0}")]
    Method(String),
    /// The body or a parameter is wrong.
    #[error("{0}")]
    Invalid(String),
    /// What it says of an upstream is wrong.
    #[error("{}", said(.0))]
    Document(Problems),
    /// The body is too long.
    #[error("the body is longer than {0} bytes")]
    TooLarge(usize),
    /// The body did not come.
    #[error("the body did not arrive in time")]
    TooSlow,
    /// The body is no JSON by its own account.
    #[error("a body is JSON here: send it with `Content-Type: application/json`")]
    MediaType,
    /// It is there already, or something stands in the way.
    #[error("{0}")]
    Conflict(String),
    /// The file declares it.
    #[error("{what} is declared at {file}:{line}; change it there")]
    Declared {
        /// What.
        what: String,
        /// The file.
        file: String,
        /// The line in it.
        line: usize,
    },
    /// The file, as it is now, cannot run.
    #[error("{}; the configuration of before runs on", refused(.0))]
    File(Refusal),
    /// It has changed since it was read.
    #[error("it has changed since: its ETag is {0} now; read it again")]
    Changed(String),
    /// It must be read before this.
    #[error("{0}")]
    MustMatch(String),
    /// The store or something else of ours does not answer.
    #[error("{0}")]
    Unavailable(String),
    /// What the line of requests refused, or did not bring to an end.
    #[error("{}", .0.public)]
    Fault(Box<Fault>),
    /// An upstream answered a call with an error.
    #[error("{}", .0.message)]
    Answered(Box<UpstreamError>),
    /// A defect of ours; the log says which.
    #[error("mcp-proxy failed to answer; its log says why")]
    Internal(String),
}

fn said(problems: &Problems) -> String {
    let count = problems.iter().count();
    let first = problems.iter().next();
    let first = first.map(|problem| match &problem.hint {
        Some(hint) => format!("{}; {hint}", problem.message),
        None => problem.message.clone(),
    });
    let more = if count > 1 { format!(" ({count} problems)") } else { String::new() };
    first.unwrap_or_default() + &more
}

fn refused(refusal: &Refusal) -> String {
    match refusal {
        Refusal::Problems(problems) => match problems.iter().count() {
            1 => "the file has a problem".to_owned(),
            count => format!("the file has {count} problems"),
        },
        Refusal::Unusable(reason) => reason.clone(),
    }
}

/// An error of the protocol that an upstream gave for an answer.
#[derive(Debug, Clone)]
pub(super) struct UpstreamError {
    /// Its code.
    pub(super) code: i64,
    /// Its words.
    pub(super) message: String,
    /// All of it as JSON text.
    pub(super) text: String,
}

impl UpstreamError {
    /// From the text of the error object.
    pub(super) fn read(text: &str) -> Self {
        // One whose data cannot be taken as values has no code and no words.
        let error: serde_json::Value = serde_json::from_str(text).unwrap_or_default();
        let message = error["message"].as_str().unwrap_or("the upstream answered with an error");
        let code = error["code"].as_i64().unwrap_or_default();
        Self { code, message: message.to_owned(), text: text.to_owned() }
    }
}

impl From<Fault> for Problem {
    fn from(fault: Fault) -> Self {
        match fault.kind {
            Kind::Unauthenticated => Self::Unauthenticated,
            _ => Self::Fault(Box::new(fault)),
        }
    }
}

impl Problem {
    /// Nothing of that name.
    pub(super) fn unknown(what: &str, next: &str) -> Self {
        Self::NotFound(format!("there is no such {what}; {next}"))
    }
}

impl From<Denied> for Problem {
    fn from(denied: Denied) -> Self {
        match denied {
            Denied::NoKey
            | Denied::Malformed
            | Denied::Unknown
            | Denied::Wrong
            | Denied::Revoked
            | Denied::Expired
            | Denied::NoTenant
            | Denied::Token(_) => Self::Unauthenticated,
            Denied::OtherTenant => Self::Forbidden(
                "this key acts for its own tenant only; leave `X-Tenant` out".to_owned(),
            ),
            Denied::TenantNeeded => Self::Invalid(
                "a key of the operator names the tenant in `X-Tenant` here".to_owned(),
            ),
            Denied::UnknownTenant => Self::unknown("tenant", "`GET /api/v1/tenants` lists all"),
            Denied::Unavailable(reason) => {
                tracing::warn!(%reason, "keys cannot be checked");
                Self::Unavailable("keys cannot be checked at the moment; try again soon".to_owned())
            }
        }
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        match &error {
            StoreError::Taken(_) | StoreError::Unknown(_) => Self::Conflict(error.to_string()),
            StoreError::Busy | StoreError::Full | StoreError::ReadOnly => {
                tracing::warn!(%error, "the store refuses");
                Self::Unavailable(
                    "the store takes nothing at the moment; try again soon".to_owned(),
                )
            }
            _ => Self::Internal(error.to_string()),
        }
    }
}

impl From<VaultError> for Problem {
    fn from(error: VaultError) -> Self {
        match error {
            VaultError::Value(error) => Self::Invalid(error.to_string()),
            VaultError::Store(error) => error.into(),
            other => Self::Internal(other.to_string()),
        }
    }
}

impl From<MintError> for Problem {
    fn from(error: MintError) -> Self {
        let text = error.to_string();
        match error {
            MintError::Token | MintError::Role(_) | MintError::Scope(_) => Self::Forbidden(text),
            MintError::Life | MintError::Tenant => Self::Invalid(text),
            MintError::Random => Self::Internal(text),
        }
    }
}

impl From<AuthError> for Problem {
    fn from(error: AuthError) -> Self {
        match error {
            AuthError::Store(error) => error.into(),
            AuthError::KeyName | AuthError::Role => Self::Invalid(error.to_string()),
            other => Self::Internal(other.to_string()),
        }
    }
}

impl From<NameError> for Problem {
    fn from(error: NameError) -> Self {
        Self::Invalid(error.to_string())
    }
}

impl From<ScopeError> for Problem {
    fn from(error: ScopeError) -> Self {
        Self::Invalid(error.to_string())
    }
}

impl From<RoleError> for Problem {
    fn from(error: RoleError) -> Self {
        Self::Invalid(error.to_string())
    }
}

impl From<SealError> for Problem {
    fn from(error: SealError) -> Self {
        Self::Internal(error.to_string())
    }
}
