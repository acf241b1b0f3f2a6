//! From a host's name to its addresses. Of an upstream that came over the API each address is
//! judged here, and only what was judged is connected to: a name may lead elsewhere the next time
//! it is looked up.

use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::task::{Context, Poll};

use http::Uri;
use hyper_util::client::legacy::connect::dns::{GaiResolver, Name};
use tower_service::Service;

use crate::base::is_inner;

/// What is said of a host that may not be connected to; its addresses are nobody's business.
const REFUSED: &str = "its host leads into this machine or its network; an upstream that is made \
                       over the API goes there only with \"allow_private\": true";

/// Looks names up as the system does.
#[derive(Clone)]
pub(super) struct Resolver {
    system: GaiResolver,
    guarded: bool,
}

impl Resolver {
    /// With `guarded`, addresses inside are refused.
    pub(super) fn new(guarded: bool) -> Self {
        Self { system: GaiResolver::new(), guarded }
    }
}

impl Service<Name> for Resolver {
    type Response = std::vec::IntoIter<SocketAddr>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Self::Response>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.system.poll_ready(context)
    }

    fn call(&mut self, name: Name) -> Self::Future {
        let (found, guarded) = (self.system.call(name), self.guarded);
        Box::pin(async move {
            let found: Vec<SocketAddr> = found.await?.collect();
            if guarded {
                judge(found.iter().map(SocketAddr::ip))?
            }
            Ok(found.into_iter())
        })
    }
}

/// One address inside is enough: who answers so does not mean well.
fn judge(mut addresses: impl Iterator<Item = IpAddr>) -> io::Result<()> {
    if addresses.any(is_inner) {
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, REFUSED));
    }
    Ok(())
}

/// Judges a host that is an address already, and is not looked up.
pub(super) fn judge_literal(uri: &Uri) -> io::Result<()> {
    let host = uri.host().unwrap_or_default();
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    judge(bare.parse().into_iter())
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::super::client::HttpClient;
    use super::super::head::RequestHead;
    use super::*;

    #[test]
    fn one_address_inside_is_enough() {
        let judge = |texts: &[&str]| judge(texts.iter().map(|text| text.parse().unwrap()));
        assert!(judge(&["8.8.8.8", "2606:4700::1111"]).is_ok());
        assert!(judge(&[]).is_ok(), "nothing is connected to");
        assert!(judge(&["8.8.8.8", "::ffff:127.0.0.1"]).is_err());
        assert!(judge_literal(&Uri::from_static("http://[::1]:1/")).is_err());
        assert!(judge_literal(&Uri::from_static("http://169.254.169.254/")).is_err());
        assert!(judge_literal(&Uri::from_static("http://mcp.example.com/")).is_ok());
    }

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
