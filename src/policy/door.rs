//! The rules of one door for one kind of key, as a view asks for them.

use super::engine::Policy;
use super::judge::{Layer, Rule, Verdict};
use crate::base::{Glob, Name, Narrow};
use crate::config::Profile;
use crate::namespace::{Door, Entry, Gate, Guise, Pin};
use crate::wire::ListKind;

/// What holds at a door.
pub(super) struct AtDoor<'a> {
    policy: &'a Policy,
    door: &'a Door,
    profile: Option<&'a Profile>,
    narrow: &'a Narrow,
}

impl<'a> AtDoor<'a> {
    pub(super) fn new(policy: &'a Policy, door: &'a Door, narrow: &'a Narrow) -> Self {
        let profile = door.profile().and_then(|name| policy.profile(name));
        Self { policy, door, profile, narrow }
    }

    /// Whether an upstream is behind it, for this key.
    pub(super) fn reaches(&self, upstream: &Name) -> bool {
        let behind = match self.door {
            Door::Merged => true,
            Door::Single(single) => single == upstream,
            Door::Profile(_) => {
                self.profile.is_some_and(|profile| profile.upstreams.contains_key(upstream))
            }
        };
        let there = !self.policy.unseen().contains(upstream);
        behind && there && self.narrow.opens(self.door.profile()) && self.narrow.reaches(upstream)
    }

    /// All rules about an upstream, the widest first.
    fn layers(&self, upstream: &Name) -> impl Iterator<Item = Layer<'a>> {
        let own = self.policy.upstream(upstream).map(|entry| Layer {
            profile: None,
            upstream: Some(&entry.name),
            rules: &entry.rules,
        });
        let whole = self.profile.map(|profile| Layer {
            profile: Some(&profile.name),
            upstream: None,
            rules: &profile.rules,
        });
        let member = self.profile.and_then(|profile| {
            let (name, rules) = profile.upstreams.get_key_value(upstream)?;
            Some(Layer { profile: Some(&profile.name), upstream: Some(name), rules })
        });
        [own, whole, member].into_iter().flatten()
    }

    /// What all rules say of an entry.
    pub(super) fn judge(&self, upstream: &Name, entry: &Entry<'_>) -> Verdict<'a> {
        let held = |rule| Verdict { shown: false, rule };
        if !self.reaches(upstream) {
            let key = !self.narrow.opens(self.door.profile()) || !self.narrow.reaches(upstream);
            return held(if key { Rule::Key } else { Rule::NoUpstream });
        }
        let mut passed = Rule::None;
        for layer in self.layers(upstream) {
            let verdict = layer.judge(entry);
            if !verdict.shown {
                return verdict;
            }
            if !matches!(verdict.rule, Rule::None) {
                passed = verdict.rule;
            }
        }
        let left = match entry.kind {
            ListKind::Tools => self.narrow.admits_tool(upstream, entry.id),
            // They have no patterns of their own.
            _ => self.narrow.leaves_whole(upstream),
        };
        if !left {
            return held(Rule::Key);
        }
        Verdict { shown: true, rule: passed }
    }
}

fn meant(tools: Option<&Vec<Glob>>, tool: &str) -> bool {
    tools.is_none_or(|tools| tools.iter().any(|glob| glob.fits(tool)))
}

impl Gate for AtDoor<'_> {
    fn narrows(&self, upstream: &Name, kind: ListKind) -> bool {
        if !self.reaches(upstream) {
            return true;
        }
        let tools = kind == ListKind::Tools;
        !self.narrow.leaves_whole(upstream)
            || self
                .layers(upstream)
                .any(|layer| layer.filter(kind).is_some() || (tools && layer.rules.touch_tools()))
    }

    fn admits(&self, upstream: &Name, entry: &Entry<'_>) -> bool {
        self.judge(upstream, entry).shown
    }

    fn guise(&self, upstream: &Name, tool: &str) -> Guise<'_> {
        let mut guise = Guise::default();
        for layer in self.layers(upstream) {
            let rules = layer.rules;
            // Of names and words the narrowest counts, of values the widest.
            guise.name = rules.rename.get(tool).map(|own| &*own.text).or(guise.name);
            guise.description =
                rules.describe.get(tool).map(|own| &*own.text).or(guise.description);
            for (name, fixed) in &rules.pin {
                let known = guise.pins.iter().any(|pin| pin.name == name);
                if !known && meant(fixed.tools.as_ref(), tool) {
                    let always = fixed.tools.is_some();
                    guise.pins.push(Pin { name, json: &fixed.json, always });
                }
            }
            let hides = rules.hide.iter().filter(|(_, held)| meant(held.tools.as_ref(), tool));
            guise.hides.extend(hides.map(|(name, _)| name.as_str()));
        }
        guise
    }
}
