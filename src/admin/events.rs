//! `GET /api/v1/events`: what happens, as server-sent events while it happens. Whoever reads too
//! slowly is told how much he has missed; nothing waits for him, and nothing is kept for him.

use std::collections::HashMap;
use std::future::pending;
use std::sync::Arc;

use bytes::Bytes;
use serde_json::{Value, json};
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;

use super::answer::{Content, Reply};
use super::audit::object;
use super::call::Call;
use super::problem::Problem;
use super::reload;
use super::router::Answering;
use super::seat::Seat;
use super::serve::Api;
use super::stream::{Source, events};
use super::trail::{Step, Trail};
use crate::audit::{Audit, Filter, News, head, millis};
use crate::auth::Caller;
use crate::base::{TenantId, rfc3339};
use crate::config::{Attempt, Sight};
use crate::upstream::LinkNews;
use crate::wire::sse;

const PURPOSE: &str = "event";

/// What is told.
#[derive(Debug, Clone, Copy)]
struct Kinds {
    calls: bool,
    heads: bool,
    upstreams: bool,
    reloads: bool,
}

impl Kinds {
    /// As the call asks for them, of those that its sender may know of.
    fn of(call: &Call) -> Result<Self, Problem> {
        let everybody = call.caller.tenant().is_none();
        let whole = call.query("upstream").is_none();
        let Some(types) = call.query("types") else {
            return Ok(Self {
                calls: true,
                heads: whole,
                upstreams: true,
                reloads: everybody && whole,
            });
        };
        let words = ["call", "head", "upstream", "reload"];
        if let Some(other) = types.split(',').find(|word| !words.contains(word)) {
            let known = words.join(", ");
            return Err(Problem::Invalid(format!("`types` are {known}, and not `{other:.20}`")));
        }
        let [calls, heads, upstreams, reloads] =
            words.map(|word| types.split(',').any(|given| given == word));
        if reloads && !everybody {
            let words = "reloads are told to the operator, without `X-Tenant`; leave them out";
            return Err(Problem::Forbidden(words.to_owned()));
        }
        Ok(Self { calls, heads, upstreams, reloads })
    }
}

pub(super) fn open(api: Arc<Api>, call: Call) -> Answering {
    Box::pin(async move {
        let mut kinds = Kinds::of(&call)?;
        let tenant = call.caller.tenant();
        let upstream = call.query("upstream").map(str::to_owned);
        if api.audit.is_none() {
            if call.query("types").is_some() && (kinds.calls || kinds.heads) {
                api.records()?;
            }
            (kinds.calls, kinds.heads) = (false, false);
        }
        let own = tenant.map(|tenant| tenant.id());
        let from = match call.headers.get("last-event-id") {
            None => None,
            Some(id) => Some(place(&api, own, id.as_bytes()).ok_or_else(unknown)?),
        };
        let seat = api.seats.take(&call.caller)?;
        let (mut trail, mut news) = (None, None);
        let mut names = HashMap::new();
        if let Some(audit) = &api.audit {
            news = Some(Audit::subscribe(audit));
            let reader = audit.reader();
            if kinds.calls || kinds.heads {
                let heads = reader.heads().await?.into_iter();
                let heads = heads.filter(|head| own.is_none_or(|own| own == head.tenant));
                names = heads.map(|head| (head.tenant, head.name)).collect();
            }
            let filter = Filter { tenant: own, upstream: upstream.clone(), ..Filter::default() };
            trail = Some(Trail::new(reader, filter, from).await?);
        }
        if let Some(tenant) = tenant {
            names.insert(tenant.id(), tenant.name().to_string());
        }
        let reloads = api.reload.as_ref().filter(|_| kinds.reloads);
        let watcher = Watcher {
            kinds,
            own,
            upstream,
            names,
            trail,
            news,
            links: kinds.upstreams.then(|| api.line.link_news()),
            reloads: reloads.map(|reload| reload.news()),
            caller: call.caller,
            api,
            _seat: seat,
        };
        Ok(Reply::with(Content::Events(events(watcher))))
    })
}

/// Whose ids they are: anybody of the tenant who may watch goes on where another has left off.
fn about(own: Option<TenantId>) -> Vec<u8> {
    own.map_or_else(|| "everybody".to_owned(), |tenant| tenant.to_string()).into_bytes()
}

fn place(api: &Api, own: Option<TenantId>, id: &[u8]) -> Option<u64> {
    let id = std::str::from_utf8(id).ok()?;
    let place = api.ring.open_handle(PURPOSE, &about(own), id).ok()?;
    std::str::from_utf8(&place).ok()?.parse().ok()
}

fn unknown() -> Problem {
    Problem::Invalid(
        "this event id is unknown; open the stream again without `Last-Event-ID`".to_owned(),
    )
}

/// Somebody who watches.
struct Watcher {
    api: Arc<Api>,
    caller: Caller,
    kinds: Kinds,
    own: Option<TenantId>,
    upstream: Option<String>,
    names: HashMap<TenantId, String>,
    trail: Option<Trail>,
    news: Option<Receiver<Arc<News>>>,
    links: Option<Receiver<LinkNews>>,
    reloads: Option<Receiver<Arc<Attempt>>>,
    _seat: Seat,
}

/// What was heard.
enum Heard {
    News(Result<Arc<News>, RecvError>),
    Link(Result<LinkNews, RecvError>),
    Reload(Result<Arc<Attempt>, RecvError>),
}

async fn hear<T: Clone>(from: &mut Option<Receiver<T>>) -> Result<T, RecvError> {
    match from {
        Some(from) => from.recv().await,
        None => pending().await,
    }
}

impl Source for Watcher {
    async fn next(&mut self) -> Option<Bytes> {
        let (ended, draining) = (self.caller.ended().clone(), self.api.line.draining().clone());
        tokio::select! {
            biased;
            () = ended.cancelled() => None,
            () = draining.cancelled() => None,
            told = self.told() => told,
        }
    }
}

impl Watcher {
    async fn told(&mut self) -> Option<Bytes> {
        let mut out = Vec::new();
        while out.is_empty() {
            if let (Some(trail), Some(news)) = (&mut self.trail, &mut self.news) {
                let steps = trail.steps(news).await;
                let steps = steps.inspect_err(|error| {
                    // Whoever comes back with the last id misses nothing.
                    tracing::warn!(%error, "the audit does not answer; an event stream ends");
                });
                if let Some(steps) = steps.ok()? {
                    for step in &steps {
                        self.tell(step, &mut out);
                    }
                    continue;
                }
            }
            let heard = tokio::select! {
                news = hear(&mut self.news) => Heard::News(news),
                link = hear(&mut self.links) => Heard::Link(link),
                reload = hear(&mut self.reloads) => Heard::Reload(reload),
            };
            self.take(heard, &mut out);
        }
        Some(Bytes::from(out))
    }

    fn take(&mut self, heard: Heard, out: &mut Vec<u8>) {
        match heard {
            Heard::News(Ok(news)) => {
                let own = self.own;
                for head in news.heads.iter().filter(|h| own.is_none_or(|own| own == h.tenant)) {
                    if self.names.get(&head.tenant) != Some(&head.name) {
                        self.names.insert(head.tenant, head.name.clone());
                    }
                }
                if let Some(trail) = &mut self.trail {
                    trail.hear(news);
                }
            }
            Heard::News(Err(RecvError::Lagged(_))) => {
                if let Some(trail) = &mut self.trail {
                    trail.lost();
                }
            }
            Heard::Link(Ok(link)) => self.tell_link(&link, out),
            Heard::Link(Err(RecvError::Lagged(count))) => {
                // Among them are those of other tenants, of which he learns nothing.
                let count = self.own.is_none().then_some(count);
                self.write("missed", &json!({ "states": count }), out);
            }
            Heard::Reload(Ok(attempt)) => self.write("reload", &reloaded(&attempt), out),
            Heard::Reload(Err(RecvError::Lagged(count))) => {
                self.write("missed", &json!({ "reloads": count }), out);
            }
            Heard::News(Err(RecvError::Closed)) => self.news = None,
            Heard::Link(Err(RecvError::Closed)) => self.links = None,
            Heard::Reload(Err(RecvError::Closed)) => self.reloads = None,
        }
    }

    fn is_own(&self, tenant: Option<TenantId>) -> bool {
        self.own.is_none() || tenant.is_none() || self.own == tenant
    }

    /// Of a process that everybody shares only those hear who see its upstream.
    fn is_hidden(&self, link: &LinkNews) -> bool {
        let (Some(tenant), None) = (self.caller.tenant(), link.tenant) else { return false };
        let config = self.api.config();
        let entry = config.upstreams.get(&link.upstream);
        let sight = entry.map(|entry| config.sight(tenant.id(), tenant.name(), entry));
        sight == Some(Sight::Hidden)
    }

    fn tell(&self, step: &Step, out: &mut Vec<u8>) {
        match step {
            Step::Missed(place, count) if self.kinds.calls => {
                // Whoever comes back with this id is told what he has missed.
                self.put("missed", Some(*place), &json!({ "calls": count }), out);
            }
            Step::Record(place, record) if self.kinds.calls => {
                self.put("call", Some(*place), &object(record, &self.names), out);
            }
            Step::Head(chain) if self.kinds.heads => self.write("head", &head(chain), out),
            Step::Missed(..) | Step::Record(..) | Step::Head(_) => {}
        }
    }

    fn tell_link(&self, link: &LinkNews, out: &mut Vec<u8>) {
        let wanted = self.upstream.as_ref().is_none_or(|wanted| wanted == link.upstream.as_str());
        if !wanted || !self.is_own(link.tenant) || self.is_hidden(link) {
            return;
        }
        let tenant = link.tenant.and_then(|id| {
            let known = self.names.get(&id).cloned();
            known.or_else(|| self.api.line.tenant_name(&id).map(|name| name.to_string()))
        });
        let value = json!({
            "time": millis(link.at),
            "tenant": tenant,
            "upstream": link.upstream.as_str(),
            "state": link.change.as_str(),
            "reason": link.change.reason(),
        });
        self.write("upstream", &value, out);
    }

    fn write(&self, name: &str, value: &Value, out: &mut Vec<u8>) {
        self.put(name, self.trail.as_ref().map(Trail::place), value, out);
    }

    fn put(&self, name: &str, place: Option<u64>, value: &Value, out: &mut Vec<u8>) {
        let id = place.and_then(|place| {
            let place = place.to_string();
            self.api.ring.seal_handle(PURPOSE, &about(self.own), place.as_bytes()).ok()
        });
        out.extend_from_slice(format!("event: {name}\n").as_bytes());
        sse::encode(out, id.as_deref(), value.to_string().as_bytes());
    }
}

fn reloaded(attempt: &Attempt) -> Value {
    let mut value = match &attempt.outcome {
        Ok(applied) => reload::value(attempt, applied),
        Err(refusal) => json!({
            "at": rfc3339(attempt.at),
            "detail": Problem::File(refusal.clone()).to_string(),
            "problems": reload::problems(refusal),
        }),
    };
    value["by"] = json!(attempt.by.as_str());
    value["accepted"] = json!(attempt.outcome.is_ok());
    value
}
