//! What a key may use: profiles by name, tools by patterns.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use super::{Glob, Name, Narrow};

/// Most scopes of one key.
const MOST: usize = 64;
/// Longest scope in bytes.
const LONGEST: usize = 200;

/// One scope, in a text without spaces (RFC 6749, section 3.3).
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Scope {
    /// `profile:NAME`: the doors of this profile.
    Profile(Name),
    /// `tool:UPSTREAM__NAME`, each part with `*` for any run of characters: these tools. The two
    /// underscores stand here whatever `separator` the file has, and NAME is the upstream's own.
    Tools {
        /// Pattern of the upstream's name.
        upstream: Box<str>,
        /// Pattern of the tool's own name.
        tool: Box<str>,
    },
}

/// A text that is no scope.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ScopeError {
    /// Neither a profile nor a pattern of tools.
    #[error(
        "`{0}` is no scope; write `profile:NAME` for a profile, or `tool:UPSTREAM__NAME` with `*` for any \
         characters, such as `tool:gh__get_*`"
    )]
    Text(String),
    /// Too many.
    #[error("there are more than {MOST} scopes; use patterns, or a profile")]
    TooMany,
}

impl FromStr for Scope {
    type Err = ScopeError;

    /// Reads `profile:NAME` or `tool:UPSTREAM__NAME`. Without a prefix, a text with `__` means
    /// tools and any other a profile.
    fn from_str(text: &str) -> Result<Self, ScopeError> {
        let wrong = || ScopeError::Text(text.chars().take(80).collect());
        // Scope tokens of RFC 6749: no space, quote or backslash.
        let fits = |c: u8| c.is_ascii_graphic() && !matches!(c, b'"' | b'\\' | b',');
        if text.is_empty() || text.len() > LONGEST || !text.bytes().all(fits) {
            return Err(wrong());
        }
        let (profile, rest) = match (text.strip_prefix("profile:"), text.strip_prefix("tool:")) {
            (Some(name), _) => (true, name),
            (None, Some(tools)) => (false, tools),
            (None, None) => (!text.contains("__"), text),
        };
        if profile {
            return Name::new(rest).map(Self::Profile).map_err(|_| wrong());
        }
        let (upstream, tool) = rest.split_once("__").ok_or_else(wrong)?;
        let name = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, b'-' | b'*');
        if upstream.is_empty() || tool.is_empty() || !upstream.bytes().all(name) {
            return Err(wrong());
        }
        Ok(Self::Tools { upstream: upstream.into(), tool: tool.into() })
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Profile(name) => write!(f, "profile:{name}"),
            Self::Tools { upstream, tool } => write!(f, "tool:{upstream}__{tool}"),
        }
    }
}

/// The scopes of a key, ready to judge with. Without any, everything of its tenant may be used.
/// Scopes of one kind add up; those of profiles and those of tools both have to hold.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Scopes(Option<Arc<[Scope]>>);

impl Scopes {
    /// No scopes: no limits.
    #[must_use]
    pub const fn everything() -> Self {
        Self(None)
    }

    /// These, in order and each once.
    ///
    /// # Errors
    /// When there are too many.
    pub fn new(scopes: impl IntoIterator<Item = Scope>) -> Result<Self, ScopeError> {
        let mut scopes: Vec<Scope> = scopes.into_iter().collect();
        scopes.sort_unstable();
        scopes.dedup();
        match scopes.len() {
            0 => Ok(Self(None)),
            1..=MOST => Ok(Self(Some(scopes.into()))),
            _ => Err(ScopeError::TooMany),
        }
    }

    /// From texts, one scope each.
    ///
    /// # Errors
    /// When one is no scope, or there are too many.
    pub fn read<'a>(texts: impl IntoIterator<Item = &'a str>) -> Result<Self, ScopeError> {
        let scopes: Result<Vec<Scope>, _> = texts.into_iter().map(str::parse).collect();
        Self::new(scopes?)
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &Scope> {
        self.0.iter().flat_map(|scopes| scopes.iter())
    }

    /// True when nothing is limited.
    #[must_use]
    pub fn is_everything(&self) -> bool {
        self.0.is_none()
    }

    fn has(&self, kind: impl Fn(&Scope) -> bool) -> bool {
        self.iter().any(kind)
    }

    /// Whether the doors of a profile, or without a name the doors of everything, may be used.
    ///
    /// # Errors
    /// With the scopes that would do, as `WWW-Authenticate` names them (RFC 6750, section 3.1).
    pub fn opens(&self, profile: Option<&Name>) -> Result<(), String> {
        if self.is_everything() || !self.has(|scope| matches!(scope, Scope::Profile(_))) {
            return Ok(());
        }
        match profile {
            Some(name) if self.has(|scope| matches!(scope, Scope::Profile(own) if own == name)) => {
                Ok(())
            }
            Some(name) => Err(Scope::Profile(name.clone()).to_string()),
            // Nothing that could be added opens it: the key is for profiles.
            None => Err("profile:*".to_owned()),
        }
    }

    /// What they take away, for the policy. Prompts and resources have no scopes of their own: who
    /// may use only some tools of an upstream does not see them.
    #[must_use]
    pub fn narrow(&self) -> Narrow {
        let profiles = self.iter().filter_map(|scope| match scope {
            Scope::Profile(name) => Some(name.clone()),
            Scope::Tools { .. } => None,
        });
        let tools = self.iter().filter_map(|scope| match scope {
            Scope::Tools { upstream, tool } => Some((Glob::new(upstream), Glob::new(tool))),
            Scope::Profile(_) => None,
        });
        let (profiles, tools): (BTreeSet<Name>, Vec<_>) = (profiles.collect(), tools.collect());
        Narrow::new(
            Some(profiles).filter(|profiles| !profiles.is_empty()),
            Some(tools).filter(|tools| !tools.is_empty()),
        )
    }

    /// Whether `other` asks for no more than these allow.
    ///
    /// # Errors
    /// With what goes beyond.
    pub fn cover(&self, other: &Self) -> Result<(), String> {
        let profiles = |scope: &Scope| matches!(scope, Scope::Profile(_));
        for (kind, word) in [(true, "profile"), (false, "tool")] {
            let own = |scope: &Scope| profiles(scope) == kind;
            if !self.has(own) {
                continue;
            }
            if !other.has(own) {
                return Err(format!("every {word}"));
            }
            let beyond = other.iter().filter(|scope| own(scope)).find(|scope| !self.grants(scope));
            if let Some(beyond) = beyond {
                return Err(beyond.to_string());
            }
        }
        Ok(())
    }

    fn grants(&self, wanted: &Scope) -> bool {
        self.has(|own| match (own, wanted) {
            (Scope::Profile(own), Scope::Profile(wanted)) => own == wanted,
            // A pattern covers another when it matches the other's own text.
            (Scope::Tools { upstream, tool }, Scope::Tools { upstream: on, tool: of }) => {
                matches(upstream, on) && matches(tool, of)
            }
            _ => false,
        })
    }
}

impl fmt::Display for Scopes {
    /// All, with a space between them.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, scope) in self.iter().enumerate() {
            let space = if index > 0 { " " } else { "" };
            write!(f, "{space}{scope}")?;
        }
        Ok(())
    }
}

/// Whether a pattern fits a text, which may be another pattern.
fn matches(pattern: &str, text: &str) -> bool {
    Glob::new(pattern).fits(text)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn scopes(text: &str) -> Scopes {
        Scopes::read(text.split_whitespace()).unwrap()
    }

    #[test]
    fn scopes_are_read_and_printed_in_one_form() {
        let both = scopes("tool:gh__get_* support gh__get_* profile:support");
        assert_eq!(both.to_string(), "profile:support tool:gh__get_*");
        for wrong in [
            "",
            "profile:",
            "profile:A",
            "tool:gh",
            "tool:__x",
            "tool:gh__",
            "gh x",
            "Gh__x",
            "a,b__c",
        ] {
            assert!(wrong.parse::<Scope>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn profiles_and_tools_both_have_to_hold() {
        let support = Name::new("support").unwrap();
        let sales = Name::new("sales").unwrap();
        let (gh, crm) = (Name::new("gh").unwrap(), Name::new("crm").unwrap());
        assert!(Scopes::everything().opens(None).is_ok());
        assert!(Scopes::everything().narrow().is_none());
        let both = scopes("support gh__get_* crm__*");
        assert!(both.opens(Some(&support)).is_ok());
        assert_eq!(both.opens(Some(&sales)).unwrap_err(), "profile:sales");
        assert!(both.opens(None).is_err());
        let narrow = both.narrow();
        assert!(narrow.opens(Some(&support)) && !narrow.opens(Some(&sales)) && !narrow.opens(None));
        assert!(narrow.admits_tool(&gh, "get_me") && !narrow.admits_tool(&gh, "delete"));
        assert!(narrow.leaves_whole(&crm) && !narrow.leaves_whole(&gh));
        assert!(scopes("gh__*").opens(None).is_ok(), "tools alone close no door");
        let profile = scopes("support").narrow();
        assert!(profile.admits_tool(&gh, "delete"), "a profile alone hides no tool");
    }

    #[test]
    fn nobody_gives_more_than_he_has() {
        let own = scopes("support gh__get_*");
        for less in ["support gh__get_me", "support gh__get_*", "support gh__get_a* gh__get_b"] {
            assert_eq!(own.cover(&scopes(less)), Ok(()), "{less}");
        }
        for (more, beyond) in [
            ("", "every profile"),
            ("support", "every tool"),
            ("sales gh__get_me", "profile:sales"),
            ("support gh__*", "tool:gh__*"),
            ("support gh__get_me crm__x", "tool:crm__x"),
        ] {
            assert_eq!(own.cover(&scopes(more)).unwrap_err(), beyond, "{more}");
        }
        assert_eq!(Scopes::everything().cover(&own), Ok(()));
    }

    proptest! {
        #[test]
        fn a_pattern_covers_only_what_it_matches(
            own in "[ab*]{1,6}", wanted in "[ab*]{1,6}", text in "[ab]{0,8}",
        ) {
            // What `cover` lets through must not match anything that the pattern does not.
            if matches(&own, &wanted) && matches(&wanted, &text) {
                prop_assert!(matches(&own, &text), "{own} covers {wanted}, but not {text}");
            }
        }

        #[test]
        fn no_text_panics(text in "\\PC{0,40}", pattern in "\\PC{0,20}") {
            let _ = text.parse::<Scope>();
            let _ = matches(&pattern, &text);
        }
    }
}
