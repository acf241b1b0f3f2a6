//! Why the audit could not do what was asked.

use crate::store::StoreError;

/// Why the audit could not do what was asked.
#[derive(Debug, Clone, thiserror::Error)]
pub enum AuditError {
    /// Records wait already, and no place became free in time.
    #[error(
        "the audit cannot keep up: {0} records wait to be written; check the disk of the store, or raise `queue` in [audit]"
    )]
    Full(usize),
    /// A record is not on disk yet.
    #[error("the record is not on disk yet; check the disk of the store")]
    Late,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}
