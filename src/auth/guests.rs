//! Callers that are made of something else than a key alone: by a token, or by a key of the
//! operator that acts for a tenant. They live no longer than what is behind them.

use std::collections::BTreeSet;
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use super::principal::{Caller, TenantInfo};
use crate::base::{Map, Name, TenantId};
use crate::seal::Digest;

/// Guests kept. Those with an open request or stream stay beyond it, or nobody could end them.
const MOST: usize = 20_000;

#[derive(Debug)]
struct Guest {
    caller: Caller,
    /// Seconds since the Unix epoch; the largest number when nothing but its key ends it.
    expires_at: u64,
}

/// Guests by the digest of what they showed.
#[derive(Debug, Default)]
pub(super) struct Guests(RwLock<Map<Digest, Guest>>);

impl Guests {
    fn read(&self) -> RwLockReadGuard<'_, Map<Digest, Guest>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Map<Digest, Guest>> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// The guest who showed this, if it is known and still good at `now`.
    pub(super) fn get(&self, shown: &Digest, now: u64) -> Option<Caller> {
        let guests = self.read();
        let guest = guests.get(shown)?;
        let good = guest.expires_at > now && !guest.caller.ended().is_cancelled();
        good.then(|| guest.caller.clone())
    }

    /// Keeps a guest and gives the one that holds: whoever was first.
    pub(super) fn keep(
        &self,
        shown: Digest,
        caller: Caller,
        expires_at: Option<u64>,
        now: u64,
    ) -> Caller {
        let mut guests = self.write();
        if let Some(known) = guests.get(&shown)
            && known.expires_at > now
            && !known.caller.ended().is_cancelled()
        {
            return known.caller.clone();
        }
        if guests.len() >= MOST {
            guests.retain(|_, guest| guest.caller.in_use());
        }
        let expires_at = expires_at.unwrap_or(u64::MAX);
        guests.insert(shown, Guest { caller: caller.clone(), expires_at });
        caller
    }

    /// Ends those whose time has come, and forgets those that have ended.
    pub(super) fn end_expired(&self, now: u64) {
        let over = |guest: &Guest| guest.expires_at <= now || guest.caller.ended().is_cancelled();
        if !self.read().values().any(over) {
            return;
        }
        self.write().retain(|_, guest| {
            let over = over(guest);
            if over {
                guest.caller.ended().cancel();
            }
            !over
        });
    }

    /// Ends everybody for whom `gone` holds.
    pub(super) fn end_where(&self, gone: impl Fn(&TenantInfo) -> bool) {
        self.write().retain(|_, guest| {
            let over = guest.caller.tenant().is_some_and(|tenant| gone(tenant));
            if over {
                guest.caller.ended().cancel();
            }
            !over
        });
    }

    /// Ends everybody.
    pub(super) fn end_all(&self) {
        for (_, guest) in self.write().drain() {
            guest.caller.ended().cancel();
        }
    }

    /// The tenants that they act for.
    pub(super) fn tenants(&self) -> BTreeSet<(Name, TenantId)> {
        let guests = self.read();
        let tenants = guests.values().filter_map(|guest| guest.caller.tenant());
        tenants.map(|tenant| (tenant.name().clone(), tenant.id())).collect()
    }
}
