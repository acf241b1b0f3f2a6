//! What the connector doors leave in the store: clients that registered themselves, and what
//! people have allowed to clients. Times are seconds since the Unix epoch.

use super::Pending;
use crate::base::{GrantId, KeyId, TenantId};
use crate::seal::Digest;

/// A client that registered itself (RFC 7591).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientRecord {
    /// Its id.
    pub id: String,
    /// What it calls itself.
    pub name: String,
    /// Where people may be led back to.
    pub redirects: Vec<String>,
    /// How it proves at the token endpoint who it is: `none`, `client_secret_basic` or
    /// `client_secret_post`.
    pub method: String,
    /// Keyed digest of its secret, unless it has none.
    pub digest: Option<Digest>,
    /// When it registered.
    pub created_at: u64,
}

/// What came of an assertion that a client has shown (RFC 7523).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shown {
    /// It is shown for the first time.
    First,
    /// It was shown before.
    Again,
    /// Too many are remembered: of its client 10,000, or of all clients 100,000.
    TooMany,
}

/// Clients that registered themselves, and what others have proved themselves by.
pub trait Clients: Send + Sync {
    /// Adds one, unless there are so many already. False when there are.
    fn add(&self, client: ClientRecord, most: u64) -> Pending<'_, bool>;
    /// The one of that id.
    fn find(&self, id: String) -> Pending<'_, Option<ClientRecord>>;
    /// Removes those that nobody ever allowed anything and that are from before `unused`, and those
    /// without a grant since `idle`; gives how many.
    fn prune(&self, unused: u64, idle: u64) -> Pending<'_, u64>;
    /// Remembers until `until` that an assertion of this client was shown, unless it is known
    /// already. Digests are keyed; those whose time is up at `now` are forgotten.
    fn show(&self, client: Digest, assertion: Digest, until: u64, now: u64) -> Pending<'_, Shown>;
}

/// What somebody allows a client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewGrant {
    /// Its id, which is never given twice.
    pub id: GrantId,
    /// For whom.
    pub tenant: TenantId,
    /// With which key.
    pub key: KeyId,
    /// The client's id.
    pub client: String,
    /// What it calls itself.
    pub client_name: String,
    /// Where the code is sent.
    pub redirect: String,
    /// The door that its tokens open, as a whole URL.
    pub resource: String,
    /// PKCE: SHA-256 of the verifier, in base64url.
    pub challenge: String,
    /// Until when its code is good.
    pub code_until: u64,
    /// Now.
    pub created_at: u64,
}

/// A grant as it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GrantRecord {
    /// What was allowed.
    pub grant: NewGrant,
    /// 0: its code was not used yet; else how many refresh tokens it had.
    pub generation: u64,
    /// When it was last used at the token endpoint.
    pub used_at: u64,
    /// When it ended, and why.
    pub ended: Option<(u64, String)>,
}

/// Why a grant ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// The person said no.
    Denied,
    /// The client, or whoever looks after the tenant, took it back.
    Revoked,
    /// A code or a refresh token came twice, or with the wrong proof.
    Misused,
    /// Its key has ended.
    Key,
}

impl Ending {
    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Denied => "denied",
            Self::Revoked => "revoked",
            Self::Misused => "misused",
            Self::Key => "key",
        }
    }
}

/// What came of a code or a refresh token that was shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Presented {
    /// It was the newest, and is not any more.
    Good(Box<GrantRecord>),
    /// It had been used before; the grant has ended by that.
    Again,
    /// There is no such grant, or it has ended, or the code is too old.
    Over,
}

/// What was allowed to clients.
pub trait Grants: Send + Sync {
    /// Keeps a grant. False when its id is known already, or when it was denied at once.
    fn open(&self, grant: NewGrant, denied: bool) -> Pending<'_, bool>;
    /// Uses up the code (`generation` 0) or the refresh token of that generation.
    fn present(
        &self,
        tenant: TenantId,
        id: GrantId,
        generation: u64,
        now: u64,
    ) -> Pending<'_, Presented>;
    /// The one of that id.
    fn find(&self, tenant: TenantId, id: GrantId) -> Pending<'_, Option<GrantRecord>>;
    /// Those of these that have not ended.
    fn live(&self, ids: Vec<GrantId>) -> Pending<'_, Vec<GrantId>>;
    /// Ends one. False when it is unknown to that tenant or had ended.
    fn end(&self, tenant: TenantId, id: GrantId, at: u64, why: Ending) -> Pending<'_, bool>;
    /// A tenant's grants whose code was used, the newest first, ended ones too; of one key only.
    fn list(&self, tenant: TenantId, key: Option<KeyId>) -> Pending<'_, Vec<GrantRecord>>;
    /// Removes those that decide nothing any more at `now`; gives how many.
    fn prune(&self, now: u64) -> Pending<'_, u64>;
}
