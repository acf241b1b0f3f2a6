//! Which link serves a request, and how a new one is opened (product.md, Links).

use std::sync::Arc;

use super::call::Caller;
use super::line::Line;
use super::refresh::per_principal;
use crate::auth::{Principal, TenantInfo};
use crate::base::{Fault, Kind, Name, Retry, Side, TenantId};
use crate::config::{Interactive, Share, Transport, Upstream};
use crate::credential::{Armed, CredentialError};
use crate::policy::{Permit, own_work};
use crate::upstream::stdio::{self, ChildSpec};
use crate::upstream::{
    Holder, HttpTarget, Interest, Lease, Link, LinkError, LinkKey, Sink, open_http,
};
use crate::wire::{Called, CapSet, Era};

/// What a legacy upstream is told in the handshake that it may ask; `caller` is `None` on the
/// tenant's own link. A modern upstream hears it with each request.
///
/// - HTTP: what this caller can be asked, so that it never waits for an answer that nobody can
///   give. Nothing on the tenant's own link, which only reads lists.
/// - A process that several callers share: everything, unless the file says `interactive = "off"`;
///   what the one who is asked does not take is refused. The user interfaces of MCP Apps, too.
/// - A process of one session: what that session can be asked.
/// - A process of everybody: nothing.
fn declared(upstream: &Upstream, caller: Option<&Caller>) -> CapSet {
    match &upstream.transport {
        Transport::Http { .. } => caller.map_or(CapSet::NONE, |caller| caller.declares),
        Transport::Stdio { interactive: Interactive::Off, .. }
        | Transport::Stdio { share: Share::All, .. } => CapSet::NONE,
        Transport::Stdio { share: Share::Tenant, .. } => CapSet::QUESTIONS.with(CapSet::APPS),
        Transport::Stdio { share: Share::Session, .. } => caller
            .filter(|caller| caller.session.is_some())
            .map_or(CapSet::QUESTIONS.with(CapSet::APPS), |caller| caller.declares),
    }
}

impl Line {
    /// The tenant's own link: lists, subscriptions, and calls to upstreams that need no link for
    /// each principal. Gives it with the revision of its credentials.
    pub(super) async fn house_link(
        self: &Arc<Self>,
        asker: &Principal,
        upstream: &Arc<Upstream>,
    ) -> Result<(Lease, u64), Fault> {
        let armed = self.arm(asker, own_work(upstream)).await?;
        let principal = self.needs_principal(upstream).then(|| Holder::new(asker.key().as_str()));
        let told = declared(upstream, None);
        let key = self.key(asker.tenant().id(), upstream, &armed, principal, told);
        Ok((self.lease(key, asker, upstream, &armed).await?, armed.revision()))
    }

    /// The link on which lists are read, for clients that show MCP Apps or for others, with the
    /// revision of its credentials and what a modern upstream is told with each request. A legacy
    /// HTTP upstream hears of Apps in the handshake alone, so it gets a session for them.
    pub(super) async fn list_link(
        self: &Arc<Self>,
        asker: &Principal,
        upstream: &Arc<Upstream>,
        apps: bool,
    ) -> Result<(Lease, u64, CapSet), Fault> {
        let (house, credential) = self.house_link(asker, upstream).await?;
        let told = if apps { CapSet::APPS } else { CapSet::NONE };
        let http = matches!(upstream.transport, Transport::Http { .. });
        if !apps || !http || house.facts().era == Era::Modern {
            return Ok((house, credential, told));
        }
        // As in `call_link`.
        drop(house);
        let armed = self.arm(asker, own_work(upstream)).await?;
        let key = self.key(asker.tenant().id(), upstream, &armed, None, told);
        Ok((self.lease(key, asker, upstream, &armed).await?, armed.revision(), told))
    }

    /// The tenant's own link, for tools by which the tenant logs in: whether it is logged in or not.
    pub(super) async fn login_link(
        self: &Arc<Self>,
        asker: &Principal,
        armed: &Arc<Armed>,
    ) -> Result<Lease, Fault> {
        let upstream = armed.upstream();
        let principal = self.needs_principal(upstream).then(|| Holder::new(asker.key().as_str()));
        let told = declared(upstream, None);
        let key = self.key(asker.tenant().id(), upstream, armed, principal, told);
        self.lease(key, asker, upstream, armed).await
    }

    /// The tenant's own link if it is open; where each principal has one, that of `asker`.
    pub(super) fn open_house_link(
        &self,
        tenant: &TenantInfo,
        upstream: &Arc<Upstream>,
        asker: Option<&Principal>,
    ) -> Option<Lease> {
        let armed = self.credentials.armed_last(tenant.id(), own_work(upstream))?;
        let principal = asker
            .filter(|_| self.needs_principal(upstream))
            .map(|asker| asker.key().as_str().into());
        let told = declared(upstream, None);
        self.pool.ready(&self.key(tenant.id(), upstream, &armed, principal, told))
    }

    /// The link for a call.
    pub(super) async fn call_link(
        self: &Arc<Self>,
        caller: &Caller,
        upstream: &Arc<Upstream>,
        armed: &Arc<Armed>,
    ) -> Result<Lease, Fault> {
        let principal = &caller.principal;
        let tenant = principal.tenant().id();
        match &upstream.transport {
            Transport::Stdio { share: Share::Session, .. } => {
                let holder = match &caller.session {
                    Some(session) => Holder::new(session.id().text()),
                    None => Holder::new(principal.key().as_str()),
                };
                let told = declared(upstream, Some(caller));
                let key = self.key(tenant, upstream, armed, Some(holder), told);
                self.lease(key, principal, upstream, armed).await
            }
            Transport::Stdio { .. } => {
                let key = self.key(tenant, upstream, armed, None, declared(upstream, Some(caller)));
                self.lease(key, principal, upstream, armed).await
            }
            Transport::Http { .. } => {
                // A caller with a session most often goes to an upstream with sessions, where the
                // link is its principal's own.
                let holder = Some(Holder::new(principal.key().as_str()));
                let told = declared(upstream, Some(caller));
                let own = self.key(tenant, upstream, armed, holder, told);
                if caller.era == Era::Legacy
                    && let Some(lease) = self.pool.ready(&own)
                {
                    return Ok(lease);
                }
                // A modern upstream has no sessions: the house link is everybody's.
                let house = self.key(tenant, upstream, armed, None, declared(upstream, None));
                let house = self.lease(house, principal, upstream, armed).await?;
                if !per_principal(house.facts().era) {
                    return Ok(house);
                }
                // It may be the one that tries whether the upstream is well again: given back
                // before the next, or that would have to wait for it.
                drop(house);
                self.lease(own, principal, upstream, armed).await
            }
        }
    }

    /// Tells a legacy upstream how verbose its log must be for this caller. The most verbose
    /// caller of a link decides; each gets what its own level lets through.
    pub(super) async fn raise_level(&self, caller: &Caller, upstream: &Upstream, lease: &Lease) {
        let Some(level) = caller.level else { return };
        let link: &dyn Link = &**lease;
        let place = std::ptr::from_ref(link).cast::<()>().addr();
        let tenant = self.find_tenant(&caller.principal.tenant().id());
        let facts = lease.facts();
        if facts.era == Era::Modern
            || !facts.can("logging")
            || !tenant.is_some_and(|tenant| tenant.raises_level(lease.key(), place, level))
        {
            return;
        }
        let Called::Known(method) = Called::find("logging/setLevel") else { return };
        let members = format!("\"level\":\"{}\"", level.as_str());
        if let Err(fault) = self.ask(lease, upstream, method, &members).await {
            tracing::debug!(upstream = %upstream.name, reason = %fault.public, "the log level was not set");
        }
    }

    /// Opens the tenant's credentials for a permitted upstream.
    pub(super) async fn arm(
        &self,
        principal: &Principal,
        permit: Permit<'_>,
    ) -> Result<Arc<Armed>, Fault> {
        if let Some(armed) = self.credentials.armed_cached(principal.tenant().id(), permit) {
            return Ok(armed);
        }
        let armed = Box::pin(self.credentials.arm(principal, permit)).await;
        armed.map_err(credential_fault)
    }

    fn needs_principal(&self, upstream: &Upstream) -> bool {
        matches!(upstream.transport, Transport::Stdio { share: Share::Session, .. })
    }

    fn key(
        &self,
        tenant: TenantId,
        upstream: &Upstream,
        armed: &Armed,
        principal: Option<Holder>,
        capabilities: CapSet,
    ) -> LinkKey {
        let everybody = matches!(upstream.transport, Transport::Stdio { share: Share::All, .. });
        LinkKey {
            tenant: (!everybody).then_some(tenant),
            upstream: upstream.name.clone(),
            credential: armed.revision(),
            principal,
            capabilities,
        }
    }

    async fn lease(
        self: &Arc<Self>,
        key: LinkKey,
        principal: &Principal,
        upstream: &Arc<Upstream>,
        armed: &Arc<Armed>,
    ) -> Result<Lease, Fault> {
        if let Some(lease) = self.pool.ready(&key) {
            return Ok(lease);
        }
        // Boxed: a request whose link is open does not carry the making of one with it.
        Box::pin(self.new_lease(key, principal, upstream, armed)).await
    }

    async fn new_lease(
        self: &Arc<Self>,
        key: LinkKey,
        principal: &Principal,
        upstream: &Arc<Upstream>,
        armed: &Arc<Armed>,
    ) -> Result<Lease, Fault> {
        let longest = upstream.timing.max_time;
        if self.serves(upstream) {
            // Links with credentials that were replaced get no new callers.
            self.pool.retire_where(longest, |other| {
                other.tenant == key.tenant
                    && other.upstream == key.upstream
                    && other.credential != key.credential
            });
        }
        let line = self.clone();
        let (opened, principal, upstream, armed) =
            (key.clone(), principal.clone(), upstream.clone(), armed.clone());
        let idle_stop = upstream.timing.idle_stop;
        let lease = self
            .pool
            .link(&key, idle_stop, move || async move {
                let link =
                    line.clone().open_link(opened.clone(), &principal, &upstream, &armed).await;
                if !line.serves(&upstream) {
                    // Its caller began before a reload; nobody else shall have this link.
                    line.pool.retire_where(longest, |other| *other == opened);
                }
                link
            })
            .await?;
        Ok(lease)
    }

    /// True when links for this entry are links for what the file says now.
    fn serves(&self, upstream: &Upstream) -> bool {
        let current = self.entry(upstream.name.as_str());
        current.is_some_and(|current| current.same_link(upstream))
    }

    async fn open_link(
        self: Arc<Self>,
        key: LinkKey,
        principal: &Principal,
        upstream: &Arc<Upstream>,
        armed: &Arc<Armed>,
    ) -> Result<Arc<dyn Link>, LinkError> {
        let sink = self.sink(&key, armed);
        let redactor = armed.clone();
        let redact = Arc::new(move |text: &str| redactor.redact(text).into_owned());
        let name: &Name = &upstream.name;
        tracing::debug!(upstream = %name, tenant = %principal.tenant().name(), "opening a link");
        match &upstream.transport {
            Transport::Http { .. } => {
                let uri = armed.url().cloned().ok_or_else(|| {
                    LinkError::before(
                        name,
                        crate::upstream::Cause::Down,
                        "its url could not be made",
                    )
                })?;
                let target = HttpTarget {
                    upstream: name.clone(),
                    uri,
                    headers: armed.headers().clone(),
                    bearer: armed.bearer().cloned(),
                    era: upstream.era,
                    start: upstream.timing.start,
                    capabilities: key.capabilities,
                    guarded: upstream.guarded,
                    session_id: upstream.quirks.session_id,
                    cancels: upstream.quirks.cancels,
                    redact,
                };
                let link = open_http(target, self.client.clone(), sink, self.tasks.clone()).await?;
                if key.principal.is_some() && link.facts().era == Era::Legacy {
                    // Some servers ask and log on the session's own stream alone, and ask whom they
                    // should not. What they ask before it stands is lost, and what nobody reads has
                    // no answer: no call goes ahead of it, whatever its caller declares.
                    link.listen(Interest { lists: true, ..Interest::default() });
                    link.listening().await;
                }
                Ok(link)
            }
            Transport::Stdio { cwd, limits, interactive, .. } => {
                let spec = ChildSpec {
                    launcher: self.launcher.clone(),
                    upstream: name.clone(),
                    command: armed.command(Some(principal.key())),
                    env: armed.env(Some(principal.key())).into_owned(),
                    cwd: cwd.clone(),
                    limits: *limits,
                    era: upstream.era,
                    memory: self.memory(name),
                    start: upstream.timing.start,
                    capabilities: key.capabilities,
                    shared: key.principal.is_none(),
                    exclusive: *interactive == Interactive::Exclusive
                        && key.capabilities != CapSet::NONE,
                    cancels: upstream.quirks.cancels,
                    log: Some(self.logs.of(key.tenant, name).held_by(key.principal)),
                    redact,
                };
                Ok(stdio::open(spec, sink, &self.tasks).await?)
            }
        }
    }

    fn sink(self: &Arc<Self>, key: &LinkKey, armed: &Arc<Armed>) -> Sink {
        let (line, key, armed) = (Arc::downgrade(self), key.clone(), armed.clone());
        Arc::new(move |event| {
            if let Some(line) = line.upgrade() {
                line.heard(&key, &armed, &event);
            }
        })
    }
}

fn credential_fault(error: CredentialError) -> Fault {
    if matches!(error, CredentialError::Login { .. } | CredentialError::Waiting { .. }) {
        return error.into();
    }
    let public = error.to_string();
    Fault {
        kind: Kind::NeedsSetup,
        side: Side::Proxy,
        retry: Retry::Safe,
        public: public.into(),
        private: None,
        cause: None,
    }
}
