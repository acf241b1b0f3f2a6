//! The `requestState` that a client carries from one round to the next: sealed, and good for the
//! very same request only (R33).

use super::call::Caller;
use super::line::Line;
use crate::base::{Fault, Kind, unix_seconds};
use crate::bridge::{Binding, Carried, Purpose, params_digest};
use crate::namespace::Plan;
use crate::wire::json::quote;
use crate::wire::{Field, Method, Posted};

/// How long the state of a modern upstream, or of a visit to a URL, is taken back, in seconds.
pub(super) const TTL: u64 = 600;

/// The refusal of a state. Why is not said: whoever changes one would learn from it.
pub(super) fn refused() -> Fault {
    Fault::client(
        Kind::InvalidParams,
        "`params.requestState` was not made for this request, or is too old; send the request again without it",
    )
}

impl Line {
    /// Seals a state for this very request; gives it as JSON text.
    pub(super) fn seal_state(
        &self,
        caller: &Caller,
        posted: &Posted,
        (method, plan): (&'static Method, &Plan),
        (purpose, carried): (Purpose, &Carried),
    ) -> Result<String, Fault> {
        let about = about(caller, posted, method, plan, purpose)?;
        let sealed = self
            .ring
            .seal_handle(purpose.handle(), &about, &carried.encode())
            .map_err(|error| Fault::internal(error.to_string()))?;
        Ok(quote(&format!("{}.{sealed}", purpose.letter())))
    }

    /// Opens the state that a request brings; `None` when it brings none.
    pub(super) fn open_state(
        &self,
        caller: &Caller,
        posted: &Posted,
        (method, plan): (&'static Method, &Plan),
    ) -> Result<Option<Carried>, Fault> {
        if posted.field(Field::RequestState).is_none() {
            return Ok(None);
        }
        let state = posted.string(Field::RequestState).ok_or_else(refused)?;
        let (purpose, sealed) = Purpose::split(&state).ok_or_else(refused)?;
        let about = about(caller, posted, method, plan, purpose)?;
        let opened = self.ring.open_handle(purpose.handle(), &about, sealed);
        let carried = Carried::decode(&opened.map_err(|_| refused())?).map_err(|_| refused())?;
        if carried.is_good(unix_seconds()) { Ok(Some(carried)) } else { Err(refused()) }
    }
}

/// What a state of this request is bound to.
fn about(
    caller: &Caller,
    posted: &Posted,
    method: &'static Method,
    plan: &Plan,
    purpose: Purpose,
) -> Result<Vec<u8>, Fault> {
    let params = posted.params().map_or("{}", |params| posted.text(params.span.clone()));
    let tenant = caller.principal.tenant().id();
    let key = caller.principal.key();
    let door = caller.door.label();
    let binding = Binding {
        tenant: tenant.as_bytes(),
        key: key.as_str(),
        door: &door,
        upstream: plan.upstream().name.as_str(),
        method: method.name,
        target: plan.original(),
        digest: params_digest(params).map_err(|_| refused())?,
    };
    Ok(binding.about(purpose))
}
