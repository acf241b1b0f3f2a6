//! Sealed values: the root key file, the envelope, and the keys between the two.
//!
//! root key (file) → key-encrypting key, pepper, handle and MAC keys (HKDF) → data key of a tenant
//! (random, sealed by the key-encrypting key) → value. Later generations of the key-encrypting key
//! are random, and sealed by the first. Nothing outside this module sees key bytes.

mod data_key;
mod envelope;
mod generation;
mod handle;
mod key;
mod keyring;
#[cfg(test)]
mod tests;

pub use data_key::DataKey;
pub use envelope::{KeyTag, SealError, Sealed};
pub use generation::{Generation, Row};
pub use handle::Handles;
pub use key::{KeyFileError, RootKey};
pub use keyring::{Digest, MacKey, Ring};
