//! One request at a door, in the order that keeps strangers away from the parser: Host and
//! Origin, size, key, and only then the body.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::request::Parts;
use http::{HeaderMap, Method, Request, Response};
use http_body_util::BodyExt;
use hyper::body::{Body, Incoming};
use tower_service::Service;

use super::batch;
use super::body::ReplyBody;
use super::connection::Activity;
use super::connector;
use super::entrance::{Mount, is_mounted};
use super::listen::MOST_HEAD;
use super::media;
use super::probe::{self, Readiness};
use super::reply::{refusal, reply};
use super::sse::{self, OldDoor, Streams};
use crate::auth::{Auth, Denied, Guard, client_address};
use crate::base::{Fault, Kind, Tasks};
use crate::namespace::Door;
use crate::pipeline::{Answer, Carrier, Line, Opened, Outcome, Posting};
use crate::telemetry::meters;
use crate::telemetry::metrics::Surface;
use crate::wire::{Era, IdText};

/// Longest silence while a body arrives. On HTTP/2 a body may wait for others on its connection.
const BODY_SILENCE: Duration = Duration::from_secs(10);
const BODY_SILENCE_HTTP2: Duration = Duration::from_secs(30);
/// Longest time that a body may take.
const BODY_TIME: Duration = Duration::from_secs(60);

/// All doors of the process.
pub struct Doors {
    auth: Auth,
    line: Arc<Line>,
    cold: axum::Router,
    mount: Option<Mount>,
    beside: Option<Mount>,
    merged: Arc<str>,
    tasks: Tasks,
    streams: Arc<Streams>,
}

impl std::fmt::Debug for Doors {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Doors").finish_non_exhaustive()
    }
}

impl Doors {
    /// Doors onto this line; `tasks` owns what goes on behind a reply.
    #[must_use]
    pub fn new(auth: Auth, line: Arc<Line>, readiness: Readiness, tasks: &Tasks) -> Self {
        Self {
            auth,
            line,
            cold: probe::routes(readiness),
            mount: None,
            beside: None,
            merged: Arc::from("/mcp"),
            tasks: tasks.clone(),
            streams: Arc::default(),
        }
    }

    /// The same with this behind `/api/`, `/health` and `/metrics`.
    #[must_use]
    pub fn with_mount(mut self, mount: Mount) -> Self {
        self.mount = Some(mount);
        self
    }

    /// The same with this beside the connector doors: our OAuth server and its pages.
    #[must_use]
    pub fn with_beside(mut self, mount: Mount) -> Self {
        self.beside = Some(mount);
        self
    }

    pub(super) fn auth(&self) -> &Auth {
        &self.auth
    }

    pub(super) fn line(&self) -> &Arc<Line> {
        &self.line
    }

    /// Most connections at a time.
    pub(super) fn max_connections(&self) -> usize {
        self.line.config().server.max_connections
    }

    /// Serves one request. It never fails: whatever happens has a reply.
    pub(super) async fn serve(
        &self,
        request: Request<Incoming>,
        peer: SocketAddr,
        activity: &Arc<Activity>,
    ) -> Result<Response<ReplyBody>, Infallible> {
        let active = activity.begin();
        let response = if matches!(request.uri().path(), "/livez" | "/readyz") {
            Box::pin(self.probe(request)).await
        } else if let Some(mount) = self.mount.as_ref().filter(|_| is_mounted(request.uri().path()))
        {
            mount(request, peer).await.map(ReplyBody::mounted)
        } else if connector::inner(request.uri().path()).is_some() {
            let response = Box::pin(self.connect(request, peer)).await;
            meters().replied(Surface::Mcp, response.status().as_u16());
            response
        } else if let Some(mount) =
            self.beside.as_ref().filter(|_| connector::is_beside(request.uri().path()))
        {
            mount(request, peer).await.map(ReplyBody::mounted)
        } else {
            let response = match self.open(request, peer).await {
                Ok(outcome) => reply(outcome),
                Err(fault) => refusal(&fault),
            };
            meters().replied(Surface::Mcp, response.status().as_u16());
            response
        };
        Ok(response.map(|body| body.holding(active)))
    }

    async fn probe(&self, request: Request<Incoming>) -> Response<ReplyBody> {
        let request = request.map(|_| axum::body::Body::empty());
        let response = self.cold.clone().call(request).await.unwrap_or_else(|never| match never {});
        response.map(ReplyBody::cold)
    }

    async fn open(&self, request: Request<Incoming>, peer: SocketAddr) -> Result<Outcome, Fault> {
        let max_body = {
            let config = self.line.config();
            Guard::new(&config.server).check(&request)?;
            config.server.max_body
        };
        let (parts, body) = request.into_parts();
        check_head(&parts)?;
        let path = parts.uri.path();
        if !is_door(path) {
            return Box::pin(self.open_old(parts, body, peer, max_body)).await;
        }
        if body.size_hint().lower() > max_body as u64 {
            return Err(too_large(max_body));
        }
        let principal = match self.auth.check_cached(&parts.headers) {
            Some(verdict) => verdict,
            // Cold paths are boxed, so that the future of each request stays small.
            None => Box::pin(self.auth.check(&parts.headers)).await,
        }
        .map_err(|denied| self.denied(denied, &parts.headers, peer))?;
        let opened = principal
            .opens_door(path)
            .and_then(|()| self.line.door(&principal, path).ok_or_else(no_door));
        let (door, unknown) = match opened {
            Ok(door) => (door, None),
            Err(fault) => (Door::Merged, Some(fault)),
        };
        let path = if path == &*self.merged { self.merged.clone() } else { Arc::from(path) };
        let mut posting = Posting {
            principal,
            door,
            path,
            headers: parts.headers,
            body: Bytes::new(),
            carrier: Carrier::Http,
            peer: Some(peer.ip()),
        };
        if let Some(fault) = unknown {
            return Err(self.refused(&posting, fault));
        }
        match parts.method {
            Method::POST => {
                let stream = media::check(&posting.headers);
                let stream = stream.map_err(|fault| self.refused(&posting, fault))?;
                let read = read(body, silence(parts.version), max_body).await;
                posting.body = read.map_err(|fault| self.refused(&posting, fault))?;
                match self.line.open(posting) {
                    Opened::Letter(letter) if stream => {
                        Ok(media::streamed(Box::pin(self.line.serve(letter)).await))
                    }
                    Opened::Letter(letter) => Ok(self.line.serve(letter).await),
                    Opened::Batch(posting) => Ok(Box::pin(self.batch(*posting)).await),
                    Opened::Refused(outcome) => Ok(outcome),
                }
            }
            method => Box::pin(self.without_message(method, &posting)).await,
        }
    }

    /// What is asked for by something else than POST, at whichever door.
    pub(super) async fn without_message(
        &self,
        method: Method,
        posting: &Posting,
    ) -> Result<Outcome, Fault> {
        match method {
            Method::GET => Ok(self.line.stream(posting).await),
            Method::DELETE => Ok(legacy(self.line.terminate(posting).await)),
            _ => {
                let what = "Use POST, or GET and DELETE with a session";
                let fault = Fault::client(Kind::HttpMethod("POST, GET, DELETE"), what);
                Err(self.refused(posting, fault))
            }
        }
    }

    /// Somebody without a good key.
    pub(super) fn denied(&self, denied: Denied, headers: &HeaderMap, peer: SocketAddr) -> Fault {
        let trusted = &self.line.config().server.trusted_proxies;
        let address = client_address(trusted, headers, peer.ip());
        tracing::debug!(%peer, %address, reason = ?denied, "key refused");
        self.line.note_denied(&denied);
        denied.into()
    }

    /// A request of somebody whose key is good that does not get as far as the line.
    pub(super) fn refused(&self, posting: &Posting, fault: Fault) -> Fault {
        self.line.note_refused(posting, &fault);
        fault
    }

    pub(super) async fn batch(&self, posting: Posting) -> Outcome {
        match self.line.batch(posting).await {
            Ok(letters) => batch::serve(&self.line, &self.tasks, letters).await,
            Err(refused) => *refused,
        }
    }

    /// The doors of HTTP+SSE, with the same rules as the others.
    async fn open_old(
        &self,
        parts: Parts,
        body: Incoming,
        peer: SocketAddr,
        max_body: usize,
    ) -> Result<Outcome, Fault> {
        let old = OldDoor::of(parts.uri.path()).ok_or_else(no_door)?;
        if body.size_hint().lower() > max_body as u64 {
            return Err(too_large(max_body));
        }
        let checked = self.auth.check(&parts.headers).await;
        let principal = checked.map_err(|denied| self.denied(denied, &parts.headers, peer))?;
        // The session behind the stream is one of the line's own; its id never leaves.
        let path: Arc<str> = Arc::from(old.behind().path());
        principal.opens_door(&path)?;
        let door = self.line.door(&principal, &path).ok_or_else(no_door)?;
        let posting = Posting {
            principal,
            door,
            path,
            // Nothing of them is told to the line, but where the client is.
            headers: HeaderMap::new(),
            body: Bytes::new(),
            carrier: Carrier::Http,
            peer: Some(client_address(
                &self.line.config().server.trusted_proxies,
                &parts.headers,
                peer.ip(),
            )),
        };
        match (&old, parts.method) {
            (OldDoor::Stream(behind), Method::GET) => {
                let answer = self.streams.open(&self.line, &self.tasks, posting, *behind);
                Ok(legacy(answer))
            }
            (OldDoor::Messages(_), Method::POST) => {
                let conversation = self.streams.find(parts.uri.query(), &posting)?;
                media::check(&parts.headers)?;
                let body = read(body, silence(parts.version), max_body).await?;
                Ok(sse::post(&conversation, body).await)
            }
            (OldDoor::Stream(_), _) => {
                Err(Fault::client(Kind::HttpMethod("GET"), "Use GET here, or POST at /mcp"))
            }
            (OldDoor::Messages(_), _) => {
                Err(Fault::client(Kind::HttpMethod("POST"), "Use POST here; the stream is at /sse"))
            }
        }
    }

    /// Ends the streams that are open, so that the process can stop.
    pub fn drain(&self) {
        self.line.drain();
        self.streams.drain(&self.tasks);
    }
}

/// Longest silence of a body that comes over this version.
pub(super) fn silence(version: http::Version) -> Duration {
    if version == http::Version::HTTP_2 { BODY_SILENCE_HTTP2 } else { BODY_SILENCE }
}

/// Reads a body of at most `max_body` bytes; what is too long is cut while it comes.
pub(super) async fn read(
    mut body: Incoming,
    silence: Duration,
    max_body: usize,
) -> Result<Bytes, Fault> {
    // Most bodies have come with their head: no timer, no copy.
    let ready =
        std::future::poll_fn(|context| Poll::Ready(Pin::new(&mut body).poll_frame(context)));
    let first = match ready.await {
        Poll::Ready(Some(Ok(frame))) => frame.into_data().unwrap_or_default(),
        Poll::Ready(Some(Err(error))) => return Err(broken(&error)),
        Poll::Ready(None) => return Ok(Bytes::new()),
        Poll::Pending => Bytes::new(),
    };
    if first.len() > max_body {
        return Err(too_large(max_body));
    }
    if body.is_end_stream() {
        return Ok(first);
    }
    Box::pin(read_on(body, first, silence, max_body)).await
}

/// Reads the rest of a body that began with `first`.
async fn read_on(
    mut body: Incoming,
    mut first: Bytes,
    silence: Duration,
    max_body: usize,
) -> Result<Bytes, Fault> {
    let slow = |_| Fault::client(Kind::BodyTimeout, "The body did not arrive in time");
    let all = async {
        let mut whole = BytesMut::new();
        while let Some(frame) = tokio::time::timeout(silence, body.frame()).await.map_err(slow)? {
            let Ok(data) = frame.map_err(|error| broken(&error))?.into_data() else { continue };
            if first.len() + whole.len() + data.len() > max_body {
                return Err(too_large(max_body));
            }
            if first.is_empty() && whole.is_empty() {
                // Most bodies come in one piece and are not copied.
                first = data;
            } else {
                if whole.is_empty() {
                    whole.reserve(body.size_hint().lower() as usize + first.len() + data.len());
                    whole.extend_from_slice(&first);
                    first = Bytes::new();
                }
                whole.extend_from_slice(&data);
            }
        }
        Ok(if whole.is_empty() { first } else { whole.freeze() })
    };
    tokio::time::timeout(BODY_TIME, all).await.map_err(slow)?
}

pub(super) fn too_large(max_body: usize) -> Fault {
    let sentence = format!("The body is larger than {max_body} bytes (`max_body` in [server])");
    Fault::client(Kind::TooLarge, sentence)
}

fn broken(error: &hyper::Error) -> Fault {
    Fault::client(Kind::NotMessage, "The body broke off").because(error.to_string())
}

/// True for the paths of the doors of streamable HTTP: `/mcp`, `/mcp/{upstream}` and
/// `/p/{profile}/mcp`, whether or not there is such an upstream or profile.
fn is_door(path: &str) -> bool {
    // Whoever looks for the metadata of a door finds none, and learns nothing of the door.
    if path.contains("/.well-known/") {
        return false;
    }
    match (path.strip_prefix("/mcp"), path.strip_prefix("/p/")) {
        (Some(rest), _) => rest.is_empty() || (rest.len() > 1 && rest.starts_with('/')),
        (_, Some(rest)) => rest.strip_suffix("/mcp").is_some_and(|profile| !profile.is_empty()),
        (None, None) => false,
    }
}

pub(super) fn no_door() -> Fault {
    Fault::client(
        Kind::NoSuchDoor,
        "Nothing is here; the endpoints are /mcp, /mcp/{upstream} and /p/{profile}/mcp, and /sse for old clients",
    )
}

pub(super) fn legacy(answer: Result<Answer, Fault>) -> Outcome {
    Outcome { id: IdText::new_static("null"), era: Era::Legacy, tool: false, answer }
}

/// Headers together must stay below the limit of a head.
pub(super) fn check_head(parts: &Parts) -> Result<(), Fault> {
    let length: usize =
        parts.headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum();
    if length + parts.uri.path().len() > MOST_HEAD {
        return Err(Fault::client(
            Kind::HeadTooLarge,
            format!("The headers are larger than {MOST_HEAD} bytes"),
        ));
    }
    Ok(())
}
