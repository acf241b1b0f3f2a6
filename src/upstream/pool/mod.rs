//! All links, found by key: made once, shared, counted, ended when nobody needs them.
//!
//! `links` is the pool, `lease` one link in it, `news` tells what becomes of links, `health` decides when a failing upstream is tried
//! again.

mod health;
mod lease;
mod links;
mod news;

pub use lease::{Lease, LinkState};
pub use links::Pool;
pub use news::{LinkChange, LinkNews};

#[cfg(test)]
mod tests;
