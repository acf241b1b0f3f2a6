//! The connector doors: discovery, login and what comes of it, as a client and a browser see it, and
//! what a stranger gets who wants a code or a token that is not his.

#[expect(clippy::allow_attributes, reason = "which parts are unused differs by test file")]
#[allow(dead_code, unused_imports, reason = "each test file uses its own part of the harness")]
#[path = "../support/mod.rs"]
mod support;

#[expect(clippy::allow_attributes, reason = "which parts are unused differs by test file")]
#[allow(dead_code, reason = "each test file uses its own part of the harness")]
#[path = "../outside/admin/world.rs"]
mod world;

mod bed;
mod clean;
mod codes;
mod flow;
mod pages;
mod tokens;
