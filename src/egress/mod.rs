//! The way out to addresses that did not come from the operator's file: resolve once, judge every
//! address, connect to the judged one; no redirects, bounded bodies, a deadline (security.md T7).

mod error;
mod fetch;
mod resolve;

pub use error::EgressError;
pub use fetch::{Egress, Fetched, Trust};
pub use resolve::{Resolver, judge_literal};
