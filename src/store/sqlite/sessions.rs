//! What sessions leave behind, in SQLite.

use rusqlite::{Row, params};

use super::super::{Pending, SessionRecord, SessionStates, StoreError};
use super::pool::Sqlite;
use super::row;
use crate::base::TenantId;

fn record(row: &Row<'_>) -> Result<SessionRecord, StoreError> {
    Ok(SessionRecord {
        id: row.get("id")?,
        used_at: row::number(row, "used_at")?,
        state: row.get("state")?,
        ended: row.get("ended")?,
        keep_until: row::number(row, "keep_until")?,
    })
}

impl SessionStates for Sqlite {
    fn save(&self, records: Vec<(TenantId, SessionRecord)>) -> Pending<'_, ()> {
        Box::pin(self.write(move |step| {
            // A tenant that was removed meanwhile must not make the others' rows fail.
            let mut write = step.prepare_cached(
                "INSERT INTO session (tenant_id, id, used_at, state, ended, keep_until)
                 SELECT ?1, ?2, ?3, ?4, ?5, ?6 WHERE EXISTS (SELECT 1 FROM tenant WHERE id = ?1)
                 ON CONFLICT (tenant_id, id) DO UPDATE SET
                     used_at = max(used_at, excluded.used_at),
                     state = CASE WHEN excluded.ended THEN '' ELSE excluded.state END,
                     ended = max(ended, excluded.ended),
                     keep_until = CASE WHEN ended AND NOT excluded.ended
                         THEN keep_until ELSE excluded.keep_until END",
            )?;
            for (tenant, record) in records {
                write.execute(params![
                    tenant.as_bytes(),
                    record.id,
                    row::signed(record.used_at),
                    record.state,
                    record.ended,
                    row::signed(record.keep_until),
                ])?;
            }
            Ok(())
        }))
    }

    fn find(&self, tenant: TenantId, id: [u8; 16]) -> Pending<'_, Option<SessionRecord>> {
        Box::pin(self.read(move |step| {
            let sql = "SELECT id, used_at, state, ended, keep_until FROM session
                 WHERE tenant_id = ?1 AND id = ?2";
            let mut query = step.prepare_cached(sql)?;
            Ok(row::all(query.query(params![tenant.as_bytes(), id])?, record)?.pop())
        }))
    }

    fn prune(&self, now: u64) -> Pending<'_, usize> {
        Box::pin(async move {
            let gone = row::signed(now);
            let any = self
                .read(move |step| {
                    let sql = "SELECT EXISTS (SELECT 1 FROM session WHERE keep_until < ?1)";
                    Ok(step.prepare_cached(sql)?.query_row([gone], |row| row.get::<_, bool>(0))?)
                })
                .await?;
            // Only a change is worth a write: every write makes the keys be read again.
            if !any {
                return Ok(0);
            }
            self.write(move |step| {
                Ok(step.execute("DELETE FROM session WHERE keep_until < ?1", [gone])?)
            })
            .await
        })
    }
}
