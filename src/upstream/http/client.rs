//! The one outbound connector of the process, and the connections that wait for their next
//! request. A pool of our own, because that of hyper drives each connection in a task of its own:
//! two wake-ups for each call, which is a third of what a call costs.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::{Buf, Bytes};
use http::Uri;
use http::uri::{Authority, Scheme};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioIo;
use tokio::sync::{Notify, Semaphore};
use tokio::time::{Instant, timeout_at};
use tower_service::Service;

use super::connection::{Connection, Io, Response};
use super::head::RequestHead;
use crate::egress::{Resolver, judge_literal};

/// Longest wait for a TCP connection.
const CONNECT: Duration = Duration::from_secs(10);
/// Connections are given up shortly before most servers and balancers do so (60 s), so that a
/// request seldom meets one that is just being closed. In turns of the sweep: seconds.
const POOL_IDLE: u32 = 50;
/// Most connections of one host that wait for a request.
const POOL_MOST: usize = 1024;
/// Connections to one host that are being made at a time: a burst of calls must not become a
/// burst of connections that the upstream's queue for new ones drops.
const AT_ONCE: usize = 64;
/// A peer that has vanished is noticed after about two minutes, also on a silent event stream.
const KEEPALIVE: Duration = Duration::from_secs(60);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(15);
const KEEPALIVE_RETRIES: u32 = 4;

/// Connections to upstreams: HTTP/1.1, kept alive and pooled by host, `http` and `https` with the
/// certificates that the machine trusts. Clones share the pool. Environment variables that name
/// proxies are not read (security.md S46) and redirects are not followed (S41).
#[derive(Clone)]
pub struct HttpClient(Arc<Shared>);

struct Shared {
    connector: Arc<Connector>,
    /// For hosts that are judged; made when there is one.
    guarded: OnceLock<Arc<Connector>>,
    hosts: Mutex<HashMap<(Scheme, Authority, bool), Arc<Host>>>,
}

enum Connector {
    Tls(HttpsConnector<HttpConnector<Resolver>>),
    /// The machine has no root certificates: `http` works, `https` says why not.
    Plain(HttpConnector<Resolver>, String),
}

impl Connector {
    fn new(guarded: bool) -> Self {
        let mut tcp = HttpConnector::new_with_resolver(Resolver::new(guarded));
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_connect_timeout(Some(CONNECT));
        tcp.set_keepalive(Some(KEEPALIVE));
        tcp.set_keepalive_interval(Some(KEEPALIVE_INTERVAL));
        tcp.set_keepalive_retries(Some(KEEPALIVE_RETRIES));
        match HttpsConnectorBuilder::new().try_with_platform_verifier() {
            Ok(tls) => Self::Tls(tls.https_or_http().enable_http1().wrap_connector(tcp)),
            Err(error) => Self::Plain(
                tcp,
                format!("no root certificates on this machine, install ca-certificates ({error})"),
            ),
        }
    }
}

/// Why there is no response.
#[derive(Debug)]
pub(super) struct SendError {
    /// True when no connection was made, or none of the request was sent.
    pub(super) unsent: bool,
    /// True when the time was over.
    pub(super) late: bool,
    pub(super) detail: String,
}

impl HttpClient {
    /// A client with an empty pool. One serves the whole process.
    #[must_use]
    pub fn new() -> Self {
        let connector = Arc::new(Connector::new(false));
        Self(Arc::new(Shared { connector, guarded: OnceLock::new(), hosts: Mutex::default() }))
    }

    /// Where requests to this URL go. A `guarded` host is connected to only where the world is,
    /// whatever its name leads to.
    pub(super) fn host(&self, uri: &Uri, guarded: bool) -> Arc<Host> {
        let scheme = uri.scheme().cloned().unwrap_or(Scheme::HTTP);
        let authority = uri.authority().cloned();
        let authority = authority.unwrap_or_else(|| Authority::from_static("localhost"));
        let mut hosts = self.0.hosts.lock().unwrap_or_else(PoisonError::into_inner);
        let host = hosts.entry((scheme, authority, guarded)).or_insert_with(|| {
            let connector = if guarded {
                self.0.guarded.get_or_init(|| Arc::new(Connector::new(true)))
            } else {
                &self.0.connector
            };
            Arc::new(Host {
                connector: Arc::clone(connector),
                guarded,
                uri: uri.clone(),
                idle: Mutex::default(),
                turn: AtomicU32::new(0),
                back: Notify::new(),
                making: Semaphore::new(AT_ONCE),
            })
        });
        Arc::clone(host)
    }

    /// Closes connections that wait for too long or have ended, and forgets hosts that nobody
    /// speaks to. To be called every second.
    pub fn sweep(&self) {
        let mut hosts = self.0.hosts.lock().unwrap_or_else(PoisonError::into_inner);
        hosts.retain(|_, host| host.sweep() > 0 || Arc::strong_count(host) > 1);
    }
}

impl Default for HttpClient {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for HttpClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpClient").finish_non_exhaustive()
    }
}

/// One host, port and scheme, and its connections without a request.
pub(super) struct Host {
    connector: Arc<Connector>,
    guarded: bool,
    uri: Uri,
    idle: Mutex<Vec<Connection>>,
    /// Counts the sweeps: a clock that costs nothing to read.
    turn: AtomicU32,
    /// Told when a connection has come back.
    back: Notify,
    making: Semaphore,
}

impl Host {
    /// Sends a request over a connection that waits, or over a new one.
    pub(super) async fn send(
        self: &Arc<Self>,
        head: RequestHead,
        body: Option<Bytes>,
    ) -> Result<Response, SendError> {
        let head = head.finish(body.as_ref().map(Bytes::len));
        self.send_whole(head.chain(body.unwrap_or_default()), None).await
    }

    /// The same with a whole request, whose response must be there in time: its head here, and
    /// its body where it is read.
    pub(super) async fn send_whole(
        self: &Arc<Self>,
        mut request: impl Buf + Send,
        until: Option<Instant>,
    ) -> Result<Response, SendError> {
        loop {
            let (connection, new) =
                match std::future::poll_fn(|context| Poll::Ready(self.take(context))).await {
                    Some(connection) => (connection, false),
                    // Boxed: most requests find a connection.
                    None => Box::pin(self.connection_until(until)).await?,
                };
            match connection.exchange(self, &mut request, until).await {
                // It was closed while it waited, and took nothing.
                Err(error) if error.unsent && !new => {}
                outcome => return outcome,
            }
        }
    }

    /// The connection that waits for the shortest time, so that those that are not needed end.
    fn take(&self, context: &mut Context<'_>) -> Option<Connection> {
        loop {
            let last = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
            let mut connection = last?;
            if connection.is_quiet(context) {
                return Some(connection);
            }
        }
    }

    async fn connection_until(
        self: &Arc<Self>,
        until: Option<Instant>,
    ) -> Result<(Connection, bool), SendError> {
        let Some(until) = until else { return self.connection().await };
        timeout_at(until, self.connection()).await.unwrap_or_else(|_| {
            let detail = "no connection was there in time".to_owned();
            Err(SendError { unsent: false, late: true, detail })
        })
    }

    /// A new connection, or one that comes back meanwhile. True for a new one.
    async fn connection(self: &Arc<Self>) -> Result<(Connection, bool), SendError> {
        let make = async {
            // The semaphore is never closed; each connection has a time limit of its own.
            let _turn = self.making.acquire().await;
            self.connect().await
        };
        tokio::pin!(make);
        loop {
            tokio::select! {
                made = &mut make => return Ok((Connection::new(made?), true)),
                () = self.back.notified() => {
                    let back = std::future::poll_fn(|context| Poll::Ready(self.take(context)));
                    if let Some(connection) = back.await {
                        return Ok((connection, false));
                    }
                }
            }
        }
    }

    async fn connect(&self) -> Result<Box<dyn Io>, SendError> {
        let unsent = |detail| SendError { unsent: true, late: false, detail };
        if self.guarded {
            judge_literal(&self.uri).map_err(|error| unsent(error.to_string()))?;
        }
        match &*self.connector {
            Connector::Tls(connector) => {
                let made = connector.clone().call(self.uri.clone()).await;
                made.map(|io| Box::new(TokioIo::new(io)) as Box<dyn Io>)
                    .map_err(|error| unsent(chain(&*error)))
            }
            Connector::Plain(connector, _) if self.uri.scheme() == Some(&Scheme::HTTP) => {
                let made = connector.clone().call(self.uri.clone()).await;
                // It has wrapped a socket for hyper; here it is wanted as it was.
                made.map(|io| Box::new(io.into_inner()) as Box<dyn Io>)
                    .map_err(|error| unsent(chain(&error)))
            }
            Connector::Plain(_, reason) => Err(unsent(reason.clone())),
        }
    }

    /// Keeps a connection for the next request.
    pub(super) fn put(&self, mut connection: Connection) {
        connection.since = self.turn.load(Ordering::Relaxed);
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < POOL_MOST {
            idle.push(connection);
        }
        drop(idle);
        self.back.notify_one();
    }

    /// Gives the number of connections that still wait.
    fn sweep(&self) -> usize {
        let turn = self.turn.fetch_add(1, Ordering::Relaxed) + 1;
        let mut nobody = Context::from_waker(Waker::noop());
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.retain_mut(|connection| {
            turn.wrapping_sub(connection.since) <= POOL_IDLE && connection.is_quiet(&mut nobody)
        });
        idle.len()
    }
}

impl fmt::Debug for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Its URL holds secrets.
        f.debug_struct("Host").finish_non_exhaustive()
    }
}

/// An error with its causes in one line: the outermost says only that something failed.
pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn a_guarded_host_that_leads_inside_is_never_connected_to() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let client = HttpClient::new();
        // Names that the system takes for loopback, and addresses in every spelling that it knows.
        for host in [
            "localhost",
            "127.0.0.1",
            "0x7f.1",
            "2130706433",
            "0177.0.0.1",
            "127.1",
            "[::ffff:127.0.0.1]",
        ] {
            let uri: Uri = format!("http://{host}:{port}/mcp").parse().unwrap();
            let head = RequestHead::new(&http::Method::GET, &uri, &http::HeaderMap::new());
            let refused = client.host(&uri, true).send(head, None).await.map(drop).unwrap_err();
            assert!(refused.unsent, "{host}");
            assert!(refused.detail.contains("allow_private"), "{host}: {}", refused.detail);
            assert!(!refused.detail.contains("127.0.0.1:"), "{host}: {}", refused.detail);
        }
        // The same host of the operator's own file is connected to, and that is the first
        // connection that anybody has made.
        let uri: Uri = format!("http://localhost:{port}/mcp").parse().unwrap();
        let head = RequestHead::new(&http::Method::GET, &uri, &http::HeaderMap::new());
        let host = client.host(&uri, false);
        let (answer, taken) = tokio::join!(host.send(head, None), async {
            let (stream, peer) = listener.accept().await.unwrap();
            drop(stream);
            peer
        });
        assert!(answer.is_err(), "it hung up");
        assert!(taken.ip().is_loopback());
        let more = std::future::poll_fn(|context| Poll::Ready(listener.poll_accept(context))).await;
        assert!(more.is_pending());
    }
}
