//! `[telemetry]` as it is compiled.

use http::HeaderName;

use super::SecretSource;

/// `[telemetry]`: who reads `/metrics`, and where traces go.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Telemetry {
    /// Who reads `/metrics` (default `Operator`).
    pub metrics: Readers,
    /// Where traces go; `None`: nowhere, and what clients say of traces passes as they wrote it.
    pub otlp: Option<Otlp>,
}

/// `metrics`
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Readers {
    /// Whoever has a key of the operator. A peer on the same machine is not enough: behind a
    /// reverse proxy everybody is one.
    #[default]
    Operator,
    /// Whoever reaches the listener.
    Open,
    /// Nobody.
    Off,
}

/// A collector of traces.
#[derive(Debug, Clone, PartialEq)]
pub struct Otlp {
    /// Where exports are posted to: what the file says, with `/v1/traces` at its end.
    pub url: url::Url,
    /// Headers of each export.
    pub headers: Vec<(HeaderName, SecretSource)>,
    /// Which share of the traces that begin here is kept, 0 to 1 (default 1). A client that says
    /// whether its trace is kept has decided.
    pub sample: f64,
    /// `service.name` (default `mcp-proxy`).
    pub service: String,
}

// `sample` is a number from 0 to 1, which equals itself.
impl Eq for Otlp {}
