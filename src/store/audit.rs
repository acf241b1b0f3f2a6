//! The audit as the store holds it: opaque records in chains that only the holder of a key can
//! make longer, and the usage that is counted along with them.

use std::sync::Arc;

use super::Pending;
use crate::base::TenantId;
use crate::seal::{Digest, Sealed};

/// One record on its way into the store.
#[derive(Debug, Clone)]
pub struct AuditEntry {
    /// Whose chain it goes to.
    pub tenant: TenantId,
    /// The record, already in its lasting form.
    pub record: Vec<u8>,
}

/// Records that are written together, with what they add to the usage.
#[derive(Debug, Clone, Default)]
pub struct AuditBatch {
    /// When they are written, in milliseconds since the Unix epoch.
    pub at: u64,
    /// The records, in their order.
    pub entries: Vec<AuditEntry>,
    /// Names of their tenants, for whoever reads when a tenant is gone.
    pub names: Vec<(TenantId, Arc<str>)>,
    /// What they come to.
    pub usage: Vec<UsageRow>,
    /// Bodies of some of the calls.
    pub bodies: Vec<BodyEntry>,
    /// Most bytes of all bodies; the oldest make room.
    pub bodies_most: u64,
}

/// The body of one call on its way into the store.
#[derive(Debug, Clone)]
pub struct BodyEntry {
    /// Which of the batch's records is the call's.
    pub entry: usize,
    /// When the call came, in milliseconds since the Unix epoch.
    pub at: u64,
    /// When it goes.
    pub expires: u64,
    /// The upstream.
    pub upstream: String,
    /// The method.
    pub method: String,
    /// The name or URI as the upstream knows it.
    pub name: String,
    /// Bytes of the arguments as they came; none where there were none.
    pub arguments: Option<u64>,
    /// Bytes of the answer; none where none is kept.
    pub answer: Option<u64>,
    /// What is kept of both.
    pub sealed: Sealed,
}

/// The body of one call as it lies in the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BodyRow {
    /// Its place among the bodies of everybody.
    pub id: u64,
    /// Whose it is.
    pub tenant: TenantId,
    /// The place of the call's record in the chain of its tenant.
    pub seq: u64,
    /// When the call came, in milliseconds since the Unix epoch.
    pub at: u64,
    /// When it goes.
    pub expires: u64,
    /// The upstream.
    pub upstream: String,
    /// The method.
    pub method: String,
    /// The name or URI as the upstream knows it.
    pub name: String,
    /// Bytes of the arguments as they came.
    pub arguments: Option<u64>,
    /// Bytes of the answer.
    pub answer: Option<u64>,
    /// What is kept of both; empty unless it was asked for.
    pub sealed: Sealed,
}

/// Which bodies are asked for; the newest come first.
#[derive(Debug, Clone, Default)]
pub struct BodyQuery {
    /// One tenant's; everybody's without.
    pub tenant: Option<TenantId>,
    /// Only before this place, which is a `seq` of one tenant, an `id` of everybody's.
    pub before: Option<u64>,
    /// What has expired by now is there no more, in milliseconds.
    pub now: u64,
    /// To this upstream.
    pub upstream: Option<String>,
    /// Of this tool, prompt or resource, as the upstream names it.
    pub name: Option<String>,
    /// Of calls that came at this time or later.
    pub since: Option<u64>,
    /// Of calls that came before this time.
    pub until: Option<u64>,
    /// With what is sealed.
    pub opened: bool,
    /// At most so many.
    pub limit: usize,
}

/// One record as it lies in the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditRow {
    /// Its place among the records of everybody, from 1.
    pub id: u64,
    /// Whose it is.
    pub tenant: TenantId,
    /// Its place in the chain of its tenant, from 1, without gaps.
    pub seq: u64,
    /// When it was written, in milliseconds since the Unix epoch; never falls within a chain.
    pub at: u64,
    /// The record.
    pub record: Vec<u8>,
    /// Its link to the one before.
    pub mac: Digest,
}

/// Where a chain begins and ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditHead {
    /// Its number, in the order in which chains were begun.
    pub chain: u64,
    /// Whose it is.
    pub tenant: TenantId,
    /// The tenant's name when it last wrote.
    pub name: String,
    /// The first record that is kept.
    pub first: u64,
    /// The link before that one.
    pub before: Digest,
    /// The last record; one less than `first` when none is there.
    pub last: u64,
    /// When the last record was written.
    pub at: u64,
    /// The link of the last record.
    pub mac: Digest,
    /// Binds all of this together.
    pub seal: Digest,
}

/// How many chains there are, and the last record of all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AuditBook {
    /// Chains that were begun.
    pub chains: u64,
    /// The last record of all.
    pub last_id: u64,
    /// How often this row, when it was next written, was not as it had been left.
    pub breaks: u64,
    /// Binds all of this together.
    pub seal: Digest,
}

/// The link before the first record of a chain.
pub const NO_LINK: Digest = [0; 32];
/// The link before a record whose forerunner was not as it had been left.
pub const GAP_LINK: Digest = [0xff; 32];

/// Makes links. Whoever implements it has the key; the store has not.
pub trait Links: Send + Sync {
    /// The link of a record at the place of this row to the one before it, whose link is `before`.
    /// The row's own `record` and `mac` are not read.
    fn link(&self, row: &AuditRow, record: &[u8], before: &Digest) -> Digest;
    /// What binds a head; its own `seal` is not read.
    fn seal(&self, head: &AuditHead) -> Digest;
    /// What binds the book; its own `seal` is not read.
    fn bind(&self, book: &AuditBook) -> Digest;
}

/// What holds everything together.
#[derive(Debug, Clone, Default)]
pub struct AuditState {
    /// The heads of all chains, in the order in which they were begun.
    pub heads: Vec<AuditHead>,
    /// The book, once something was written.
    pub book: Option<AuditBook>,
    /// The book as it was last noted beside the database: an older database put back in its place
    /// shows by it.
    pub witness: Option<AuditBook>,
}

/// Which records are asked for.
#[derive(Debug, Clone, Copy, Default)]
pub struct AuditQuery {
    /// One tenant's; everybody's without.
    pub tenant: Option<TenantId>,
    /// Only behind this place, which is a `seq` of one tenant, an `id` of everybody's. When they
    /// are read backwards, only before it.
    pub after: Option<u64>,
    /// Only what was written at this time or later, in milliseconds.
    pub since: Option<u64>,
    /// Only what was written before this time, in milliseconds.
    pub until: Option<u64>,
    /// The last ones first.
    pub backwards: bool,
    /// At most so many.
    pub limit: usize,
}

/// What was used: of one tenant, day, key, upstream, method and tool, or summed over some of
/// them, which are empty then.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UsageRow {
    /// Whose.
    pub tenant: TenantId,
    /// Days since 1970-01-01 (UTC).
    pub day: u64,
    /// The public id of the key.
    pub key: String,
    /// The upstream.
    pub upstream: String,
    /// The method.
    pub method: String,
    /// The tool as its upstream names it.
    pub tool: String,
    /// How much.
    pub sum: Usage,
}

/// How much was used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// Requests.
    pub calls: u64,
    /// Those of them that failed or were refused.
    pub errors: u64,
    /// Bytes of the requests.
    pub bytes_in: u64,
    /// Bytes of the answers.
    pub bytes_out: u64,
    /// Milliseconds that they took together.
    pub ms: u64,
}

impl Usage {
    /// Adds another one.
    pub fn add(&mut self, other: &Self) {
        self.calls = self.calls.saturating_add(other.calls);
        self.errors = self.errors.saturating_add(other.errors);
        self.bytes_in = self.bytes_in.saturating_add(other.bytes_in);
        self.bytes_out = self.bytes_out.saturating_add(other.bytes_out);
        self.ms = self.ms.saturating_add(other.ms);
    }
}

/// What one scope of the limits has used. Days are counted since 1970-01-01 (UTC).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QuotaRow {
    /// The scope, in words of whoever counts.
    pub place: String,
    /// The day that the counts are of.
    pub day: u64,
    /// Calls of that day.
    pub calls: u64,
    /// Bytes of that day.
    pub bytes: u64,
    /// Calls of its month.
    pub month_calls: u64,
}

/// What was used of quotas, over restarts.
pub trait Quotas: Send + Sync {
    /// Everything that was used since the beginning of the month before this day.
    fn used(&self, today: u64) -> Pending<'_, Vec<QuotaRow>>;
    /// Puts these counts in the place of earlier ones, and forgets what is of months ago.
    fn keep(&self, rows: Vec<QuotaRow>, today: u64) -> Pending<'_, ()>;
}

/// Which usage is asked for, and what is told apart in it.
#[derive(Debug, Clone, Copy, Default)]
pub struct UsageQuery {
    /// One tenant's; everybody's without. Tenants are always told apart.
    pub tenant: Option<TenantId>,
    /// From this day on.
    pub from: Option<u64>,
    /// Up to this day, which counts.
    pub to: Option<u64>,
    /// Tell days apart.
    pub by_day: bool,
    /// Tell keys apart.
    pub by_key: bool,
    /// Tell upstreams, methods and tools apart.
    pub by_tool: bool,
    /// At most so many rows.
    pub limit: usize,
}

/// The audit and the usage.
pub trait AuditStore: Send + Sync {
    /// Writes a batch in one transaction; gives the heads of its chains, and the `id` of its last
    /// record. Where what it finds does not fit, a chain goes on behind a gap that shows for ever.
    fn append(
        &self,
        batch: Arc<AuditBatch>,
        links: Arc<dyn Links>,
    ) -> Pending<'_, (Vec<AuditHead>, u64)>;
    /// Records.
    fn page(&self, query: AuditQuery) -> Pending<'_, Vec<AuditRow>>;
    /// The heads of all chains, the book, and what is noted of it elsewhere.
    fn state(&self) -> Pending<'_, AuditState>;
    /// Whether the database itself is whole, with what is wrong; and records of no chain.
    fn problems(&self) -> Pending<'_, Vec<String>>;
    /// Removes records written before this time (milliseconds) from the beginning of each chain,
    /// at most `most` of each; gives how many. A chain that does not fit is left as it is.
    fn prune(&self, before: u64, most: u64, links: Arc<dyn Links>) -> Pending<'_, u64>;
    /// Bodies.
    fn bodies(&self, query: BodyQuery) -> Pending<'_, Vec<BodyRow>>;
    /// Removes bodies that have expired by `now` (milliseconds), and those of calls before
    /// `before`; gives how many.
    fn sweep_bodies(&self, now: u64, before: u64) -> Pending<'_, u64>;
    /// Removes the bodies of a tenant; gives how many.
    fn forget_bodies(&self, tenant: TenantId) -> Pending<'_, u64>;
    /// The usage.
    fn usage(&self, query: UsageQuery) -> Pending<'_, Vec<UsageRow>>;
}
