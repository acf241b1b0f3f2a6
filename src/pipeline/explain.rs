//! Why a key can or cannot call a tool: the same steps as a call takes, told one by one, without
//! the call.

use std::sync::Arc;

use serde::Serialize;

use super::line::Line;
use super::scope::narrow;
use super::tenant::Tenant;
use crate::auth::Principal;
use crate::base::Name;
use crate::config::{Sight, Upstream};
use crate::credential::CredentialError;
use crate::namespace::{Door, Entry, Gate as _, Plan};
use crate::policy::own_work;
use crate::wire::{ListKind, NameKind};

/// Whether an upstream's slot of a secret is filled for the tenant. Never its value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SlotState {
    /// The slot.
    pub slot: String,
    /// Whether there is a value.
    pub set: bool,
}

/// The chain from a public name to a verdict. What could not be found out is `None`.
#[derive(Debug, Clone, Serialize)]
pub struct Explanation {
    /// The tenant.
    pub tenant: String,
    /// The path of the door.
    pub door: String,
    /// Whether the door is there for this key.
    pub door_is_there: bool,
    /// The profile whose door it is.
    pub profile: Option<String>,
    /// The public name that was asked about.
    pub tool: String,
    /// The upstream that owns it.
    pub upstream: Option<String>,
    /// What the upstream calls it.
    pub original: Option<String>,
    /// The rule that decides.
    pub rule: Option<String>,
    /// The line of the file where the rule stands, from 1.
    pub line: Option<usize>,
    /// Where the rule comes from: `file`, `store` (it was made over the API) or `key`.
    pub origin: Option<&'static str>,
    /// What is known of the upstream.
    pub upstream_state: Option<String>,
    /// Its slots.
    pub slots: Vec<SlotState>,
    /// Arguments that the proxy fills in and the model does not see.
    pub filled_in: Vec<String>,
    /// Arguments that nobody may send.
    pub refused: Vec<String>,
    /// Whether lists show it.
    pub visible: bool,
    /// Whether a call would reach the upstream.
    pub callable: bool,
    /// The verdict in one sentence.
    pub because: String,
}

/// A tool that a public name means, or would mean if no rule held it back.
struct Meant {
    upstream: Arc<Upstream>,
    original: String,
    read_only: bool,
    /// It is shown under this name instead.
    now: Option<String>,
}

impl Line {
    /// Explains what becomes of a call of `tool` at a door. With `ask`, upstreams that were not
    /// listed yet are started and asked as for a list; without, only what is known counts.
    pub async fn explain(
        self: &Arc<Self>,
        principal: &Principal,
        door: &Door,
        tool: &str,
        ask: bool,
    ) -> Explanation {
        let tenant = self.tenant(principal);
        let policy = tenant.policy();
        let mut told = Explanation {
            tenant: principal.tenant().name().to_string(),
            door: door.path(),
            door_is_there: policy.opens(door, narrow(principal)),
            profile: door.profile().map(ToString::to_string),
            tool: tool.to_owned(),
            upstream: None,
            original: None,
            rule: None,
            line: None,
            origin: None,
            upstream_state: None,
            slots: Vec::new(),
            filled_in: Vec::new(),
            refused: Vec::new(),
            visible: false,
            callable: false,
            because: "there is no such door for this key".to_owned(),
        };
        if !told.door_is_there {
            return told;
        }
        let view = if ask {
            tenant.view(self, principal, door, false).await
        } else {
            tenant.known_view(principal, door)
        };
        let plan = view.name(NameKind::Tool, tool);
        let meant = self.meant(&tenant, principal, door, tool);
        let owner = plan.as_ref().map(|plan| plan.upstream().clone());
        let owner = owner.or_else(|| meant.as_ref().map(|meant| meant.upstream.clone()));
        let owner = owner.or_else(|| view.owner(tool).cloned());
        let Some(owner) = owner else {
            told.because = "no upstream behind this door has a tool of this name".to_owned();
            if let Some(off) = self.turned_off(principal, door, tool) {
                told.because = format!("the tenant has turned the upstream `{off}` off");
                told.upstream = Some(off.to_string());
            }
            return told;
        };
        told.upstream = Some(owner.name.to_string());
        let ready = self.tell_of_upstream(&mut told, &tenant, principal, &owner, ask).await;
        let permitted =
            plan.as_ref().filter(|plan| policy.may(plan, door, narrow(principal)).is_ok());
        if let Some(plan) = permitted {
            tell_of_arguments(&mut told, plan);
        }
        told.visible =
            permitted.is_some() && meant.as_ref().is_some_and(|meant| meant.now.is_none());
        told.original = permitted
            .map(|plan| plan.original().to_owned())
            .or_else(|| meant.as_ref().map(|meant| meant.original.clone()));
        if let Some(meant) = &meant {
            let kind = ListKind::Tools;
            let (id, read_only) = (&*meant.original, meant.read_only);
            let entry = Entry { kind, id, read_only, templates: &[] };
            let narrow = narrow(principal);
            let verdict = policy.verdict(door, narrow, &meant.upstream.name, &entry);
            told.rule = Some(verdict.rule.to_string());
            told.line = verdict.rule.line();
            told.origin = verdict.rule.origin();
        }
        told.callable = permitted.is_some() && ready;
        told.because = match (permitted, meant) {
            (Some(_), _) if ready && told.visible => {
                "it is listed, and a call reaches the upstream".to_owned()
            }
            (Some(_), _) if ready => {
                "no list shows it, and no rule speaks of it: the upstream itself answers".to_owned()
            }
            (Some(_), _) => "it may be called, but its upstream cannot be used".to_owned(),
            (None, Some(Meant { now: Some(now), .. })) => format!("it is called `{now}` here"),
            (None, Some(_))
                if view.withheld().iter().any(|name| name.ends_with(&format!(": {tool}"))) =>
            {
                "two tools would have this name, so neither is shown".to_owned()
            }
            (None, Some(_)) => "a rule holds it back".to_owned(),
            (None, None)
                if tenant.shelf(owner.name.as_str()).is_some_and(|shelf| shelf.loaded()) =>
            {
                "its upstream lists no such tool".to_owned()
            }
            (None, None) => "its upstream has not been listed".to_owned(),
        };
        told
    }

    /// What is known of an upstream, and whether a call could be sent to it.
    async fn tell_of_upstream(
        self: &Arc<Self>,
        told: &mut Explanation,
        tenant: &Tenant,
        principal: &Principal,
        upstream: &Arc<Upstream>,
        ask: bool,
    ) -> bool {
        let armed = self.credentials.arm(principal, own_work(upstream)).await;
        let missing = match &armed {
            Err(CredentialError::Missing { slots, .. }) => slots.clone(),
            _ => Vec::new(),
        };
        let state = |slot: &crate::base::Slot| SlotState {
            slot: slot.to_string(),
            set: !missing.contains(slot),
        };
        told.slots = upstream.slots.iter().map(state).collect();
        if let Ok(armed) = &armed {
            let others = armed.slots().filter(|slot| !upstream.slots.contains(*slot));
            told.slots.extend(others.map(state));
        }
        if let Err(error) = armed {
            told.upstream_state = Some(error.to_string());
            return false;
        }
        if ask && let Err(fault) = self.house_link(principal, upstream).await {
            told.upstream_state = Some(fault.public.into_owned());
            return false;
        }
        let listed = tenant.shelf(upstream.name.as_str()).and_then(|shelf| shelf.known());
        told.upstream_state = Some(match listed {
            Some(catalogue) => {
                format!("listed, {} tools", catalogue.listing(ListKind::Tools).items.len())
            }
            None if ask => "it answers, but its list could not be read".to_owned(),
            None => "not asked".to_owned(),
        });
        true
    }

    /// The upstream that the tenant has turned off, of those whose tools have such names here.
    fn turned_off(&self, principal: &Principal, door: &Door, tool: &str) -> Option<Name> {
        let (config, tenant) = (self.config().clone(), principal.tenant());
        let off = config.made.off.get(&tenant.id())?;
        let behind = |name: &Name| match door.profile().map(|name| config.profiles.get(name)) {
            Some(profile) => profile.is_some_and(|found| found.upstreams.contains_key(name)),
            None => true,
        };
        let named = |name: &&Name| {
            let rest = tool.strip_prefix(name.as_str());
            rest.is_some_and(|rest| rest.starts_with(&config.namespace.separator)) && behind(name)
        };
        let is_off = |name: &&Name| {
            let entry = config.upstreams.get(*name);
            let sight = entry.map(|entry| config.sight(tenant.id(), tenant.name(), entry));
            sight == Some(Sight::TurnedOff)
        };
        off.iter().filter(named).find(is_off).cloned()
    }

    /// The tool that a name means or would mean, at an upstream of the file.
    fn meant(
        &self,
        tenant: &Tenant,
        principal: &Principal,
        door: &Door,
        tool: &str,
    ) -> Option<Meant> {
        let (narrow, namer) = (narrow(principal), self.namer());
        let (config, policy) = (self.config().clone(), tenant.policy());
        let mut old = None;
        for (name, upstream) in &config.upstreams {
            if matches!(door, Door::Single(single) if single != name) {
                continue;
            }
            let Some(catalogue) = tenant.shelf(name.as_str()).and_then(|shelf| shelf.known())
            else {
                continue;
            };
            let public = |own: &str| {
                if door.merges() { namer.public(name, own) } else { own.to_owned() }
            };
            for item in &catalogue.listing(ListKind::Tools).items {
                let shown = policy.at(door, narrow).guise(name, &item.id).name.map(public);
                let meant = |now| Meant {
                    upstream: upstream.clone(),
                    original: item.id.to_string(),
                    read_only: item.read_only,
                    now,
                };
                if shown.as_deref().map_or_else(|| public(&item.id) == tool, |name| name == tool) {
                    return Some(meant(None));
                }
                if shown.is_some() && public(&item.id) == tool {
                    old = Some(meant(shown));
                }
            }
        }
        old
    }
}

fn tell_of_arguments(told: &mut Explanation, plan: &Plan) {
    let Some(tool) = plan.tool() else { return };
    told.filled_in.extend(tool.injected.iter().cloned());
    told.filled_in.extend(tool.pinned.iter().map(|(name, _)| name.clone()));
    told.refused.extend(tool.refused.iter().cloned());
}
