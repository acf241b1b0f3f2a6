//! What one tenant's upstreams list, as it was read last, and whether it is to be read again.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;
use tokio::time::Instant;

use crate::auth::Principal;
use crate::base::{Name, Narrow, now};
use crate::config::{Config, Namespace, Transport, Upstream};
use crate::namespace::{Audience, Catalogue, Door, Namer, View};
use crate::policy::Policy;
use crate::wire::ListKind;

/// The catalogues of all upstreams, how their names become public ones, and what of them is shown:
/// all that views are made of, so that no view is made of two versions of the file.
#[derive(Debug, Clone)]
pub(super) struct Shelves {
    pub(super) all: BTreeMap<Name, Arc<Shelf>>,
    /// What HTTP upstreams list for clients that show MCP Apps: some offer them other tools. A
    /// process is told the same whoever calls, and has one shelf.
    apps: BTreeMap<Name, Arc<Shelf>>,
    pub(super) namer: Namer,
    pub(super) policy: Policy,
}

impl Shelves {
    /// One shelf for each upstream, or two; those of `old` whose entry is the same stay.
    pub(super) fn new(config: &Config, policy: Policy, old: Option<&Self>) -> Self {
        let Namespace { separator, max_name } = &config.namespace;
        let shelf = |upstream: &Arc<Upstream>, apps| {
            let known =
                old.and_then(|old| if apps { &old.apps } else { &old.all }.get(&upstream.name));
            match known {
                Some(known) if Arc::ptr_eq(&known.upstream, upstream) => known.clone(),
                Some(known) if known.upstream.same_lists(upstream) => known.for_entry(upstream),
                _ => Arc::new(Shelf::new(upstream, apps)),
            }
        };
        let http = |upstream: &Upstream| matches!(upstream.transport, Transport::Http { .. });
        let entries = config.upstreams.iter().filter(|(name, _)| !policy.unseen().contains(*name));
        Self {
            all: entries.clone().map(|(name, up)| (name.clone(), shelf(up, false))).collect(),
            apps: entries
                .filter(|(_, up)| http(up))
                .map(|(name, up)| (name.clone(), shelf(up, true)))
                .collect(),
            namer: Namer::new(separator, *max_name),
            policy,
        }
    }

    /// The shelf for clients that show MCP Apps, or that for others.
    pub(super) fn get(&self, name: &str, apps: bool) -> Option<&Arc<Shelf>> {
        let own = if apps { self.apps.get(name) } else { None };
        own.or_else(|| self.all.get(name))
    }

    /// The shelves that a door shows for such a key.
    pub(super) fn at<'a>(
        &'a self,
        door: &'a Door,
        narrow: &'a Narrow,
        apps: bool,
    ) -> impl Iterator<Item = &'a Arc<Shelf>> {
        let of_door = move |name: &Name| self.policy.reaches(door, narrow, name);
        self.all
            .iter()
            .filter(move |(name, _)| of_door(name))
            .map(move |(name, shelf)| self.get(name.as_str(), apps).unwrap_or(shelf))
    }

    /// What a door shows such a key, for clients that show MCP Apps or for others.
    pub(super) fn view(&self, door: &Door, narrow: &Narrow, apps: bool) -> View {
        let behind = self.at(door, narrow, apps);
        let catalogues = behind.map(|shelf| shelf.state().catalogue.clone()).collect();
        self.policy.visible(door, narrow, catalogues, self.namer.clone())
    }

    /// Whether lists of these kinds are others at a door than they were on the shelves of before.
    pub(super) fn differs(
        &self,
        old: &Self,
        door: &Door,
        narrow: &Narrow,
        kinds: &[ListKind],
    ) -> bool {
        let read = |shelves: &Self| shelves.apps.values().all(|shelf| shelf.loaded());
        // What was not read yet is announced when it is.
        let both = if read(self) && read(old) { &[false, true][..] } else { &[false] };
        both.iter().any(|apps| {
            let (old, new) = (old.view(door, narrow, *apps), self.view(door, narrow, *apps));
            let list = |view: &View, kind| view.list(kind, Audience::Modern);
            kinds.iter().any(|kind| list(&old, *kind) != list(&new, *kind))
        })
    }

    pub(super) fn each(&self) -> impl Iterator<Item = &Arc<Shelf>> {
        self.all.values().chain(self.apps.values())
    }
}

/// One upstream's catalogue and what is known of its age.
#[derive(Debug)]
pub(super) struct Shelf {
    pub(super) upstream: Arc<Upstream>,
    /// Read for clients that show MCP Apps.
    pub(super) apps: bool,
    state: Mutex<ShelfState>,
    pub(super) done: watch::Sender<u64>,
}

#[derive(Debug)]
pub(super) struct ShelfState {
    pub(super) catalogue: Arc<Catalogue>,
    pub(super) loaded: bool,
    pub(super) running: bool,
    pub(super) dirty: bool,
    pub(super) announce: Vec<ListKind>,
    pub(super) expires: Instant,
    pub(super) rest_until: Option<Instant>,
    /// It could not be read because secrets were missing at this epoch of them; it rests no longer
    /// than that lasts.
    pub(super) unarmed: Option<u64>,
    pub(super) read_at: Instant,
    pub(super) asker: Option<Principal>,
    /// A list has waited for it in vain; until it was read, no other does.
    pub(super) slow: bool,
    /// Why it could not be read the last time.
    pub(super) failure: Option<Box<str>>,
    /// Another has its place: the file has changed.
    pub(super) retired: bool,
    /// What there was before the file changed, until the first reading after it.
    pub(super) before: Option<Arc<Shelves>>,
}

impl ShelfState {
    /// Whether it is left alone after a failure, at this epoch of the secrets.
    pub(super) fn rests(&self, epoch: u64) -> bool {
        self.rest_until.is_some_and(|until| until > now())
            && self.unarmed.is_none_or(|then| then == epoch)
    }
}

impl Shelf {
    fn new(upstream: &Arc<Upstream>, apps: bool) -> Self {
        Self {
            upstream: upstream.clone(),
            apps,
            state: Mutex::new(ShelfState {
                catalogue: Arc::new(Catalogue::new(upstream.clone(), 0)),
                loaded: false,
                running: false,
                dirty: false,
                announce: Vec::new(),
                expires: now(),
                rest_until: None,
                unarmed: None,
                read_at: now(),
                asker: None,
                slow: false,
                failure: None,
                retired: false,
                before: None,
            }),
            done: watch::Sender::new(0),
        }
    }

    pub(super) fn state(&self) -> MutexGuard<'_, ShelfState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until the reading that runs has ended, and the one after it when there is: what ran
    /// may have begun before the change. Not longer: there are upstreams that always change.
    pub(super) async fn finished(&self) {
        let mut done = self.done.subscribe();
        for _ in 0..2 {
            let waits = {
                let state = self.state();
                state.running && !state.retired
            };
            if !waits || done.changed().await.is_err() {
                break;
            }
        }
    }

    /// Whoever had it read last.
    pub(super) fn asker(&self) -> Option<Principal> {
        self.state().asker.clone()
    }

    /// Why it could not be read the last time, as long as it has not been read since; with
    /// `armed` no longer that its secrets were missing.
    pub(super) fn failure(&self, armed: bool) -> Option<String> {
        let state = self.state();
        let failure = state.failure.as_deref().filter(|_| !armed || state.unarmed.is_none());
        failure.map(str::to_owned)
    }

    /// What was read from the upstream.
    pub(super) fn known(&self) -> Option<Arc<Catalogue>> {
        let state = self.state();
        state.loaded.then(|| state.catalogue.clone())
    }

    /// True once it was read from the upstream.
    pub(super) fn loaded(&self) -> bool {
        self.state().loaded
    }

    /// True when another has its place.
    pub(super) fn is_retired(&self) -> bool {
        self.state().retired
    }

    /// The same lists for another entry of the same upstream.
    fn for_entry(&self, upstream: &Arc<Upstream>) -> Arc<Self> {
        let new = Self::new(upstream, self.apps);
        {
            let (mut state, old) = (new.state(), self.state());
            if old.loaded {
                state.catalogue = Arc::new(old.catalogue.for_entry(upstream.clone()));
                (state.loaded, state.expires, state.read_at) = (true, old.expires, old.read_at);
                // What is being read now is thrown away.
                state.dirty = old.dirty || old.running;
            }
            state.announce.clone_from(&old.announce);
            state.before.clone_from(&old.before);
            state.asker.clone_from(&old.asker);
            state.failure.clone_from(&old.failure);
            state.unarmed = old.unarmed;
        }
        Arc::new(new)
    }

    /// Another takes its place; nobody waits for it any more. Gives the kinds of which it had
    /// something to show, or to announce.
    pub(super) fn retire(&self) -> Vec<ListKind> {
        let mut state = self.state();
        state.retired = true;
        let shown = |kind: &ListKind| {
            state.announce.contains(kind) || !state.catalogue.listing(*kind).items.is_empty()
        };
        let shown = ListKind::ALL.into_iter().filter(shown).collect();
        drop(state);
        self.done.send_modify(|count| *count += 1);
        shown
    }
}
