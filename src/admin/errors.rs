//! `GET /api/v1/errors`: what has gone wrong since the start, by upstream and cause.

use std::sync::Arc;

use serde_json::{Value, json};

use super::answer::Reply;
use super::call::Call;
use super::page::page;
use super::router::Answering;
use super::serve::Api;
use crate::audit::millis;
use crate::pipeline::Trouble;

pub(super) fn list(api: Arc<Api>, call: Call) -> Answering {
    Box::pin(async move {
        let troubles = api.line.troubles(call.caller.tenant().map(|tenant| tenant.id()));
        let entries = troubles.iter().map(|trouble| (place(trouble), value(trouble)));
        Ok(Reply::ok(page(&api, &call, entries.collect())?))
    })
}

fn upstream(trouble: &Trouble) -> Option<&str> {
    trouble.upstream.as_ref().map(|name| name.as_str())
}

fn place(trouble: &Trouble) -> String {
    let upstream = upstream(trouble).unwrap_or_default();
    let Trouble { tenant_name, tenant, outcome, cause, .. } = trouble;
    format!("{tenant_name}\n{tenant}\n{upstream}\n{outcome}\n{cause}")
}

fn value(trouble: &Trouble) -> Value {
    json!({
        "tenant": trouble.tenant_name.as_str(),
        "upstream": upstream(trouble),
        "outcome": trouble.outcome,
        "cause": trouble.cause,
        "count": trouble.count,
        "first": millis(trouble.first),
        "last": millis(trouble.last),
        "sample": trouble.sample,
    })
}
