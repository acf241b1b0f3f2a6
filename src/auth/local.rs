//! Whoever starts the process with the file and its key file in hand may act as any tenant: the
//! key file opens all that a key could protect, so none is asked for.

use std::sync::Arc;

use super::check::Auth;
use super::error::AuthError;
use super::key::id_from;
use super::principal::{Principal, TenantInfo};
use crate::base::{Name, Tasks};
use crate::store::{Origin, StoreError};

impl Auth {
    /// Acts as this tenant until it is removed. [`Auth::watch`] must run.
    ///
    /// # Errors
    /// When there is no such tenant, or the store fails.
    pub async fn local(&self, name: &Name, tasks: &Tasks) -> Result<Principal, AuthError> {
        let record = self.tenant(name).await?.ok_or_else(|| AuthError::Tenant(name.clone()))?;
        let id = id_from(&self.0.ring.digest("local key id", &[record.id.as_bytes()]));
        let tenant = Arc::new(TenantInfo::new(record.id, record.name));
        let principal = Principal::new(tenant, id, "local".to_owned(), Origin::Store);
        let (auth, watched, stop) = (self.clone(), principal.clone(), tasks.stop().clone());
        let mut changed = self.changed();
        tasks.spawn("local tenant", async move {
            loop {
                tokio::select! {
                    () = stop.cancelled() => break,
                    moved = changed.changed() => if moved.is_err() { break },
                }
                let tenant = watched.tenant();
                // While the store gives no answer, the watch over keys says what follows.
                let gone = match auth.tenant(tenant.name()).await {
                    Ok(found) => found.is_none_or(|found| found.id != tenant.id()),
                    Err(_) => false,
                };
                if gone {
                    watched.ended().cancel();
                    break;
                }
            }
        });
        Ok(principal)
    }

    async fn tenant(&self, name: &Name) -> Result<Option<crate::store::TenantRecord>, StoreError> {
        let found = self.0.stores.tenants.find(name).await?;
        Ok(found.filter(|found| found.origin != Origin::File || self.0.declared.load().has(name)))
    }
}
