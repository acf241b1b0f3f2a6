//! What the API has acknowledged is there after `kill -9` at any moment: the write itself, and its
//! record in the audit, whose chain still holds.

#[expect(clippy::allow_attributes, reason = "which parts are unused differs by test file")]
#[allow(dead_code, unused_imports, reason = "each test file uses its own part of the harness")]
#[path = "../support/mod.rs"]
mod support;

#[expect(clippy::allow_attributes, reason = "which parts are unused differs by test file")]
#[allow(dead_code, reason = "each test file uses its own part of the harness")]
#[path = "../outside/admin/world.rs"]
mod world;

mod rounds;
mod writer;
