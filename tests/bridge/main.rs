//! Questions of upstreams and the answers of clients, in every pair of eras, through the running
//! proxy.

#[expect(clippy::allow_attributes, reason = "which parts are unused differs by test file")]
#[allow(dead_code, unused_imports, reason = "each test file uses its own part of the harness")]
#[path = "../support/mod.rs"]
mod support;

mod crossing;
mod pairs;
mod parked;
mod rounds;
mod sdk;
mod speaker;
mod states;
mod undeclared;
mod wording;
