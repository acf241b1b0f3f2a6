//! Subscriptions of both eras: `subscriptions/listen`, and `resources/(un)subscribe` of a
//! session. They are counted, so that an upstream hears of each resource once.

use std::sync::Arc;

use serde_json::Value;

use super::answer::{Answer, Body};
use super::line::Line;
use super::outlet::Filter;
use super::quirk::client_quirks;
use super::serve::Posting;
use super::task::undeclared;
use super::tenant::Tenant;
use crate::base::{Fault, Kind};
use crate::config::{Transport, Upstream};
use crate::namespace::Plan;
use crate::session::Session;
use crate::upstream::{Event, Lease, LinkKey};
use crate::wire::json::quote;
use crate::wire::{Called, CapSet, Era, Field, ListKind, MetaKey, Posted};

/// Resources that one listen may follow.
const MOST_WATCHED: usize = 1_000;

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
        let tenant = self.tenant(&posting.principal);
        let view = tenant.known_view(&posting.door);
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
        for uri in uris.iter().filter_map(Value::as_str).take(MOST_WATCHED) {
            // What is not honoured is left out of the acknowledgement (R25).
            let Some(plan) = view.uri(uri) else { continue };
            if self.watch_resource(posting, &tenant, &plan).await.is_ok() {
                filter.watched.push((
                    uri.to_owned(),
                    plan.upstream().name.clone(),
                    plan.original().to_owned(),
                ));
            }
        }
        let ids = asked["taskIds"].as_array().map(Vec::as_slice).unwrap_or_default();
        let ids = ids.iter().filter_map(Value::as_str).take(MOST_WATCHED);
        let followed = self.watch_tasks(posting, ids, &mut filter).await;
        let client = posted.meta_raw(MetaKey::ClientInfo).unwrap_or_default();
        if client_quirks(&self.config, client).is_some_and(|quirks| !quirks.list_changed) {
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
        let feed = tenant.outlets().open_listen(
            &posting.principal,
            &posting.door,
            posted.id_text(),
            filter,
            &acknowledged,
        );
        for lease in followed {
            lease.listen(tenant.interest(&lease.key().upstream));
        }
        Ok(Answer::ok(Body::Events(feed)))
    }

    /// `resources/subscribe` and `resources/unsubscribe` of a session.
    pub(super) async fn subscribe(
        self: &Arc<Self>,
        posting: &Posting,
        posted: &Posted,
        session: &Session,
        on: bool,
    ) -> Result<Answer, Fault> {
        let uri = posted.string(Field::Uri).ok_or_else(|| {
            Fault::client(Kind::InvalidParams, "`params.uri` is missing or no text")
        })?;
        let tenant = self.tenant(&posting.principal);
        let plan = tenant.known_view(&posting.door).uri(&uri).ok_or_else(|| {
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
            if session.subscribe(&uri)
                && let Err(fault) = self.watch_resource(posting, &tenant, &plan).await
            {
                session.unsubscribe(&uri);
                return Err(fault);
            }
        } else if session.unsubscribe(&uri) {
            tenant.unwatch(self, plan.upstream(), plan.original()).await;
        }
        Ok(Answer::result(posted.id_text(), "{}"))
    }

    async fn watch_resource(
        self: &Arc<Self>,
        posting: &Posting,
        tenant: &Arc<Tenant>,
        plan: &Plan,
    ) -> Result<(), Fault> {
        let (lease, _) = self.house_link(&posting.principal, plan.upstream()).await?;
        if !lease.facts().can_subscribe() {
            let sentence = format!("Upstream `{}` has no subscriptions", plan.upstream().name);
            return Err(Fault::client(Kind::UnknownMethod, sentence));
        }
        if tenant.count_up(&plan.upstream().name, plan.original())
            && let Err(fault) =
                self.follow(tenant, &lease, plan.upstream(), Some((true, plan.original()))).await
        {
            tenant.count_down(&plan.upstream().name, plan.original());
            return Err(self.hide(&posting.principal, plan.upstream(), fault));
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
        let http = |upstream: &Arc<Upstream>| matches!(upstream.transport, Transport::Http { .. });
        key.principal.is_some() && self.config.upstreams.get(&key.upstream).is_some_and(http)
    }

    /// What an upstream said on its own account: to the tenant whose link it is, or to all that
    /// share it.
    pub(super) fn heard(self: &Arc<Self>, key: &LinkKey, event: &Event) {
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
                        .config
                        .upstreams
                        .get(&key.upstream)
                        .is_some_and(|upstream| !upstream.quirks.list_changed) => {}
                Event::ListChanged(name) => {
                    let kinds: Vec<ListKind> = ListKind::ALL
                        .into_iter()
                        .filter(|kind| kind.capability() == Some(name))
                        .collect();
                    tenant.changed(self, key.upstream.as_str(), &kinds);
                }
                Event::Updated { uri, .. } => tenant.outlets().updated(&key.upstream, uri),
                // A process that all tenants share: nobody knows whose call it speaks of.
                Event::Log(_) if key.tenant.is_none() => {}
                Event::Log(message) => {
                    tenant.outlets().log(&key.upstream, key.principal.as_deref(), message)
                }
                Event::Missed => {
                    // Something may have been missed: clients are told to look again (R30).
                    tenant.changed(self, key.upstream.as_str(), &ListKind::ALL);
                    for uri in tenant.watched(&key.upstream) {
                        tenant.outlets().updated(&key.upstream, &uri);
                    }
                }
                Event::Other(message) => tenant.outlets().task(&key.upstream, message),
                Event::Gone => {}
            }
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
        if let Some(lease) = line.open_house_link(self.info(), upstream)
            && let Err(fault) = line.follow(self, &lease, upstream, Some((false, uri))).await
        {
            tracing::debug!(upstream = %upstream.name, reason = %fault.public, "unsubscribe failed");
        }
    }
}
