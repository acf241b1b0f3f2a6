//! What the line knows of a tenant, for whoever looks after it: its upstreams and its sessions.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use super::line::Line;
use super::scope::narrow;
use crate::auth::Principal;
use crate::base::{KeyId, Name, Slot, TenantId};
use crate::config::{Config, Sight, Transport, Upstream};
use crate::credential::{CredentialError, LoginState};
use crate::namespace::{Door, Entry};
use crate::policy::own_work;
use crate::upstream::LinkState;
use crate::wire::{ListKind, Revision};

/// How an upstream stands for one tenant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UpstreamState {
    /// It is connected.
    Ready,
    /// Nothing is open; the next request connects.
    Idle,
    /// It is being connected.
    Starting,
    /// It failed, and is tried again soon.
    Failed,
    /// Secrets of the tenant are missing or cannot be used.
    NeedsSetup,
    /// The tenant has turned it off for itself.
    TurnedOff,
}

/// A report that says nothing yet.
fn blank(upstream: &Upstream, state: UpstreamState) -> UpstreamReport {
    UpstreamReport {
        name: upstream.name.clone(),
        transport: match upstream.transport {
            Transport::Stdio { .. } => "stdio",
            Transport::Http { .. } => "http",
        },
        state,
        reason: None,
        missing: Vec::new(),
        links: (0, 0),
        tools: None,
        login: None,
    }
}

impl UpstreamState {
    /// Every state.
    pub const ALL: [Self; 6] =
        [Self::Ready, Self::Idle, Self::Starting, Self::Failed, Self::NeedsSetup, Self::TurnedOff];

    /// Its word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::Idle => "idle",
            Self::Starting => "starting",
            Self::Failed => "failed",
            Self::NeedsSetup => "needs-setup",
            Self::TurnedOff => "turned-off",
        }
    }
}

/// One upstream as one tenant has it.
#[derive(Debug, Clone)]
pub struct UpstreamReport {
    /// Its name.
    pub name: Name,
    /// `stdio` or `http`.
    pub transport: &'static str,
    /// How it stands.
    pub state: UpstreamState,
    /// Why it stands like that, with the next step, where there is something to say.
    pub reason: Option<String>,
    /// Secrets that nobody has set.
    pub missing: Vec<Slot>,
    /// Connections that are open, and requests on them.
    pub links: (usize, u32),
    /// Tools that it was last seen to have; `None` when it was never listed.
    pub tools: Option<usize>,
    /// How the tenant's login stands, where there is one.
    pub login: Option<LoginState>,
}

/// One tool of an upstream.
#[derive(Debug, Clone)]
pub struct ToolReport {
    /// Its name at a merged door.
    pub name: String,
    /// Its own name.
    pub original: String,
    /// Its definition as JSON text, as `/mcp/{upstream}` shows it.
    pub definition: String,
}

/// One session of a tenant.
#[derive(Debug, Clone)]
pub struct SessionReport {
    /// Names it; opens nothing.
    pub id: String,
    /// The key that opened it.
    pub key: KeyId,
    /// At which door.
    pub door: Arc<str>,
    /// Which revision it speaks.
    pub revision: Revision,
    /// `clientInfo` as JSON text.
    pub client: String,
    /// Seconds since its last request.
    pub idle: u32,
    /// Where it was opened from, unless that was before a restart.
    pub address: Option<IpAddr>,
}

impl Line {
    /// Every upstream of the file, as the caller's tenant has it.
    pub async fn upstreams(self: &Arc<Self>, caller: &Principal) -> Vec<UpstreamReport> {
        let config = self.config().clone();
        let mut reports = Vec::with_capacity(config.upstreams.len());
        for upstream in config.upstreams.values() {
            reports.extend(self.report_as_seen(caller, &config, upstream).await);
        }
        reports
    }

    /// One upstream of the file, as the caller's tenant has it.
    pub async fn upstream(
        self: &Arc<Self>,
        caller: &Principal,
        name: &str,
    ) -> Option<UpstreamReport> {
        let upstream = self.entry(name)?;
        let config = self.config().clone();
        self.report_as_seen(caller, &config, &upstream).await
    }

    async fn report_as_seen(
        self: &Arc<Self>,
        caller: &Principal,
        config: &Config,
        upstream: &Arc<Upstream>,
    ) -> Option<UpstreamReport> {
        let tenant = caller.tenant();
        match config.sight(tenant.id(), tenant.name(), upstream) {
            Sight::Seen => Some(self.report(caller, upstream).await),
            Sight::TurnedOff => {
                let mut report = blank(upstream, UpstreamState::TurnedOff);
                let path = format!("PUT /api/v1/upstreams/{}/enabled", upstream.name);
                let reason = format!("the tenant has turned it off; an admin turns it on: {path}");
                report.reason = Some(reason);
                Some(report)
            }
            Sight::Hidden => None,
        }
    }

    async fn report(
        self: &Arc<Self>,
        caller: &Principal,
        upstream: &Arc<Upstream>,
    ) -> UpstreamReport {
        let id = caller.tenant().id();
        let mut report = blank(upstream, UpstreamState::Idle);
        let mut starting = false;
        for (key, state) in self.pool.status() {
            if key.upstream != upstream.name || key.tenant.is_some_and(|tenant| tenant != id) {
                continue;
            }
            match state {
                LinkState::Open { busy, .. } => {
                    report.links = (report.links.0 + 1, report.links.1 + busy);
                }
                LinkState::Starting => starting = true,
                LinkState::Ended => {}
            }
        }
        let shelf = self.find_tenant(&id);
        let shelf = shelf.as_ref().and_then(|tenant| tenant.shelf(upstream.name.as_str()));
        let known = shelf.as_ref().and_then(|shelf| shelf.known());
        report.tools = known.map(|known| known.listing(ListKind::Tools).items.len());
        let armed = self.credentials.arm(caller, own_work(upstream)).await;
        let failure = shelf.and_then(|shelf| shelf.failure(armed.is_ok()));
        report.login = self.login_state(caller, &upstream.name).await;
        match armed {
            Err(error) => {
                report.state = match error {
                    CredentialError::Unavailable { .. } | CredentialError::Waiting { .. } => {
                        UpstreamState::Failed
                    }
                    _ => UpstreamState::NeedsSetup,
                };
                if let CredentialError::Missing { slots, .. } = &error {
                    report.missing.clone_from(slots);
                }
                report.reason = Some(error.to_string());
            }
            Ok(_) if failure.is_some() => {
                report.state = UpstreamState::Failed;
                report.reason = failure;
            }
            Ok(_) if report.links.0 > 0 => report.state = UpstreamState::Ready,
            Ok(_) if starting => report.state = UpstreamState::Starting,
            Ok(_) => {}
        }
        report
    }

    /// The tools of an upstream that the rules and the caller's scopes let it see; it is asked when it was never
    /// listed, for a few seconds at most. `None` when the file has no such upstream.
    pub async fn tools(
        self: &Arc<Self>,
        caller: &Principal,
        upstream: &str,
    ) -> Option<Vec<ToolReport>> {
        let upstream = self.seen(caller.tenant(), upstream)?;
        let tenant = self.tenant(caller);
        let door = Door::Single(upstream.name.clone());
        tenant.view(self, caller, &door, false).await;
        let Some(catalogue) = tenant.shelf(upstream.name.as_str())?.known() else {
            return Some(Vec::new());
        };
        let (policy, namer) = (self.policy(), self.namer());
        let tools = catalogue.listing(ListKind::Tools).items.iter();
        let seen = tools.filter(|tool| {
            let read_only = tool.read_only;
            let entry = Entry { kind: ListKind::Tools, id: &tool.id, read_only, templates: &[] };
            policy.verdict(&door, narrow(caller), &upstream.name, &entry).shown
        });
        let tools = seen.map(|tool| ToolReport {
            name: namer.public(&upstream.name, &tool.id),
            original: tool.id.to_string(),
            definition: String::from_utf8_lossy(&tool.text).into_owned(),
        });
        Some(tools.collect())
    }

    /// The open sessions of a tenant.
    #[must_use]
    pub fn sessions_of(&self, tenant: TenantId) -> Vec<SessionReport> {
        let sessions = self.sessions.of_tenant(tenant);
        let reports = sessions.iter().map(|session| SessionReport {
            id: session.id().text(),
            key: session.opening().key,
            door: session.opening().door.clone(),
            revision: session.opening().revision,
            client: session.opening().client_info.to_string(),
            idle: session.idle_for(),
            address: session.opening().address,
        });
        reports.collect()
    }

    /// Ends a session of a tenant, whose id is as [`Line::sessions_of`] gives it. False when it
    /// has none of that id.
    pub async fn end_session(self: &Arc<Self>, tenant: TenantId, id: &str) -> bool {
        let mut sessions = self.sessions.of_tenant(tenant).into_iter();
        let Some(session) = sessions.find(|session| session.id().text() == id) else {
            return false;
        };
        // Before it leaves the table: nobody takes it up in between.
        self.ledger.bury([&session]);
        if self.sessions.end(&session) {
            // What it followed is taken back at the upstreams, which may take their time.
            let line = self.clone();
            self.tasks.spawn("end of a session", async move { line.forget(&session).await });
        }
        if !self.ledger.settle().await {
            tracing::warn!("the end of a session is not in the store yet; it is tried further");
        }
        true
    }

    /// How each upstream of the file stands for whoever has called, with its open connections and
    /// the requests on them: failed where it is so for one of them, else ready where one is
    /// connected.
    #[must_use]
    pub fn standings(&self) -> BTreeMap<Name, (UpstreamState, usize, u32)> {
        let config = self.config().clone();
        let idle = |name: &Name| (name.clone(), (UpstreamState::Idle, 0, 0));
        let mut all: BTreeMap<Name, _> = config.upstreams.keys().map(idle).collect();
        for (key, state) in self.pool.status() {
            let Some(standing) = all.get_mut(&key.upstream) else { continue };
            match state {
                LinkState::Open { busy, .. } => {
                    *standing = (UpstreamState::Ready, standing.1 + 1, standing.2 + busy);
                }
                LinkState::Starting if standing.1 == 0 => standing.0 = UpstreamState::Starting,
                LinkState::Starting | LinkState::Ended => {}
            }
        }
        for name in self.pool.troubled() {
            if let Some(standing) = all.get_mut(&name) {
                standing.0 = UpstreamState::Failed;
            }
        }
        all
    }

    /// Tenants that have called since the process began.
    #[must_use]
    pub fn tenant_count(&self) -> usize {
        self.all_tenants().len()
    }

    /// Streams that are open for news, of a tenant or of all.
    #[must_use]
    pub fn stream_count(&self, tenant: Option<TenantId>) -> usize {
        let own = |id: TenantId| tenant.is_none_or(|tenant| tenant == id);
        let tenants = self.all_tenants().into_iter().filter(|known| own(known.info().id()));
        tenants
            .map(|known| known.outlets().open())
            .map(|(sessions, listens)| sessions + listens)
            .sum()
    }

    /// Connections to upstreams that are open, of all tenants.
    #[must_use]
    pub fn link_count(&self) -> usize {
        let open = |state: &LinkState| matches!(state, LinkState::Open { .. });
        self.pool.status().iter().filter(|(_, state)| open(state)).count()
    }
}
