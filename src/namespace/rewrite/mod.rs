//! The way back: what changes in a result on its way to its client.

mod result;
#[cfg(test)]
mod tests;

pub(super) use result::rewrite_skill;
pub use result::{
    Naming, Recipient, ShiftedEdits, UriWay, rewrite_error_uri, rewrite_naming, rewrite_result,
};
