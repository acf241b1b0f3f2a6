//! A key that is revoked opens nothing any more: no call begins, its streams end, and nobody else
//! notices. Over REST, and by a command of another process that writes into the store.

#[expect(clippy::allow_attributes, reason = "which parts are unused differs by test file")]
#[allow(dead_code, unused_imports, reason = "each test file uses its own part of the harness")]
#[path = "../support/mod.rs"]
mod support;

#[expect(clippy::allow_attributes, reason = "which parts are unused differs by test file")]
#[allow(dead_code, reason = "each test file uses its own part of the harness")]
#[path = "../admin/world.rs"]
mod world;

mod bed;
mod callers;
mod rounds;
mod streams;
