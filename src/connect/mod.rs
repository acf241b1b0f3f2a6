//! Doors for people at browsers: our own small OAuth server, whose login is a proxy key.
//!
//! It makes tokens for the connector doors of `server`, which are for clients that only do OAuth.
//! `serve` is the way of one request; `metadata`, `register`, `authorize`, `token` and `revoke` are
//! the endpoints; `client`, `document` and `callback` say who asks and where people are led back
//! to; `consent` and `page` are what people see, `browser` is who they are.
//!
//! Written by hand after judging what there is: `oxide-auth` (0.6) keeps its tokens in memory,
//! knows neither resources (RFC 8707), issuers in responses (RFC 9207), client documents nor
//! families of refresh tokens, and brings older copies of three crates that we have; the others are
//! parts of web frameworks. What is left of it after that are a few hundred lines of judgement.

mod authorize;
mod browser;
mod callback;
mod client;
mod consent;
mod document;
mod error;
mod form;
mod grant;
mod metadata;
mod page;
mod register;
mod revoke;
mod serve;
mod throttle;
mod token;
mod transaction;

pub use serve::{Connect, Parts, Resolve};
