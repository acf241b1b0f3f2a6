//! What one tenant's upstreams list, as it was read last, and whether it is to be read again.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;
use tokio::time::Instant;

use crate::auth::Principal;
use crate::base::{Name, now};
use crate::config::{Config, Namespace, Transport, Upstream};
use crate::namespace::{Catalogue, Door, Namer};
use crate::wire::ListKind;

/// The catalogues of all upstreams, and how their names become public ones.
#[derive(Debug, Clone)]
pub(super) struct Shelves {
    pub(super) all: BTreeMap<Name, Arc<Shelf>>,
    /// What HTTP upstreams list for clients that show MCP Apps: some offer them other tools. A
    /// process is told the same whoever calls, and has one shelf.
    apps: BTreeMap<Name, Arc<Shelf>>,
    pub(super) namer: Namer,
}

impl Shelves {
    /// One shelf for each upstream, or two; those of `old` whose entry is the same stay.
    pub(super) fn new(config: &Config, old: Option<&Self>) -> Self {
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
        let entries = config.upstreams.iter();
        Self {
            all: entries.clone().map(|(name, up)| (name.clone(), shelf(up, false))).collect(),
            apps: entries
                .filter(|(_, up)| http(up))
                .map(|(name, up)| (name.clone(), shelf(up, true)))
                .collect(),
            namer: Namer::new(separator, *max_name),
        }
    }

    /// The shelf for clients that show MCP Apps, or that for others.
    pub(super) fn get(&self, name: &str, apps: bool) -> Option<&Arc<Shelf>> {
        let own = if apps { self.apps.get(name) } else { None };
        own.or_else(|| self.all.get(name))
    }

    /// The shelves that a door shows.
    pub(super) fn at<'a>(
        &'a self,
        door: &'a Door,
        apps: bool,
    ) -> impl Iterator<Item = &'a Arc<Shelf>> {
        let of_door = move |name: &Name| match door {
            Door::Merged => true,
            Door::Single(single) => name == single,
        };
        self.all
            .iter()
            .filter(move |(name, _)| of_door(name))
            .map(move |(name, shelf)| self.get(name.as_str(), apps).unwrap_or(shelf))
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
    pub(super) read_at: Instant,
    pub(super) asker: Option<Principal>,
    /// A list has waited for it in vain; until it was read, no other does.
    pub(super) slow: bool,
    /// Another has its place: the file has changed.
    pub(super) retired: bool,
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
                read_at: now(),
                asker: None,
                slow: false,
                retired: false,
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
            state.asker.clone_from(&old.asker);
        }
        Arc::new(new)
    }

    /// Another takes its place; nobody waits for it any more. Gives the kinds of which it had
    /// something to show.
    pub(super) fn retire(&self) -> Vec<ListKind> {
        let mut state = self.state();
        state.retired = true;
        let shown = |kind: &ListKind| !state.catalogue.listing(*kind).items.is_empty();
        let shown = ListKind::ALL.into_iter().filter(shown).collect();
        drop(state);
        self.done.send_modify(|count| *count += 1);
        shown
    }
}
