//! Tasks (SEP-2663) in every pair of eras (protocol.md 3.4): the sealed id that a client carries,
//! what a client of 2026-07-28 asks about a task, and tasks that are followed for a client.

mod ask;
mod handle;
mod serve;
mod shape;
mod tasked;
mod watch;

pub(super) use ask::{cancelled_at, message_of, response_of};
pub(super) use handle::{undeclared, unknown};
pub(super) use shape::{described_to, shape_about, word_entries};
pub(super) use tasked::{Tasked, is_task};
