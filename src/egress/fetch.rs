//! One request and its whole answer: no redirect is followed, the body and the time are bounded,
//! and where it may go depends on who has named the URL.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode, Uri, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use url::{Host, Url};

use super::error::EgressError;
use super::resolve::{Resolver, judge_literal};

/// Longest body of an answer in bytes.
const LONGEST: usize = 1 << 20;
/// Longest time that all of it may take.
const DEADLINE: Duration = Duration::from_secs(10);

/// Who has named a URL, which decides where it may lead.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trust {
    /// The operator's file: anywhere, `http` too.
    Operator,
    /// Somebody else, where the operator has allowed this network (`allow_private`): `https`
    /// anywhere, and `http` on this machine.
    Private,
    /// Somebody else: `https` on the public internet only.
    Stranger,
}

/// An answer, read to its end.
#[derive(Debug, Clone)]
pub struct Fetched {
    /// Also one of an error or of a redirect, which was not followed.
    pub status: StatusCode,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body, of at most 1 MiB. Show it to nobody.
    pub body: Bytes,
}

type Web = Client<HttpsConnector<HttpConnector<Resolver>>, Full<Bytes>>;

#[derive(Default)]
struct Webs {
    open: OnceLock<Result<Web, EgressError>>,
    guarded: OnceLock<Result<Web, EgressError>>,
}

/// Sends requests to places that are named while the proxy runs. It costs nothing before its first
/// request; clones share their connections, of which none is kept.
#[derive(Clone, Default)]
pub struct Egress(Arc<Webs>);

impl std::fmt::Debug for Egress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Egress").finish_non_exhaustive()
    }
}

fn web(guarded: bool) -> Result<Web, EgressError> {
    let mut tcp = HttpConnector::new_with_resolver(Resolver::new(guarded));
    tcp.enforce_http(false);
    tcp.set_nodelay(true);
    tcp.set_connect_timeout(Some(DEADLINE));
    let tls = HttpsConnectorBuilder::new().try_with_platform_verifier();
    let tls = tls.map_err(|_| EgressError::NoRoots)?;
    let tls = tls.https_or_http().enable_http1().wrap_connector(tcp);
    // What is fetched is fetched seldom: no connection is kept.
    Ok(Client::builder(TokioExecutor::new()).pool_max_idle_per_host(0).build(tls))
}

impl Egress {
    /// Reads the JSON document at a URL.
    ///
    /// # Errors
    /// When it may not be asked, or gives no answer in time. An answer with a status of failure is
    /// no error.
    pub async fn get(&self, url: &Url, trust: Trust) -> Result<Fetched, EgressError> {
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCEPT, HeaderValue::from_static("application/json"));
        self.send(Method::GET, url, headers, Bytes::new(), trust).await
    }

    /// Sends a request with these headers and this body.
    ///
    /// # Errors
    /// As [`Egress::get`].
    pub async fn send(
        &self,
        method: Method,
        url: &Url,
        headers: HeaderMap,
        body: Bytes,
        trust: Trust,
    ) -> Result<Fetched, EgressError> {
        check(url, trust)?;
        let uri: Uri = url.as_str().parse().map_err(|_| EgressError::Url)?;
        let guarded = trust == Trust::Stranger;
        if guarded {
            judge_literal(&uri).map_err(|_| EgressError::Inner)?;
        }
        let made = if guarded { &self.0.guarded } else { &self.0.open };
        let web = made.get_or_init(|| web(guarded)).as_ref().map_err(Clone::clone)?;
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = method;
        *request.uri_mut() = uri;
        *request.headers_mut() = headers;
        let agent = HeaderValue::from_static(concat!("mcp-proxy/", env!("CARGO_PKG_VERSION")));
        request.headers_mut().insert(header::USER_AGENT, agent);
        let fetched = tokio::time::timeout(DEADLINE, Box::pin(exchange(web, request))).await;
        fetched.unwrap_or(Err(EgressError::Slow))
    }
}

/// What can be said of a URL before its host is looked up.
fn check(url: &Url, trust: Trust) -> Result<(), EgressError> {
    let plain = url.username().is_empty() && url.password().is_none() && url.host().is_some();
    let allowed = match (url.scheme(), trust) {
        ("https", _) | ("http", Trust::Operator) => true,
        ("http", Trust::Private) => is_loopback(url),
        _ => false,
    };
    if plain && allowed { Ok(()) } else { Err(EgressError::Url) }
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

async fn exchange(web: &Web, request: Request<Full<Bytes>>) -> Result<Fetched, EgressError> {
    let response = web.request(request).await.map_err(|error| reason(&error))?;
    let (head, body) = response.into_parts();
    let body = Limited::new(body, LONGEST).collect().await.map_err(|error| {
        let long = error.is::<http_body_util::LengthLimitError>();
        if long { EgressError::TooLong } else { EgressError::Unreachable }
    })?;
    Ok(Fetched { status: head.status, headers: head.headers, body: body.to_bytes() })
}

/// The resolver's refusal lies under the words of others.
fn reason(error: &(dyn std::error::Error + 'static)) -> EgressError {
    let mut cause = Some(error);
    while let Some(error) = cause {
        let refused = error
            .downcast_ref::<std::io::Error>()
            .is_some_and(|error| error.kind() == std::io::ErrorKind::PermissionDenied);
        if refused {
            return EgressError::Inner;
        }
        cause = error.source();
    }
    tracing::debug!(%error, "nothing was fetched");
    EgressError::Unreachable
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn what_a_stranger_names_leads_nowhere_into_our_own_network() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let egress = Egress::default();
        for host in [
            "127.0.0.1",
            "[::1]",
            "2130706433",
            "0x7f.1",
            "0177.0.0.1",
            "127.1",
            "[::ffff:127.0.0.1]",
            "localhost",
            "localhost.",
            "127.0.0.1.",
            "user@127.0.0.1",
        ] {
            for scheme in ["https", "http"] {
                let url = Url::parse(&format!("{scheme}://{host}:{port}/")).unwrap();
                let refused = egress.get(&url, Trust::Stranger).await.unwrap_err();
                // Not every machine knows itself by this name with a dot.
                let unknown = host == "localhost." && refused == EgressError::Unreachable;
                assert!(
                    unknown || matches!(refused, EgressError::Inner | EgressError::Url),
                    "{url}: {refused}"
                );
            }
        }
        for place in ["https://169.254.169.254/latest", "https://[::ffff:10.0.0.1]/", "file:///x"] {
            let url = Url::parse(place).unwrap();
            assert!(egress.get(&url, Trust::Stranger).await.is_err(), "{place}");
        }
        let far = Url::parse("http://192.0.2.1/").unwrap();
        assert_eq!(egress.get(&far, Trust::Private).await.unwrap_err(), EgressError::Url);
        let none = std::future::poll_fn(|context| {
            std::task::Poll::Ready(listener.poll_accept(context).is_pending())
        });
        assert!(none.await, "nobody has connected");
    }
}
