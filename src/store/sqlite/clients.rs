//! Clients that registered themselves, and assertions of others, in SQLite.

use rusqlite::{OptionalExtension, params};

use super::super::{ClientRecord, Clients, Pending, Shown, StoreError};
use super::pool::Sqlite;
use super::row;
use crate::seal::Digest;

/// Assertions remembered of one client, and of all: whoever has a document somewhere is a client,
/// and none of them can shut out the others alone.
const MOST_OF_ONE: i64 = 10_000;
const MOST: i64 = 100_000;

impl Clients for Sqlite {
    fn add(&self, client: ClientRecord, most: u64) -> Pending<'_, bool> {
        Box::pin(self.write(move |step| {
            let count: i64 =
                step.query_row("SELECT count(*) FROM oauth_client", (), |row| row.get(0))?;
            if count >= row::signed(most) {
                return Ok(false);
            }
            let redirects = serde_json::to_string(&client.redirects)
                .map_err(|error| StoreError::Failed(error.to_string()))?;
            step.execute(
                "INSERT INTO oauth_client (id, name, redirects, method, digest, created_at)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
                params![
                    client.id,
                    client.name,
                    redirects,
                    client.method,
                    client.digest,
                    row::signed(client.created_at)
                ],
            )?;
            Ok(true)
        }))
    }

    fn find(&self, id: String) -> Pending<'_, Option<ClientRecord>> {
        Box::pin(self.read(move |step| {
            let sql = "SELECT id, name, redirects, method, digest, created_at FROM oauth_client WHERE id = ?1";
            let mut query = step.prepare_cached(sql)?;
            let found = query.query_row([id], |row| {
                let record = |redirects: Vec<String>| -> Result<ClientRecord, StoreError> {
                    Ok(ClientRecord {
                        id: row.get("id")?,
                        name: row.get("name")?,
                        redirects,
                        method: row.get("method")?,
                        digest: row.get("digest")?,
                        created_at: row::number(row, "created_at")?,
                    })
                };
                let redirects: String = row.get("redirects")?;
                Ok(serde_json::from_str(&redirects)
                    .map_err(|_| StoreError::Damaged("redirects of a client".to_owned()))
                    .and_then(record))
            });
            found.optional()?.transpose()
        }))
    }

    fn prune(&self, unused: u64, idle: u64) -> Pending<'_, u64> {
        Box::pin(self.write(move |step| {
            let gone = step.execute(
                "DELETE FROM oauth_client WHERE (used_at IS NULL AND created_at < ?1)
                   OR (used_at < ?2 AND NOT EXISTS (
                       SELECT 1 FROM oauth_grant
                       WHERE client_id = oauth_client.id AND ended_at IS NULL))",
                params![row::signed(unused), row::signed(idle)],
            )?;
            Ok(gone as u64)
        }))
    }

    fn show(&self, client: Digest, assertion: Digest, until: u64, now: u64) -> Pending<'_, Shown> {
        Box::pin(self.write(move |step| {
            step.execute("DELETE FROM oauth_assertion WHERE expires_at <= ?1", [row::signed(now)])?;
            let sql = "SELECT count(*) FROM oauth_assertion WHERE client = ?1";
            let own: i64 = step.query_row(sql, [client], |row| row.get(0))?;
            let sql = "SELECT count(*) FROM oauth_assertion";
            let all: i64 = step.query_row(sql, (), |row| row.get(0))?;
            if own >= MOST_OF_ONE || all >= MOST {
                return Ok(Shown::TooMany);
            }
            let added = step.execute(
                "INSERT INTO oauth_assertion (client, assertion, expires_at) VALUES (?1, ?2, ?3)
                 ON CONFLICT DO NOTHING",
                params![client, assertion, row::signed(until)],
            )?;
            Ok(if added > 0 { Shown::First } else { Shown::Again })
        }))
    }
}
