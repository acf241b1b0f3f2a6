//! Patterns over names and URIs: `*` stands for any text, also none; all else for itself.

use std::fmt;

/// A pattern. It fits a whole text, never a part of one; case counts.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Glob(Box<str>);

impl Glob {
    /// Every text is a pattern.
    #[must_use]
    pub fn new(pattern: &str) -> Self {
        Self(pattern.into())
    }

    /// As it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it fits. Takes time in proportion to both lengths, whatever they hold.
    #[must_use]
    pub fn fits(&self, text: &str) -> bool {
        let mut parts = self.0.split('*');
        let first = parts.next().unwrap_or_default();
        let Some(mut rest) = text.strip_prefix(first) else { return false };
        let Some(last) = parts.next_back() else { return rest.is_empty() };
        for part in parts {
            let Some(at) = rest.find(part) else { return false };
            rest = &rest[at + part.len()..];
        }
        rest.ends_with(last)
    }
}

impl fmt::Debug for Glob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl fmt::Display for Glob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_star_is_any_text() {
        for (pattern, fits, misses) in [
            ("*", &["", "a", "a/b"][..], &[][..]),
            ("delete_*", &["delete_", "delete_all"], &["delete", "undelete_x", "Delete_x"]),
            ("*_a*b", &["_ab", "x_a__b", "_abb"], &["ab", "_ba", "_a"]),
            ("a*a", &["aa", "aba"], &["a", "ab"]),
            ("", &[""], &["a"]),
            ("x?[1]", &["x?[1]"], &["xy1"]),
        ] {
            let glob = Glob::new(pattern);
            fits.iter().for_each(|text| assert!(glob.fits(text), "{pattern} {text}"));
            misses.iter().for_each(|text| assert!(!glob.fits(text), "{pattern} {text}"));
        }
    }

    /// What the words say, slowly.
    fn slow(pattern: &[char], text: &[char]) -> bool {
        match (pattern.split_first(), text.split_first()) {
            (None, rest) => rest.is_none(),
            (Some(('*', more)), rest) => {
                slow(more, text) || rest.is_some_and(|(_, rest)| slow(pattern, rest))
            }
            (Some((char, more)), Some((other, rest))) => char == other && slow(more, rest),
            (Some(_), None) => false,
        }
    }

    proptest! {
        #[test]
        fn it_means_what_the_words_say(pattern in "[ab*]{0,8}", text in "[ab]{0,8}") {
            let chars = |text: &str| text.chars().collect::<Vec<_>>();
            prop_assert_eq!(Glob::new(&pattern).fits(&text), slow(&chars(&pattern), &chars(&text)));
        }
    }
}
