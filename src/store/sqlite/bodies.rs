//! Bodies of calls beside the audit's records: put in with them, and gone when they expire, when
//! there are too many, or with their tenant.

use rusqlite::{Row, Transaction, params};

use super::super::{BodyEntry, BodyQuery, BodyRow, StoreError};
use super::row;
use crate::base::TenantId;
use crate::seal::Sealed;

/// Puts one in, for the record at this place of its tenant's chain.
pub(super) fn add(
    step: &Transaction<'_>,
    tenant: TenantId,
    seq: u64,
    body: &BodyEntry,
) -> Result<(), StoreError> {
    step.prepare_cached(
        "INSERT INTO body (tenant_id, seq, at, expires, upstream, method, name,
                           arguments_bytes, answer_bytes, sealed)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
    )?
    .execute(params![
        tenant.as_bytes(),
        row::signed(seq),
        row::signed(body.at),
        row::signed(body.expires),
        body.upstream,
        body.method,
        body.name,
        body.arguments.map(row::signed),
        body.answer.map(row::signed),
        body.sealed.as_bytes(),
    ])?;
    Ok(())
}

/// Whether there is any.
pub(super) fn is_any(step: &Transaction<'_>) -> Result<bool, StoreError> {
    Ok(step.query_row("SELECT EXISTS (SELECT 1 FROM body)", (), |row| row.get(0))?)
}

/// Removes the oldest ones until all together have at most so many bytes.
pub(super) fn shrink(step: &Transaction<'_>, most: u64) -> Result<(), StoreError> {
    let mut sum = step.prepare_cached("SELECT bytes FROM body_sum")?;
    let mut oldest =
        step.prepare_cached("DELETE FROM body WHERE id = (SELECT min(id) FROM body)")?;
    loop {
        let bytes: i64 = sum.query_row((), |row| row.get(0))?;
        if bytes <= row::signed(most) || oldest.execute(())? == 0 {
            return Ok(());
        }
    }
}

/// Removes what has expired by `now`, and what is from before `before`; gives how many.
pub(super) fn sweep(step: &Transaction<'_>, now: u64, before: u64) -> Result<u64, StoreError> {
    let gone = step
        .prepare_cached("DELETE FROM body WHERE expires <= ?1 OR at < ?2")?
        .execute([row::signed(now), row::signed(before)])?;
    Ok(gone as u64)
}

/// Removes those of a tenant; gives how many.
pub(super) fn forget(step: &Transaction<'_>, tenant: TenantId) -> Result<u64, StoreError> {
    let gone = step
        .prepare_cached("DELETE FROM body WHERE tenant_id = ?1")?
        .execute([tenant.as_bytes()])?;
    Ok(gone as u64)
}

fn read(row: &Row<'_>) -> Result<BodyRow, StoreError> {
    Ok(BodyRow {
        id: row::number(row, "id")?,
        tenant: row::tenant(row, "tenant_id")?,
        seq: row::number(row, "seq")?,
        at: row::number(row, "at")?,
        expires: row::number(row, "expires")?,
        upstream: row.get("upstream")?,
        method: row.get("method")?,
        name: row.get("name")?,
        arguments: row::maybe_number(row, "arguments_bytes")?,
        answer: row::maybe_number(row, "answer_bytes")?,
        sealed: Sealed::from_bytes(row.get("sealed")?),
    })
}

/// Those that are asked for, the newest first.
pub(super) fn page(step: &Transaction<'_>, query: &BodyQuery) -> Result<Vec<BodyRow>, StoreError> {
    let place = if query.tenant.is_some() { "seq" } else { "id" };
    let sealed = if query.opened { "sealed" } else { "x'' AS sealed" };
    let sql = format!(
        "SELECT id, tenant_id, seq, at, expires, upstream, method, name, arguments_bytes,
                answer_bytes, {sealed}
         FROM body
         WHERE (?1 IS NULL OR tenant_id = ?1) AND {place} < ?2 AND expires > ?3
           AND (?4 IS NULL OR upstream = ?4) AND (?5 IS NULL OR name = ?5)
           AND at >= ?6 AND at < ?7
         ORDER BY {place} DESC LIMIT ?8"
    );
    let mut select = step.prepare_cached(&sql)?;
    let rows = select.query(params![
        query.tenant.map(|tenant| *tenant.as_bytes()),
        row::signed(query.before.unwrap_or(u64::MAX)),
        row::signed(query.now),
        query.upstream,
        query.name,
        row::signed(query.since.unwrap_or(0)),
        row::signed(query.until.unwrap_or(u64::MAX)),
        i64::try_from(query.limit).unwrap_or(i64::MAX),
    ])?;
    row::all(rows, read)
}
