//! Where tasks are found again that this process follows at legacy upstreams for clients of
//! 2026-07-28.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};

use super::handle::unknown;
use crate::base::{Fault, KeyId, Map, TenantId};
use crate::pipeline::answer::Answer;
use crate::pipeline::call::Caller;
use crate::pipeline::finish::Record;
use crate::pipeline::line::{Line, SERVER_INFO_META};
use crate::wire::{Field, Method, Posted, Route, TaskVerb};

/// Tasks that are kept, of everybody. Where there are too many, one that is over gives way.
const MOST: usize = 1_024;
/// Of one tenant.
const MOST_OF_TENANT: usize = 512;
/// Of one key.
const MOST_OF_KEY: usize = 64;
/// Requests about one task that wait for their turn.
pub(super) const ORDERS: usize = 16;
/// Longest wait for an answer of whoever keeps a task.
const PATIENCE: Duration = Duration::from_secs(30);

/// A request about a task that is kept; its answer is the text of a result's members.
#[derive(Debug)]
pub(super) struct Order {
    pub(super) verb: TaskVerb,
    /// `inputResponses` as JSON text.
    pub(super) responses: String,
    pub(super) answer: oneshot::Sender<String>,
}

/// The tasks that this process keeps.
#[derive(Debug)]
pub(in crate::pipeline) struct KeptTasks {
    /// The life of this process: a handle of another one names nothing here.
    boot: [u8; 8],
    spots: Arc<Mutex<Map<[u8; 16], Spot>>>,
}

#[derive(Debug)]
struct Spot {
    tenant: TenantId,
    key: KeyId,
    orders: mpsc::Sender<Order>,
    /// When it was over, counted in tasks.
    over: Option<u64>,
}

/// The place of one task in the table, given back when it is dropped.
#[derive(Debug)]
pub(super) struct Place {
    spots: Arc<Mutex<Map<[u8; 16], Spot>>>,
    pub(super) boot: [u8; 8],
    pub(super) id: [u8; 16],
}

impl Place {
    /// The task is over: its place may be given to one that runs.
    pub(super) fn over(&self) {
        let mut spots = lock(&self.spots);
        let last = spots.values().filter_map(|spot| spot.over).max().unwrap_or(0);
        if let Some(spot) = spots.get_mut(&self.id) {
            spot.over = Some(last + 1);
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        lock(&self.spots).remove(&self.id);
    }
}

impl Default for KeptTasks {
    fn default() -> Self {
        let mut boot = [0; 8];
        // Without random bytes nothing is sealed either, so no handle can name this life.
        let _ = getrandom::fill(&mut boot);
        Self { boot, spots: Arc::default() }
    }
}

impl KeptTasks {
    /// A place for a task of this caller; `None` when there are too many, or no random bytes.
    pub(super) fn keep(&self, caller: &Caller, orders: mpsc::Sender<Order>) -> Option<Place> {
        let (tenant, key) = (caller.principal.tenant().id(), caller.principal.key());
        let mut id = [0; 16];
        getrandom::fill(&mut id).ok()?;
        let mut spots = lock(&self.spots);
        let of_key = |spot: &Spot| spot.tenant == tenant && spot.key == key;
        make_room(&mut spots, MOST_OF_KEY, of_key)?;
        make_room(&mut spots, MOST_OF_TENANT, |spot| spot.tenant == tenant)?;
        // Only what is the tenant's own gives way to it.
        if spots.len() >= MOST {
            let tenants = spots.values().filter(|spot| spot.tenant == tenant).count();
            make_room(&mut spots, tenants, |spot| spot.tenant == tenant)?;
        }
        spots.insert(id, Spot { tenant, key, orders, over: None });
        Some(Place { spots: self.spots.clone(), boot: self.boot, id })
    }

    fn find(&self, boot: [u8; 8], id: [u8; 16], caller: &Caller) -> Option<mpsc::Sender<Order>> {
        let (tenant, key) = (caller.principal.tenant().id(), caller.principal.key());
        let spots = lock(&self.spots);
        let spot = spots.get(&id).filter(|_| boot == self.boot)?;
        (spot.tenant == tenant && spot.key == key).then(|| spot.orders.clone())
    }
}

/// Makes room for one more among those that `counts`; `None` when all of them are at work.
fn make_room(
    spots: &mut Map<[u8; 16], Spot>,
    most: usize,
    counts: impl Fn(&Spot) -> bool,
) -> Option<()> {
    if spots.values().filter(|spot| counts(spot)).count() < most {
        return Some(());
    }
    let over = spots.iter().filter(|(_, spot)| counts(spot));
    let oldest = over.filter_map(|(id, spot)| Some((spot.over?, *id))).min();
    spots.remove(&oldest?.1).map(drop)
}

impl Line {
    /// A request about a task that this process keeps.
    pub(super) async fn kept_task(
        self: &Arc<Self>,
        caller: &Caller,
        posted: &Posted,
        method: &'static Method,
        (boot, id): ([u8; 8], [u8; 16]),
        record: Record,
    ) -> Result<Answer, Fault> {
        let answer = self.order(caller, posted, method, (boot, id)).await;
        record.logged().settled(answer).await
    }

    async fn order(
        &self,
        caller: &Caller,
        posted: &Posted,
        method: &'static Method,
        (boot, id): ([u8; 8], [u8; 16]),
    ) -> Result<Answer, Fault> {
        let Route::Task(verb) = method.route else { return Err(unknown()) };
        let orders = self.kept.find(boot, id, caller).ok_or_else(unknown)?;
        let (answer, answered) = oneshot::channel();
        let responses = posted.raw(Field::InputResponses).unwrap_or("{}").to_owned();
        let placed = async {
            orders.send(Order { verb, responses, answer }).await.ok()?;
            answered.await.ok()
        };
        let members = tokio::time::timeout(PATIENCE, placed)
            .await
            .map_err(|_| Fault::internal("whoever keeps a task does not answer"))?
            .ok_or_else(unknown)?;
        let comma = if members.is_empty() { "" } else { "," };
        let result = format!("{{{SERVER_INFO_META}\"resultType\":\"complete\"{comma}{members}}}");
        Ok(Answer::result(posted.id_text(), &result))
    }
}

fn lock(spots: &Mutex<Map<[u8; 16], Spot>>) -> MutexGuard<'_, Map<[u8; 16], Spot>> {
    spots.lock().unwrap_or_else(PoisonError::into_inner)
}
