//! The file: read with positions, checked as a whole, compiled into values without holes.

mod model;
mod template;

pub use model::{
    Config, EraSetting, InjectedArgument, Interactive, KeyDeclaration, Namespace, ProcessLimits,
    Seal, SecretSource, Server, Share, Store, TenantDeclaration, Timing, Tls, Transport, Upstream,
};
pub use template::{Part, Template};
