//! What was used of quotas, over restarts.

use rusqlite::{Transaction, params};

use super::super::{QuotaRow, StoreError};
use super::row;

/// A row is of no use when its month has ended for sure.
const MONTH: u64 = 31;

pub(super) fn used(step: &Transaction<'_>, today: u64) -> Result<Vec<QuotaRow>, StoreError> {
    let mut select = step.prepare_cached("SELECT * FROM quota WHERE day >= ?1")?;
    let rows = select.query([row::signed(today.saturating_sub(MONTH))])?;
    row::all(rows, |row| {
        Ok(QuotaRow {
            place: row.get("place")?,
            day: row::number(row, "day")?,
            calls: row::number(row, "calls")?,
            bytes: row::number(row, "bytes")?,
            month_calls: row::number(row, "month_calls")?,
        })
    })
}

pub(super) fn keep(
    step: &Transaction<'_>,
    rows: &[QuotaRow],
    today: u64,
) -> Result<(), StoreError> {
    let mut insert = step.prepare_cached(
        "INSERT OR REPLACE INTO quota (place, day, calls, bytes, month_calls)
         VALUES (?1, ?2, ?3, ?4, ?5)",
    )?;
    for used in rows {
        insert.execute(params![
            used.place,
            row::signed(used.day),
            row::signed(used.calls),
            row::signed(used.bytes),
            row::signed(used.month_calls),
        ])?;
    }
    let mut delete = step.prepare_cached("DELETE FROM quota WHERE day < ?1")?;
    delete.execute([row::signed(today.saturating_sub(MONTH))])?;
    Ok(())
}
