//! The map of the call path.

/// A hash map with a fast keyed hash: its keys are ours or were listed by an upstream, and each
/// process hashes them differently.
pub type Map<K, V> = std::collections::HashMap<K, V, foldhash::fast::RandomState>;
