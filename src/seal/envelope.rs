//! The envelope: XChaCha20-Poly1305 with a random nonce, and associated data that says what the
//! value is, so that a row moved to another place does not open.
//!
//! Row: `version (1) ‖ key id (8) ‖ nonce (24) ‖ ciphertext ‖ tag (16)`. The key is chosen by the
//! key id, never by trial, since this cipher does not commit to its key.

use std::fmt;

use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use zeroize::Zeroizing;

use crate::base::{Name, Slot, TenantId};

const VERSION: u8 = 1;
const DOMAIN: &[u8] = b"mcp-proxy-seal";
const NONCE: usize = 24;
const HEAD: usize = 1 + 8 + NONCE;
const TAG: usize = 16;

/// Why a value was not sealed or does not open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// Too short, or its tag does not fit: changed, moved from another place, or rolled back.
    #[error("the sealed value was changed, moved or rolled back")]
    Broken,
    /// A version that this program does not know.
    #[error("the sealed value has format {0}, this program knows format 1")]
    Version(u8),
    /// Sealed by another key than the ones at hand.
    #[error("the sealed value belongs to the key {0}, which is not the one at hand")]
    Key(KeyTag),
    /// The system has no randomness to give.
    #[error("the system gives no random bytes")]
    Random,
}

/// The public id of a sealing key: 8 bytes derived from it.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct KeyTag(pub(super) [u8; 8]);

impl KeyTag {
    /// The 8 bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 8] {
        &self.0
    }

    /// From 8 stored bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 8]) -> Self {
        Self(bytes)
    }
}

impl fmt::Display for KeyTag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for KeyTag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyTag({self})")
    }
}

/// Sealed bytes: what the store holds.
#[derive(Clone, PartialEq, Eq)]
pub struct Sealed(Vec<u8>);

impl Sealed {
    /// From stored bytes; whether they open is seen when they are opened.
    #[must_use]
    pub fn from_bytes(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }

    /// The bytes to store.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The public id of the key that sealed it, as the row says.
    ///
    /// # Errors
    /// When it is too short, or of another version.
    pub fn key(&self) -> Result<KeyTag, SealError> {
        let (&version, rest) = self.0.split_first().ok_or(SealError::Broken)?;
        if version != VERSION {
            return Err(SealError::Version(version));
        }
        let tag = rest.first_chunk::<8>().ok_or(SealError::Broken)?;
        Ok(KeyTag(*tag))
    }
}

impl fmt::Debug for Sealed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sealed({} bytes)", self.0.len())
    }
}

/// What a sealed value is and where it belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Context<'a> {
    /// A tenant's secret.
    Secret { tenant: TenantId, upstream: &'a Name, slot: &'a Slot, generation: u64 },
    /// A tenant's data key.
    DataKey { tenant: TenantId },
    /// A generation of the key that seals data keys.
    Generation { number: u64 },
    /// An opaque handle that a client holds for us.
    Handle { purpose: &'a str, about: &'a [u8] },
}

impl Context<'_> {
    /// The associated data: every field with its length before it, so that no two contexts share
    /// the same bytes.
    pub(super) fn associated(&self, version: u8, key: KeyTag) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(160);
        let mut field = |value: &[u8]| {
            bytes.extend_from_slice(&(value.len() as u64).to_le_bytes());
            bytes.extend_from_slice(value);
        };
        field(DOMAIN);
        field(&[version]);
        field(&key.0);
        match self {
            Self::Secret { tenant, upstream, slot, generation } => {
                field(b"secret");
                field(tenant.as_bytes());
                field(upstream.as_str().as_bytes());
                field(slot.as_str().as_bytes());
                field(&generation.to_le_bytes());
            }
            Self::DataKey { tenant } => {
                field(b"data key");
                field(tenant.as_bytes());
            }
            Self::Generation { number } => {
                field(b"generation");
                field(&number.to_le_bytes());
            }
            Self::Handle { purpose, about } => {
                field(b"handle");
                field(purpose.as_bytes());
                field(about);
            }
        }
        bytes
    }
}

/// A key with its id; the bytes are overwritten when it is dropped.
pub(super) struct SealingKey {
    pub(super) tag: KeyTag,
    pub(super) bytes: Zeroizing<[u8; 32]>,
}

impl SealingKey {
    pub(super) fn seal(&self, context: &Context<'_>, value: &[u8]) -> Result<Sealed, SealError> {
        let mut nonce = [0; NONCE];
        getrandom::fill(&mut nonce).map_err(|_| SealError::Random)?;
        self.seal_with(nonce, context, value)
    }

    pub(super) fn seal_with(
        &self,
        nonce: [u8; NONCE],
        context: &Context<'_>,
        value: &[u8],
    ) -> Result<Sealed, SealError> {
        let associated = context.associated(VERSION, self.tag);
        let ciphertext = self
            .cipher()
            .encrypt(&XNonce::from(nonce), Payload { msg: value, aad: &associated })
            .map_err(|_| SealError::Broken)?;
        let mut row = Vec::with_capacity(HEAD + ciphertext.len());
        row.push(VERSION);
        row.extend_from_slice(&self.tag.0);
        row.extend_from_slice(&nonce);
        row.extend_from_slice(&ciphertext);
        Ok(Sealed(row))
    }

    pub(super) fn open(
        &self,
        context: &Context<'_>,
        sealed: &Sealed,
    ) -> Result<Zeroizing<Vec<u8>>, SealError> {
        let (&version, rest) = sealed.0.split_first().ok_or(SealError::Broken)?;
        if version != VERSION {
            return Err(SealError::Version(version));
        }
        if sealed.0.len() < HEAD + TAG {
            return Err(SealError::Broken);
        }
        let (tag, rest) = rest.split_first_chunk::<8>().ok_or(SealError::Broken)?;
        if *tag != self.tag.0 {
            return Err(SealError::Key(KeyTag(*tag)));
        }
        let (nonce, ciphertext) = rest.split_first_chunk::<NONCE>().ok_or(SealError::Broken)?;
        let associated = context.associated(version, self.tag);
        self.cipher()
            .decrypt(&XNonce::from(*nonce), Payload { msg: ciphertext, aad: &associated })
            .map(Zeroizing::new)
            .map_err(|_| SealError::Broken)
    }

    fn cipher(&self) -> XChaCha20Poly1305 {
        XChaCha20Poly1305::new(&(*self.bytes).into())
    }
}
