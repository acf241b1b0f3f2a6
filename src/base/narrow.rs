//! What one key takes away from what its tenant may use: it narrows, and never widens.

use std::collections::BTreeSet;

use super::{Glob, Name};

/// A narrowing. Without one ([`Narrow::NONE`]) a key may use all that the file shows its tenant.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Narrow {
    profiles: Option<BTreeSet<Name>>,
    tools: Option<Vec<(Glob, Glob)>>,
}

impl Narrow {
    /// Takes nothing away.
    pub const NONE: Self = Self { profiles: None, tools: None };

    /// With `profiles`, only the doors of these are there: neither the merged one nor those of
    /// single upstreams, since a profile may fix arguments that would be free at them. With
    /// `tools`, only tools that one of the pairs fits: the upstream's name, and the tool's own.
    /// Prompts and resources are left of upstreams whose tools are all left.
    #[must_use]
    pub fn new(profiles: Option<BTreeSet<Name>>, tools: Option<Vec<(Glob, Glob)>>) -> Self {
        Self { profiles, tools }
    }

    /// True when it takes nothing away.
    #[must_use]
    pub fn is_none(&self) -> bool {
        self.profiles.is_none() && self.tools.is_none()
    }

    /// Whether the door of this profile is open, or with `None` a door that is no profile's.
    #[must_use]
    pub fn opens(&self, profile: Option<&Name>) -> bool {
        let Some(profiles) = &self.profiles else { return true };
        profile.is_some_and(|profile| profiles.contains(profile))
    }

    /// Whether anything of an upstream may be left.
    #[must_use]
    pub fn reaches(&self, upstream: &Name) -> bool {
        self.judge(|on, _| on.fits(upstream.as_str()))
    }

    /// Whether all of an upstream is left.
    #[must_use]
    pub fn leaves_whole(&self, upstream: &Name) -> bool {
        self.judge(|on, tool| on.fits(upstream.as_str()) && tool.as_str() == "*")
    }

    /// Whether a tool is left.
    #[must_use]
    pub fn admits_tool(&self, upstream: &Name, tool: &str) -> bool {
        self.judge(|on, of| on.fits(upstream.as_str()) && of.fits(tool))
    }

    fn judge(&self, fits: impl Fn(&Glob, &Glob) -> bool) -> bool {
        self.tools.as_ref().is_none_or(|tools| tools.iter().any(|(on, of)| fits(on, of)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_name_upstream_and_tool() {
        let (gh, crm) = (Name::new("gh").unwrap(), Name::new("crm").unwrap());
        let pair = |on: &str, of: &str| (Glob::new(on), Glob::new(of));
        let narrow = Narrow::new(None, Some(vec![pair("gh", "get_*"), pair("*", "ping")]));
        assert!(narrow.admits_tool(&gh, "get_issue") && narrow.admits_tool(&crm, "ping"));
        assert!(!narrow.admits_tool(&crm, "get_issue") && !narrow.admits_tool(&gh, "x"));
        assert!(narrow.reaches(&crm) && !narrow.leaves_whole(&gh) && narrow.opens(None));
        let narrow = Narrow::new(None, Some(vec![pair("gh", "*")]));
        assert!(narrow.leaves_whole(&gh) && !narrow.reaches(&crm));
        let narrow = Narrow::new(Some(BTreeSet::from([gh.clone()])), None);
        assert!(narrow.opens(Some(&gh)) && !narrow.opens(Some(&crm)) && !narrow.opens(None));
        assert!(Narrow::NONE.is_none() && Narrow::NONE.opens(None));
    }
}
