//! Calls whose upstream says more than one answer: notifications before it, and questions. One file
//! for each pair of eras, since questions travel differently in each (protocol.md 3.2).

mod conversation;
mod drive;
mod forward;
mod park;
mod required;
mod rounds;
mod visit;
mod wording;

pub(super) use conversation::{Talk, Turn};
pub(super) use visit::visited;
pub(super) use wording::worded;
