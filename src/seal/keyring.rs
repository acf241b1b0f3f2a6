//! The keys derived from the root key, and the data keys of the tenants.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use hkdf::Hkdf;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use zeroize::Zeroizing;

use super::data_key::DataKey;
use super::envelope::{Context, KeyTag, SealError, Sealed, SealingKey};
use super::generation::Held;
use super::key::RootKey;
use crate::base::TenantId;

/// Most opened data keys kept at a time; the rest is opened again when needed.
const CACHED: usize = 4_096;

/// A keyed digest.
pub type Digest = [u8; 32];

/// Everything derived from one root key.
pub struct Ring {
    /// The first generation, and what seals the later ones.
    pub(super) wrapping: Arc<SealingKey>,
    /// Those that there are, the newest last.
    pub(super) generations: RwLock<Vec<Held>>,
    pepper: Hmac<Sha256>,
    handles: Zeroizing<[u8; 32]>,
    macs: Zeroizing<[u8; 32]>,
    opened: RwLock<HashMap<TenantId, Opened>>,
}

struct Opened {
    wrapped: Sealed,
    key: Arc<DataKey>,
}

impl Ring {
    /// Derives the ring from the root key, which is no longer needed afterwards.
    #[must_use]
    pub fn new(root: &RootKey) -> Self {
        let hkdf = Hkdf::<Sha256>::new(Some(b"mcp-proxy root"), root.bytes());
        let pepper = expand(&hkdf, &[b"pepper"]);
        let wrapping = Arc::new(sealing_key(expand(&hkdf, &[b"wrapping key"])));
        Self {
            generations: RwLock::new(vec![Held::first(wrapping.clone())]),
            wrapping,
            pepper: Hmac::new_from_slice(pepper.as_ref())
                .expect("HMAC takes a key of any length (RFC 2104)"),
            handles: expand(&hkdf, &[b"handles"]),
            macs: expand(&hkdf, &[b"macs"]),
            opened: RwLock::new(HashMap::new()),
        }
    }

    /// The public id of the root key: a store made with another one shows another id.
    #[must_use]
    pub fn tag(&self) -> KeyTag {
        self.wrapping.tag
    }

    /// A new random data key for a tenant, sealed for the store.
    ///
    /// # Errors
    /// When the system gives no random bytes.
    pub fn new_data_key(&self, tenant: TenantId) -> Result<Sealed, SealError> {
        let mut bytes = Zeroizing::new([0; 32]);
        getrandom::fill(bytes.as_mut()).map_err(|_| SealError::Random)?;
        self.newest()?.seal(&Context::DataKey { tenant }, bytes.as_ref())
    }

    /// Opens a tenant's data key, or gives the one already open when `wrapped` is the same.
    ///
    /// # Errors
    /// When it was changed, belongs to another tenant, or to another root key.
    pub fn data_key(&self, tenant: TenantId, wrapped: &Sealed) -> Result<Arc<DataKey>, SealError> {
        {
            let opened = self.opened.read().unwrap_or_else(PoisonError::into_inner);
            if let Some(known) = opened.get(&tenant).filter(|known| known.wrapped == *wrapped) {
                return Ok(known.key.clone());
            }
        }
        let key = Arc::new(self.open_data_key(tenant, wrapped)?);
        let mut opened = self.opened.write().unwrap_or_else(PoisonError::into_inner);
        if opened.len() >= CACHED && !opened.contains_key(&tenant) {
            opened.clear();
        }
        opened.insert(tenant, Opened { wrapped: wrapped.clone(), key: key.clone() });
        Ok(key)
    }

    /// Opens a tenant's data key without keeping it.
    pub(super) fn open_data_key(
        &self,
        tenant: TenantId,
        wrapped: &Sealed,
    ) -> Result<DataKey, SealError> {
        let value = self.wrapper(wrapped)?.open(&Context::DataKey { tenant }, wrapped)?;
        let bytes: [u8; 32] = value.as_slice().try_into().map_err(|_| SealError::Broken)?;
        Ok(DataKey { tenant, key: sealing_key(Zeroizing::new(bytes)) })
    }

    /// Drops a tenant's opened data key.
    pub fn forget(&self, tenant: TenantId) {
        self.opened.write().unwrap_or_else(PoisonError::into_inner).remove(&tenant);
    }

    /// HMAC-SHA-256 over `parts` (each with its length before it) with the pepper, which never
    /// lies beside the digests. `purpose` separates kinds of digests.
    #[must_use]
    pub fn digest(&self, purpose: &str, parts: &[&[u8]]) -> Digest {
        let mut hmac = self.pepper.clone();
        for part in std::iter::once(purpose.as_bytes()).chain(parts.iter().copied()) {
            hmac.update(&(part.len() as u64).to_le_bytes());
            hmac.update(part);
        }
        hmac.finalize().into_bytes().into()
    }

    /// A key for this purpose alone, for what is neither sealed nor a digest.
    #[must_use]
    pub fn derived(&self, purpose: &str) -> Zeroizing<[u8; 32]> {
        let hkdf = Hkdf::<Sha256>::new(Some(b"mcp-proxy derived"), self.handles.as_ref());
        expand(&hkdf, &[purpose.as_bytes()])
    }

    /// The key for authenticating what belongs to this purpose, and nothing else.
    #[must_use]
    pub fn mac_key(&self, purpose: &str) -> MacKey {
        let hkdf = Hkdf::<Sha256>::new(Some(b"mcp-proxy mac"), self.macs.as_ref());
        let bytes = expand(&hkdf, &[purpose.as_bytes()]);
        let hmac = Hmac::new_from_slice(bytes.as_ref());
        MacKey(hmac.expect("HMAC takes a key of any length (RFC 2104)"))
    }

    pub(super) fn handle_key(&self, purpose: &str) -> SealingKey {
        let hkdf = Hkdf::<Sha256>::new(Some(b"mcp-proxy handle"), self.handles.as_ref());
        sealing_key(expand(&hkdf, &[purpose.as_bytes()]))
    }
}

/// Authenticates what was written for one purpose (HMAC-SHA-256).
#[derive(Clone)]
pub struct MacKey(Hmac<Sha256>);

impl MacKey {
    /// The code of `parts`. Where one ends and the next begins is not told apart: all but the
    /// last must be of a length that the others or the purpose fix.
    #[must_use]
    pub fn code(&self, parts: &[&[u8]]) -> Digest {
        let mut hmac = self.0.clone();
        parts.iter().for_each(|part| hmac.update(part));
        hmac.finalize().into_bytes().into()
    }
}

impl fmt::Debug for MacKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MacKey([redacted])")
    }
}

impl fmt::Debug for Ring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Ring({}, [redacted])", self.wrapping.tag)
    }
}

pub(super) fn sealing_key(bytes: Zeroizing<[u8; 32]>) -> SealingKey {
    let hkdf = Hkdf::<Sha256>::new(Some(b"mcp-proxy key id"), bytes.as_ref());
    let mut tag = [0; 8];
    hkdf.expand(b"key id", &mut tag).expect("8 bytes are within HKDF's limit (RFC 5869, 2.3)");
    SealingKey { tag: KeyTag(tag), bytes }
}

fn expand(hkdf: &Hkdf<Sha256>, info: &[&[u8]]) -> Zeroizing<[u8; 32]> {
    let mut bytes = Zeroizing::new([0; 32]);
    hkdf.expand_multi_info(info, bytes.as_mut())
        .expect("32 bytes are within HKDF's limit (RFC 5869, 2.3)");
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::{Name, Secret, Slot};

    #[test]
    fn a_data_key_opens_only_for_its_tenant_and_root() {
        let ring = Ring::new(&RootKey::for_test(1));
        let (acme, globex) = (TenantId::from_bytes([1; 16]), TenantId::from_bytes([2; 16]));
        let wrapped = ring.new_data_key(acme).unwrap();
        let key = ring.data_key(acme, &wrapped).unwrap();
        assert!(Arc::ptr_eq(&key, &ring.data_key(acme, &wrapped).unwrap()));
        assert_eq!(ring.data_key(globex, &wrapped).unwrap_err(), SealError::Broken);
        let other = Ring::new(&RootKey::for_test(2));
        assert_eq!(other.data_key(acme, &wrapped).unwrap_err(), SealError::Key(ring.tag()));

        let (gh, token) = (Name::new("gh").unwrap(), Slot::new("token").unwrap());
        let value = Secret::new("s3cret".to_owned());
        let sealed = key.seal(&gh, &token, 1, &value).unwrap();
        let theirs = ring.data_key(globex, &ring.new_data_key(globex).unwrap()).unwrap();
        assert_eq!(theirs.open(&gh, &token, 1, &sealed).unwrap_err(), SealError::Key(key.tag()));
        ring.forget(acme);
        let again = ring.data_key(acme, &wrapped).unwrap();
        assert_eq!(again.open(&gh, &token, 1, &sealed).unwrap().expose(), "s3cret");
    }

    #[test]
    fn codes_keep_purposes_and_roots_apart() {
        let ring = Ring::new(&RootKey::for_test(1));
        let code = ring.mac_key("audit").code(&[b"ab", b"c"]);
        assert_eq!(code, ring.mac_key("audit").code(&[b"a", b"bc"]));
        assert_ne!(code, ring.mac_key("audit").code(&[b"ab"]));
        assert_ne!(code, ring.mac_key("tidua").code(&[b"abc"]));
        assert_ne!(code, Ring::new(&RootKey::for_test(2)).mac_key("audit").code(&[b"abc"]));
    }

    #[test]
    fn digests_keep_purposes_parts_and_roots_apart() {
        let ring = Ring::new(&RootKey::for_test(1));
        let digest = ring.digest("key", &[b"ab", b"c"]);
        assert_eq!(digest, ring.digest("key", &[b"ab", b"c"]));
        assert_ne!(digest, ring.digest("key", &[b"a", b"bc"]));
        assert_ne!(digest, ring.digest("yek", &[b"ab", b"c"]));
        assert_ne!(digest, Ring::new(&RootKey::for_test(2)).digest("key", &[b"ab", b"c"]));
    }
}
