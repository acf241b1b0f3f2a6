//! What a user of the built program notices, from outside: each module is one subject. They are one
//! program, so that the harness is compiled and linked once and tests that wait let others run.

#[expect(clippy::allow_attributes, reason = "which parts are used differs by system")]
#[allow(dead_code, unused_imports, reason = "other test programs use other parts of the harness")]
#[path = "../support/mod.rs"]
mod support;

mod admin;
mod audit;
mod bridge;
mod cli;
mod connect;
mod connections;
#[cfg(target_os = "linux")]
mod cost;
mod declared;
mod doctor;
mod doors;
#[cfg(target_os = "linux")]
mod failures;
mod faithful;
mod harness;
mod hostile;
mod isolation;
mod limits;
mod listening;
mod log;
mod login;
mod metrics;
mod misbehaving;
mod payload;
mod policy;
mod reload;
mod rest;
mod restart;
mod resume;
mod revocation;
mod small;
mod tasks;
