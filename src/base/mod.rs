//! Words that every other module may say; knows nobody.

mod address;
mod bearer;
mod calendar;
mod clock;
mod collections;
mod duration;
mod fault;
mod glob;
mod id;
mod name;
mod narrow;
mod redirect;
mod role;
mod scope;
mod secret;
mod tasks;

pub use address::is_inner;
pub use bearer::{Bearer, Refusal};
pub use calendar::{date, month_of_day, parse_time, rfc3339, seconds_to_next_month};
pub use clock::{Clock, now, unix_millis, unix_nanos, unix_seconds};
pub use collections::Map;
pub use duration::parse_duration;
pub use fault::{Fault, Kind, LoginPage, Retry, Side};
pub use glob::Glob;
pub use id::{GrantId, IdError, KeyId, TenantId};
pub use name::{Name, NameError, Slot};
pub use narrow::Narrow;
pub use redirect::{is_loopback, redirect_trouble, same_redirect};
pub use role::{Role, RoleError};
pub use scope::{Scope, ScopeError, Scopes};
pub use secret::Secret;
pub use tasks::Tasks;
