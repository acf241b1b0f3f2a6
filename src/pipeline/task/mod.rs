//! Tasks (SEP-2663) in every pair of eras (protocol.md 3.4): the sealed id that a client carries,
//! what a client of 2026-07-28 asks about a task, and tasks that are followed for a client.

mod ask;
mod follow;
mod handle;
mod keeper;
mod kept;
mod serve;
mod shape;
mod tasked;
mod watch;

use ask::message_at;
pub(super) use ask::{cancelled_at, response_of};
pub(super) use follow::{TaskExchange, Wanted};
pub(super) use handle::{undeclared, unknown};
pub(super) use kept::KeptTasks;
pub(super) use shape::{described_to, shape_about};
pub(super) use tasked::{Tasked, is_task};
