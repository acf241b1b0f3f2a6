//! Public names of tools and prompts, both directions.

use std::fmt::Write;

use sha2::{Digest, Sha256};

use crate::base::Name;

/// Makes public names: `{upstream}{separator}{name}`, at most `max_name` bytes of
/// `[A-Za-z0-9_-]` after the separator, so that every client takes them (protocol.md 4.1).
#[derive(Debug, Clone)]
pub struct Namer {
    separator: String,
    max_name: usize,
}

/// `_` and eight hex digits.
const MARK: usize = 9;

impl Namer {
    /// From `[namespace]`.
    #[must_use]
    pub fn new(separator: &str, max_name: usize) -> Self {
        Self { separator: separator.to_owned(), max_name }
    }

    /// The public name of `original`. Foreign characters become `_`, a long name is cut, and in
    /// both cases a short hash of (upstream, original) makes it its own again.
    #[must_use]
    pub fn public(&self, upstream: &Name, original: &str) -> String {
        let mut public = String::with_capacity(self.max_name.max(16));
        public.push_str(upstream.as_str());
        public.push_str(&self.separator);
        let start = public.len();
        let allowed = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
        public.extend(original.chars().map(|c| if allowed(c) { c } else { '_' }));
        if public[start..] == *original && public.len() <= self.max_name && !original.is_empty() {
            return public;
        }
        public.truncate(self.max_name.saturating_sub(MARK).max(start));
        let hash = Sha256::new()
            .chain_update(upstream.as_str())
            .chain_update([0])
            .chain_update(original)
            .finalize();
        public.push('_');
        for byte in &hash[..4] {
            // Writing to a String cannot fail.
            let _ = write!(public, "{byte:02x}");
        }
        public
    }

    /// The upstream's part and the rest of a public name. The rest is the original name unless
    /// it was shortened; only the catalogue can tell.
    #[must_use]
    pub fn split<'a>(&self, public: &'a str) -> Option<(&'a str, &'a str)> {
        public.split_once(self.separator.as_str())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    fn namer() -> Namer {
        Namer::new("__", 48)
    }

    #[test]
    fn plain_names_are_prefixed_and_others_get_a_hash() {
        let gh = Name::new("gh").unwrap();
        assert_eq!(namer().public(&gh, "create_issue"), "gh__create_issue");
        let dotted = namer().public(&gh, "repo.get");
        assert!(dotted.starts_with("gh__repo_get_"), "{dotted}");
        let long = namer().public(&gh, &"x".repeat(100));
        assert_eq!(long.len(), 48);
        assert_ne!(long, namer().public(&gh, &"x".repeat(101)));
    }

    proptest! {
        #[test]
        fn names_fit_every_client_and_lead_back(upstream in "[a-z0-9-]{1,20}", original in ".{0,80}") {
            let upstream = Name::new(&upstream).unwrap();
            let public = namer().public(&upstream, &original);
            prop_assert!(public.len() <= 48);
            prop_assert!(public.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'_' || c == b'-'));
            let namer = namer();
            let (prefix, rest) = namer.split(&public).unwrap();
            prop_assert_eq!(prefix, upstream.as_str());
            prop_assert!(rest == original || rest.len() >= MARK);
        }

        #[test]
        fn different_names_stay_different(names in proptest::collection::hash_set("[a-z._/]{1,60}", 1..40)) {
            let upstream = Name::new("up").unwrap();
            let mut seen = HashMap::new();
            for name in names {
                let other = seen.insert(namer().public(&upstream, &name), name.clone());
                prop_assert!(other.is_none(), "{:?} and {:?}", other, name);
            }
        }
    }
}
