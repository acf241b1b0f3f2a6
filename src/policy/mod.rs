//! What a key may use of what its tenant has: the rules of the file for upstreams and profiles,
//! and what the key itself takes away.
//!
//! Rules judge what a name leads to (upstream, kind, the upstream's own name), never the public
//! text, so that one holds alike at every door and after a rename. Views are made here, and what
//! a view shows was let pass when it was made: a call for it costs no matching. What only the
//! upstream can know, a URI that no list shows, is judged by [`Policy::may`].

mod door;
mod engine;
mod judge;
mod permit;
#[cfg(test)]
mod tests;

pub use engine::Policy;
pub use judge::{Rule, Verdict};
pub use permit::{Hidden, Permit, own_work};
