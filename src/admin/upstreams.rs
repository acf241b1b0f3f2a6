//! `/api/v1/upstreams`: how each stands for the caller's tenant.

use std::sync::Arc;

use serde_json::{Value, json};

use super::answer::Reply;
use super::call::Call;
use super::history;
use super::logins;
use super::made;
use super::page::page;
use super::problem::Problem;
use super::router::Answering;
use super::serve::Api;
use crate::base::{Name, Role};
use crate::config::{Config, Standing};
use crate::pipeline::{ToolReport, UpstreamReport};
use crate::store::UpstreamRecord;

pub(super) fn list(api: Arc<Api>, call: Call) -> Answering {
    Box::pin(async move {
        let config = api.config();
        let reports = api.line.upstreams(call.principal()?).await;
        let records = api.stores.upstreams.list().await?;
        let tenant = call.tenant()?.name();
        let running = reports.iter().map(|report| value(&config, report));
        let all =
            running.chain(records.iter().filter_map(|record| resting(&config, tenant, record)));
        let entries =
            all.map(|value| (value["name"].as_str().unwrap_or_default().to_owned(), value));
        Ok(Reply::ok(page(&api, &call, entries.collect())?))
    })
}

pub(super) fn show(api: Arc<Api>, call: Call) -> Answering {
    Box::pin(async move {
        let (caller, name) = (call.principal()?, call.part(0));
        let known = Name::new(name).map_err(|_| made::unknown())?;
        let record = api.stores.upstreams.find(&known).await?;
        // Its list is read first: that is how it is found out how it stands.
        let tools = api.line.tools(caller, name).await;
        let report = api.line.upstream(caller, name).await;
        let mut value = match (tools, report) {
            (Some(tools), Some(report)) => {
                let mut value = value(&api.config(), &report);
                value["tools"] = json!(tools.iter().map(tool).collect::<Vec<_>>());
                if report.transport == "stdio" {
                    tell_of_processes(&api, &call, &known, &mut value).await?;
                }
                value
            }
            _ => {
                let (record, tenant) = (record.as_ref(), caller.tenant().name());
                let resting = record.and_then(|record| resting(&api.config(), tenant, record));
                let off = api.line.upstream(caller, name).await;
                let off = off.map(|report| self::value(&api.config(), &report));
                let mut value = off.or(resting).ok_or_else(made::unknown)?;
                value["tools"] = json!([]);
                value
            }
        };
        match record.filter(|_| call.caller.role() == Role::Operator) {
            None => Ok(Reply::ok(value)),
            Some(record) => {
                value["made"] = made::value(&api, &record);
                Ok(Reply::ok(value).with_etag(made::tag(&record)))
            }
        }
    })
}

/// Adds what runs of it. A process that everybody shares is the operator's to see.
async fn tell_of_processes(
    api: &Arc<Api>,
    call: &Call,
    name: &Name,
    value: &mut Value,
) -> Result<(), Problem> {
    let shared = api.line.shares_process(name);
    if shared && call.caller.role() < Role::Operator {
        return Ok(());
    }
    let whose = if shared { None } else { Some(call.tenant()?.id()) };
    let report = api.line.history(name, whose, false).await;
    value["restarts"] = json!(report.restarts);
    value["processes"] = json!(history::running(&report));
    Ok(())
}

fn value(config: &Config, report: &UpstreamReport) -> Value {
    let missing: Vec<&str> = report.missing.iter().map(|slot| slot.as_str()).collect();
    let line = config.made.lines.get(&report.name);
    let mut value = json!({
        "name": report.name.as_str(),
        "transport": report.transport,
        "origin": if line.is_some() { "file" } else { "store" },
        "state": report.state.as_str(),
        "reason": report.reason,
        "missing_secrets": missing,
        "connections": report.links.0,
        "running_requests": report.links.1,
        "tool_count": report.tools,
    });
    if let Some(login) = &report.login {
        value["login"] = logins::value(login);
    }
    if let Some(line) = line {
        value["declared_at"] = json!(format!("{}:{line}", config.file));
    }
    value
}

/// One as the caller's tenant has it, without its tools.
pub(super) async fn of_tenant(api: &Arc<Api>, call: &Call, name: &Name) -> Result<Value, Problem> {
    let caller = call.principal()?;
    if let Some(report) = api.line.upstream(caller, name.as_str()).await {
        return Ok(value(&api.config(), &report));
    }
    let record = api.stores.upstreams.find(name).await?;
    let tenant = caller.tenant().name();
    let resting = record.and_then(|record| resting(&api.config(), tenant, &record));
    resting.ok_or_else(made::unknown)
}

/// One that was made over the API and does not run, unless it is for other tenants.
pub(super) fn resting(config: &Config, tenant: &Name, record: &UpstreamRecord) -> Option<Value> {
    let (state, reason) = match config.made.standing.get(&record.name)? {
        Standing::Runs | Standing::Declared => return None,
        Standing::Disabled => ("disabled", "the operator has disabled it"),
        Standing::Broken(_) => ("broken", "it does not fit the operator's file as it is now"),
    };
    let document: Value = serde_json::from_str(&record.document).unwrap_or_default();
    let own = |tenants: &Vec<Value>| tenants.iter().any(|name| name == tenant.as_str());
    if document["tenants"].as_array().is_some_and(|tenants| !own(tenants)) {
        return None;
    }
    Some(json!({
        "name": record.name.as_str(),
        "transport": if document.get("url").is_some() { "http" } else { "stdio" },
        "origin": "store",
        "state": state,
        "reason": reason,
        "missing_secrets": [],
        "connections": 0,
        "running_requests": 0,
        "tool_count": null,
    }))
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
