//! What was decided, one record each, and what it came to.
//!
//! The call path fills an [`Event`] and leaves it in a bounded queue; everything that costs (the
//! digest of arguments, redaction, encoding, links, the disk) happens behind it, once for many.
//! Each tenant's records form a chain under a key of the ring, so that whatever is changed in the
//! database afterwards is found, and where. Where the file wants bodies, too (`body`), they go
//! along, masked and sealed, and outside the chain, since they expire.

mod body;
#[cfg(test)]
mod body_tests;
mod chain;
mod error;
mod event;
mod queue;
mod reader;
mod record;
mod redact;
mod scrub;
mod shown;
mod sink;
#[cfg(test)]
mod tests;
mod text;
mod verify;
mod writer;

pub use body::{Body, Heard, Mask};
pub use error::AuditError;
pub use event::{Client, Denial, Event, NOBODY, Outcome, Posted, Ran};
pub use reader::{AuditReader, BodyFilter, Filter, Page};
pub use record::{Record, Written};
pub use shown::{USED, head, hex, members, millis, used};
pub use sink::{Audit, Kept, News};
pub use verify::{Finding, Known, Verdict};
