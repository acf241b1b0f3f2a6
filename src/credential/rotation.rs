//! Sealing anew: another generation of the key that seals data keys, or another data key for one
//! tenant. What was sealed before opens until it is sealed anew, so nobody waits and no call fails;
//! a rotation that was cut off is finished by the next start or the next rotation.

use super::error::VaultError;
use super::vault::{TRIES, Vault};
use crate::base::{TenantId, unix_seconds};
use crate::seal::{Generation, SealError};
use crate::store::{GenerationRecord, Rewrapped, StoreError};

/// Data keys that are sealed anew in one transaction.
const BATCH: usize = 256;

/// What a rotation has done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rotated {
    /// The generation that seals now.
    pub generation: u64,
    /// Data keys that were sealed anew by it.
    pub data_keys: usize,
    /// Tenants whose data key does not open, so that it stays under an older generation.
    pub left: Vec<TenantId>,
    /// Older generations that nothing needs any more; they are gone.
    pub dropped: Vec<u64>,
}

/// What became of one tenant's values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resealed {
    /// Values that were sealed anew; `None` where the tenant never had one.
    pub secrets: Option<usize>,
}

/// True when a value was sealed by a key that is not at hand: there may be news of it.
pub(super) fn is_about_a_key(error: &VaultError) -> bool {
    matches!(
        error,
        VaultError::DataKey(SealError::Key(_))
            | VaultError::Store(StoreError::Seal(SealError::Key(_)))
    )
}

impl Vault {
    /// The generations that the store has, each with how many data keys it has sealed.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn generations(&self) -> Result<Vec<GenerationRecord>, StoreError> {
        self.secrets.generations().await
    }

    /// Takes the store's generations over.
    pub(super) async fn learn(&self) -> Result<(), StoreError> {
        let known = self.secrets.generations().await?;
        let known: Vec<Generation> = known.into_iter().map(|record| record.generation).collect();
        for (number, reason) in self.ring.hold(&known) {
            tracing::error!(
                generation = number,
                %reason,
                "a generation of the sealing key does not open; restore the store from a backup"
            );
        }
        Ok(())
    }

    /// Makes another generation and seals every tenant's data key anew by it. Values stay as they
    /// are: their data key has not changed.
    ///
    /// # Errors
    /// When the store fails, or the system gives no random bytes. What was done until then holds.
    pub async fn rotate(&self) -> Result<Rotated, VaultError> {
        let ring = self.ring.clone();
        let make = move |number| ring.new_generation(number);
        let generation = self.secrets.add_generation(unix_seconds(), Box::new(make)).await?;
        self.learn().await?;
        let (data_keys, left) = self.rewrap().await?;
        let dropped = self.secrets.drop_generations().await?;
        self.learn().await?;
        Ok(Rotated { generation, data_keys, left, dropped })
    }

    /// Finishes a rotation that was cut off.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn finish_rotation(&self) -> Result<(), VaultError> {
        if self.secrets.generations().await?.len() < 2 {
            return Ok(());
        }
        let (data_keys, _) = self.rewrap().await?;
        let dropped = self.secrets.drop_generations().await?;
        self.learn().await?;
        if data_keys > 0 || !dropped.is_empty() {
            tracing::info!(data_keys, ?dropped, "a rotation of the sealing key was finished");
        }
        Ok(())
    }

    /// Seals by the newest generation what older ones have sealed. Gives how many data keys, and
    /// whose do not open.
    async fn rewrap(&self) -> Result<(usize, Vec<TenantId>), VaultError> {
        let (mut count, mut left, mut after) = (0, Vec::new(), None);
        loop {
            let older = self.secrets.older_data_keys(after, BATCH).await?;
            let Some((last, _)) = older.last() else { return Ok((count, left)) };
            after = Some(*last);
            let mut batch = Vec::with_capacity(older.len());
            for (tenant, before) in older {
                match self.ring.rewrap(tenant, &before) {
                    Ok(now) => batch.push(Rewrapped { tenant, before, now }),
                    Err(reason) => {
                        tracing::error!(%tenant, %reason, "a tenant's data key does not open");
                        left.push(tenant);
                    }
                }
            }
            count += self.secrets.rewrap(batch).await?;
        }
    }

    /// Makes another data key for a tenant and seals all its values anew by it, at once or not
    /// at all.
    ///
    /// # Errors
    /// When one of the values does not open, or the store fails; nothing has changed then.
    pub async fn reseal(&self, tenant: TenantId) -> Result<Resealed, VaultError> {
        let mut tries = 0;
        loop {
            tries += 1;
            let ring = self.ring.clone();
            let reseal = move |wrapped: &_, rows: &[_]| ring.reseal(tenant, wrapped, rows);
            match self.secrets.reseal(tenant, Box::new(reseal)).await.map_err(VaultError::from) {
                Err(error) if tries < TRIES && is_about_a_key(&error) => self.learn().await?,
                done => {
                    self.ring.forget(tenant);
                    return Ok(Resealed { secrets: done? });
                }
            }
        }
    }
}
