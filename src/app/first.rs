//! The first start: a tenant and a key, so that the first minute needs no command.

use super::error::StartError;
use super::foundation::Foundation;
use crate::auth::{fresh_tenant, issue};
use crate::base::{Name, Secret};
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

/// Makes the tenant `default` and one key when there is no tenant at all, neither in the file
/// nor in the store.
///
/// # Errors
/// When the store fails.
pub async fn first_key(
    config: &Config,
    foundation: &Foundation,
) -> Result<Option<FirstKey>, StartError> {
    if !config.tenants.is_empty() || !foundation.stores.tenants.list().await?.is_empty() {
        return Ok(None);
    }
    let Ok(name) = Name::new(TENANT) else { return Ok(None) };
    let tenant = fresh_tenant(&name, Origin::Store)?;
    let (record, text) = issue(&foundation.ring, tenant.id, "first", None)?;
    let id = tenant.id;
    foundation.stores.tenants.create(tenant).await?;
    foundation.stores.keys.insert(id, record).await?;
    Ok(Some(FirstKey { tenant: name, text }))
}
