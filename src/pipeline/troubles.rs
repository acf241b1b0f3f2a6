//! What has gone wrong since the start, counted by upstream and cause. A call that goes well never
//! comes here.

use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::audit::Outcome;
use crate::base::{Fault, Kind, Map, Name, Side, TenantId, unix_millis};

/// Groups of one tenant; what comes after them is one more, for all the rest.
const GROUPS: usize = 64;
/// Tenants with groups of their own.
const TENANTS: usize = 1_024;
/// Longest sample.
const SAMPLE: usize = 300;
const OTHER: &str = "other";

/// What went wrong, in words of ours alone: nothing that a client or an upstream has said.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Place {
    upstream: Option<Name>,
    outcome: &'static str,
    cause: &'static str,
}

#[derive(Debug, Clone)]
struct Group {
    count: u64,
    first: u64,
    last: u64,
    sample: Option<Box<str>>,
}

#[derive(Debug)]
struct Table {
    name: Name,
    groups: Map<Place, Group>,
}

/// How often something has gone wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    /// Whose requests.
    pub tenant: TenantId,
    /// The tenant's name.
    pub tenant_name: Name,
    /// The upstream, where one was found.
    pub upstream: Option<Name>,
    /// The outcome, as the audit has it; `other` for what has found no place.
    pub outcome: &'static str,
    /// Why, in one word.
    pub cause: &'static str,
    /// How often.
    pub count: u64,
    /// When for the first time, in milliseconds since the Unix epoch.
    pub first: u64,
    /// When for the last time.
    pub last: u64,
    /// What the client read when it last happened; not where that may repeat what the client said.
    pub sample: Option<Box<str>>,
}

/// The table. One for the process.
#[derive(Debug, Default)]
pub(super) struct Troubles(Mutex<Map<TenantId, Table>>);

impl Troubles {
    fn tables(&self) -> MutexGuard<'_, Map<TenantId, Table>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts one.
    pub(super) fn note(
        &self,
        (tenant, name): (TenantId, &Name),
        upstream: Option<&Name>,
        outcome: Outcome,
        fault: Option<&Fault>,
    ) {
        let cause = fault
            .map_or(outcome.as_str(), |fault| fault.cause.unwrap_or_else(|| fault.kind.as_str()));
        let place = Place { upstream: upstream.cloned(), outcome: outcome.as_str(), cause };
        let at = unix_millis();
        let mut tables = self.tables();
        if !tables.contains_key(&tenant) && tables.len() >= TENANTS {
            return;
        }
        let table = tables
            .entry(tenant)
            .or_insert_with(|| Table { name: name.clone(), groups: Map::default() });
        let has_place = table.groups.contains_key(&place) || table.groups.len() < GROUPS;
        let (place, sample) = if has_place {
            (place, fault.and_then(sample))
        } else {
            (Place { upstream: None, outcome: OTHER, cause: OTHER }, None)
        };
        let new = Group { count: 0, first: at, last: at, sample: None };
        let group = table.groups.entry(place).or_insert(new);
        group.count += 1;
        group.last = at;
        if group.sample.as_deref() != sample {
            group.sample = sample.map(Into::into);
        }
    }

    /// All groups, of one tenant or of everybody.
    pub(super) fn all(&self, tenant: Option<TenantId>) -> Vec<Trouble> {
        let tables = self.tables();
        let own = tables.iter().filter(|(id, _)| tenant.is_none_or(|tenant| tenant == **id));
        own.flat_map(|(id, table)| {
            table.groups.iter().map(|(place, group)| Trouble {
                tenant: *id,
                tenant_name: table.name.clone(),
                upstream: place.upstream.clone(),
                outcome: place.outcome,
                cause: place.cause,
                count: group.count,
                first: group.first,
                last: group.last,
                sample: group.sample.clone(),
            })
        })
        .collect()
    }
}

/// What the client reads of it, where those words are ours: a refusal of what a client sent may
/// repeat it.
fn sample(fault: &Fault) -> Option<&str> {
    let ours = fault.side != Side::Client && !matches!(fault.kind, Kind::UnknownResource(_));
    let text = &fault.public[..fault.public.floor_char_boundary(SAMPLE)];
    (ours && !text.contains(char::is_control)).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Retry;

    fn tenant(id: u8) -> (TenantId, Name) {
        (TenantId::from_bytes([id; 16]), Name::new("acme").unwrap())
    }

    #[test]
    fn the_same_cause_is_one_group_and_others_see_none_of_it() {
        let troubles = Troubles::default();
        let (id, name) = tenant(1);
        let up = Name::new("gh").unwrap();
        let mut down = Fault::upstream(Retry::Safe, "it is down");
        down.cause = Some("down");
        for _ in 0..3 {
            troubles.note((id, &name), Some(&up), Outcome::UpstreamFailed, Some(&down));
        }
        let wrong = Fault::client(Kind::UnknownName, "there is no tool `my-secret`");
        troubles.note((id, &name), None, Outcome::Refused, Some(&wrong));
        let mut found = troubles.all(Some(id));
        found.sort_by_key(|group| group.count);
        let told: Vec<_> =
            found.iter().map(|one| (one.cause, one.count, one.sample.as_deref())).collect();
        assert_eq!(told, [("unknown_name", 1, None), ("down", 3, Some("it is down"))]);
        assert!(troubles.all(Some(tenant(2).0)).is_empty());
    }

    #[test]
    fn the_table_has_an_end_and_counts_on() {
        let troubles = Troubles::default();
        let (id, name) = tenant(1);
        for number in 0..200 {
            let up = Name::new(&format!("u{number}")).unwrap();
            troubles.note((id, &name), Some(&up), Outcome::Broken, None);
        }
        let all = troubles.all(None);
        assert_eq!(all.len(), GROUPS + 1);
        assert_eq!(all.iter().map(|one| one.count).sum::<u64>(), 200);
        let other = all.iter().find(|one| one.cause == OTHER).expect("the rest");
        assert_eq!(other.count, 200 - GROUPS as u64);
    }
}
