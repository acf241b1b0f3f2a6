//! New tenants and new keys, ready for the store.

use super::error::AuthError;
use super::key;
use crate::base::{Name, Secret, TenantId, unix_seconds};
use crate::seal::{Digest, Ring};
use crate::store::{KeyRecord, Origin, TenantRecord};

/// What is stored of a key. The tenant is in it, so a row that is given to another tenant does
/// not match any text.
pub(super) fn digest(ring: &Ring, tenant: TenantId, text: &str) -> Digest {
    ring.digest("key", &[tenant.as_bytes(), text.as_bytes()])
}

/// A new key for a tenant: the record to store, and the text that is shown once.
///
/// # Errors
/// When the name cannot be shown or the system gives no random bytes.
pub fn issue(
    ring: &Ring,
    tenant: TenantId,
    name: &str,
    expires_at: Option<u64>,
) -> Result<(KeyRecord, Secret), AuthError> {
    if !(1..=64).contains(&name.chars().count()) || name.chars().any(char::is_control) {
        return Err(AuthError::KeyName);
    }
    let (id, text) = key::generate().map_err(|_| AuthError::Random)?;
    let record = KeyRecord {
        id,
        tenant,
        name: name.to_owned(),
        digest: digest(ring, tenant, text.expose()),
        created_at: unix_seconds(),
        expires_at,
        revoked_at: None,
        last_used_at: None,
    };
    Ok((record, text))
}

/// A new tenant with a random id.
///
/// # Errors
/// When the system gives no random bytes.
pub fn fresh_tenant(name: &Name, origin: Origin) -> Result<TenantRecord, AuthError> {
    let mut id = [0; 16];
    getrandom::fill(&mut id).map_err(|_| AuthError::Random)?;
    let id = TenantId::from_bytes(id);
    Ok(TenantRecord { id, name: name.clone(), origin, created_at: unix_seconds() })
}
