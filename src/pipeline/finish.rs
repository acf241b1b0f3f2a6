//! The end of every request: one line in the log, whatever became of it.

use bytes::Bytes;
use tokio::time::Instant;

use super::answer::{Answer, Body};
use crate::auth::Principal;
use crate::base::{Fault, KeyId, Kind, Name, now};
use crate::namespace::Plan;
use crate::wire::{Method, Posted};

/// What is known of a request for its line in the log. No arguments.
#[derive(Debug)]
pub(super) struct Record {
    started: Instant,
    tenant: Name,
    key: KeyId,
    method: &'static str,
    bytes_in: usize,
    upstream: Option<Name>,
    name: String,
    done: bool,
}

impl Record {
    pub(super) fn new(principal: &Principal, method: &Method, posted: &Posted) -> Self {
        Self {
            started: now(),
            tenant: principal.tenant().name().clone(),
            key: principal.key(),
            method: method.name,
            bytes_in: posted.body().len(),
            upstream: None,
            name: String::new(),
            done: false,
        }
    }

    pub(super) fn planned(&mut self, plan: &Plan) {
        self.upstream = Some(plan.upstream().name.clone());
        self.name = plan.original().chars().take(120).collect();
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
        tracing::info!(
            tenant = self.tenant.as_str(),
            key = self.key.as_str(),
            method = self.method,
            upstream = self.upstream.as_ref().map(Name::as_str),
            name = self.name,
            outcome,
            ms = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX),
            bytes_in = self.bytes_in,
            bytes_out = bytes,
            reason,
            "call"
        );
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
        Kind::Busy => "busy",
        _ => "refused",
    }
}
