//! Everything the line works with, and the state it keeps: tenants that have called, sessions.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, RwLock};
use std::time::Duration;

use arc_swap::{ArcSwap, Guard};
use tokio_util::sync::CancellationToken;

use super::holders::Holders;
use super::parks::Parks;
use super::quick::Quick;
use super::scope::narrow;
use super::task::KeptTasks;
use super::tenant::Tenant;
use super::troubles::Troubles;
use crate::audit::{Audit, Denial, Outcome};
use crate::auth::{Principal, TenantInfo};
use crate::base::{Clock, Map, Name, Narrow, Tasks, TenantId};
use crate::config::{Config, Sight, Upstream};
use crate::credential::Credentials;
use crate::limit::{Limiter, Turns};
use crate::namespace::{Door, Namer};
use crate::policy::Policy;
use crate::seal::Ring;
use crate::session::{Ledger, Session, Sessions};
use crate::store::SessionStates;
use crate::telemetry::{CallLog, Tracer, meters};
use crate::upstream::stdio::{EraMemory, Launcher, Logs};
use crate::upstream::{HttpClient, Pool};

/// How long a client may keep a list without asking again, in milliseconds: as long as ours is
/// served without asking the upstream. Changes are announced besides.
pub(super) const LIST_TTL_MS: u64 = 5_000;

/// How often it is looked whether a key has ended: with the key watch it makes less than a second.
const TICK: Duration = Duration::from_millis(250);
/// Everything else is looked at once in so many.
const TICKS: u32 = 4;

macro_rules! server_info {
    () => {
        concat!(
            "{\"name\":\"mcp-proxy\",\"title\":\"mcp-proxy\",\"version\":\"",
            env!("CARGO_PKG_VERSION"),
            "\"}"
        )
    };
}

/// `serverInfo` of the proxy as JSON text.
pub(super) const fn server_info() -> &'static str {
    server_info!()
}

/// The same as the first of several members of a modern result's `_meta` (R11).
pub(super) const SERVER_INFO_MEMBER: &str =
    concat!("\"io.modelcontextprotocol/serverInfo\":", server_info!(), ",");

/// The same as a whole `_meta`, the first of several members of a modern result.
pub(super) const SERVER_INFO_META: &str =
    concat!("\"_meta\":{\"io.modelcontextprotocol/serverInfo\":", server_info!(), "},");

/// How long a session may be idle, in seconds.
fn session_idle(config: &Config) -> u32 {
    u32::try_from(config.server.session_idle.as_secs()).unwrap_or(u32::MAX)
}

/// What a line is made of.
pub struct Parts {
    /// The file.
    pub config: Arc<Config>,
    /// Opened credentials.
    pub credentials: Credentials,
    /// Links that are open.
    pub pool: Arc<Pool>,
    /// For new HTTP links.
    pub client: HttpClient,
    /// For new child processes.
    pub launcher: Launcher,
    /// For background work.
    pub tasks: Tasks,
    /// For idle expiry.
    pub clock: Arc<Clock>,
    /// Seals session ids and what clients carry for us.
    pub ring: Arc<Ring>,
    /// What sessions leave behind.
    pub session_states: Arc<dyn SessionStates>,
    /// Where each call leaves its line; none when the log leaves them out.
    pub calls: Option<CallLog>,
    /// Where each request leaves its record; none when the file wants no audit.
    pub audit: Option<Audit>,
    /// Where each request leaves its spans; none when nobody wants traces.
    pub tracer: Option<Tracer>,
}

/// The request line. One for the process.
pub struct Line {
    config: ArcSwap<Config>,
    policy: ArcSwap<Policy>,
    pub(super) sessions: Sessions,
    pub(super) ledger: Arc<Ledger>,
    pub(super) holders: Holders,
    pub(super) quick: Quick,
    pub(super) credentials: Credentials,
    pub(super) pool: Arc<Pool>,
    pub(super) client: HttpClient,
    pub(super) launcher: Launcher,
    pub(super) logs: Logs,
    pub(super) tasks: Tasks,
    pub(super) calls: Option<CallLog>,
    pub(super) audit: Option<Audit>,
    pub(super) tracer: Option<Tracer>,
    pub(super) ring: Arc<Ring>,
    pub(super) parks: Parks,
    pub(super) kept: KeptTasks,
    pub(super) limiter: Limiter,
    pub(super) turns: Arc<Turns>,
    pub(super) troubles: Troubles,
    pub(super) draining: CancellationToken,
    tenants: RwLock<Map<TenantId, Arc<Tenant>>>,
    memories: Mutex<HashMap<Name, Arc<EraMemory>>>,
}

impl std::fmt::Debug for Line {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Line").finish_non_exhaustive()
    }
}

impl Line {
    /// A line over these parts.
    #[must_use]
    pub fn new(parts: Parts) -> Arc<Self> {
        let (outcomes, denials) =
            (Outcome::ALL.map(Outcome::as_str), Denial::ALL.map(Denial::as_str));
        meters().tell(outcomes, denials);
        let idle = session_idle(&parts.config);
        if let Some(audit) = &parts.audit {
            audit.keep_bodies(parts.config.bodies.clone());
        }
        parts.credentials.logins().set_public_url(parts.config.server.public_url.as_ref());
        Arc::new(Self {
            sessions: Sessions::new(parts.clock, parts.ring.clone(), idle),
            ledger: Arc::new(Ledger::new(parts.session_states)),
            holders: Holders::default(),
            quick: Quick::default(),
            memories: Mutex::default(),
            policy: ArcSwap::from_pointee(Policy::new(parts.config.clone())),
            limiter: Limiter::new(parts.config.limits.clone()),
            turns: Turns::new(parts.config.limits.calls),
            config: ArcSwap::from(parts.config),
            credentials: parts.credentials,
            pool: parts.pool,
            client: parts.client,
            launcher: parts.launcher,
            logs: Logs::default(),
            tasks: parts.tasks,
            calls: parts.calls,
            audit: parts.audit,
            tracer: parts.tracer,
            ring: parts.ring,
            parks: Parks::default(),
            kept: KeptTasks::default(),
            troubles: Troubles::default(),
            draining: CancellationToken::new(),
            tenants: RwLock::default(),
        })
    }

    /// What the file decides now. A reload puts another one in its place: who looks twice in one
    /// piece of work may see both. Give it back soon; for longer, take a clone.
    #[must_use]
    pub fn config(&self) -> Guard<Arc<Config>> {
        self.config.load()
    }

    /// The rules of the file, as of [`Line::config`]. What is there for which tenant is not in
    /// them: that is in the tenant's own views.
    pub(super) fn policy(&self) -> Guard<Arc<Policy>> {
        self.policy.load()
    }

    /// How names become public ones.
    pub(super) fn namer(&self) -> Namer {
        let config = self.config();
        Namer::new(&config.namespace.separator, config.namespace.max_name)
    }

    /// The entry of an upstream as it is now.
    pub(super) fn entry(&self, name: &str) -> Option<Arc<Upstream>> {
        self.config().upstreams.get(name).cloned()
    }

    /// The same where it is there for this tenant.
    pub(super) fn seen(&self, tenant: &TenantInfo, name: &str) -> Option<Arc<Upstream>> {
        let config = self.config();
        let entry = config.upstreams.get(name)?;
        let sight = config.sight(tenant.id(), tenant.name(), entry);
        (sight == Sight::Seen).then(|| entry.clone())
    }

    /// From now on this is what the file decides.
    pub(super) fn settle(&self, config: Arc<Config>) {
        self.sessions.set_idle(session_idle(&config));
        self.limiter.set(config.limits.clone());
        self.turns.set(config.limits.calls);
        if let Some(audit) = &self.audit {
            audit.keep_bodies(config.bodies.clone());
        }
        self.credentials.logins().set_public_url(config.server.public_url.as_ref());
        self.policy.store(Arc::new(Policy::new(config.clone())));
        self.config.store(config);
    }

    /// The door of a path: `/mcp`, `/mcp/{upstream}` or `/p/{profile}/mcp`. What the file does
    /// not have is no door, and neither is what this caller's key leaves out.
    #[must_use]
    pub fn door(&self, principal: &Principal, path: &str) -> Option<Door> {
        let door = self.door_of_path(path)?;
        if let Door::Single(name) = &door {
            let (config, tenant) = (self.config(), principal.tenant());
            let entry = config.upstreams.get(name)?;
            if config.sight(tenant.id(), tenant.name(), entry) != Sight::Seen {
                return None;
            }
        }
        self.policy().opens(&door, narrow(principal)).then_some(door)
    }

    /// The same whoever asks.
    #[must_use]
    pub fn door_of_path(&self, path: &str) -> Option<Door> {
        if path == "/mcp" {
            return Some(Door::Merged);
        }
        let config = self.config();
        if let Some(profile) = path.strip_prefix("/p/") {
            let (name, _) = config.profiles.get_key_value(profile.strip_suffix("/mcp")?)?;
            return Some(Door::Profile(name.clone()));
        }
        let (name, _) = config.upstreams.get_key_value(path.strip_prefix("/mcp/")?)?;
        Some(Door::Single(name.clone()))
    }

    /// Open sessions, for the status.
    #[must_use]
    pub fn session_count(&self) -> usize {
        self.sessions.count()
    }

    /// What earlier starts of an upstream found out about how it speaks.
    pub(super) fn memory(&self, upstream: &Name) -> Arc<EraMemory> {
        self.all_memories().entry(upstream.clone()).or_default().clone()
    }

    /// Forgets it: the next start finds out anew.
    pub(super) fn forget_memory(&self, upstream: &Name) {
        self.all_memories().remove(upstream);
    }

    fn all_memories(&self) -> MutexGuard<'_, HashMap<Name, Arc<EraMemory>>> {
        self.memories.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// The state of a tenant; a tenant that never called has none.
    pub(super) fn tenant(&self, principal: &Principal) -> Arc<Tenant> {
        let id = principal.tenant().id();
        if let Some(tenant) = self.find_tenant(&id) {
            return tenant;
        }
        let mut tenants = self.tenants.write().unwrap_or_else(std::sync::PoisonError::into_inner);
        // Under the lock: a reload that comes later finds the tenant.
        let new = || Arc::new(Tenant::new(principal.tenant(), &self.config()));
        tenants.entry(id).or_insert_with(new).clone()
    }

    pub(super) fn find_tenant(&self, id: &TenantId) -> Option<Arc<Tenant>> {
        self.tenants.read().unwrap_or_else(std::sync::PoisonError::into_inner).get(id).cloned()
    }

    /// Every tenant that has called.
    pub(super) fn all_tenants(&self) -> Vec<Arc<Tenant>> {
        self.tenants
            .read()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .values()
            .cloned()
            .collect()
    }

    /// Takes back what an ended session had asked for.
    pub(super) async fn forget(self: &Arc<Self>, session: &Session) {
        // With `share = "session"` it had processes of its own (R45).
        let own = session.id().text();
        self.pool.end_where(|key| key.principal.as_deref() == Some(own.as_str()));
        let Some(tenant) = self.find_tenant(&session.opening().tenant) else { return };
        let (door, narrow) = (self.door_of(session), Narrow::NONE);
        let view = tenant.view_at(&door, &narrow, false);
        for uri in session.take_subscriptions() {
            // What rules have hidden since is not followed any more.
            let plan = view.uri(&uri).filter(|p| self.policy().may(p, &door, &narrow).is_ok());
            if let Some(plan) = plan {
                tenant.unwatch(self, plan.upstream(), plan.original()).await;
            }
        }
    }

    pub(super) fn door_of(&self, session: &Session) -> Door {
        // Also where the file has no such upstream or profile any more.
        Door::parse(&session.opening().door).unwrap_or(Door::Merged)
    }

    /// Ends the streams that are open, so that the process can stop.
    pub fn drain(&self) {
        self.draining.cancel();
        for tenant in self.all_tenants() {
            tenant.outlets().close();
        }
    }

    /// Ends what has ended: sessions that are idle or whose key is no longer good, dead streams.
    /// Writes down what must outlive the process. Runs until the stop.
    pub fn watch(self: &Arc<Self>, clock: Arc<Clock>) {
        let (ledger, stop) = (self.ledger.clone(), self.tasks.stop().clone());
        self.tasks.spawn("session ledger", async move { ledger.run(stop).await });
        self.watch_processes();
        let line = self.clone();
        self.tasks.spawn("session sweep", async move {
            let stop = line.tasks.stop().clone();
            let mut every = tokio::time::interval(TICK);
            let mut ticks = 0;
            loop {
                tokio::select! {
                    () = stop.cancelled() => break,
                    _ = every.tick() => {}
                }
                line.end_with_keys().await;
                if ticks % TICKS == 0 {
                    clock.tick();
                    line.sweep().await;
                }
                ticks += 1;
            }
            clock.tick();
            line.ledger.note(line.sessions.unwritten());
            if let Err(error) = line.ledger.flush().await {
                tracing::warn!(%error, "the last uses of sessions are not written");
            }
        });
    }

    /// A key that was revoked takes its sessions along. The store needs no word of it: nobody can
    /// present the key again; and if it was only the store that could not be asked, they are taken
    /// up again.
    async fn end_with_keys(self: &Arc<Self>) {
        let has_sessions = |tenant, key| self.sessions.count_of(tenant, key) > 0;
        for (tenant, key) in self.holders.ended(has_sessions) {
            for session in self.sessions.end_of_key(tenant, key) {
                self.forget(&session).await;
            }
        }
    }

    async fn sweep(self: &Arc<Self>) {
        self.client.sweep();
        self.limiter.sweep_next();
        for tenant in self.all_tenants() {
            if tenant.is_quiet() {
                continue;
            }
            self.keep_listening(&tenant);
            let (freed, tasks) = tenant.outlets().prune();
            for upstream in tasks {
                self.unfollow(&tenant, &upstream);
            }
            for (upstream, uri) in freed {
                if let Some(upstream) = self.entry(upstream.as_str()) {
                    tenant.unwatch(self, &upstream, &uri).await;
                }
            }
        }
        let (idle, unwritten) = self.sessions.sweep();
        if !idle.is_empty() {
            tracing::debug!(count = idle.len(), "idle sessions have ended");
            self.ledger.bury(&idle);
        }
        for session in idle {
            self.forget(&session).await;
        }
        self.ledger.note(unwritten);
    }
}
