//! Why an upstream cannot be used for a tenant, and why a secret is not stored. No text of these
//! holds a value.

use crate::base::{Fault, Kind, LoginPage, Name, Retry, Side, Slot};
use crate::seal::{KeyTag, SealError};
use crate::store::StoreError;

/// Why a value cannot be a secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ValueError {
    /// Nothing.
    #[error("the value is empty; give one")]
    Empty,
    /// CR, LF or NUL would let it leave the header or argument it stands in.
    #[error("the value has a line break or NUL inside; give a single line")]
    Control,
    /// Over 64 KiB.
    #[error("the value is longer than 64 KiB; give a shorter one")]
    TooLong,
}

/// Why a secret is not stored or the store is not used.
#[derive(Debug, Clone, thiserror::Error)]
pub enum VaultError {
    /// The value.
    #[error(transparent)]
    Value(#[from] ValueError),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The tenant's data key does not open.
    #[error("the tenant's data key does not open ({0}); restore the store from a backup")]
    DataKey(SealError),
    /// Another root key made this store.
    #[error(
        "the store was made with the root key {store}, the key file holds {ours}; \
         restore the key file that belongs to the store"
    )]
    OtherRoot {
        /// The root key's id in the store.
        store: KeyTag,
        /// The id of the one in the file.
        ours: KeyTag,
    },
}

/// Why an upstream cannot be used for a tenant.
#[derive(Debug, Clone, thiserror::Error)]
pub enum CredentialError {
    /// Slots that nobody has filled.
    #[error(
        "upstream `{upstream}` needs setup for tenant `{tenant}`: run {}",
        commands(tenant, upstream, slots)
    )]
    Missing {
        /// The tenant.
        tenant: Name,
        /// The upstream.
        upstream: Name,
        /// The empty slots.
        slots: Vec<Slot>,
    },
    /// A value that was changed, swapped or rolled back. It is not used.
    #[error(
        "upstream `{upstream}` needs setup for tenant `{tenant}`: the sealed value of `{slot}` does not open \
         and is not used; set it again: {}",
        commands(tenant, upstream, std::slice::from_ref(slot))
    )]
    Sealed {
        /// The tenant.
        tenant: Name,
        /// The upstream.
        upstream: Name,
        /// The slot.
        slot: Slot,
        /// What is wrong with it.
        reason: SealError,
    },
    /// The file says where a value is, but it is not there.
    #[error(
        "upstream `{upstream}` needs setup for tenant `{tenant}`: the operator's file fills `{slot}`, \
         but its source cannot be read; the proxy's log says why"
    )]
    Unreadable {
        /// The tenant.
        tenant: Name,
        /// The upstream.
        upstream: Name,
        /// The slot.
        slot: Slot,
        /// Why, for the log.
        reason: String,
    },
    /// A value that cannot stand where the template puts it.
    #[error(
        "upstream `{upstream}` needs setup for tenant `{tenant}`: {place} {problem}; set its secrets again"
    )]
    Value {
        /// The tenant.
        tenant: Name,
        /// The upstream.
        upstream: Name,
        /// Header, URL, …
        place: String,
        /// What is wrong.
        problem: &'static str,
    },
    /// Nobody has logged in, or the login has ended.
    #[error(
        "upstream `{upstream}` needs a login for tenant `{tenant}`: {}",
        next(link.as_deref(), upstream)
    )]
    Login {
        /// The tenant.
        tenant: Name,
        /// The upstream.
        upstream: Name,
        /// The page where a person logs in, if browsers reach the proxy.
        link: Option<String>,
    },
    /// Logging in again would not help.
    #[error("upstream `{upstream}` cannot be logged in to for tenant `{tenant}`: {reason}")]
    NoLogin {
        /// The tenant.
        tenant: Name,
        /// The upstream.
        upstream: Name,
        /// Why, with what to do.
        reason: String,
    },
    /// It may go better in a moment.
    #[error("the login at upstream `{upstream}` cannot be renewed at the moment: {reason}")]
    Waiting {
        /// The upstream.
        upstream: Name,
        /// Why.
        reason: String,
    },
    /// The store gives no answer.
    #[error(
        "the credentials of upstream `{upstream}` cannot be read at the moment; try again soon"
    )]
    Unavailable {
        /// The upstream.
        upstream: Name,
        /// Why, for the log.
        reason: String,
    },
}

fn next(link: Option<&str>, upstream: &Name) -> String {
    match link {
        Some(link) => format!("open {link} in a browser, log in, and try again"),
        None => format!(
            "the operator sets `public_url` in [server], then log in at /connect/upstreams/{upstream}"
        ),
    }
}

fn commands(tenant: &Name, upstream: &Name, slots: &[Slot]) -> String {
    let command =
        |slot: &Slot| format!("`mcp-proxy secret set --tenant {tenant} {upstream} {slot}`");
    slots.iter().map(command).collect::<Vec<_>>().join(" and ")
}

impl From<CredentialError> for Fault {
    fn from(error: CredentialError) -> Self {
        let public = error.to_string();
        match error {
            CredentialError::Missing { .. }
            | CredentialError::Value { .. }
            | CredentialError::NoLogin { .. }
            | CredentialError::Login { link: None, .. } => Self::client(Kind::NeedsSetup, public),
            CredentialError::Login { link: Some(link), upstream, .. } => {
                let at = Box::new(LoginPage { link, upstream: upstream.to_string() });
                Self::client(Kind::NeedsLogin { at, asked: false }, public)
            }
            CredentialError::Waiting { .. } => {
                let mut fault = Self::upstream(Retry::Safe, public);
                fault.cause = Some("login");
                fault
            }
            CredentialError::Sealed { reason, .. } => {
                Self::client(Kind::NeedsSetup, public).because(reason.to_string())
            }
            CredentialError::Unreadable { reason, .. } => {
                Self::client(Kind::NeedsSetup, public).because(reason)
            }
            CredentialError::Unavailable { reason, .. } => Self {
                kind: Kind::Busy,
                side: Side::Proxy,
                retry: Retry::Safe,
                public: public.into(),
                private: Some(reason),
                cause: None,
            },
        }
    }
}
