//! The walls of the house, as tests: the shape of files, who may know whom, what is kept in one
//! place. Each failure says where, which rule, and what to do next; each exception is a row with
//! its reason, and a row that nothing needs any more fails too.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod fences;
mod invariants;
mod methods;
mod reader;
mod resolve;
mod shape;
mod source;
mod tiers;

/// Fails with everything that was found, one line each.
#[track_caller]
fn hold(rule: &str, found: &[String]) {
    assert!(found.is_empty(), "{rule}\n\n  {}\n", found.join("\n  "));
}
