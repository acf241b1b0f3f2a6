//! How much of it at a time and in all: rates, calls under way, quotas; and turns between tenants
//! when the proxy is full. Told facts (whose call, where to); knows no stage of the line.

mod bucket;
mod fair;
mod limiter;
mod used;

pub use bucket::{Exceeded, Measure};
pub use fair::{Full, Turn, Turns};
pub use limiter::{Limiter, Permit, Scope, Whose};
