//! Pages on which a person logs a tenant in at its upstreams, and out again: `serve` is the way of
//! one request, `view` is what is seen.

mod serve;
mod view;

pub use serve::{Account, is_account};
