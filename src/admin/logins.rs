//! `/api/v1/upstreams/{name}/oauth`: tokens that somebody brings, and the end of a login.

use std::sync::Arc;

use serde::Deserialize;
use serde_json::{Value, json};

use super::answer::Reply;
use super::call::Call;
use super::input::read;
use super::made;
use super::problem::Problem;
use super::router::Answering;
use super::serve::Api;
use super::upstreams;
use crate::auth::News;
use crate::base::{Name, Secret, rfc3339};
use crate::credential::{LoginState, OAuthError, Pushed};

/// Tokens as an authorization server gives them (RFC 6749, section 5.1), with whom they are of.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LoginInput {
    access_token: String,
    refresh_token: Option<String>,
    expires_in: Option<u64>,
    scope: Option<String>,
    issuer: Option<String>,
    token_endpoint: Option<String>,
    client_id: Option<String>,
    client_secret: Option<String>,
    /// Taken and not looked at: all tokens are bearer tokens.
    #[serde(rename = "token_type")]
    _token_type: Option<String>,
}

/// How a login stands.
pub(super) fn value(state: &LoginState) -> Value {
    json!({
        "state": state.state,
        "issuer": state.issuer.as_deref().filter(|issuer| !issuer.is_empty()),
        "scopes": state.scopes,
        "expires_at": state.expires_at.map(rfc3339),
        "renews": state.renews,
    })
}

fn problem(error: &OAuthError) -> Problem {
    match error {
        OAuthError::NoLogin => Problem::NotFound(
            "there is no such upstream with a login; `oauth = {}` in its section gives it one"
                .to_owned(),
        ),
        OAuthError::Store(_) | OAuthError::Seal(_) | OAuthError::Vault(_) => {
            Problem::Internal(error.to_string())
        }
        _ => Problem::Invalid(error.to_string()),
    }
}

async fn known(api: &Arc<Api>, call: &Call) -> Result<Name, Problem> {
    let name = Name::new(call.part(0)).map_err(|_| made::unknown())?;
    upstreams::of_tenant(api, call, &name).await?;
    Ok(name)
}

pub(super) fn push(api: Arc<Api>, call: Call) -> Answering {
    Box::pin(async move {
        let name = known(&api, &call).await?;
        let input: LoginInput = read(&call.body)?;
        for place in [&input.issuer, &input.token_endpoint].into_iter().flatten() {
            if url::Url::parse(place).is_err() {
                let what = "`issuer` and `token_endpoint` are URLs".to_owned();
                return Err(Problem::Invalid(what));
            }
        }
        let scopes = input.scope.unwrap_or_default();
        let pushed = Pushed {
            access_token: Secret::new(input.access_token),
            refresh_token: input.refresh_token.map(Secret::new),
            expires_in: input.expires_in,
            scopes: scopes.split_ascii_whitespace().map(str::to_owned).collect(),
            issuer: input.issuer,
            token_endpoint: input.token_endpoint,
            client_id: input.client_id,
            client_secret: input.client_secret.map(Secret::new),
        };
        let caller = call.principal()?;
        let done = Box::pin(api.line.push_login(caller, &name, pushed)).await;
        done.map_err(|error| problem(&error))?;
        api.auth.wrote(News::Other);
        let state = api.line.login_state(caller, &name).await;
        let state = state.ok_or_else(|| problem(&OAuthError::NoLogin))?;
        Ok(Reply::ok(value(&state)))
    })
}

pub(super) fn delete(api: Arc<Api>, call: Call) -> Answering {
    Box::pin(async move {
        let name = known(&api, &call).await?;
        let done = Box::pin(api.line.log_out(call.principal()?, &name)).await;
        done.map_err(|error| problem(&error))?;
        api.auth.wrote(News::Other);
        Ok(Reply::done())
    })
}
