//! What was used, summed as it is asked for.

use rusqlite::{Row, Transaction, params};

use super::super::{StoreError, Usage, UsageQuery, UsageRow};
use super::row;

fn read(row: &Row<'_>) -> Result<UsageRow, StoreError> {
    Ok(UsageRow {
        tenant: row::tenant(row, "tenant_id")?,
        day: row::number(row, "day")?,
        key: row.get("key_id")?,
        upstream: row.get("upstream")?,
        method: row.get("method")?,
        tool: row.get("tool")?,
        sum: Usage {
            calls: row::number(row, "calls")?,
            errors: row::number(row, "errors")?,
            bytes_in: row::number(row, "bytes_in")?,
            bytes_out: row::number(row, "bytes_out")?,
            ms: row::number(row, "ms")?,
        },
    })
}

pub(super) fn sum(step: &Transaction<'_>, query: UsageQuery) -> Result<Vec<UsageRow>, StoreError> {
    // What is not told apart is the same for all.
    let mut query_text = step.prepare_cached(
        "SELECT tenant_id,
                iif(?1, day, 0) AS day,
                iif(?2, key_id, '') AS key_id,
                iif(?3, upstream, '') AS upstream,
                iif(?3, method, '') AS method,
                iif(?3, tool, '') AS tool,
                sum(calls) AS calls, sum(errors) AS errors,
                sum(bytes_in) AS bytes_in, sum(bytes_out) AS bytes_out, sum(ms) AS ms
         FROM usage
         WHERE (?4 IS NULL OR tenant_id = ?4) AND day >= ?5 AND day <= ?6
         GROUP BY 1, 2, 3, 4, 5, 6
         ORDER BY 1, 2, 3, 4, 5, 6
         LIMIT ?7",
    )?;
    let rows = query_text.query(params![
        query.by_day,
        query.by_key,
        query.by_tool,
        query.tenant.map(|tenant| *tenant.as_bytes()),
        row::signed(query.from.unwrap_or(0)),
        row::signed(query.to.unwrap_or(u64::MAX)),
        i64::try_from(query.limit).unwrap_or(i64::MAX),
    ])?;
    row::all(rows, read)
}
