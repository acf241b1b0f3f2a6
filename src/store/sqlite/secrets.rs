//! Sealed secrets in SQLite.

use rusqlite::{OptionalExtension, Transaction, params};

use super::super::{
    Pending, SealValue, SealedSecret, SecretInfo, SecretPlace, Secrets, StoreError,
};
use super::pool::Sqlite;
use super::{row, sealing};
use crate::base::{Name, TenantId};
use crate::seal::{KeyTag, Sealed};

fn data_key(step: &Transaction<'_>, tenant: TenantId) -> Result<Option<Sealed>, StoreError> {
    let sealed: Option<Vec<u8>> = step
        .prepare_cached("SELECT sealed FROM data_key WHERE tenant_id = ?1")?
        .query_row([tenant.as_bytes()], |row| row.get(0))
        .optional()?;
    Ok(sealed.map(Sealed::from_bytes))
}

impl Secrets for Sqlite {
    fn put(
        &self,
        tenant: TenantId,
        place: SecretPlace,
        set_at: u64,
        seal: SealValue,
    ) -> Pending<'_, u64> {
        Box::pin(self.write(move |step| {
            let (upstream, slot) = (place.upstream.as_str(), place.slot.as_str());
            let generation = step.query_row(
                "INSERT INTO secret_generation (tenant_id, upstream, slot, generation)
                 VALUES (?1, ?2, ?3, 1)
                 ON CONFLICT DO UPDATE SET generation = generation + 1 RETURNING generation",
                params![tenant.as_bytes(), upstream, slot],
                |row| Ok(row::number(row, "generation")),
            )??;
            let key = data_key(step, tenant)?;
            let sealed = seal(generation, key.as_ref())?;
            step.execute(
                "INSERT INTO secret (tenant_id, upstream, slot, sealed, set_at)
                 VALUES (?1, ?2, ?3, ?4, ?5)
                 ON CONFLICT DO UPDATE SET sealed = excluded.sealed, set_at = excluded.set_at",
                params![tenant.as_bytes(), upstream, slot, sealed.as_bytes(), row::signed(set_at)],
            )?;
            Ok(generation)
        }))
    }

    fn of_upstream(&self, tenant: TenantId, upstream: &Name) -> Pending<'_, Vec<SealedSecret>> {
        let upstream = upstream.clone();
        Box::pin(self.read(move |step| {
            // A counter that is gone becomes 0, which no value was ever sealed with.
            let mut query = step.prepare_cached(
                "SELECT slot, coalesce(generation, 0) AS generation, sealed
                 FROM secret LEFT JOIN secret_generation USING (tenant_id, upstream, slot)
                 WHERE tenant_id = ?1 AND upstream = ?2 ORDER BY slot",
            )?;
            row::all(query.query(params![tenant.as_bytes(), upstream.as_str()])?, |row| {
                Ok(SealedSecret {
                    slot: row::slot(row, "slot")?,
                    generation: row::number(row, "generation")?,
                    sealed: Sealed::from_bytes(row.get("sealed")?),
                })
            })
        }))
    }

    fn list(&self, tenant: TenantId) -> Pending<'_, Vec<SecretInfo>> {
        Box::pin(self.read(move |step| {
            let mut query = step.prepare_cached(
                "SELECT upstream, slot, coalesce(generation, 0) AS generation, set_at
                 FROM secret LEFT JOIN secret_generation USING (tenant_id, upstream, slot)
                 WHERE tenant_id = ?1 ORDER BY upstream, slot",
            )?;
            row::all(query.query([tenant.as_bytes()])?, |row| {
                Ok(SecretInfo {
                    place: SecretPlace {
                        upstream: row::name(row, "upstream")?,
                        slot: row::slot(row, "slot")?,
                    },
                    generation: row::number(row, "generation")?,
                    set_at: row::number(row, "set_at")?,
                })
            })
        }))
    }

    fn remove(&self, tenant: TenantId, place: SecretPlace) -> Pending<'_, bool> {
        Box::pin(self.write(move |step| {
            let at = params![tenant.as_bytes(), place.upstream.as_str(), place.slot.as_str()];
            let removed = step.execute(
                "DELETE FROM secret WHERE tenant_id = ?1 AND upstream = ?2 AND slot = ?3",
                at,
            )?;
            if removed > 0 {
                step.execute(
                    "INSERT INTO secret_generation (tenant_id, upstream, slot, generation)
                     VALUES (?1, ?2, ?3, 1)
                     ON CONFLICT DO UPDATE SET generation = generation + 1",
                    at,
                )?;
            }
            Ok(removed > 0)
        }))
    }

    fn data_key(&self, tenant: TenantId) -> Pending<'_, Option<Sealed>> {
        Box::pin(self.read(move |step| data_key(step, tenant)))
    }

    fn add_data_key(&self, tenant: TenantId, fresh: Sealed) -> Pending<'_, Sealed> {
        Box::pin(self.write(move |step| {
            if let Some(kept) = data_key(step, tenant)? {
                return Ok(kept);
            }
            sealing::is_newest(step, &fresh)?;
            step.execute(
                "INSERT INTO data_key (tenant_id, sealed) VALUES (?1, ?2)",
                params![tenant.as_bytes(), fresh.as_bytes()],
            )?;
            Ok(fresh)
        }))
    }

    fn bind_root(&self, root: KeyTag) -> Pending<'_, KeyTag> {
        Box::pin(self.write(move |step| {
            step.execute(
                "INSERT INTO meta (name, value) VALUES ('root', ?1) ON CONFLICT DO NOTHING",
                [root.as_bytes()],
            )?;
            let kept: Vec<u8> =
                step.query_row("SELECT value FROM meta WHERE name = 'root'", (), |row| row.get(0))?;
            let kept = kept.try_into().map(KeyTag::from_bytes).map_err(|_| {
                StoreError::Damaged("the id of the root key has a wrong length".to_owned())
            })?;
            sealing::begin(step, kept)?;
            Ok(kept)
        }))
    }
}
