//! What the file says about who is let in. Keys that the operator wrote into it are in memory only,
//! found by their keyed digest.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::admission::Admission;
use super::error::AuthError;
use super::header::{LONGEST, looks_like_token};
use super::issue::fresh_tenant;
use super::issuer::Issuers;
use super::key::{KEY_PREFIX, id_from};
use super::principal::{Caller, Operator, Principal, Shown, TenantInfo};
use super::token::Tokens;
use crate::base::{KeyId, Name, Secret};
use crate::config::{KeyDeclaration, SecretSource};
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

/// The tenants that the file declares, its keys, and whose tokens are taken.
pub struct Declared {
    keys: HashMap<Digest, Caller>,
    tenants: HashSet<Name>,
    pub(super) tokens: Tokens,
    pub(super) issuers: Issuers,
}

impl std::fmt::Debug for Declared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Declared").field("tenants", &self.tenants).finish_non_exhaustive()
    }
}

impl Declared {
    /// The caller of a key of the file.
    pub(super) fn key(&self, digest: &Digest) -> Option<&Caller> {
        self.keys.get(digest)
    }

    /// The callers of all keys of the file.
    pub(super) fn keys(&self) -> impl Iterator<Item = &Caller> {
        self.keys.values()
    }

    /// True for a tenant of the file.
    pub(super) fn has(&self, tenant: &Name) -> bool {
        self.tenants.contains(tenant)
    }

    /// Takes over the callers of keys that are the same, and the issuers, so that what was opened
    /// by them goes on; ends whoever came by an issuer that is gone or another one. Gives the
    /// callers of the other keys, which have ended.
    pub(super) fn succeed(&mut self, old: &Self) -> Vec<Caller> {
        self.issuers.succeed(&old.issuers);
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

/// Gives each tenant of the file its lasting id and reads its keys, and those of the operator.
pub(super) async fn read(
    tenants: &dyn Tenants,
    ring: &Ring,
    admission: &Admission<'_>,
    resolve: &(dyn Fn(&SecretSource) -> Result<Secret, String> + Sync),
) -> Result<Declared, AuthError> {
    let mut keys = Read { keys: HashMap::new(), names: HashMap::new(), ring, resolve };
    for (name, declaration) in admission.tenants {
        let record = tenants.adopt(fresh_tenant(name, Origin::File)?).await?;
        let tenant = Arc::new(TenantInfo::new(record.id, record.name));
        for key in &declaration.keys {
            keys.read(
                &format!("tenant `{name}`"),
                &format!("{name}/{}", key.name),
                key,
                |shown| Caller::Tenant(Principal::new(tenant.clone(), shown)),
            )?;
        }
    }
    for key in admission.operators {
        keys.read("the operator", &format!("operator/{}", key.name), key, |shown| {
            Caller::Operator(Operator::new(shown))
        })?;
    }
    Ok(Declared {
        keys: keys.keys,
        tenants: admission.tenants.keys().cloned().collect(),
        tokens: Tokens::new(ring, admission),
        issuers: Issuers::new(admission.issuers),
    })
}

struct Read<'a> {
    keys: HashMap<Digest, Caller>,
    /// How the file calls them, for what is said about two that are the same.
    names: HashMap<Digest, String>,
    ring: &'a Ring,
    resolve: &'a (dyn Fn(&SecretSource) -> Result<Secret, String> + Sync),
}

impl Read<'_> {
    fn read(
        &mut self,
        owner: &str,
        full_name: &str,
        declaration: &KeyDeclaration,
        caller: impl FnOnce(Shown) -> Caller,
    ) -> Result<(), AuthError> {
        let place = || (owner.to_owned(), declaration.name.clone());
        let text = (self.resolve)(&declaration.source).map_err(|reason| {
            let (owner, key) = place();
            AuthError::Source { owner, key, reason }
        })?;
        let value = text.expose();
        let (owner, key) = place();
        if value.starts_with(KEY_PREFIX) {
            return Err(AuthError::Prefix { owner, key });
        }
        let visible = value.bytes().all(|c| c.is_ascii_graphic());
        if !(SHORTEST..=LONGEST).contains(&value.len()) || !visible {
            return Err(AuthError::Shape { owner, key });
        }
        if looks_like_token(value) {
            return Err(AuthError::LikeToken { owner, key });
        }
        let id = declared_key_id(self.ring, &text);
        let digest = digest(self.ring, value);
        if let Some(other) = self.names.insert(digest, full_name.to_owned()) {
            return Err(AuthError::Twice { owner, key, other });
        }
        let shown = Shown {
            key: id,
            name: declaration.name.clone(),
            origin: Origin::File,
            role: declaration.role,
            scopes: declaration.scopes.clone(),
            holder: id,
            until: None,
        };
        self.keys.insert(digest, caller(shown));
        Ok(())
    }
}
