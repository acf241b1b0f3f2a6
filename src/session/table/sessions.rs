//! The table of sessions. A session is bound to the tenant, the key and the door that opened it:
//! to anybody else it does not exist.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::super::Level;
use super::super::pointer::{self, Birth, SessionId};
use super::super::state::Session;
use super::super::tape::{Budget, Tapes};
use crate::base::{Clock, KeyId, Map, TenantId, unix_seconds};
use crate::seal::Ring;
use crate::store::SessionRecord;
use crate::wire::{CapSet, Revision};

/// What `initialize` settled.
#[derive(Debug, Clone)]
pub struct Opening {
    /// Whose session.
    pub tenant: TenantId,
    /// Opened with this key.
    pub key: KeyId,
    /// At this path.
    pub door: Arc<str>,
    /// With this revision.
    pub revision: Revision,
    /// With these client capabilities.
    pub capabilities: CapSet,
    /// `clientInfo` as JSON text, `{}` when it was too long to keep. After a restart only name
    /// and version are left of it.
    pub client_info: Arc<str>,
    /// Where the client was when it opened it; not kept over a restart.
    pub address: Option<IpAddr>,
}

/// Why no session was opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// All tenants together have too many.
    #[error("there are too many sessions")]
    TooMany,
    /// This key has too many.
    #[error("this key has too many sessions")]
    TooManyOfKey,
    /// The system has no randomness to give.
    #[error("the system gives no random bytes")]
    Random,
}

/// What every session of the process shares.
#[derive(Debug)]
pub(in crate::session) struct Surroundings {
    pub(in crate::session) clock: Arc<Clock>,
    ring: Arc<Ring>,
    /// Longest time without a request, in seconds.
    idle: AtomicU32,
    /// Differs for each start, so that event ids of an earlier one are unknown.
    process: u32,
    budget: Arc<Budget>,
}

impl Surroundings {
    /// Longest time without a request, in seconds.
    pub(in crate::session) fn idle(&self) -> u32 {
        self.idle.load(Ordering::Relaxed)
    }

    #[expect(clippy::unused_self, reason = "time belongs to the surroundings")]
    pub(in crate::session) fn unix_now(&self) -> u64 {
        unix_seconds()
    }

    pub(in crate::session) fn new_tapes(&self) -> Tapes {
        Tapes::new(self.process, self.budget.clone())
    }

    /// How much older than the truth a time of use in the store may be, in seconds.
    fn slack(&self) -> u32 {
        self.batch() + 2
    }

    /// Times of use are written when they are this old, in seconds.
    pub(in crate::session) fn batch(&self) -> u32 {
        (self.idle() / 8).clamp(1, 120)
    }

    pub(in crate::session) fn keep_until(&self, birth: &Birth, used_at: u64) -> u64 {
        used_at + u64::from(birth.lives) + u64::from(self.slack())
    }

    /// Whether a session that was used then may still be taken up.
    fn is_alive(&self, birth: &Birth, used_at: u64) -> bool {
        let lives = u64::from(birth.lives.min(self.idle())) + u64::from(self.slack());
        self.unix_now() <= used_at.max(birth.made_at).saturating_add(lives)
    }

    pub(in crate::session) fn seal_state(
        &self,
        id: &SessionId,
        opening: &Opening,
        level: Option<Level>,
        subscriptions: &BTreeSet<String>,
    ) -> Option<String> {
        if level.is_none() && subscriptions.is_empty() {
            return Some(String::new());
        }
        let state = (level.map(Level::as_str), subscriptions);
        let text = serde_json::to_vec(&state).ok()?;
        self.ring.seal_handle(STATE, &place(id, opening.tenant), &text).ok()
    }

    fn open_state(
        &self,
        id: &SessionId,
        tenant: TenantId,
        state: &str,
    ) -> Option<(Option<Level>, BTreeSet<String>)> {
        if state.is_empty() {
            return Some((None, BTreeSet::new()));
        }
        let text = self.ring.open_handle(STATE, &place(id, tenant), state).ok()?;
        let (level, subscriptions): (Option<String>, BTreeSet<String>) =
            serde_json::from_slice(&text).ok()?;
        Some((level.as_deref().and_then(Level::parse), subscriptions))
    }
}

const STATE: &str = "session state";

fn place(id: &SessionId, tenant: TenantId) -> [u8; 32] {
    let mut place = [0; 32];
    place[..16].copy_from_slice(tenant.as_bytes());
    place[16..].copy_from_slice(id.as_bytes());
    place
}

const SHARDS: usize = 32;
/// About so many sessions are looked over at a time.
const LOOKED: usize = 4_096;
/// Sessions of all tenants together.
const MOST: usize = 200_000;
/// Sessions of one key.
pub(super) const MOST_OF_KEY: usize = 10_000;

type Shard = Map<Arc<str>, Arc<Session>>;

/// All sessions of this process.
#[derive(Debug)]
pub struct Sessions {
    shards: [Mutex<Shard>; SHARDS],
    /// Which of them is looked over next.
    next: AtomicUsize,
    count: AtomicUsize,
    of_keys: Mutex<Map<(TenantId, KeyId), usize>>,
    around: Arc<Surroundings>,
}

/// A pointer that was read: the session that it names may live or not.
#[derive(Debug)]
pub struct Pointed {
    pub(super) birth: Birth,
    opening: Opening,
}

impl Pointed {
    /// What names the session.
    #[must_use]
    pub fn id(&self) -> &SessionId {
        &self.birth.id
    }
}

impl Sessions {
    /// An empty table. `idle` is the longest time without a request, in seconds.
    #[must_use]
    pub fn new(clock: Arc<Clock>, ring: Arc<Ring>, idle: u32) -> Self {
        let mut process = [0; 4];
        // Without randomness the time tells starts apart well enough: these ids guard nothing.
        let process = match getrandom::fill(&mut process) {
            Ok(()) => u32::from_le_bytes(process),
            Err(_) => unix_seconds() as u32,
        };
        let around = Surroundings {
            clock,
            ring,
            idle: AtomicU32::new(idle),
            process,
            budget: Arc::default(),
        };
        Self {
            shards: Default::default(),
            next: AtomicUsize::new(0),
            count: AtomicUsize::new(0),
            of_keys: Mutex::default(),
            around: Arc::new(around),
        }
    }

    /// Changes the longest time without a request, in seconds. Sessions that are open keep to it
    /// from now on; one that is taken up after a restart keeps to the shorter of this and what
    /// held when it was opened.
    pub fn set_idle(&self, idle: u32) {
        self.around.idle.store(idle, Ordering::Relaxed);
    }

    /// Opens a session. Nothing is written for it.
    ///
    /// # Errors
    /// When there are too many, or the system gives no random bytes.
    pub fn open(&self, opening: Opening) -> Result<Arc<Session>, Refused> {
        let around = &self.around;
        let (birth, pointer) =
            pointer::mint(&around.ring, &opening, around.idle(), around.unix_now())
                .ok_or(Refused::Random)?;
        let pointer: Arc<str> = pointer.into();
        Ok(self.insert(Session::new(birth, pointer, opening, around))?.0)
    }

    /// Finds a session for whoever opened it, at the door where it was opened. Unknown, ended and
    /// foreign ones look the same.
    #[must_use]
    pub fn find(
        &self,
        pointer: &str,
        tenant: &TenantId,
        key: &KeyId,
        door: &str,
    ) -> Option<Arc<Session>> {
        let session = self.shard(pointer)?.get(pointer)?.clone();
        let opening = session.opening();
        let own = opening.tenant == *tenant && opening.key == *key && *opening.door == *door;
        if !own {
            return None;
        }
        session.use_now();
        Some(session)
    }

    /// Reads the pointer of a session that is not in memory: one of an earlier process, or one
    /// that has ended. None for everything that was not made for this caller at this door.
    #[must_use]
    pub fn read(
        &self,
        pointer: &str,
        tenant: TenantId,
        key: KeyId,
        door: &Arc<str>,
    ) -> Option<Pointed> {
        let now = self.around.unix_now();
        let (birth, opening) = pointer::read(&self.around.ring, tenant, key, door, pointer, now)?;
        Some(Pointed { birth, opening })
    }

    /// Takes a session up again with what the store knows of it; gives whether it was this call
    /// that did. None when it has ended or was idle for too long.
    ///
    /// # Errors
    /// When there are too many sessions.
    pub fn restore(
        &self,
        pointer: &str,
        pointed: Pointed,
        known: Option<&SessionRecord>,
    ) -> Result<Option<(Arc<Session>, bool)>, Refused> {
        let Pointed { birth, opening } = pointed;
        let used_at = known.map_or(birth.made_at, |record| record.used_at);
        if known.is_some_and(|record| record.ended) || !self.around.is_alive(&birth, used_at) {
            return Ok(None);
        }
        let state = known.map_or("", |record| record.state.as_str());
        let Some((level, subscriptions)) = self.around.open_state(&birth.id, opening.tenant, state)
        else {
            tracing::warn!("the stored state of a session does not open; the session has ended");
            return Ok(None);
        };
        let session = Session::new(birth, pointer.into(), opening, &self.around);
        session.restore(level, subscriptions);
        Ok(Some(self.insert(session)?))
    }

    /// Ends a session; false when it had ended before.
    pub fn end(&self, session: &Session) -> bool {
        let removed = self
            .shard(session.pointer())
            .is_some_and(|mut shard| shard.remove(session.pointer()).is_some());
        if removed {
            self.gone(session);
        }
        removed
    }

    /// Ends every session that was not used for too long and has nothing running; gives them, so
    /// that their subscriptions can be taken back, and those for which it is time that the store
    /// hears of their use. Of very many it looks over a part, each time the next one.
    #[must_use]
    pub fn sweep(&self) -> (Vec<Arc<Session>>, Vec<Arc<Session>>) {
        let (mut idle, mut unwritten, mut looked) = (Vec::new(), Vec::new(), 0);
        let most = self.around.batch();
        for _ in 0..SHARDS {
            if looked >= LOOKED {
                break;
            }
            let at = self.next.fetch_add(1, Ordering::Relaxed) % SHARDS;
            let mut shard = self.shards[at].lock().unwrap_or_else(PoisonError::into_inner);
            looked += shard.len();
            shard.retain(|_, session| {
                session.expire_tapes();
                // Streams hold the session too: an open one keeps it alive.
                if Arc::strong_count(session) > 1 {
                    session.use_now();
                }
                let keep = session.idle_for() <= self.around.idle();
                if !keep {
                    idle.push(session.clone());
                } else if session.is_unwritten(most) {
                    unwritten.push(session.clone());
                }
                keep
            });
        }
        for session in &idle {
            self.gone(session);
        }
        (idle, unwritten)
    }

    /// Ends the sessions of a key, which is no longer good.
    pub fn end_of_key(&self, tenant: TenantId, key: KeyId) -> Vec<Arc<Session>> {
        self.end_where(|session| session.opening().tenant == tenant && session.opening().key == key)
    }

    /// Sessions that were used and of which the store does not know that.
    #[must_use]
    pub fn unwritten(&self) -> Vec<Arc<Session>> {
        let mut found = Vec::new();
        for shard in &self.shards {
            let shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
            found.extend(shard.values().filter(|session| session.is_unwritten(0)).cloned());
        }
        found
    }

    /// The sessions of a tenant. Looks at all sessions: not for each request.
    #[must_use]
    pub fn of_tenant(&self, tenant: TenantId) -> Vec<Arc<Session>> {
        let mut found = Vec::new();
        for shard in &self.shards {
            let shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
            let own = shard.values().filter(|session| session.opening().tenant == tenant);
            found.extend(own.cloned());
        }
        found
    }

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }

    /// How many there are of a key.
    #[must_use]
    pub fn count_of(&self, tenant: TenantId, key: KeyId) -> usize {
        self.of_keys().get(&(tenant, key)).copied().unwrap_or(0)
    }

    /// Gives the session of this pointer, and whether it is the one given in.
    fn insert(&self, session: Session) -> Result<(Arc<Session>, bool), Refused> {
        if self.count.load(Ordering::Relaxed) >= MOST {
            return Err(Refused::TooMany);
        }
        let owner = (session.opening().tenant, session.opening().key);
        if self.count_of(owner.0, owner.1) >= MOST_OF_KEY {
            return Err(Refused::TooManyOfKey);
        }
        let Some(mut shard) = self.shard(session.pointer()) else { return Err(Refused::Random) };
        // Whoever was first has it.
        if let Some(first) = shard.get(session.pointer()) {
            return Ok((first.clone(), false));
        }
        let session = Arc::new(session);
        shard.insert(session.pointer().clone(), session.clone());
        drop(shard);
        self.count.fetch_add(1, Ordering::Relaxed);
        *self.of_keys().entry(owner).or_default() += 1;
        Ok((session, true))
    }

    fn end_where(&self, gone: impl Fn(&Arc<Session>) -> bool) -> Vec<Arc<Session>> {
        let mut ended = Vec::new();
        for shard in &self.shards {
            let mut shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
            shard.retain(|_, session| {
                let keep = !gone(session);
                if !keep {
                    ended.push(session.clone());
                }
                keep
            });
        }
        for session in &ended {
            self.gone(session);
        }
        ended
    }

    fn gone(&self, session: &Session) {
        self.count.fetch_sub(1, Ordering::Relaxed);
        let owner = (session.opening().tenant, session.opening().key);
        let mut of_keys = self.of_keys();
        if let Some(count) = of_keys.get_mut(&owner) {
            *count -= 1;
            if *count == 0 {
                of_keys.remove(&owner);
            }
        }
        drop(of_keys);
        session.end();
    }

    pub(super) fn of_keys(&self) -> MutexGuard<'_, Map<(TenantId, KeyId), usize>> {
        self.of_keys.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// None for a text that is too short for a pointer of ours.
    fn shard(&self, pointer: &str) -> Option<MutexGuard<'_, Shard>> {
        // Within the random part of a pointer.
        let [a, b] = *pointer.as_bytes().get(20..22)? else { return None };
        let at = (usize::from(a) << 1 ^ usize::from(b)) % SHARDS;
        Some(self.shards[at].lock().unwrap_or_else(PoisonError::into_inner))
    }
}
