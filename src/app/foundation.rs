//! What stands before anything runs: the root key, the store, the sealed secrets.

use std::sync::Arc;

use super::error::StartError;
use crate::auth::fresh_tenant;
use crate::base::Tasks;
use crate::config::Config;
use crate::credential::Vault;
use crate::seal::{Ring, RootKey};
use crate::store::{Origin, Sqlite, Stores};

/// The opened store and its keys.
pub struct Foundation {
    /// The store.
    pub stores: Stores,
    /// The ring of the root key.
    pub ring: Arc<Ring>,
    /// The sealed secrets.
    pub vault: Vault,
    /// True when the key file was made just now.
    pub new_key_file: bool,
}

impl std::fmt::Debug for Foundation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Foundation").finish_non_exhaustive()
    }
}

impl Foundation {
    /// Opens the key file and the store that `config` names, made where both are missing, and
    /// gives the file's tenants their ids.
    ///
    /// # Errors
    /// With the line that says what to do, when either is unsafe, missing beside the other, or
    /// does not belong to it.
    pub async fn open(config: &Config, tasks: &Tasks) -> Result<Self, StartError> {
        let (root, new_key_file) =
            RootKey::create_if_missing(&config.seal.key_file, &config.store.path)?;
        let ring = Arc::new(Ring::new(&root));
        let stores = Sqlite::open(&config.store.path, tasks)?.stores();
        let vault = Vault::new(stores.secrets.clone(), ring.clone());
        vault.bind().await?;
        vault.finish_rotation().await?;
        for name in config.tenants.keys() {
            stores.tenants.adopt(fresh_tenant(name, Origin::File)?).await?;
        }
        Ok(Self { stores, ring, vault, new_key_file })
    }
}
