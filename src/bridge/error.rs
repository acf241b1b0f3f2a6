//! Why something cannot be carried from one era to the other.

use crate::wire::CapSet;
use crate::wire::json::JsonError;

/// What is wrong with a question, a state or an answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BridgeError {
    /// The text has another shape than the protocol says.
    #[error("it has not the shape that the protocol gives it ({0})")]
    Shape(&'static str),
    /// The text is no JSON.
    #[error("it is no JSON: {0}")]
    Json(#[from] JsonError),
    /// A question of a kind that the protocol does not have.
    #[error("it asks `{0}`, which no client answers")]
    Unknown(String),
    /// The client's revision has no words for it.
    #[error("it asks for {0}, which the client's protocol revision cannot express")]
    Inexpressible(&'static str),
    /// More at once than anybody answers.
    #[error("it asks more than {0} things at once")]
    TooMany(usize),
    /// It asks what the client did not declare.
    #[error("it asks for what the client has not declared: {}", .0.to_json())]
    Undeclared(CapSet),
    /// It went on for too many rounds.
    #[error("it asked again after {0} rounds of answers")]
    TooOften(u32),
}
