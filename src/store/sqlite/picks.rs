//! What tenants have turned off for themselves, in SQLite.

use rusqlite::params;

use super::super::{Pending, Picks};
use super::pool::Sqlite;
use super::row;
use crate::base::{Name, TenantId};

impl Picks for Sqlite {
    fn all(&self) -> Pending<'_, Vec<(TenantId, Name)>> {
        Box::pin(self.read(|step| {
            let sql = "SELECT tenant_id, upstream FROM turned_off ORDER BY tenant_id, upstream";
            row::all(step.prepare_cached(sql)?.query(())?, |row| {
                Ok((row::tenant(row, "tenant_id")?, row::name(row, "upstream")?))
            })
        }))
    }

    fn turn(&self, tenant: TenantId, upstream: &Name, off: Option<u64>) -> Pending<'_, bool> {
        let upstream = upstream.clone();
        Box::pin(self.write(move |step| {
            let place = (tenant.as_bytes(), upstream.as_str());
            let changed = match off {
                Some(since) => step.execute(
                    "INSERT INTO turned_off (tenant_id, upstream, since) VALUES (?1, ?2, ?3)
                     ON CONFLICT DO NOTHING",
                    params![place.0, place.1, row::signed(since)],
                )?,
                None => step.execute(
                    "DELETE FROM turned_off WHERE tenant_id = ?1 AND upstream = ?2",
                    params![place.0, place.1],
                )?,
            };
            Ok(changed > 0)
        }))
    }
}
