//! The id of a task as a client carries it: sealed for its tenant, key and door, so that it is
//! nothing in anybody else's hands (R101, R103). It has no expiry of its own: how long a task is
//! kept is its upstream's matter.

use crate::auth::Principal;
use crate::base::{Fault, Kind};
use crate::bridge::TaskHandle;
use crate::namespace::Door;
use crate::pipeline::line::Line;
use crate::wire::CapSet;

/// The refusal of an id that is no task of this client. Why is not said: what is another's must
/// look like what is not there.
pub(in crate::pipeline) fn unknown() -> Fault {
    let sentence = "Unknown task: `params.taskId` names none of this client at this URL; use an id as it was given";
    Fault::client(Kind::InvalidParams, sentence)
}

/// The refusal of a client that has not declared the extension with this request.
pub(in crate::pipeline) fn undeclared() -> Fault {
    let lacking = CapSet::TASKS;
    let sentence = format!(
        "Tasks are for clients that declare {} with each request; this one has not",
        lacking.names()
    );
    Fault::client(Kind::Undeclared(lacking.to_json()), sentence)
}

impl Line {
    /// Seals the id of a task for this client.
    pub(in crate::pipeline) fn seal_task(
        &self,
        principal: &Principal,
        door: &Door,
        handle: &TaskHandle,
    ) -> Result<String, Fault> {
        let sealed = self
            .ring
            .seal_handle(TaskHandle::KIND, &about(principal, door), &handle.encode())
            .map_err(|error| Fault::internal(error.to_string()))?;
        Ok(format!("{}{sealed}", TaskHandle::PREFIX))
    }

    /// Opens the id of a task that a client brings.
    pub(in crate::pipeline) fn open_task(
        &self,
        principal: &Principal,
        door: &Door,
        id: &str,
    ) -> Result<TaskHandle, Fault> {
        let sealed = id.strip_prefix(TaskHandle::PREFIX).ok_or_else(unknown)?;
        let opened = self.ring.open_handle(TaskHandle::KIND, &about(principal, door), sealed);
        TaskHandle::decode(&opened.map_err(|_| unknown())?).map_err(|_| unknown())
    }
}

fn about(principal: &Principal, door: &Door) -> Vec<u8> {
    let (tenant, key) = (principal.tenant().id(), principal.key());
    TaskHandle::about(tenant.as_bytes(), key.as_str(), &door.label())
}
