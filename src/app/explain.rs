//! Why a key can or cannot call a tool, from a file and a store alone: the proxy is built without
//! a listener, and asks the upstreams as for a list.

use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, HeaderValue, header};

use super::build::{Core, Resolve};
use super::error::StartError;
use super::foundation::Foundation;
use crate::auth::{Principal, declared_key_id};
use crate::base::{KeyId, Name, Scopes, Secret, Tasks, unix_seconds};
use crate::config::Config;
use crate::pipeline::Explanation;
use crate::upstream::stdio::Launcher;

/// How long upstreams may take to end, and then everything else in the background.
const UPSTREAMS: Duration = Duration::from_secs(5);
const REST: Duration = Duration::from_secs(2);

/// Which key is meant.
#[derive(Debug)]
pub enum Subject {
    /// The one of this public id.
    Id(KeyId),
    /// This one.
    Key(Secret),
}

/// What is found out about a key and a tool.
#[derive(Debug)]
pub struct Explained {
    /// The key's public id, where it is known.
    pub key: Option<KeyId>,
    /// What its owner calls it.
    pub key_name: Option<String>,
    /// `live`, or why it opens nothing.
    pub key_state: String,
    /// Whether it opens anything.
    pub key_is_good: bool,
    /// What becomes of the call, were the key good; nothing where its tenant is not known.
    pub chain: Option<Explanation>,
}

/// Explains what becomes of a call of `tool` at the door of this path. With `ask`, upstreams are
/// started and listed as a client's list would. Nothing is left running.
///
/// # Errors
/// When the proxy cannot be built from the file, or there is no such door in it.
#[expect(clippy::too_many_arguments, reason = "what `build` takes, and who asks about what")]
pub async fn explain(
    config: Arc<Config>,
    foundation: &Foundation,
    resolve: &Resolve,
    launcher: Launcher,
    tasks: &Tasks,
    subject: Subject,
    (door, tool): (&str, &str),
    ask: bool,
) -> Result<Explained, StartError> {
    let core = Core::new(config.clone(), foundation, resolve, launcher, None, tasks).await?;
    let (mut explained, principal) = match subject {
        Subject::Key(key) => by_text(&core, &key).await?,
        Subject::Id(id) => by_id(&core, foundation, (&config, resolve), id, tasks).await?,
    };
    if let Some(principal) = principal {
        let place = core.line.door_of_path(door).ok_or_else(|| super::pipe::no_door(door))?;
        let mut chain = core.line.explain(&principal, &place, tool, ask).await;
        if !explained.key_is_good {
            (chain.visible, chain.callable) = (false, false);
            chain.because = format!("the key opens nothing: {}", explained.key_state);
        }
        explained.chain = Some(chain);
    }
    core.pool.close_all(UPSTREAMS).await;
    if let Some(audit) = &core.audit {
        // Nothing was decided: it is only ended.
        audit.close(REST).await;
    }
    tasks.finish(REST).await;
    Ok(explained)
}

type Found = (Explained, Option<Principal>);

async fn by_text(core: &Core, key: &Secret) -> Result<Found, StartError> {
    let mut headers = HeaderMap::new();
    let mut value = HeaderValue::from_str(&format!("Bearer {}", key.expose()))
        .map_err(|_| StartError::Denied("it holds what no key can".to_owned()))?;
    value.set_sensitive(true);
    headers.insert(header::AUTHORIZATION, value);
    Ok(match core.auth.check(&headers).await {
        Ok(principal) => {
            let explained = Explained {
                key: Some(principal.key()),
                key_name: Some(principal.key_name().to_owned()),
                key_state: "live".to_owned(),
                key_is_good: true,
                chain: None,
            };
            (explained, Some(principal))
        }
        Err(denied) => {
            let (key_state, key_is_good) = (denied.to_string(), false);
            (Explained { key: None, key_name: None, key_state, key_is_good, chain: None }, None)
        }
    })
}

async fn by_id(
    core: &Core,
    foundation: &Foundation,
    (config, resolve): (&Config, &Resolve),
    id: KeyId,
    tasks: &Tasks,
) -> Result<Found, StartError> {
    let keys = foundation.stores.keys.find(vec![id]).await;
    let found = keys.map_err(crate::auth::AuthError::from)?.pop();
    let known = match found {
        Some(found) => {
            let ended = if found.key.revoked_at.is_some() {
                Some("it was revoked")
            } else if found.key.expires_at.is_some_and(|at| at <= unix_seconds()) {
                Some("it has expired")
            } else {
                None
            };
            let Some(tenant) = found.tenant else {
                return Ok((of_the_operator(id, found.key.name), None));
            };
            Some((tenant.name, found.key.name, found.key.scopes, ended))
        }
        None => declared(foundation, config, resolve, id)
            .map(|(name, key, scopes)| (name, key, scopes, None)),
    };
    let Some((tenant, name, scopes, ended)) = known else {
        let key_state = "there is no such key; `mcp-proxy key list` shows all".to_owned();
        let explained =
            Explained { key: Some(id), key_name: None, key_state, key_is_good: false, chain: None };
        return Ok((explained, None));
    };
    let explained = Explained {
        key: Some(id),
        key_name: Some(name),
        key_state: ended.unwrap_or("live").to_owned(),
        key_is_good: ended.is_none(),
        chain: None,
    };
    Ok((explained, Some(core.auth.local(&tenant, scopes, tasks).await?)))
}

/// A key of the operator calls tools in the name of a tenant only, which an id does not tell.
fn of_the_operator(id: KeyId, name: String) -> Explained {
    let key_state = "it is the operator's, and sees what the tenant in X-Tenant sees".to_owned();
    Explained { key: Some(id), key_name: Some(name), key_state, key_is_good: false, chain: None }
}

/// The file's key of this id, with its tenant.
fn declared(
    foundation: &Foundation,
    config: &Config,
    resolve: &Resolve,
    id: KeyId,
) -> Option<(Name, String, Scopes)> {
    config.tenants.iter().find_map(|(tenant, declaration)| {
        let key = declaration.keys.iter().find(|key| {
            resolve(&key.source).is_ok_and(|text| declared_key_id(&foundation.ring, &text) == id)
        })?;
        Some((tenant.clone(), key.name.clone(), key.scopes.clone()))
    })
}
