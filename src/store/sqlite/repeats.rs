//! Requests that named themselves, in SQLite.

use rusqlite::{OptionalExtension, params};

use super::super::{Begun, Pending, Repeats};
use super::pool::Sqlite;
use super::row;
use crate::base::KeyId;
use crate::seal::Digest;

/// Seconds for which an answer is kept.
const KEPT: u64 = 24 * 3_600;
/// Answers kept for one key.
const MOST: i64 = 1_000;

impl Repeats for Sqlite {
    fn begin(&self, key: KeyId, name: String, digest: Digest, now: u64) -> Pending<'_, Begun> {
        Box::pin(self.write(move |step| {
            let old = row::signed(now.saturating_sub(KEPT));
            step.execute("DELETE FROM repeat WHERE made_at < ?1", [old])?;
            let known: Option<(Digest, Option<String>)> = step
                .prepare_cached(
                    "SELECT digest, answer FROM repeat WHERE key_id = ?1 AND name = ?2",
                )?
                .query_row(params![key.as_str(), name], |row| Ok((row.get(0)?, row.get(1)?)))
                .optional()?;
            match known {
                Some((was, _)) if was != digest => return Ok(Begun::Other),
                Some((_, Some(answer))) => return Ok(Begun::Answered(answer)),
                Some((_, None)) => return Ok(Begun::Running),
                None => {}
            }
            let sql = "SELECT count(*) FROM repeat WHERE key_id = ?1";
            let count: i64 = step.query_row(sql, [key.as_str()], |row| row.get(0))?;
            if count >= MOST {
                return Ok(Begun::TooMany);
            }
            step.execute(
                "INSERT INTO repeat (key_id, name, digest, made_at) VALUES (?1, ?2, ?3, ?4)",
                params![key.as_str(), name, digest, row::signed(now)],
            )?;
            Ok(Begun::Fresh)
        }))
    }

    fn finish(&self, key: KeyId, name: String, answer: Option<String>) -> Pending<'_, ()> {
        Box::pin(self.write(move |step| {
            let place = params![key.as_str(), name, answer];
            let sql = if answer.is_some() {
                "UPDATE repeat SET answer = ?3 WHERE key_id = ?1 AND name = ?2"
            } else {
                "DELETE FROM repeat WHERE key_id = ?1 AND name = ?2 AND ?3 IS NULL"
            };
            step.execute(sql, place)?;
            Ok(())
        }))
    }
}
