//! The store in one SQLite file: one writer, a few readers, all on blocking threads.

mod audit;
mod bodies;
mod chain;
mod clients;
mod connection;
mod grants;
mod keys;
mod logins;
mod picks;
mod pool;
mod profiles;
mod quota;
mod records;
mod repeats;
mod row;
mod schema;
mod sealing;
mod secrets;
mod sessions;
mod survey;
mod tenants;
#[cfg(test)]
mod tests;
mod upstreams;
mod usage;
mod witness;

pub use audit::AuditFile;
pub use pool::Sqlite;
pub use survey::{Survey, survey};
#[cfg(test)]
pub(crate) use tests::by_hand;
