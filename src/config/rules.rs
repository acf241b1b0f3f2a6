//! What the file says about which tools, prompts and resources are shown, and as what. Rules
//! speak of names as the upstream gives them, never of public ones. What was made over the API
//! stands on no line: 0.

use std::collections::BTreeMap;
use std::fmt;

use crate::base::{Glob, Name};

/// A pattern with the line of the file that it stands in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern {
    /// The pattern.
    pub glob: Glob,
    /// The line, from 1.
    pub line: usize,
}

/// `{ allow = […], deny = […] }`: a name passes when an `allow` fits it and no `deny` does.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// `None` allows everything.
    pub allow: Option<Vec<Pattern>>,
    /// Wins over `allow`.
    pub deny: Vec<Pattern>,
    /// The line of its key, from 1.
    pub line: usize,
}

/// A text that takes the place of the upstream's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Worded {
    /// The text.
    pub text: String,
    /// The line of its key, from 1.
    pub line: usize,
}

/// One entry of `pin`: an argument that always has this value, and that the model does not see.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fixed {
    /// The value as JSON text.
    pub json: String,
    /// Only tools that one of these fits; `None` means each tool whose schema has the argument.
    pub tools: Option<Vec<Glob>>,
    /// The line of its key, from 1.
    pub line: usize,
}

/// One entry of `hide`: an argument that the model does not see and nobody may send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// Only tools that one of these fits; `None` means each tool.
    pub tools: Option<Vec<Glob>>,
    /// The line where it stands, from 1.
    pub line: usize,
}

/// The rules about one upstream, or about every upstream of a profile.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Rules {
    /// `tools`
    pub tools: Option<Filter>,
    /// `prompts`
    pub prompts: Option<Filter>,
    /// `resources`, for templates and skills too.
    pub resources: Option<Filter>,
    /// `read_only = true`, with its line: only tools whose annotations say `readOnlyHint`.
    pub read_only: Option<usize>,
    /// `rename`: other names of tools, by their own.
    pub rename: BTreeMap<String, Worded>,
    /// `describe`: other descriptions of tools, by their own names.
    pub describe: BTreeMap<String, Worded>,
    /// `pin`, by argument.
    pub pin: BTreeMap<String, Fixed>,
    /// `hide`, by argument.
    pub hide: BTreeMap<String, Held>,
}

impl Rules {
    /// The same rules as if they stood nowhere, to be compared.
    #[must_use]
    pub(super) fn without_lines(&self) -> Self {
        let mut plain = self.clone();
        let Self { tools, prompts, resources, read_only, rename, describe, pin, hide } = &mut plain;
        for filter in [tools, prompts, resources].into_iter().flatten() {
            let Filter { allow, deny, line } = filter;
            let patterns = allow.iter_mut().flatten().chain(deny);
            patterns.map(|pattern| &mut pattern.line).chain([line]).for_each(|line| *line = 0);
        }
        let words = rename.values_mut().chain(describe.values_mut()).map(|own| &mut own.line);
        let values = pin.values_mut().map(|fixed| &mut fixed.line);
        let hidden = hide.values_mut().map(|held| &mut held.line);
        words.chain(values).chain(hidden).chain(read_only).for_each(|line| *line = 0);
        plain
    }

    /// True when they change something about tools besides their descriptions, so that a tool
    /// may be called only as a list shows it.
    #[must_use]
    pub fn touch_tools(&self) -> bool {
        self.tools.is_some()
            || self.read_only.is_some()
            || !(self.rename.is_empty() && self.pin.is_empty() && self.hide.is_empty())
    }
}

/// Says nothing of what is in it: rules decide what is shown, not how an upstream is reached, and
/// what is told apart by an upstream's entry must not change with them.
impl fmt::Debug for Rules {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rules").finish_non_exhaustive()
    }
}

/// `[profiles.NAME]`: a selection of upstreams, with rules that narrow it further.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Profile {
    /// Its name, which is also in the path of its door.
    pub name: Name,
    /// Its upstreams, each with the rules for it alone.
    pub upstreams: BTreeMap<Name, Rules>,
    /// Rules for all of them: filters and `read_only`.
    pub rules: Rules,
    /// The line of its section, from 1; 0 where it was made over the API.
    pub line: usize,
}

impl Profile {
    /// The same as if it stood nowhere.
    #[must_use]
    pub(super) fn without_lines(&self) -> Self {
        let members = self.upstreams.iter();
        let members = members.map(|(name, rules)| (name.clone(), rules.without_lines()));
        let (rules, upstreams) = (self.rules.without_lines(), members.collect());
        Self { name: self.name.clone(), upstreams, rules, line: 0 }
    }

    /// True when the other entry says the same, maybe on other lines of the file.
    #[must_use]
    pub fn says_the_same(&self, other: &Self) -> bool {
        self == other || self.without_lines() == other.without_lines()
    }
}
