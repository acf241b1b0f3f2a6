//! Reading an upstream's lists, all pages of all four, over the tenant's own link.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::line::Line;
use crate::auth::Principal;
use crate::base::{Fault, Retry};
use crate::config::Upstream;
use crate::namespace::{Catalogue, read_page};
use crate::policy::own_work;
use crate::upstream::{Lease, Message, Outgoing, Reply, own_request};
use crate::wire::json::quote;
use crate::wire::{Called, CapSet, Era, InboundKind, ListKind, Method, Skills};

/// Pages, items and bytes of one list: beyond them an upstream is not believed.
const MOST_PAGES: usize = 1_000;
const MOST_ITEMS: usize = 50_000;
const MOST_BYTES: usize = 64 << 20;
/// A list is asked for again after at least and at most this long; one whose changes are
/// announced only now and then.
const SHORTEST: Duration = Duration::from_secs(5);
const LONGEST: Duration = Duration::from_secs(3_600);
const ANNOUNCED: Duration = Duration::from_secs(300);
const UNANNOUNCED: Duration = Duration::from_secs(30);

impl Line {
    /// Reads every list of an upstream for a tenant; gives it with the time it stays fresh.
    pub(super) async fn fetch_catalogue(
        self: &Arc<Self>,
        asker: &Principal,
        upstream: &Arc<Upstream>,
        apps: bool,
    ) -> Result<(Catalogue, Duration), Fault> {
        let (lease, credential, told) = self.list_link(asker, upstream, apps).await?;
        let facts = lease.facts().clone();
        // A change after the lists were read must be heard, so it listens before it reads: on the
        // one link that all lists have in common.
        if !apps {
            let tenant = self.tenant(asker);
            lease.listen(tenant.interest(&upstream.name));
            lease.listening().await;
        }
        let mut catalogue = Catalogue::new(upstream.clone(), credential);
        if upstream.all_arguments {
            let armed = self.credentials.armed_last(asker.tenant().id(), own_work(upstream));
            let slots = armed.iter().flat_map(|armed| armed.slots());
            catalogue.secrets = slots.map(|slot| slot.as_str().to_owned()).collect();
        }
        catalogue.instructions = facts.instructions.clone();
        catalogue.completes = facts.can("completions");
        catalogue.runs_tasks = facts.runs_tools_as_tasks();
        catalogue.skills = Skills::announced(&facts.capabilities);
        let mut ttl = if facts.announces("tools") && upstream.quirks.list_changed {
            ANNOUNCED
        } else {
            UNANNOUNCED
        };
        for kind in ListKind::ALL {
            let has = match kind.capability() {
                Some(capability) => facts.can(capability),
                None => catalogue.skills != Skills::None,
            };
            if has {
                let list = self.read_list(&lease, upstream, kind, told, &mut catalogue).await;
                let shortest = list.map_err(|fault| self.hide(asker, upstream, fault))?;
                ttl = shortest.map_or(ttl, |shortest| ttl.min(shortest));
            }
        }
        Ok((catalogue, ttl.clamp(SHORTEST, LONGEST)))
    }

    /// A fault whose detail is what the upstream said, without the tenant's credentials.
    pub(super) fn hide(
        &self,
        asker: &Principal,
        upstream: &Arc<Upstream>,
        mut fault: Fault,
    ) -> Fault {
        if let Some(armed) = self.credentials.armed_cached(asker.tenant().id(), own_work(upstream))
        {
            fault.private =
                fault.private.map(|detail| armed.redact(&detail).chars().take(300).collect());
        } else {
            fault.private = None;
        }
        fault
    }

    async fn read_list(
        &self,
        lease: &Lease,
        upstream: &Arc<Upstream>,
        kind: ListKind,
        told: CapSet,
        catalogue: &mut Catalogue,
    ) -> Result<Option<Duration>, Fault> {
        let Called::Known(method) = Called::find(kind.method()) else {
            return Err(Fault::internal("a list method is missing from the table"));
        };
        let era = lease.facts().era;
        let (mut cursor, mut ttl): (Option<String>, Option<u64>) = (None, None);
        let mut bytes = 0;
        for _ in 0..MOST_PAGES {
            let members = cursor
                .as_ref()
                .map_or_else(String::new, |cursor| format!("\"cursor\":{}", quote(cursor)));
            let message = self.ask_as(told, lease, upstream, method, &members).await?;
            let Some(payload) = message.inbound.payload.clone() else { break };
            if message.inbound.kind != InboundKind::Result {
                // A server may declare `resources` and have no templates; and skills are not
                // worth its other lists.
                if matches!(kind, ListKind::Templates | ListKind::Skills) {
                    break;
                }
                return Err(Fault::upstream(
                    Retry::Safe,
                    format!("Upstream `{}` refused {}", upstream.name, kind.method()),
                )
                .because(message.text()));
            }
            let page = read_page(kind, &message.text()[payload.clone()]).map_err(|error| {
                Fault::upstream(Retry::Safe, format!("Upstream `{}` sent no list", upstream.name))
                    .because(format!("{}: {error}", kind.method()))
            })?;
            bytes += payload.len();
            let text: Bytes = message.bytes.slice(payload);
            for report in catalogue.add(kind, era, &text, &page) {
                tracing::warn!(upstream = %upstream.name, report, "an entry was left out");
            }
            if let Some(page_ttl) = page.ttl {
                ttl = Some(ttl.map_or(page_ttl, |ttl| ttl.min(page_ttl)));
            }
            match page.next {
                Some(next)
                    if bytes < MOST_BYTES && catalogue.listing(kind).items.len() < MOST_ITEMS =>
                {
                    cursor = Some(next);
                }
                Some(_) => {
                    tracing::warn!(upstream = %upstream.name, method = kind.method(), "the list is too long; its end was left out");
                    break;
                }
                None => break,
            }
        }
        Ok(ttl.map(Duration::from_millis))
    }

    /// A request of our own; `members` are members of `params` without braces.
    pub(super) async fn ask(
        &self,
        lease: &Lease,
        upstream: &Upstream,
        method: &'static Method,
        members: &str,
    ) -> Result<Message, Fault> {
        self.ask_as(CapSet::NONE, lease, upstream, method, members).await
    }

    /// The same in the name of clients with these capabilities, as modern upstreams hear it.
    async fn ask_as(
        &self,
        told: CapSet,
        lease: &Lease,
        upstream: &Upstream,
        method: &'static Method,
        members: &str,
    ) -> Result<Message, Fault> {
        let outgoing = Outgoing {
            method,
            draft: own_request(lease.facts().era, told, method.name, members),
            name: None,
            parameters: Vec::new(),
            timeout: upstream.timing.timeout,
            max_time: upstream.timing.max_time,
            asker: None,
            takes: CapSet::NONE,
        };
        let reply = lease.request(outgoing).await?;
        self.whole(upstream, reply).await
    }

    /// The response of a reply, however it comes; notifications before it are dropped.
    pub(super) async fn whole(&self, upstream: &Upstream, reply: Reply) -> Result<Message, Fault> {
        match reply {
            Reply::Message(message) => Ok(message),
            Reply::Json { id, body, .. } => super::relay::collect(upstream, id, body, &[]).await,
            Reply::Exchange(mut exchange) => loop {
                let message = exchange.next().await?;
                if matches!(message.inbound.kind, InboundKind::Result | InboundKind::Error) {
                    return Ok(message);
                }
            },
        }
    }
}

/// True when the era has a link of its own for each principal.
pub(super) fn per_principal(era: Era) -> bool {
    era == Era::Legacy
}
