//! The seam to the database: one narrow trait per noun, tenant first in every tenant-owned query.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use super::{
    Begun, Clients, FoundKey, GenerationRecord, Grants, KeyCounts, KeyRecord, MakeGeneration,
    Owner, ProfileRecord, Reseal, Rewrapped, SealValue, SealedSecret, SecretInfo, SecretPlace,
    SessionRecord, StoreError, TenantRecord, UpstreamRecord,
};
use crate::base::{KeyId, Name, Slot, TenantId};
use crate::seal::{Digest, KeyTag, Sealed};

/// An answer of the store that is still on its way.
pub type Pending<'a, T> = Pin<Box<dyn Future<Output = Result<T, StoreError>> + Send + 'a>>;

/// Tenants.
pub trait Tenants: Send + Sync {
    /// Adds a tenant; `Taken` when the name or id is.
    fn create(&self, tenant: TenantRecord) -> Pending<'_, ()>;
    /// For a tenant of the file: gives the one of that name, marked as the file's, or adds
    /// `fresh`. The id of an existing one stays.
    fn adopt(&self, fresh: TenantRecord) -> Pending<'_, TenantRecord>;
    /// Makes a tenant that the file no longer declares the store's own. False when unknown.
    fn release(&self, tenant: TenantId) -> Pending<'_, bool>;
    /// The tenant of that name.
    fn find(&self, name: &Name) -> Pending<'_, Option<TenantRecord>>;
    /// All, by name.
    fn list(&self) -> Pending<'_, Vec<TenantRecord>>;
    /// Removes a tenant with its keys, its secrets and its data key. False when unknown.
    fn remove(&self, tenant: TenantId) -> Pending<'_, bool>;
}

/// Keys.
pub trait Keys: Send + Sync {
    /// Adds a key; `Taken` when its id is, `Unknown` without that tenant.
    fn insert(&self, owner: Owner, key: KeyRecord) -> Pending<'_, ()>;
    /// The keys with these public ids, whoever owns them: the look-up that comes before the
    /// tenant is known.
    fn find(&self, ids: Vec<KeyId>) -> Pending<'_, Vec<FoundKey>>;
    /// An owner's keys, oldest first.
    fn list(&self, owner: Owner) -> Pending<'_, Vec<KeyRecord>>;
    /// How many keys this owner has at the time `now`, or all owners together.
    fn count(&self, owner: Option<Owner>, now: u64) -> Pending<'_, KeyCounts>;
    /// Revokes a key for ever. False when it is unknown to that owner or was revoked before.
    fn revoke(&self, owner: Owner, id: KeyId, at: u64) -> Pending<'_, bool>;
    /// Adds `fresh` and lets `old` end at `ends_at`, or sooner where it already would; both or
    /// neither. `Unknown` when `old` is not a usable key of that owner.
    fn rotate(&self, owner: Owner, old: KeyId, ends_at: u64, fresh: KeyRecord) -> Pending<'_, ()>;
    /// Notes when keys were last used; never moves a time back.
    fn touch(&self, used: Vec<(KeyId, u64)>) -> Pending<'_, ()>;
}

/// Generations of the key that seals data keys.
pub trait Sealing: Send + Sync {
    /// All that there are, the oldest first.
    fn generations(&self) -> Pending<'_, Vec<GenerationRecord>>;
    /// Adds the next one; gives its number. From here on no other seals new data keys.
    fn add_generation(&self, made_at: u64, make: MakeGeneration) -> Pending<'_, u64>;
    /// Data keys that an older generation has sealed, by tenant: at most so many after this one.
    fn older_data_keys(
        &self,
        after: Option<TenantId>,
        most: usize,
    ) -> Pending<'_, Vec<(TenantId, Sealed)>>;
    /// Replaces those that are still as they were; gives how many. A key's `Seal` error when one
    /// is not sealed by the newest generation.
    fn rewrap(&self, keys: Vec<Rewrapped>) -> Pending<'_, usize>;
    /// Removes older generations that no data key needs; gives their numbers.
    fn drop_generations(&self) -> Pending<'_, Vec<u64>>;
    /// Replaces a tenant's data key and all its values in one transaction; gives how many values,
    /// `None` for a tenant without a data key.
    fn reseal(&self, tenant: TenantId, reseal: Reseal) -> Pending<'_, Option<usize>>;
}

/// Sealed secrets.
pub trait Secrets: Sealing {
    /// Stores a value with the slot's next generation, which it gives back; one transaction.
    fn put(
        &self,
        tenant: TenantId,
        place: SecretPlace,
        set_at: u64,
        seal: SealValue,
    ) -> Pending<'_, u64>;
    /// Every value of a tenant for one upstream.
    fn of_upstream(&self, tenant: TenantId, upstream: &Name) -> Pending<'_, Vec<SealedSecret>>;
    /// What may be shown of a tenant's secrets, by upstream and slot.
    fn list(&self, tenant: TenantId) -> Pending<'_, Vec<SecretInfo>>;
    /// Removes a value and moves its generation on. False when there is none.
    fn remove(&self, tenant: TenantId, place: SecretPlace) -> Pending<'_, bool>;
    /// A tenant's sealed data key.
    fn data_key(&self, tenant: TenantId) -> Pending<'_, Option<Sealed>>;
    /// Keeps `fresh` unless the tenant has a data key already; gives the one that holds. A key's
    /// `Seal` error when it is not sealed by the newest generation.
    fn add_data_key(&self, tenant: TenantId, fresh: Sealed) -> Pending<'_, Sealed>;
    /// Binds the store to a root key: the first caller's id is kept. Gives the one kept.
    fn bind_root(&self, root: KeyTag) -> Pending<'_, KeyTag>;
}

/// What sessions leave behind, so that a restarted proxy takes living ones up and no others.
pub trait SessionStates: Send + Sync {
    /// Writes all in one transaction. The time of use never moves back, and who has ended stays
    /// so. Records of a tenant that is gone are left out.
    fn save(&self, records: Vec<(TenantId, SessionRecord)>) -> Pending<'_, ()>;
    /// What is known of a session of this tenant.
    fn find(&self, tenant: TenantId, id: [u8; 16]) -> Pending<'_, Option<SessionRecord>>;
    /// Removes what decides nothing any more at `now`; gives how many.
    fn prune(&self, now: u64) -> Pending<'_, usize>;
}

/// Requests that named themselves, so that one sent twice is carried out once. They are kept for
/// 24 hours, at most 1,000 of a key.
pub trait Repeats: Send + Sync {
    /// Notes that a request begins, unless one of this name is known. `digest` is of the request.
    fn begin(&self, key: KeyId, name: String, digest: Digest, now: u64) -> Pending<'_, Begun>;
    /// Keeps the sealed answer; without one forgets the request, which may then be tried again.
    fn finish(&self, key: KeyId, name: String, answer: Option<String>) -> Pending<'_, ()>;
}

/// Upstreams that were made over the API.
pub trait Upstreams: Send + Sync {
    /// All, by name.
    fn list(&self) -> Pending<'_, Vec<UpstreamRecord>>;
    /// The one of that name.
    fn find(&self, name: &Name) -> Pending<'_, Option<UpstreamRecord>>;
    /// Adds one; `Taken` when the name is.
    fn create(&self, upstream: UpstreamRecord) -> Pending<'_, ()>;
    /// Writes document, state and time of change of one that still has this generation; gives
    /// the next. `None` when it is gone or was changed meanwhile.
    fn change(&self, upstream: UpstreamRecord) -> Pending<'_, Option<u64>>;
    /// Removes one that still has this generation, with every tenant's secrets for it. False
    /// when it is gone or was changed meanwhile.
    fn remove(&self, name: &Name, generation: u64) -> Pending<'_, bool>;
    /// How many secrets all tenants have for that name.
    fn secrets(&self, name: &Name) -> Pending<'_, u64>;
}

/// Profiles that were made over the API.
pub trait Profiles: Send + Sync {
    /// All, by name.
    fn list(&self) -> Pending<'_, Vec<ProfileRecord>>;
    /// The one of that name.
    fn find(&self, name: &Name) -> Pending<'_, Option<ProfileRecord>>;
    /// Writes one that still has this generation, 0 for one that is not there yet; gives the next.
    /// `None` when it was changed meanwhile.
    fn put(&self, profile: ProfileRecord) -> Pending<'_, Option<u64>>;
    /// Removes one that still has this generation. False when it was changed meanwhile.
    fn remove(&self, name: &Name, generation: u64) -> Pending<'_, bool>;
}

/// Upstreams that tenants have turned off for themselves.
pub trait Picks: Send + Sync {
    /// All of them.
    fn all(&self) -> Pending<'_, Vec<(TenantId, Name)>>;
    /// Turns one off at that time, or on again. False when it was so already.
    fn turn(&self, tenant: TenantId, upstream: &Name, off: Option<u64>) -> Pending<'_, bool>;
}

/// Logins at upstreams that are under way; what comes of them is a sealed secret.
pub trait Logins: Send + Sync {
    /// Lets `holder` renew the tenant's login until then, in seconds since the Unix epoch, unless
    /// somebody else does; his own lease is prolonged. False when it is somebody else's.
    fn take_lease(
        &self,
        tenant: TenantId,
        upstream: &Name,
        holder: [u8; 16],
        now: u64,
        until: u64,
    ) -> Pending<'_, bool>;
    /// Gives it back.
    fn end_lease(&self, tenant: TenantId, upstream: &Name, holder: [u8; 16]) -> Pending<'_, ()>;
    /// Keeps what a login that begins needs at its end; false when the tenant has begun too many.
    fn begin(
        &self,
        tenant: TenantId,
        state: Digest,
        sealed: Sealed,
        now: u64,
        expires_at: u64,
    ) -> Pending<'_, bool>;
    /// Values in this slot that nobody has written since `before`, in seconds since the Unix epoch:
    /// at most so many tenants and upstreams, any of them first.
    fn unused(&self, slot: &Slot, before: u64, most: usize) -> Pending<'_, Vec<(Name, Name)>>;
    /// Takes it, once and not after its time.
    fn take(&self, state: Digest, now: u64) -> Pending<'_, Option<(TenantId, Sealed)>>;
}

/// Whether anything was written.
pub trait Changes: Send + Sync {
    /// A number that differs from the last one when any process has written in between.
    fn version(&self) -> Pending<'_, u64>;
}

/// The store as its users see it.
#[derive(Clone)]
pub struct Stores {
    /// Tenants.
    pub tenants: Arc<dyn Tenants>,
    /// Keys.
    pub keys: Arc<dyn Keys>,
    /// Sealed secrets, and what they are sealed by.
    pub secrets: Arc<dyn Secrets>,
    /// Requests that named themselves.
    pub repeats: Arc<dyn Repeats>,
    /// Upstreams that were made over the API.
    pub upstreams: Arc<dyn Upstreams>,
    /// Profiles that were made over the API.
    pub profiles: Arc<dyn Profiles>,
    /// Upstreams that tenants have turned off for themselves.
    pub picks: Arc<dyn Picks>,
    /// Clients that registered themselves.
    pub clients: Arc<dyn Clients>,
    /// What was allowed to clients.
    pub grants: Arc<dyn Grants>,
    /// Logins at upstreams that are under way.
    pub logins: Arc<dyn Logins>,
    /// What sessions leave behind.
    pub sessions: Arc<dyn SessionStates>,
    /// Whether anything was written.
    pub changes: Arc<dyn Changes>,
}
