//! The pool.

use std::collections::HashMap;
use std::fmt;
use std::future::Future;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock, Weak};
use std::time::Duration;

use tokio::sync::{broadcast, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::health::Health;
use super::lease::{Entry, Lease, LinkState, Outcome};
use super::news::{LinkChange, LinkNews, Teller};
use crate::base::{Clock, Map, Name, Tasks, TenantId, now};
use crate::telemetry::meters;
use crate::telemetry::metrics::LinkEnd;
use crate::upstream::link::{Cause, Link, LinkError, LinkKey};

/// How often idle links are looked for; also how exact the times of use are.
const SWEEP: Duration = Duration::from_secs(2);
/// Most links of one tenant to one upstream that belong to single principals; the one unused for
/// longest goes first.
pub(super) const PRINCIPALS: usize = 64;
/// Most links of one principal to one upstream, each with other client capabilities; the one
/// unused for longest goes first.
pub(super) const SETS: usize = 4;
/// Pauses up to this long are waited out by those who want a link.
const SHORT: Duration = Duration::from_secs(1);

/// One tenant's way to one upstream has one breaker, whatever else is in the keys.
type Place = (Option<TenantId>, Name);

fn place(key: &LinkKey) -> Place {
    (key.tenant, key.upstream.clone())
}

type Entries = Map<LinkKey, Arc<Entry>>;

struct Shared {
    tasks: Tasks,
    clock: Arc<Clock>,
    entries: RwLock<Entries>,
    /// Links that serve nobody new, each with the time at which it is ended in any case.
    retired: Mutex<Vec<(Arc<Entry>, Instant)>>,
    health: Mutex<HashMap<Place, Arc<Health>>>,
    teller: Teller,
    closing: AtomicBool,
}

impl Shared {
    fn write(&self) -> std::sync::RwLockWriteGuard<'_, Entries> {
        self.entries.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn read(&self) -> std::sync::RwLockReadGuard<'_, Entries> {
        self.entries.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn health(&self, place: Place) -> Arc<Health> {
        let mut all = self.health.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(all.entry(place).or_insert_with(|| Arc::new(Health::new())))
    }

    /// Takes an entry out, unless another has its place by now. True when it did.
    fn forget(&self, entry: &Arc<Entry>) -> bool {
        let mut entries = self.write();
        let is_there = entries.get(&entry.key).is_some_and(|found| Arc::ptr_eq(found, entry));
        is_there && entries.remove(&entry.key).is_some()
    }

    /// Takes out what `doomed` names.
    fn take(&self, mut doomed: impl FnMut(&Arc<Entry>) -> bool) -> Vec<Arc<Entry>> {
        self.write().extract_if(|_, entry| doomed(entry)).map(|(_, entry)| entry).collect()
    }

    /// A link has ended.
    fn note_end(&self, entry: &Entry, why: LinkEnd) {
        entry.meter.ended(why);
        self.teller.tell(&entry.key, LinkChange::Stopped(why));
    }

    /// Ends a link that was taken out.
    fn end(&self, entry: &Arc<Entry>, why: LinkEnd) -> Option<tokio::task::JoinHandle<()>> {
        entry.ended.cancel();
        let link = Arc::clone(entry.link.get()?);
        self.note_end(entry, if entry.is_over() { LinkEnd::Gone } else { why });
        Some(self.tasks.spawn("link-close", async move { link.close().await }))
    }

    /// Takes out of the retired what `doomed` names.
    fn take_retired(&self, mut doomed: impl FnMut(&Entry, Instant) -> bool) -> Vec<Arc<Entry>> {
        let mut retired = self.retired.lock().unwrap_or_else(PoisonError::into_inner);
        retired.extract_if(.., |(entry, end)| doomed(entry, *end)).map(|(entry, _)| entry).collect()
    }

    fn sweep(&self) {
        self.clock.tick();
        let moment = now();
        // Not right after its last use: somebody who waited for it may be about to take a lease.
        let settled = u32::try_from(SWEEP.as_secs()).unwrap_or(u32::MAX);
        let over = |entry: &Entry| entry.is_over() || !entry.is_busy() && entry.idle() > settled;
        for entry in self.take_retired(|entry, end| end <= moment || over(entry)) {
            self.end(&entry, LinkEnd::Replaced);
        }
        let spent = |entry: &Arc<Entry>| {
            !entry.is_busy() && (entry.idle() >= entry.idle_stop || entry.is_over())
        };
        if self.read().values().any(spent) {
            for entry in self.take(spent) {
                if entry.is_over() {
                    entry.health.made(Err(&Cause::Gone));
                }
                self.end(&entry, LinkEnd::Idle);
            }
        }
        let mut health = self.health.lock().unwrap_or_else(PoisonError::into_inner);
        health.retain(|_, health| Arc::strong_count(health) > 1 || health.is_troubled());
    }
}

/// The links of the process.
pub struct Pool {
    shared: Arc<Shared>,
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool").field("links", &self.shared.read().len()).finish_non_exhaustive()
    }
}

impl Pool {
    /// An empty pool. Its sweep, the starts and the ends of its links run in `tasks`; call it
    /// inside a runtime.
    #[must_use]
    pub fn new(tasks: &Tasks) -> Self {
        let shared = Arc::new(Shared {
            tasks: tasks.clone(),
            clock: Arc::new(Clock::default()),
            entries: RwLock::default(),
            retired: Mutex::default(),
            health: Mutex::default(),
            teller: Teller::new(),
            closing: AtomicBool::new(false),
        });
        tasks.spawn("link-sweep", sweep(Arc::downgrade(&shared), tasks.stop().clone()));
        Self { shared }
    }

    /// The link of this key when it is ready and its upstream is not resting. No wait.
    #[must_use]
    pub fn ready(&self, key: &LinkKey) -> Option<Lease> {
        let entries = self.shared.read();
        let entry = entries.get(key)?;
        let link = entry.link.get().filter(|link| link.is_open())?;
        let probe = entry.health.admit().ok()?;
        Some(Lease::new(entry, link, probe))
    }

    /// Every link that is ready and whose key fits. Looks at all links: not for each request.
    #[must_use]
    pub fn ready_where(&self, fits: impl Fn(&LinkKey) -> bool) -> Vec<Lease> {
        let entries = self.shared.read();
        let fitting = entries.iter().filter(|(key, _)| fits(key));
        fitting
            .filter_map(|(_, entry)| {
                let link = entry.link.get().filter(|link| link.is_open())?;
                Some(Lease::new(entry, link, entry.health.admit().ok()?))
            })
            .collect()
    }

    /// The link of this key; `open` makes it when there is none. All callers of one key wait for
    /// one start, which goes on when a caller leaves. The caller sets its own deadline, `open`
    /// that of the start. A link without a lease for `idle_stop` is ended.
    ///
    /// # Errors
    /// What `open` failed with; `Resting` while the upstream has a pause or all its links are in
    /// use; `Closing` when the pool is being closed.
    pub async fn link<F, S>(
        &self,
        key: &LinkKey,
        idle_stop: Duration,
        open: F,
    ) -> Result<Lease, LinkError>
    where
        F: FnOnce() -> S + Send,
        S: Future<Output = Result<Arc<dyn Link>, LinkError>> + Send + 'static,
    {
        if let Some(lease) = self.ready(key) {
            return Ok(lease);
        }
        let mut open = Some(open);
        let mut waits = 3;
        loop {
            let entry = match self.find_or_start(key, idle_stop, &mut open) {
                Ok(Found::Ready(lease)) => return Ok(lease),
                Ok(Found::Starting(entry)) => entry,
                Err(LinkError { cause: Cause::Resting(pause), .. })
                    if pause <= SHORT && waits > 0 =>
                {
                    waits -= 1;
                    tokio::time::sleep(pause).await;
                    continue;
                }
                Err(error) => return Err(error),
            };
            let mut outcome = entry.outcome.clone();
            let outcome = match outcome.wait_for(Option::is_some).await {
                Ok(outcome) => outcome.clone(),
                Err(_) => None,
            };
            match (outcome, entry.link.get()) {
                (Some(Err(error)), _) => return Err(error),
                (Some(Ok(())), Some(link)) if link.is_open() => {
                    return Ok(Lease::new(&entry, link, false));
                }
                // It ended at once. Whoever has not used up the opener may try again.
                (Some(Ok(())), _) if open.is_some() => {}
                _ => {
                    if self.shared.forget(&entry) && entry.is_over() {
                        self.shared.note_end(&entry, LinkEnd::Gone);
                    }
                    let detail = "its link ended as soon as it was made";
                    return Err(LinkError::before(&key.upstream, Cause::Down, detail));
                }
            }
        }
    }

    fn find_or_start<F, S>(
        &self,
        key: &LinkKey,
        idle_stop: Duration,
        open: &mut Option<F>,
    ) -> Result<Found, LinkError>
    where
        F: FnOnce() -> S + Send,
        S: Future<Output = Result<Arc<dyn Link>, LinkError>> + Send + 'static,
    {
        let shared = &self.shared;
        let refuse = |cause, detail: &str| LinkError::before(&key.upstream, cause, detail);
        let rest = |pause| refuse(Cause::Resting(pause), "it has failed repeatedly");
        let mut entries = shared.write();
        if shared.closing.load(Ordering::SeqCst) {
            return Err(refuse(Cause::Closing, "the proxy is stopping"));
        }
        if let Some(entry) = entries.get(key) {
            match entry.link.get() {
                None => return Ok(Found::Starting(Arc::clone(entry))),
                Some(link) if link.is_open() => {
                    let probe = entry.health.admit().map_err(rest)?;
                    return Ok(Found::Ready(Lease::new(entry, link, probe)));
                }
                Some(_) => {
                    entry.health.made(Err(&Cause::Gone));
                    shared.note_end(entry, LinkEnd::Gone);
                    entries.remove(key);
                }
            }
        }
        let health = shared.health(place(key));
        health.permit().map_err(rest)?;
        let evicted = make_room(&mut entries, key)
            .map_err(|()| refuse(Cause::Resting(SWEEP), "all its links are in use"))?;
        let Some(open) = open.take() else {
            return Err(refuse(Cause::Down, "its link ended as soon as it was made"));
        };
        let (sender, outcome) = watch::channel(None);
        let entry = Arc::new(Entry {
            key: key.clone(),
            idle_stop: u32::try_from(idle_stop.as_secs()).unwrap_or(u32::MAX).max(1),
            clock: Arc::clone(&shared.clock),
            health,
            meter: meters().upstream(&key.upstream),
            link: OnceLock::new(),
            outcome,
            ended: CancellationToken::new(),
            retired: AtomicBool::new(false),
            served: AtomicBool::new(false),
            busy: AtomicU32::new(0),
            used: AtomicU32::new(shared.clock.seconds()),
        });
        entries.insert(key.clone(), Arc::clone(&entry));
        drop(entries);
        if let Some(evicted) = evicted {
            shared.end(&evicted, LinkEnd::Replaced);
        }
        shared.teller.tell(key, LinkChange::Starting);
        let start = start(Arc::clone(shared), Arc::clone(&entry), sender, open());
        shared.tasks.spawn("link-open", start);
        Ok(Found::Starting(entry))
    }

    /// Ends every link whose key fits, also those that are being made. Returns at once; requests
    /// in flight on them fail or finish as their transport has it.
    pub fn end_where(&self, fits: impl Fn(&LinkKey) -> bool) {
        let retired = self.shared.take_retired(|entry, _| fits(&entry.key));
        for entry in self.shared.take(|entry| fits(&entry.key)).iter().chain(&retired) {
            self.shared.end(entry, LinkEnd::Closed);
        }
    }

    /// Ends every link whose key fits as soon as nobody uses it, at the latest after `longest`.
    /// Whoever asks for such a link from now on gets a new one.
    pub fn retire_where(&self, longest: Duration, fits: impl Fn(&LinkKey) -> bool) {
        let out = self.shared.take(|entry| fits(&entry.key));
        let end = now() + longest;
        let mut retired = self.shared.retired.lock().unwrap_or_else(PoisonError::into_inner);
        retired.extend(out.into_iter().map(|entry| {
            entry.retired.store(true, Ordering::Relaxed);
            (entry, end)
        }));
    }

    /// Forgets how an upstream has failed: it is another one now.
    pub fn forgive(&self, upstream: &Name) {
        let mut health = self.shared.health.lock().unwrap_or_else(PoisonError::into_inner);
        health.retain(|(_, name), _| name != upstream);
    }

    /// The upstreams that get a pause or are just being tried again, once for each tenant that
    /// has such trouble.
    #[must_use]
    pub fn troubled(&self) -> Vec<Name> {
        let health = self.shared.health.lock().unwrap_or_else(PoisonError::into_inner);
        let troubled = health.iter().filter(|(_, health)| health.is_troubled());
        troubled.map(|((_, upstream), _)| upstream.clone()).collect()
    }

    /// Hears what becomes of links from now on. Whoever is too slow loses some, and is told so.
    #[must_use]
    pub fn news(&self) -> broadcast::Receiver<LinkNews> {
        self.shared.teller.subscribe()
    }

    /// Every link and its state, ordered by upstream.
    #[must_use]
    pub fn status(&self) -> Vec<(LinkKey, LinkState)> {
        let mut all: Vec<_> =
            self.shared.read().values().map(|entry| (entry.key.clone(), entry.state())).collect();
        all.sort_by(|(a, _), (b, _)| (&a.upstream, a.tenant).cmp(&(&b.upstream, b.tenant)));
        all
    }

    /// Ends all links, makes no new ones, and waits at most `deadline`. True when all have ended
    /// in good order.
    pub async fn close_all(&self, deadline: Duration) -> bool {
        self.shared.closing.store(true, Ordering::SeqCst);
        let mut all = self.shared.take(|_| true);
        all.extend(self.shared.take_retired(|_, _| true));
        let ends: Vec<_> =
            all.iter().filter_map(|entry| self.shared.end(entry, LinkEnd::Closed)).collect();
        let starting: Vec<_> = all.iter().map(|entry| entry.outcome.clone()).collect();
        let done = async {
            for end in ends {
                let _ = end.await;
            }
            for mut outcome in starting {
                let _ = outcome.wait_for(Option::is_some).await;
            }
        };
        tokio::time::timeout(deadline, done).await.is_ok()
    }
}

enum Found {
    Ready(Lease),
    Starting(Arc<Entry>),
}

/// Before a link of one principal is added: takes out the one unused for longest when it has too
/// many of its own, or all principals together have. Fails when all of them are in use.
fn make_room(entries: &mut Entries, key: &LinkKey) -> Result<Option<Arc<Entry>>, ()> {
    if key.principal.is_none() {
        return Ok(None);
    }
    let own = make_room_among(entries, SETS, |other| {
        other.principal == key.principal
            && other.tenant == key.tenant
            && other.upstream == key.upstream
    })?;
    if own.is_some() {
        return Ok(own);
    }
    make_room_among(entries, PRINCIPALS, |other| {
        other.principal.is_some() && other.tenant == key.tenant && other.upstream == key.upstream
    })
}

fn make_room_among(
    entries: &mut Entries,
    most: usize,
    rival: impl Fn(&LinkKey) -> bool,
) -> Result<Option<Arc<Entry>>, ()> {
    if entries.keys().filter(|other| rival(other)).count() < most {
        return Ok(None);
    }
    let oldest = entries
        .values()
        .filter(|entry| rival(&entry.key) && !entry.is_busy())
        .max_by_key(|entry| entry.idle())
        .map(|entry| entry.key.clone());
    oldest.map(|oldest| entries.remove(&oldest)).ok_or(())
}

/// Makes one link and tells those who wait.
async fn start(
    shared: Arc<Shared>,
    entry: Arc<Entry>,
    outcome: watch::Sender<Outcome>,
    open: impl Future<Output = Result<Arc<dyn Link>, LinkError>>,
) {
    let ended = || {
        let detail = "its link was ended while it was made";
        LinkError::before(&entry.key.upstream, Cause::Closing, detail)
    };
    let opened = tokio::select! {
        biased;
        opened = open => opened,
        // What was begun ends with it.
        () = entry.ended.cancelled() => Err(ended()),
    };
    let result = match opened {
        Ok(link) => {
            entry.health.made(Ok(()));
            entry.meter.started(true);
            entry.touch();
            let link = entry.link.get_or_init(|| link);
            if entry.ended.is_cancelled() {
                shared.note_end(&entry, LinkEnd::Closed);
                link.close().await;
                Err(ended())
            } else {
                shared.teller.tell(&entry.key, LinkChange::Ready);
                Ok(())
            }
        }
        Err(error) => {
            entry.health.made(Err(&error.cause));
            let change = if error.cause == Cause::Closing {
                LinkChange::Stopped(LinkEnd::Closed)
            } else {
                entry.meter.started(false);
                LinkChange::Failed(error.cause.clone())
            };
            shared.teller.tell(&entry.key, change);
            shared.forget(&entry);
            Err(error)
        }
    };
    outcome.send_replace(Some(result));
}

/// Keeps the clock and ends idle links until the pool is dropped.
async fn sweep(shared: Weak<Shared>, stop: tokio_util::sync::CancellationToken) {
    loop {
        tokio::select! {
            () = tokio::time::sleep(SWEEP) => {}
            () = stop.cancelled() => return,
        }
        match shared.upgrade() {
            Some(shared) => shared.sweep(),
            None => return,
        }
    }
}
