//! Keys that the operator wrote into the file: in memory only, found by their keyed digest.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use super::error::AuthError;
use super::header::LONGEST;
use super::issue::fresh_tenant;
use super::key::{KEY_PREFIX, id_from};
use super::principal::{Principal, TenantInfo};
use crate::base::{KeyId, Name, Secret};
use crate::config::{SecretSource, TenantDeclaration};
use crate::seal::{Digest, Ring};
use crate::store::{Origin, Tenants};

const SHORTEST: usize = 32;

/// The public id that a key of the file has in lists and logs.
#[must_use]
pub fn declared_key_id(ring: &Ring, text: &Secret) -> KeyId {
    id_from(&ring.digest("declared key id", &[text.expose().as_bytes()]))
}

pub(super) fn digest(ring: &Ring, text: &str) -> Digest {
    ring.digest("declared key", &[text.as_bytes()])
}

/// The tenants that the file declares, and their keys.
#[derive(Debug, Default)]
pub struct Declared {
    keys: HashMap<Digest, Principal>,
    tenants: HashSet<Name>,
}

impl Declared {
    /// The principal of a key of the file.
    pub(super) fn key(&self, digest: &Digest) -> Option<&Principal> {
        self.keys.get(digest)
    }

    /// True for a tenant of the file.
    pub(super) fn has(&self, tenant: &Name) -> bool {
        self.tenants.contains(tenant)
    }

    /// Takes over the principals of keys that are the same, so that what they opened goes on.
    /// Gives those of the others, which have ended.
    pub(super) fn succeed(&mut self, old: &Self) -> Vec<Principal> {
        let mut ended = Vec::new();
        for (digest, known) in &old.keys {
            match self.keys.get_mut(digest) {
                Some(new) if new.same_as(known) => new.clone_from(known),
                _ => ended.push(known.clone()),
            }
        }
        ended
    }
}

/// Gives each tenant of the file its lasting id and reads its keys.
pub(super) async fn read(
    tenants: &dyn Tenants,
    ring: &Ring,
    declared: &BTreeMap<Name, TenantDeclaration>,
    resolve: &(dyn Fn(&SecretSource) -> Result<Secret, String> + Sync),
) -> Result<Declared, AuthError> {
    let mut keys = HashMap::<Digest, Principal>::new();
    for (name, declaration) in declared {
        let record = tenants.adopt(fresh_tenant(name, Origin::File)?).await?;
        let tenant = Arc::new(TenantInfo::new(record.id, record.name));
        for key in &declaration.keys {
            let place = || (name.clone(), key.name.clone());
            let text = resolve(&key.source).map_err(|reason| {
                let (tenant, key) = place();
                AuthError::Source { tenant, key, reason }
            })?;
            let value = text.expose();
            if value.starts_with(KEY_PREFIX) {
                let (tenant, key) = place();
                return Err(AuthError::Prefix { tenant, key });
            }
            let visible = value.bytes().all(|c| c.is_ascii_graphic());
            if !(SHORTEST..=LONGEST).contains(&value.len()) || !visible {
                let (tenant, key) = place();
                return Err(AuthError::Shape { tenant, key });
            }
            let id = declared_key_id(ring, &text);
            let principal = Principal::new(tenant.clone(), id, key.name.clone(), Origin::File);
            if let Some(other) = keys.insert(digest(ring, value), principal) {
                let (tenant, key) = place();
                let other = format!("{}/{}", other.tenant().name(), other.key_name());
                return Err(AuthError::Twice { tenant, key, other });
            }
        }
    }
    Ok(Declared { keys, tenants: declared.keys().cloned().collect() })
}
