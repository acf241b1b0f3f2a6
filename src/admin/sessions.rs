//! `/api/v1/sessions`: what clients of the older era have open. The modern era has no sessions.

use std::collections::HashSet;
use std::sync::Arc;

use serde_json::{Value, json};

use super::answer::Reply;
use super::call::Call;
use super::page::page;
use super::problem::Problem;
use super::router::Answering;
use super::serve::Api;
use crate::base::KeyId;
use crate::pipeline::SessionReport;

/// The sessions that the caller may know of.
async fn own(api: &Api, call: &Call) -> Result<Vec<SessionReport>, Problem> {
    let tenant = call.tenant()?.id();
    let mut sessions = api.line.sessions_of(tenant);
    if call.is_member() {
        let keys = api.stores.keys.list(tenant.into()).await?;
        let own = keys.iter().filter(|key| key.holder == call.caller.holder()).map(|key| key.id);
        let own: HashSet<KeyId> = own.chain([call.caller.key()]).collect();
        sessions.retain(|session| own.contains(&session.key));
    }
    Ok(sessions)
}

pub(super) fn list(api: Arc<Api>, call: Call) -> Answering {
    Box::pin(async move {
        let sessions = own(&api, &call).await?;
        let entries = sessions.into_iter().map(|session| (session.id.clone(), value(&session)));
        Ok(Reply::ok(page(&api, &call, entries.collect())?))
    })
}

fn value(session: &SessionReport) -> Value {
    let client: Value = serde_json::from_str(&session.client).unwrap_or_else(|_| json!({}));
    json!({
        "id": session.id,
        "key": session.key.as_str(),
        "door": &*session.door,
        "revision": session.revision.as_str(),
        "client": { "name": client["name"], "version": client["version"] },
        "idle_seconds": session.idle,
        "address": session.address,
    })
}

pub(super) fn delete(api: Arc<Api>, call: Call) -> Answering {
    Box::pin(async move {
        let id = call.part(0);
        let known = own(&api, &call).await?.iter().any(|session| session.id == id);
        if known && api.line.end_session(call.tenant()?.id(), id).await {
            return Ok(Reply::done());
        }
        Err(Problem::unknown("session", "`GET /api/v1/sessions` lists what is open"))
    })
}
