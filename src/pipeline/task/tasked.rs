//! What a request has to do with tasks.

use crate::namespace::Plan;
use crate::pipeline::call::Caller;
use crate::pipeline::relay::Asked;
use crate::upstream::Message;
use crate::wire::{Era, Field, InboundKind, Method, NameKind, Posted, Route};

/// What a request has to do with tasks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::pipeline) enum Tasked {
    /// Nothing.
    No,
    /// The upstream, of 2026-07-28, may answer it with a task.
    MayBecome,
    /// The upstream, of 2025-11-25, is asked for a task: its tool can be called in no other way.
    Sent,
    /// It is about the task of this id, as the client carries it.
    About(String),
}

impl Tasked {
    /// For a request to an upstream of this era. A client with a session takes no tasks itself:
    /// they are followed for it.
    pub(in crate::pipeline) fn of(
        caller: &Caller,
        posted: &Posted,
        method: &Method,
        plan: &Plan,
        era: Era,
    ) -> Self {
        match (method.route, era) {
            (Route::Name(NameKind::Tool), Era::Modern)
                if caller.era == Era::Legacy || caller.tasks =>
            {
                Self::MayBecome
            }
            (Route::Name(NameKind::Tool), Era::Legacy)
                if plan.tool().is_some_and(|tool| tool.as_task) =>
            {
                Self::Sent
            }
            (Route::Task(_), _) => {
                Self::About(posted.string(Field::TaskId).unwrap_or_default().into_owned())
            }
            _ => Self::No,
        }
    }
}

/// True for the answer of a modern upstream to a call that is now a task (R102: only where the
/// client takes it, or it is followed for the client).
pub(in crate::pipeline) fn is_task(asked: &Asked, message: &Message) -> bool {
    let Some(place) = message.inbound.result.result_type else { return false };
    asked.tasked == Tasked::MayBecome
        && message.inbound.kind == InboundKind::Result
        && &message.text()[place.span()] == "\"task\""
}
