//! Secrets whose source the operator's file names.

use std::collections::{BTreeMap, HashMap};

use super::vault::check_value;
use crate::base::{Name, Secret, Slot};
use crate::config::{SecretSource, TenantDeclaration};

type Place = (Name, Name, Slot);

/// The values of the file, by tenant, upstream and slot. They precede the store's.
#[derive(Default)]
pub struct DeclaredSecrets(HashMap<Place, Result<Secret, String>>);

impl DeclaredSecrets {
    /// Reads every source with `resolve`. One that cannot be read leaves its own upstream in need
    /// of setup for that tenant; it is logged and nothing else stops.
    #[must_use]
    pub fn read(
        tenants: &BTreeMap<Name, TenantDeclaration>,
        resolve: &dyn Fn(&SecretSource) -> Result<Secret, String>,
    ) -> Self {
        let mut values = HashMap::new();
        for (tenant, declaration) in tenants {
            for ((upstream, slot), source) in &declaration.secrets {
                let value = resolve(source).and_then(|value| match check_value(&value) {
                    Ok(()) => Ok(value),
                    Err(error) => Err(error.to_string()),
                });
                if let Err(reason) = &value {
                    tracing::error!(%tenant, %upstream, %slot, %reason, "a secret of the file is missing");
                }
                values.insert((tenant.clone(), upstream.clone(), slot.clone()), value);
            }
        }
        Self(values)
    }

    pub(super) fn get(
        &self,
        tenant: &Name,
        upstream: &Name,
        slot: &Slot,
    ) -> Option<&Result<Secret, String>> {
        self.0.get(&(tenant.clone(), upstream.clone(), slot.clone()))
    }
}
