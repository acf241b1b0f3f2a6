//! Between the eras: questions of upstreams, and the answers to them, put into the words that each
//! side knows (protocol.md 3.2).
//!
//! Data and small machines only: no I/O, no clock; times come in as numbers. The line asks what to
//! send, and sends it.

mod binding;
mod digest;
mod error;
mod input;
mod park;
mod question;
mod response;
mod rounds;
mod schema;
mod state;
mod task;
mod task_handle;

pub use binding::{Binding, Purpose};
pub use digest::params_digest;
pub use error::BridgeError;
pub use input::{Entry, InputRequired, Responses};
pub use park::{Park, Waiting};
pub use question::{Asks, Question, Toward};
pub use response::{Reply, answer_to};
pub use rounds::{Next, Rounds};
pub use schema::downgrade;
pub use state::{Carried, Inner};
pub use task::{Described, Status, Task};
pub use task_handle::{TaskHandle, Whose};
