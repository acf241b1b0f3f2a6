//! Who waits for an answer, as an upstream's link sees it.

use std::hash::{BuildHasher, Hash, RandomState};
use std::sync::LazyLock;

/// Each process hashes differently, so that nobody can look for two callers with the same number.
static KEY: LazyLock<RandomState> = LazyLock::new(RandomState::new);

/// Who waits for an answer: in the legacy era a client session, in the modern era a principal.
/// A link only compares them, to find out whether all calls in flight are of one caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Asker(u64);

impl Asker {
    /// `of` is everything that tells one caller from all others of all tenants, such as the
    /// tenant's id with the session's or the key's. Costs a hash and no memory.
    #[must_use]
    pub fn new(of: &impl Hash) -> Self {
        Self(KEY.hash_one(of))
    }
}
