//! Tenants in SQLite.

use rusqlite::{Row, Transaction, params};

use super::super::{Origin, Pending, StoreError, TenantRecord, Tenants};
use super::pool::Sqlite;
use super::row;
use crate::base::{Name, TenantId};

const COLUMNS: &str = "id AS tenant_id, name AS tenant_name, origin, created_at AS tenant_created";

/// Reads the columns `tenant_id`, `tenant_name`, `origin` and `tenant_created`.
pub(super) fn record(row: &Row<'_>) -> Result<TenantRecord, StoreError> {
    let origin = match row.get_ref("origin")?.as_str() {
        Ok("file") => Origin::File,
        Ok("store") => Origin::Store,
        _ => return Err(StoreError::Damaged("a tenant has an unknown origin".to_owned())),
    };
    Ok(TenantRecord {
        id: row::tenant(row, "tenant_id")?,
        name: row::name(row, "tenant_name")?,
        origin,
        created_at: row::number(row, "tenant_created")?,
    })
}

fn by_name(step: &Transaction<'_>, name: &Name) -> Result<Option<TenantRecord>, StoreError> {
    let sql = format!("SELECT {COLUMNS} FROM tenant WHERE name = ?1");
    let mut query = step.prepare_cached(&sql)?;
    Ok(row::all(query.query([name.as_str()])?, record)?.pop())
}

fn add(step: &Transaction<'_>, tenant: &TenantRecord) -> Result<(), StoreError> {
    let origin = match tenant.origin {
        Origin::File => "file",
        Origin::Store => "store",
    };
    step.execute(
        "INSERT INTO tenant (id, name, origin, created_at) VALUES (?1, ?2, ?3, ?4)",
        params![tenant.id.as_bytes(), tenant.name.as_str(), origin, row::signed(tenant.created_at)],
    )?;
    Ok(())
}

impl Tenants for Sqlite {
    fn create(&self, tenant: TenantRecord) -> Pending<'_, ()> {
        Box::pin(self.write(move |step| match by_name(step, &tenant.name)? {
            Some(_) => Err(StoreError::Taken(format!("the tenant `{}`", tenant.name))),
            None => add(step, &tenant),
        }))
    }

    fn adopt(&self, fresh: TenantRecord) -> Pending<'_, TenantRecord> {
        Box::pin(async move {
            // Each start adopts the file's tenants again; only a change is worth a write.
            let name = fresh.name.clone();
            let known = self.read(move |step| by_name(step, &name)).await?;
            if let Some(known) = known.filter(|known| known.origin == Origin::File) {
                return Ok(known);
            }
            self.write(move |step| {
                let fresh = TenantRecord { origin: Origin::File, ..fresh };
                let Some(known) = by_name(step, &fresh.name)? else {
                    add(step, &fresh)?;
                    return Ok(fresh);
                };
                step.execute(
                    "UPDATE tenant SET origin = 'file' WHERE id = ?1",
                    [known.id.as_bytes()],
                )?;
                Ok(TenantRecord { origin: Origin::File, ..known })
            })
            .await
        })
    }

    fn release(&self, tenant: TenantId) -> Pending<'_, bool> {
        Box::pin(self.write(move |step| {
            let sql = "UPDATE tenant SET origin = 'store' WHERE id = ?1";
            Ok(step.execute(sql, [tenant.as_bytes()])? > 0)
        }))
    }

    fn find(&self, name: &Name) -> Pending<'_, Option<TenantRecord>> {
        let name = name.clone();
        Box::pin(self.read(move |step| by_name(step, &name)))
    }

    fn list(&self) -> Pending<'_, Vec<TenantRecord>> {
        Box::pin(self.read(|step| {
            let sql = format!("SELECT {COLUMNS} FROM tenant ORDER BY name");
            row::all(step.prepare_cached(&sql)?.query(())?, record)
        }))
    }

    fn remove(&self, tenant: TenantId) -> Pending<'_, bool> {
        Box::pin(async move {
            let removed = self
                .write(move |step| {
                    let sql = "DELETE FROM tenant WHERE id = ?1";
                    Ok(step.execute(sql, [tenant.as_bytes()])? > 0)
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
}
