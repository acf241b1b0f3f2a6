//! From configuration to a proxy that listens.

use std::net::SocketAddr;
use std::sync::Arc;

use http_body_util::BodyExt;
use tokio::net::{TcpListener, UnixListener};

use super::compose::Composer;
use super::error::StartError;
use super::foundation::Foundation;
use super::reload::{Reloader, Source};
use super::seeing::tracer;
use super::socket::{self, Socket};
use crate::admin::{self, Api, Place, Side};
use crate::audit::Audit;
use crate::auth::{Admission, Auth};
use crate::base::{Clock, Secret, Tasks};
use crate::config::{Config, Reload, SecretSource};
use crate::connect::{self, Account, Connect, is_account};
use crate::credential::{Credentials, DeclaredSecrets};
use crate::pipeline::{Line, Parts};
use crate::server::{Acceptor, Doors, Entrance, Mount, Readiness, acceptor};
use crate::store::AuditFile;
use crate::telemetry::CallLog;
use crate::upstream::stdio::Launcher;
use crate::upstream::{HttpClient, Pool};

/// Finds the value of a source that the file names.
pub type Resolve = dyn Fn(&SecretSource) -> Result<Secret, String> + Send + Sync;

/// Where the configuration comes from.
pub struct Origins {
    /// Finds the secrets that the file names.
    pub resolve: Arc<Resolve>,
    /// The file, unless there is none.
    pub file: Option<Source>,
}

impl std::fmt::Debug for Origins {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Origins").field("file", &self.file).finish_non_exhaustive()
    }
}

/// A proxy that is ready to run.
pub struct Built {
    pub(super) listener: TcpListener,
    /// The operator's own, and what stands behind it.
    pub(super) operator: Option<(TcpListener, Entrance)>,
    /// For commands on this machine, and what stands behind it.
    pub(super) local: Option<(UnixListener, Socket, Entrance)>,
    pub(super) tls: Arc<Acceptor>,
    pub(super) doors: Arc<Doors>,
    pub(super) pool: Arc<Pool>,
    pub(super) audit: Option<Audit>,
    pub(super) readiness: Readiness,
    pub(super) tasks: Tasks,
    /// None where the configuration came from no file.
    pub(super) reloader: Option<Arc<Reloader>>,
    /// Where it listens, with the port that the system chose.
    pub address: SocketAddr,
}

impl std::fmt::Debug for Built {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Built").field("address", &self.address).finish_non_exhaustive()
    }
}

/// Everything behind the doors.
pub(super) struct Core {
    pub(super) auth: Auth,
    pub(super) credentials: Credentials,
    pub(super) line: Arc<Line>,
    pub(super) pool: Arc<Pool>,
    pub(super) audit: Option<Audit>,
    pub(super) composer: Arc<Composer>,
}

impl Core {
    /// Puts it together, with what runs in the background.
    pub(super) async fn new(
        config: Arc<Config>,
        foundation: &Foundation,
        resolve: &Resolve,
        launcher: Launcher,
        calls: Option<CallLog>,
        tasks: &Tasks,
    ) -> Result<Self, StartError> {
        let composer = Composer::new(&foundation.stores, config, tasks);
        let config = Arc::new(composer.compose(&composer.stored().await?));
        let resolve_sync = |source: &SecretSource| resolve(source);
        let admission = Admission::of(&config);
        let auth =
            Auth::new(&foundation.stores, foundation.ring.clone(), &admission, &resolve_sync)
                .await?;
        auth.watch(tasks);
        let declared = DeclaredSecrets::read(&config.tenants, &resolve_sync);
        let credentials = Credentials::new(
            (foundation.stores.secrets.clone(), foundation.stores.logins.clone()),
            foundation.ring.clone(),
            declared,
            auth.changed(),
            tasks,
        );
        credentials.tend(tasks);
        let (audit, quotas) = audit(&config, foundation)?.unzip();
        let pool = Arc::new(Pool::new(tasks));
        let clock = Arc::new(Clock::default());
        let tracer = tracer(&config, resolve, tasks)?;
        let line = Line::new(Parts {
            config,
            credentials: credentials.clone(),
            pool: pool.clone(),
            client: HttpClient::new(),
            launcher,
            tasks: tasks.clone(),
            clock: clock.clone(),
            ring: foundation.ring.clone(),
            session_states: foundation.stores.sessions.clone(),
            calls,
            audit: audit.clone(),
            tracer,
        });
        line.watch(clock);
        if let Some(quotas) = quotas {
            line.keep_quotas(quotas).await?;
        }
        composer.serve(&line);
        Ok(Self { auth, credentials, line, pool, audit, composer })
    }
}

/// The audit, unless the file wants none, and what its database knows of quotas. Its tasks are
/// its own, since it ends after all others.
fn audit(
    config: &Config,
    foundation: &Foundation,
) -> Result<Option<(Audit, Arc<AuditFile>)>, StartError> {
    if !config.audit.enabled {
        return Ok(None);
    }
    let tasks = Tasks::default();
    let file = AuditFile::open(&AuditFile::beside(&config.store.path), &tasks)?;
    let audit = Audit::start(file.clone(), &foundation.ring, config.audit.clone(), &tasks);
    Ok(Some((audit, file)))
}

/// Builds the proxy and binds its address. Nothing is served before `run`.
///
/// # Errors
/// When a key of the file is wrong, a certificate cannot be used, or the address is taken.
pub async fn build(
    config: Arc<Config>,
    foundation: &Foundation,
    origins: Origins,
    launcher: Launcher,
    calls: Option<CallLog>,
    tasks: &Tasks,
) -> Result<Built, StartError> {
    let Origins { resolve, file } = origins;
    let tls = Arc::new(Acceptor::default());
    tls.set(config.server.tls.as_ref().map(acceptor).transpose()?);
    let requested = config.server.listen;
    let core = Core::new(config.clone(), foundation, &*resolve, launcher, calls, tasks).await?;
    core.line.keep_logins(core.auth.clone());
    let (listener, address) = bind(requested, "`listen` in [server], or `--listen`").await?;
    let behind =
        (core.auth.clone(), core.credentials.clone(), core.line.clone(), core.composer.clone());
    let found = resolve.clone();
    let reloader =
        file.map(|file| Arc::new(Reloader::new(file, resolve, behind, tls.clone(), tasks)));
    let own = match config.admin.listen {
        Some(address) => Some(bind(address, "`listen` in [admin]").await?),
        None => None,
    };
    let scheme = if config.server.tls.is_some() { "https" } else { "http" };
    let url = match &own {
        Some((_, address)) => format!("http://{address}"),
        None => format!("{scheme}://{address}"),
    };
    // As a command in any folder calls it.
    let file = std::fs::canonicalize(&*config.file).ok();
    let file = file.map(|file| file.display().to_string());
    let reload = reloader.clone().map(|reloader| -> Arc<dyn Reload> { reloader });
    let served = (Some(Place { url, file }), reload);
    let api = api(foundation, &core, served, tasks);
    let operator = own.map(|(listener, address)| {
        tracing::info!(%address, "the operator's routes are at http://{address}/api/v1");
        (listener, Entrance::Mount(mount(&api, Side::Operator)))
    });
    let local = local(&config, &api).await;
    let account = Account::new(core.line.clone(), core.auth.clone(), foundation.ring.clone());
    let connect = with_account(connector(foundation, &core, found, tasks), account);
    let Core { auth, line, pool, audit, .. } = core;
    let readiness = Readiness::default();
    if let Some(audit) = &audit {
        readiness.depend_on(audit.clone());
    }
    let doors = Doors::new(auth, line, readiness.clone(), tasks);
    let doors = Arc::new(doors.with_mount(mount(&api, Side::Public)).with_beside(connect));
    Ok(Built {
        listener,
        operator,
        local,
        tls,
        doors,
        pool,
        audit,
        readiness,
        tasks: tasks.clone(),
        reloader,
        address,
    })
}

async fn bind(
    requested: SocketAddr,
    place: &'static str,
) -> Result<(TcpListener, SocketAddr), StartError> {
    let failed = |reason| StartError::Listen { address: requested, place, reason };
    let listener = TcpListener::bind(requested).await.map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    Ok((listener, address))
}

/// The API of a proxy, with what only one that runs has.
pub(super) fn api(
    foundation: &Foundation,
    core: &Core,
    (place, reload): (Option<Place>, Option<Arc<dyn Reload>>),
    tasks: &Tasks,
) -> Arc<Api> {
    Api::new(admin::Parts {
        stores: foundation.stores.clone(),
        ring: foundation.ring.clone(),
        vault: foundation.vault.clone(),
        auth: core.auth.clone(),
        line: core.line.clone(),
        audit: core.audit.clone(),
        tasks: tasks.clone(),
        reload,
        recompose: core.composer.clone(),
        place,
    })
}

/// The socket for commands on this machine. Without it they work on the store, which is as safe
/// and takes effect a moment later.
async fn local(config: &Config, api: &Arc<Api>) -> Option<(UnixListener, Socket, Entrance)> {
    let path = socket::socket_path(config);
    match socket::bind(config).await {
        Ok(Some((listener, socket))) => {
            Some((listener, socket, Entrance::Mount(mount(api, Side::Operator))))
        }
        Ok(None) => {
            tracing::info!("another proxy serves this store, and commands speak to that one");
            None
        }
        Err(reason) => {
            let path = path.display();
            tracing::warn!(%reason, "commands cannot speak to this proxy and work on its store: {path}");
            None
        }
    }
}

/// The same with the pages for logins beside it.
fn with_account(other: Mount, account: Account) -> Mount {
    let account = Arc::new(account);
    Arc::new(move |request, peer| {
        if !is_account(request.uri().path()) {
            return other(request, peer);
        }
        let account = account.clone();
        Box::pin(async move { account.serve(request, peer).await.map(BodyExt::boxed_unsync) })
    })
}

/// Our OAuth server, as it stands beside the connector doors.
fn connector(foundation: &Foundation, core: &Core, resolve: Arc<Resolve>, tasks: &Tasks) -> Mount {
    let parts = connect::Parts {
        stores: foundation.stores.clone(),
        ring: foundation.ring.clone(),
        auth: core.auth.clone(),
        line: core.line.clone(),
        audit: core.audit.clone(),
        resolve,
    };
    let connect = Connect::new(parts, tasks);
    Arc::new(move |request, peer| {
        let connect = connect.clone();
        Box::pin(async move { connect.serve(request, peer).await.map(BodyExt::boxed_unsync) })
    })
}

/// The API as a listener has it.
fn mount(api: &Arc<Api>, side: Side) -> Mount {
    let api = api.clone();
    Arc::new(move |request, peer| {
        let api = api.clone();
        Box::pin(async move { api.serve(request, peer, side).await })
    })
}
