//! `/api/v1/keys`: an admin's are all of the tenant, a member's are his own, and the operator's
//! without a tenant are those of the operator.

use std::sync::Arc;

use serde_json::{Value, json};

use super::answer::Reply;
use super::call::Call;
use super::etag::{check, etag};
use super::input::{KeyInput, RotateInput, read, seconds, until};
use super::page::page;
use super::problem::Problem;
use super::router::Answering;
use super::serve::Api;
use crate::auth::{Caller, NewKey, News, issue};
use crate::base::{KeyId, Role, Scopes, Secret, rfc3339, unix_seconds};
use crate::config::{Config, KeyDeclaration};
use crate::store::{KeyRecord, Origin, Owner};

/// How long a key works on when another takes its place and nothing is said, in seconds.
const GRACE: u64 = 3_600;

/// Scopes as a list of texts.
pub(super) fn scopes(scopes: &Scopes) -> Vec<String> {
    scopes.iter().map(ToString::to_string).collect()
}

pub(super) fn unknown() -> Problem {
    Problem::unknown("key", "`GET /api/v1/keys` lists those that you may know of")
}

/// A key of the file with its public id.
pub(super) fn declared<'a>(
    api: &Api,
    config: &'a Config,
    call: &Call,
) -> Vec<(KeyId, &'a KeyDeclaration)> {
    let tenant = call.caller.tenant().map(|tenant| tenant.name());
    let declarations = match tenant {
        None => &config.admin.keys[..],
        Some(name) => config.tenants.get(name).map_or(&[][..], |found| &found.keys),
    };
    let keys = api.auth.declared(tenant);
    let own = |id: KeyId| !call.is_member() || id == call.caller.holder();
    let named = keys.into_iter().filter(|(id, _)| own(*id)).filter_map(|(id, name)| {
        Some((id, declarations.iter().find(|declaration| declaration.name == name)?))
    });
    named.collect()
}

/// The keys of the store that the caller may know of.
pub(super) async fn stored(api: &Api, call: &Call) -> Result<Vec<KeyRecord>, Problem> {
    let mut keys = api.stores.keys.list(call.owner()).await?;
    if call.is_member() {
        keys.retain(|key| key.holder == call.caller.holder());
    }
    Ok(keys)
}

/// A key that may be changed.
async fn find(api: &Api, call: &Call) -> Result<KeyRecord, Problem> {
    let id: KeyId = call.part(0).parse().map_err(|_| unknown())?;
    let config = api.config();
    if let Some((_, key)) = declared(api, &config, call).into_iter().find(|(own, _)| *own == id) {
        let what = format!("the key `{}`", key.name);
        return Err(Problem::Declared { what, file: config.file.to_string(), line: key.line });
    }
    stored(api, call).await?.into_iter().find(|key| key.id == id).ok_or_else(unknown)
}

fn tenant_name(call: &Call) -> Option<&str> {
    call.caller.tenant().map(|tenant| tenant.name().as_str())
}

/// Any key by its id, for the operator, who learns whose it is.
async fn anybodys(api: &Api, id: &str) -> Result<Reply, Problem> {
    let id = id.parse::<KeyId>().map_err(|_| unknown())?;
    for (name, tenant) in &api.config().tenants {
        let known = api.auth.declared(Some(name)).into_iter().find(|(own, _)| *own == id);
        let Some((id, name_of_key)) = known else { continue };
        if let Some(key) = tenant.keys.iter().find(|key| key.name == name_of_key) {
            return Ok(Reply::ok(of_file(api, Some(name.as_str()), id, key)));
        }
    }
    let found = api.stores.keys.find(vec![id]).await?.pop().ok_or_else(unknown)?;
    let tenant = found.tenant.as_ref().map(|tenant| tenant.name.as_str());
    Ok(Reply::ok(of_store(tenant, &found.key)).with_etag(tag(&found.key)))
}

/// Whether a key of the store opens anything, in one word.
pub(super) fn state(key: &KeyRecord) -> &'static str {
    match key {
        key if key.revoked_at.is_some() => "revoked",
        key if key.expires_at.is_some_and(|at| at <= unix_seconds()) => "expired",
        _ => "live",
    }
}

fn of_store(tenant: Option<&str>, key: &KeyRecord) -> Value {
    let state = state(key);
    json!({
        "id": key.id.as_str(),
        "name": key.name,
        "tenant": tenant,
        "role": key.role.as_str(),
        "scopes": scopes(&key.scopes),
        "state": state,
        "origin": "store",
        "holder": key.holder.as_str(),
        "created_at": rfc3339(key.created_at),
        "created_by": key.created_by.map(|id| id.to_string()),
        "expires_at": key.expires_at.map(rfc3339),
        "revoked_at": key.revoked_at.map(rfc3339),
        "last_used_at": key.last_used_at.map(rfc3339),
    })
}

fn of_file(api: &Api, tenant: Option<&str>, id: KeyId, key: &KeyDeclaration) -> Value {
    json!({
        "id": id.as_str(),
        "name": key.name,
        "tenant": tenant,
        "role": key.role.as_str(),
        "scopes": scopes(&key.scopes),
        "state": "live",
        "origin": "file",
        "holder": id.as_str(),
        "declared_at": format!("{}:{}", api.config().file, key.line),
    })
}

/// Names the state of a key; its last use is no change of it.
fn tag(key: &KeyRecord) -> String {
    let times = format!("{:?} {:?}", key.expires_at, key.revoked_at);
    etag(&[key.id.as_str(), &key.name, key.role.as_str(), &key.scopes.to_string(), &times])
}

pub(super) fn list(api: Arc<Api>, call: Call) -> Answering {
    Box::pin(async move {
        let config = api.config();
        let file = declared(&api, &config, &call).into_iter();
        let file =
            file.map(|(id, key)| (format!("0 {id}"), of_file(&api, tenant_name(&call), id, key)));
        let mut entries: Vec<_> = file.collect();
        let stored = stored(&api, &call).await?;
        let order = |key: &KeyRecord| format!("1 {:020} {}", key.created_at, key.id);
        entries.extend(stored.iter().map(|key| (order(key), of_store(tenant_name(&call), key))));
        Ok(Reply::ok(page(&api, &call, entries)?))
    })
}

pub(super) fn show(api: Arc<Api>, call: Call) -> Answering {
    Box::pin(async move {
        let config = api.config();
        let shown =
            declared(&api, &config, &call).into_iter().find(|(id, _)| id.as_str() == call.part(0));
        if let Some((id, key)) = shown {
            return Ok(Reply::ok(of_file(&api, tenant_name(&call), id, key)));
        }
        if matches!(call.caller, Caller::Operator(_)) {
            return anybodys(&api, call.part(0)).await;
        }
        let key = find(&api, &call).await?;
        Ok(Reply::ok(of_store(tenant_name(&call), &key)).with_etag(tag(&key)))
    })
}

pub(super) fn create(api: Arc<Api>, call: Call) -> Answering {
    Box::pin(async move {
        let input: KeyInput = read(&call.body)?;
        let caller = &call.caller;
        let owner = call.owner();
        let role = input.role()?;
        let role = role.unwrap_or(match owner {
            Owner::Operator => Role::Operator,
            Owner::Tenant(_) => Role::Member,
        });
        if role > caller.role() {
            return Err(Problem::Forbidden(format!(
                "a key of the role {} makes keys of the same role or less",
                caller.role()
            )));
        }
        let scopes = input.scopes()?;
        caller.scopes().cover(&scopes).map_err(|beyond| {
            Problem::Forbidden(format!("your key does not have the scope `{beyond}` itself"))
        })?;
        let mut expires_at = input.expires_at()?;
        if call.is_member() {
            // A member's keys do not outlive the one that they are made with.
            let own = api.stores.keys.find(vec![caller.key()]).await?.pop();
            if let Some(end) = own.and_then(|own| own.key.expires_at) {
                expires_at = Some(expires_at.map_or(end, |at| at.min(end)));
            }
        }
        let wanted = NewKey {
            owner,
            name: &input.name,
            role,
            scopes,
            expires_at,
            created_by: Some(caller.key()),
            holder: call.is_member().then(|| caller.holder()),
        };
        let (record, text) = issue(&api.ring, wanted)?;
        api.stores.keys.insert(owner, record.clone()).await?;
        Ok(made(&call, &record, &text))
    })
}

/// A new key with its text.
pub(super) fn made(call: &Call, key: &KeyRecord, text: &Secret) -> Reply {
    let mut value = of_store(tenant_name(call), key);
    value["key"] = json!(text.expose());
    Reply::created(format!("/api/v1/keys/{}", key.id), value).with_etag(tag(key))
}

/// A key that was made with its tenant.
pub(super) fn first(tenant: &str, key: &KeyRecord, text: &Secret) -> Value {
    let mut value = of_store(Some(tenant), key);
    value["key"] = json!(text.expose());
    value
}

pub(super) fn rotate(api: Arc<Api>, call: Call) -> Answering {
    Box::pin(async move {
        let input: RotateInput = read(&call.body)?;
        let old = find(&api, &call).await?;
        check(&call.headers, &tag(&old))?;
        // Its text would be the caller's to use.
        if old.role > call.caller.role() {
            return Err(Problem::Forbidden("this key decides more than yours".to_owned()));
        }
        call.caller.scopes().cover(&old.scopes).map_err(|beyond| {
            Problem::Forbidden(format!("your key does not have the scope `{beyond}` of this one"))
        })?;
        let now = unix_seconds();
        let grace = input.grace.as_deref().map_or(Ok(GRACE), seconds)?;
        let lifetime = old.expires_at.map(|end| end - old.created_at.min(end));
        let expires_at = match input.expires_in.as_deref().map(until).transpose()? {
            Some(at) if call.is_member() && old.expires_at.is_some_and(|end| at > end) => {
                return Err(Problem::Forbidden("an admin makes a key live longer".to_owned()));
            }
            Some(at) => Some(at),
            // A member's own end stays where it is; an admin gives it another life.
            None if call.is_member() => old.expires_at,
            None => lifetime.map(|lifetime| now.saturating_add(lifetime)),
        };
        let wanted = NewKey {
            owner: old.owner,
            name: &old.name,
            role: old.role,
            scopes: old.scopes.clone(),
            expires_at,
            created_by: Some(call.caller.key()),
            holder: Some(old.holder),
        };
        let (record, text) = issue(&api.ring, wanted)?;
        let ends_at = now.saturating_add(grace);
        if old.revoked_at.is_some() || old.expires_at.is_some_and(|at| at <= now) {
            return Err(Problem::Conflict("the key has ended; make a new one".to_owned()));
        }
        api.stores.keys.rotate(old.owner, old.id, ends_at, record.clone()).await?;
        api.auth.wrote(News::Ends(old.id, ends_at));
        Ok(made(&call, &record, &text))
    })
}

pub(super) fn revoke(api: Arc<Api>, call: Call) -> Answering {
    Box::pin(async move {
        let key = find(&api, &call).await?;
        check(&call.headers, &tag(&key))?;
        debug_assert!(call.caller.origin() == Origin::File || key.owner == call.owner());
        // One that was revoked before is revoked: the wish is fulfilled.
        api.stores.keys.revoke(key.owner, key.id, unix_seconds()).await?;
        api.auth.wrote(News::Revoked(key.id));
        Ok(Reply::done())
    })
}
