//! Who may know whom (house.md 3.2 and 3.4): a module knows lower tiers only, and a few pinned
//! neighbours.

use std::collections::{BTreeMap, BTreeSet};

use crate::hold;
use crate::source::{Source, sources};

/// Every module right under the crate, with its tier.
const TIERS: &[(&str, u8)] = &[
    ("base", 0),
    ("wire", 1),
    ("seal", 1),
    ("config", 1),
    ("demo", 1),
    ("store", 2),
    ("telemetry", 2),
    ("auth", 3),
    ("namespace", 3),
    ("credential", 3),
    ("upstream", 3),
    ("session", 3),
    ("pipeline", 4),
    ("server", 5),
    ("app", 6),
    ("cli", 7),
    ("lib", 8),
    ("main", 8),
];

/// Edges within a tier: (who, knows whom, what of it, why).
const NEIGHBOURS: &[(&str, &str, &[&str], &str)] = &[(
    "credential",
    "auth",
    &["Principal", "TenantInfo"],
    "whose credentials are opened is said by evidence that only `auth` can make; a policy will stand between",
)];

fn tier(module: &str) -> Option<u8> {
    TIERS.iter().find(|(name, _)| *name == module).map(|(_, tier)| *tier)
}

/// (line, module, the name after it) of every path into another module of the crate.
fn edges(source: &Source) -> impl Iterator<Item = (usize, &str, &str)> {
    source.facts.named.iter().filter_map(|named| {
        let mut parts = named.path.split("::");
        let first = parts.next()?;
        if first != "crate" && !(first == "mcp_proxy" && source.top() == "main") {
            return None;
        }
        let module = parts.next()?;
        (module != source.top()).then(|| (named.line, module, parts.next().unwrap_or_default()))
    })
}

#[test]
fn every_module_has_a_tier() {
    let found: BTreeSet<String> = sources()
        .iter()
        .filter(|source| tier(source.top()).is_none())
        .map(|source| {
            format!(
                "{}:1: `{}` has no tier; give it one in tests/house/tiers.rs",
                source.path,
                source.top()
            )
        })
        .collect();
    hold("Every module has a tier (house.md 3.2).", &found.into_iter().collect::<Vec<_>>());
    let gone: Vec<String> = TIERS
        .iter()
        .filter(|(name, _)| !sources().iter().any(|source| source.top() == *name))
        .map(|(name, _)| format!("`{name}` is in the table of tiers and nowhere else; take it out"))
        .collect();
    hold("The table of tiers is no longer than the house.", &gone);
}

#[test]
fn a_module_knows_lower_tiers_only() {
    let mut found = Vec::new();
    let mut used = BTreeSet::new();
    for source in sources() {
        let Some(own) = tier(source.top()) else { continue };
        for (line, module, name) in edges(source) {
            // `crate::Name` with a name that is no module does not occur: lib.rs has modules only.
            let Some(other) = tier(module) else { continue };
            if other < own {
                continue;
            }
            let neighbour = NEIGHBOURS.iter().find(|(who, whom, what, _)| {
                *who == source.top() && *whom == module && what.contains(&name)
            });
            if neighbour.is_some() {
                used.insert((module, name));
                continue;
            }
            found.push(format!(
                "{}: `{}` (tier {own}) must not know `{module}::{name}` (tier {other}); hand the fact over from \
                 above, or move the word down to `base`",
                source.at(line),
                source.top()
            ));
        }
    }
    hold("A module knows lower tiers only (house.md 3.4, 1).", &found);
    let stale: Vec<String> = NEIGHBOURS
        .iter()
        .flat_map(|(who, whom, what, _)| what.iter().map(move |name| (who, whom, name)))
        .filter(|(_, whom, name)| !used.contains(&(**whom, **name)))
        .map(|(who, whom, name)| {
            format!("{who} → {whom}::{name} is not used any more; take it out of NEIGHBOURS")
        })
        .collect();
    hold("Every exception is needed.", &stale);
}

#[test]
fn no_module_knows_itself_by_a_detour() {
    let mut graph: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for source in sources() {
        graph.entry(source.top()).or_default().extend(
            edges(source).map(|(_, module, _)| module).filter(|module| tier(module).is_some()),
        );
    }
    // What knows nobody that is left can be taken away; what cannot be taken away is a cycle.
    let mut left = graph.clone();
    loop {
        let free: Vec<&str> = left
            .iter()
            .filter(|(_, knows)| !knows.iter().any(|module| left.contains_key(module)))
            .map(|(module, _)| *module)
            .collect();
        if free.is_empty() {
            break;
        }
        for module in free {
            left.remove(module);
        }
    }
    let found: Vec<String> = left
        .iter()
        .map(|(module, knows)| {
            format!("`{module}` knows {knows:?} and is known by them; break one of the edges")
        })
        .collect();
    hold("There is no cycle among the modules (house.md 3.1).", &found);
    assert!(graph["pipeline"].contains("upstream"), "the scanner sees no edges: {graph:?}");
}
