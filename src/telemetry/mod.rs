//! Logs: readable lines for people, JSON for machines. Fields have names, secrets have no way in.
//! Numbers for a Prometheus, and spans for a collector.

mod call_log;
mod memory;
pub mod metrics;
mod start;
mod trace;
mod writer;

pub use call_log::{CallLine, CallLog};
pub use memory::resident_memory;
pub use metrics::meters;
pub use start::{Format, TelemetryError, start};
pub use trace::{Context, Ended, Incoming, Trace, Tracer};
pub use writer::LogWriter;
