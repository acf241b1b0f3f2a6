//! Tokens of outside issuers (OpenID Connect): whose they are is said by rules of the file. The
//! issuer's public keys come from where it says (OIDC Discovery 1.0, section 4) and are kept. Clients of
//! our own OAuth server that sign who they are, are issuers of that alone (`client`).

mod client;
mod fetch;
mod keys;
#[cfg(test)]
mod rsa;
mod rule;
#[cfg(test)]
mod tests;
mod verify;

pub use client::{Assertion, AssertionId, Assertions, ClientKeys};
pub(super) use verify::{Issuers, Outsider};
