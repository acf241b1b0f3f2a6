//! Links on which clients listen: they are held while somebody does, and made anew when they
//! end, with everything that was subscribed (R30, R74).

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::line::Line;
use super::tenant::Tenant;
use crate::base::{Fault, Name, now};
use crate::config::{Transport, Upstream};
use crate::upstream::Lease;
use crate::wire::ListKind;

/// A link that could not be made anew is tried again after this.
const AGAIN: Duration = Duration::from_secs(10);

/// The held links of one tenant.
#[derive(Debug, Default)]
pub(super) struct Held(Mutex<HashMap<Name, Hold>>);

#[derive(Debug)]
enum Hold {
    /// Being made.
    Opening,
    /// Held.
    Lease(Lease),
    /// Not to be had before this.
    Later(Instant),
}

impl Held {
    fn all(&self) -> MutexGuard<'_, HashMap<Name, Hold>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.all().is_empty()
    }

    /// Judges one upstream; when its link is to be taken now, whether there was one before.
    fn judge(&self, upstream: &Name, wanted: bool) -> Option<bool> {
        let mut all = self.all();
        if !wanted {
            all.remove(upstream);
            return None;
        }
        let again = match all.get(upstream) {
            None => false,
            Some(Hold::Lease(lease)) if !lease.is_open() || lease.is_retired() => true,
            Some(Hold::Later(at)) if *at <= now() => true,
            Some(_) => return None,
        };
        all.insert(upstream.clone(), Hold::Opening);
        Some(again)
    }
}

impl Line {
    /// Looks after the links of a tenant; called about once a second. A pipe is held only while
    /// somebody follows a resource on it: that a stream is open must not keep every process
    /// running.
    pub(super) fn keep_listening(self: &Arc<Self>, tenant: &Arc<Tenant>) {
        let config = self.config();
        tenant.held().all().retain(|name, _| config.upstreams.contains_key(name));
        for (name, upstream) in &config.upstreams {
            let followed = !tenant.watched(name).is_empty();
            let http = matches!(upstream.transport, Transport::Http { .. });
            let listed = tenant.shelf(name.as_str()).is_some_and(|shelf| shelf.loaded());
            let wanted = followed || (http && listed && tenant.outlets().any_for(name));
            if let Some(again) = tenant.held().judge(name, wanted) {
                let (line, tenant, upstream) = (self.clone(), tenant.clone(), upstream.clone());
                self.tasks.spawn("listening link", async move {
                    let hold = match line.hold(&tenant, &upstream, again).await {
                        Ok(Some(lease)) => Hold::Lease(lease),
                        Ok(None) => Hold::Later(now() + AGAIN),
                        Err(fault) => {
                            tracing::debug!(upstream = %upstream.name, reason = %fault.public, "no link to listen on");
                            Hold::Later(now() + AGAIN)
                        }
                    };
                    tenant.held().all().insert(upstream.name.clone(), hold);
                });
            }
        }
    }

    /// Takes the tenant's own link. One that takes the place of another is made to follow what
    /// the tenant follows. `again`: the other was held, and what may have been missed since it
    /// ended is announced; before that, nobody was promised anything.
    async fn hold(
        self: &Arc<Self>,
        tenant: &Arc<Tenant>,
        upstream: &Arc<Upstream>,
        again: bool,
    ) -> Result<Option<Lease>, Fault> {
        let asker = tenant.shelf(upstream.name.as_str()).and_then(|shelf| shelf.asker());
        let open = self.open_house_link(tenant.info(), upstream, asker.as_ref());
        let renewed = again || open.is_none();
        let lease = match (open, asker) {
            (Some(lease), _) => lease,
            (None, Some(asker)) => self.house_link(&asker, upstream).await?.0,
            (None, None) => return Ok(None),
        };
        if renewed {
            let watched = tenant.watched(&upstream.name);
            self.follow(tenant, &lease, upstream, None).await?;
            for uri in &watched {
                self.follow(tenant, &lease, upstream, Some((true, uri))).await?;
            }
            // Read again in any case: what has changed is announced.
            let may_have: &[ListKind] = if again { &ListKind::ALL } else { &[] };
            tenant.changed(self, upstream.name.as_str(), may_have);
            for uri in &watched {
                tenant.outlets().updated(&upstream.name, uri, None);
            }
        }
        // A lease of its own, which is not the one that tries whether the upstream is well again.
        Ok(Some(lease.share()))
    }
}
