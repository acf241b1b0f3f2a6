//! What changes while the proxy runs: tenants, digests of keys, sealed secrets, what sessions leave. The store never
//! sees a plaintext or a key; whatever it holds may be read by whoever steals the disk.

#[cfg(test)]
pub(crate) mod contract;
mod error;
mod record;
mod sqlite;
mod traits;

pub use error::StoreError;
pub use record::{
    Begun, FoundKey, KeyRecord, Origin, Owner, SealValue, SealedSecret, SecretInfo, SecretPlace,
    SessionRecord, TenantRecord,
};
pub use sqlite::Sqlite;
#[cfg(test)]
pub(crate) use sqlite::by_hand;
pub use traits::{Changes, Keys, Pending, Repeats, Secrets, SessionStates, Stores, Tenants};
