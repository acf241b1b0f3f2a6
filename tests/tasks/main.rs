//! Tasks in every pair of eras, through the running proxy (protocol.md 3.4).

#[expect(clippy::allow_attributes, reason = "which parts are unused differs by test file")]
#[allow(dead_code, unused_imports, reason = "each test file uses its own part of the harness")]
#[path = "../support/mod.rs"]
mod support;

#[expect(clippy::allow_attributes, reason = "which parts are unused differs by test file")]
#[allow(dead_code, reason = "each test file uses its own part of the client")]
#[path = "../bridge/speaker.rs"]
mod speaker;

mod broken;
mod cells;
mod everything;
mod listening;
mod owners;
mod world;
