//! Tools over plain HTTP, from outside: what is listed (`listed`), what a call gives (`calls`),
//! what is said in its course (`stream`), and what is refused (`refused`).

#[expect(clippy::allow_attributes, reason = "which parts are unused differs by test file")]
#[allow(dead_code, unused_imports, reason = "each test file uses its own part of the harness")]
#[path = "../support/mod.rs"]
mod support;

#[expect(clippy::allow_attributes, reason = "which parts are unused differs by test file")]
#[allow(dead_code, reason = "each test file uses its own part of the harness")]
#[path = "../admin/world.rs"]
mod world;

mod bed;
mod calls;
mod listed;
mod refused;
mod stream;
