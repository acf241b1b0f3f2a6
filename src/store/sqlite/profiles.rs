//! Profiles that were made over the API, in SQLite.

use rusqlite::{OptionalExtension, Row, params};

use super::super::{Pending, ProfileRecord, Profiles, StoreError};
use super::pool::Sqlite;
use super::row;
use crate::base::Name;

const COLUMNS: &str = "name, document, generation, created_at, changed_at";

fn record(row: &Row<'_>) -> Result<ProfileRecord, StoreError> {
    Ok(ProfileRecord {
        name: row::name(row, "name")?,
        document: row.get("document")?,
        generation: row::number(row, "generation")?,
        created_at: row::number(row, "created_at")?,
        changed_at: row::number(row, "changed_at")?,
    })
}

impl Profiles for Sqlite {
    fn list(&self) -> Pending<'_, Vec<ProfileRecord>> {
        Box::pin(self.read(|step| {
            let sql = format!("SELECT {COLUMNS} FROM profile ORDER BY name");
            row::all(step.prepare_cached(&sql)?.query(())?, record)
        }))
    }

    fn find(&self, name: &Name) -> Pending<'_, Option<ProfileRecord>> {
        let name = name.clone();
        Box::pin(self.read(move |step| {
            let sql = format!("SELECT {COLUMNS} FROM profile WHERE name = ?1");
            let mut query = step.prepare_cached(&sql)?;
            Ok(row::all(query.query([name.as_str()])?, record)?.pop())
        }))
    }

    fn put(&self, profile: ProfileRecord) -> Pending<'_, Option<u64>> {
        Box::pin(self.write(move |step| {
            let ProfileRecord { name, document, generation, created_at, changed_at } = profile;
            let sql = if generation == 0 {
                "INSERT INTO profile (name, document, generation, created_at, changed_at)
                 VALUES (?1, ?2, 1 + ?3, ?4, ?5) ON CONFLICT DO NOTHING RETURNING generation"
            } else {
                "UPDATE profile SET document = ?2, changed_at = ?5, generation = generation + 1
                 WHERE name = ?1 AND generation = ?3 AND created_at = ?4 RETURNING generation"
            };
            let next: Option<i64> = step
                .prepare_cached(sql)?
                .query_row(
                    params![
                        name.as_str(),
                        document,
                        row::signed(generation),
                        row::signed(created_at),
                        row::signed(changed_at)
                    ],
                    |row| row.get(0),
                )
                .optional()?;
            Ok(next.map(i64::unsigned_abs))
        }))
    }

    fn remove(&self, name: &Name, generation: u64) -> Pending<'_, bool> {
        let name = name.clone();
        Box::pin(self.write(move |step| {
            let sql = "DELETE FROM profile WHERE name = ?1 AND generation = ?2";
            Ok(step.execute(sql, params![name.as_str(), row::signed(generation)])? > 0)
        }))
    }
}
