//! `/api/v1/audit` and `/api/v1/usage`: what was decided, and what was used.

use std::collections::HashMap;
use std::sync::Arc;

use serde_json::{Value, json};

use super::answer::Reply;
use super::call::Call;
use super::page::{self, page};
use super::problem::Problem;
use super::router::Answering;
use super::serve::Api;
use crate::audit::{AuditError, AuditReader, Filter, Outcome, Written, head, members, used};
use crate::base::{TenantId, parse_duration, parse_time, unix_millis};
use crate::store::UsageQuery;

/// Rows of the usage that are read at most.
const ROWS: usize = 100_000;

impl Api {
    pub(super) fn records(&self) -> Result<AuditReader, Problem> {
        let audit = self.audit.as_ref();
        audit.map(crate::audit::Audit::reader).ok_or_else(|| {
            let none = "there is no audit: the file says `enabled = false` in [audit]";
            Problem::NotFound(none.to_owned())
        })
    }
}

impl From<AuditError> for Problem {
    fn from(error: AuditError) -> Self {
        tracing::warn!(%error, "the audit does not answer");
        Self::Unavailable("the audit does not answer at the moment; try again soon".to_owned())
    }
}

pub(super) async fn names(reader: &AuditReader) -> Result<HashMap<TenantId, String>, Problem> {
    Ok(reader.heads().await?.into_iter().map(|head| (head.tenant, head.name)).collect())
}

/// The tenant that the caller may look at; `None`: everybody's.
pub(super) fn whose(call: &Call) -> Option<TenantId> {
    call.caller.tenant().map(|tenant| tenant.id())
}

pub(super) fn moment(call: &Call, name: &str) -> Result<Option<u64>, Problem> {
    let Some(text) = call.query(name) else { return Ok(None) };
    if let Some(before) = parse_duration(text) {
        let before = u64::try_from(before.as_millis()).unwrap_or(u64::MAX);
        return Ok(Some(unix_millis().saturating_sub(before)));
    }
    let wrong = || {
        Problem::Invalid(format!(
            "`{name}` is a moment: 24h (before now), 2026-11-21 or 2026-11-21T07:00:00Z"
        ))
    };
    parse_time(text).map(|seconds| Some(seconds.saturating_mul(1_000))).ok_or_else(wrong)
}

fn filter(call: &Call) -> Result<Filter, Problem> {
    let outcome = call.query("outcome").map(|word| {
        Outcome::ALL.into_iter().find(|outcome| outcome.as_str() == word).ok_or_else(|| {
            let words = Outcome::ALL.map(Outcome::as_str).join(", ");
            Problem::Invalid(format!("`outcome` is one of {words}"))
        })
    });
    let key = call.query("key").map(|id| {
        let wrong = "`key` is the id of a key; `GET /api/v1/keys` lists them";
        id.parse().map_err(|_| Problem::Invalid(wrong.to_owned()))
    });
    let backwards = match call.query("order") {
        None | Some("newest") => true,
        Some("oldest") => false,
        Some(_) => return Err(Problem::Invalid("`order` is newest or oldest".to_owned())),
    };
    let text = |name| call.query(name).map(str::to_owned);
    Ok(Filter {
        tenant: whose(call),
        since: moment(call, "since")?,
        until: moment(call, "until")?,
        key: key.transpose()?,
        method: text("method"),
        upstream: text("upstream"),
        target: text("tool"),
        outcome: outcome.transpose()?,
        backwards,
    })
}

pub(super) fn object(written: &Written, names: &HashMap<TenantId, String>) -> Value {
    let name = names.get(&written.tenant).map(String::as_str);
    members(written, name).into_iter().collect()
}

/// Records, the newest first unless asked otherwise.
pub(super) fn list(api: Arc<Api>, call: Call) -> Answering {
    Box::pin(async move {
        let reader = api.records()?;
        let filter = filter(&call)?;
        let limit = page::limit(&call)?;
        let after = match page::after(&api, &call)? {
            None => None,
            Some(place) => Some(place.parse().map_err(|_| page::unknown_cursor())?),
        };
        let found = reader.page(&filter, after, limit).await?;
        let names = names(&reader).await?;
        let next =
            found.next.map(|next| page::cursor(&api, &call, &next.to_string())).transpose()?;
        let items: Vec<Value> =
            found.records.iter().map(|written| object(written, &names)).collect();
        Ok(Reply::ok(json!({ "items": items, "next": next })))
    })
}

/// One record, by its place in the chain of its tenant.
pub(super) fn show(api: Arc<Api>, call: Call) -> Answering {
    Box::pin(async move {
        let reader = api.records()?;
        let unknown = || Problem::unknown("record", "`GET /api/v1/audit` lists what there is");
        let seq: u64 = call.part(0).parse().map_err(|_| unknown())?;
        let before = seq.checked_sub(1).ok_or_else(unknown)?;
        let filter = Filter { tenant: Some(call.tenant()?.id()), ..Filter::default() };
        let found = reader.page(&filter, Some(before), 1).await?.records;
        let record = found.first().filter(|record| record.seq == seq).ok_or_else(unknown)?;
        Ok(Reply::ok(object(record, &names(&reader).await?)))
    })
}

/// The last link of each chain: kept elsewhere, it shows later that nothing was taken away.
pub(super) fn heads(api: Arc<Api>, call: Call) -> Answering {
    Box::pin(async move {
        let whose = whose(&call);
        let heads = api.records()?.heads().await?;
        let own = heads.iter().filter(|head| whose.is_none_or(|tenant| tenant == head.tenant));
        let entries = own.map(|chain| (chain.tenant.to_string(), head(chain))).collect();
        Ok(Reply::ok(page(&api, &call, entries)?))
    })
}

fn day(call: &Call, name: &str) -> Result<Option<u64>, Problem> {
    let Some(text) = call.query(name) else { return Ok(None) };
    let wrong = || Problem::Invalid(format!("`{name}` is a day, such as 2026-11-21"));
    parse_time(text).map(|seconds| Some(seconds / 86_400)).ok_or_else(wrong)
}

/// The usage.
pub(super) fn usage(api: Arc<Api>, call: Call) -> Answering {
    Box::pin(async move {
        let reader = api.records()?;
        let by: Vec<&str> = call.query("by").unwrap_or("day").split(',').collect();
        if !by.iter().all(|what| matches!(*what, "day" | "key" | "tool" | "tenant")) {
            let words = "`by` is tenant, day, key and tool, with commas between";
            return Err(Problem::Invalid(words.to_owned()));
        }
        let query = UsageQuery {
            tenant: whose(&call),
            from: day(&call, "from")?,
            to: day(&call, "to")?,
            by_day: by.contains(&"day"),
            by_key: by.contains(&"key"),
            by_tool: by.contains(&"tool"),
            limit: ROWS,
        };
        let names = names(&reader).await?;
        let rows = reader.usage(query).await?;
        let entries = rows.iter().map(|row| {
            let place = format!(
                "{:010}\n{}\n{}\n{}\n{}\n{}",
                row.day, row.tenant, row.key, row.upstream, row.method, row.tool
            );
            let name = names.get(&row.tenant).map(String::as_str);
            (place, used(row, name, &query).into_iter().collect())
        });
        Ok(Reply::ok(page(&api, &call, entries.collect())?))
    })
}
