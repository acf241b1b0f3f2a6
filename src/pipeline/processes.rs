//! What the processes of upstreams use and what became of them, for whoever looks after tenants.
//! One task looks at all of them now and then; nothing of it is on the way of a call.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::time::MissedTickBehavior;

use super::line::Line;
use crate::base::{Name, TenantId};
use crate::config::{Share, Transport};
use crate::upstream::stdio::{EVERY, HistoryReport};

/// The processes of an upstream that run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ProcessTotals {
    /// Programs that run, without those that they have started.
    pub running: u64,
    /// Resident memory in bytes, with those.
    pub resident: u64,
    /// Processor time in milliseconds, with those.
    pub cpu_ms: u64,
    /// How often one was started in the place of another since the proxy began.
    pub restarts: u64,
}

impl Line {
    /// Writes down now and then what processes use. Runs until the stop.
    pub(super) fn watch_processes(self: &Arc<Self>) {
        let line = self.clone();
        self.tasks.spawn("process history", async move {
            let stop = line.tasks.stop().clone();
            let mut every = tokio::time::interval(EVERY);
            every.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                tokio::select! {
                    () = stop.cancelled() => break,
                    _ = every.tick() => {}
                }
                line.look_at_processes(true).await;
            }
        });
    }

    async fn look_at_processes(self: &Arc<Self>, keep: bool) {
        let line = self.clone();
        let looked = self.tasks.spawn_blocking("process history", move || line.logs.look(keep));
        if let Err(error) = looked.await {
            tracing::warn!(%error, "what processes use could not be read");
        }
    }

    /// What became of the processes of an upstream, as they are now: those of a tenant, or those
    /// that everybody shares; with what they used in the last hour where that is asked for.
    pub async fn history(
        self: &Arc<Self>,
        upstream: &Name,
        tenant: Option<TenantId>,
        with_looks: bool,
    ) -> HistoryReport {
        let Some(log) = self.logs.find(tenant, upstream) else { return HistoryReport::default() };
        self.look_at_processes(false).await;
        log.history(with_looks)
    }

    /// The processes of each upstream, as they are now: those of a tenant, or of everybody.
    pub async fn process_totals(
        self: &Arc<Self>,
        tenant: Option<TenantId>,
    ) -> BTreeMap<Name, ProcessTotals> {
        self.look_at_processes(false).await;
        let histories = self.logs.histories(tenant).into_iter();
        let total = |reports: Vec<HistoryReport>| {
            let mut total = ProcessTotals::default();
            for report in &reports {
                total.restarts += report.restarts;
                for process in report.running() {
                    total.running += 1;
                    let last = process.last;
                    total.resident += last.map_or(0, |last| last.resident);
                    total.cpu_ms += last.map_or(0, |last| last.cpu_ms);
                }
            }
            total
        };
        histories.map(|(upstream, reports)| (upstream, total(reports))).collect()
    }

    /// Whether all tenants share the process of an upstream, which is then nobody's own.
    #[must_use]
    pub fn shares_process(&self, upstream: &Name) -> bool {
        let entry = self.entry(upstream.as_str());
        entry.is_some_and(|entry| {
            matches!(entry.transport, Transport::Stdio { share: Share::All, .. })
        })
    }
}
