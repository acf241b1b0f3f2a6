//! Words that every other module may say; knows nobody.

mod clock;
mod duration;
mod fault;
mod id;
mod name;
mod secret;
mod tasks;

pub use clock::{Clock, now, unix_millis, unix_seconds};
pub use duration::parse_duration;
pub use fault::{Fault, Kind, Retry, Side};
pub use id::{IdError, KeyId, TenantId};
pub use name::{Name, NameError, Slot};
pub use secret::Secret;
pub use tasks::Tasks;
