//! Who may know whom (house.md 3.2 and 3.4): a module knows lower tiers only, and a few pinned
//! neighbours.

use std::collections::{BTreeMap, BTreeSet};

use crate::hold;
use crate::source::{Source, sources, texts};

/// Every module right under the crate, with its tier.
const TIERS: &[(&str, u8)] = &[
    ("base", 0),
    ("wire", 1),
    ("seal", 1),
    ("egress", 1),
    ("config", 1),
    ("demo", 1),
    ("store", 2),
    ("telemetry", 2),
    ("auth", 3),
    ("namespace", 3),
    ("policy", 3),
    ("credential", 3),
    ("upstream", 3),
    ("session", 3),
    ("bridge", 3),
    ("audit", 3),
    ("limit", 3),
    ("pipeline", 4),
    ("server", 5),
    ("admin", 5),
    ("connect", 5),
    ("app", 6),
    ("cli", 7),
    ("lib", 8),
    ("main", 8),
];

/// Edges within a tier: (who, knows whom, what of it, why).
const NEIGHBOURS: &[(&str, &str, &[&str], &str)] = &[
    (
        "credential",
        "auth",
        &["Principal", "TenantInfo"],
        "whose credentials are opened is said by evidence that only `auth` can make",
    ),
    ("credential", "policy", &["Permit"], "nothing is armed that the policy has not permitted"),
    (
        "policy",
        "namespace",
        &["Catalogue", "Door", "Entry", "Gate", "Guise", "Namer", "Pin", "Plan", "Target", "View"],
        "it judges what a plan leads to, and makes the views that show it",
    ),
];

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

#[test]
fn the_front_page_draws_the_house_as_it_is() {
    let front = texts(&["src"]).into_iter().find(|text| text.path == "src/lib.rs").unwrap().text;
    let mut found = Vec::new();
    let mut drawn = 0;
    for (index, line) in front.lines().enumerate() {
        let at = format!("src/lib.rs:{}", index + 1);
        // Rows of the table of tiers: `//! | 3 | [`auth`], … |`.
        let mut cells = line.trim_start_matches("//! | ").split(" | ");
        if let Some(Ok(row)) = cells.next().map(str::parse::<u8>) {
            for name in cells.next().unwrap().split('`').skip(1).step_by(2) {
                drawn += 1;
                if tier(name) != Some(row) {
                    found.push(format!(
                        "{at}: `{name}` has tier {:?}; correct the table",
                        tier(name)
                    ));
                }
            }
        }
        // Words such as `pipeline/serve` are files or folders.
        let words = line.split(|c: char| !(c.is_ascii_lowercase() || c == '_' || c == '/'));
        for word in
            words.filter(|word| word.split('/').next().is_some_and(|top| tier(top).is_some()))
        {
            if let Some((top, rest)) = word.split_once('/') {
                drawn += 1;
                let module: Vec<&str> = [top].into_iter().chain(rest.split('/')).collect();
                let there = sources().iter().any(|source| {
                    source.module.iter().zip(&module).filter(|(a, b)| a == b).count()
                        == module.len()
                });
                if !there && rest != "sqlite/migrations" && rest != "contract" {
                    found.push(format!(
                        "{at}: there is no `{word}`; name the module that does it now"
                    ));
                }
            }
        }
    }
    assert!(drawn > 40, "the front page names {drawn} modules");
    hold("The front page draws the house as it is (house.md 3.7).", &found);
}
