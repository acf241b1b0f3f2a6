//! Where calls of modern clients are found again that wait at a legacy upstream.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{mpsc, oneshot};

use super::answer::Answer;
use super::call::Caller;
use super::finish::Record;
use super::line::Line;
use super::state::refused;
use crate::audit::Outcome;
use crate::base::{Fault, KeyId, Kind, Map, Retry, TenantId};
use crate::session::Level;
use crate::wire::{CapSet, Field, IdText, MetaKey, Method, NameKind, Posted, Route};

/// Calls that wait, of everybody.
const MOST: usize = 1_024;
/// Of one tenant.
const MOST_OF_TENANT: usize = 512;
/// Of one key.
const MOST_OF_KEY: usize = 64;
/// Retries that one call has not taken yet: the first is served, others are replays.
pub(super) const RETRIES: usize = 4;

/// A client that comes back to its call.
#[derive(Debug)]
pub(super) struct Comeback {
    /// The round that it answers.
    pub(super) round: u32,
    /// The id of this request as JSON text.
    pub(super) id: IdText,
    /// Its progress token as JSON text.
    pub(super) token: Option<String>,
    /// Its log level.
    pub(super) level: Option<Level>,
    /// Which questions it can be asked.
    pub(super) declares: CapSet,
    /// `inputResponses` as JSON text.
    pub(super) responses: String,
    /// Ends with its answer.
    pub(super) record: Option<Record>,
    /// Where its answer goes.
    pub(super) answer: oneshot::Sender<Result<Answer, Fault>>,
}

/// The calls that wait in this process.
#[derive(Debug)]
pub(super) struct Parks {
    /// The life of this process: a state of another one names nothing here.
    boot: [u8; 8],
    spots: Arc<Mutex<Map<[u8; 16], Spot>>>,
}

#[derive(Debug)]
struct Spot {
    tenant: TenantId,
    key: KeyId,
    comebacks: mpsc::Sender<Comeback>,
}

/// The place of one call in the table, given back when it is dropped.
#[derive(Debug)]
pub(super) struct Parked {
    spots: Arc<Mutex<Map<[u8; 16], Spot>>>,
    pub(super) boot: [u8; 8],
    pub(super) id: [u8; 16],
}

impl Drop for Parked {
    fn drop(&mut self) {
        lock(&self.spots).remove(&self.id);
    }
}

impl Default for Parks {
    fn default() -> Self {
        let mut boot = [0; 8];
        // Without random bytes nothing is sealed either, so no state can name this life.
        let _ = getrandom::fill(&mut boot);
        Self { boot, spots: Arc::default() }
    }
}

impl Parks {
    /// A place for a call of this caller; `None` when there are too many, or no random bytes.
    pub(super) fn park(
        &self,
        caller: &Caller,
        comebacks: mpsc::Sender<Comeback>,
    ) -> Option<Parked> {
        let (tenant, key) = (caller.principal.tenant().id(), caller.principal.key());
        let mut id = [0; 16];
        getrandom::fill(&mut id).ok()?;
        let mut spots = lock(&self.spots);
        let of_tenant = spots.values().filter(|spot| spot.tenant == tenant);
        let (all, own) = of_tenant
            .fold((0, 0), |(all, own), spot| (all + 1, own + usize::from(spot.key == key)));
        if spots.len() >= MOST || all >= MOST_OF_TENANT || own >= MOST_OF_KEY {
            return None;
        }
        spots.insert(id, Spot { tenant, key, comebacks });
        Some(Parked { spots: self.spots.clone(), boot: self.boot, id })
    }

    fn find(&self, boot: [u8; 8], id: [u8; 16]) -> Option<mpsc::Sender<Comeback>> {
        let known = boot == self.boot;
        known.then(|| lock(&self.spots).get(&id).map(|spot| spot.comebacks.clone())).flatten()
    }
}

impl Line {
    /// Brings a retry to the call that waits for it, and its answer back. The seal has said that
    /// it is of the same caller and for the same call.
    pub(super) async fn come_back(
        &self,
        caller: &Caller,
        posted: &Posted,
        method: &'static Method,
        (boot, id, round): ([u8; 8], [u8; 16], u32),
        record: &mut Option<Record>,
    ) -> Result<Answer, Fault> {
        let comebacks = self.parks.find(boot, id).ok_or_else(|| lost(method))?;
        if let Some(record) = record {
            // A replay is refused; a call that has ended meanwhile takes no answers.
            record.if_dropped(Outcome::Refused);
        }
        let (answer, answered) = oneshot::channel();
        let comeback = Comeback {
            round,
            id: IdText::new(posted.id_text()),
            token: posted.meta_raw(MetaKey::ProgressToken).map(str::to_owned),
            level: caller.level,
            declares: caller.takes(method),
            responses: posted.raw(Field::InputResponses).unwrap_or("{}").to_owned(),
            record: record.take(),
            answer,
        };
        comebacks.try_send(comeback).map_err(|error| match error {
            mpsc::error::TrySendError::Full(back) => {
                *record = back.record;
                refused()
            }
            mpsc::error::TrySendError::Closed(back) => {
                *record = back.record;
                lost(method)
            }
        })?;
        answered.await.unwrap_or_else(|_| Err(lost(method)))
    }
}

/// Nobody knows the call any more. It is never made again: what it did may have had effects (R39).
fn lost(method: &Method) -> Fault {
    let sentence =
        "The question has expired; call the tool again. What ran before may have had effects.";
    if method.route == Route::Name(NameKind::Tool) {
        Fault::upstream(Retry::MayHaveRun, sentence)
    } else {
        Fault::client(Kind::InvalidParams, "The question has expired; send the request again")
    }
}

fn lock(spots: &Mutex<Map<[u8; 16], Spot>>) -> MutexGuard<'_, Map<[u8; 16], Spot>> {
    spots.lock().unwrap_or_else(PoisonError::into_inner)
}
