//! Who: a bearer key becomes a [`Principal`], or nothing does. No body is read before.
//!
//! A hit costs a look-up in memory and one HMAC; the store is asked only about keys that are not
//! in memory yet. A watch ends principals whose key was revoked, expired or removed, also by
//! another process.

mod cache;
mod check;
mod declared;
mod error;
mod header;
mod issue;
mod key;
mod local;
mod principal;
#[cfg(test)]
mod tests;
mod watch;

pub use check::Auth;
pub use declared::{Declared, declared_key_id};
pub use error::{AuthError, Denied};
pub use issue::{fresh_tenant, issue};
pub use key::KEY_PREFIX;
pub use principal::{Principal, TenantInfo};
