//! What is counted, for a Prometheus. Each tap is a few relaxed atomic additions on cells that are
//! known beforehand: no lock, no allocation, no look-up by name on the way of a call. Labels are
//! what the file and the code name; no tool, no tenant, no key and no address is one.
//!
//! The counts are the process's own and hence the one global beside the allocator (house.md 3.4,
//! 9). A registry of a library would find each cell by hashing its labels, and the well-kept ones
//! write either OpenMetrics or the older text, not both.

mod cell;
mod connector;
mod meters;
mod page;
mod process;
mod upstream;

pub use cell::{Counter, Gauge, Histogram, Standing};
pub use connector::{ConnectorMeter, Consent, OAuthAnswer, OAuthAsk};
pub use meters::{Meters, Surface, meters};
pub use page::{Form, Kind, Page};
pub use process::{own_use, process};
pub use upstream::{LinkEnd, LoginRenewal, UpstreamMeter};
