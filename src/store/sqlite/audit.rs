//! The audit in a SQLite file of its own. In the store's file each batch would make every process
//! read its keys again, and every key that is made would wait for the audit's writer.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::{Row, Transaction, params};

use super::super::{
    AuditBatch, AuditHead, AuditQuery, AuditRow, AuditState, AuditStore, BodyQuery, BodyRow, Links,
    Pending, QuotaRow, Quotas, StoreError, UsageQuery, UsageRow,
};
use super::chain::{self, Memory};
use super::pool::Sqlite;
use super::schema::AUDIT;
use super::witness::Witness;
use super::{bodies, quota, row, usage};
use crate::base::{Tasks, TenantId};

/// The audit in one SQLite file.
pub struct AuditFile {
    file: Sqlite,
    witness: Arc<Witness>,
    memory: Arc<Mutex<Memory>>,
}

impl AuditFile {
    /// Where the audit of a store lies: `x.audit.db` beside `x.db`.
    #[must_use]
    pub fn beside(store: &Path) -> PathBuf {
        store.with_extension("audit.db")
    }

    /// Opens it, made where it is missing. Blocks for a few milliseconds. `tasks` must outlive
    /// whatever still writes.
    ///
    /// # Errors
    /// As for the store.
    pub fn open(path: &Path, tasks: &Tasks) -> Result<Arc<Self>, StoreError> {
        let file = Sqlite::of(path, tasks, AUDIT)?;
        let witness = Arc::new(Witness::beside(path));
        Ok(Arc::new(Self { file, witness, memory: Arc::default() }))
    }
}

impl AuditFile {
    /// Removes bodies, from the log of writes, too.
    async fn without<F>(&self, remove: F) -> Result<u64, StoreError>
    where
        F: FnOnce(&Transaction<'_>) -> Result<u64, StoreError> + Send + 'static,
    {
        if !self.file.read(bodies::is_any).await? {
            return Ok(0);
        }
        let gone = self.file.write(remove).await?;
        if gone > 0 {
            self.file.truncate_log().await?;
        }
        Ok(gone)
    }
}

fn record(row: &Row<'_>) -> Result<AuditRow, StoreError> {
    Ok(AuditRow {
        id: row::number(row, "id")?,
        tenant: row::tenant(row, "tenant_id")?,
        seq: row::number(row, "seq")?,
        at: row::number(row, "at")?,
        record: row.get("record")?,
        mac: row::digest(row, "mac")?,
    })
}

/// The first record of all that was written at `at` or later, near enough: a clock that was set
/// back leaves some before it.
fn first_id_since(step: &Transaction<'_>, at: u64) -> Result<u64, StoreError> {
    let last: Option<i64> =
        step.query_row("SELECT max(id) FROM audit_record", (), |row| row.get(0))?;
    let mut look =
        step.prepare_cached("SELECT at FROM audit_record WHERE id >= ?1 ORDER BY id LIMIT 1")?;
    let (mut low, mut high) = (1, last.unwrap_or(0).unsigned_abs() + 1);
    while low < high {
        let middle = low + (high - low) / 2;
        let found: i64 = look.query_row([row::signed(middle)], |row| row.get(0))?;
        if found.unsigned_abs() < at {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    Ok(low)
}

fn page(step: &Transaction<'_>, query: AuditQuery) -> Result<Vec<AuditRow>, StoreError> {
    let (place, chain, start) = match query.tenant {
        Some(tenant) => {
            let mut heads =
                step.prepare_cached("SELECT * FROM audit_chain WHERE tenant_id = ?1")?;
            let found = row::all(heads.query([tenant.as_bytes()])?, chain::head)?.pop();
            let Some(head) = found else { return Ok(Vec::new()) };
            let start = match query.since {
                Some(at) => chain::first_since(step, head.chain, (head.first, head.last), at)?,
                None => 0,
            };
            ("seq", Some(head.chain), start)
        }
        None => ("id", None, query.since.map_or(Ok(0), |at| first_id_since(step, at))?),
    };
    let (from, to) = match (query.after, query.backwards) {
        (Some(after), false) => (start.max(after.saturating_add(1)), u64::MAX),
        (Some(after), true) => (start, after.saturating_sub(1)),
        (None, _) => (start, u64::MAX),
    };
    let order = if query.backwards { "DESC" } else { "ASC" };
    let mine = if chain.is_some() { "chain = ?1" } else { "?1 IS NULL" };
    let sql = format!(
        "SELECT id, tenant_id, seq, at, record, mac
         FROM audit_record JOIN audit_chain ON number = chain
         WHERE {mine} AND {place} >= ?2 AND {place} <= ?3 AND at >= ?4 AND at < ?5
         ORDER BY {place} {order} LIMIT ?6"
    );
    let mut select = step.prepare_cached(&sql)?;
    let rows = select.query(params![
        chain.map(row::signed),
        row::signed(from),
        row::signed(to),
        row::signed(query.since.unwrap_or(0)),
        row::signed(query.until.unwrap_or(u64::MAX)),
        i64::try_from(query.limit).unwrap_or(i64::MAX),
    ])?;
    row::all(rows, record)
}

fn problems(step: &Transaction<'_>) -> Result<Vec<String>, StoreError> {
    let mut check = step.prepare("PRAGMA integrity_check(20)")?;
    let found = row::all(check.query(())?, |row| Ok(row.get::<_, String>(0)?))?;
    let mut found: Vec<String> = found.into_iter().filter(|text| text != "ok").collect();
    let strays: i64 = step.query_row(
        "SELECT count(*) FROM audit_record WHERE chain NOT IN (SELECT number FROM audit_chain)",
        (),
        |row| row.get(0),
    )?;
    if strays > 0 {
        found.push(format!("{strays} records belong to no chain"));
    }
    Ok(found)
}

impl AuditStore for AuditFile {
    fn append(
        &self,
        batch: Arc<AuditBatch>,
        links: Arc<dyn Links>,
    ) -> Pending<'_, (Vec<AuditHead>, u64)> {
        Box::pin(async move {
            let (memory, witness) = (self.memory.clone(), self.witness.clone());
            let (heads, book, known) = self
                .file
                .write(move |step| {
                    // Read behind the lock on the database, so that another process's word counts.
                    let mut memory = memory.lock().unwrap_or_else(PoisonError::into_inner);
                    memory.witness = witness.read();
                    // Until this is on disk nothing is known.
                    let known = memory.take_known(chain::version(step)?);
                    let (heads, book) = chain::append(step, &batch, &*links, &memory, &known)?;
                    Ok((heads, book, known))
                })
                .await?;
            self.witness.note(&book);
            let mut memory = self.memory.lock().unwrap_or_else(PoisonError::into_inner);
            memory.learn(&heads, known);
            Ok((heads, book.last_id))
        })
    }

    fn page(&self, query: AuditQuery) -> Pending<'_, Vec<AuditRow>> {
        Box::pin(self.file.read(move |step| page(step, query)))
    }

    fn state(&self) -> Pending<'_, AuditState> {
        let witness = self.witness.clone();
        Box::pin(self.file.read(move |step| {
            // Before the database: what is noted afterwards is of a later state.
            let witness = witness.read();
            Ok(AuditState { heads: chain::heads(step)?, book: chain::book(step)?, witness })
        }))
    }

    fn problems(&self) -> Pending<'_, Vec<String>> {
        Box::pin(self.file.read(problems))
    }

    fn prune(&self, before: u64, most: u64, links: Arc<dyn Links>) -> Pending<'_, u64> {
        let memory = self.memory.clone();
        Box::pin(self.file.write(move |step| {
            memory.lock().unwrap_or_else(PoisonError::into_inner).forget_heads();
            chain::prune(step, before, most, &*links)
        }))
    }

    fn bodies(&self, query: BodyQuery) -> Pending<'_, Vec<BodyRow>> {
        Box::pin(self.file.read(move |step| bodies::page(step, &query)))
    }

    fn sweep_bodies(&self, now: u64, before: u64) -> Pending<'_, u64> {
        Box::pin(self.without(move |step| bodies::sweep(step, now, before)))
    }

    fn forget_bodies(&self, tenant: TenantId) -> Pending<'_, u64> {
        Box::pin(self.without(move |step| bodies::forget(step, tenant)))
    }

    fn usage(&self, query: UsageQuery) -> Pending<'_, Vec<UsageRow>> {
        Box::pin(self.file.read(move |step| usage::sum(step, query)))
    }
}

impl Quotas for AuditFile {
    fn used(&self, today: u64) -> Pending<'_, Vec<QuotaRow>> {
        Box::pin(self.file.read(move |step| quota::used(step, today)))
    }

    fn keep(&self, rows: Vec<QuotaRow>, today: u64) -> Pending<'_, ()> {
        Box::pin(self.file.write(move |step| quota::keep(step, &rows, today)))
    }
}
