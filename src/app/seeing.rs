//! What the process counts and traces, as the file has it.

use http::{HeaderMap, HeaderValue};

use super::build::Resolve;
use super::error::StartError;
use crate::base::Tasks;
use crate::config::Config;
use crate::telemetry::Tracer;

/// Where spans go, if the file names a collector.
pub(super) fn tracer(
    config: &Config,
    resolve: &Resolve,
    tasks: &Tasks,
) -> Result<Option<Tracer>, StartError> {
    let Some(otlp) = &config.telemetry.otlp else { return Ok(None) };
    let mut headers = HeaderMap::new();
    for (name, source) in &otlp.headers {
        let wrong = |reason: &str| StartError::Collector(format!("the header `{name}`: {reason}"));
        let value = resolve(source).map_err(|reason| wrong(&reason))?;
        let mut value = HeaderValue::from_str(value.expose())
            .map_err(|_| wrong("its value holds what no header may hold"))?;
        value.set_sensitive(true);
        headers.insert(name, value);
    }
    let started = Tracer::start(otlp, headers, tasks).map_err(StartError::Collector)?;
    tracing::info!(url = %otlp.url, sample = otlp.sample, "traces go to a collector");
    Ok(Some(started))
}
