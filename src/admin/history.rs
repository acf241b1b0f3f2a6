//! `GET /api/v1/upstreams/{name}/history`: what became of its processes, and what they used.

use std::sync::Arc;

use serde_json::{Value, json};

use super::answer::Reply;
use super::call::Call;
use super::made;
use super::problem::Problem;
use super::router::Answering;
use super::serve::Api;
use crate::audit::millis;
use crate::base::{Name, Role, TenantId, rfc3339};
use crate::upstream::stdio::{EVERY, HistoryReport, KEPT, ProcessReport, Usage};

pub(super) fn show(api: Arc<Api>, call: Call) -> Answering {
    Box::pin(async move {
        let (name, whose) = place(&api, &call)?;
        let report = api.line.history(&name, whose, true).await;
        let value = |process: &ProcessReport| {
            let mut value = process_value(process);
            value["looks"] = json!(process.looks.iter().map(usage).collect::<Vec<_>>());
            value
        };
        Ok(Reply::ok(json!({
            "every_seconds": EVERY.as_secs(),
            "kept_seconds": KEPT.as_secs(),
            "restarts": report.restarts,
            "processes": report.processes.iter().map(value).collect::<Vec<_>>(),
        })))
    })
}

/// The upstream that a call is about, and whose processes of it: what a process does that
/// everybody shares may be about anybody.
pub(super) fn place(api: &Api, call: &Call) -> Result<(Name, Option<TenantId>), Problem> {
    let tenant = call.tenant()?.id();
    let config = api.config();
    let name = Name::new(call.part(0)).map_err(|_| made::unknown())?;
    if !config.upstreams.contains_key(&name) && !config.made.standing.contains_key(&name) {
        return Err(made::unknown());
    }
    if !api.line.shares_process(&name) {
        return Ok((name, Some(tenant)));
    }
    if call.caller.role() < Role::Operator {
        let what = "all tenants share its process; ask the operator".to_owned();
        return Err(Problem::Forbidden(what));
    }
    Ok((name, None))
}

/// The processes that run, in short.
pub(super) fn running(report: &HistoryReport) -> Vec<Value> {
    report.running().map(process_value).collect()
}

fn process_value(process: &ProcessReport) -> Value {
    json!({
        "pid": process.pid,
        "started_at": millis(process.began),
        "ended_at": process.ended.map(millis),
        "exit_code": process.exit,
        "last": process.last.as_ref().map(usage),
    })
}

fn usage(usage: &Usage) -> Value {
    json!({
        "at": rfc3339(usage.at),
        "cpu_ms": usage.cpu_ms,
        "resident_bytes": usage.resident,
        "processes": usage.processes,
    })
}
