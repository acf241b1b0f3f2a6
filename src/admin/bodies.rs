//! `/api/v1/bodies`: what calls were given and answered, where the file wants that kept.

use std::collections::HashMap;
use std::sync::Arc;

use serde_json::{Value, json};

use super::answer::Reply;
use super::audit::{moment, names, whose};
use super::call::Call;
use super::page;
use super::problem::Problem;
use super::router::Answering;
use super::serve::Api;
use crate::audit::{BodyFilter, millis};
use crate::base::TenantId;
use crate::store::BodyRow;

/// What is known of a body without its texts.
fn value(row: &BodyRow, names: &HashMap<TenantId, String>) -> Value {
    json!({
        "id": row.seq,
        "tenant": names.get(&row.tenant),
        "time": millis(row.at),
        "expires_at": millis(row.expires),
        "upstream": row.upstream,
        "method": row.method,
        "original": row.name,
        "arguments_bytes": row.arguments,
        "answer_bytes": row.answer,
    })
}

/// The newest first, without their texts.
pub(super) fn list(api: Arc<Api>, call: Call) -> Answering {
    Box::pin(async move {
        let reader = api.records()?;
        let text = |name| call.query(name).map(str::to_owned);
        let filter = BodyFilter {
            tenant: whose(&call),
            upstream: text("upstream"),
            name: text("tool"),
            since: moment(&call, "since")?,
            until: moment(&call, "until")?,
        };
        let of_tenant = filter.tenant.is_some();
        let limit = page::limit(&call)?;
        let before = match page::after(&api, &call)? {
            None => None,
            Some(place) => Some(place.parse().map_err(|_| page::unknown_cursor())?),
        };
        let mut found = reader.bodies(filter, before, limit + 1).await?;
        let more = found.len() > limit;
        found.truncate(limit);
        let next = match found.last() {
            Some(last) if more => {
                let place = if of_tenant { last.seq } else { last.id };
                Some(page::cursor(&api, &call, &place.to_string())?)
            }
            _ => None,
        };
        let names = names(&reader).await?;
        let items: Vec<Value> = found.iter().map(|row| value(row, &names)).collect();
        Ok(Reply::ok(json!({ "items": items, "next": next })))
    })
}

/// One of the tenant, by the `seq` of its call's record in the audit.
pub(super) fn show(api: Arc<Api>, call: Call) -> Answering {
    Box::pin(async move {
        let reader = api.records()?;
        let unknown = || Problem::unknown("body", "`GET /api/v1/bodies` lists what is kept");
        let seq: u64 = call.part(0).parse().map_err(|_| unknown())?;
        let found = reader.body(call.tenant()?.id(), seq).await?.ok_or_else(unknown)?;
        let mut shown = value(&found.row, &names(&reader).await?);
        shown["arguments"] = found.arguments;
        shown["answer"] = found.answer;
        Ok(Reply::ok(shown))
    })
}
