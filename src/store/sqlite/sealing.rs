//! Generations of the sealing key in SQLite, and what is sealed anew under them. Each step is one
//! transaction, so that a kill in between leaves rows of two generations, which both open.

use rusqlite::{OptionalExtension, Transaction, params};

use super::super::{
    GenerationRecord, MakeGeneration, Pending, Reseal, Rewrapped, Sealing, StoreError,
};
use super::pool::Sqlite;
use super::row;
use crate::base::{TenantId, unix_seconds};
use crate::seal::{Generation, KeyTag, SealError, Sealed};

fn tag(row: &rusqlite::Row<'_>, column: &str) -> Result<KeyTag, StoreError> {
    Ok(KeyTag::from_bytes(row.get(column)?))
}

/// The first generation, which belongs to the root key.
pub(super) fn begin(step: &Transaction<'_>, root: KeyTag) -> Result<(), StoreError> {
    step.execute(
        "INSERT INTO sealing (generation, tag, made_at) SELECT 1, ?1, ?2
         WHERE NOT EXISTS (SELECT 1 FROM sealing)",
        params![root.as_bytes(), row::signed(unix_seconds())],
    )?;
    Ok(())
}

/// What seals data keys from here on is the newest generation; the store may have one that the
/// caller has not heard of.
pub(super) fn is_newest(step: &Transaction<'_>, wrapped: &Sealed) -> Result<(), StoreError> {
    let newest: Option<[u8; 8]> = step
        .prepare_cached("SELECT tag FROM sealing ORDER BY generation DESC LIMIT 1")?
        .query_row((), |row| row.get(0))
        .optional()?;
    let Some(newest) = newest.map(KeyTag::from_bytes) else { return Ok(()) };
    let own = wrapped.key()?;
    if own == newest { Ok(()) } else { Err(SealError::Key(own).into()) }
}

impl Sealing for Sqlite {
    fn generations(&self) -> Pending<'_, Vec<GenerationRecord>> {
        Box::pin(self.read(|step| {
            let mut query = step.prepare_cached(
                "SELECT generation, tag, sealed, made_at,
                     (SELECT count(*) FROM data_key
                      WHERE substr(data_key.sealed, 2, 8) = sealing.tag) AS data_keys
                 FROM sealing ORDER BY generation",
            )?;
            row::all(query.query(())?, |row| {
                let sealed: Option<Vec<u8>> = row.get("sealed")?;
                Ok(GenerationRecord {
                    generation: Generation {
                        number: row::number(row, "generation")?,
                        tag: tag(row, "tag")?,
                        sealed: sealed.map(Sealed::from_bytes),
                    },
                    made_at: row::number(row, "made_at")?,
                    data_keys: row::number(row, "data_keys")?,
                })
            })
        }))
    }

    fn add_generation(&self, made_at: u64, make: MakeGeneration) -> Pending<'_, u64> {
        Box::pin(self.write(move |step| {
            let sql = "SELECT coalesce(max(generation), 0) AS generation FROM sealing";
            let last = step.query_row(sql, (), |row| Ok(row::number(row, "generation")))??;
            let Generation { number, tag, sealed } = make(last + 1)?;
            step.execute(
                "INSERT INTO sealing (generation, tag, sealed, made_at) VALUES (?1, ?2, ?3, ?4)",
                params![
                    row::signed(number),
                    tag.as_bytes(),
                    sealed.as_ref().map(Sealed::as_bytes),
                    row::signed(made_at)
                ],
            )?;
            Ok(number)
        }))
    }

    fn older_data_keys(
        &self,
        after: Option<TenantId>,
        most: usize,
    ) -> Pending<'_, Vec<(TenantId, Sealed)>> {
        Box::pin(self.read(move |step| {
            let mut query = step.prepare_cached(
                "SELECT tenant_id, sealed FROM data_key
                 WHERE substr(sealed, 2, 8) IS NOT
                     (SELECT tag FROM sealing ORDER BY generation DESC LIMIT 1)
                   AND (?1 IS NULL OR tenant_id > ?1)
                 ORDER BY tenant_id LIMIT ?2",
            )?;
            let after = after.as_ref().map(TenantId::as_bytes);
            let rows = query.query(params![after, row::signed(most as u64)])?;
            row::all(rows, |row| {
                Ok((row::tenant(row, "tenant_id")?, Sealed::from_bytes(row.get("sealed")?)))
            })
        }))
    }

    fn rewrap(&self, keys: Vec<Rewrapped>) -> Pending<'_, usize> {
        Box::pin(self.write(move |step| {
            let mut count = 0;
            for Rewrapped { tenant, before, now } in keys {
                is_newest(step, &now)?;
                count += step.execute(
                    "UPDATE data_key SET sealed = ?3 WHERE tenant_id = ?1 AND sealed = ?2",
                    params![tenant.as_bytes(), before.as_bytes(), now.as_bytes()],
                )?;
            }
            Ok(count)
        }))
    }

    fn drop_generations(&self) -> Pending<'_, Vec<u64>> {
        Box::pin(async move {
            let dropped = self
                .write(|step| {
                    let mut query = step.prepare_cached(
                        "DELETE FROM sealing
                         WHERE generation < (SELECT max(generation) FROM sealing)
                           AND tag NOT IN (SELECT substr(sealed, 2, 8) FROM data_key)
                         RETURNING generation",
                    )?;
                    row::all(query.query(())?, |row| row::number(row, "generation"))
                })
                .await?;
            self.forget_removed().await;
            Ok(dropped)
        })
    }

    fn reseal(&self, tenant: TenantId, reseal: Reseal) -> Pending<'_, Option<usize>> {
        Box::pin(async move {
            let count = self.write(move |step| resealed(step, tenant, reseal)).await?;
            self.forget_removed().await;
            Ok(count)
        })
    }
}

impl Sqlite {
    /// Takes what was removed or replaced out of the log, too.
    async fn forget_removed(&self) {
        if let Err(error) = self.truncate_log().await {
            tracing::debug!(%error, "the log keeps removed rows until its next checkpoint");
        }
    }
}

fn resealed(
    step: &Transaction<'_>,
    tenant: TenantId,
    reseal: Reseal,
) -> Result<Option<usize>, StoreError> {
    let wrapped: Option<Vec<u8>> = step
        .prepare_cached("SELECT sealed FROM data_key WHERE tenant_id = ?1")?
        .query_row([tenant.as_bytes()], |row| row.get(0))
        .optional()?;
    let Some(wrapped) = wrapped.map(Sealed::from_bytes) else { return Ok(None) };
    let mut query = step.prepare_cached(
        "SELECT upstream, slot, coalesce(generation, 0) AS generation, sealed
         FROM secret LEFT JOIN secret_generation USING (tenant_id, upstream, slot)
         WHERE tenant_id = ?1 ORDER BY upstream, slot",
    )?;
    let rows = row::all(query.query([tenant.as_bytes()])?, |row| {
        Ok((
            row::name(row, "upstream")?,
            row::slot(row, "slot")?,
            row::number(row, "generation")?,
            Sealed::from_bytes(row.get("sealed")?),
        ))
    })?;
    let (fresh, values) = reseal(&wrapped, &rows)?;
    is_newest(step, &fresh)?;
    step.execute(
        "UPDATE data_key SET sealed = ?2 WHERE tenant_id = ?1",
        params![tenant.as_bytes(), fresh.as_bytes()],
    )?;
    for ((upstream, slot, ..), sealed) in rows.iter().zip(&values) {
        step.execute(
            "UPDATE secret SET sealed = ?4 WHERE tenant_id = ?1 AND upstream = ?2 AND slot = ?3",
            params![tenant.as_bytes(), upstream.as_str(), slot.as_str(), sealed.as_bytes()],
        )?;
    }
    Ok(Some(values.len()))
}
