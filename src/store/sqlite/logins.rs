//! Logins at upstreams that are under way, in SQLite.

use rusqlite::{OptionalExtension, params};

use super::super::{Logins, Pending};
use super::pool::Sqlite;
use super::row;
use crate::base::{Name, Slot, TenantId};
use crate::seal::{Digest, Sealed};

/// Logins that a tenant may have begun and not finished.
const MOST: i64 = 100;

impl Logins for Sqlite {
    fn take_lease(
        &self,
        tenant: TenantId,
        upstream: &Name,
        holder: [u8; 16],
        now: u64,
        until: u64,
    ) -> Pending<'_, bool> {
        let upstream = upstream.clone();
        Box::pin(self.write(move |step| {
            let taken = step.execute(
                "INSERT INTO login_lease (tenant_id, upstream, holder, until) VALUES (?1, ?2, ?3, ?4)
                 ON CONFLICT DO UPDATE SET holder = excluded.holder, until = excluded.until
                 WHERE until <= ?5 OR holder = excluded.holder",
                params![
                    tenant.as_bytes(),
                    upstream.as_str(),
                    holder,
                    row::signed(until),
                    row::signed(now)
                ],
            )?;
            Ok(taken > 0)
        }))
    }

    fn end_lease(&self, tenant: TenantId, upstream: &Name, holder: [u8; 16]) -> Pending<'_, ()> {
        let upstream = upstream.clone();
        Box::pin(self.write(move |step| {
            step.execute(
                "DELETE FROM login_lease WHERE tenant_id = ?1 AND upstream = ?2 AND holder = ?3",
                params![tenant.as_bytes(), upstream.as_str(), holder],
            )?;
            Ok(())
        }))
    }

    fn begin(
        &self,
        tenant: TenantId,
        state: Digest,
        sealed: Sealed,
        now: u64,
        expires_at: u64,
    ) -> Pending<'_, bool> {
        Box::pin(self.write(move |step| {
            step.execute("DELETE FROM login_attempt WHERE expires_at <= ?1", [row::signed(now)])?;
            let sql = "SELECT count(*) FROM login_attempt WHERE tenant_id = ?1";
            let begun: i64 = step.query_row(sql, [tenant.as_bytes()], |row| row.get(0))?;
            if begun >= MOST {
                return Ok(false);
            }
            step.execute(
                "INSERT INTO login_attempt (state, tenant_id, sealed, expires_at) VALUES (?1, ?2, ?3, ?4)",
                params![state, tenant.as_bytes(), sealed.as_bytes(), row::signed(expires_at)],
            )?;
            Ok(true)
        }))
    }

    fn unused(&self, slot: &Slot, before: u64, most: usize) -> Pending<'_, Vec<(Name, Name)>> {
        let slot = slot.clone();
        Box::pin(self.read(move |step| {
            let mut query = step.prepare_cached(
                "SELECT tenant.name AS tenant, upstream
                 FROM secret JOIN tenant ON tenant.id = secret.tenant_id
                 WHERE slot = ?1 AND set_at < ?2 ORDER BY random() LIMIT ?3",
            )?;
            let most = i64::try_from(most).unwrap_or(i64::MAX);
            row::all(query.query(params![slot.as_str(), row::signed(before), most])?, |row| {
                Ok((row::name(row, "tenant")?, row::name(row, "upstream")?))
            })
        }))
    }

    fn take(&self, state: Digest, now: u64) -> Pending<'_, Option<(TenantId, Sealed)>> {
        Box::pin(self.write(move |step| {
            let taken: Option<(TenantId, Sealed, i64)> = step
                .query_row(
                    "DELETE FROM login_attempt WHERE state = ?1
                     RETURNING tenant_id, sealed, expires_at",
                    params![state],
                    |row| {
                        let tenant = TenantId::from_bytes(row.get("tenant_id")?);
                        Ok((tenant, Sealed::from_bytes(row.get("sealed")?), row.get("expires_at")?))
                    },
                )
                .optional()?;
            let good = taken.filter(|(.., expires_at)| *expires_at > row::signed(now));
            Ok(good.map(|(tenant, sealed, _)| (tenant, sealed)))
        }))
    }
}
