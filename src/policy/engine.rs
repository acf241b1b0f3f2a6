//! The policy of the file: makes views, and judges what no view could.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::door::AtDoor;
use super::judge::Verdict;
use super::permit::{Hidden, Permit};
use crate::base::{Name, Narrow, TenantId};
use crate::config::{Config, Profile, Upstream};
use crate::namespace::{Catalogue, Door, Entry, Gate, Namer, Plan, Target, View};
use crate::wire::ListKind;

/// The rules of one file. Cheap to ask; holds no state of its own.
#[derive(Clone)]
pub struct Policy {
    config: Arc<Config>,
    /// Upstreams that are not there for the tenant that it is about.
    unseen: Arc<BTreeSet<Name>>,
}

impl std::fmt::Debug for Policy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Policy").finish_non_exhaustive()
    }
}

impl Policy {
    /// The policy of this file, whoever asks.
    #[must_use]
    pub fn new(config: Arc<Config>) -> Self {
        Self { config, unseen: Arc::default() }
    }

    /// The policy of this file for a tenant of this id and name: what is for others, and what it
    /// has turned off, is not there.
    #[must_use]
    pub fn of_tenant(config: Arc<Config>, id: TenantId, name: &Name) -> Self {
        let unseen = Arc::new(config.unseen(id, name));
        Self { config, unseen }
    }

    /// Upstreams that are not there for the tenant.
    #[must_use]
    pub fn unseen(&self) -> &BTreeSet<Name> {
        &self.unseen
    }

    /// Whether a door is there at all for a key that is narrowed so.
    #[must_use]
    pub fn opens(&self, door: &Door, narrow: &Narrow) -> bool {
        let exists = match door {
            Door::Merged => true,
            Door::Single(name) => self.upstream(name).is_some(),
            Door::Profile(name) => self.profile(name).is_some(),
        };
        exists && narrow.opens(door.profile())
    }

    /// Whether anything of an upstream may be seen at a door.
    #[must_use]
    pub fn reaches(&self, door: &Door, narrow: &Narrow, upstream: &Name) -> bool {
        AtDoor::new(self, door, narrow).reaches(upstream)
    }

    /// Whether rules take something out of one of these lists of an upstream, or change it.
    #[must_use]
    pub fn narrows(
        &self,
        door: &Door,
        narrow: &Narrow,
        upstream: &Name,
        kinds: &[ListKind],
    ) -> bool {
        let at = AtDoor::new(self, door, narrow);
        kinds.iter().any(|kind| at.narrows(upstream, *kind))
    }

    /// What is visible at a door of these catalogues, which are in the order of their upstreams'
    /// names; each one that is not behind the door shows nothing.
    #[must_use]
    pub fn visible(
        &self,
        door: &Door,
        narrow: &Narrow,
        catalogues: Vec<Arc<Catalogue>>,
        namer: Namer,
    ) -> View {
        let at = AtDoor::new(self, door, narrow);
        let behind = catalogues.into_iter().filter(|one| at.reaches(&one.upstream.name)).collect();
        View::new(door.clone(), behind, namer, &at)
    }

    /// Whether what a plan leads to may be used. The plan comes from a view of this very door
    /// and narrowing.
    ///
    /// # Errors
    /// When it may not; it is then to look like what is not there.
    pub fn may<'p>(
        &self,
        plan: &'p Plan,
        door: &Door,
        narrow: &Narrow,
    ) -> Result<Permit<'p>, Hidden> {
        let permit = Permit::new(plan.upstream());
        if plan.judged() {
            return Ok(permit);
        }
        let kind = match plan.target() {
            Target::Tool => ListKind::Tools,
            Target::Prompt => ListKind::Prompts,
            Target::Resource => ListKind::Resources,
            Target::Task => return Err(Hidden),
        };
        let templates: Vec<&str> = plan.templates().iter().map(|template| &**template).collect();
        let id = plan.original();
        if kind == ListKind::Resources && !templates.contains(&id) && !is_plain(id) {
            return Err(Hidden);
        }
        let entry = Entry { kind, id, read_only: false, templates: &templates };
        let shown = AtDoor::new(self, door, narrow).admits(&plan.upstream().name, &entry);
        if shown { Ok(permit) } else { Err(Hidden) }
    }

    /// Whether a resource of an upstream is shown, or would be if a list had it.
    #[must_use]
    pub fn shows(&self, door: &Door, narrow: &Narrow, upstream: &Name, uri: &str) -> bool {
        let kind = ListKind::Resources;
        let entry = Entry { kind, id: uri, read_only: false, templates: &[] };
        AtDoor::new(self, door, narrow).admits(upstream, &entry)
    }

    /// What the rules say of an entry, with the rule that decides.
    #[must_use]
    pub fn verdict<'a>(
        &'a self,
        door: &'a Door,
        narrow: &'a Narrow,
        upstream: &Name,
        entry: &Entry<'_>,
    ) -> Verdict<'a> {
        AtDoor::new(self, door, narrow).judge(upstream, entry)
    }

    /// What holds at a door, for whoever asks about entries one by one.
    pub fn at<'a>(&'a self, door: &'a Door, narrow: &'a Narrow) -> impl Gate + 'a {
        AtDoor::new(self, door, narrow)
    }

    pub(super) fn upstream(&self, name: &Name) -> Option<&Arc<Upstream>> {
        self.config.upstreams.get(name).filter(|_| !self.unseen.contains(name))
    }

    pub(super) fn profile(&self, name: &Name) -> Option<&Profile> {
        self.config.profiles.get(name).map(|profile| &**profile)
    }
}

/// False for a URI that can be written in a plainer way, so that a pattern could be got around:
/// with dot segments, backslashes, or what needs no percent-encoding encoded (RFC 3986, 6.2.2),
/// and with a scheme in capitals.
fn is_plain(uri: &str) -> bool {
    let (scheme, rest) = uri.split_once(':').unwrap_or(("", uri));
    if scheme.bytes().any(|byte| byte.is_ascii_uppercase()) {
        return false;
    }
    let file = rest.strip_prefix("//").filter(|_| scheme == "file");
    if file.is_some_and(|path| path.contains("//")) {
        return false;
    }
    let dots = |segment: &str| matches!(segment, "." | "..");
    if rest.split(['/', '?', '#']).any(dots) || uri.contains('\\') {
        return false;
    }
    let unreserved = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    uri.match_indices('%').all(|(at, _)| {
        let hex = uri.get(at + 1..at + 3).filter(|hex| !hex.starts_with('+'));
        let code = hex.and_then(|hex| u8::from_str_radix(hex, 16).ok());
        // An encoded slash or backslash is one to some who read it.
        code.is_some_and(|byte| !unreserved(byte) && byte != b'/' && byte != b'\\')
    })
}

#[cfg(test)]
pub(super) fn is_plain_for_test(uri: &str) -> bool {
    is_plain(uri)
}
