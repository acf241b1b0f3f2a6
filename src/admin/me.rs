//! `GET /api/v1/me`

use std::sync::Arc;

use serde_json::json;

use super::answer::Reply;
use super::call::Call;
use super::keys::scopes;
use super::router::Answering;
use super::serve::Api;
use crate::base::{Role, rfc3339};

pub(super) fn show(_: Arc<Api>, call: Call) -> Answering {
    Box::pin(async move {
        let caller = &call.caller;
        Ok(Reply::ok(json!({
            "key": caller.key().as_str(),
            "name": caller.key_name(),
            "role": caller.role().as_str(),
            "scopes": scopes(caller.scopes()),
            "tenant": caller.tenant().map(|tenant| tenant.name().as_str()),
            "acts_for_tenant": caller.role() == Role::Operator && caller.tenant().is_some(),
            "token_expires_at": caller.token_until().map(rfc3339),
            "address": call.address,
        })))
    })
}
