//! Sealing into the store and opening what comes out of it.
//!
//! Noticed: a value that was changed, swapped with another tenant's, upstream's or slot's, put
//! back from an older copy, or brought back after its removal. Not noticed: a value put back
//! together with its counter (or the whole file) while no proxy runs that has seen a later one.
//! Only something kept outside the file could tell, and there is nothing.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::error::{ValueError, VaultError};
use super::rotation::is_about_a_key;
use crate::base::{Name, Secret, Slot, TenantId, unix_seconds};
use crate::seal::{DataKey, Ring, SealError, Sealed};
use crate::store::{SecretPlace, Secrets, StoreError};

const LONGEST: usize = 64 * 1024;
/// How often something is tried while others seal it anew.
pub(super) const TRIES: usize = 3;

/// Whether a text can be a secret.
///
/// # Errors
/// When it is empty, too long, or has CR, LF or NUL.
pub fn check_value(value: &Secret) -> Result<(), ValueError> {
    let bytes = value.expose().as_bytes();
    if bytes.is_empty() {
        Err(ValueError::Empty)
    } else if bytes.len() > LONGEST {
        Err(ValueError::TooLong)
    } else if memchr::memchr3(b'\r', b'\n', 0, bytes).is_some() {
        Err(ValueError::Control)
    } else {
        Ok(())
    }
}

/// A value as it came out of the store.
pub(super) struct Opened {
    pub(super) generation: u64,
    pub(super) value: Result<Secret, SealError>,
}

/// The sealed secrets of all tenants. Clones share everything.
#[derive(Clone)]
pub struct Vault {
    pub(super) secrets: Arc<dyn Secrets>,
    pub(super) ring: Arc<Ring>,
}

impl Vault {
    /// Over a store, with the ring that seals for it.
    #[must_use]
    pub fn new(secrets: Arc<dyn Secrets>, ring: Arc<Ring>) -> Self {
        Self { secrets, ring }
    }

    /// Binds the store to this root key, or refuses one that belongs to another.
    ///
    /// # Errors
    /// When another root key made the store, or the store fails.
    pub async fn bind(&self) -> Result<(), VaultError> {
        let ours = self.ring.tag();
        let store = self.secrets.bind_root(ours).await?;
        if store != ours {
            return Err(VaultError::OtherRoot { store, ours });
        }
        self.learn().await?;
        Ok(())
    }

    /// Seals a value into a slot. Gives the slot's new generation.
    ///
    /// # Errors
    /// When the value cannot be a secret, the tenant is unknown, or the store fails.
    pub async fn set(
        &self,
        tenant: TenantId,
        place: SecretPlace,
        value: Secret,
    ) -> Result<u64, VaultError> {
        check_value(&value)?;
        let value = Arc::new(value);
        let mut tries = 0;
        loop {
            tries += 1;
            match self.put(tenant, place.clone(), value.clone(), None).await {
                // Another process has sealed it anew meanwhile.
                Err(error) if tries < TRIES && is_about_a_key(&error) => self.learn().await?,
                Ok(generation) => return Ok(generation.unwrap_or_default()),
                Err(error) => return Err(error),
            }
        }
    }

    /// The same where the slot still has the generation `before`; `None` when it was written or
    /// removed meanwhile, and nothing is written then.
    pub(super) async fn set_after(
        &self,
        tenant: TenantId,
        place: SecretPlace,
        value: Secret,
        before: Option<u64>,
    ) -> Result<Option<u64>, VaultError> {
        check_value(&value)?;
        let value = Arc::new(value);
        let mut tries = 0;
        loop {
            tries += 1;
            match self.put(tenant, place.clone(), value.clone(), before).await {
                Err(error) if tries < TRIES && is_about_a_key(&error) => self.learn().await?,
                done => return done,
            }
        }
    }

    async fn put(
        &self,
        tenant: TenantId,
        place: SecretPlace,
        value: Arc<Secret>,
        before: Option<u64>,
    ) -> Result<Option<u64>, VaultError> {
        let key = match self.secrets.data_key(tenant).await? {
            Some(wrapped) => wrapped,
            None => {
                let fresh = self.ring.new_data_key(tenant).map_err(VaultError::DataKey)?;
                self.secrets.add_data_key(tenant, fresh).await?
            }
        };
        self.ring.data_key(tenant, &key).map_err(VaultError::DataKey)?;
        let SecretPlace { upstream, slot } = place.clone();
        let ring = self.ring.clone();
        let late = Arc::new(AtomicBool::new(false));
        let told = late.clone();
        let seal = move |generation, now: Option<&Sealed>| {
            if before.is_some_and(|before| before + 1 != generation) {
                told.store(true, Ordering::Relaxed);
                return Err(SealError::Broken);
            }
            // Most often the one that was opened just now.
            let key = ring.data_key(tenant, now.ok_or(SealError::Broken)?)?;
            key.seal(&upstream, &slot, generation, &value)
        };
        match self.secrets.put(tenant, place, unix_seconds(), Box::new(seal)).await {
            Err(_) if late.load(Ordering::Relaxed) => Ok(None),
            done => Ok(Some(done?)),
        }
    }

    /// Opens what `wanted` names of a tenant's values for one upstream, or all of them. A row that
    /// does not open is an error of its slot alone.
    pub(super) async fn open(
        &self,
        tenant: TenantId,
        upstream: &Name,
        wanted: Option<&[&Slot]>,
    ) -> Result<BTreeMap<Slot, Opened>, StoreError> {
        let mut tries = 0;
        loop {
            tries += 1;
            let opened = self.open_once(tenant, upstream, wanted).await?;
            let other = |opened: &Opened| matches!(opened.value, Err(SealError::Key(_)));
            if tries == TRIES || !opened.values().any(other) {
                return Ok(opened);
            }
            // It was sealed anew between the readings, or by another process.
            self.learn().await?;
        }
    }

    async fn open_once(
        &self,
        tenant: TenantId,
        upstream: &Name,
        wanted: Option<&[&Slot]>,
    ) -> Result<BTreeMap<Slot, Opened>, StoreError> {
        let rows = self.secrets.of_upstream(tenant, upstream).await?;
        if rows.is_empty() {
            return Ok(BTreeMap::new());
        }
        let key: Result<Arc<DataKey>, SealError> = match self.secrets.data_key(tenant).await? {
            Some(wrapped) => self.ring.data_key(tenant, &wrapped),
            None => Err(SealError::Broken),
        };
        let mut opened = BTreeMap::new();
        for row in rows {
            if wanted.is_none_or(|wanted| wanted.contains(&&row.slot)) {
                let value = key
                    .clone()
                    .and_then(|key| key.open(upstream, &row.slot, row.generation, &row.sealed));
                opened.insert(row.slot, Opened { generation: row.generation, value });
            }
        }
        Ok(opened)
    }
}
