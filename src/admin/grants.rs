//! `/api/v1/grants`: what people have allowed to clients at the connector doors. An admin's are all of
//! the tenant, a member's are those of his own keys.

use std::collections::HashSet;
use std::sync::Arc;

use serde_json::{Value, json};

use super::answer::Reply;
use super::call::Call;
use super::page::page;
use super::problem::Problem;
use super::router::Answering;
use super::serve::Api;
use crate::auth::News;
use crate::base::{KeyId, rfc3339, unix_seconds};
use crate::store::{Ending, GrantRecord};

/// Those that the caller may know of.
async fn own(api: &Api, call: &Call) -> Result<Vec<GrantRecord>, Problem> {
    let tenant = call.tenant()?.id();
    let mut grants = api.stores.grants.list(tenant, None).await?;
    if call.is_member() {
        let keys = api.stores.keys.list(tenant.into()).await?;
        let own = keys.iter().filter(|key| key.holder == call.caller.holder()).map(|key| key.id);
        let own: HashSet<KeyId> = own.chain([call.caller.key()]).collect();
        grants.retain(|record| own.contains(&record.grant.key));
    }
    Ok(grants)
}

pub(super) fn list(api: Arc<Api>, call: Call) -> Answering {
    Box::pin(async move {
        let grants = own(&api, &call).await?;
        let entries = grants.iter().map(|record| (record.grant.id.to_string(), value(record)));
        Ok(Reply::ok(page(&api, &call, entries.collect())?))
    })
}

fn value(record: &GrantRecord) -> Value {
    let GrantRecord { grant, used_at, ended, .. } = record;
    json!({
        "id": grant.id.to_string(),
        "key": grant.key.as_str(),
        "client": grant.client,
        "client_name": grant.client_name,
        "redirect": grant.redirect,
        "resource": grant.resource,
        "created_at": rfc3339(grant.created_at),
        "used_at": rfc3339(*used_at),
        "ended_at": ended.as_ref().map(|(at, _)| rfc3339(*at)),
        "ended_by": ended.as_ref().map(|(_, why)| why),
    })
}

pub(super) fn revoke(api: Arc<Api>, call: Call) -> Answering {
    Box::pin(async move {
        let tenant = call.tenant()?.id();
        let known = own(&api, &call).await?;
        let id =
            known.iter().map(|record| record.grant.id).find(|id| id.to_string() == call.part(0));
        let unknown =
            || Problem::unknown("grant", "`GET /api/v1/grants` lists those that you may know of");
        let id = id.ok_or_else(unknown)?;
        // One that has ended is over: the wish is fulfilled.
        api.stores.grants.end(tenant, id, unix_seconds(), Ending::Revoked).await?;
        api.auth.wrote(News::Ungranted(id));
        Ok(Reply::done())
    })
}
