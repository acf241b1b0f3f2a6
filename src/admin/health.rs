//! How the proxy is. Anybody learns whether it is well; what it holds is told to the operator.

use std::sync::Arc;
use std::time::Duration;

use http::{Response, StatusCode};
use serde_json::{Value, json};

use super::answer::Reply;
use super::call::Call;
use super::reply;
use super::router::Answering;
use super::serve::Api;
use super::stream::ApiBody;
use crate::auth::Caller;
use crate::base::{Role, now};

/// The longest that the store may take to answer.
const PATIENCE: Duration = Duration::from_secs(2);

pub(super) fn show(api: Arc<Api>, call: Call) -> Answering {
    Box::pin(async move { Ok(Reply::ok(health(&api, Some(&call.caller)).await)) })
}

/// `/health`: 200 when all is well, 503 when not.
pub(super) async fn probe(api: &Api, caller: Option<&Caller>) -> Response<ApiBody> {
    let health = health(api, caller).await;
    let well = health["status"] == "ok";
    let mut response = reply::reply(Reply::ok(health));
    if !well {
        *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
    }
    response
}

async fn health(api: &Api, caller: Option<&Caller>) -> Value {
    // What the watch over keys has seen: a probe of strangers must not cost a query.
    let well = api.auth.store_answers();
    let mut health = json!({
        "status": if well { "ok" } else { "degraded" },
        "version": env!("CARGO_PKG_VERSION"),
        "uptime_seconds": (now() - api.started).as_secs(),
    });
    if caller.is_some_and(|caller| caller.role() == Role::Operator) {
        let tenants = tokio::time::timeout(PATIENCE, api.stores.tenants.list()).await;
        let tenants = tenants.ok().and_then(Result::ok).map(|tenants| tenants.len());
        health["store"] = json!(if well && tenants.is_some() { "ok" } else { "no answer" });
        health["tenants"] = json!(tenants);
        health["upstreams"] = json!({
            "declared": api.config().upstreams.len(),
            "connections": api.line.link_count(),
        });
        health["sessions"] = json!(api.line.session_count());
        if let Some(place) = &api.place {
            health["url"] = json!(place.url);
            health["file"] = json!(place.file);
        }
        health["memory_bytes"] = json!(crate::telemetry::resident_memory());
    }
    health
}
