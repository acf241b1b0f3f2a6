//! The line itself: what a posted message goes through, from the principal to the answer.
//!
//! No stage calls the next; only this module does. Start reading at `serve`, then `call`.

mod admit;
mod answer;
mod call;
mod change;
mod compose;
mod explain;
mod finish;
mod gauges;
mod holders;
mod keep;
mod keep_going;
mod legacy;
mod line;
mod links;
mod list;
mod listed;
mod listen;
mod login;
mod modern;
mod out;
mod outlet;
mod parks;
mod processes;
mod quick;
mod quirk;
mod quota;
mod refresh;
mod relay;
mod report;
mod result;
mod scope;
mod serve;
mod shelf;
mod state;
mod take_up;
mod talk;
mod task;
mod tenant;
mod traced;
mod troubles;
mod update;
mod upkeep;
mod views;
mod witness;

pub use answer::{Answer, Body, Feed, Outcome, Passing};
pub use explain::{Explanation, SlotState};
pub use finish::{End, Tally};
pub use line::{Line, Parts};
pub use listed::ListedTool;
pub(crate) use login::LOGIN_KEY;
pub use processes::ProcessTotals;
pub use report::{SessionReport, ToolReport, UpstreamReport, UpstreamState};
pub use serve::{Carrier, Letter, Opened, Posting};
pub use troubles::Trouble;
