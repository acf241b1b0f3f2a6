//! What was allowed to clients, in SQLite.

use rusqlite::{OptionalExtension, Row, Transaction, params};

use super::super::{Ending, GrantRecord, Grants, NewGrant, Pending, Presented, StoreError};
use super::pool::Sqlite;
use super::row;
use crate::base::{GrantId, KeyId, TenantId};

/// Seconds for which an ended grant is still told about, and recognises what comes again.
const KEPT: u64 = 30 * 86_400;
/// Seconds after which a code that nobody used is forgotten.
const CODE: u64 = 3_600;
/// Seconds without a refresh after which a grant is over.
const IDLE: u64 = 90 * 86_400;
/// Grants of one key that go on at a time; the one that was used longest ago gives way.
const OF_KEY: i64 = 64;
/// Grants of a tenant that are listed.
const LISTED: i64 = 1_000;

const COLUMNS: &str = "tenant_id, id, key_id, client_id, client_name, redirect, resource, challenge, \
     code_until, generation, created_at, used_at, ended_at, ended_by";

fn record(row: &Row<'_>) -> Result<GrantRecord, StoreError> {
    let ended = row::maybe_number(row, "ended_at")?;
    let why: Option<String> = row.get("ended_by")?;
    Ok(GrantRecord {
        grant: NewGrant {
            id: GrantId::from_bytes(row.get("id")?),
            tenant: row::tenant(row, "tenant_id")?,
            key: row::key_id(row, "key_id")?,
            client: row.get("client_id")?,
            client_name: row.get("client_name")?,
            redirect: row.get("redirect")?,
            resource: row.get("resource")?,
            challenge: row.get("challenge")?,
            code_until: row::number(row, "code_until")?,
            created_at: row::number(row, "created_at")?,
        },
        generation: row::number(row, "generation")?,
        used_at: row::number(row, "used_at")?,
        ended: ended.map(|at| (at, why.unwrap_or_default())),
    })
}

fn find(
    step: &Transaction<'_>,
    tenant: TenantId,
    id: GrantId,
) -> Result<Option<GrantRecord>, StoreError> {
    let sql = format!("SELECT {COLUMNS} FROM oauth_grant WHERE tenant_id = ?1 AND id = ?2");
    let mut query = step.prepare_cached(&sql)?;
    let found = query.query_row(params![tenant.as_bytes(), id.as_bytes()], |row| Ok(record(row)));
    found.optional()?.transpose()
}

fn end(
    step: &Transaction<'_>,
    (tenant, id): (TenantId, GrantId),
    at: u64,
    why: Ending,
) -> Result<bool, StoreError> {
    let changed = step.execute(
        "UPDATE oauth_grant SET ended_at = ?3, ended_by = ?4
         WHERE tenant_id = ?1 AND id = ?2 AND ended_at IS NULL",
        params![tenant.as_bytes(), id.as_bytes(), row::signed(at), why.as_str()],
    )?;
    Ok(changed > 0)
}

impl Grants for Sqlite {
    fn open(&self, grant: NewGrant, denied: bool) -> Pending<'_, bool> {
        Box::pin(self.write(move |step| {
            let now = row::signed(grant.created_at);
            let ended = denied.then_some((now, Ending::Denied.as_str()));
            let added = step.execute(
                "INSERT INTO oauth_grant (tenant_id, id, key_id, client_id, client_name, redirect, resource,
                     challenge, code_until, created_at, used_at, ended_at, ended_by)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?10, ?11, ?12)
                 ON CONFLICT DO NOTHING",
                params![
                    grant.tenant.as_bytes(),
                    grant.id.as_bytes(),
                    grant.key.as_str(),
                    grant.client,
                    grant.client_name,
                    grant.redirect,
                    grant.resource,
                    grant.challenge,
                    row::signed(grant.code_until),
                    now,
                    ended.map(|(at, _)| at),
                    ended.map(|(_, why)| why),
                ],
            )?;
            if added == 0 {
                return Ok(false);
            }
            if !denied {
                step.execute(
                    "UPDATE oauth_client SET used_at = ?2 WHERE id = ?1",
                    params![grant.client, now],
                )?;
                step.execute(
                    "UPDATE oauth_grant SET ended_at = ?3, ended_by = 'replaced'
                     WHERE tenant_id = ?1 AND id IN (
                         SELECT id FROM oauth_grant
                         WHERE tenant_id = ?1 AND key_id = ?2 AND ended_at IS NULL
                         ORDER BY used_at DESC, created_at DESC LIMIT -1 OFFSET ?4)",
                    params![grant.tenant.as_bytes(), grant.key.as_str(), now, OF_KEY],
                )?;
            }
            Ok(true)
        }))
    }

    fn present(
        &self,
        tenant: TenantId,
        id: GrantId,
        generation: u64,
        now: u64,
    ) -> Pending<'_, Presented> {
        Box::pin(self.write(move |step| {
            let Some(mut found) = find(step, tenant, id)? else { return Ok(Presented::Over) };
            if found.ended.is_some() {
                return Ok(Presented::Over);
            }
            if generation < found.generation {
                end(step, (tenant, id), now, Ending::Misused)?;
                return Ok(Presented::Again);
            }
            let code = generation == 0;
            let late = if code { found.grant.code_until } else { found.used_at + IDLE };
            if generation > found.generation || late <= now {
                return Ok(Presented::Over);
            }
            step.execute(
                "UPDATE oauth_grant SET generation = generation + 1, used_at = ?3
                 WHERE tenant_id = ?1 AND id = ?2",
                params![tenant.as_bytes(), id.as_bytes(), row::signed(now)],
            )?;
            found.generation += 1;
            found.used_at = now;
            Ok(Presented::Good(Box::new(found)))
        }))
    }

    fn find(&self, tenant: TenantId, id: GrantId) -> Pending<'_, Option<GrantRecord>> {
        Box::pin(self.read(move |step| find(step, tenant, id)))
    }

    fn live(&self, ids: Vec<GrantId>) -> Pending<'_, Vec<GrantId>> {
        Box::pin(self.read(move |step| {
            let sql = "SELECT id FROM oauth_grant WHERE id = ?1 AND ended_at IS NULL";
            let mut query = step.prepare_cached(sql)?;
            let mut live = Vec::new();
            for id in ids {
                if query.exists([id.as_bytes()])? {
                    live.push(id);
                }
            }
            Ok(live)
        }))
    }

    fn end(&self, tenant: TenantId, id: GrantId, at: u64, why: Ending) -> Pending<'_, bool> {
        Box::pin(self.write(move |step| end(step, (tenant, id), at, why)))
    }

    fn list(&self, tenant: TenantId, key: Option<KeyId>) -> Pending<'_, Vec<GrantRecord>> {
        Box::pin(self.read(move |step| {
            let sql = format!(
                "SELECT {COLUMNS} FROM oauth_grant
                 WHERE tenant_id = ?1 AND generation > 0 AND (?2 IS NULL OR key_id = ?2)
                 ORDER BY created_at DESC, id LIMIT ?3"
            );
            let key = key.as_ref().map(KeyId::as_str);
            let mut query = step.prepare_cached(&sql)?;
            row::all(query.query(params![tenant.as_bytes(), key, LISTED])?, record)
        }))
    }

    fn prune(&self, now: u64) -> Pending<'_, u64> {
        Box::pin(self.write(move |step| {
            let before = |seconds: u64| row::signed(now.saturating_sub(seconds));
            let gone = step.execute(
                "DELETE FROM oauth_grant WHERE ended_at < ?1 OR used_at < ?2
                   OR (generation = 0 AND code_until < ?3)",
                params![before(KEPT), before(IDLE), before(CODE)],
            )?;
            Ok(gone as u64)
        }))
    }
}
