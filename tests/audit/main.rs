//! The audit of the running proxy: each request leaves one record that says what came of it, also
//! when its client or its upstream has gone, when the process is killed, and when the disk takes
//! nothing; and nothing of what was said is in it.

#[expect(clippy::allow_attributes, reason = "which parts are unused differs by test file")]
#[allow(dead_code, unused_imports, reason = "each test file uses its own part of the harness")]
#[path = "../support/mod.rs"]
mod support;

mod command;
mod kills;
mod outcomes;
mod store;
mod upstream;
