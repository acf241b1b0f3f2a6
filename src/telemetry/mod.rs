//! Logs: readable lines for people, JSON for machines. Fields have names, secrets have no way in.

mod call_log;
mod writer;

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::util::SubscriberInitExt;

pub use call_log::{CallLine, CallLog};
pub use writer::LogWriter;

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Format {
    /// One readable line each.
    #[default]
    Text,
    /// One JSON object each.
    Json,
}

/// Why logging could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// The filter cannot be read.
    #[error(
        "`{filter}` is no log filter ({reason}); write a level such as `info`, or `info,mcp_proxy=debug`"
    )]
    Filter {
        /// What was given.
        filter: String,
        /// Why.
        reason: String,
    },
    /// It was set up before.
    #[error("logging was set up twice")]
    Twice,
}

/// Sends log lines to standard error. `filter` is a level, or directives by module as in
/// `info,mcp_proxy=debug`. Gives the writer, which somebody must flush now and then and at the
/// end, and the log of calls unless the filter leaves them out.
///
/// # Errors
/// When the filter cannot be read, or logging was set up before.
pub fn start(filter: &str, format: Format) -> Result<(LogWriter, Option<CallLog>), TelemetryError> {
    let parsed = EnvFilter::try_new(filter).map_err(|error| TelemetryError::Filter {
        filter: filter.to_owned(),
        reason: error.to_string(),
    })?;
    let writer = LogWriter::default();
    let builder = tracing_subscriber::fmt()
        .with_env_filter(parsed)
        .with_writer(writer.clone())
        .with_target(false)
        .with_ansi(format == Format::Text && std::io::stderr().is_terminal());
    let set = match format {
        Format::Text => builder.finish().try_init(),
        Format::Json => builder.json().flatten_event(true).finish().try_init(),
    };
    set.map_err(|_| TelemetryError::Twice)?;
    let calls = tracing::enabled!(tracing::Level::INFO);
    let calls = calls.then(|| CallLog::new(writer.clone(), format));
    Ok((writer, calls))
}
