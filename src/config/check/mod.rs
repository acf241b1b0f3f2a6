//! The check: walks the whole file, tells every problem, and builds the `Config` when there is
//! none. Pure: it reads neither the environment nor another file.

mod admin;
mod argument;
mod audit;
mod bodies;
mod command;
mod connect;
mod endpoint;
mod issuer;
mod limit;
mod profile;
mod quirk;
mod reference;
mod root;
mod rules;
mod server;
mod telemetry;
mod tenant;
mod upstream;
mod value;

pub(super) use profile::alone as check_profiles;
pub(super) use root::{Surroundings, check};
pub(super) use upstream::alone as check_upstreams;
