//! `/livez` and `/readyz`: for whoever watches the process. Any Host may ask.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;

use crate::audit::Audit;

/// Whether new work is welcome: from the end of the start to the beginning of the stop.
#[derive(Debug, Clone, Default)]
pub struct Readiness(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    ready: AtomicBool,
    audit: OnceLock<Audit>,
}

impl Readiness {
    /// Says whether new work is welcome from now on.
    pub fn set(&self, ready: bool) {
        self.0.ready.store(ready, Ordering::Release);
    }

    /// From now on nothing is ready while this audit cannot be written.
    pub fn depend_on(&self, audit: Audit) {
        // There is one audit; a second word about it changes nothing.
        let _ = self.0.audit.set(audit);
    }

    /// Why new work is not welcome, if it is not.
    fn trouble(&self) -> Option<&'static str> {
        if !self.get() {
            Some("not ready\n")
        } else if self.0.audit.get().is_some_and(Audit::is_failing) {
            Some("not ready: the audit cannot be written\n")
        } else {
            None
        }
    }

    /// Whether it is.
    #[must_use]
    pub fn get(&self) -> bool {
        self.0.ready.load(Ordering::Acquire)
    }
}

/// The routes that are not on the call path.
pub(super) fn routes(readiness: Readiness) -> Router {
    Router::new()
        .route("/livez", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .with_state(readiness)
}

async fn ready(State(readiness): State<Readiness>) -> (StatusCode, &'static str) {
    match readiness.trouble() {
        None => (StatusCode::OK, "ok\n"),
        Some(trouble) => (StatusCode::SERVICE_UNAVAILABLE, trouble),
    }
}
