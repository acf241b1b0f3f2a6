//! Why a login did not come about. No text of these holds an address, a token, or what a server
//! has said beyond the codes of RFC 6749.

use crate::egress::EgressError;
use crate::seal::SealError;
use crate::store::StoreError;

/// Why a login did not come about.
#[derive(Debug, Clone, thiserror::Error)]
pub enum OAuthError {
    /// A document or an endpoint was not reached.
    #[error("its {0} was not reached: {1}; try again later")]
    Fetch(&'static str, EgressError),
    /// Something answered with a status of failure.
    #[error("its {0} answered HTTP {1}; try again later")]
    Status(&'static str, u16),
    /// A document is not what it should be.
    #[error("its {0} cannot be used: {1}; tell who runs it")]
    Document(&'static str, &'static str),
    /// There is no way to be known at the authorization server.
    #[error(
        "its authorization server takes no new clients; register one there and write `client_id` \
         into oauth = {{ … }} of this upstream"
    )]
    NoClient,
    /// The server has refused, with a code of RFC 6749 or one like it.
    #[error("its authorization server refused: {0}")]
    Refused(&'static str),
    /// The login or its renewal is no longer good.
    #[error("the login is no longer good; log in again")]
    InvalidGrant,
    /// The server does not know the client.
    #[error("its authorization server does not know the client; check `client_id` and its secret")]
    InvalidClient,
    /// The answer did not come from the server that was asked (RFC 9207).
    #[error("the answer came from another authorization server than the one that was asked")]
    Issuer,
    /// The state is unknown, used up, too old, or of another browser.
    #[error("this login was not begun in this browser, is used up or is too old; begin it again")]
    State,
    /// The key that signs assertions.
    #[error("`private_key` is no PKCS #8 key of RSA, P-256 or Ed25519; set it again")]
    Key,
    /// What the tenant has set cannot be used.
    #[error("{0}")]
    Setup(String),
    /// `public_url` is not set.
    #[error("set `public_url` in [server]: browsers come back to it after a login")]
    NoPublicUrl,
    /// Too many begun logins.
    #[error("too many logins were begun and not finished; try again in ten minutes")]
    TooMany,
    /// The upstream is not one with a login.
    #[error("this upstream has no login")]
    NoLogin,
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Sealing.
    #[error("the login cannot be kept: {0}")]
    Seal(#[from] SealError),
    /// The vault.
    #[error("the login cannot be kept: {0}")]
    Vault(#[from] crate::credential::VaultError),
}

impl OAuthError {
    /// True when it may go better in a moment, with nothing changed.
    pub(in crate::credential) const fn is_passing(&self) -> bool {
        matches!(
            self,
            Self::Fetch(..)
                | Self::Status(..)
                | Self::Document(..)
                | Self::Store(_)
                | Self::Vault(_)
        )
    }
}
