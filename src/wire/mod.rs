//! MCP as data: envelopes, methods, eras, headers and event streams. No I/O and no clock.

mod batch;
mod block;
mod capability;
mod draft;
mod edit;
mod era;
mod extension;
pub mod header;
mod inbound;
pub mod json;
mod method;
mod request;
mod skip;
pub mod sse;

pub use batch::{BATCH_LIMIT, split_batch};
pub use capability::CapSet;
pub use draft::Draft;
pub use edit::Edits;
pub use era::{Era, Revision};
pub use extension::{Extension, Skills};
pub use inbound::{Inbound, InboundKind, Place, ResultParts, SERVER_INFO};
pub use method::{Called, ListKind, Method, NameKind, Route, TaskVerb, methods};
pub use request::{Field, IdText, Meta, MetaKey, Params, Posted, PostedKind, WireError};
pub use skip::{Malformed, Skip};
