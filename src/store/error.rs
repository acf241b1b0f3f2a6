//! Why the store could not do what was asked.

use std::path::PathBuf;

use crate::seal::SealError;

/// Why the store could not do what was asked.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// The file cannot be opened or made.
    #[error(
        "store {path}: cannot open it ({reason}); check the path, its owner and the free space"
    )]
    Open {
        /// The database file.
        path: PathBuf,
        /// The system's words.
        reason: String,
    },
    /// A SQLite file of another program.
    #[error("store {0}: this is a database of another program; point `[store] url` elsewhere")]
    Foreign(PathBuf),
    /// Written by a newer program.
    #[error(
        "store {path}: it has schema {found} and this program knows up to {known}; \
         use the newer mcp-proxy, or restore a backup made before the upgrade"
    )]
    Newer {
        /// The database file.
        path: PathBuf,
        /// Its schema.
        found: i64,
        /// Ours.
        known: i64,
    },
    /// SQLite before 3.51.3 can corrupt a database in WAL mode.
    #[error(
        "this build has SQLite {0}, which can corrupt a store; build with SQLite 3.51.3 or later"
    )]
    OldSqlite(String),
    /// Others may read or write a file of the store.
    #[error(
        "store file {path}: its mode is {mode:04o}, so others can use it; run `chmod {fix} {path}`"
    )]
    Exposed {
        /// The file or folder.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
        /// What they should be.
        fix: &'static str,
    },
    /// Somebody else is writing for too long.
    #[error("the store is busy: another process holds it; try again")]
    Busy,
    /// No space.
    #[error("the store cannot be written: the disk is full; free some space and try again")]
    Full,
    /// A read-only disk or file.
    #[error(
        "the store cannot be written: it is read-only; check the file system and the file's owner"
    )]
    ReadOnly,
    /// Damaged content.
    #[error("the store is damaged ({0}); stop the proxy and restore the store from a backup")]
    Damaged(String),
    /// A name or id that exists already.
    #[error("{0} exists already")]
    Taken(String),
    /// A name or id that does not exist.
    #[error("{0} does not exist")]
    Unknown(String),
    /// The value could not be sealed.
    #[error("the value was not stored: {0}")]
    Seal(#[from] SealError),
    /// Anything else, in the database's words.
    #[error("the store failed: {0}")]
    Failed(String),
}
