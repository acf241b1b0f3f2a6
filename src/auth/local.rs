//! Whoever starts the process with the file and its key file in hand may act as any tenant: the
//! key file opens all that a key could protect, so none is asked for.

use std::sync::Arc;

use super::check::Auth;
use super::error::AuthError;
use super::key::id_from;
use super::principal::{Operator, Principal, Shown, TenantInfo};
use crate::base::{KeyId, Name, Role, Scopes, Tasks};
use crate::seal::Ring;
use crate::store::Origin;

/// The public id under which whoever holds the root key acts as the operator.
#[must_use]
pub(super) fn local_operator(ring: &Ring) -> KeyId {
    id_from(&ring.digest("local key id", &[b"operator"]))
}

impl Operator {
    /// Whoever holds the root key.
    pub(super) fn local(id: KeyId) -> Self {
        Self::new(Shown {
            key: id,
            name: "local".to_owned(),
            origin: Origin::Store,
            role: Role::Operator,
            scopes: Scopes::everything(),
            holder: id,
            until: None,
        })
    }
}

impl Auth {
    /// Somebody of the same tenant with these scopes, for as long as `principal` is good: to tell
    /// what another key of the tenant may do.
    #[must_use]
    pub fn stand_in(&self, principal: &Principal, scopes: Scopes) -> Principal {
        let tenant = principal.tenant().clone();
        let id = id_from(&self.0.ring.digest("local key id", &[tenant.id().as_bytes()]));
        let shown = Shown {
            key: id,
            name: "local".to_owned(),
            origin: Origin::Store,
            role: Role::Member,
            scopes,
            holder: id,
            until: None,
        };
        Principal::until(tenant, shown, principal.ended())
    }

    /// Acts as this tenant until it is removed, with these scopes. [`Auth::watch`] must run.
    ///
    /// # Errors
    /// When there is no such tenant, or the store fails.
    pub async fn local(
        &self,
        name: &Name,
        scopes: Scopes,
        tasks: &Tasks,
    ) -> Result<Principal, AuthError> {
        let record = self.tenant(name).await?.ok_or_else(|| AuthError::Tenant(name.clone()))?;
        let id = id_from(&self.0.ring.digest("local key id", &[record.id.as_bytes()]));
        let tenant = Arc::new(TenantInfo::new(record.id, record.name));
        let shown = Shown {
            key: id,
            name: "local".to_owned(),
            origin: Origin::Store,
            role: Role::Admin,
            scopes,
            holder: id,
            until: None,
        };
        let principal = Principal::new(tenant, shown);
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
}
