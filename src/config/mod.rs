//! The file: read with positions, checked as a whole, compiled into values without holes.
//!
//! `file` reads TOML and knows where each value stands, `check` walks it and collects every
//! problem in a `report`, and `load` is the door: a path in, a [`Config`] or [`Problems`] out.
//! `diff` says what a file that was changed changes.

mod attempt;
mod audit;
mod bodies;
mod check;
mod connect;
mod diff;
mod file;
mod header;
mod limit;
mod load;
mod made;
mod model;
mod near;
mod oauth;
mod problem;
mod report;
mod rules;
mod telemetry;
mod template;
#[cfg(test)]
mod tests;
mod text;

pub use attempt::{Applied, Attempt, Recompose, Recomposing, Refusal, Reload, Reloading, Trigger};
pub use audit::{Audit, Durable, WhenFull};
pub use bodies::Bodies;
pub use connect::{Connect, ConnectClient};
pub use diff::{Difference, succeed};
pub use header::Reserved;
pub use limit::{Limit, Limits, Rate};
pub use load::{SourceError, check_text, load, resolve};
pub use made::{
    Made, MadeProfile, MadeUpstream, Program, Sight, Standing, Stored, check_profile,
    check_upstream, join, profile_document,
};
pub use model::{
    Admin, ClientQuirks, Config, EraSetting, InjectedArgument, Interactive, Issuer, IssuerRule,
    KeyDeclaration, Namespace, ProcessLimits, RuleTenant, Seal, SecretSource, Server, Share, Store,
    TenantDeclaration, Timing, Tls, Transport, Upstream, UpstreamQuirks,
};
pub use oauth::{Grant, OAuth, ToolLogin};
pub use problem::{Problem, Problems, Warning};
pub use rules::{Filter, Fixed, Held, Pattern, Profile, Rules, Worded};
pub use telemetry::{Otlp, Readers, Telemetry};
pub use template::{Part, Template};
