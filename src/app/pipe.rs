//! The proxy without a listener: one client, on the standard input and output of the process.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, header};
use tokio_util::sync::CancellationToken;

use super::build::{Core, Resolve};
use super::error::StartError;
use super::foundation::Foundation;
use super::phase::flush;
use super::signal::Stops;
use crate::auth::Principal;
use crate::base::{Name, Scopes, Secret, Tasks};
use crate::config::Config;
use crate::pipeline::{Carrier, Posting};
use crate::server::{Ended, pipe};
use crate::telemetry::CallLog;
use crate::upstream::stdio::Launcher;

/// How long upstreams may take to end, and then everything else in the background.
const UPSTREAMS: Duration = Duration::from_secs(5);
const REST: Duration = Duration::from_secs(2);

/// As whom the client acts.
#[derive(Debug)]
pub enum Identity {
    /// As the holder of a key.
    Key(Secret),
    /// As a tenant, by right of whoever may read the key file.
    Tenant(Name),
}

/// Speaks MCP over standard input and output until the client ends it or a signal comes. Nothing
/// else is written there. No upstream is left behind. `door` is the path of the door that it takes
/// the place of.
///
/// # Errors
/// When the identity is refused or ends, there is no such door for it, or signals cannot be
/// waited for.
#[expect(clippy::too_many_arguments, reason = "what `build` takes, and who speaks about what")]
pub async fn run_pipe(
    config: Arc<Config>,
    foundation: &Foundation,
    resolve: &Resolve,
    launcher: Launcher,
    calls: Option<CallLog>,
    tasks: &Tasks,
    identity: Identity,
    door: &str,
) -> Result<(), StartError> {
    let longest = config.server.max_body;
    let mut stops = Stops::new()?;
    let core = Core::new(config, foundation, resolve, launcher, calls, tasks).await?;
    let principal = who(&core, identity, tasks).await?;
    let path = Arc::from(door);
    let door = core.line.door(&principal, door);
    let door = door.ok_or_else(|| no_door(&path))?;
    let template = Posting {
        principal,
        door,
        path,
        headers: HeaderMap::new(),
        body: Bytes::new(),
        carrier: Carrier::Pipe,
        peer: None,
    };
    let stop = CancellationToken::new();
    let pipes = (tokio::io::stdin(), tokio::io::stdout());
    let mut talk = Box::pin(pipe(core.line.clone(), tasks, template, longest, pipes, stop.clone()));
    let ended = tokio::select! {
        ended = &mut talk => ended,
        () = stops.next() => {
            stop.cancel();
            talk.await
        }
    };
    if !core.pool.close_all(UPSTREAMS).await {
        tracing::warn!("some upstreams did not end in time");
    }
    if !tasks.finish(REST).await {
        tracing::debug!("some background work did not end in time");
    }
    if let Some(audit) = &core.audit {
        flush(audit, REST).await;
    }
    match ended {
        Ended::Client | Ended::Stop => Ok(()),
        Ended::Key => Err(StartError::KeyEnded),
        Ended::Session => Err(StartError::SessionEnded),
    }
}

/// Why there is no door of this path.
pub(super) fn no_door(path: &str) -> StartError {
    let profile = path.strip_prefix("/p/").and_then(|rest| rest.strip_suffix("/mcp"));
    match (profile, path.strip_prefix("/mcp/")) {
        (Some(name), _) => StartError::NoProfile(name.to_owned()),
        (None, Some(name)) => StartError::NoUpstream(name.to_owned()),
        (None, None) => StartError::ProfilesOnly,
    }
}

async fn who(core: &Core, identity: Identity, tasks: &Tasks) -> Result<Principal, StartError> {
    match identity {
        Identity::Tenant(name) => Ok(core.auth.local(&name, Scopes::everything(), tasks).await?),
        Identity::Key(key) => {
            let mut headers = HeaderMap::new();
            let text = format!("Bearer {}", key.expose());
            let mut value = HeaderValue::from_str(&text)
                .map_err(|_| StartError::Denied("it holds what no key can".to_owned()))?;
            value.set_sensitive(true);
            headers.insert(header::AUTHORIZATION, value);
            let checked = core.auth.check(&headers).await;
            let principal = checked.map_err(|denied| StartError::Denied(denied.to_string()))?;
            match principal.opens_door("/mcp") {
                Ok(()) => Ok(principal),
                Err(fault) => Err(StartError::Denied(fault.public.into_owned())),
            }
        }
    }
}
