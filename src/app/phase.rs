//! The life of the process as a list of phases, each with a time limit.

use std::time::Duration;

use super::build::Built;
use super::error::StartError;
use super::signal::Stops;
use crate::audit::Audit;
use crate::base::Tasks;
use crate::server::{Entrance, Grace, listen, listen_local};

/// Most connections to the operator's listener at a time.
const OPERATORS: usize = 256;

/// What the process is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Serving.
    Ready,
    /// Not ready; no new connections; requests under way finish.
    Draining,
    /// Upstream sessions and child processes are ended.
    ClosingUpstreams,
    /// Everything else in the background is ended.
    Finishing,
    /// What was recorded last is written.
    FlushingAudit,
    /// Nothing runs any more.
    Done,
}

impl Phase {
    /// Longest time that the phase may take.
    #[must_use]
    pub const fn limit(self) -> Duration {
        match self {
            Self::Ready => Duration::MAX,
            Self::Draining => Duration::from_secs(20),
            Self::ClosingUpstreams => Duration::from_secs(10),
            Self::Finishing => Duration::from_secs(5),
            Self::FlushingAudit => Duration::from_secs(10),
            Self::Done => Duration::ZERO,
        }
    }
}

/// Serves until a signal comes, then ends in good order; a second signal ends the draining.
///
/// # Errors
/// When signals cannot be waited for.
pub async fn run(built: Built) -> Result<(), StartError> {
    let mut stops = Stops::new()?;
    let Built {
        listener,
        operator,
        local,
        tls,
        doors,
        pool,
        audit,
        readiness,
        tasks,
        most_connections,
        address,
    } = built;
    let connections = Tasks::default();
    let grace = Grace::default();
    connections.spawn(
        "listener",
        listen(
            listener,
            Entrance::Doors(doors.clone()),
            tls,
            most_connections,
            connections.clone(),
            grace.clone(),
        ),
    );
    if let Some((listener, entrance)) = operator {
        // Never with TLS: it belongs on this machine or behind a tunnel.
        let (own, grace) = (connections.clone(), grace.clone());
        let listening = listen(listener, entrance, None, OPERATORS, own, grace);
        connections.spawn("operator listener", listening);
    }
    if let Some((listener, socket, entrance)) = local {
        let (own, grace) = (connections.clone(), grace.clone());
        connections.spawn("local listener", async move {
            listen_local(listener, entrance, own, grace).await;
            drop(socket);
        });
    }
    readiness.set(true);
    tracing::info!(phase = ?Phase::Ready, %address, "listening on http://{address}");
    stops.next().await;
    enter(Phase::Draining);
    readiness.set(false);
    grace.begin();
    doors.drain();
    tokio::select! {
        finished = connections.finish(Phase::Draining.limit()) => {
            if !finished {
                tracing::warn!("some requests did not finish in time");
            }
        }
        () = stops.next() => tracing::warn!("a second signal: requests under way are cut"),
    }
    enter(Phase::ClosingUpstreams);
    if !pool.close_all(Phase::ClosingUpstreams.limit()).await {
        tracing::warn!("some upstreams did not end in time");
    }
    enter(Phase::Finishing);
    if !tasks.finish(Phase::Finishing.limit()).await {
        tracing::warn!("some background work did not end in time");
    }
    if let Some(audit) = audit {
        enter(Phase::FlushingAudit);
        flush(&audit, Phase::FlushingAudit.limit()).await;
    }
    enter(Phase::Done);
    Ok(())
}

/// Writes what was recorded last.
pub(super) async fn flush(audit: &Audit, limit: Duration) {
    let lost = audit.close(limit).await;
    if lost > 0 {
        tracing::error!(lost, "records of the audit could not be written before the end");
    }
}

fn enter(phase: Phase) {
    tracing::info!(?phase, "stopping");
}
