//! The end of every request: one line in the log, whatever became of it.

use bytes::Bytes;
use tokio::time::Instant;

use std::sync::Arc;

use super::admit::Admitted;
use super::answer::{Answer, Body};
use super::line::Line;
use crate::auth::Principal;
use crate::base::{Fault, Kind, now};
use crate::config::Upstream;
use crate::namespace::Plan;
use crate::telemetry::CallLine;
use crate::wire::{Method, Posted};

/// What is known of a request for its line in the log. No arguments.
#[derive(Debug)]
pub(super) struct Record {
    started: Instant,
    line: Arc<Line>,
    principal: Principal,
    method: &'static str,
    bytes_in: usize,
    upstream: Option<Arc<Upstream>>,
    name: String,
    admitted: Option<Admitted>,
    done: bool,
}

impl Record {
    pub(super) fn new(
        line: &Arc<Line>,
        principal: &Principal,
        method: &Method,
        posted: &Posted,
    ) -> Self {
        Self {
            started: now(),
            line: line.clone(),
            principal: principal.clone(),
            method: method.name,
            bytes_in: posted.body().len(),
            upstream: None,
            name: String::new(),
            admitted: None,
            done: false,
        }
    }

    pub(super) fn planned(&mut self, plan: &Plan) {
        self.upstream = Some(plan.upstream().clone());
        self.name = plan.original().chars().take(120).collect();
    }

    /// Keeps what the call holds until it has ended.
    pub(super) fn admitted(&mut self, admitted: Admitted) {
        self.admitted = Some(admitted);
    }

    pub(super) fn finish(mut self, answer: &Result<Answer, Fault>) {
        let (outcome, bytes) = match answer {
            Ok(Answer { body: Body::Empty, .. }) => ("cancelled", 0),
            Ok(answer) => match &answer.body {
                Body::Json(bytes) if answer.status == 200 => ("ok", bytes.len()),
                Body::Json(bytes) => ("error", bytes.len()),
                Body::Pieces(pieces) => ("ok", pieces.iter().map(Bytes::len).sum()),
                _ => ("streaming", 0),
            },
            Err(fault) => (outcome(&fault.kind), 0),
        };
        let reason =
            answer.as_ref().err().map(|fault| fault.private.as_deref().unwrap_or(&fault.public));
        self.log(outcome, bytes, reason);
    }

    fn log(&mut self, outcome: &str, bytes: usize, reason: Option<&str>) {
        self.done = true;
        if let Some(admitted) = &self.admitted {
            admitted.spend((self.bytes_in + bytes) as u64);
        }
        let Some(calls) = &self.line.calls else { return };
        calls.write(&CallLine {
            tenant: self.principal.tenant().name().as_str(),
            key: self.principal.key().as_str(),
            method: self.method,
            upstream: self.upstream.as_ref().map(|upstream| upstream.name.as_str()),
            name: &self.name,
            outcome,
            ms: u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX),
            bytes_in: self.bytes_in,
            bytes_out: bytes,
            reason,
        });
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        // The client closed the stream before there was an answer (modern era).
        if !self.done {
            self.log("abandoned", 0, None);
        }
    }
}

fn outcome(kind: &Kind) -> &'static str {
    match kind {
        Kind::Upstream => "upstream_failed",
        Kind::NeedsSetup => "needs_setup",
        Kind::Internal => "internal",
        Kind::Limited { .. } => "limited",
        Kind::Busy => "busy",
        _ => "refused",
    }
}
