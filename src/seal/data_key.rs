//! The data key of one tenant: seals and opens that tenant's secrets and no one else's.

use std::fmt;

use super::envelope::{Context, KeyTag, SealError, Sealed, SealingKey};
use crate::base::{Name, Secret, Slot, TenantId};

/// A tenant's opened data key. The tenant is part of it, so one tenant's key is never used with
/// another's id.
pub struct DataKey {
    pub(super) tenant: TenantId,
    pub(super) key: SealingKey,
}

impl DataKey {
    /// Its public id, which stands in each row that it sealed.
    #[must_use]
    pub fn tag(&self) -> KeyTag {
        self.key.tag
    }

    /// Seals the value of a slot. `generation` must be one that this slot never had before.
    ///
    /// # Errors
    /// When the system gives no random bytes.
    pub fn seal(
        &self,
        upstream: &Name,
        slot: &Slot,
        generation: u64,
        value: &Secret,
    ) -> Result<Sealed, SealError> {
        let context = Context::Secret { tenant: self.tenant, upstream, slot, generation };
        self.key.seal(&context, value.expose().as_bytes())
    }

    /// Opens the value of a slot. `generation` is the one expected now, not one that came with
    /// the row.
    ///
    /// # Errors
    /// When the row was changed, moved from another tenant, upstream or slot, rolled back, or
    /// sealed by another key.
    pub fn open(
        &self,
        upstream: &Name,
        slot: &Slot,
        generation: u64,
        sealed: &Sealed,
    ) -> Result<Secret, SealError> {
        let context = Context::Secret { tenant: self.tenant, upstream, slot, generation };
        let value = self.key.open(&context, sealed)?;
        let text = std::str::from_utf8(&value).map_err(|_| SealError::Broken)?;
        Ok(Secret::new(text.to_owned()))
    }
}

impl fmt::Debug for DataKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DataKey({}, [redacted])", self.key.tag)
    }
}
