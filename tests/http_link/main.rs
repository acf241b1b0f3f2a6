//! Links over HTTP against an upstream that follows a script, also a bad one.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod calls;
mod ladder;
mod listen;
mod questions;
mod script;
mod streams;
