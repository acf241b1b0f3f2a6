//! `PUT /api/v1/upstreams/{name}/enabled`: a tenant turns an upstream on or off for itself. What
//! the operator has disabled stays so for all.

use std::sync::Arc;

use serde::Deserialize;

use super::answer::Reply;
use super::call::Call;
use super::etag::{check, etag};
use super::input::read;
use super::made::{self, put_in_place};
use super::router::Answering;
use super::serve::Api;
use super::upstreams;
use crate::base::{Name, unix_seconds};

/// What the tenant wants.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PickInput {
    enabled: bool,
}

pub(super) fn set(api: Arc<Api>, call: Call) -> Answering {
    Box::pin(async move {
        let tenant = call.tenant()?.clone();
        let name = Name::new(call.part(0)).map_err(|_| made::unknown())?;
        // Before the body: what is not there has no state to speak of.
        upstreams::of_tenant(&api, &call, &name).await?;
        let PickInput { enabled } = read(&call.body)?;
        let off = api.config().made.off.get(&tenant.id()).is_some_and(|off| off.contains(&name));
        let tag = |enabled: bool| {
            let word = if enabled { "on" } else { "off" };
            etag(&["pick", &tenant.id().to_string(), name.as_str(), word])
        };
        check(&call.headers, &tag(!off))?;
        let since = (!enabled).then(unix_seconds);
        if api.stores.picks.turn(tenant.id(), &name, since).await? {
            put_in_place(&api).await?;
        }
        let value = upstreams::of_tenant(&api, &call, &name).await?;
        Ok(Reply::ok(value).with_etag(tag(enabled)))
    })
}
