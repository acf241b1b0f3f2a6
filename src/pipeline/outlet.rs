//! Streams to clients that are not the answer to one call: the GET stream of a legacy session
//! and `subscriptions/listen` of the modern era.

use std::collections::{BTreeSet, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwap;
use bytes::Bytes;
use tokio::sync::mpsc;

use super::answer::Feed;
use super::finish::Tally;
use super::holders::Place;
use super::quirk::client_quirks;
use super::scope::narrow;
use super::task::described_to;
use super::update::reworded;
use crate::auth::Principal;
use crate::base::{Name, Narrow};
use crate::bridge::{Task, TaskHandle, Whose};
use crate::config::Config;
use crate::namespace::{Door, join_uri};
use crate::policy::Policy;
use crate::session::{Item, Level, Session, covers};
use crate::upstream::Message;
use crate::wire::json::{JsonError, Reader, UPSTREAM_DEPTH, quote};
use crate::wire::{ListKind, sse};

/// Events that wait for one slow client; with more the stream is ended, and the client opens a
/// new one and lists again.
const QUEUE: usize = 256;

/// What a modern client listens for.
#[derive(Debug, Clone, Default)]
pub(super) struct Filter {
    pub(super) tools: bool,
    pub(super) prompts: bool,
    pub(super) resources: bool,
    /// Resources in their public form, with their upstream and original.
    pub(super) watched: Vec<(String, Name, String)>,
    /// Tasks by the ids that the client knows.
    pub(super) tasks: Vec<(String, TaskHandle)>,
}

#[derive(Debug)]
enum Listener {
    Session(Arc<Session>),
    Listen(Listen),
}

#[derive(Debug)]
struct Listen {
    /// The request's id as JSON text.
    id: String,
    filter: Filter,
    /// None when the stream was ended from here.
    events: Option<mpsc::Sender<Item>>,
    _place: Place,
}

impl Listen {
    fn is_open(&self) -> bool {
        self.events.as_ref().is_some_and(|events| !events.is_closed())
    }

    /// Ends it as a listen ends (R29).
    fn finish(&mut self) {
        let Some(events) = self.events.take() else { return };
        let result = format!(
            "{{\"jsonrpc\":\"2.0\",\"id\":{},\"result\":{{\"resultType\":\"complete\",{}}}}}",
            self.id,
            subscription_meta(&self.id)
        );
        // A full queue means a client that does not read: its stream just ends.
        let _ = events.try_send(Ok(event(result.as_bytes())));
    }
}

/// An open listen, for whoever wants to end it.
#[derive(Debug, Clone)]
pub(super) struct Listening(mpsc::WeakSender<Item>);

#[derive(Debug)]
struct Outlet {
    listener: Listener,
    door: Door,
    narrow: Narrow,
}

impl Outlet {
    fn is_open(&self) -> bool {
        match &self.listener {
            Listener::Session(session) => session.hears_general(),
            Listener::Listen(listen) => listen.is_open(),
        }
    }
}

/// The open streams of one tenant.
#[derive(Debug)]
pub(super) struct Outlets {
    policy: ArcSwap<Policy>,
    list: Mutex<Vec<Outlet>>,
}

impl Outlets {
    /// None yet. `policy` says who hears what.
    pub(super) fn new(policy: Policy) -> Self {
        Self { policy: ArcSwap::from_pointee(policy), list: Mutex::default() }
    }

    /// From now on this says who hears what.
    pub(super) fn judge_by(&self, policy: Policy) {
        self.policy.store(Arc::new(policy));
    }

    /// From now on a session hears what concerns it, as long as it has its stream open or may come
    /// back to it. False when it did so before.
    pub(super) fn add_session(
        &self,
        principal: &Principal,
        door: &Door,
        session: &Arc<Session>,
    ) -> bool {
        let mut list = self.list();
        let there = list.iter().any(|outlet| match &outlet.listener {
            Listener::Session(other) => Arc::ptr_eq(other, session),
            Listener::Listen(_) => false,
        });
        if !there {
            let listener = Listener::Session(session.clone());
            let narrow = narrow(principal).clone();
            list.push(Outlet { listener, door: door.clone(), narrow });
        }
        there
    }

    /// A `subscriptions/listen` stream, which begins with its acknowledgement. `id` is the
    /// request's id as JSON text.
    pub(super) fn open_listen(
        &self,
        (principal, place): (&Principal, Place),
        door: &Door,
        id: &str,
        filter: Filter,
        acknowledged: &str,
    ) -> (Feed, Listening) {
        let (events, feed) = mpsc::channel(QUEUE);
        let feed = Feed {
            events: feed,
            ends: [principal.ended().clone(), principal.ended().clone()],
            keep_alive: None,
            tally: Tally::default(),
        };
        let first = format!(
            "{{\"jsonrpc\":\"2.0\",\"method\":\"notifications/subscriptions/acknowledged\",\"params\":{{\
             \"notifications\":{acknowledged},{}}}}}",
            subscription_meta(id)
        );
        // The queue is new and empty.
        let _ = events.try_send(Ok(event(first.as_bytes())));
        let listening = Listening(events.downgrade());
        let listen = Listen { id: id.to_owned(), filter, events: Some(events), _place: place };
        let narrow = narrow(principal).clone();
        let listener = Listener::Listen(listen);
        self.list().push(Outlet { listener, door: door.clone(), narrow });
        (feed, listening)
    }

    /// Streams that are open, of sessions and of listens.
    pub(super) fn open(&self) -> (usize, usize) {
        let list = self.list();
        let open = list.iter().filter(|outlet| outlet.is_open());
        open.fold((0, 0), |(sessions, listens), outlet| match outlet.listener {
            Listener::Session(_) => (sessions + 1, listens),
            Listener::Listen(_) => (sessions, listens + 1),
        })
    }

    /// Ends a listen in good order, so that its client listens anew.
    pub(super) fn end_listen(&self, listening: &Listening) {
        let Some(own) = listening.0.upgrade() else { return };
        for outlet in self.list().iter_mut() {
            if let Listener::Listen(listen) = &mut outlet.listener
                && listen.events.as_ref().is_some_and(|events| events.same_channel(&own))
            {
                listen.finish();
            }
        }
    }

    /// Tells everybody concerned that lists of an upstream have changed; `sees` says whether
    /// anything of it shows at a door.
    pub(super) fn list_changed(
        &self,
        config: &Config,
        upstream: &Name,
        kinds: &[ListKind],
        sees: impl Fn(&Door, &Narrow, &[ListKind]) -> bool,
    ) {
        self.changed_where(config, kinds, |outlet| self.concerns(outlet, upstream), sees);
    }

    /// Tells those at some doors that lists have changed.
    pub(super) fn doors_changed(
        &self,
        config: &Config,
        doors: impl Fn(&Door) -> bool,
        sees: impl Fn(&Door, &Narrow, &[ListKind]) -> bool,
    ) {
        self.changed_where(config, &ListKind::ALL, |outlet| doors(&outlet.door), sees);
    }

    fn changed_where(
        &self,
        config: &Config,
        kinds: &[ListKind],
        concerned: impl Fn(&Outlet) -> bool,
        sees: impl Fn(&Door, &Narrow, &[ListKind]) -> bool,
    ) {
        let mut names: Vec<&str> = kinds.iter().filter_map(|kind| kind.capability()).collect();
        names.dedup();
        for name in names {
            let of_name = ListKind::ALL.into_iter().filter(|k| k.capability() == Some(name));
            let lists: Vec<ListKind> = of_name.collect();
            let place = |outlet: &Outlet| (outlet.door.clone(), outlet.narrow.clone());
            let places: HashSet<_> =
                self.list().iter().filter(|outlet| concerned(outlet)).map(place).collect();
            let hushed: HashSet<_> =
                places.into_iter().filter(|(door, narrow)| !sees(door, narrow, &lists)).collect();
            let told = |outlet: &Outlet| {
                concerned(outlet) && (hushed.is_empty() || !hushed.contains(&place(outlet)))
            };
            self.send_where(told, |listener| match listener {
                Listener::Session(session)
                    if client_quirks(config, &session.opening().client_info)
                        .is_some_and(|quirks| !quirks.list_changed) =>
                {
                    None
                }
                Listener::Session(_) => Some(list_changed(name)),
                Listener::Listen(Listen { id, filter, .. }) => {
                    let wanted = match name {
                        "tools" => filter.tools,
                        "prompts" => filter.prompts,
                        _ => filter.resources,
                    };
                    wanted.then(|| {
                        format!(
                            "{{\"jsonrpc\":\"2.0\",\"method\":\"notifications/{name}/list_changed\",\
                             \"params\":{{{}}}}}",
                            subscription_meta(id)
                        )
                    })
                }
            });
        }
    }

    /// Tells everybody who follows a resource that it was updated; in the words of the upstream,
    /// when it has said so.
    pub(super) fn updated(&self, upstream: &Name, uri: &str, message: Option<&Message>) {
        let public = join_uri(upstream.as_str(), uri);
        let list = self.list();
        let doors: BTreeSet<bool> = list.iter().map(|outlet| outlet.door.merges()).collect();
        drop(list);
        for merged in doors {
            let shown = if merged { &*public } else { uri };
            self.send_where(
                |outlet| {
                    outlet.door.merges() == merged
                        && self.concerns(outlet, upstream)
                        && self.hears(outlet, upstream, uri)
                },
                |listener| {
                    let listen = match listener {
                        Listener::Session(session) if session.follows(shown) => None,
                        Listener::Listen(Listen { id, filter, .. })
                            if filter.watched.iter().any(|(public, ..)| covers(public, shown)) =>
                        {
                            Some(id.as_str())
                        }
                        _ => return None,
                    };
                    let told = message.and_then(|message| {
                        reworded(message.text(), merged.then_some(shown), listen)
                    });
                    Some(told.unwrap_or_else(|| {
                        let meta = listen.map(|id| format!(",{}", subscription_meta(id)));
                        updated(shown, &meta.unwrap_or_default())
                    }))
                },
            );
        }
    }

    /// The upstream's own ids of the tasks that somebody follows.
    pub(super) fn tasks(&self, upstream: &Name) -> BTreeSet<String> {
        let mut ids = BTreeSet::new();
        for outlet in self.list().iter().filter(|outlet| outlet.is_open()) {
            let Listener::Listen(Listen { filter, .. }) = &outlet.listener else { continue };
            for (_, task) in
                filter.tasks.iter().filter(|(_, task)| task.upstream == upstream.as_str())
            {
                if let Whose::Upstream(id) = &task.whose {
                    ids.insert(id.clone());
                }
            }
        }
        ids
    }

    /// Tells everybody who follows a task what its upstream says of it.
    pub(super) fn task(&self, upstream: &Name, message: &Message) {
        if message.inbound.method.as_deref() != Some("notifications/tasks") {
            return;
        }
        let Some(params) = message.inbound.payload.clone().map(|place| &message.text()[place])
        else {
            return;
        };
        let Ok(task) = Task::read(params) else { return };
        let known = TaskHandle {
            upstream: upstream.as_str().to_owned(),
            whose: Whose::Upstream(task.id.clone()),
        };
        self.task_news(&known, |merged, handle, listen| {
            described_to(params, &task, (upstream.as_str(), merged), (handle, listen))
        });
    }

    /// Tells everybody who follows a task something about it: `words` gives the `params`, from
    /// whether names are merged, the id that the client knows, and the id of its listen request.
    pub(super) fn task_news(
        &self,
        task: &TaskHandle,
        words: impl Fn(bool, &str, &str) -> Option<String>,
    ) {
        for merged in [true, false] {
            self.send_where(
                |outlet| outlet.door.merges() == merged,
                |listener| {
                    let Listener::Listen(Listen { id, filter, .. }) = listener else { return None };
                    let (handle, _) = filter.tasks.iter().find(|(_, known)| known == task)?;
                    let params = words(merged, handle, id)?;
                    Some(format!(
                        "{{\"jsonrpc\":\"2.0\",\"method\":\"notifications/tasks\",\"params\":{params}}}"
                    ))
                },
            );
        }
    }

    /// A log message that belongs to no call: to sessions alone, at or above their level; of a
    /// principal's own link only to its sessions. A modern client hears what belongs to its call
    /// alone, and that one call runs does not make this its own: a legacy upstream's two streams
    /// are not ordered with each other, so it may have been said during the call before.
    pub(super) fn log(&self, upstream: &Name, principal: Option<&str>, message: &str) {
        let level = message_level(message);
        self.send(upstream, |listener| match listener {
            Listener::Session(session) if passes(session.level(), level) => {
                let key = session.opening().key;
                let own = principal
                    .is_none_or(|holder| holder == key.as_str() || holder == session.id().text());
                own.then(|| message.to_owned())
            }
            _ => None,
        });
    }

    /// True when some stream is open at a door, with its narrowing.
    pub(super) fn any_at(&self, door: impl Fn(&Door, &Narrow) -> bool) -> bool {
        self.list().iter().any(|outlet| outlet.is_open() && door(&outlet.door, &outlet.narrow))
    }

    /// Takes out of listens what may not be followed any more; `keeps` judges a resource by its
    /// public URI, and what of an upstream has none by whether the upstream is behind the door.
    /// Gives the resources, one entry for each subscription, and the upstreams whose tasks nobody
    /// here follows any more.
    pub(super) fn withdraw(
        &self,
        keeps: impl Fn(&Door, &Narrow, &str) -> bool,
    ) -> (Vec<(Name, String)>, BTreeSet<String>) {
        let (mut freed, mut tasks) = (Vec::new(), BTreeSet::new());
        let policy = self.policy.load();
        for outlet in self.list().iter_mut() {
            let (door, narrow) = (&outlet.door, &outlet.narrow);
            let Listener::Listen(Listen { filter, .. }) = &mut outlet.listener else { continue };
            let gone = filter.watched.extract_if(.., |(public, ..)| !keeps(door, narrow, public));
            freed.extend(gone.map(|(_, upstream, uri)| (upstream, uri)));
            let reaches =
                |name: &str| Name::new(name).is_ok_and(|name| policy.reaches(door, narrow, &name));
            let gone = filter.tasks.extract_if(.., |(_, task)| !reaches(&task.upstream));
            tasks.extend(gone.map(|(_, task)| task.upstream));
        }
        (freed, tasks)
    }

    /// True when some stream is open on which this upstream's news arrive.
    pub(super) fn any_for(&self, upstream: &Name) -> bool {
        self.list().iter().any(|outlet| self.concerns(outlet, upstream) && outlet.is_open())
    }

    /// Forgets streams whose client has gone; gives the resources that nobody on them follows
    /// any more, one entry for each subscription, and the upstreams whose tasks they followed.
    pub(super) fn prune(&self) -> (Vec<(Name, String)>, BTreeSet<String>) {
        let (mut freed, mut tasks) = (Vec::new(), BTreeSet::new());
        self.list().retain(|outlet| {
            let open = outlet.is_open();
            if !open && let Listener::Listen(listen) = &outlet.listener {
                let watched = listen.filter.watched.iter();
                freed.extend(watched.map(|(_, upstream, uri)| (upstream.clone(), uri.clone())));
                tasks.extend(listen.filter.tasks.iter().map(|(_, task)| task.upstream.clone()));
            }
            open
        });
        (freed, tasks)
    }

    /// Ends every stream; a listen ends with its result (R29).
    pub(super) fn close(&self) {
        self.close_where(|_| true);
    }

    /// Ends the streams at doors that are not there any more.
    pub(super) fn close_where(&self, doors: impl Fn(&Door) -> bool) {
        for outlet in self.list().iter_mut().filter(|outlet| doors(&outlet.door)) {
            match &mut outlet.listener {
                Listener::Session(session) => session.close_general(),
                Listener::Listen(listen) => listen.finish(),
            }
        }
    }

    fn send(&self, upstream: &Name, message: impl Fn(&Listener) -> Option<String>) {
        self.send_where(|outlet| self.concerns(outlet, upstream), message);
    }

    fn send_where(
        &self,
        concerned: impl Fn(&Outlet) -> bool,
        message: impl Fn(&Listener) -> Option<String>,
    ) {
        for outlet in self.list().iter_mut().filter(|outlet| concerned(outlet)) {
            let Some(text) = message(&outlet.listener) else { continue };
            match &mut outlet.listener {
                Listener::Session(session) => session.say_general(text.as_bytes()),
                Listener::Listen(listen) => {
                    let Some(events) = &listen.events else { continue };
                    // A client that does not read loses its stream, not single events: it opens a
                    // new one and lists anew. What it followed is given back by `prune`.
                    if let Err(mpsc::error::TrySendError::Full(_)) =
                        events.try_send(Ok(event(text.as_bytes())))
                    {
                        listen.events = None;
                    }
                }
            }
        }
    }

    fn concerns(&self, outlet: &Outlet, upstream: &Name) -> bool {
        self.policy.load().reaches(&outlet.door, &outlet.narrow, upstream)
    }

    /// Whether news of a resource may be heard: what somebody follows may be a part of what may
    /// be seen, and news are also of parts of what is followed.
    fn hears(&self, outlet: &Outlet, upstream: &Name, uri: &str) -> bool {
        let follows = match &outlet.listener {
            Listener::Session(session) => {
                let merged = outlet.door.merges();
                let public = join_uri(upstream.as_str(), uri);
                session.is_subscribed(if merged { &public } else { uri })
            }
            Listener::Listen(listen) => {
                listen.filter.watched.iter().any(|(_, name, own)| name == upstream && own == uri)
            }
        };
        follows || self.policy.load().shows(&outlet.door, &outlet.narrow, upstream, uri)
    }

    /// No stream is open or waits for its client to come back.
    pub(super) fn is_empty(&self) -> bool {
        self.list().is_empty()
    }

    fn list(&self) -> MutexGuard<'_, Vec<Outlet>> {
        self.list.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub(super) fn subscription_meta(id: &str) -> String {
    format!("\"_meta\":{{\"io.modelcontextprotocol/subscriptionId\":{id}}}")
}

fn list_changed(kind: &str) -> String {
    format!("{{\"jsonrpc\":\"2.0\",\"method\":\"notifications/{kind}/list_changed\"}}")
}

fn updated(uri: &str, meta: &str) -> String {
    format!(
        "{{\"jsonrpc\":\"2.0\",\"method\":\"notifications/resources/updated\",\
         \"params\":{{\"uri\":{}{meta}}}}}",
        quote(uri)
    )
}

/// Tells a client that has missed something to look again.
pub(super) fn look_again(session: &Session) {
    for kind in ["tools", "prompts", "resources"] {
        session.say_general(list_changed(kind).as_bytes());
    }
    for uri in session.subscriptions() {
        session.say_general(updated(&uri, "").as_bytes());
    }
}

/// One message as a server-sent event.
pub(super) fn event(message: &[u8]) -> Bytes {
    let mut out = Vec::with_capacity(message.len() + 32);
    sse::encode(&mut out, None, message);
    Bytes::from(out)
}

/// `params.level` of a log message.
pub(super) fn message_level(text: &str) -> Option<Level> {
    let mut level = None;
    let mut reader = Reader::new(text, UPSTREAM_DEPTH);
    // The text was read before; a message of another shape has no level.
    let _ = reader.object::<JsonError>(|reader, key| {
        if key.is("params") && reader.peek()? == b'{' {
            reader.object::<JsonError>(|reader, key| {
                if key.is("level") && reader.peek()? == b'"' {
                    level = reader.string()?.decode().and_then(|text| Level::parse(&text));
                    return Ok(());
                }
                reader.value().map(drop)
            })?;
            return Ok(());
        }
        reader.value().map(drop)
    });
    level
}

/// Whether a message of a level may pass a threshold.
pub(super) fn passes(threshold: Option<Level>, level: Option<Level>) -> bool {
    match (threshold, level) {
        (Some(threshold), Some(level)) => level >= threshold,
        _ => true,
    }
}
