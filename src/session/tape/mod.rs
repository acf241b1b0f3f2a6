//! What was said on the streams of one session, kept for a client whose connection was cut.

mod reel;
#[cfg(test)]
mod tests;

pub use reel::Item;
pub(super) use reel::{Budget, Found, GENERAL, Tapes};
