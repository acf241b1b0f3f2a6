//! Large answers that are changed while they go through: nobody holds more of one than a piece.
//!
//! What the way back changes in a result stands in few places: the id, members of the result
//! itself, `_meta` and URIs in blocks of content. [`Sieve`] follows a message down to these
//! places, changes them as [`respond`](super::result::respond) does, and passes over all else as
//! it is. What is missing is added at the end of the result instead of its beginning.

mod rules;
#[cfg(test)]
mod tests;
mod walk;

pub use walk::{Broken, Sieve};
