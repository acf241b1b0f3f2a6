//! What the store holds, one struct per noun. Times are seconds since the Unix epoch.

use std::fmt;

use crate::base::{KeyId, Name, Role, Scopes, Slot, TenantId};
use crate::seal::{Digest, Generation, Row, SealError, Sealed};

/// Who decides about a tenant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// The operator's file; commands refuse to change it.
    File,
    /// The store, by command or admin API.
    Store,
}

/// A tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TenantRecord {
    /// Its id, which never changes and is never given again.
    pub id: TenantId,
    /// Its name, unique among the living.
    pub name: Name,
    /// Who decides about it.
    pub origin: Origin,
    /// When it was made.
    pub created_at: u64,
}

/// Whose a key is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Owner {
    /// The operator's: it belongs to no tenant.
    Operator,
    /// A tenant's.
    Tenant(TenantId),
}

impl From<TenantId> for Owner {
    fn from(tenant: TenantId) -> Self {
        Self::Tenant(tenant)
    }
}

/// A key: everything but its text.
#[derive(Clone, PartialEq, Eq)]
pub struct KeyRecord {
    /// Its public id.
    pub id: KeyId,
    /// Whose it is.
    pub owner: Owner,
    /// What it may decide; `Operator` exactly when the owner is.
    pub role: Role,
    /// What it may use.
    pub scopes: Scopes,
    /// With which key it was made; `None` for one made by command or at the first start.
    pub created_by: Option<KeyId>,
    /// Which person it belongs to within the tenant: the id of the first key that this person
    /// got. Keys made with a member's key, and keys that take its place, have the same.
    pub holder: KeyId,
    /// What its owner calls it.
    pub name: String,
    /// Keyed digest of tenant and text.
    pub digest: Digest,
    /// When it was made.
    pub created_at: u64,
    /// From when on it is refused.
    pub expires_at: Option<u64>,
    /// When it was revoked.
    pub revoked_at: Option<u64>,
    /// When it was last used, up to a batch ago.
    pub last_used_at: Option<u64>,
}

impl fmt::Debug for KeyRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyRecord")
            .field("id", &self.id)
            .field("owner", &self.owner)
            .field("role", &self.role)
            .field("name", &self.name)
            .field("expires_at", &self.expires_at)
            .field("revoked_at", &self.revoked_at)
            .finish_non_exhaustive()
    }
}

/// A key with its tenant, as one query gives them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundKey {
    /// The key.
    pub key: KeyRecord,
    /// Its tenant; `None` for a key of the operator.
    pub tenant: Option<TenantRecord>,
}

/// Where a secret belongs within its tenant.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SecretPlace {
    /// The upstream that uses it.
    pub upstream: Name,
    /// Its slot.
    pub slot: Slot,
}

impl fmt::Display for SecretPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.upstream, self.slot)
    }
}

/// A sealed value and the generation that it must have now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SealedSecret {
    /// Its slot.
    pub slot: Slot,
    /// The slot's counter, kept apart from the value: a value put back from an older copy does
    /// not open with it.
    pub generation: u64,
    /// The value.
    pub sealed: Sealed,
}

/// What may be shown of a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretInfo {
    /// Where it belongs.
    pub place: SecretPlace,
    /// How often the slot was set or removed.
    pub generation: u64,
    /// When it was set.
    pub set_at: u64,
}

/// What a session leaves in the store: what may change in it, and its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionRecord {
    /// The random id within the session's pointer.
    pub id: [u8; 16],
    /// When it was last used, up to a batch ago.
    pub used_at: u64,
    /// Log level and subscriptions, sealed; empty when neither was ever set.
    pub state: String,
    /// True when it has ended: nothing brings it back.
    pub ended: bool,
    /// Until when the row decides anything; it may be removed afterwards.
    pub keep_until: u64,
}

/// Seals a value for the generation that the store gives it, with the tenant's sealed data key as
/// it is now. The store calls it inside its transaction and sees only what it returns.
pub type SealValue = Box<dyn FnOnce(u64, Option<&Sealed>) -> Result<Sealed, SealError> + Send>;

/// Makes a generation of the number that the store gives it, within its transaction.
pub type MakeGeneration = Box<dyn FnOnce(u64) -> Result<Generation, SealError> + Send>;

/// From a tenant's sealed data key and all its values makes a fresh data key, and the values
/// sealed by it in the same order; within the store's transaction.
pub type Reseal =
    Box<dyn FnOnce(&Sealed, &[Row]) -> Result<(Sealed, Vec<Sealed>), SealError> + Send>;

/// A generation of the key that seals data keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GenerationRecord {
    /// The generation itself.
    pub generation: Generation,
    /// When it was made; of the first one, when the store first knew of it.
    pub made_at: u64,
    /// How many tenants' data keys it has sealed.
    pub data_keys: u64,
}

/// A data key that was sealed by an older generation, and is sealed by the newest now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rewrapped {
    /// Whose it is.
    pub tenant: TenantId,
    /// As the store has it.
    pub before: Sealed,
    /// As it is to be.
    pub now: Sealed,
}

/// How a request stands that named itself with an `Idempotency-Key`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Begun {
    /// It is the first of this name and may be carried out.
    Fresh,
    /// It has begun, and how it ended is not known.
    Running,
    /// It was answered with this, sealed.
    Answered(String),
    /// Another request had this name.
    Other,
    /// This key has too many of them.
    TooMany,
}

/// An upstream that was made over the API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpstreamRecord {
    /// Its name.
    pub name: Name,
    /// Its keys, as those of `[upstreams.NAME]`, as JSON text. It holds no secret.
    pub document: String,
    /// False: it does not run.
    pub enabled: bool,
    /// Moves on with each change.
    pub generation: u64,
    /// When it was made, in seconds since the Unix epoch.
    pub created_at: u64,
    /// When it was changed last, in the same.
    pub changed_at: u64,
}

/// A profile that was made over the API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProfileRecord {
    /// Its name.
    pub name: Name,
    /// Its keys, as those of `[profiles.NAME]`, as JSON text.
    pub document: String,
    /// Moves on with each change.
    pub generation: u64,
    /// When it was made, in seconds since the Unix epoch.
    pub created_at: u64,
    /// When it was changed last, in the same.
    pub changed_at: u64,
}

/// How many keys there are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct KeyCounts {
    /// They open something.
    pub live: u64,
    /// Their time is over.
    pub expired: u64,
    /// They were revoked.
    pub revoked: u64,
}
