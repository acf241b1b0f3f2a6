//! `kill -9` of the proxy and of each upstream in turn, with idle clients of every official SDK:
//! they go on without doing anything, calls in flight are told what may have become of them, and
//! no call runs twice. Needs `/proc`, Node and Python.

#[expect(clippy::allow_attributes, reason = "which parts are unused differs by test file")]
#[allow(dead_code, unused_imports, reason = "each test file uses its own part of the harness")]
#[path = "../support/mod.rs"]
mod support;

mod book;
mod flight;
mod idle;
mod rounds;
mod storm;
mod world;
