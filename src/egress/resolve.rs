//! From a host's name to its addresses. Of a host that somebody else has named each address is
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
pub struct Resolver {
    system: GaiResolver,
    guarded: bool,
}

impl std::fmt::Debug for Resolver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Resolver").field("guarded", &self.guarded).finish_non_exhaustive()
    }
}

impl Resolver {
    /// With `guarded`, addresses inside are refused.
    #[must_use]
    pub fn new(guarded: bool) -> Self {
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
pub(super) fn judge(mut addresses: impl Iterator<Item = IpAddr>) -> io::Result<()> {
    if addresses.any(is_inner) {
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, REFUSED));
    }
    Ok(())
}

/// Judges a host that is an address already, and is not looked up.
///
/// # Errors
/// When it is an address inside; a name is judged when it is looked up.
pub fn judge_literal(uri: &Uri) -> io::Result<()> {
    let host = uri.host().unwrap_or_default();
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    judge(bare.parse().into_iter())
}

#[cfg(test)]
mod tests {
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
}
