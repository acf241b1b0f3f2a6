//! New tenants and new keys, ready for the store.

use super::error::AuthError;
use super::key;
use crate::base::{KeyId, Name, Role, Scopes, Secret, TenantId, unix_seconds};
use crate::seal::{Digest, Ring};
use crate::store::{KeyRecord, Origin, Owner, TenantRecord};

/// What is stored of a key. The owner is in it, so a row that is given to another tenant does
/// not match any text.
pub(super) fn digest(ring: &Ring, owner: Owner, text: &str) -> Digest {
    match owner {
        Owner::Operator => ring.digest("operator key", &[text.as_bytes()]),
        Owner::Tenant(tenant) => ring.digest("key", &[tenant.as_bytes(), text.as_bytes()]),
    }
}

/// What a new key is to be.
#[derive(Debug, Clone)]
pub struct NewKey<'a> {
    /// Whose. A key of the operator has the role `Operator`, and no other has.
    pub owner: Owner,
    /// What its owner calls it.
    pub name: &'a str,
    /// What it may decide.
    pub role: Role,
    /// What it may use.
    pub scopes: Scopes,
    /// From when on it is refused, in seconds since the Unix epoch.
    pub expires_at: Option<u64>,
    /// With which key it is made.
    pub created_by: Option<KeyId>,
    /// The person who gets it; `None` for one who has no key yet.
    pub holder: Option<KeyId>,
}

impl<'a> NewKey<'a> {
    /// A member's key without limits.
    #[must_use]
    pub fn member(tenant: TenantId, name: &'a str) -> Self {
        Self {
            owner: Owner::Tenant(tenant),
            name,
            role: Role::Member,
            scopes: Scopes::everything(),
            expires_at: None,
            created_by: None,
            holder: None,
        }
    }
}

/// A new key: the record to store, and the text that is shown once.
///
/// # Errors
/// When the name cannot be shown, the role does not fit the owner, or the system gives no random
/// bytes.
pub fn issue(ring: &Ring, wanted: NewKey<'_>) -> Result<(KeyRecord, Secret), AuthError> {
    check_key_name(wanted.name)?;
    if (wanted.role == Role::Operator) != (wanted.owner == Owner::Operator) {
        return Err(AuthError::Role);
    }
    let (id, text) = key::generate().map_err(|_| AuthError::Random)?;
    let record = KeyRecord {
        id,
        owner: wanted.owner,
        role: wanted.role,
        scopes: wanted.scopes,
        created_by: wanted.created_by,
        holder: wanted.holder.unwrap_or(id),
        name: wanted.name.to_owned(),
        digest: digest(ring, wanted.owner, text.expose()),
        created_at: unix_seconds(),
        expires_at: wanted.expires_at,
        revoked_at: None,
        last_used_at: None,
    };
    Ok((record, text))
}

/// Whether a key can be called that.
///
/// # Errors
/// When it cannot be shown in a list.
pub fn check_key_name(name: &str) -> Result<(), AuthError> {
    if !(1..=64).contains(&name.chars().count()) || name.chars().any(char::is_control) {
        return Err(AuthError::KeyName);
    }
    Ok(())
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
