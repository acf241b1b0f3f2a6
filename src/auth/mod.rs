//! Who: a key, or a token that stands for one, becomes a [`Principal`], or nothing does. No body is
//! read before. Keys of the operator belong to no tenant and become one when they name one.
//!
//! A hit costs a look-up in memory and one HMAC; the store is asked only about keys that are not
//! in memory yet. A watch ends principals whose key was revoked, expired or removed, also by
//! another process.

mod address;
mod admission;
mod cache;
mod check;
mod connector;
mod crypto;
mod declared;
mod error;
mod guard;
mod guests;
mod header;
mod issue;
mod issuer;
mod key;
mod local;
mod news;
mod principal;
#[cfg(test)]
mod reload_tests;
#[cfg(test)]
mod tests;
mod token;
mod watch;

pub use address::client_address;
pub use admission::Admission;
pub use check::Auth;
pub use connector::{Access, CONNECTOR_SCOPE};
pub use declared::{Declared, declared_key_id};
pub use error::{AuthError, Denied, MintError};
pub use guard::Guard;
pub use issue::{NewKey, check_key_name, fresh_tenant, issue};
pub use issuer::{Assertion, AssertionId, Assertions, ClientKeys};
pub use key::KEY_PREFIX;
pub use news::News;
pub use principal::{Caller, Operator, Principal, TenantInfo};
pub use token::{Minted, TokenRequest, local_token};
