//! The composition root: the only place that knows everybody. Builds the proxy, runs it through
//! its phases, and ends it.

mod build;
mod compose;
mod desk;
mod error;
mod explain;
mod first;
mod foundation;
mod phase;
mod pipe;
mod reload;
mod seeing;
mod signal;
mod socket;
mod stamp;

pub use build::{Built, Origins, Resolve, build};
pub use desk::Desk;
pub use error::StartError;
pub use explain::{Explained, Subject, explain};
pub use first::{FirstKey, first_key, first_tenant};
pub use foundation::Foundation;
pub use phase::{Phase, run};
pub use pipe::{Identity, run_pipe};
pub use reload::{Load, Reloader, Source};
pub use socket::{connect_local, socket_path};
