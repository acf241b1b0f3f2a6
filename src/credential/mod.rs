//! With what: a tenant's own sealed credentials, opened, put where the upstream's templates want
//! them, and held as [`Armed`]. Nothing reaches an upstream without one.

mod arm;
mod armed;
mod declared;
mod error;
mod oauth;
mod redact;
mod render;
mod rotation;
#[cfg(test)]
mod tests;
mod vault;

pub use arm::Credentials;
pub use armed::Armed;
pub use declared::DeclaredSecrets;
pub use error::{CredentialError, ValueError, VaultError};
pub use oauth::{Begun, Browser, Callback, Finished, LoginState, Logins, OAuthError, Pushed};
pub use rotation::{Resealed, Rotated};
pub use vault::{Vault, check_value};
