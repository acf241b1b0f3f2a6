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

    /// Where other values stand than in `old`, by tenant and upstream, each once.
    #[must_use]
    pub(super) fn changed(&self, old: &Self) -> Vec<(Name, Name)> {
        let same = |place: &Place, other: &Self| match (self.0.get(place), other.0.get(place)) {
            (Some(Ok(one)), Some(Ok(two))) => one.expose() == two.expose(),
            (Some(Err(_)), Some(Err(_))) => true,
            _ => false,
        };
        let places = self.0.keys().chain(old.0.keys()).filter(|place| !same(place, old));
        let mut places: Vec<_> =
            places.map(|(tenant, upstream, _)| (tenant.clone(), upstream.clone())).collect();
        places.sort();
        places.dedup();
        places
    }

    /// The slots of an upstream that the file fills for a tenant.
    pub(super) fn slots<'a>(
        &'a self,
        tenant: &'a Name,
        upstream: &'a Name,
    ) -> impl Iterator<Item = &'a Slot> {
        let places = self.0.keys().filter(move |place| place.0 == *tenant && place.1 == *upstream);
        places.map(|(.., slot)| slot)
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

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    #[test]
    fn places_with_other_values_are_told_apart() {
        let read = |values: &[(&str, &str, &str)]| {
            let mut tenants = BTreeMap::<Name, TenantDeclaration>::new();
            for (tenant, upstream, value) in values {
                let place = (Name::new(upstream).unwrap(), Slot::new("token").unwrap());
                let source = SecretSource::File(PathBuf::from(value));
                let tenant = tenants.entry(Name::new(tenant).unwrap()).or_default();
                tenant.secrets.insert(place, source);
            }
            DeclaredSecrets::read(&tenants, &|source| match source {
                SecretSource::File(path) if path.as_os_str() != "gone" => {
                    Ok(Secret::new(path.display().to_string()))
                }
                _ => Err("it is gone".to_owned()),
            })
        };
        let old = read(&[("a", "up", "1"), ("a", "other", "1"), ("b", "up", "gone")]);
        let changed = |new: &[(&str, &str, &str)]| -> Vec<String> {
            let changed = read(new).changed(&old);
            changed.iter().map(|(tenant, upstream)| format!("{tenant}/{upstream}")).collect()
        };
        assert!(changed(&[("a", "up", "1"), ("a", "other", "1"), ("b", "up", "gone")]).is_empty());
        assert_eq!(changed(&[("a", "up", "2"), ("b", "up", "1")]), ["a/other", "a/up", "b/up"]);
    }
}
