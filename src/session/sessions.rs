//! The table of sessions. A session is bound to the tenant, the key and the door that opened it:
//! to anybody else it does not exist.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::sync::atomic::{AtomicU8, AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio_util::sync::CancellationToken;

use super::Level;
use crate::base::{Clock, KeyId, Map, TenantId};
use crate::wire::{CapSet, Revision};

/// 128 random bits, written as 32 hex digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct SessionId([u8; 16]);

impl SessionId {
    fn random() -> Option<Self> {
        let mut bytes = [0; 16];
        getrandom::fill(&mut bytes).ok()?;
        Some(Self(bytes))
    }

    fn parse(text: &str) -> Option<Self> {
        let digits = text.as_bytes();
        if digits.len() != 32 {
            return None;
        }
        let nibble = |digit: u8| match digit {
            b'0'..=b'9' => Some(digit - b'0'),
            b'a'..=b'f' => Some(digit - b'a' + 10),
            _ => None,
        };
        let mut bytes = [0; 16];
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
            *byte = nibble(pair[0])? << 4 | nibble(pair[1])?;
        }
        Some(Self(bytes))
    }

    /// The text that the client sends back.
    #[must_use]
    pub fn text(&self) -> String {
        self.0.iter().fold(String::with_capacity(32), |mut text, byte| {
            // Writing to a String cannot fail.
            let _ = write!(text, "{byte:02x}");
            text
        })
    }
}

impl std::fmt::Debug for SessionId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Whoever reads a log must not be able to take a session over.
        f.write_str("SessionId(…)")
    }
}

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
    /// `clientInfo` as JSON text, `{}` when it was too long to keep.
    pub client_info: Box<str>,
}

/// One session.
#[derive(Debug)]
pub struct Session {
    id: SessionId,
    opening: Opening,
    used: AtomicU32,
    level: AtomicU8,
    ended: CancellationToken,
    live: Mutex<Live>,
}

/// What most sessions never need, so that an idle one stays small.
#[derive(Debug, Default)]
struct Live {
    calls: Vec<(Box<str>, CancellationToken)>,
    subscriptions: BTreeSet<String>,
}

impl Session {
    /// Its id.
    #[must_use]
    pub fn id(&self) -> &SessionId {
        &self.id
    }

    /// What `initialize` settled.
    #[must_use]
    pub fn opening(&self) -> &Opening {
        &self.opening
    }

    /// Fires when the session has ended.
    #[must_use]
    pub fn ended(&self) -> &CancellationToken {
        &self.ended
    }

    /// The level of `logging/setLevel`; `None` before the first.
    #[must_use]
    pub fn level(&self) -> Option<Level> {
        Level::from_byte(self.level.load(Ordering::Relaxed))
    }

    /// Remembers the level of `logging/setLevel`.
    pub fn set_level(&self, level: Level) {
        self.level.store(level as u8, Ordering::Relaxed);
    }

    /// Registers a running call under the client's own id, as JSON text. The token fires when
    /// the client cancels it; dropping the guard forgets the call.
    #[must_use]
    pub fn begin(self: &Arc<Self>, id: &str) -> Running {
        // The end of the session is the end of its calls (R45).
        let token = self.ended.child_token();
        self.live().calls.push((id.into(), token.clone()));
        Running { session: self.clone(), id: id.into(), token }
    }

    /// `notifications/cancelled`: true when such a call was running.
    pub fn cancel(&self, id: &str) -> bool {
        let live = self.live();
        let call = live.calls.iter().find(|(running, _)| **running == *id);
        call.inspect(|(_, token)| token.cancel()).is_some()
    }

    /// How many resources it follows.
    #[must_use]
    pub fn subscription_count(&self) -> usize {
        self.live().subscriptions.len()
    }

    /// Remembers a subscription; false when it was there already.
    pub fn subscribe(&self, uri: &str) -> bool {
        self.live().subscriptions.insert(uri.to_owned())
    }

    /// Forgets a subscription; false when there was none.
    pub fn unsubscribe(&self, uri: &str) -> bool {
        self.live().subscriptions.remove(uri)
    }

    /// True when an update of `uri` concerns this session; a resource below a subscribed one
    /// counts too.
    #[must_use]
    pub fn follows(&self, uri: &str) -> bool {
        self.live().subscriptions.iter().any(|subscribed| super::covers(subscribed, uri))
    }

    /// Takes all subscriptions out, when the session ends.
    #[must_use]
    pub fn take_subscriptions(&self) -> BTreeSet<String> {
        std::mem::take(&mut self.live().subscriptions)
    }

    fn live(&self) -> MutexGuard<'_, Live> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A running call of a session.
#[derive(Debug)]
pub struct Running {
    session: Arc<Session>,
    id: Box<str>,
    token: CancellationToken,
}

impl Running {
    /// Fires when the client cancels the call.
    #[must_use]
    pub fn cancelled(&self) -> &CancellationToken {
        &self.token
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let mut live = self.session.live();
        if let Some(at) = live.calls.iter().position(|(id, _)| *id == self.id) {
            live.calls.swap_remove(at);
        }
    }
}

const SHARDS: usize = 32;
/// Sessions of all tenants together.
const MOST: usize = 200_000;
/// No level was set: nothing is filtered.
const UNSET: u8 = u8::MAX;

type Shard = Map<SessionId, Arc<Session>>;

/// All sessions of this process.
#[derive(Debug)]
pub struct Sessions {
    shards: [Mutex<Shard>; SHARDS],
    count: AtomicUsize,
    clock: Arc<Clock>,
}

impl Sessions {
    /// An empty table.
    #[must_use]
    pub fn new(clock: Arc<Clock>) -> Self {
        Self { shards: Default::default(), count: AtomicUsize::new(0), clock }
    }

    /// Opens a session; `None` when there are too many, or the system gives no random bytes.
    #[must_use]
    pub fn open(&self, opening: Opening) -> Option<Arc<Session>> {
        if self.count.load(Ordering::Relaxed) >= MOST {
            return None;
        }
        let id = SessionId::random()?;
        let session = Arc::new(Session {
            id,
            opening,
            used: AtomicU32::new(self.clock.seconds()),
            level: AtomicU8::new(UNSET),
            ended: CancellationToken::new(),
            live: Mutex::default(),
        });
        self.shard(&id).insert(id, session.clone());
        self.count.fetch_add(1, Ordering::Relaxed);
        Some(session)
    }

    /// Finds a session for whoever opened it, at the door where it was opened. Unknown, ended and
    /// foreign ones look the same.
    #[must_use]
    pub fn find(
        &self,
        text: &str,
        tenant: &TenantId,
        key: &KeyId,
        door: &str,
    ) -> Option<Arc<Session>> {
        let id = SessionId::parse(text)?;
        let session = self.shard(&id).get(&id)?.clone();
        let opening = &session.opening;
        let own = opening.tenant == *tenant && opening.key == *key && *opening.door == *door;
        if !own {
            return None;
        }
        session.used.store(self.clock.seconds(), Ordering::Relaxed);
        Some(session)
    }

    /// Ends a session.
    pub fn end(&self, session: &Session) {
        if self.shard(&session.id).remove(&session.id).is_some() {
            self.count.fetch_sub(1, Ordering::Relaxed);
        }
        session.ended.cancel();
    }

    /// Ends every session that was not used for `idle` seconds and has nothing running, and
    /// every one that `gone` names; gives them, so that their subscriptions can be taken back.
    pub fn sweep(&self, idle: u32, gone: impl Fn(&Opening) -> bool) -> Vec<Arc<Session>> {
        let now = self.clock.seconds();
        let mut ended = Vec::new();
        for shard in &self.shards {
            let mut shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
            shard.retain(|_, session| {
                let idle_for = now.saturating_sub(session.used.load(Ordering::Relaxed));
                // Streams hold the session too: an open one keeps it alive.
                let expired = idle_for > idle && Arc::strong_count(session) == 1;
                let keep = !expired && !gone(&session.opening);
                if !keep {
                    ended.push(session.clone());
                }
                keep
            });
        }
        self.count.fetch_sub(ended.len(), Ordering::Relaxed);
        for session in &ended {
            session.ended.cancel();
        }
        ended
    }

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }

    fn shard(&self, id: &SessionId) -> MutexGuard<'_, Shard> {
        self.shards[usize::from(id.0[0]) % SHARDS].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn opening() -> Opening {
        Opening {
            tenant: TenantId::from_bytes([1; 16]),
            key: "aaaaaaaaaa".parse().unwrap(),
            door: Arc::from("/mcp"),
            revision: Revision::V2025_11_25,
            capabilities: CapSet::NONE,
            client_info: "{}".into(),
        }
    }

    #[test]
    fn a_session_exists_only_for_who_opened_it() {
        let sessions = Sessions::new(Arc::new(Clock::default()));
        let opening = opening();
        let session = sessions.open(opening.clone()).unwrap();
        let text = session.id().text();
        let (tenant, key) = (opening.tenant, opening.key);
        assert!(sessions.find(&text, &tenant, &key, "/mcp").is_some());
        let other: KeyId = "bbbbbbbbbb".parse().unwrap();
        assert!(sessions.find(&text, &tenant, &other, "/mcp").is_none());
        assert!(sessions.find(&text, &TenantId::from_bytes([2; 16]), &key, "/mcp").is_none());
        assert!(sessions.find(&text, &tenant, &key, "/mcp/gh").is_none());
        assert!(sessions.find(&text.to_uppercase(), &tenant, &key, "/mcp").is_none());
        sessions.end(&session);
        assert!(sessions.find(&text, &tenant, &key, "/mcp").is_none());
        assert!(session.ended().is_cancelled());
        assert_eq!(sessions.count(), 0);
    }

    #[test]
    fn calls_are_cancelled_by_the_clients_own_id() {
        let sessions = Sessions::new(Arc::new(Clock::default()));
        let session = sessions.open(opening()).unwrap();
        let running = session.begin("\"a\"");
        assert!(!session.cancel("1"));
        assert!(session.cancel("\"a\""));
        assert!(running.cancelled().is_cancelled());
        drop(running);
        assert!(!session.cancel("\"a\""));
    }

    #[tokio::test(start_paused = true)]
    async fn idle_sessions_end_and_used_ones_stay() {
        let clock = Arc::new(Clock::default());
        let sessions = Sessions::new(clock.clone());
        let idle = sessions.open(opening()).unwrap().id().text();
        let used = sessions.open(opening()).unwrap().id().text();
        tokio::time::advance(std::time::Duration::from_secs(50)).await;
        clock.tick();
        let find = |text: &str| sessions.find(text, &opening().tenant, &opening().key, "/mcp");
        assert!(find(&used).is_some());
        tokio::time::advance(std::time::Duration::from_secs(20)).await;
        clock.tick();
        assert_eq!(sessions.sweep(60, |_| false).len(), 1);
        assert!(find(&idle).is_none());
        assert!(find(&used).is_some());
        assert_eq!(sessions.sweep(60, |_| true).len(), 1);
        assert_eq!(sessions.count(), 0);
    }
}
