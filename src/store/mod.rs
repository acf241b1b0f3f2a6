//! What changes while the proxy runs: tenants, digests of keys, sealed secrets, what sessions leave. The store never
//! sees a plaintext or a key; whatever it holds may be read by whoever steals the disk.

mod audit;
#[cfg(test)]
pub(crate) mod contract;
mod error;
mod grant;
mod record;
mod sqlite;
mod traits;

pub use audit::{
    AuditBatch, AuditBook, AuditEntry, AuditHead, AuditQuery, AuditRow, AuditState, AuditStore,
    BodyEntry, BodyQuery, BodyRow, GAP_LINK, Links, NO_LINK, QuotaRow, Quotas, Usage, UsageQuery,
    UsageRow,
};
pub use error::StoreError;
pub use grant::{ClientRecord, Clients, Ending, GrantRecord, Grants, NewGrant, Presented, Shown};
pub use record::{
    Begun, FoundKey, GenerationRecord, KeyCounts, KeyRecord, MakeGeneration, Origin, Owner,
    ProfileRecord, Reseal, Rewrapped, SealValue, SealedSecret, SecretInfo, SecretPlace,
    SessionRecord, TenantRecord, UpstreamRecord,
};
#[cfg(test)]
pub(crate) use sqlite::by_hand;
pub use sqlite::{AuditFile, Sqlite, Survey, survey};
pub use traits::{
    Changes, Keys, Logins, Pending, Picks, Profiles, Repeats, Sealing, Secrets, SessionStates,
    Stores, Tenants, Upstreams,
};
