//! `GET /api/v1/stats`: how much there is and how it goes, in one document. A tenant sees what is
//! its own.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Value, json};

use super::answer::Reply;
use super::call::Call;
use super::problem::Problem;
use super::router::Answering;
use super::serve::Api;
use super::upstreams::resting;
use crate::audit::{Outcome, millis};
use crate::auth::Principal;
use crate::base::{Name, now, rfc3339, unix_millis, unix_seconds};
use crate::config::{Config, Standing};
use crate::pipeline::{ProcessTotals, UpstreamState};
use crate::store::UsageQuery;
use crate::telemetry::metrics::own_use;
use crate::telemetry::{meters, resident_memory};
use crate::wire::NameKind;

/// Rows of a tenant's usage that are read at most: days times keys times tools.
const ROWS: usize = 100_000;
const DAY: u64 = 86_400;

/// What one upstream does.
#[derive(Default)]
struct Work {
    state: &'static str,
    connections: usize,
    running: u64,
    /// Calls of tools that have ended, and those of them that failed; none where nobody counts.
    calls: Option<(u64, u64)>,
    processes: ProcessTotals,
}

/// What all of it comes to.
struct Counts {
    upstreams: BTreeMap<String, Work>,
    /// Calls of tools that have ended, also of upstreams that are there no more, and those that
    /// failed; none where nobody counts.
    calls: Option<(u64, u64)>,
    /// Since when they are counted.
    since: String,
}

pub(super) fn show(api: Arc<Api>, call: Call) -> Answering {
    Box::pin(async move {
        let tenant = call.caller.tenant().map(|tenant| (tenant.id(), tenant.name().clone()));
        let counts = match call.principal() {
            Ok(principal) => of_tenant(&api, principal).await?,
            Err(_) => of_all(&api).await,
        };
        let id = tenant.as_ref().map(|(id, _)| *id);
        let sessions = match id {
            Some(id) => api.line.sessions_of(id).len(),
            None => api.line.session_count(),
        };
        let mut document = json!({
            "at": rfc3339(unix_seconds()),
            "tenant": tenant.as_ref().map(|(_, name)| name.as_str()),
            "version": env!("CARGO_PKG_VERSION"),
            "uptime_seconds": (now() - api.started).as_secs(),
            "keys": keys(&api, tenant.as_ref().map(|(id, name)| ((*id).into(), name))).await?,
            "sessions": sessions,
            "streams": api.line.stream_count(id),
            "upstreams": states(&counts),
            "processes": processes(counts.upstreams.values().map(|work| &work.processes)),
            "calls": calls(&counts),
            "by_upstream": counts.upstreams.iter().map(by_upstream).collect::<Vec<_>>(),
        });
        if tenant.is_none() {
            let tenants = api.stores.tenants.list().await?.len();
            document["tenants"] = json!({ "known": tenants, "active": api.line.tenant_count() });
            let used = own_use();
            document["proxy"] = json!({
                "memory_bytes": resident_memory(),
                "cpu_ms": used.map(|(cpu, _)| cpu),
                "threads": used.map(|(_, threads)| threads),
                "connections": meters().connections.get(),
            });
        }
        Ok(Reply::ok(document))
    })
}

/// Of the operator: what the process has counted.
async fn of_all(api: &Arc<Api>) -> Counts {
    let fails = |outcome: usize| Outcome::ALL.get(outcome).is_some_and(|one| one.is_error());
    let call = NameKind::Tool.method();
    let mut processes = api.line.process_totals(None).await;
    let work = |(name, (state, connections, _)): (Name, (UpstreamState, usize, u32))| {
        let meter = meters().upstream(&name);
        let work = Work {
            state: state.as_str(),
            connections,
            running: meter.running(),
            calls: Some(meter.ended_of(call, fails)),
            processes: processes.remove(&name).unwrap_or_default(),
        };
        (name.to_string(), work)
    };
    let mut upstreams: BTreeMap<String, Work> =
        api.line.standings().into_iter().map(work).collect();
    add_resting(&api.config(), &mut upstreams, |name| {
        Some(meters().upstream(name).ended_of(call, fails))
    });
    let calls = Some(meters().ended_of(call, fails));
    Counts { upstreams, calls, since: millis(meters().started()) }
}

/// Of a tenant: its upstreams as it has them, and its calls as its audit has them. That counts
/// whole days, so it begins with the one on which the proxy began.
async fn of_tenant(api: &Arc<Api>, principal: &Principal) -> Result<Counts, Problem> {
    let tenant = principal.tenant().id();
    let mut processes = api.line.process_totals(Some(tenant)).await;
    let mut upstreams: BTreeMap<String, Work> = BTreeMap::new();
    let none = api.audit.is_some().then_some((0, 0));
    for report in api.line.upstreams(principal).await {
        let (connections, running) = report.links;
        let work = Work {
            state: report.state.as_str(),
            connections,
            running: running.into(),
            calls: none,
            processes: processes.remove(&report.name).unwrap_or_default(),
        };
        upstreams.insert(report.name.to_string(), work);
    }
    let config = api.config();
    add_resting(&config, &mut upstreams, |_| none);
    // What is for other tenants is not there.
    for record in api.stores.upstreams.list().await? {
        let runs = config.upstreams.contains_key(&record.name);
        if !runs && resting(&config, principal.tenant().name(), &record).is_none() {
            upstreams.remove(record.name.as_str());
        }
    }
    let first = meters().started().min(unix_millis()) / 1_000 / DAY;
    let mut calls = none;
    if let Some(sum) = &mut calls {
        let query = UsageQuery {
            tenant: Some(tenant),
            from: Some(first),
            to: None,
            by_day: false,
            by_key: false,
            by_tool: true,
            limit: ROWS,
        };
        let rows = api.records()?.usage(query).await?;
        for row in rows.iter().filter(|row| row.method == NameKind::Tool.method().name) {
            let own = upstreams.get_mut(&row.upstream).and_then(|work| work.calls.as_mut());
            for sum in own.into_iter().chain([&mut *sum]) {
                *sum = (sum.0 + row.sum.calls, sum.1 + row.sum.errors);
            }
        }
    }
    Ok(Counts { upstreams, calls, since: rfc3339(first * DAY) })
}

/// Those that were made over the API and do not run.
fn add_resting(
    config: &Config,
    upstreams: &mut BTreeMap<String, Work>,
    calls: impl Fn(&Name) -> Option<(u64, u64)>,
) {
    for (name, standing) in &config.made.standing {
        let state = match standing {
            Standing::Runs | Standing::Declared => continue,
            Standing::Disabled => "disabled",
            Standing::Broken(_) => "broken",
        };
        let work = Work { state, calls: calls(name), ..Work::default() };
        upstreams.entry(name.to_string()).or_insert(work);
    }
}

/// Keys of the store and of the file.
async fn keys(api: &Api, owner: Option<(crate::store::Owner, &Name)>) -> Result<Value, Problem> {
    let counts = api.stores.keys.count(owner.map(|(owner, _)| owner), unix_seconds()).await?;
    let config = api.config();
    let declared = match owner {
        Some((_, name)) => config.tenants.get(name).map_or(0, |tenant| tenant.keys.len()),
        None => {
            let tenants = config.tenants.values().map(|tenant| tenant.keys.len());
            tenants.sum::<usize>() + config.admin.keys.len()
        }
    };
    let live = counts.live + declared as u64;
    Ok(json!({ "live": live, "expired": counts.expired, "revoked": counts.revoked }))
}

fn states(counts: &Counts) -> Value {
    let mut states: BTreeMap<&str, u64> = BTreeMap::new();
    for work in counts.upstreams.values() {
        *states.entry(work.state).or_default() += 1;
    }
    json!({ "total": counts.upstreams.len(), "by_state": states })
}

fn processes<'a>(all: impl Iterator<Item = &'a ProcessTotals>) -> Value {
    let mut sum = ProcessTotals::default();
    for one in all {
        sum.running += one.running;
        sum.resident += one.resident;
        sum.cpu_ms += one.cpu_ms;
        sum.restarts += one.restarts;
    }
    json!({
        "running": sum.running,
        "resident_bytes": sum.resident,
        "cpu_ms": sum.cpu_ms,
        "restarts": sum.restarts,
    })
}

fn calls(counts: &Counts) -> Value {
    let running: u64 = counts.upstreams.values().map(|work| work.running).sum();
    json!({
        "since": counts.since,
        "total": counts.calls.map(|(total, _)| total),
        "failed": counts.calls.map(|(_, failed)| failed),
        "running": running,
    })
}

fn by_upstream((name, work): (&String, &Work)) -> Value {
    json!({
        "upstream": name,
        "state": work.state,
        "connections": work.connections,
        "running_requests": work.running,
        "calls": work.calls.map(|(total, _)| total),
        "failed_calls": work.calls.map(|(_, failed)| failed),
        "processes": processes(std::iter::once(&work.processes)),
    })
}
