//! Fetches a document of an issuer: `https`, no redirect, a bounded body, a deadline. What the
//! file names is trusted; what a document names may only lead to the public internet.

use std::future::Future;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Uri, header};
use http_body_util::{BodyExt, Empty, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::dns::{GaiResolver, Name};
use hyper_util::rt::TokioExecutor;
use tower_service::Service;
use url::{Host, Url};

use crate::base::is_inner;

/// Longest document in bytes.
const LONGEST: usize = 1 << 20;
/// Longest time that all of it may take.
const DEADLINE: Duration = Duration::from_secs(6);

/// Who named a URL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Trust {
    /// The operator's file.
    File,
    /// A document of somebody else.
    Document,
}

/// Resolves names; for what a document names, to public addresses only. What was judged is what
/// is connected to.
#[derive(Clone)]
struct Resolver {
    inner: GaiResolver,
    trust: Trust,
}

type Addresses = std::vec::IntoIter<SocketAddr>;

impl Service<Name> for Resolver {
    type Response = Addresses;
    type Error = std::io::Error;
    type Future = Pin<Box<dyn Future<Output = std::io::Result<Addresses>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, name: Name) -> Self::Future {
        let (resolving, trust) = (self.inner.call(name), self.trust);
        Box::pin(async move {
            let mut addresses: Vec<SocketAddr> = resolving.await?.collect();
            if trust == Trust::Document {
                addresses.retain(|address| !is_inner(address.ip()));
            }
            if addresses.is_empty() {
                return Err(std::io::Error::other("the name has no public address"));
            }
            Ok(addresses.into_iter())
        })
    }
}

type Web = Client<HttpsConnector<HttpConnector<Resolver>>, Empty<Bytes>>;

/// Fetches documents.
pub(super) struct Fetcher {
    /// Why there is none, where the machine has no root certificates.
    own: Result<Web, String>,
    foreign: Result<Web, String>,
}

fn web(trust: Trust) -> Result<Web, String> {
    let mut tcp = HttpConnector::new_with_resolver(Resolver { inner: GaiResolver::new(), trust });
    tcp.enforce_http(false);
    tcp.set_connect_timeout(Some(DEADLINE));
    let tls = HttpsConnectorBuilder::new().try_with_platform_verifier().map_err(|error| {
        format!("no root certificates on this machine, install ca-certificates ({error})")
    })?;
    let tls = tls.https_or_http().enable_http1().wrap_connector(tcp);
    // Keys are fetched seldom: no connection is kept.
    Ok(Client::builder(TokioExecutor::new()).pool_max_idle_per_host(0).build(tls))
}

impl Fetcher {
    pub(super) fn new() -> Self {
        Self { own: web(Trust::File), foreign: web(Trust::Document) }
    }

    /// The document at a URL.
    pub(super) async fn fetch(&self, url: &Url, trust: Trust) -> Result<Bytes, String> {
        let web = match trust {
            Trust::File => self.own.as_ref(),
            Trust::Document => {
                check_foreign(url)?;
                self.foreign.as_ref()
            }
        };
        let web = web.map_err(Clone::clone)?;
        let fetched = tokio::time::timeout(DEADLINE, get(web, url)).await;
        fetched.unwrap_or_else(|_| Err(format!("{url} did not answer in time")))
    }
}

/// `https`, and no address of our own written out: those are not resolved.
fn check_foreign(url: &Url) -> Result<(), String> {
    let own = match url.host() {
        Some(Host::Ipv4(address)) => is_inner(IpAddr::V4(address)),
        Some(Host::Ipv6(address)) => is_inner(IpAddr::V6(address)),
        Some(Host::Domain(_)) => false,
        None => true,
    };
    if url.scheme() != "https" || own || !url.username().is_empty() {
        return Err(
            "the issuer's document names a place that is not on the public internet".to_owned()
        );
    }
    Ok(())
}

async fn get(web: &Web, url: &Url) -> Result<Bytes, String> {
    let uri: Uri = url.as_str().parse().map_err(|error| format!("{url}: {error}"))?;
    let request = Request::get(uri)
        .header(header::ACCEPT, "application/json")
        .header(header::USER_AGENT, concat!("mcp-proxy/", env!("CARGO_PKG_VERSION")))
        .body(Empty::new())
        .map_err(|error| error.to_string())?;
    let response = web.request(request).await.map_err(|error| format!("{url}: {error:?}"))?;
    if response.status() != http::StatusCode::OK {
        return Err(format!("{url} answered {}", response.status()));
    }
    let body = Limited::new(response.into_body(), LONGEST).collect().await;
    Ok(body.map_err(|error| format!("{url}: {error}"))?.to_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_document_leads_nowhere_into_our_own_network() {
        let fetcher = Fetcher::new();
        for place in [
            "http://example.com/",
            "https://127.0.0.1/",
            "https://[::1]/",
            "https://169.254.169.254/latest",
            "https://2130706433/",
            "https://0x7f.1/",
            "https://[::ffff:10.0.0.1]/",
            "https://user@example.com/",
            "https://localhost:1/",
        ] {
            let url = Url::parse(place).unwrap();
            assert!(fetcher.fetch(&url, Trust::Document).await.is_err(), "{place}");
        }
    }
}
