//! What this process has written itself holds with the next request. What another process writes
//! is seen by the watch a moment later.

use super::check::{Auth, Inner};
use crate::base::{GrantId, KeyId, TenantId, unix_seconds};
use crate::store::Owner;

/// Something that was written to the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum News {
    /// A key was revoked.
    Revoked(KeyId),
    /// A key ends at this time, in seconds since the Unix epoch, unless it ends before.
    Ends(KeyId, u64),
    /// A tenant was removed with all that it had.
    Removed(TenantId),
    /// What was allowed to a client has ended.
    Ungranted(GrantId),
    /// Something else, such as a secret.
    Other,
}

impl Auth {
    /// Takes note of what was written, before whoever asked for it gets an answer.
    pub fn wrote(&self, news: News) {
        let inner = &self.0;
        // What is being read at this moment may be from before: it is read once more.
        inner.begin_epoch();
        match news {
            News::Revoked(id) => drop(inner.cache.end(id)),
            News::Ends(id, at) => {
                if let Some(entry) = inner.cache.entry(id) {
                    entry.set_expiry(Some(entry.expires_at().min(at)));
                }
                inner.cache.end_expired(unix_seconds());
            }
            News::Removed(tenant) => {
                inner.cache.end_where(|entry| entry.owner == Owner::Tenant(tenant));
                inner.guests.end_where(|known| known.id() == tenant);
                inner.granted.end_where(|known| known.id() == tenant);
            }
            News::Ungranted(grant) => inner.granted.end(&grant),
            News::Other => {}
        }
    }
}

impl Inner {
    /// Begins another epoch, tells it to whoever follows, and gives the ids to read again.
    pub(super) fn begin_epoch(&self) -> Vec<KeyId> {
        let (epoch, ids) = self.cache.next_epoch();
        // Two that begin at a time may come here in another order: it never goes back.
        self.changed.send_modify(|current| *current = (*current).max(epoch));
        ids
    }
}
