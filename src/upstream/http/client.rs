//! The one outbound connector of the process.

use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, Uri};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};

use super::turns::Turns;

/// Longest wait for a TCP connection.
const CONNECT: Duration = Duration::from_secs(10);
/// Pooled connections are given up shortly before most servers and balancers do so (60 s), so
/// that a request seldom meets a connection that is just being closed.
const POOL_IDLE: Duration = Duration::from_secs(50);
/// A peer that has vanished is noticed after about two minutes, also on a silent event stream.
const KEEPALIVE: Duration = Duration::from_secs(60);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(15);
const KEEPALIVE_RETRIES: u32 = 4;

/// Connections to upstreams: HTTP/1.1, kept alive and pooled by host, `http` and `https` with the
/// certificates that the machine trusts. Clones share the pool. Environment variables that name
/// proxies are not read (security.md S46) and redirects are not followed (S41).
#[derive(Clone, Debug)]
pub struct HttpClient(Connector);

#[derive(Clone, Debug)]
enum Connector {
    Tls(Client<HttpsConnector<Turns<HttpConnector>>, Full<Bytes>>),
    /// The machine has no root certificates: `http` works, `https` says why not.
    Plain(Client<Turns<HttpConnector>, Full<Bytes>>, String),
}

/// Why there is no response.
#[derive(Debug)]
pub(super) struct SendError {
    /// True when no connection was made, so that nothing was sent.
    pub(super) unsent: bool,
    pub(super) detail: String,
}

impl HttpClient {
    /// A client with an empty pool. One serves the whole process.
    #[must_use]
    pub fn new() -> Self {
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_connect_timeout(Some(CONNECT));
        tcp.set_keepalive(Some(KEEPALIVE));
        tcp.set_keepalive_interval(Some(KEEPALIVE_INTERVAL));
        tcp.set_keepalive_retries(Some(KEEPALIVE_RETRIES));
        let tcp = Turns::new(tcp);
        let mut builder = Client::builder(TokioExecutor::new());
        builder.timer(TokioTimer::new()).pool_timer(TokioTimer::new()).pool_idle_timeout(POOL_IDLE);
        match HttpsConnectorBuilder::new().try_with_platform_verifier() {
            Ok(tls) => {
                let connector = tls.https_or_http().enable_http1().wrap_connector(tcp);
                Self(Connector::Tls(builder.build(connector)))
            }
            Err(error) => Self(Connector::Plain(
                builder.build(tcp),
                format!("no root certificates on this machine, install ca-certificates ({error})"),
            )),
        }
    }

    pub(super) async fn send(
        &self,
        request: Request<Full<Bytes>>,
    ) -> Result<Response<Incoming>, SendError> {
        let sent = match &self.0 {
            Connector::Tls(client) => client.request(request),
            Connector::Plain(client, _) if is_plain(request.uri()) => client.request(request),
            Connector::Plain(_, reason) => {
                return Err(SendError { unsent: true, detail: reason.clone() });
            }
        };
        sent.await.map_err(|error| SendError { unsent: error.is_connect(), detail: chain(&error) })
    }
}

impl Default for HttpClient {
    fn default() -> Self {
        Self::new()
    }
}

fn is_plain(uri: &Uri) -> bool {
    uri.scheme() == Some(&http::uri::Scheme::HTTP)
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
