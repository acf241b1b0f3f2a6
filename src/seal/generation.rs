//! The generations of the key that seals the tenants' data keys. The first is derived from the
//! root key; each later one is random, and sealed by the root key itself. A data key is opened
//! with the generation that its row names, as long as the store still has that generation.

use std::sync::{Arc, PoisonError};

use zeroize::Zeroizing;

use super::data_key::DataKey;
use super::envelope::{Context, KeyTag, SealError, Sealed, SealingKey};
use super::keyring::{Ring, sealing_key};
use crate::base::{Name, Slot, TenantId};

/// One generation, as the store has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Generation {
    /// Counts from 1.
    pub number: u64,
    /// Its public id, which stands in each row that it sealed.
    pub tag: KeyTag,
    /// Its key, sealed; `None` for the one that is derived from the root key.
    pub sealed: Option<Sealed>,
}

/// A generation whose key is at hand.
#[derive(Clone)]
pub(super) struct Held {
    number: u64,
    pub(super) key: Arc<SealingKey>,
}

/// A value in the store with everything that it is bound to.
pub type Row = (Name, Slot, u64, Sealed);

impl Held {
    pub(super) fn first(key: Arc<SealingKey>) -> Self {
        Self { number: 1, key }
    }
}

impl Ring {
    /// A new random generation of this number, sealed for the store.
    ///
    /// # Errors
    /// When the system gives no random bytes.
    pub fn new_generation(&self, number: u64) -> Result<Generation, SealError> {
        let mut bytes = Zeroizing::new([0; 32]);
        getrandom::fill(bytes.as_mut()).map_err(|_| SealError::Random)?;
        let sealed = self.wrapping.seal(&Context::Generation { number }, bytes.as_ref())?;
        Ok(Generation { number, tag: sealing_key(bytes).tag, sealed: Some(sealed) })
    }

    /// From now on these are the generations that there are; new data keys are sealed by the last.
    /// Gives those that do not open, each with the reason; what they sealed cannot be used.
    pub fn hold(&self, generations: &[Generation]) -> Vec<(u64, SealError)> {
        let (mut held, mut broken) = (Vec::with_capacity(generations.len()), Vec::new());
        for generation in generations {
            match self.open_generation(generation) {
                Ok(key) => held.push(Held { number: generation.number, key }),
                Err(reason) => broken.push((generation.number, reason)),
            }
        }
        held.sort_by_key(|held| held.number);
        *self.generations.write().unwrap_or_else(PoisonError::into_inner) = held;
        broken
    }

    fn open_generation(&self, generation: &Generation) -> Result<Arc<SealingKey>, SealError> {
        let Generation { number, tag, sealed } = generation;
        let Some(sealed) = sealed else {
            let own = self.wrapping.tag == *tag;
            return if own { Ok(self.wrapping.clone()) } else { Err(SealError::Key(*tag)) };
        };
        let value = self.wrapping.open(&Context::Generation { number: *number }, sealed)?;
        let bytes: [u8; 32] = value.as_slice().try_into().map_err(|_| SealError::Broken)?;
        let key = sealing_key(Zeroizing::new(bytes));
        if key.tag == *tag { Ok(Arc::new(key)) } else { Err(SealError::Broken) }
    }

    /// The key that seals new data keys.
    pub(super) fn newest(&self) -> Result<Arc<SealingKey>, SealError> {
        let held = self.generations.read().unwrap_or_else(PoisonError::into_inner);
        let newest = held.last().map(|held| held.key.clone());
        newest.ok_or(SealError::Key(self.wrapping.tag))
    }

    /// The key that sealed this data key.
    pub(super) fn wrapper(&self, wrapped: &Sealed) -> Result<Arc<SealingKey>, SealError> {
        let tag = wrapped.key()?;
        let held = self.generations.read().unwrap_or_else(PoisonError::into_inner);
        let found = held.iter().find(|held| held.key.tag == tag).map(|held| held.key.clone());
        found.ok_or(SealError::Key(tag))
    }

    /// The same data key, sealed by the newest generation.
    ///
    /// # Errors
    /// When it does not open, or the system gives no random bytes.
    pub fn rewrap(&self, tenant: TenantId, wrapped: &Sealed) -> Result<Sealed, SealError> {
        let context = Context::DataKey { tenant };
        let value = self.wrapper(wrapped)?.open(&context, wrapped)?;
        self.newest()?.seal(&context, &value)
    }

    /// A new data key for a tenant, and its values sealed by it, in their order and with the
    /// generations that they have. Nothing is left under the key of before.
    ///
    /// # Errors
    /// When the data key or one of the values does not open: what is broken is not covered up.
    pub fn reseal(
        &self,
        tenant: TenantId,
        wrapped: &Sealed,
        rows: &[Row],
    ) -> Result<(Sealed, Vec<Sealed>), SealError> {
        let old = self.open_data_key(tenant, wrapped)?;
        let fresh = self.new_data_key(tenant)?;
        let new: DataKey = self.open_data_key(tenant, &fresh)?;
        let sealed = rows.iter().map(|(upstream, slot, generation, sealed)| {
            let value = old.open(upstream, slot, *generation, sealed)?;
            new.seal(upstream, slot, *generation, &value)
        });
        let sealed = sealed.collect::<Result<_, _>>()?;
        Ok((fresh, sealed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Secret;
    use crate::seal::RootKey;

    #[test]
    fn a_data_key_is_opened_by_the_generation_that_it_names_while_it_is_there() {
        let (root, acme) = (RootKey::for_test(1), TenantId::from_bytes([1; 16]));
        let ring = Ring::new(&root);
        let first = Generation { number: 1, tag: ring.tag(), sealed: None };
        let old = ring.new_data_key(acme).unwrap();
        let second = ring.new_generation(2).unwrap();
        assert!(ring.hold(&[first.clone(), second.clone()]).is_empty());
        let key = ring.data_key(acme, &old).unwrap();
        let rewrapped = ring.rewrap(acme, &old).unwrap();
        assert_eq!(rewrapped.key().unwrap(), second.tag);
        assert_eq!(ring.data_key(acme, &rewrapped).unwrap().tag(), key.tag(), "the same key");
        assert_eq!(ring.new_data_key(acme).unwrap().key().unwrap(), second.tag);

        // Another process that has heard of the second only: what is under the first is over.
        let other = Ring::new(&root);
        assert_eq!(other.data_key(acme, &rewrapped).unwrap_err(), SealError::Key(second.tag));
        assert!(other.hold(std::slice::from_ref(&second)).is_empty());
        assert_eq!(other.data_key(acme, &rewrapped).unwrap().tag(), key.tag());
        assert_eq!(other.data_key(acme, &old).unwrap_err(), SealError::Key(first.tag));

        // A generation opens with its own number, id and root only.
        let moved = Generation { number: 3, ..second.clone() };
        assert_eq!(other.hold(&[moved]), [(3, SealError::Broken)]);
        let renamed = Generation { tag: first.tag, ..second.clone() };
        assert_eq!(other.hold(&[renamed]), [(2, SealError::Broken)]);
        let foreign = Ring::new(&RootKey::for_test(2));
        assert_eq!(foreign.hold(&[first, second]).len(), 2);
        assert!(foreign.new_data_key(acme).is_err(), "nothing is sealed by what is not there");
    }

    #[test]
    fn values_are_sealed_anew_all_or_none() {
        let (ring, acme) = (Ring::new(&RootKey::for_test(1)), TenantId::from_bytes([1; 16]));
        let wrapped = ring.new_data_key(acme).unwrap();
        let key = ring.data_key(acme, &wrapped).unwrap();
        let (gh, token) = (Name::new("gh").unwrap(), Slot::new("token").unwrap());
        let sealed = key.seal(&gh, &token, 7, &Secret::new("s3cret".to_owned())).unwrap();
        let row = (gh.clone(), token.clone(), 7, sealed);
        let (fresh, rows) = ring.reseal(acme, &wrapped, std::slice::from_ref(&row)).unwrap();
        let new = ring.data_key(acme, &fresh).unwrap();
        assert_ne!(new.tag(), key.tag());
        assert_eq!(new.open(&gh, &token, 7, &rows[0]).unwrap().expose(), "s3cret");
        assert_eq!(key.open(&gh, &token, 7, &rows[0]).unwrap_err(), SealError::Key(new.tag()));
        let rolled_back = (gh, token, 8, row.3.clone());
        assert_eq!(ring.reseal(acme, &wrapped, &[row, rolled_back]), Err(SealError::Broken));
    }
}
