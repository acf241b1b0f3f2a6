//! `POST /api/v1/token`

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;

use super::answer::Reply;
use super::call::Call;
use super::input::{TokenInput, read, seconds};
use super::keys::scopes;
use super::router::Answering;
use super::serve::Api;
use crate::auth::TokenRequest;
use crate::base::{Scopes, rfc3339, unix_seconds};

/// How long a token lives when nothing is said, in seconds.
const USUAL: u64 = 15 * 60;

pub(super) fn create(api: Arc<Api>, call: Call) -> Answering {
    Box::pin(async move {
        let input: TokenInput = read(&call.body)?;
        let life = input.expires_in.as_deref().map_or(Ok(USUAL), seconds)?;
        let wanted = input.scopes.as_ref();
        let wanted = wanted.map(|scopes| Scopes::read(scopes.iter().map(String::as_str)));
        let request = TokenRequest {
            life: Duration::from_secs(life),
            role: input.role.as_deref().map(str::parse).transpose()?,
            scopes: wanted.transpose()?,
        };
        let minted = api.auth.mint(&call.caller, &request)?;
        Ok(Reply::ok(json!({
            "token": minted.text.expose(),
            "token_type": "Bearer",
            "expires_in": minted.expires_at.saturating_sub(unix_seconds()),
            "expires_at": rfc3339(minted.expires_at),
            "role": minted.role.as_str(),
            "scopes": scopes(&minted.scopes),
            "tenant": call.caller.tenant().map(|tenant| tenant.name().as_str()),
        })))
    })
}
