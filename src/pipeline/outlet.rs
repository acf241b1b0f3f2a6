//! Streams to clients that are not the answer to one call: the GET stream of a legacy session
//! and `subscriptions/listen` of the modern era.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use tokio::sync::mpsc;

use super::answer::Feed;
use super::quirk::client_quirks;
use super::task::described_to;
use crate::auth::Principal;
use crate::base::{Fault, KeyId, Name};
use crate::bridge::{Task, TaskHandle, Whose};
use crate::config::Config;
use crate::namespace::{Door, join_uri};
use crate::session::{Level, Session};
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
    Listen { id: String, filter: Filter },
}

#[derive(Debug)]
struct Outlet {
    listener: Listener,
    door: Door,
    events: mpsc::Sender<Result<Bytes, Fault>>,
}

/// The open streams of one tenant.
#[derive(Debug, Default)]
pub(super) struct Outlets {
    list: Mutex<Vec<Outlet>>,
}

impl Outlets {
    /// The GET stream of a session; an older one of the same session ends.
    pub(super) fn open_session(
        &self,
        principal: &Principal,
        door: &Door,
        session: &Arc<Session>,
    ) -> Feed {
        let (events, feed) = channel(principal, session.ended().clone());
        let mut list = self.list();
        list.retain(|outlet| match &outlet.listener {
            Listener::Session(other) => !Arc::ptr_eq(other, session),
            Listener::Listen { .. } => true,
        });
        list.push(Outlet {
            listener: Listener::Session(session.clone()),
            door: door.clone(),
            events,
        });
        feed
    }

    /// A `subscriptions/listen` stream, which begins with its acknowledgement. `id` is the
    /// request's id as JSON text.
    pub(super) fn open_listen(
        &self,
        principal: &Principal,
        door: &Door,
        id: &str,
        filter: Filter,
        acknowledged: &str,
    ) -> Feed {
        let (events, feed) = channel(principal, principal.ended().clone());
        let first = format!(
            "{{\"jsonrpc\":\"2.0\",\"method\":\"notifications/subscriptions/acknowledged\",\"params\":{{\
             \"notifications\":{acknowledged},{}}}}}",
            subscription_meta(id)
        );
        // The queue is new and empty.
        let _ = events.try_send(Ok(event(first.as_bytes())));
        let listener = Listener::Listen { id: id.to_owned(), filter };
        self.list().push(Outlet { listener, door: door.clone(), events });
        feed
    }

    /// Tells everybody concerned that lists of an upstream have changed.
    pub(super) fn list_changed(&self, config: &Config, upstream: &Name, kinds: &[ListKind]) {
        let mut names: Vec<&str> = kinds.iter().filter_map(|kind| kind.capability()).collect();
        names.dedup();
        for name in names {
            self.send(upstream, |listener| match listener {
                Listener::Session(session)
                    if client_quirks(config, &session.opening().client_info)
                        .is_some_and(|quirks| !quirks.list_changed) =>
                {
                    None
                }
                Listener::Session(_) => Some(format!(
                    "{{\"jsonrpc\":\"2.0\",\"method\":\"notifications/{name}/list_changed\"}}"
                )),
                Listener::Listen { id, filter } => {
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

    /// Tells everybody who follows a resource that it was updated.
    pub(super) fn updated(&self, upstream: &Name, uri: &str) {
        let public = join_uri(upstream.as_str(), uri);
        let list = self.list();
        let doors: BTreeSet<bool> = list.iter().map(|outlet| outlet.door == Door::Merged).collect();
        drop(list);
        for merged in doors {
            let shown = if merged { &*public } else { uri };
            self.send_where(
                |door| concerns(door, upstream) && (*door == Door::Merged) == merged,
                |listener| {
                    let meta = match listener {
                        Listener::Session(session) if session.follows(shown) => String::new(),
                        Listener::Listen { id, filter }
                            if filter
                                .watched
                                .iter()
                                .any(|(public, ..)| shown.starts_with(public)) =>
                        {
                            format!(",{}", subscription_meta(id))
                        }
                        _ => return None,
                    };
                    Some(format!(
                        "{{\"jsonrpc\":\"2.0\",\"method\":\"notifications/resources/updated\",\
                         \"params\":{{\"uri\":{}{meta}}}}}",
                        quote(shown)
                    ))
                },
            );
        }
    }

    /// The upstream's own ids of the tasks that somebody follows.
    pub(super) fn tasks(&self, upstream: &Name) -> BTreeSet<String> {
        let mut ids = BTreeSet::new();
        for outlet in self.list().iter().filter(|outlet| !outlet.events.is_closed()) {
            let Listener::Listen { filter, .. } = &outlet.listener else { continue };
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
                |door| (*door == Door::Merged) == merged,
                |listener| {
                    let Listener::Listen { id, filter } = listener else { return None };
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
    /// principal's own link only to its sessions.
    pub(super) fn log(&self, upstream: &Name, principal: Option<&str>, message: &Message) {
        let level = message_level(message.text());
        self.send(upstream, |listener| match listener {
            Listener::Session(session) if passes(session.level(), level) => {
                let key = session.opening().key;
                let own = principal
                    .is_none_or(|holder| holder == key.as_str() || holder == session.id().text());
                own.then(|| message.text().to_owned())
            }
            _ => None,
        });
    }

    /// True when a session of this key has its stream open.
    pub(super) fn any_session(&self, key: KeyId) -> bool {
        self.list().iter().any(|outlet| match &outlet.listener {
            Listener::Session(session) => {
                session.opening().key == key && !outlet.events.is_closed()
            }
            Listener::Listen { .. } => false,
        })
    }

    /// True when some stream is open on which this upstream's news arrive.
    pub(super) fn any_for(&self, upstream: &Name) -> bool {
        self.list()
            .iter()
            .any(|outlet| !outlet.events.is_closed() && concerns(&outlet.door, upstream))
    }

    /// Forgets streams whose client has gone; gives the resources that nobody on them follows
    /// any more, one entry for each subscription, and the upstreams whose tasks they followed.
    pub(super) fn prune(&self) -> (Vec<(Name, String)>, BTreeSet<String>) {
        let (mut freed, mut tasks) = (Vec::new(), BTreeSet::new());
        self.list().retain(|outlet| {
            let open = !outlet.events.is_closed();
            if !open && let Listener::Listen { filter, .. } = &outlet.listener {
                freed.extend(
                    filter.watched.iter().map(|(_, upstream, uri)| (upstream.clone(), uri.clone())),
                );
                tasks.extend(filter.tasks.iter().map(|(_, task)| task.upstream.clone()));
            }
            open
        });
        (freed, tasks)
    }

    /// Ends every stream; a listen ends with its result (R29).
    pub(super) fn close(&self) {
        for outlet in std::mem::take(&mut *self.list()) {
            if let Listener::Listen { id, .. } = &outlet.listener {
                let result = format!(
                    "{{\"jsonrpc\":\"2.0\",\"id\":{id},\"result\":{{\"resultType\":\"complete\",{}}}}}",
                    subscription_meta(id)
                );
                // A full queue means a client that does not read: its stream just ends.
                let _ = outlet.events.try_send(Ok(event(result.as_bytes())));
            }
        }
    }

    fn send(&self, upstream: &Name, message: impl Fn(&Listener) -> Option<String>) {
        self.send_where(|door| concerns(door, upstream), message);
    }

    fn send_where(
        &self,
        door: impl Fn(&Door) -> bool,
        message: impl Fn(&Listener) -> Option<String>,
    ) {
        self.list().retain(|outlet| {
            if !door(&outlet.door) {
                return true;
            }
            let Some(text) = message(&outlet.listener) else { return true };
            // A client that does not read loses its stream, not single events: it opens a new
            // one and lists anew.
            !matches!(
                outlet.events.try_send(Ok(event(text.as_bytes()))),
                Err(mpsc::error::TrySendError::Full(_))
            )
        });
    }

    fn list(&self) -> MutexGuard<'_, Vec<Outlet>> {
        self.list.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn channel(
    principal: &Principal,
    other: tokio_util::sync::CancellationToken,
) -> (mpsc::Sender<Result<Bytes, Fault>>, Feed) {
    let (sender, events) = mpsc::channel(QUEUE);
    (sender, Feed { events, ends: [principal.ended().clone(), other], keep_alive: None })
}

fn concerns(door: &Door, upstream: &Name) -> bool {
    match door {
        Door::Merged => true,
        Door::Single(name) => name == upstream,
    }
}

pub(super) fn subscription_meta(id: &str) -> String {
    format!("\"_meta\":{{\"io.modelcontextprotocol/subscriptionId\":{id}}}")
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

/// Changes the URI of a `notifications/resources/updated` into its public form.
pub(super) fn updated_uri(text: &str) -> Option<String> {
    let mut uri = None;
    let mut reader = Reader::new(text, UPSTREAM_DEPTH);
    let _ = reader.object::<JsonError>(|reader, key| {
        if key.is("params") && reader.peek()? == b'{' {
            reader.object::<JsonError>(|reader, key| {
                if key.is("uri") && reader.peek()? == b'"' {
                    uri = reader.string()?.decode().map(std::borrow::Cow::into_owned);
                    return Ok(());
                }
                reader.value().map(drop)
            })?;
            return Ok(());
        }
        reader.value().map(drop)
    });
    uri
}
