//! One session: what `initialize` settled, what the client has changed since, and what runs.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::Level;
use super::pointer::{Birth, SessionId};
use super::questions::Questions;
use super::table::{Opening, Surroundings};
use super::tape::{Item, Tapes};
use crate::store::SessionRecord;
use crate::wire::IdText;

/// No level was set: nothing is filtered.
const UNSET: u8 = u8::MAX;
/// Never written to the store.
const NEVER: u32 = u32::MAX;

/// What became of a wish to follow a resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Followed {
    /// It is followed from now on.
    New,
    /// It was followed before.
    Before,
    /// The session has ended meanwhile.
    Ended,
}

/// One session.
#[derive(Debug)]
pub struct Session {
    birth: Birth,
    pointer: Arc<str>,
    opening: Opening,
    around: Arc<Surroundings>,
    used: AtomicU32,
    /// The time of use that the store knows.
    written: AtomicU32,
    level: AtomicU8,
    ended: CancellationToken,
    live: Mutex<Live>,
    /// Whether there is anything on tape, so that most sessions need no look.
    taped: AtomicBool,
    tapes: Mutex<Option<Box<Tapes>>>,
}

/// What most sessions never need, so that an idle one stays small.
#[derive(Debug, Default)]
struct Live {
    questions: Questions,
    calls: Vec<(IdText, CancellationToken)>,
    subscriptions: BTreeSet<String>,
    closed: bool,
}

impl Session {
    pub(super) fn new(
        birth: Birth,
        pointer: Arc<str>,
        opening: Opening,
        around: &Arc<Surroundings>,
    ) -> Self {
        Self {
            birth,
            pointer,
            opening,
            used: AtomicU32::new(around.clock.seconds()),
            around: around.clone(),
            written: AtomicU32::new(NEVER),
            level: AtomicU8::new(UNSET),
            ended: CancellationToken::new(),
            live: Mutex::default(),
            taped: AtomicBool::new(false),
            tapes: Mutex::default(),
        }
    }

    /// What names it among all sessions. It opens nothing.
    #[must_use]
    pub fn id(&self) -> &SessionId {
        &self.birth.id
    }

    /// What the client sends back.
    #[must_use]
    pub fn pointer(&self) -> &Arc<str> {
        &self.pointer
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
        // No child of the session's token: those share a lock.
        let (id, token) = (IdText::new(id), CancellationToken::new());
        self.live().calls.push((id.clone(), token.clone()));
        if self.ended.is_cancelled() {
            token.cancel();
        }
        Running { session: self.clone(), id, token, early: Early::default() }
    }

    /// The end of the session is the end of its calls (R45), those too that begin now.
    pub(super) fn end(&self) {
        self.ended.cancel();
        for (_, token) in &self.live().calls {
            token.cancel();
        }
    }

    /// `notifications/cancelled`: true when such a call was running.
    pub fn cancel(&self, id: &str) -> bool {
        let live = self.live();
        let call = live.calls.iter().find(|(running, _)| running == id);
        call.inspect(|(_, token)| token.cancel()).is_some()
    }

    /// How many resources it follows.
    #[must_use]
    pub fn subscription_count(&self) -> usize {
        self.live().subscriptions.len()
    }

    /// True when it follows exactly this resource.
    #[must_use]
    pub fn is_subscribed(&self, uri: &str) -> bool {
        self.live().subscriptions.contains(uri)
    }

    /// Remembers a subscription.
    pub fn subscribe(&self, uri: &str) -> Followed {
        let mut live = self.live();
        if live.closed {
            Followed::Ended
        } else if live.subscriptions.insert(uri.to_owned()) {
            Followed::New
        } else {
            Followed::Before
        }
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

    /// What it follows.
    #[must_use]
    pub fn subscriptions(&self) -> BTreeSet<String> {
        self.live().subscriptions.clone()
    }

    /// Takes all subscriptions out, when the session ends; there are no new ones afterwards.
    #[must_use]
    pub fn take_subscriptions(&self) -> BTreeSet<String> {
        let mut live = self.live();
        live.closed = true;
        std::mem::take(&mut live.subscriptions)
    }

    /// Works on the questions that its client has not answered.
    pub(super) fn questions<T>(&self, work: impl FnOnce(&mut Questions) -> T) -> T {
        work(&mut self.live().questions)
    }

    fn live(&self) -> MutexGuard<'_, Live> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn use_now(&self) {
        self.used.store(self.around.clock.seconds(), Ordering::Relaxed);
    }

    /// Seconds since its last use.
    #[must_use]
    pub fn idle_for(&self) -> u32 {
        self.around.clock.seconds().saturating_sub(self.used.load(Ordering::Relaxed))
    }

    /// True when it was used and the store does not know that since `most` seconds.
    pub(super) fn is_unwritten(&self, most: u32) -> bool {
        let used = self.used.load(Ordering::Relaxed);
        match self.written.load(Ordering::Relaxed) {
            // Its pointer says when it was made.
            NEVER => self.around.unix_now().saturating_sub(self.birth.made_at) >= u64::from(most),
            written => used.saturating_sub(written) > most,
        }
    }

    /// Takes up what the store knows; the pointer said the rest.
    pub(super) fn restore(&self, level: Option<Level>, subscriptions: BTreeSet<String>) {
        if let Some(level) = level {
            self.set_level(level);
        }
        self.live().subscriptions = subscriptions;
    }

    /// What the store is to know of it now; none when it has ended.
    pub(super) fn record(&self) -> Option<SessionRecord> {
        let (level, subscriptions) = {
            let live = self.live();
            if live.closed {
                return None;
            }
            (self.level(), live.subscriptions.clone())
        };
        let state = self.around.seal_state(&self.birth.id, &self.opening, level, &subscriptions)?;
        let used = self.used.load(Ordering::Relaxed);
        self.written.store(used, Ordering::Relaxed);
        let used_at = self.around.unix_now().saturating_sub(u64::from(self.idle_for()));
        let keep_until = self.around.keep_until(&self.birth, used_at);
        Some(SessionRecord {
            id: *self.birth.id.as_bytes(),
            used_at,
            state,
            ended: false,
            keep_until,
        })
    }

    /// What the store is to know when it has ended. The row may go when the pointer alone says
    /// that the session was idle for too long.
    pub(super) fn tombstone(&self) -> SessionRecord {
        let keep_until = self.around.keep_until(&self.birth, self.birth.made_at);
        SessionRecord {
            id: *self.birth.id.as_bytes(),
            used_at: self.birth.made_at,
            state: String::new(),
            ended: true,
            keep_until,
        }
    }

    /// Works on its streams.
    pub(super) fn tapes<T>(&self, work: impl FnOnce(&mut Tapes, u32) -> T) -> T {
        let mut tapes = self.tapes.lock().unwrap_or_else(PoisonError::into_inner);
        let tapes = tapes.get_or_insert_with(|| Box::new(self.around.new_tapes()));
        self.taped.store(true, Ordering::Relaxed);
        work(tapes, self.around.clock.seconds())
    }

    /// How long a client that was cut may take to come back, in seconds.
    pub(super) fn grace(&self) -> u32 {
        self.around.idle()
    }

    /// True when it has or had a stream that may still be resumed.
    pub(super) fn is_taped(&self) -> bool {
        self.taped.load(Ordering::Relaxed)
    }

    /// Forgets what was kept for too long.
    pub(super) fn expire_tapes(&self) {
        if !self.is_taped() {
            return;
        }
        let mut kept = self.tapes.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(tapes) = kept.as_mut() {
            tapes.expire(self.around.clock.seconds());
            if tapes.is_empty() {
                *kept = None;
                self.taped.store(false, Ordering::Relaxed);
            }
        }
    }
}

/// The client's end of a stream, and what ends it besides the session.
pub type Begun = (mpsc::Receiver<Item>, CancellationToken);

/// A stream that a running call has begun before its answer is known.
#[derive(Debug, Default)]
struct Early {
    there: AtomicBool,
    begun: Mutex<Option<Begun>>,
}

/// A running call of a session.
#[derive(Debug)]
pub struct Running {
    session: Arc<Session>,
    id: IdText,
    token: CancellationToken,
    early: Early,
}

impl Running {
    /// Fires when the client cancels the call.
    #[must_use]
    pub fn cancelled(&self) -> &CancellationToken {
        &self.token
    }

    /// The session.
    #[must_use]
    pub fn session(&self) -> &Arc<Session> {
        &self.session
    }

    /// The client's id as JSON text.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Hands the client's end of a stream to whoever waits for the call, before it has ended.
    pub fn answer_early(&self, begun: Begun) {
        *self.early.begun.lock().unwrap_or_else(PoisonError::into_inner) = Some(begun);
        self.early.there.store(true, Ordering::Release);
    }

    /// What `answer_early` handed over; costs one look at memory when there is nothing.
    #[must_use]
    pub fn take_early(&self) -> Option<Begun> {
        if !self.early.there.load(Ordering::Acquire) {
            return None;
        }
        self.early.begun.lock().unwrap_or_else(PoisonError::into_inner).take()
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
