//! Logs: readable lines for people, JSON for machines. Fields have names, secrets have no way in.

mod start;
mod writer;

pub use start::{Format, TelemetryError, start};
pub use writer::LogWriter;
