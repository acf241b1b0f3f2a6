//! The last word on the audit, in a small file beside the database: whoever puts an older copy of
//! the database in its place, or damages the log of writes that is not yet in it, has to find
//! this file, too, and cannot make one.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use super::super::AuditBook;
use super::connection::beside;

const LENGTH: usize = 3 * 8 + 32;

/// The file. One that cannot be written costs only its own protection.
#[derive(Debug)]
pub(super) struct Witness {
    path: PathBuf,
    file: Mutex<Option<File>>,
}

impl Witness {
    pub(super) fn beside(database: &Path) -> Self {
        Self { path: beside(database, "-head"), file: Mutex::default() }
    }

    /// Notes the book. Not synced: a kill leaves it, and after a loss of power it may lag behind.
    pub(super) fn note(&self, book: &AuditBook) {
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        if file.is_none() {
            let opened = OpenOptions::new()
                .write(true)
                .create(true)
                .truncate(false)
                .mode(0o600)
                .open(&self.path);
            match opened {
                Ok(opened) => *file = Some(opened),
                Err(error) => {
                    tracing::warn!(path = %self.path.display(), %error, "the audit's head is not noted");
                    return;
                }
            }
        }
        let mut bytes = [0; LENGTH];
        for (place, number) in
            bytes.chunks_exact_mut(8).zip([book.chains, book.last_id, book.breaks])
        {
            place.copy_from_slice(&number.to_le_bytes());
        }
        bytes[24..].copy_from_slice(&book.seal);
        if let Some(Err(error)) = file.as_ref().map(|file| file.write_all_at(&bytes, 0)) {
            tracing::warn!(path = %self.path.display(), %error, "the audit's head is not noted");
        }
    }

    /// What was noted last, by any process.
    pub(super) fn read(&self) -> Option<AuditBook> {
        let mut bytes = [0; LENGTH];
        File::open(&self.path).ok()?.read_exact_at(&mut bytes, 0).ok()?;
        let number = |at: usize| bytes[at..at + 8].try_into().map_or(0, u64::from_le_bytes);
        let seal = bytes[24..].try_into().ok()?;
        Some(AuditBook { chains: number(0), last_id: number(8), breaks: number(16), seal })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_noted_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let witness = Witness::beside(&folder.path().join("audit.db"));
        assert_eq!(witness.read(), None);
        for last_id in [7, u64::MAX] {
            let book = AuditBook { chains: 2, last_id, breaks: 1, seal: [9; 32] };
            witness.note(&book);
            assert_eq!(witness.read(), Some(book));
        }
    }
}
