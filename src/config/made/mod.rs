//! What was made over the API and stands in the store: upstreams and profiles, each a document
//! with the keys that its section of the file would have, and what tenants have turned off. What
//! runs is the file and these.

mod document;
mod join;
mod profile;
mod upstream;

pub use join::{Made, Sight, Standing, Stored, join};
pub use profile::{MadeProfile, check_profile, profile_document};
pub use upstream::{MadeUpstream, Program, check_upstream};
