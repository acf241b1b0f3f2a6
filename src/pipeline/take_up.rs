//! Sessions over restarts: a pointer that is not in memory is read, held against the store, and
//! its session goes on. What may already have run is never sent again: a call that was under way
//! when the proxy ended breaks off, and a client that comes back for its answer is told so.

use std::sync::Arc;

use super::line::Line;
use super::serve::Posting;
use super::tenant::Tenant;
use crate::auth::Principal;
use crate::base::{Fault, Kind};
use crate::namespace::{Door, Plan};
use crate::session::{Refused, Session};

impl Line {
    /// Takes up a session that this process does not know.
    pub(super) async fn take_up(
        self: &Arc<Self>,
        posting: &Posting,
        pointer: &str,
    ) -> Result<Arc<Session>, Fault> {
        let principal = &posting.principal;
        let tenant = principal.tenant().id();
        let pointed = self
            .sessions
            .read(pointer, tenant, principal.key(), &posting.path)
            .ok_or_else(unknown)?;
        let id = *pointed.id().as_bytes();
        if self.ledger.is_buried(&id) {
            return Err(unknown());
        }
        let known = self.ledger.find(tenant, id).await.map_err(|error| {
            let sentence = "The store does not say whether this session still lives; try again";
            Fault::client(Kind::Busy, sentence).because(error.to_string())
        })?;
        let restored = self.sessions.restore(pointer, pointed, known.as_ref());
        let (session, new) = restored.map_err(refused)?.ok_or_else(unknown)?;
        // It may have ended while the store was being read.
        if self.ledger.is_buried(&id) {
            self.sessions.end(&session);
            return Err(unknown());
        }
        if new {
            self.holders.hold(principal);
            tracing::debug!(tenant = %principal.tenant().name(), "a session goes on after a restart");
            let tenant = self.tenant(principal);
            self.follow_again(principal, &tenant, &session, &posting.door);
            tenant.warm_up(self, principal, &posting.door);
        }
        Ok(session)
    }

    /// Counts what the session follows and has the upstreams told in the background. What changed
    /// while nobody listened is made up for by one word about each resource.
    fn follow_again(
        self: &Arc<Self>,
        principal: &Principal,
        tenant: &Arc<Tenant>,
        session: &Session,
        door: &Door,
    ) {
        let view = tenant.known_view(door);
        let counted: Vec<(Plan, bool)> = session
            .subscriptions()
            .iter()
            .filter_map(|uri| view.uri(uri))
            .map(|plan| {
                let first = tenant.count_up(&plan.upstream().name, plan.original());
                (plan, first)
            })
            .collect();
        if counted.is_empty() {
            return;
        }
        let (line, tenant, principal) = (self.clone(), tenant.clone(), principal.clone());
        self.tasks.spawn("subscriptions taken up", async move {
            for (plan, first) in counted {
                let name = &plan.upstream().name;
                match line.watch_counted(&principal, &tenant, &plan, first).await {
                    Ok(()) => tenant.outlets().updated(name, plan.original(), None),
                    // It stays counted: a link that is made later follows it.
                    Err(fault) => {
                        tracing::debug!(upstream = %name, reason = %fault.public, "subscribe failed");
                    }
                }
            }
        });
    }
}

/// The same for what never was, has ended, and is somebody else's.
fn unknown() -> Fault {
    Fault::client(Kind::UnknownSession, "Session not found; send `initialize` again")
}

/// Why there is no session.
pub(super) fn refused(refused: Refused) -> Fault {
    match refused {
        Refused::TooMany | Refused::TooManyOfKey => {
            Fault::client(Kind::Busy, format!("{refused}; end some, or try again later"))
        }
        Refused::Random => Fault::internal(refused.to_string()),
    }
}
