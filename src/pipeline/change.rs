//! Another configuration while the line runs: what it does not touch goes on as if nothing had
//! happened; links that it replaces serve nobody new, and end when their calls have.

use std::sync::Arc;

use super::line::Line;
use super::tenant::Tenant;
use crate::auth::Principal;
use crate::base::{Name, TenantId};
use crate::config::{Config, Difference};
use crate::session::Session;
use crate::wire::ListKind;

/// A session, and what it follows of upstreams that go.
type Loss = (Arc<Session>, Vec<String>);

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
        let losses = self.losses(difference);
        let before = self.config().clone();
        self.settle(config.clone());
        for name in difference.removed.iter().chain(&difference.relinked) {
            self.forget_memory(name);
            self.retire(&before, name, None);
            self.pool.forgive(name);
        }
        // Whoever calls for the first time from here on finds the new configuration.
        for tenant in self.all_tenants() {
            tenant.reconfigure(self, &config, difference);
            for (_, upstream) in secrets.iter().filter(|(name, _)| name == tenant.info().name()) {
                self.retire(&config, upstream, Some(tenant.info().id()));
                tenant.changed(self, upstream.as_str(), &[]);
            }
        }
        for (session, uris) in losses {
            for uri in uris {
                session.unsubscribe(&uri);
            }
            self.keep_state(&session).await;
        }
    }

    /// Links of an upstream, of one tenant or of all, serve nobody new.
    fn retire(&self, config: &Config, upstream: &Name, tenant: Option<TenantId>) {
        let Some(entry) = config.upstreams.get(upstream) else { return };
        self.pool.retire_where(entry.timing.max_time, |key| {
            key.upstream == *upstream && (tenant.is_none() || key.tenant == tenant)
        });
    }

    /// What sessions follow of upstreams that go. A client that wants it back when they come back
    /// asks for it again, as for anything that was not there.
    fn losses(&self, difference: &Difference) -> Vec<Loss> {
        if difference.removed.is_empty() {
            return Vec::new();
        }
        let mut losses = Vec::new();
        for tenant in self.all_tenants() {
            for session in self.sessions.of_tenant(tenant.info().id()) {
                let view = tenant.known_view(&self.door_of(&session));
                let goes = |uri: &String| {
                    let plan = view.uri(uri);
                    plan.is_some_and(|plan| difference.removed.contains(&plan.upstream().name))
                };
                let uris: Vec<String> = session.subscriptions().into_iter().filter(goes).collect();
                if !uris.is_empty() {
                    losses.push((session, uris));
                }
            }
        }
        losses
    }
}

impl Tenant {
    fn reconfigure(self: &Arc<Self>, line: &Arc<Line>, config: &Config, difference: &Difference) {
        let old = self.shelves.load_full();
        let new = Arc::new(super::shelf::Shelves::new(config, Some(&old)));
        self.shelves.store(new.clone());
        // What is made from here on is made of the new shelves.
        self.forget_views();
        let good = |asker: &Principal| !asker.ended().is_cancelled();
        let asker = old.each().filter_map(|shelf| shelf.asker()).find(good);
        let retire = |name: &Name| -> Vec<ListKind> {
            let all = [old.get(name.as_str(), false), old.get(name.as_str(), true)];
            all.into_iter().flatten().flat_map(|shelf| shelf.retire()).collect()
        };
        for name in &difference.removed {
            self.forget_watched(name);
            self.outlets().list_changed(config, name, &sorted(retire(name)));
            self.outlets().close_at(name);
        }
        for name in difference.added.iter().chain(&difference.changed) {
            let shown = retire(name);
            let Some(shelf) = new.get(name.as_str(), false) else { continue };
            if !self.outlets().any_for(name) {
                // It is read when somebody asks.
                continue;
            }
            match &asker {
                // What it lists is known; what is shown of it may be different.
                _ if shelf.loaded() => self.outlets().list_changed(config, name, &sorted(shown)),
                Some(asker) => {
                    shelf.state().announce.extend(shown);
                    self.start(line, asker, shelf, true);
                }
                // Nobody has asked for anything yet: whoever hears this does.
                None => self.outlets().list_changed(config, name, &ListKind::ALL),
            }
        }
        if difference.views {
            self.outlets().all_changed(config);
        }
    }
}

fn sorted(mut kinds: Vec<ListKind>) -> Vec<ListKind> {
    kinds.sort_unstable();
    kinds.dedup();
    kinds
}
