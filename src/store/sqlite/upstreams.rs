//! Upstreams that were made over the API, in SQLite.

use rusqlite::{OptionalExtension, Row, params};

use super::super::{Pending, StoreError, UpstreamRecord, Upstreams};
use super::pool::Sqlite;
use super::row;
use crate::base::Name;

const COLUMNS: &str = "name, document, enabled, generation, created_at, changed_at";

fn record(row: &Row<'_>) -> Result<UpstreamRecord, StoreError> {
    Ok(UpstreamRecord {
        name: row::name(row, "name")?,
        document: row.get("document")?,
        enabled: row.get("enabled")?,
        generation: row::number(row, "generation")?,
        created_at: row::number(row, "created_at")?,
        changed_at: row::number(row, "changed_at")?,
    })
}

impl Upstreams for Sqlite {
    fn list(&self) -> Pending<'_, Vec<UpstreamRecord>> {
        Box::pin(self.read(|step| {
            let sql = format!("SELECT {COLUMNS} FROM upstream ORDER BY name");
            row::all(step.prepare_cached(&sql)?.query(())?, record)
        }))
    }

    fn find(&self, name: &Name) -> Pending<'_, Option<UpstreamRecord>> {
        let name = name.clone();
        Box::pin(self.read(move |step| {
            let sql = format!("SELECT {COLUMNS} FROM upstream WHERE name = ?1");
            let mut query = step.prepare_cached(&sql)?;
            Ok(row::all(query.query([name.as_str()])?, record)?.pop())
        }))
    }

    fn create(&self, upstream: UpstreamRecord) -> Pending<'_, ()> {
        Box::pin(self.write(move |step| {
            let UpstreamRecord { name, document, enabled, generation, created_at, changed_at } =
                upstream;
            let added = step.execute(
                "INSERT INTO upstream (name, document, enabled, generation, created_at, changed_at)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT DO NOTHING",
                params![
                    name.as_str(),
                    document,
                    enabled,
                    row::signed(generation),
                    row::signed(created_at),
                    row::signed(changed_at)
                ],
            )?;
            if added > 0 {
                Ok(())
            } else {
                Err(StoreError::Taken(format!("the upstream `{name}`")))
            }
        }))
    }

    fn change(&self, upstream: UpstreamRecord) -> Pending<'_, Option<u64>> {
        Box::pin(self.write(move |step| {
            let UpstreamRecord { name, document, enabled, generation, changed_at, .. } = upstream;
            let next: Option<i64> = step
                .prepare_cached(
                    "UPDATE upstream SET document = ?2, enabled = ?3, changed_at = ?4,
                         generation = generation + 1
                     WHERE name = ?1 AND generation = ?5 RETURNING generation",
                )?
                .query_row(
                    params![
                        name.as_str(),
                        document,
                        enabled,
                        row::signed(changed_at),
                        row::signed(generation)
                    ],
                    |row| row.get(0),
                )
                .optional()?;
            Ok(next.map(i64::unsigned_abs))
        }))
    }

    fn remove(&self, name: &Name, generation: u64) -> Pending<'_, bool> {
        let name = name.clone();
        Box::pin(async move {
            let removed = self
                .write(move |step| {
                    let removed = step.execute(
                        "DELETE FROM upstream WHERE name = ?1 AND generation = ?2",
                        params![name.as_str(), row::signed(generation)],
                    )?;
                    if removed > 0 {
                        // Whoever makes one of that name gets none of what was meant for this one.
                        step.execute(
                            "INSERT INTO secret_generation (tenant_id, upstream, slot, generation)
                             SELECT tenant_id, upstream, slot, 1 FROM secret WHERE upstream = ?1
                             ON CONFLICT DO UPDATE SET generation = generation + 1",
                            [name.as_str()],
                        )?;
                        step.execute("DELETE FROM secret WHERE upstream = ?1", [name.as_str()])?;
                        step.execute(
                            "DELETE FROM turned_off WHERE upstream = ?1",
                            [name.as_str()],
                        )?;
                    }
                    Ok(removed > 0)
                })
                .await?;
            if removed {
                // The rows are gone; what the log still holds of them is sealed.
                if let Err(error) = self.truncate_log().await {
                    tracing::debug!(%error, "the log keeps removed rows until its next checkpoint");
                }
            }
            Ok(removed)
        })
    }

    fn secrets(&self, name: &Name) -> Pending<'_, u64> {
        let name = name.clone();
        Box::pin(self.read(move |step| {
            let sql = "SELECT count(*) FROM secret WHERE upstream = ?1";
            let count: i64 = step.query_row(sql, [name.as_str()], |row| row.get(0))?;
            Ok(count.unsigned_abs())
        }))
    }
}
