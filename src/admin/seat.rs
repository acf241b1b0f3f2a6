//! How many may watch at a time, so that open streams have a bound.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::problem::Problem;
use crate::audit::NOBODY;
use crate::auth::Caller;
use crate::base::{Fault, KeyId, Kind, TenantId};

/// Streams of one key, of one tenant (the operator without one counts as one), and of all.
const OF_KEY: usize = 8;
const OF_TENANT: usize = 32;
const OF_ALL: usize = 512;
/// After so many seconds it is worth to try again.
const WAIT: u64 = 5;

type Taken = Vec<(TenantId, KeyId)>;

/// Who watches.
#[derive(Debug, Clone, Default)]
pub(super) struct Seats(Arc<Mutex<Taken>>);

impl Seats {
    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place among those who watch.
    pub(super) fn take(&self, caller: &Caller) -> Result<Seat, Problem> {
        let who = (caller.tenant().map_or(NOBODY, |tenant| tenant.id()), caller.key());
        let mut taken = self.taken();
        let of_key = taken.iter().filter(|other| **other == who).count();
        let of_tenant = taken.iter().filter(|other| other.0 == who.0).count();
        if of_key >= OF_KEY || of_tenant >= OF_TENANT || taken.len() >= OF_ALL {
            let kind = Kind::Limited { limit: "event streams", wait: WAIT };
            let words = "too many event streams are open for this key or tenant; close one of them";
            return Err(Fault::client(kind, words).into());
        }
        taken.push(who);
        drop(taken);
        Ok(Seat { seats: self.clone(), who })
    }
}

/// A place; given back when it is dropped.
#[derive(Debug)]
pub(super) struct Seat {
    seats: Seats,
    who: (TenantId, KeyId),
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut taken = self.seats.taken();
        if let Some(at) = taken.iter().position(|other| *other == self.who) {
            taken.swap_remove(at);
        }
    }
}
