//! What the line remembers of one tenant: the catalogue of each upstream, the views made of
//! them, and the streams that are open.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;

use super::keep::Held;
use super::line::Line;
use super::outlet::Outlets;
use super::scope::narrow;
use super::shelf::{Shelf, Shelves};
use super::views::{Made, Views};
use crate::auth::{Principal, TenantInfo};
use crate::base::{Fault, Kind, Name, Narrow, Retry, now};
use crate::config::{Config, Upstream};
use crate::namespace::{Audience, Catalogue, Door, View};
use crate::policy::{Policy, own_work};
use crate::session::Level;
use crate::telemetry::meters;
use crate::upstream::{Interest, LinkKey};
use crate::wire::ListKind;

/// A list waits this long for an upstream that was never listed: such a client has nothing else
/// to show. Clients give a first answer about ten seconds.
const FIRST_WAIT: Duration = Duration::from_secs(8);
/// A list waits this long for an upstream that has just said that its list changed.
const CHANGED_WAIT: Duration = Duration::from_secs(2);
/// An upstream that could not be listed is not asked again before this.
const FAILED_REST: Duration = Duration::from_secs(5);

/// Between two readings of one upstream: some say after every list that it has changed.
const PAUSE: Duration = Duration::from_millis(500);
/// An unknown name makes a list be read again when it is at least this old.
const LOOK_AGAIN: Duration = Duration::from_secs(10);

/// Links whose log level is remembered.
const MOST_LEVELS: usize = 1_024;

/// The state of one tenant.
#[derive(Debug)]
pub(super) struct Tenant {
    info: Arc<TenantInfo>,
    pub(super) shelves: ArcSwap<Shelves>,
    /// For clients that show no MCP Apps, and for those that do.
    views: [Views; 2],
    outlets: Outlets,
    watched: Mutex<HashMap<(Name, String), usize>>,
    levels: Mutex<HashMap<LinkKey, (usize, Level)>>,
    held: Held,
}

/// What a shelf wants done before it is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wait {
    No,
    First,
    Changed,
}

impl Tenant {
    pub(super) fn new(info: &Arc<TenantInfo>, config: &Arc<Config>) -> Self {
        let policy = Policy::of_tenant(config.clone(), info.id(), info.name());
        Self {
            info: info.clone(),
            outlets: Outlets::new(policy.clone()),
            shelves: ArcSwap::from_pointee(Shelves::new(config, policy, None)),
            views: Default::default(),
            watched: Mutex::default(),
            levels: Mutex::default(),
            held: Held::default(),
        }
    }

    pub(super) fn info(&self) -> &Arc<TenantInfo> {
        &self.info
    }

    /// The rules that its views are made by.
    pub(super) fn policy(&self) -> Policy {
        self.shelves.load().policy.clone()
    }

    pub(super) fn held(&self) -> &Held {
        &self.held
    }

    pub(super) fn outlets(&self) -> &Outlets {
        &self.outlets
    }

    /// Nobody listens, and nothing is held because somebody did.
    pub(super) fn is_quiet(&self) -> bool {
        let watched = self.watched.lock().unwrap_or_else(PoisonError::into_inner);
        watched.is_empty() && self.outlets.is_empty() && self.held.is_empty()
    }

    pub(super) fn shelf(&self, name: &str) -> Option<Arc<Shelf>> {
        self.shelf_for(name, false)
    }

    /// The shelf for clients that show MCP Apps, or that for others.
    pub(super) fn shelf_for(&self, name: &str, apps: bool) -> Option<Arc<Shelf>> {
        self.shelves.load().get(name, apps).cloned()
    }

    /// The view of a door as it is known now.
    pub(super) fn known_view(&self, asker: &Principal, door: &Door) -> Arc<View> {
        self.view_at(door, narrow(asker), false)
    }

    /// The same for clients that show MCP Apps, or for others.
    pub(super) fn known_view_for(&self, asker: &Principal, door: &Door, apps: bool) -> Arc<View> {
        self.view_at(door, narrow(asker), apps)
    }

    /// The same for keys that are narrowed so.
    pub(super) fn view_at(&self, door: &Door, narrow: &Narrow, apps: bool) -> Arc<View> {
        self.views[usize::from(apps)].get_or_make(door, narrow, || {
            let view = self.shelves.load().view(door, narrow, apps);
            for name in view.withheld() {
                let (tenant, door) = (self.info.name(), door.path());
                tracing::warn!(%tenant, door, name, "two names meet; both are withheld");
            }
            Arc::new(view)
        })
    }

    /// The view of a door, after giving upstreams that were never listed, or whose list has just
    /// changed, a moment to answer. A slow or dead one costs only its own entries.
    pub(super) async fn view(
        self: &Arc<Self>,
        line: &Arc<Line>,
        asker: &Principal,
        door: &Door,
        apps: bool,
    ) -> Arc<View> {
        let started = now();
        let mut waits = Vec::new();
        let shelves = self.shelves.load_full();
        for shelf in shelves.at(door, narrow(asker), apps) {
            match self.prepare(line, asker, shelf) {
                Wait::No => {}
                Wait::First => waits.push((shelf, started + FIRST_WAIT)),
                Wait::Changed => waits.push((shelf, started + CHANGED_WAIT)),
            }
        }
        for (shelf, deadline) in waits {
            // A late upstream is announced by list_changed when it comes.
            if tokio::time::timeout_at(deadline, shelf.finished()).await.is_err() {
                shelf.state().slow = true;
            }
        }
        self.known_view_for(asker, door, apps)
    }

    /// Waits until one upstream was listed anew; used when a name is not known. Gives what was
    /// waited for.
    pub(super) async fn reload(
        self: &Arc<Self>,
        line: &Arc<Line>,
        asker: &Principal,
        upstream: &Upstream,
        apps: bool,
    ) -> Option<Arc<Shelf>> {
        let shelf = self.shelf_for(upstream.name.as_str(), apps)?;
        if self.start(line, asker, &shelf, true) {
            let _ = tokio::time::timeout(upstream.timing.start, shelf.finished()).await;
        }
        Some(shelf)
    }

    /// Whether an unknown name of this upstream may have appeared since its list was read.
    pub(super) fn may_be_new(&self, line: &Line, upstream: &str, apps: bool) -> bool {
        self.shelf_for(upstream, apps).is_some_and(|shelf| {
            let state = shelf.state();
            !state.rests(line.credentials.epoch())
                && (!state.loaded || state.dirty || now() - state.read_at >= LOOK_AGAIN)
        })
    }

    /// Starts what a new session will ask for in a moment.
    pub(super) fn warm_up(self: &Arc<Self>, line: &Arc<Line>, asker: &Principal, door: &Door) {
        for shelf in self.shelves.load_full().at(door, narrow(asker), false) {
            self.prepare(line, asker, shelf);
        }
    }

    /// An upstream says that a list has changed: it is read again, and then clients are told.
    pub(super) fn changed(self: &Arc<Self>, line: &Arc<Line>, upstream: &str, kinds: &[ListKind]) {
        let Some(shelf) = self.shelf(upstream) else { return };
        let asker = {
            let mut state = shelf.state();
            state.announce.extend(kinds);
            state.dirty = true;
            state.rest_until = None;
            state.asker.clone()
        };
        if let Some(asker) = asker {
            self.start(line, &asker, &shelf, true);
        }
        let apps = self.shelf_for(upstream, true).filter(|shelf| shelf.apps);
        if let Some(shelf) = apps
            && let Some(asker) = shelf.asker()
        {
            {
                let mut state = shelf.state();
                state.dirty = true;
                state.rest_until = None;
            }
            self.start(line, &asker, &shelf, true);
        }
    }

    fn prepare(self: &Arc<Self>, line: &Arc<Line>, asker: &Principal, shelf: &Arc<Shelf>) -> Wait {
        let revision = line
            .credentials
            .armed_cached(self.info.id(), own_work(&shelf.upstream))
            .map(|armed| armed.revision());
        let (wait, begin) = {
            let mut state = shelf.state();
            if state.loaded
                && revision.is_some_and(|revision| revision != state.catalogue.credential)
            {
                state.dirty = true;
            }
            let wait = match (state.loaded, state.dirty) {
                _ if state.slow => Wait::No,
                (false, _) => Wait::First,
                (true, true) => Wait::Changed,
                // Its changes are announced with those of the other shelf, maybe before this one
                // was read.
                (true, false) if shelf.apps && state.running => Wait::Changed,
                (true, false) => Wait::No,
            };
            (wait, !state.loaded || state.dirty || state.expires <= now())
        };
        if begin && !self.start(line, asker, shelf, false) {
            // It rests after a failure: nothing to wait for.
            return Wait::No;
        }
        wait
    }

    /// Starts reading a shelf unless it is being read. Gives false when it rests.
    pub(super) fn start(
        self: &Arc<Self>,
        line: &Arc<Line>,
        asker: &Principal,
        shelf: &Arc<Shelf>,
        force: bool,
    ) -> bool {
        {
            let mut state = shelf.state();
            state.asker = Some(asker.clone());
            if state.running {
                return true;
            }
            if state.retired {
                return false;
            }
            if !force && state.rests(line.credentials.epoch()) {
                return false;
            }
            state.running = true;
            state.dirty = false;
        }
        let (tenant, owner, asker) = (self.clone(), line.clone(), asker.clone());
        let shelf = shelf.clone();
        line.tasks.spawn("catalogue", async move {
            tenant.read(&owner, &asker, &shelf).await;
        });
        true
    }

    async fn read(self: Arc<Self>, line: &Arc<Line>, asker: &Principal, shelf: &Shelf) {
        let (upstream, apps) = (&shelf.upstream, shelf.apps);
        loop {
            let pause = {
                let state = shelf.state();
                let before = state.loaded || state.rest_until.is_some();
                if before { PAUSE.saturating_sub(now() - state.read_at) } else { Duration::ZERO }
            };
            if !pause.is_zero() {
                tokio::time::sleep(pause).await;
            }
            // Before the reading: what is stored during it is worth another one.
            let epoch = line.credentials.epoch();
            // Each page has a deadline, and so have all together.
            let limit = upstream.timing.max_time;
            let outcome =
                tokio::time::timeout(limit, line.fetch_catalogue(asker, upstream, apps)).await;
            let outcome = outcome.unwrap_or_else(|_| Err(too_long(upstream)));
            let good = outcome.is_ok();
            meters().upstream(&upstream.name).listed(good);
            let mut announce = self.put(shelf, outcome, epoch);
            // Before anybody is told that the reading is over: who looks then must see it. Not
            // under the lock of the shelf, which a view takes under that of the views.
            let known = self.forget_views();
            let (again, retired, before) = {
                let mut state = shelf.state();
                // Only now, when no view is left that does not have it.
                state.loaded |= good;
                state.read_at = now();
                state.running = std::mem::take(&mut state.dirty) && !state.retired;
                (state.running, state.retired, state.before.take())
            };
            shelf.done.send_modify(|count| *count += 1);
            if retired {
                // Whoever took its place speaks of it.
                return;
            }
            announce.sort_unstable();
            announce.dedup();
            // One change, one announcement: the shelf of all clients speaks when it was read.
            let general = self.shelf(upstream.name.as_str());
            let other = shelf.apps && general.is_some_and(|shelf| shelf.loaded());
            if !other {
                let sees = |door: &Door, narrow: &Narrow, kinds: &[ListKind]| {
                    self.sees((before.as_deref(), &known), door, narrow, &upstream.name, kinds)
                };
                self.outlets.list_changed(&line.config(), &upstream.name, &announce, sees);
            }
            if !again {
                return;
            }
        }
    }

    /// Whether those at a door see anything of a change: where rules hold something back, only
    /// what is shown counts. `before` and `known` are what was shown before the file changed, if
    /// this is the first reading after it, and views of before the reading.
    fn sees(
        &self,
        (before, known): (Option<&Shelves>, &[Made; 2]),
        door: &Door,
        narrow: &Narrow,
        upstream: &Name,
        kinds: &[ListKind],
    ) -> bool {
        let shelves = self.shelves.load();
        if !shelves.policy.narrows(door, narrow, upstream, kinds)
            || before.is_some_and(|before| shelves.differs(before, door, narrow, kinds))
        {
            return true;
        }
        let mut none = before.is_none();
        for (made, apps) in known.iter().zip([false, true]) {
            let Some(old) = made.get(door, narrow) else { continue };
            none = false;
            let new = self.view_at(door, narrow, apps);
            let list = |view: &View, kind| view.list(kind, Audience::Modern);
            if kinds.iter().any(|kind| list(old, *kind) != list(&new, *kind)) {
                return true;
            }
        }
        none
    }

    /// The next view is made anew. Gives those that were known.
    pub(super) fn forget_views(&self) -> [Made; 2] {
        self.views.each_ref().map(Views::clear)
    }

    /// Puts what was read on its shelf, with the secrets of this epoch; gives the kinds of which
    /// clients are to be told.
    fn put(
        &self,
        shelf: &Shelf,
        outcome: Result<(Catalogue, Duration), Fault>,
        epoch: u64,
    ) -> Vec<ListKind> {
        let mut state = shelf.state();
        state.unarmed = None;
        let mut announce = std::mem::take(&mut state.announce);
        match outcome {
            Ok((catalogue, ttl)) => {
                announce.extend(ListKind::ALL.into_iter().filter(|kind| {
                    let (old, new) = (state.catalogue.listing(*kind), catalogue.listing(*kind));
                    old.items.len() != new.items.len()
                        || old.items.iter().zip(&new.items).any(|(old, new)| old.text != new.text)
                }));
                state.catalogue = Arc::new(catalogue);
                state.slow = false;
                state.failure = None;
                state.rest_until = None;
                state.expires = now() + ttl;
            }
            Err(fault) => {
                tracing::warn!(
                    tenant = %self.info.name(),
                    upstream = %shelf.upstream.name,
                    reason = fault.private.as_deref().unwrap_or(&fault.public),
                    "upstream could not be listed"
                );
                state.unarmed = matches!(fault.kind, Kind::NeedsSetup | Kind::NeedsLogin { .. })
                    .then_some(epoch);
                state.failure = Some(fault.public.as_ref().into());
                state.rest_until = Some(now() + FAILED_REST);
                // What was known stays; it is asked again after the rest.
                state.expires = now() + FAILED_REST;
            }
        }
        announce
    }

    /// Whether a legacy link must be told a more verbose level for this one to come through; it
    /// is remembered as told. `link` tells links apart that have the same key.
    pub(super) fn raises_level(&self, key: &LinkKey, link: usize, level: Level) -> bool {
        let mut levels = self.levels.lock().unwrap_or_else(PoisonError::into_inner);
        match levels.get(key) {
            Some((told, known)) if *told == link && *known <= level => false,
            _ => {
                if levels.len() >= MOST_LEVELS {
                    // What is forgotten is told once more.
                    levels.clear();
                }
                levels.insert(key.clone(), (link, level));
                true
            }
        }
    }

    /// Counts a subscription; true for the first one of this resource.
    pub(super) fn count_up(&self, upstream: &Name, uri: &str) -> bool {
        let mut watched = self.watched.lock().unwrap_or_else(PoisonError::into_inner);
        let count = watched.entry((upstream.clone(), uri.to_owned())).or_default();
        *count += 1;
        *count == 1
    }

    /// Counts a subscription back; true for the last one of this resource.
    pub(super) fn count_down(&self, upstream: &Name, uri: &str) -> bool {
        let mut watched = self.watched.lock().unwrap_or_else(PoisonError::into_inner);
        let place = (upstream.clone(), uri.to_owned());
        match watched.get_mut(&place) {
            Some(1) => watched.remove(&place).is_some(),
            Some(count) => {
                *count -= 1;
                false
            }
            None => false,
        }
    }

    /// What the tenant's own link to an upstream listens for.
    pub(super) fn interest(&self, upstream: &Name) -> Interest {
        let (resources, tasks) = (self.watched(upstream), self.outlets.tasks(upstream));
        Interest { lists: true, resources, tasks }
    }

    /// Nobody follows resources of an upstream that is not there.
    pub(super) fn forget_watched(&self, upstream: &Name) {
        let mut watched = self.watched.lock().unwrap_or_else(PoisonError::into_inner);
        watched.retain(|(name, _), _| name != upstream);
    }

    /// Resources of an upstream that somebody is subscribed to.
    pub(super) fn watched(&self, upstream: &Name) -> std::collections::BTreeSet<String> {
        let watched = self.watched.lock().unwrap_or_else(PoisonError::into_inner);
        watched.keys().filter(|(name, _)| name == upstream).map(|(_, uri)| uri.clone()).collect()
    }
}

fn too_long(upstream: &Upstream) -> Fault {
    let sentence = format!("Upstream `{}` did not finish its lists in time", upstream.name);
    Fault::upstream(Retry::Safe, sentence)
}
