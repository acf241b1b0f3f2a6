//! The first start: a tenant and a key, so that the first minute needs no command.

use super::error::StartError;
use super::foundation::Foundation;
use crate::auth::{NewKey, fresh_tenant, issue};
use crate::base::{Name, Role, Secret, TenantId};
use crate::config::Config;
use crate::store::Origin;

/// The tenant that the first start makes.
const TENANT: &str = "default";

/// A key that was made just now; its text is shown once.
#[derive(Debug)]
pub struct FirstKey {
    /// Whose it is.
    pub tenant: Name,
    /// Its text.
    pub text: Secret,
}

/// Makes the tenant `default` when there is no tenant at all, neither in the file nor in the
/// store; gives it as long as it is the only one and never had a key.
///
/// # Errors
/// When the store fails.
pub async fn first_tenant(
    config: &Config,
    foundation: &Foundation,
) -> Result<Option<TenantId>, StartError> {
    let stores = &foundation.stores;
    let Ok(name) = Name::new(TENANT) else { return Ok(None) };
    if !config.tenants.is_empty() {
        return Ok(None);
    }
    match &stores.tenants.list().await?[..] {
        [] => {
            let tenant = fresh_tenant(&name, Origin::Store)?;
            let id = tenant.id;
            stores.tenants.create(tenant).await?;
            Ok(Some(id))
        }
        // Made by a start that needed no key.
        [only] if only.name == name && stores.keys.list(only.id.into()).await?.is_empty() => {
            Ok(Some(only.id))
        }
        _ => Ok(None),
    }
}

/// Makes one key for the first tenant, which is made where it is missing.
///
/// # Errors
/// When the store fails.
pub async fn first_key(
    config: &Config,
    foundation: &Foundation,
) -> Result<Option<FirstKey>, StartError> {
    let Some(tenant) = first_tenant(config, foundation).await? else { return Ok(None) };
    let Ok(name) = Name::new(TENANT) else { return Ok(None) };
    // Whoever starts it the first time decides about the tenant that this makes.
    let wanted = NewKey { role: Role::Admin, ..NewKey::member(tenant, "first") };
    let (record, text) = issue(&foundation.ring, wanted)?;
    foundation.stores.keys.insert(record.owner, record).await?;
    Ok(Some(FirstKey { tenant: name, text }))
}
