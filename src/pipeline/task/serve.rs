//! `tasks/get`, `tasks/update` and `tasks/cancel` of clients of 2026-07-28.

use std::sync::Arc;

use super::handle::{undeclared, unknown};
use crate::base::{Fault, Kind};
use crate::bridge::Whose;
use crate::namespace::Plan;
use crate::pipeline::answer::Answer;
use crate::pipeline::call::Caller;
use crate::pipeline::finish::Record;
use crate::pipeline::line::Line;
use crate::wire::{Field, Method, Posted};

impl Line {
    /// A request about a task.
    pub(in crate::pipeline) async fn task(
        self: &Arc<Self>,
        caller: Box<Caller>,
        posted: Box<Posted>,
        method: &'static Method,
        record: Record,
    ) -> Result<Answer, Fault> {
        if !caller.tasks {
            return record.settled(Err(undeclared())).await;
        }
        let id = posted.string(Field::TaskId).unwrap_or_default();
        match self.open_task(&caller.principal, &caller.door, &id).map(|handle| handle.whose) {
            Ok(Whose::Kept { boot, id }) => {
                self.kept_task(&caller, &posted, method, (boot, id), record).await
            }
            Ok(Whose::Upstream(_)) => self.call(caller, posted, method, record).await,
            Err(fault) => record.settled(Err(fault)).await,
        }
    }

    /// The way to the upstream that has the task of a request.
    pub(in crate::pipeline) fn task_plan(
        &self,
        caller: &Caller,
        posted: &Posted,
    ) -> Result<Plan, Fault> {
        let id = posted.string(Field::TaskId).ok_or_else(|| {
            Fault::client(Kind::InvalidParams, "`params.taskId` is missing or no text")
        })?;
        let handle = self.open_task(&caller.principal, &caller.door, &id)?;
        let Whose::Upstream(id) = handle.whose else { return Err(unknown()) };
        let view = self.tenant(&caller.principal).known_view(&caller.principal, &caller.door);
        view.held(&handle.upstream, &id).ok_or_else(unknown)
    }
}
