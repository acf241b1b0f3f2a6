//! Subscriptions of both eras: `subscriptions/listen`, and `resources/(un)subscribe` of a
//! session. They are counted, so that an upstream hears of each resource once.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tokio::sync::mpsc;

use super::answer::{Answer, Body};
use super::line::Line;
use super::outlet::{Filter, Listening};
use super::quirk::client_quirks;
use super::scope::narrow;
use super::serve::Posting;
use super::task::undeclared;
use super::tenant::Tenant;
use crate::auth::Principal;
use crate::base::{Fault, Kind, Name, now};
use crate::config::{Transport, Upstream};
use crate::credential::Armed;
use crate::namespace::{Door, Plan};
use crate::session::{Followed, Session};
use crate::upstream::{Event, Lease, LinkKey};
use crate::wire::json::quote;
use crate::wire::{Called, CapSet, Era, Field, ListKind, MetaKey, Posted};

/// Resources that one listen may follow.
const MOST_WATCHED: usize = 1_000;
/// The acknowledgement waits this long for upstreams to take a subscription, so that what they
/// refuse is left out of it; a slow upstream does not hold it up (protocol.md 3.3).
const GRACE: Duration = Duration::from_millis(250);

/// A resource that a listen asked for: its public URI, and where it is.
type Wish = (String, Plan);

impl Line {
    /// `subscriptions/listen` (protocol.md 1.6).
    pub(super) async fn listen(
        self: &Arc<Self>,
        posting: &Posting,
        posted: &Posted,
        declares: CapSet,
    ) -> Result<Answer, Fault> {
        let wrong =
            || Fault::client(Kind::InvalidParams, "`params.notifications` is missing or wrong");
        let asked: Value = posted
            .raw(Field::Notifications)
            .and_then(|text| serde_json::from_str(text).ok())
            .ok_or_else(wrong)?;
        if !asked.is_object() {
            return Err(wrong());
        }
        let place = self.holders.listen(&posting.principal)?;
        let tenant = self.tenant(&posting.principal);
        let mut filter = Filter {
            tools: asked["toolsListChanged"] == true,
            prompts: asked["promptsListChanged"] == true,
            resources: asked["resourcesListChanged"] == true,
            watched: Vec::new(),
            tasks: Vec::new(),
        };
        if !asked["taskIds"].is_null() && !declares.has(CapSet::TASKS) {
            return Err(undeclared());
        }
        let uris = asked["resourceSubscriptions"].as_array().map(Vec::as_slice).unwrap_or_default();
        // What is not honoured is left out of the acknowledgement (R25).
        let wishes: Vec<Wish> = uris
            .iter()
            .filter_map(Value::as_str)
            .take(MOST_WATCHED)
            .filter_map(|uri| {
                let (principal, door) = (&posting.principal, &posting.door);
                Some((uri.to_owned(), self.find_resource(principal, &tenant, door, uri)?))
            })
            .collect();
        let (granted, late) = self.watch_all(&posting.principal, &tenant, wishes).await;
        filter.watched = granted
            .into_iter()
            .map(|(uri, plan)| (uri, plan.upstream().name.clone(), plan.original().to_owned()))
            .collect();
        let ids = asked["taskIds"].as_array().map(Vec::as_slice).unwrap_or_default();
        let ids = ids.iter().filter_map(Value::as_str).take(MOST_WATCHED);
        let followed = self.watch_tasks(posting, ids, &mut filter).await;
        let client = posted.meta_raw(MetaKey::ClientInfo).unwrap_or_default();
        if client_quirks(&self.config(), client).is_some_and(|quirks| !quirks.list_changed) {
            (filter.tools, filter.prompts, filter.resources) = (false, false, false);
        }
        tenant.warm_up(self, &posting.principal, &posting.door);
        let mut members = Vec::new();
        for (name, honoured) in [
            ("toolsListChanged", filter.tools),
            ("promptsListChanged", filter.prompts),
            ("resourcesListChanged", filter.resources),
        ] {
            if honoured {
                members.push(format!("\"{name}\":true"));
            }
        }
        if !filter.watched.is_empty() {
            let uris: Vec<String> = filter.watched.iter().map(|(uri, ..)| quote(uri)).collect();
            members.push(format!("\"resourceSubscriptions\":[{}]", uris.join(",")));
        }
        if !filter.tasks.is_empty() {
            let ids: Vec<String> = filter.tasks.iter().map(|(id, _)| quote(id)).collect();
            members.push(format!("\"taskIds\":[{}]", ids.join(",")));
        }
        let acknowledged = format!("{{{}}}", members.join(","));
        let (feed, listening) = tenant.outlets().open_listen(
            (&posting.principal, place),
            &posting.door,
            posted.id_text(),
            filter,
            &acknowledged,
        );
        for lease in followed {
            lease.listen(tenant.interest(&lease.key().upstream));
        }
        if late.is_some() {
            self.tasks.spawn("late subscriptions", see_to(tenant, listening, late));
        }
        Ok(Answer::ok(Body::Events(feed)))
    }

    /// Counts the resources and has their upstreams told, each upstream on its own. Gives those
    /// that were not refused within the grace, and where the rest is told.
    async fn watch_all(
        self: &Arc<Self>,
        principal: &Principal,
        tenant: &Arc<Tenant>,
        wishes: Vec<Wish>,
    ) -> (Vec<Wish>, Option<mpsc::Receiver<Verdict>>) {
        if wishes.is_empty() {
            return (wishes, None);
        }
        let (told, mut verdicts) = mpsc::channel(wishes.len());
        let mut waiting = wishes.len();
        let mut by_upstream: BTreeMap<Name, Vec<(usize, Plan, bool)>> = BTreeMap::new();
        for (at, (_, plan)) in wishes.iter().enumerate() {
            let first = tenant.count_up(&plan.upstream().name, plan.original());
            let name = plan.upstream().name.clone();
            by_upstream.entry(name).or_default().push((at, plan.clone(), first));
        }
        for plans in by_upstream.into_values() {
            let (line, tenant, principal) = (self.clone(), tenant.clone(), principal.clone());
            let told = told.clone();
            self.tasks.spawn("subscriptions", async move {
                for (at, plan, first) in plans {
                    let taken = line.watch_counted(&principal, &tenant, &plan, first).await;
                    // There is room for all of them.
                    let refused = taken.err().map(|fault| fault.kind);
                    let _ = told.try_send(Verdict { at, plan, first, refused });
                }
            });
        }
        drop(told);
        let deadline = now() + GRACE;
        let mut refused = Vec::new();
        while waiting > 0 {
            let Ok(Some(verdict)) = tokio::time::timeout_at(deadline, verdicts.recv()).await else {
                break;
            };
            waiting -= 1;
            if verdict.refused.is_some() {
                tenant.count_down(&verdict.plan.upstream().name, verdict.plan.original());
                refused.push(verdict.at);
            }
        }
        let granted = wishes.into_iter().enumerate().filter(|(at, _)| !refused.contains(at));
        (granted.map(|(_, wish)| wish).collect(), (waiting > 0).then_some(verdicts))
    }

    /// `resources/subscribe` and `resources/unsubscribe` of a session.
    pub(super) async fn subscribe(
        self: &Arc<Self>,
        posting: &Posting,
        posted: &Posted,
        session: &Arc<Session>,
        on: bool,
    ) -> Result<Answer, Fault> {
        let uri = posted.string(Field::Uri).ok_or_else(|| {
            Fault::client(Kind::InvalidParams, "`params.uri` is missing or no text")
        })?;
        let tenant = self.tenant(&posting.principal);
        let (principal, door) = (&posting.principal, &posting.door);
        let plan = self.find_resource(principal, &tenant, door, &uri).ok_or_else(|| {
            Fault::client(
                Kind::UnknownResource(uri.to_string()),
                format!("Resource not found: {uri:.200}"),
            )
        })?;
        if on {
            if session.subscription_count() >= MOST_WATCHED {
                let sentence = format!("A session follows at most {MOST_WATCHED} resources");
                return Err(Fault::client(Kind::InvalidParams, sentence));
            }
            if !session.is_subscribed(&uri) {
                self.watch_resource(&posting.principal, &tenant, &plan).await?;
                if session.subscribe(&uri) == Followed::New {
                    self.keep_state(session).await;
                } else {
                    // It has ended meanwhile, or the same was asked twice at a time.
                    tenant.unwatch(self, plan.upstream(), plan.original()).await;
                }
            }
        } else if session.unsubscribe(&uri) {
            tenant.unwatch(self, plan.upstream(), plan.original()).await;
            self.keep_state(session).await;
        }
        Ok(Answer::result(posted.id_text(), "{}"))
    }

    /// Where a resource is, for whoever may see it.
    pub(super) fn find_resource(
        &self,
        principal: &Principal,
        tenant: &Tenant,
        door: &Door,
        uri: &str,
    ) -> Option<Plan> {
        let plan = tenant.known_view(principal, door).uri(uri)?;
        let permitted = self.policy().may(&plan, door, narrow(principal)).is_ok();
        permitted.then_some(plan)
    }

    async fn watch_resource(
        self: &Arc<Self>,
        principal: &Principal,
        tenant: &Arc<Tenant>,
        plan: &Plan,
    ) -> Result<(), Fault> {
        let first = tenant.count_up(&plan.upstream().name, plan.original());
        let watched = self.watch_counted(principal, tenant, plan, first).await;
        watched.inspect_err(|_| {
            tenant.count_down(&plan.upstream().name, plan.original());
        })
    }

    /// Has the upstream told of a resource that was counted; `first` says that it was not told
    /// before.
    pub(super) async fn watch_counted(
        self: &Arc<Self>,
        principal: &Principal,
        tenant: &Arc<Tenant>,
        plan: &Plan,
        first: bool,
    ) -> Result<(), Fault> {
        let (lease, _) = self.house_link(principal, plan.upstream()).await?;
        if !lease.facts().can_subscribe() {
            let sentence = format!("Upstream `{}` has no subscriptions", plan.upstream().name);
            return Err(Fault::client(Kind::UnknownMethod, sentence));
        }
        if first {
            let change = Some((true, plan.original()));
            let followed = self.follow(tenant, &lease, plan.upstream(), change).await;
            followed.map_err(|fault| self.hide(principal, plan.upstream(), fault))?;
        }
        Ok(())
    }

    /// Makes a link follow what the tenant watches; a legacy upstream is told of the change.
    pub(super) async fn follow(
        &self,
        tenant: &Tenant,
        lease: &Lease,
        upstream: &Upstream,
        change: Option<(bool, &str)>,
    ) -> Result<(), Fault> {
        lease.listen(tenant.interest(&upstream.name));
        // What the client is told next is a promise: from then on it hears everything.
        lease.listening().await;
        if lease.facts().era == Era::Modern {
            return Ok(());
        }
        let Some((on, uri)) = change else { return Ok(()) };
        let name = if on { "resources/subscribe" } else { "resources/unsubscribe" };
        let Called::Known(method) = Called::find(name) else {
            return Err(Fault::internal("a subscription method is missing from the table"));
        };
        let message = self.ask(lease, upstream, method, &format!("\"uri\":{}", quote(uri))).await?;
        if message.inbound.kind == crate::wire::InboundKind::Error {
            return Err(Fault::client(
                Kind::InvalidParams,
                format!("Upstream `{}` refused to subscribe", upstream.name),
            )
            .because(message.text()));
        }
        Ok(())
    }

    /// True for a principal's own link beside which the tenant has one of its own.
    fn has_house_link(&self, key: &LinkKey) -> bool {
        let http = |upstream: Arc<Upstream>| matches!(upstream.transport, Transport::Http { .. });
        key.principal.is_some() && self.entry(key.upstream.as_str()).is_some_and(http)
    }

    /// What an upstream said on its own account: to the tenant whose link it is, or to all that
    /// share it.
    pub(super) fn heard(self: &Arc<Self>, key: &LinkKey, armed: &Armed, event: &Event) {
        let tenants = match &key.tenant {
            Some(id) => self.find_tenant(id).into_iter().collect(),
            None => self.all_tenants(),
        };
        for tenant in tenants {
            match event {
                // The house link says the same; a principal's own link only speaks for it when
                // there is no other.
                Event::ListChanged(_) | Event::Updated { .. } | Event::Missed
                    if self.has_house_link(key) => {}
                Event::ListChanged(_)
                    if self
                        .entry(key.upstream.as_str())
                        .is_some_and(|upstream| !upstream.quirks.list_changed) => {}
                Event::ListChanged(name) => {
                    let kinds: Vec<ListKind> = ListKind::ALL
                        .into_iter()
                        .filter(|kind| kind.capability() == Some(name))
                        .collect();
                    tenant.changed(self, key.upstream.as_str(), &kinds);
                }
                Event::Updated { uri, message } => {
                    tenant.outlets().updated(&key.upstream, uri, Some(message));
                }
                // A process that all tenants share: nobody knows whose call it speaks of.
                Event::Log(_) if key.tenant.is_none() => {}
                Event::Log(message) => {
                    // Some upstreams repeat the credentials that they were given.
                    let text = armed.redact(message.text());
                    tenant.outlets().log(&key.upstream, key.principal.as_deref(), &text);
                }
                Event::Missed => {
                    // Something may have been missed: clients are told to look again (R30).
                    tenant.changed(self, key.upstream.as_str(), &ListKind::ALL);
                    for uri in tenant.watched(&key.upstream) {
                        tenant.outlets().updated(&key.upstream, &uri, None);
                    }
                }
                Event::Other(message) => tenant.outlets().task(&key.upstream, message),
                Event::Gone => {}
            }
        }
    }
}

/// What became of one subscription of a listen.
struct Verdict {
    at: usize,
    plan: Plan,
    /// The upstream was told for this listen; nobody had followed the resource before.
    first: bool,
    refused: Option<Kind>,
}

/// Subscriptions that were acknowledged before the upstream had answered. What it may have told
/// meanwhile is made up for; a listen that promises what is not to be had ends, and its client
/// listens anew.
async fn see_to(tenant: Arc<Tenant>, listening: Listening, late: Option<mpsc::Receiver<Verdict>>) {
    let Some(mut late) = late else { return };
    while let Some(Verdict { plan, first, refused, .. }) = late.recv().await {
        match refused {
            // It was followed all the time; or is about to be, and then all are told.
            None if !first => {}
            None => tenant.outlets().updated(&plan.upstream().name, plan.original(), None),
            Some(Kind::UnknownMethod) => tenant.outlets().end_listen(&listening),
            // It stays counted: a link that is made later follows it.
            Some(_) => {}
        }
    }
}

impl Tenant {
    /// Takes one subscription of a resource back.
    pub(super) async fn unwatch(&self, line: &Arc<Line>, upstream: &Arc<Upstream>, uri: &str) {
        if !self.count_down(&upstream.name, uri) {
            return;
        }
        // Without a link nobody is left to be told.
        if let Some(lease) = line.open_house_link(self.info(), upstream, None)
            && let Err(fault) = line.follow(self, &lease, upstream, Some((false, uri))).await
        {
            tracing::debug!(upstream = %upstream.name, reason = %fault.public, "unsubscribe failed");
        }
    }
}
