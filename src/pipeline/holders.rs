//! Keys that hold something open. When a key is no longer good, its sessions end with it; and one
//! key alone cannot take everything.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::auth::Principal;
use crate::base::{Fault, KeyId, Kind, Map, TenantId};

/// Listens of one key that may be open at a time.
const LISTENS: usize = 256;

/// Every key that has a session or a listen.
#[derive(Debug, Default)]
pub(super) struct Holders(Mutex<Map<(TenantId, KeyId), Holder>>);

#[derive(Debug)]
struct Holder {
    /// Holding it keeps it under watch.
    principal: Principal,
    listens: Arc<()>,
}

/// One open listen; counted as long as it lives.
#[derive(Debug)]
pub(super) struct Place(#[expect(dead_code, reason = "it counts by being there")] Arc<()>);

impl Holders {
    /// From now on the end of this key is noticed.
    pub(super) fn hold(&self, principal: &Principal) {
        let principal = principal.lasting();
        self.all()
            .entry((principal.tenant().id(), principal.key()))
            .and_modify(|holder| {
                if holder.principal.ended().is_cancelled() {
                    holder.principal = principal.clone();
                }
            })
            .or_insert_with(|| Holder { principal: principal.clone(), listens: Arc::default() });
    }

    /// A place for one more listen of this key.
    ///
    /// # Errors
    /// When it has too many.
    pub(super) fn listen(&self, principal: &Principal) -> Result<Place, Fault> {
        self.hold(principal);
        let all = self.all();
        let holder = all.get(&(principal.tenant().id(), principal.key()));
        let listens = holder.map(|holder| holder.listens.clone()).unwrap_or_default();
        // Under the lock, so that nobody else counts meanwhile: the holder's own and this one.
        if Arc::strong_count(&listens) - 2 >= LISTENS {
            let sentence = format!(
                "This key has {LISTENS} subscriptions/listen open, which is the most; close one first"
            );
            return Err(Fault::client(Kind::Busy, sentence));
        }
        Ok(Place(listens))
    }

    /// Keys that have ended since the last look. Those that hold nothing are forgotten.
    pub(super) fn ended(
        &self,
        has_sessions: impl Fn(TenantId, KeyId) -> bool,
    ) -> Vec<(TenantId, KeyId)> {
        let mut ended = Vec::new();
        self.all().retain(|(tenant, key), holder| {
            if holder.principal.ended().is_cancelled() {
                ended.push((*tenant, *key));
                return false;
            }
            Arc::strong_count(&holder.listens) > 1 || has_sessions(*tenant, *key)
        });
        ended
    }

    fn all(&self) -> MutexGuard<'_, Map<(TenantId, KeyId), Holder>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn listens_are_counted_for_each_key_and_given_back() {
        let holders = Holders::default();
        let tenant = TenantId::from_bytes([1; 16]);
        let one = Principal::for_test(tenant, "acme", "aaaaaaaaaa");
        let mut places: Vec<Place> = (0..LISTENS).map(|_| holders.listen(&one).unwrap()).collect();
        assert_eq!(holders.listen(&one).unwrap_err().kind, Kind::Busy);
        let two = Principal::for_test(tenant, "acme", "bbbbbbbbbb");
        assert!(holders.listen(&two).is_ok());
        places.pop();
        places.push(holders.listen(&one).unwrap());
        assert!(holders.ended(|_, _| false).is_empty());
        one.ended().cancel();
        assert_eq!(holders.ended(|_, _| false), [(tenant, one.key())]);
        assert!(holders.ended(|_, _| true).is_empty(), "told once");
    }
}
