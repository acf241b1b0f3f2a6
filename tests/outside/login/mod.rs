//! Logging in at upstreams: a protected upstream and its authorization server stand on loopback,
//! and a browser without scripts goes through the pages.

/// Who gets no token: other browsers, other people, other issuers.
mod attacks;
/// The proxy, a browser, and what both do in most tests.
pub(crate) mod bed;
/// Where discovery may not lead.
mod inside;
/// From the sentence with the link to the call, and back out.
mod pages;
/// Before the end, on 401, while nobody answers.
mod renewal;
/// Nothing of a credential is seen anywhere.
mod secrets;
/// The upstream and the authorization server.
pub(crate) mod server;
/// Upstreams with tools for a login.
mod tools;
