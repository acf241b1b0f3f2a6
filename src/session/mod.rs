//! The memory of the sessionful era: who opened a session, at which door, with which revision,
//! and what it has asked to be told. The modern era needs none of this.
//!
//! The id that a client carries is a sealed pointer (`pointer`); what may change in a session and
//! its end are kept in the store (`ledger`). Together they let a restarted proxy take up what
//! lives and refuse what does not. Streams toward the client are kept for a while (`tape`), so
//! that a connection that was cut can be resumed.

mod cast;
mod follow;
mod ledger;
mod level;
mod pointer;
mod questions;
mod state;
mod table;
mod tape;

pub use cast::{Cast, Resumed, Return};
pub use follow::covers;
pub use ledger::Ledger;
pub use level::Level;
pub use pointer::SessionId;
pub use questions::Question;
pub use state::{Begun, Followed, Running, Session};
pub use table::{Opening, Pointed, Refused, Sessions};
pub use tape::Item;
