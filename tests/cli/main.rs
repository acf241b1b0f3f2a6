//! The command line beside a proxy that runs, one that was killed, one on the network, and none:
//! what it says of the way (`ways`), that the way makes no difference (`alike`), and what it
//! gives to shells and to `man` (`pages`).

#[expect(clippy::allow_attributes, reason = "which parts are unused differs by test file")]
#[allow(dead_code, unused_imports, reason = "each test file uses its own part of the harness")]
#[path = "../support/mod.rs"]
mod support;

mod alike;
mod desk;
mod network;
mod pages;
mod ways;
