//! Opaque handles: state that a client carries for us and can neither read nor change.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::envelope::{Context, SealError, Sealed, SealingKey};
use super::keyring::Ring;

impl Ring {
    /// Seals `value` into base64url text. `purpose` separates kinds of handles; `about` is what
    /// the handle belongs to (tenant, key, door) and must be the same when it is opened.
    ///
    /// # Errors
    /// When the system gives no random bytes.
    pub fn seal_handle(
        &self,
        purpose: &str,
        about: &[u8],
        value: &[u8],
    ) -> Result<String, SealError> {
        let sealed = self.handle_key(purpose).seal(&Context::Handle { purpose, about }, value)?;
        Ok(URL_SAFE_NO_PAD.encode(sealed.as_bytes()))
    }

    /// Opens what `seal_handle` made for the same purpose and owner.
    ///
    /// # Errors
    /// For any other text, with nothing that tells the client why.
    pub fn open_handle(
        &self,
        purpose: &str,
        about: &[u8],
        handle: &str,
    ) -> Result<Vec<u8>, SealError> {
        let bytes = URL_SAFE_NO_PAD.decode(handle).map_err(|_| SealError::Broken)?;
        let context = Context::Handle { purpose, about };
        let value = self.handle_key(purpose).open(&context, &Sealed::from_bytes(bytes))?;
        Ok(value.to_vec())
    }

    /// Handles of one purpose, for whoever needs nothing else of the ring.
    #[must_use]
    pub fn handles(&self, purpose: &'static str) -> Handles {
        Handles { key: self.handle_key(purpose), purpose }
    }
}

/// Seals and opens handles of one purpose, as bytes.
pub struct Handles {
    key: SealingKey,
    purpose: &'static str,
}

impl std::fmt::Debug for Handles {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Handles").field("purpose", &self.purpose).finish_non_exhaustive()
    }
}

impl Handles {
    /// Seals `value` for what `about` names, which must be the same when it is opened.
    ///
    /// # Errors
    /// When the system gives no random bytes.
    pub fn seal(&self, about: &[u8], value: &[u8]) -> Result<Sealed, SealError> {
        self.key.seal(&Context::Handle { purpose: self.purpose, about }, value)
    }

    /// Opens what `seal` made for the same purpose and owner.
    ///
    /// # Errors
    /// For anything else.
    pub fn open(&self, about: &[u8], sealed: &Sealed) -> Result<Vec<u8>, SealError> {
        let value = self.key.open(&Context::Handle { purpose: self.purpose, about }, sealed)?;
        Ok(value.to_vec())
    }
}

#[cfg(test)]
mod tests {
    use crate::seal::{Ring, RootKey};

    #[test]
    fn a_handle_opens_only_for_its_purpose_owner_and_ring() {
        let ring = Ring::new(&RootKey::for_test(1));
        let handle = ring.seal_handle("cursor", b"acme/door", b"page 2").unwrap();
        assert_eq!(ring.open_handle("cursor", b"acme/door", &handle).unwrap(), b"page 2");
        assert!(ring.open_handle("cursor", b"globex/door", &handle).is_err());
        assert!(ring.open_handle("task", b"acme/door", &handle).is_err());
        let other = Ring::new(&RootKey::for_test(2));
        assert!(other.open_handle("cursor", b"acme/door", &handle).is_err());
        for at in 0..handle.len() {
            let mut bytes = handle.clone().into_bytes();
            bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
            let text = String::from_utf8(bytes).unwrap();
            assert!(ring.open_handle("cursor", b"acme/door", &text).is_err(), "{at}");
        }
        for junk in ["", "====", "%%%", "AQ"] {
            assert!(ring.open_handle("cursor", b"acme/door", junk).is_err());
        }
    }
}
