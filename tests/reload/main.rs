//! The file changes while the proxy serves: what it does not touch goes on, what it touches is
//! another from then on, and a file that is wrong changes nothing.

#[expect(clippy::allow_attributes, reason = "which parts are unused differs by test file")]
#[allow(dead_code, unused_imports, reason = "each test file uses its own part of the harness")]
#[path = "../support/mod.rs"]
mod support;

mod keys;
mod load;
mod refused;
mod rest;
mod rules;
mod upstreams;
mod world;
