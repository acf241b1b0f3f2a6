//! `GET /api/v1/explain`: why a key can or cannot call a tool.

use std::sync::Arc;

use serde_json::{Value, json};

use super::answer::Reply;
use super::call::Call;
use super::keys::{declared, state, stored, unknown};
use super::problem::Problem;
use super::router::Answering;
use super::serve::Api;
use crate::auth::Principal;

/// Whose call is explained.
struct Subject {
    principal: Principal,
    key: Value,
    /// Why the key opens nothing.
    ended: Option<&'static str>,
}

pub(super) fn show(api: Arc<Api>, call: Call) -> Answering {
    Box::pin(async move {
        let tool = call.query("tool").filter(|tool| !tool.is_empty()).ok_or_else(|| {
            Problem::Invalid("name the tool in the query, as `tool=gh__search`".to_owned())
        })?;
        let ask = match call.query("ask") {
            None | Some("true") => true,
            Some("false") => false,
            Some(_) => return Err(Problem::Invalid("`ask` is true or false".to_owned())),
        };
        let path = call.query("door").unwrap_or("/mcp");
        let door = api.line.door(call.principal()?, path).ok_or_else(|| {
            Problem::unknown("door", "they are `/mcp`, `/mcp/{upstream}` and `/p/{profile}/mcp`")
        })?;
        let subject = subject(&api, &call).await?;
        // Boxed: it may list every upstream.
        let explained = Box::pin(api.line.explain(&subject.principal, &door, tool, ask));
        let mut chain = explained.await;
        if let Some(why) = subject.ended {
            (chain.visible, chain.callable) = (false, false);
            chain.because = format!("the key opens nothing: it is {why}");
        }
        Ok(Reply::ok(json!({ "key": subject.key, "chain": chain })))
    })
}

/// The key that is asked about, of those that the caller may know of.
async fn subject(api: &Api, call: &Call) -> Result<Subject, Problem> {
    let caller = call.principal()?;
    let shown =
        |id: &str, name: &str, state: &str| json!({ "id": id, "name": name, "state": state });
    let wanted = call.query("key").unwrap_or(caller.key().as_str()).to_owned();
    if wanted == caller.key().as_str() {
        let key = shown(&wanted, caller.key_name(), "live");
        return Ok(Subject { principal: caller.clone(), key, ended: None });
    }
    if call.is_member() {
        return Err(unknown());
    }
    let config = api.config();
    let filed = declared(api, &config, call).into_iter().find(|(id, _)| id.as_str() == wanted);
    if let Some((id, key)) = filed {
        let principal = api.auth.stand_in(caller, key.scopes.clone());
        return Ok(Subject { principal, key: shown(id.as_str(), &key.name, "live"), ended: None });
    }
    let keys = stored(api, call).await?;
    let key = keys.into_iter().find(|key| key.id.as_str() == wanted).ok_or_else(unknown)?;
    let state = state(&key);
    Ok(Subject {
        principal: api.auth.stand_in(caller, key.scopes.clone()),
        key: shown(key.id.as_str(), &key.name, state),
        ended: (state != "live").then_some(state),
    })
}
