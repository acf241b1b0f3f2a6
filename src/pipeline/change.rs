//! Another configuration while the line runs: what it does not touch goes on as if nothing had
//! happened; links that it replaces serve nobody new, and end when their calls have.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::line::Line;
use super::shelf::{Shelf, Shelves};
use super::tenant::Tenant;
use crate::auth::Principal;
use crate::base::{Name, Narrow, TenantId};
use crate::config::{Config, Difference};
use crate::namespace::Door;
use crate::policy::Policy;
use crate::session::Session;
use crate::wire::ListKind;

/// Resources that a session follows, by their public URI, with where they are.
struct Following {
    tenant: Arc<Tenant>,
    session: Arc<Session>,
    door: Door,
    resources: Vec<(String, Name, String)>,
}

impl Line {
    /// Puts `config` in the place of the configuration that runs. `difference` says what is
    /// different about it, `secrets` which tenants (by name) have other secrets of the file for
    /// which upstreams. Clients are told of lists that have changed, once the new ones are known.
    pub async fn reconfigure(
        self: &Arc<Self>,
        config: Arc<Config>,
        difference: &Difference,
        secrets: &[(Name, Name)],
    ) {
        let following = if narrows(difference) { self.following() } else { Vec::new() };
        let before = self.config().clone();
        self.settle(config.clone());
        for name in difference.removed.iter().chain(&difference.relinked) {
            self.forget_memory(name);
            self.retire(&before, name, None);
            self.pool.forgive(name);
            if !config.upstreams.contains_key(name) && !config.made.standing.contains_key(name) {
                self.logs.forget(name);
            }
        }
        // Whoever calls for the first time from here on finds the new configuration.
        for tenant in self.all_tenants() {
            for name in tenant.reconfigure(self, &config, difference) {
                self.retire(&before, &name, Some(tenant.info().id()));
            }
            for (_, upstream) in secrets.iter().filter(|(name, _)| name == tenant.info().name()) {
                self.retire(&config, upstream, Some(tenant.info().id()));
                tenant.changed(self, upstream.as_str(), &[]);
            }
            if narrows(difference) {
                self.withdraw(&tenant);
            }
        }
        for following in following {
            self.narrow(following).await;
        }
    }

    /// Ends the connections and processes of an upstream, of one tenant or of all: calls under way
    /// end as they would, and the next request starts anew. A process that everybody shares is
    /// nobody's own. False when there is no such upstream.
    pub fn restart(self: &Arc<Self>, upstream: &str, tenant: Option<TenantId>) -> bool {
        let Some(entry) = self.entry(upstream) else { return false };
        self.forget_memory(&entry.name);
        self.retire(&self.config().clone(), &entry.name, tenant);
        self.pool.forgive(&entry.name);
        for known in self.all_tenants() {
            if tenant.is_none_or(|tenant| known.info().id() == tenant) {
                known.changed(self, upstream, &[]);
            }
        }
        true
    }

    /// What the processes of an upstream wrote to standard error last: those of a tenant, or the
    /// one that everybody shares.
    #[must_use]
    pub fn stderr(&self, upstream: &Name, tenant: Option<TenantId>) -> Vec<String> {
        self.logs.find(tenant, upstream).map(|log| log.lines()).unwrap_or_default()
    }

    /// Secrets of a tenant for an upstream were set or removed: what it lists is read again, so
    /// that clients with an open stream hear of what is different.
    pub fn secrets_changed(self: &Arc<Self>, tenant: TenantId, upstream: &Name) {
        if let Some(tenant) = self.find_tenant(&tenant) {
            tenant.changed(self, upstream.as_str(), &[]);
        }
    }

    /// Links of an upstream, of one tenant or of all, serve nobody new.
    fn retire(&self, config: &Config, upstream: &Name, tenant: Option<TenantId>) {
        let Some(entry) = config.upstreams.get(upstream) else { return };
        self.pool.retire_where(entry.timing.max_time, |key| {
            key.upstream == *upstream && (tenant.is_none() || key.tenant == tenant)
        });
    }

    /// What sessions follow. A client that wants it back when it comes back asks for it again, as
    /// for anything that was not there.
    fn following(&self) -> Vec<Following> {
        let mut all = Vec::new();
        for tenant in self.all_tenants() {
            for session in self.sessions.of_tenant(tenant.info().id()) {
                let followed = session.subscriptions();
                if followed.is_empty() {
                    continue;
                }
                let door = self.door_of(&session);
                let view = tenant.view_at(&door, &Narrow::NONE, false);
                let place = |uri: String| {
                    let plan = view.uri(&uri)?;
                    Some((uri, plan.upstream().name.clone(), plan.original().to_owned()))
                };
                let resources = followed.into_iter().filter_map(place).collect();
                all.push(Following { tenant: tenant.clone(), session, door, resources });
            }
        }
        all
    }

    /// Whether what a public URI stands for at a door may be followed.
    fn may_follow(&self, tenant: &Tenant, door: &Door, narrow: &Narrow, uri: &str) -> bool {
        let plan = tenant.view_at(door, narrow, false).uri(uri);
        plan.is_some_and(|plan| self.policy().may(&plan, door, narrow).is_ok())
    }

    /// Takes from a session what it may not follow any more.
    async fn narrow(self: &Arc<Self>, following: Following) {
        let Following { tenant, session, door, resources } = following;
        let mut freed = Vec::new();
        for (public, upstream, uri) in resources {
            if !self.may_follow(&tenant, &door, &Narrow::NONE, &public)
                && session.unsubscribe(&public)
            {
                freed.push((upstream, uri));
            }
        }
        if !freed.is_empty() {
            self.give_back(&tenant, freed);
            self.keep_state(&session).await;
        }
    }

    /// Takes from the listens of a tenant what may not be followed any more.
    fn withdraw(self: &Arc<Self>, tenant: &Arc<Tenant>) {
        let keeps =
            |door: &Door, narrow: &Narrow, uri: &str| self.may_follow(tenant, door, narrow, uri);
        let (freed, tasks) = tenant.outlets().withdraw(keeps);
        for upstream in tasks {
            self.unfollow(tenant, &upstream);
        }
        self.give_back(tenant, freed);
    }

    /// Upstreams are told what nobody follows any more. They may take their time; the keys that
    /// leave the file do not wait for them.
    fn give_back(self: &Arc<Self>, tenant: &Arc<Tenant>, freed: Vec<(Name, String)>) {
        if freed.is_empty() {
            return;
        }
        let (line, tenant) = (self.clone(), tenant.clone());
        self.tasks.spawn("unfollowed resources", async move {
            for (upstream, uri) in freed {
                // Of an upstream that is gone nothing is counted any more.
                if let Some(upstream) = line.entry(upstream.as_str()) {
                    tenant.unwatch(&line, &upstream, &uri).await;
                }
            }
        });
    }
}

/// True when somebody may see less by it.
fn narrows(difference: &Difference) -> bool {
    let Difference { removed, changed, profiles, picks, .. } = difference;
    !(removed.is_empty() && changed.is_empty() && profiles.is_empty() && picks.is_empty())
}

/// The difference as one tenant has it, where it has one of its own; and the upstreams that are
/// there on for others.
fn own(
    difference: &Difference,
    config: &Config,
    before: &Policy,
    now: &Policy,
) -> (Option<Difference>, Vec<Name>) {
    let (before, now) = (before.unseen(), now.unseen());
    if before.is_empty() && now.is_empty() {
        return (None, Vec::new());
    }
    let mut own = difference.clone();
    let Difference { added, changed, removed, moved, .. } = &mut own;
    for names in [&mut *added, changed, removed, moved] {
        names.retain(|name| !before.contains(name) && !now.contains(name));
    }
    added.extend(
        before.difference(now).filter(|name| config.upstreams.contains_key(*name)).cloned(),
    );
    let fresh = |name: &&Name| !difference.added.contains(*name);
    let gone: Vec<Name> = now.difference(before).filter(fresh).cloned().collect();
    removed.extend(gone.iter().cloned());
    (Some(own), gone)
}

impl Tenant {
    /// Gives the upstreams that are there on and not for this tenant any more.
    fn reconfigure(
        self: &Arc<Self>,
        line: &Arc<Line>,
        config: &Arc<Config>,
        difference: &Difference,
    ) -> Vec<Name> {
        let old = self.shelves.load_full();
        let policy = Policy::of_tenant(config.clone(), self.info().id(), self.info().name());
        let (own, gone) = own(difference, config, &old.policy, &policy);
        let difference = own.as_ref().unwrap_or(difference);
        let new = Arc::new(Shelves::new(config, policy.clone(), Some(&old)));
        self.shelves.store(new.clone());
        // What is made from here on is made of the new shelves.
        self.forget_views();
        let change = Change { old, new, line, config };
        let sees = |door: &Door, narrow: &Narrow, kinds: &[ListKind]| {
            change.new.differs(&change.old, door, narrow, kinds)
        };
        // Those who saw what is gone are found by the rules of before.
        for name in &difference.removed {
            self.forget_watched(name);
            let shown = change.retire(name);
            self.outlets().list_changed(config, name, &shown, sees);
        }
        self.outlets().judge_by(policy);
        let there = |door: &Door| match door {
            Door::Merged => true,
            Door::Single(name) => change.new.get(name.as_str(), false).is_some(),
            Door::Profile(name) => config.profiles.contains_key(name),
        };
        self.outlets().close_where(|door| !there(door));
        let mut read: BTreeSet<&Name> = difference.added.iter().collect();
        for name in difference.changed.iter().chain(&difference.moved) {
            let shown = change.retire(name);
            let Some(shelf) = change.new.get(name.as_str(), false) else { continue };
            if shelf.loaded() {
                // What it lists is known; what is shown of it may be different.
                self.outlets().list_changed(config, name, &shown, sees);
            } else {
                // Of two changes before one reading, what was before the first counts.
                let before = change.earlier(name).unwrap_or_else(|| change.old.clone());
                let mut state = shelf.state();
                state.announce.extend(shown);
                state.before = Some(before);
                drop(state);
                read.insert(name);
            }
        }
        let others = |door: &Door| {
            difference.views
                || door.profile().is_some_and(|name| difference.profiles.contains(name))
        };
        self.outlets().doors_changed(config, others, sees);
        for name in config.upstreams.keys() {
            let shown = |door: &Door, narrow: &Narrow| {
                others(door) && change.new.policy.reaches(door, narrow, name)
            };
            if self.outlets().any_at(shown) {
                read.insert(name);
            }
        }
        self.read_unread(&change, read);
        gone
    }

    /// Reads what clients that hear of it would be shown: they are told when it is known.
    fn read_unread(self: &Arc<Self>, change: &Change<'_>, names: BTreeSet<&Name>) {
        let Change { old, new, line, config, .. } = change;
        let good = |asker: &Principal| !asker.ended().is_cancelled();
        let asker = old.each().filter_map(|shelf| shelf.asker()).find(good);
        for name in names {
            let Some(shelf) = new.get(name.as_str(), false).filter(|shelf| !shelf.loaded()) else {
                continue;
            };
            if !self.outlets().any_for(name) {
                // It is read when somebody asks.
                continue;
            }
            match &asker {
                Some(asker) => drop(self.start(line, asker, shelf, true)),
                // Nobody has asked for anything yet: whoever hears this does.
                None => self.outlets().list_changed(config, name, &ListKind::ALL, |_, _, _| true),
            }
        }
    }
}

/// What a tenant had and has.
struct Change<'a> {
    old: Arc<Shelves>,
    new: Arc<Shelves>,
    line: &'a Arc<Line>,
    config: &'a Arc<Config>,
}

impl Change<'_> {
    /// What a shelf that never was read compares with, if the file changed before already.
    fn earlier(&self, name: &Name) -> Option<Arc<Shelves>> {
        let old = self.old.get(name.as_str(), false)?;
        old.state().before.take()
    }

    /// Retires the shelves of an upstream that have no place any more; gives the kinds of which
    /// they had something to show.
    fn retire(&self, name: &Name) -> Vec<ListKind> {
        let mut kinds = Vec::new();
        for apps in [false, true] {
            let at = |shelves: &Shelves| shelves.get(name.as_str(), apps).cloned();
            let (Some(old), new) = (at(&self.old), at(&self.new)) else { continue };
            let stays = |new: &Arc<Shelf>| Arc::ptr_eq(new, &old);
            // A tenant that came while the file changed may have the new one already.
            if !new.as_ref().is_some_and(stays) {
                kinds.extend(old.retire());
            }
        }
        kinds.sort_unstable();
        kinds.dedup();
        kinds
    }
}
