//! The file with what the store has beside it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};

use super::profile::{MadeProfile, check_profile};
use super::upstream::{MadeUpstream, check_upstream};
use crate::base::{Name, TenantId};
use crate::config::problem::Problems;
use crate::config::{Config, Upstream};

/// What the store has beside the file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Stored {
    /// Upstreams that were made over the API.
    pub upstreams: Vec<MadeUpstream>,
    /// Profiles that were made over the API.
    pub profiles: Vec<MadeProfile>,
    /// Upstreams that tenants have turned off for themselves.
    pub off: BTreeMap<TenantId, BTreeSet<Name>>,
}

/// What became of a document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// It runs.
    Runs,
    /// Somebody disabled it.
    Disabled,
    /// The file declares one of that name, which runs instead.
    Declared,
    /// It has problems with the file as it is now.
    Broken(Problems),
}

/// What a configuration knows of what the file does not declare.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Made {
    /// The folder of the file; relative paths start here.
    pub folder: PathBuf,
    /// The lines of the file where its upstreams stand, from 1.
    pub lines: BTreeMap<Name, usize>,
    /// What became of each upstream's document.
    pub standing: BTreeMap<Name, Standing>,
    /// What became of each profile's document.
    pub profiles: BTreeMap<Name, Standing>,
    /// Upstreams that tenants have turned off for themselves.
    pub off: BTreeMap<TenantId, BTreeSet<Name>>,
}

/// How a tenant sees an upstream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sight {
    /// It is there.
    Seen,
    /// The tenant has turned it off for itself.
    TurnedOff,
    /// It is for other tenants: to this one as if it were not there.
    Hidden,
}

impl Made {
    /// Of a file in this folder.
    pub(in crate::config) fn of(folder: &Path, lines: BTreeMap<Name, usize>) -> Self {
        Self { folder: folder.to_owned(), lines, ..Self::default() }
    }
}

impl Config {
    /// How a tenant of this id and name sees an upstream.
    #[must_use]
    pub fn sight(&self, id: TenantId, name: &Name, upstream: &Upstream) -> Sight {
        if upstream.tenants.as_ref().is_some_and(|tenants| !tenants.contains(name)) {
            Sight::Hidden
        } else if self.made.off.get(&id).is_some_and(|off| off.contains(&upstream.name)) {
            Sight::TurnedOff
        } else {
            Sight::Seen
        }
    }

    /// Upstreams that are not there for a tenant, for whatever reason.
    #[must_use]
    pub fn unseen(&self, id: TenantId, name: &Name) -> BTreeSet<Name> {
        let all = self.upstreams.values();
        let unseen = all.filter(|upstream| self.sight(id, name, upstream) != Sight::Seen);
        unseen.map(|upstream| upstream.name.clone()).collect()
    }
}

/// Puts what the store has beside the file.
#[must_use]
pub fn join(mut config: Config, stored: &Stored) -> Config {
    let mut revision = Revision(Sha256::new_with_prefix(config.revision), false);
    for MadeUpstream { name, document, enabled } in &stored.upstreams {
        let standing = if config.made.lines.contains_key(name) {
            Standing::Declared
        } else if *enabled {
            match check_upstream(name, &keys(document), &config) {
                Ok((upstream, _)) => {
                    config.upstreams.insert(name.clone(), Arc::new(upstream));
                    revision.add(&[name.as_str(), document]);
                    Standing::Runs
                }
                Err(problems) => Standing::Broken(problems),
            }
        } else {
            Standing::Disabled
        };
        config.made.standing.insert(name.clone(), standing);
    }
    for MadeProfile { name, document } in &stored.profiles {
        let standing = if config.profiles.contains_key(name) {
            Standing::Declared
        } else {
            match check_profile(name, &keys(document), &config) {
                Ok(profile) => {
                    config.profiles.insert(name.clone(), Arc::new(profile));
                    revision.add(&["profile", name.as_str(), document]);
                    Standing::Runs
                }
                Err(problems) => Standing::Broken(problems),
            }
        };
        config.made.profiles.insert(name.clone(), standing);
    }
    config.made.off.clone_from(&stored.off);
    for (tenant, off) in &stored.off {
        for name in off {
            revision.add(&["off", &tenant.to_string(), name.as_str()]);
        }
    }
    let Revision(digest, changed) = revision;
    if changed {
        let digest: [u8; 32] = digest.finalize().into();
        config.revision = digest.first_chunk().copied().unwrap_or_default();
    }
    config
}

/// Tells one set of rules from another.
struct Revision(Sha256, bool);

impl Revision {
    fn add(&mut self, parts: &[&str]) {
        for part in parts {
            self.0.update((part.len() as u64).to_le_bytes());
            self.0.update(part);
        }
        self.1 = true;
    }
}

fn keys(document: &str) -> Map<String, Value> {
    serde_json::from_str(document).unwrap_or_default()
}
