//! The memory of the sessionful era: who opened a session, at which door, with which revision,
//! and what it has asked to be told. The modern era needs none of this.

mod follow;
mod level;
mod sessions;

pub use follow::covers;
pub use level::Level;
pub use sessions::{Opening, Running, Session, SessionId, Sessions};
