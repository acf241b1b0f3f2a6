//! `/api/v1/upstreams`: how each stands for the caller's tenant.

use std::sync::Arc;

use serde_json::{Value, json};

use super::answer::Reply;
use super::call::Call;
use super::page::page;
use super::problem::Problem;
use super::router::Answering;
use super::serve::Api;
use crate::pipeline::{ToolReport, UpstreamReport};

pub(super) fn list(api: Arc<Api>, call: Call) -> Answering {
    Box::pin(async move {
        let reports = api.line.upstreams(call.principal()?).await;
        let entries = reports.iter().map(|report| (report.name.to_string(), value(report)));
        Ok(Reply::ok(page(&api, &call, entries.collect())?))
    })
}

pub(super) fn show(api: Arc<Api>, call: Call) -> Answering {
    Box::pin(async move {
        let (caller, name) = (call.principal()?, call.part(0));
        let unknown = || Problem::unknown("upstream", "`GET /api/v1/upstreams` lists all");
        // Its list is read first: that is how it is found out how it stands.
        let tools = api.line.tools(caller, name).await.ok_or_else(unknown)?;
        let report = api.line.upstream(caller, name).await.ok_or_else(unknown)?;
        let mut value = value(&report);
        value["tools"] = json!(tools.iter().map(tool).collect::<Vec<_>>());
        Ok(Reply::ok(value))
    })
}

fn value(report: &UpstreamReport) -> Value {
    let missing: Vec<&str> = report.missing.iter().map(|slot| slot.as_str()).collect();
    json!({
        "name": report.name.as_str(),
        "transport": report.transport,
        "origin": "file",
        "state": report.state.as_str(),
        "reason": report.reason,
        "missing_secrets": missing,
        "connections": report.links.0,
        "running_requests": report.links.1,
        "tool_count": report.tools,
    })
}

fn tool(tool: &ToolReport) -> Value {
    let definition: Value = serde_json::from_str(&tool.definition).unwrap_or_default();
    json!({
        "name": tool.name,
        "original": tool.original,
        "title": definition["title"],
        "description": definition["description"],
    })
}
