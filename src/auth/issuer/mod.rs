//! Tokens of outside issuers (OpenID Connect): whose they are is said by rules of the file. The
//! issuer's public keys come from where it says (OIDC Discovery 1.0, section 4) and are kept.

mod fetch;
mod keys;
#[cfg(test)]
mod rsa;
mod rule;
#[cfg(test)]
mod tests;
mod verify;

pub(super) use verify::{Issuers, Outsider};
