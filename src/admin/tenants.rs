//! `/api/v1/tenants`, for the operator.

use std::sync::Arc;

use serde_json::{Value, json};

use super::answer::Reply;
use super::call::Call;
use super::etag::{check, demand, etag};
use super::input::{TenantInput, place, read};
use super::keys::first;
use super::page::page;
use super::problem::Problem;
use super::router::Answering;
use super::serve::Api;
use crate::auth::{NewKey, News, fresh_tenant, issue};
use crate::base::{Name, Role, Secret, rfc3339};
use crate::credential::check_value;
use crate::store::{Origin, SecretPlace, TenantRecord};

fn unknown() -> Problem {
    Problem::unknown("tenant", "`GET /api/v1/tenants` lists all")
}

fn value(api: &Api, tenant: &TenantRecord) -> Value {
    let config = api.config();
    let declared = config.tenants.get(&tenant.name);
    let mut value = json!({
        "name": tenant.name.as_str(),
        "id": tenant.id.to_string(),
        "origin": match tenant.origin { Origin::File => "file", Origin::Store => "store" },
        "active": tenant.origin == Origin::Store || declared.is_some(),
        "created_at": rfc3339(tenant.created_at),
    });
    if let Some(declared) = declared {
        value["declared_at"] = json!(format!("{}:{}", config.file, declared.line));
    }
    value
}

pub(super) async fn find(api: &Api, call: &Call) -> Result<TenantRecord, Problem> {
    let name = Name::new(call.part(0)).map_err(|_| unknown())?;
    api.stores.tenants.find(&name).await?.ok_or_else(unknown)
}

/// What the store has of it.
struct Content {
    keys: usize,
    secrets: usize,
    /// Names this state.
    tag: String,
}

async fn content(api: &Api, tenant: &TenantRecord) -> Result<Content, Problem> {
    let mut keys = api.stores.keys.list(tenant.id.into()).await?;
    keys.retain(|key| key.revoked_at.is_none());
    let secrets = api.stores.secrets.list(tenant.id).await?;
    let id = tenant.id.to_string();
    let ids = keys.iter().map(|key| key.id.to_string());
    let places = secrets.iter().map(|info| format!("{} {}", info.place, info.generation));
    let parts: Vec<String> = [id].into_iter().chain(ids).chain(places).collect();
    let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
    Ok(Content { keys: keys.len(), secrets: secrets.len(), tag: etag(&parts) })
}

pub(super) fn list(api: Arc<Api>, call: Call) -> Answering {
    Box::pin(async move {
        let tenants = api.stores.tenants.list().await?;
        let entries = tenants.iter().map(|tenant| (tenant.name.to_string(), value(&api, tenant)));
        Ok(Reply::ok(page(&api, &call, entries.collect())?))
    })
}

pub(super) fn show(api: Arc<Api>, call: Call) -> Answering {
    Box::pin(async move {
        let tenant = find(&api, &call).await?;
        let content = content(&api, &tenant).await?;
        let config = api.config();
        let declared = config.tenants.get(&tenant.name);
        let mut value = value(&api, &tenant);
        value["keys"] = json!(content.keys + declared.map_or(0, |found| found.keys.len()));
        value["secrets"] = json!(content.secrets + declared.map_or(0, |found| found.secrets.len()));
        Ok(Reply::ok(value).with_etag(content.tag))
    })
}

/// The secrets of a new tenant, checked.
fn secrets(
    api: &Api,
    tenant: &Name,
    input: &mut TenantInput,
) -> Result<Vec<(SecretPlace, Secret)>, Problem> {
    let mut secrets = Vec::new();
    for (upstream, slots) in std::mem::take(&mut input.secrets) {
        for (slot, value) in slots {
            let (upstream, slot) = place(&upstream, &slot)?;
            let place = super::secrets::known(api, tenant, upstream, slot)?;
            let value = value.secret();
            check_value(&value).map_err(|error| Problem::Invalid(format!("{place}: {error}")))?;
            secrets.push((place, value));
        }
    }
    Ok(secrets)
}

pub(super) fn create(api: Arc<Api>, call: Call) -> Answering {
    Box::pin(async move {
        let mut input: TenantInput = read(&call.body)?;
        let name = Name::new(&input.name)?;
        let config = api.config();
        if let Some(declared) = config.tenants.get(&name) {
            let (what, file) = (format!("the tenant `{name}`"), config.file.to_string());
            return Err(Problem::Declared { what, file, line: declared.line });
        }
        // Everything is judged before anything is made.
        let secrets = secrets(&api, &name, &mut input)?;
        // The file declared it once: its keys and secrets are kept.
        let left = api.stores.tenants.find(&name).await?;
        let left = left.filter(|left| left.origin == Origin::File);
        let taken_over = left.is_some();
        let tenant = match left {
            Some(left) => TenantRecord { origin: Origin::Store, ..left },
            None => fresh_tenant(&name, Origin::Store)?,
        };
        let key = match &input.key {
            None => None,
            Some(key) => {
                let role = key.role()?.unwrap_or(Role::Admin);
                let (scopes, expires_at) = (key.scopes()?, key.expires_at()?);
                let created_by = Some(call.caller.key());
                let member = NewKey::member(tenant.id, &key.name);
                let wanted = NewKey { role, scopes, expires_at, created_by, ..member };
                Some(issue(&api.ring, wanted)?)
            }
        };
        if taken_over {
            api.stores.tenants.release(tenant.id).await?;
        } else {
            api.stores.tenants.create(tenant.clone()).await?;
        }
        let filled = async {
            for (place, value) in secrets {
                api.vault.set(tenant.id, place, value).await?;
            }
            if let Some((record, _)) = &key {
                api.stores.keys.insert(record.owner, record.clone()).await?;
            }
            Ok::<(), Problem>(())
        };
        if let Err(problem) = filled.await {
            // All or nothing, but for what was there before.
            if !taken_over {
                api.stores.tenants.remove(tenant.id).await?;
            }
            return Err(problem);
        }
        api.auth.wrote(News::Other);
        let mut value = value(&api, &tenant);
        value["key"] = match &key {
            Some((record, text)) => first(tenant.name.as_str(), record, text),
            None => Value::Null,
        };
        Ok(Reply::created(format!("/api/v1/tenants/{name}"), value))
    })
}

pub(super) fn delete(api: Arc<Api>, call: Call) -> Answering {
    Box::pin(async move {
        let tenant = find(&api, &call).await?;
        let config = api.config();
        if let Some(declared) = config.tenants.get(&tenant.name) {
            let what = format!("the tenant `{}`", tenant.name);
            let file = config.file.to_string();
            return Err(Problem::Declared { what, file, line: declared.line });
        }
        let Content { keys, secrets, tag } = content(&api, &tenant).await?;
        if keys + secrets == 0 {
            check(&call.headers, &tag)?;
        } else {
            let why = format!("its {keys} keys and {secrets} secrets would be gone for ever");
            demand(&call.headers, &tag, &why)?;
        }
        api.stores.tenants.remove(tenant.id).await?;
        api.auth.wrote(News::Removed(tenant.id));
        api.ring.forget(tenant.id);
        if let Some(audit) = &api.audit
            && let Err(error) = audit.forget_bodies(tenant.id).await
        {
            tracing::warn!(%error, tenant = %tenant.name, "its bodies stay until they expire");
        }
        Ok(Reply::done())
    })
}
