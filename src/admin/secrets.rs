//! `/api/v1/secrets`: values go in and never come out.

use std::sync::Arc;

use serde_json::{Value, json};

use super::answer::Reply;
use super::call::Call;
use super::etag::{check_maybe, etag};
use super::input::{SecretInput, place, read};
use super::page::page;
use super::problem::Problem;
use super::router::Answering;
use super::serve::Api;
use crate::auth::News;
use crate::base::{Name, Slot, rfc3339};
use crate::config::Upstream;
use crate::store::{SecretInfo, SecretPlace};

/// A place that the file knows: a typing error would leave the upstream waiting for ever.
pub(super) fn known(
    api: &Api,
    tenant: &Name,
    upstream: Name,
    slot: Slot,
) -> Result<SecretPlace, Problem> {
    let config = api.config();
    // What is for other tenants is not there.
    let own = |entry: &&Arc<Upstream>| {
        entry.tenants.as_ref().is_none_or(|tenants| tenants.contains(tenant))
    };
    let Some(entry) = config.upstreams.get(&upstream).filter(own) else {
        return Err(Problem::unknown("upstream", "`GET /api/v1/upstreams` lists all"));
    };
    if !entry.all_arguments && !entry.slots.contains(&slot) {
        let slots: Vec<&str> = entry.slots.iter().map(Slot::as_str).collect();
        let known = if slots.is_empty() {
            "it uses none".to_owned()
        } else {
            format!("it uses {}", slots.join(", "))
        };
        return Err(Problem::NotFound(format!(
            "the upstream `{upstream}` uses no secret `{slot}`; {known}"
        )));
    }
    Ok(SecretPlace { upstream, slot })
}

/// The place that the path names, unless the file fills it.
fn wanted(api: &Api, call: &Call) -> Result<SecretPlace, Problem> {
    let unknown = |_| Problem::unknown("secret", "`GET /api/v1/secrets` lists the names of all");
    let (upstream, slot) = place(call.part(0), call.part(1)).map_err(unknown)?;
    if slot.as_str().starts_with("oauth.") {
        return Err(Problem::unknown("secret", "`GET /api/v1/secrets` lists the names of all"));
    }
    let config = api.config();
    let declared = config.tenants.get(call.tenant()?.name());
    let at = (upstream, slot);
    if let Some(line) = declared.and_then(|found| found.secret_lines.get(&at)) {
        let (what, file) = (format!("the secret `{} {}`", at.0, at.1), config.file.to_string());
        return Err(Problem::Declared { what, file, line: *line });
    }
    Ok(SecretPlace { upstream: at.0, slot: at.1 })
}

async fn current(
    api: &Api,
    call: &Call,
    place: &SecretPlace,
) -> Result<Option<SecretInfo>, Problem> {
    let all = api.stores.secrets.list(call.tenant()?.id()).await?;
    Ok(all.into_iter().find(|info| info.place == *place))
}

fn tag(info: &SecretInfo) -> String {
    etag(&[info.place.upstream.as_str(), info.place.slot.as_str(), &info.generation.to_string()])
}

fn value(info: &SecretInfo) -> Value {
    json!({
        "upstream": info.place.upstream.as_str(),
        "slot": info.place.slot.as_str(),
        "origin": "store",
        "generation": info.generation,
        "set_at": rfc3339(info.set_at),
    })
}

pub(super) fn list(api: Arc<Api>, call: Call) -> Answering {
    Box::pin(async move {
        let tenant = call.tenant()?;
        let stored = api.stores.secrets.list(tenant.id()).await?;
        // What a login keeps is no secret of anybody's naming.
        let named = stored.iter().filter(|info| !info.place.slot.as_str().starts_with("oauth."));
        let mut entries: Vec<_> =
            named.map(|info| (format!("{} 1", info.place), value(info))).collect();
        let config = api.config();
        let declared = config.tenants.get(tenant.name());
        for ((upstream, slot), line) in declared.into_iter().flat_map(|found| &found.secret_lines) {
            let shown = json!({
                "upstream": upstream.as_str(),
                "slot": slot.as_str(),
                "origin": "file",
                "declared_at": format!("{}:{line}", config.file),
            });
            entries.push((format!("{upstream} {slot} 0"), shown));
        }
        Ok(Reply::ok(page(&api, &call, entries)?))
    })
}

pub(super) fn set(api: Arc<Api>, call: Call) -> Answering {
    Box::pin(async move {
        let input: SecretInput = read(&call.body)?;
        let place = wanted(&api, &call)?;
        let place = known(&api, call.tenant()?.name(), place.upstream, place.slot)?;
        let before = current(&api, &call, &place).await?;
        check_maybe(&call.headers, before.as_ref().map(tag).as_deref())?;
        api.vault.set(call.tenant()?.id(), place.clone(), input.value.secret()).await?;
        api.auth.wrote(News::Other);
        api.line.secrets_changed(call.tenant()?.id(), &place.upstream);
        let now = current(&api, &call, &place).await?;
        let now = now.ok_or_else(|| Problem::Conflict("it was removed meanwhile".to_owned()))?;
        Ok(Reply::ok(value(&now)).with_etag(tag(&now)))
    })
}

pub(super) fn delete(api: Arc<Api>, call: Call) -> Answering {
    Box::pin(async move {
        let place = wanted(&api, &call)?;
        let unknown = || Problem::unknown("secret", "`GET /api/v1/secrets` lists the names of all");
        let now = current(&api, &call, &place).await?.ok_or_else(unknown)?;
        check_maybe(&call.headers, Some(&tag(&now)))?;
        let upstream = place.upstream.clone();
        let removed = api.stores.secrets.remove(call.tenant()?.id(), place).await?;
        api.auth.wrote(News::Other);
        api.line.secrets_changed(call.tenant()?.id(), &upstream);
        if removed { Ok(Reply::done()) } else { Err(unknown()) }
    })
}
