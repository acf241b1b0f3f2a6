//! Which tenants a command is about.

use anyhow::anyhow;
use http::Method;
use serde_json::{Value, json};

use super::open::listed;
use super::reach::Reach;
use super::refusal::is_unknown;
use crate::base::Name;

/// A tenant by its name; its existence is checked, so that everything said later is about more
/// than a typing error.
pub(super) async fn tenant(reach: &Reach, name: &str) -> anyhow::Result<String> {
    let name = Name::new(name)?;
    if !reach.is_operator() {
        // Another tenant is refused by the API, in the same words whether there is one or not.
        return Ok(name.to_string());
    }
    match reach.get(None, &format!("/api/v1/tenants/{name}")).await {
        Ok(_) => Ok(name.to_string()),
        Err(error) if is_unknown(&error) => {
            let names = names(reach).await?;
            let known = listed(names.iter().map(String::as_str));
            Err(anyhow!(
                "there is no tenant `{name}` ({known}); make it with `mcp-proxy tenant create {name}`"
            ))
        }
        Err(error) => Err(error),
    }
}

/// The tenants that are served.
async fn names(reach: &Reach) -> anyhow::Result<Vec<String>> {
    let all = reach.all(None, "/api/v1/tenants").await?;
    let active = all.iter().filter(|tenant| tenant["active"] == true);
    Ok(active.filter_map(|tenant| tenant["name"].as_str()).map(str::to_owned).collect())
}

/// The tenants that a list is about; without a name, of an operator all, and of others their own.
pub(super) async fn tenants(reach: &Reach, only: Option<&str>) -> anyhow::Result<Vec<String>> {
    match (only, reach.own_tenant()) {
        (Some(only), _) => Ok(vec![tenant(reach, only).await?]),
        (None, Some(own)) => Ok(vec![own.to_owned()]),
        (None, None) => names(reach).await,
    }
}

/// The entries of a list of the API of all tenants that are meant.
pub(super) async fn all(
    reach: &Reach,
    only: Option<&str>,
    path: &str,
) -> anyhow::Result<Vec<Value>> {
    let mut entries = Vec::new();
    for tenant in tenants(reach, only).await? {
        let all = reach.all(Some(&tenant), path).await?;
        entries.extend(all.into_iter().map(|entry| of(&tenant, entry)));
    }
    Ok(entries)
}

/// The one tenant that is meant where none need be named.
pub(super) async fn the_tenant(reach: &Reach, given: Option<&str>) -> anyhow::Result<String> {
    match &tenants(reach, given).await?[..] {
        [only] => Ok(only.clone()),
        all => Err(anyhow!(
            "which tenant is meant? ({}); name it with --tenant",
            listed(all.iter().map(String::as_str))
        )),
    }
}

/// An entry of a tenant, with the tenant's name where the API leaves it to the one who asks.
pub(super) fn of(tenant: &str, mut entry: Value) -> Value {
    entry["tenant"] = json!(tenant);
    entry
}

/// POST, as most changes are.
pub(super) async fn post(
    reach: &Reach,
    tenant: Option<&str>,
    path: &str,
    body: Value,
) -> anyhow::Result<Value> {
    reach.send(Method::POST, tenant, path, Some(body)).await
}
