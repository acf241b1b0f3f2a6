//! Logs: readable lines for people, JSON for machines. Fields have names, secrets have no way in.

mod call_log;
mod memory;
mod start;
mod writer;

pub use call_log::{CallLine, CallLog};
pub use memory::resident_memory;
pub use start::{Format, TelemetryError, start};
pub use writer::LogWriter;
