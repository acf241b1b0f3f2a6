//! What is done through the API stands in the audit as well: each write, each refusal of a good
//! key, whoever reads bodies, and whatever the operator does for a tenant.

use std::borrow::Cow;
use std::sync::Arc;

use tokio::time::Instant;

use super::answer::Reply;
use super::problem::Problem;
use super::router::Route;
use super::serve::Api;
use crate::audit::{Audit, AuditError, Event, NOBODY, Outcome, Ran};
use crate::auth::Caller;
use crate::base::{Kind, Name, Role, now, unix_millis};

/// One request on its way to its record.
#[derive(Debug)]
pub(super) struct Record {
    audit: Audit,
    event: Box<Event>,
    started: Instant,
}

impl Record {
    /// Of a request; `None` where none is kept.
    ///
    /// # Errors
    /// When there is no room for it now.
    pub(super) async fn begin(
        api: &Api,
        route: &'static Route,
        caller: &Caller,
        path: &str,
    ) -> Result<Option<Self>, Problem> {
        let acts = caller.role() == Role::Operator && caller.tenant().is_some();
        // Who reads bodies looks at what others said.
        let silent = route.method == "GET" && route.doc.tag != "bodies";
        // What the line serves it records itself.
        if route.live || (silent && !acts) {
            return Ok(None);
        }
        let made = Self::of(api, route, caller, path);
        if let Some(made) = &made {
            made.audit.room().await.map_err(|_: AuditError| {
                let full = "what is done cannot be written down at the moment, so it is not done; try again soon";
                Problem::Unavailable(full.to_owned())
            })?;
        }
        Ok(made)
    }

    /// Of a request that is refused to a good key.
    pub(super) fn refused(
        api: &Api,
        route: &'static Route,
        caller: &Caller,
        path: &str,
        problem: &Problem,
    ) {
        if let Some(mut record) = Self::of(api, route, caller, path) {
            (record.event.outcome, record.event.ran) = (outcome(problem), Ran::No);
            // Nothing was done that would have to wait for its record.
            drop(record.audit.record(record.event));
        }
    }

    fn of(api: &Api, route: &'static Route, caller: &Caller, path: &str) -> Option<Self> {
        let audit = api.audit.clone()?;
        let (tenant, name) = match caller.tenant() {
            Some(tenant) => (tenant.id(), tenant.name().clone()),
            None => (NOBODY, Name::new("-").ok()?),
        };
        let mut event = Box::new(Event::new(unix_millis(), tenant, name, Some(caller.key())));
        event.door = Arc::from("/api/v1");
        event.method = Cow::Owned(format!("admin/{}", route.doc.id));
        event.target = Some(path.into());
        event.policy = api.config().revision;
        event.asked_by(caller.role(), caller.key_name());
        Some(Self { audit, event, started: now() })
    }

    /// Ends it. What is done is answered when its record is on disk: it may not be lost once it
    /// was acknowledged, however calls are recorded.
    pub(super) async fn end(
        mut self,
        bytes_in: usize,
        done: Result<Reply, Problem>,
    ) -> Result<Reply, Problem> {
        let event = &mut self.event;
        (event.outcome, event.ran) = match &done {
            Ok(_) => (Outcome::Ok, Ran::Yes),
            Err(problem) => (outcome(problem), Ran::No),
        };
        event.bytes_in = bytes_in as u64;
        event.ms = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        match self.audit.record_now(self.event).wait().await {
            Ok(()) => done,
            Err(error) => {
                tracing::error!(%error, "what was done through the API is not in the audit yet");
                let late =
                    "it was done, and its record is not on disk yet; look before you repeat it";
                done.and_then(|_| Err(Problem::Unavailable(late.to_owned())))
            }
        }
    }
}

fn outcome(problem: &Problem) -> Outcome {
    match problem {
        Problem::Internal(_) => Outcome::Internal,
        Problem::Unavailable(_) => Outcome::Busy,
        Problem::Fault(fault) if matches!(fault.kind, Kind::Limited { .. }) => Outcome::Limited,
        _ => Outcome::Refused,
    }
}
