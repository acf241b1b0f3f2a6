//! Who is calling: evidence that a key was checked. Only this module's parent builds one.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use crate::base::{KeyId, Name, TenantId};
use crate::store::Origin;

/// A tenant as its callers carry it.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct TenantInfo {
    id: TenantId,
    name: Name,
}

impl TenantInfo {
    pub(super) fn new(id: TenantId, name: Name) -> Self {
        Self { id, name }
    }

    /// Its id, which never changes.
    #[must_use]
    pub fn id(&self) -> TenantId {
        self.id
    }

    /// Its name, for logs and templates.
    #[must_use]
    pub fn name(&self) -> &Name {
        &self.name
    }
}

/// A caller whose key was checked. Clones are cheap and share the token.
#[derive(Debug, Clone)]
pub struct Principal(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    tenant: Arc<TenantInfo>,
    key: KeyId,
    key_name: String,
    origin: Origin,
    ended: CancellationToken,
}

impl Principal {
    pub(super) fn new(
        tenant: Arc<TenantInfo>,
        key: KeyId,
        key_name: String,
        origin: Origin,
    ) -> Self {
        Self(Arc::new(Inner { tenant, key, key_name, origin, ended: CancellationToken::new() }))
    }

    /// The tenant.
    #[must_use]
    pub fn tenant(&self) -> &Arc<TenantInfo> {
        &self.0.tenant
    }

    /// The key's public id.
    #[must_use]
    pub fn key(&self) -> KeyId {
        self.0.key
    }

    /// What the key's owner calls it.
    #[must_use]
    pub fn key_name(&self) -> &str {
        &self.0.key_name
    }

    /// Whether the key is the file's or the store's.
    #[must_use]
    pub fn origin(&self) -> Origin {
        self.0.origin
    }

    /// Fires when the key is revoked, expired or rotated away, its tenant is removed, or the
    /// store could not be asked for 5 seconds: whatever is open for this caller ends then.
    #[must_use]
    pub fn ended(&self) -> &CancellationToken {
        &self.0.ended
    }

    /// Whether the other one may do the same, on behalf of the same.
    pub(super) fn same_as(&self, other: &Self) -> bool {
        // Without `..`: what is added decides, too.
        let Inner { tenant, key, key_name, origin, ended: _ } = &*self.0;
        let other = &*other.0;
        *tenant == other.tenant
            && *key == other.key
            && *key_name == other.key_name
            && *origin == other.origin
    }

    /// Whether somebody besides the cache holds it.
    pub(super) fn in_use(&self) -> bool {
        Arc::strong_count(&self.0) > 1
    }

    /// A principal without a key behind it.
    #[cfg(test)]
    pub(crate) fn for_test(tenant: TenantId, name: &str, key: &str) -> Self {
        let name = Name::new(name).unwrap();
        let tenant = Arc::new(TenantInfo::new(tenant, name));
        Self::new(tenant, key.parse().unwrap(), "test".to_owned(), Origin::Store)
    }
}
