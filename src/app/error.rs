//! Why the proxy cannot start.

use std::net::SocketAddr;

use crate::auth::AuthError;
use crate::credential::VaultError;
use crate::seal::KeyFileError;
use crate::server::TlsError;
use crate::store::StoreError;

/// Why the proxy cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The key file.
    #[error(transparent)]
    KeyFile(#[from] KeyFileError),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The sealed secrets do not belong to this key file.
    #[error(transparent)]
    Vault(#[from] VaultError),
    /// The file's keys.
    #[error(transparent)]
    Auth(#[from] AuthError),
    /// The certificate.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The collector of traces.
    #[error("traces cannot be sent: {0}; correct [telemetry] of the file, or remove `otlp`")]
    Collector(String),
    /// The address.
    #[error("cannot listen on {address}: {reason}; choose another {place}")]
    Listen {
        /// Which address.
        address: SocketAddr,
        /// Where the file says it.
        place: &'static str,
        /// Why.
        reason: std::io::Error,
    },
    /// A key that was given at the start opens nothing.
    #[error("the key in MCP_PROXY_KEY is refused: {0}; make one with `mcp-proxy key create`")]
    Denied(String),
    /// A key ended while it was in use.
    #[error("the key was revoked or its tenant was removed; start again with another one")]
    KeyEnded,
    /// A session ended while it was in use.
    #[error("the client takes no messages any more, or its session has ended; start again")]
    SessionEnded,
    /// An upstream that the file does not have.
    #[error("there is no upstream `{0}` in the file; `mcp-proxy check` says what it has")]
    NoUpstream(String),
    /// A profile that the file does not have, or that the key leaves out.
    #[error(
        "there is no profile `{0}` here; [profiles.{0}] of the file would make it, and a key may leave it out"
    )]
    NoProfile(String),
    /// A key that may use the doors of its profiles only.
    #[error("this key is for the doors of its profiles only; name one with --profile")]
    ProfilesOnly,
    /// Something of the system.
    #[error("{what}: {reason}")]
    System {
        /// What was tried.
        what: &'static str,
        /// Why it failed.
        reason: std::io::Error,
    },
}
