//! The table of sessions.

mod sessions;
#[cfg(test)]
mod tests;

pub(super) use sessions::Surroundings;
pub use sessions::{Opening, Pointed, Refused, Sessions};
