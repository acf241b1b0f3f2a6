//! All links, found by key: made once, shared, counted, ended when nobody needs them.
//!
//! `links` is the pool, `lease` one link in it, `health` decides when a failing upstream is tried
//! again.

mod health;
mod lease;
mod links;

pub use lease::{Lease, LinkState};
pub use links::Pool;

#[cfg(test)]
mod tests;
