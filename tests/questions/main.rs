//! Every kind of question between the clients and the servers of the official SDKs, in every pair of
//! eras, through the running proxy. Needs Node and Python.

#[expect(clippy::allow_attributes, reason = "which parts are unused differs by test file")]
#[allow(dead_code, unused_imports, reason = "each test file uses its own part of the harness")]
#[path = "../support/mod.rs"]
mod support;

mod abandoned;
mod every;
mod kinds;
mod lacks;
mod rust;
mod world;
