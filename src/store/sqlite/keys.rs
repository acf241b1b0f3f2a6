//! Keys in SQLite.

use rusqlite::{Row, Transaction, params};

use super::super::{FoundKey, KeyCounts, KeyRecord, Keys, Owner, Pending, StoreError};
use super::pool::Sqlite;
use super::{row, tenants};
use crate::base::{KeyId, Role};

const COLUMNS: &str = "api_key.id AS id, api_key.tenant_id AS tenant_id, role, scopes, created_by, \
     holder, api_key.name AS name, digest, api_key.created_at AS created_at, expires_at, revoked_at, \
     last_used_at";

fn record(row: &Row<'_>) -> Result<KeyRecord, StoreError> {
    let role = row::role(row, "role")?;
    let owner = match role {
        Role::Operator => Owner::Operator,
        Role::Admin | Role::Member => Owner::Tenant(row::tenant(row, "tenant_id")?),
    };
    Ok(KeyRecord {
        id: row::key_id(row, "id")?,
        owner,
        role,
        scopes: row::scopes(row, "scopes")?,
        created_by: row::maybe_key_id(row, "created_by")?,
        holder: row::key_id(row, "holder")?,
        name: row.get("name")?,
        digest: row::digest(row, "digest")?,
        created_at: row::number(row, "created_at")?,
        expires_at: row::maybe_number(row, "expires_at")?,
        revoked_at: row::maybe_number(row, "revoked_at")?,
        last_used_at: row::maybe_number(row, "last_used_at")?,
    })
}

/// The column `tenant_id` of an owner.
fn column(owner: &Owner) -> Option<&[u8; 16]> {
    match owner {
        Owner::Operator => None,
        Owner::Tenant(tenant) => Some(tenant.as_bytes()),
    }
}

fn add(step: &Transaction<'_>, owner: Owner, key: &KeyRecord) -> Result<(), StoreError> {
    step.execute(
        "INSERT INTO api_key (id, tenant_id, role, scopes, created_by, holder, name, digest, created_at,
             expires_at, revoked_at, last_used_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)",
        params![
            key.id.as_str(),
            column(&owner),
            key.role.as_str(),
            key.scopes.to_string(),
            key.created_by.as_ref().map(KeyId::as_str),
            key.holder.as_str(),
            key.name,
            key.digest,
            row::signed(key.created_at),
            key.expires_at.map(row::signed),
            key.revoked_at.map(row::signed),
            key.last_used_at.map(row::signed),
        ],
    )?;
    Ok(())
}

impl Keys for Sqlite {
    fn insert(&self, owner: Owner, key: KeyRecord) -> Pending<'_, ()> {
        Box::pin(self.write(move |step| add(step, owner, &key)))
    }

    fn find(&self, ids: Vec<KeyId>) -> Pending<'_, Vec<FoundKey>> {
        Box::pin(self.read(move |step| {
            // One parameter whatever the number: ids are letters and digits, so the list needs
            // no escaping.
            let list = ids.iter().map(KeyId::as_str).collect::<Vec<_>>().join("\",\"");
            let list = if ids.is_empty() { "[]".to_owned() } else { format!("[\"{list}\"]") };
            let sql = format!(
                "SELECT {COLUMNS}, tenant.name AS tenant_name, origin, tenant.created_at AS tenant_created
                 FROM json_each(?1) AS wanted
                 JOIN api_key ON api_key.id = wanted.value
                 LEFT JOIN tenant ON tenant.id = api_key.tenant_id"
            );
            let mut query = step.prepare_cached(&sql)?;
            row::all(query.query([list])?, |row| {
                let key = record(row)?;
                let tenant = match key.owner {
                    Owner::Operator => None,
                    Owner::Tenant(_) => Some(tenants::record(row)?),
                };
                Ok(FoundKey { key, tenant })
            })
        }))
    }

    fn list(&self, owner: Owner) -> Pending<'_, Vec<KeyRecord>> {
        Box::pin(self.read(move |step| {
            let sql = format!(
                "SELECT {COLUMNS} FROM api_key WHERE tenant_id IS ?1 ORDER BY created_at, id"
            );
            row::all(step.prepare_cached(&sql)?.query([column(&owner)])?, record)
        }))
    }

    fn count(&self, owner: Option<Owner>, now: u64) -> Pending<'_, KeyCounts> {
        Box::pin(self.read(move |step| {
            let sql = "SELECT
                     count(*) FILTER (WHERE revoked_at IS NULL AND (expires_at IS NULL OR expires_at > ?1)) AS live,
                     count(*) FILTER (WHERE revoked_at IS NULL AND expires_at <= ?1) AS expired,
                     count(*) FILTER (WHERE revoked_at IS NOT NULL) AS revoked
                 FROM api_key WHERE ?2 OR tenant_id IS ?3";
            let whose = owner.as_ref().and_then(column);
            let mut query = step.prepare_cached(sql)?;
            let mut rows = query.query(params![row::signed(now), owner.is_none(), whose])?;
            let Some(found) = rows.next()? else { return Ok(KeyCounts::default()) };
            Ok(KeyCounts {
                live: row::number(found, "live")?,
                expired: row::number(found, "expired")?,
                revoked: row::number(found, "revoked")?,
            })
        }))
    }

    fn revoke(&self, owner: Owner, id: KeyId, at: u64) -> Pending<'_, bool> {
        Box::pin(self.write(move |step| {
            let changed = step.execute(
                "UPDATE api_key SET revoked_at = ?3
                 WHERE tenant_id IS ?1 AND id = ?2 AND revoked_at IS NULL",
                params![column(&owner), id.as_str(), row::signed(at)],
            )?;
            Ok(changed > 0)
        }))
    }

    fn rotate(&self, owner: Owner, old: KeyId, ends_at: u64, fresh: KeyRecord) -> Pending<'_, ()> {
        Box::pin(self.write(move |step| {
            let changed = step.execute(
                "UPDATE api_key SET expires_at = min(coalesce(expires_at, ?3), ?3)
                 WHERE tenant_id IS ?1 AND id = ?2 AND revoked_at IS NULL
                   AND (expires_at IS NULL OR expires_at > ?4)",
                params![
                    column(&owner),
                    old.as_str(),
                    row::signed(ends_at),
                    row::signed(fresh.created_at)
                ],
            )?;
            if changed == 0 {
                return Err(StoreError::Unknown(format!("a usable key `{old}` of this owner")));
            }
            add(step, owner, &fresh)
        }))
    }

    fn touch(&self, used: Vec<(KeyId, u64)>) -> Pending<'_, ()> {
        Box::pin(self.write(move |step| {
            let mut update = step.prepare_cached(
                "UPDATE api_key SET last_used_at = ?2
                 WHERE id = ?1 AND coalesce(last_used_at, 0) < ?2",
            )?;
            for (id, at) in used {
                update.execute(params![id.as_str(), row::signed(at)])?;
            }
            Ok(())
        }))
    }
}
