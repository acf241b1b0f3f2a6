//! Traces: what a request carries of a trace (W3C Trace Context), the spans of the proxy in it, and
//! their way to a collector (OTLP over HTTP, as JSON).
//!
//! Off unless the file names a collector. The encoding is ours: two kinds of span with a dozen
//! attributes are a page of code, while the SDK of OpenTelemetry brings some thirty crates, a
//! second HTTP client and an untyped attribute for each field on the way of a call.

mod context;
mod encode;
mod export;
mod span;
mod tracer;

pub use context::Context;
pub use span::{Ended, Incoming, Trace};
pub use tracer::Tracer;
