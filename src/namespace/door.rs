//! The doors, as far as names are concerned.

use std::borrow::Cow;

use crate::base::Name;

/// The path a client came in by.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Door {
    /// `/mcp`: every upstream, names prefixed.
    Merged,
    /// `/mcp/{upstream}`: one upstream, names as they are.
    Single(Name),
    /// `/p/{profile}/mcp`: the upstreams of a profile, names prefixed.
    Profile(Name),
}

impl Door {
    /// The door that a path stands for, whether or not the file has such an upstream or profile.
    /// A connector door is the same as the one without `/connect`.
    #[must_use]
    pub fn parse(path: &str) -> Option<Self> {
        let path = path.strip_prefix("/connect").unwrap_or(path);
        if let Some(profile) = path.strip_prefix("/p/") {
            return Name::new(profile.strip_suffix("/mcp")?).ok().map(Self::Profile);
        }
        match path.strip_prefix("/mcp")? {
            "" => Some(Self::Merged),
            rest => Name::new(rest.strip_prefix('/')?).ok().map(Self::Single),
        }
    }

    /// True when names and URIs are made public here.
    #[must_use]
    pub fn merges(&self) -> bool {
        !matches!(self, Self::Single(_))
    }

    /// The profile whose door it is.
    #[must_use]
    pub fn profile(&self) -> Option<&Name> {
        match self {
            Self::Profile(name) => Some(name),
            Self::Merged | Self::Single(_) => None,
        }
    }

    /// What handles that were made at this door are bound to; no two doors have the same.
    #[must_use]
    pub fn label(&self) -> Cow<'_, str> {
        match self {
            Self::Merged => Cow::Borrowed(""),
            Self::Single(name) => Cow::Borrowed(name.as_str()),
            // No name has a slash in it.
            Self::Profile(name) => Cow::Owned(format!("p/{name}")),
        }
    }

    /// The path of its URL.
    #[must_use]
    pub fn path(&self) -> String {
        match self {
            Self::Merged => "/mcp".to_owned(),
            Self::Single(name) => format!("/mcp/{name}"),
            Self::Profile(name) => format!("/p/{name}/mcp"),
        }
    }
}
