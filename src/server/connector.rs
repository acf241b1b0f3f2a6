//! The connector doors: `/connect/mcp` and `/connect/p/{profile}/mcp`, for clients that only do
//! OAuth. The same line as behind the other doors; who is let in is told by access tokens of our
//! own OAuth server and by nothing else, and whoever is not, is told where that server is.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, header};
use hyper::body::{Body as _, Incoming};

use super::body::ReplyBody;
use super::door::{Doors, check_head, read, silence, too_large};
use super::media;
use super::reply::{refusal, reply};
use crate::auth::{CONNECTOR_SCOPE, Guard};
use crate::base::{Fault, Kind};
use crate::pipeline::{Carrier, Opened, Outcome, Posting};

/// What stands before the path of the door that it is otherwise.
const PREFIX: &str = "/connect";

/// The path of the door behind a connector door.
pub(super) fn inner(path: &str) -> Option<&str> {
    let inner = path.strip_prefix(PREFIX)?;
    let profile = inner.strip_prefix("/p/").and_then(|rest| rest.strip_suffix("/mcp"));
    (inner == "/mcp" || profile.is_some_and(|name| !name.is_empty() && !name.contains('/')))
        .then_some(inner)
}

/// The paths that belong to what is mounted beside the connector doors: our OAuth server, its
/// metadata, and pages for people.
pub(super) fn is_beside(path: &str) -> bool {
    path.starts_with("/connect/")
        || path.starts_with("/.well-known/oauth-protected-resource/connect/")
        || path == "/.well-known/oauth-authorization-server/connect"
}

impl Doors {
    /// Serves one request at a connector door.
    pub(super) async fn connect(
        &self,
        request: Request<Incoming>,
        peer: SocketAddr,
    ) -> Response<ReplyBody> {
        let path: Arc<str> = Arc::from(request.uri().path());
        let unread = request.version() < http::Version::HTTP_2 && !request.body().is_end_stream();
        let fault = match self.open_connector(request, peer, path.clone()).await {
            Ok(outcome) => return reply(outcome),
            Err(fault) => fault,
        };
        let mut response = refusal(&fault);
        if fault.kind == Kind::Unauthenticated
            && let Some(challenge) = self.challenge(&path)
        {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
        }
        if unread {
            // Each login begins with such a refusal. The connection ends with a body that nobody
            // reads, and a client that is not told would send its next request over it.
            response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }

    /// Where the metadata of a connector door is (RFC 9728, section 5.1).
    fn challenge(&self, path: &str) -> Option<HeaderValue> {
        let config = self.line().config();
        let base = config.server.public_url.as_ref()?.as_str().trim_end_matches('/');
        let challenge = format!(
            "Bearer resource_metadata=\"{base}/.well-known/oauth-protected-resource{path}\", \
             scope=\"{CONNECTOR_SCOPE}\""
        );
        HeaderValue::from_str(&challenge).ok()
    }

    async fn open_connector(
        &self,
        request: Request<Incoming>,
        peer: SocketAddr,
        path: Arc<str>,
    ) -> Result<Outcome, Fault> {
        let (max_body, base) = {
            let config = self.line().config();
            Guard::new(&config.server).check(&request)?;
            let base = config.server.public_url.as_ref();
            let base = base.map(|url| url.as_str().trim_end_matches('/').to_owned());
            (config.server.max_body, base)
        };
        let (parts, body) = request.into_parts();
        check_head(&parts)?;
        let base = base.ok_or_else(no_public_url)?;
        if body.size_hint().lower() > max_body as u64 {
            return Err(too_large(max_body));
        }
        let (issuer, resource) = (format!("{base}{PREFIX}"), format!("{base}{path}"));
        let checked = self.auth().connector(&parts.headers, &issuer, &resource).await;
        let principal = checked.map_err(|denied| match self.denied(denied, &parts.headers, peer) {
            fault if fault.kind == Kind::Unauthenticated => Fault {
                public: "an access token for this URL is needed; a client that does OAuth gets one by \
                         itself, and a key belongs to /mcp"
                    .into(),
                ..fault
            },
            fault => fault,
        })?;
        let inner = inner(&path).ok_or_else(super::door::no_door)?;
        principal.opens_door(inner)?;
        let door = self.line().door(&principal, inner).ok_or_else(super::door::no_door)?;
        let mut posting = Posting {
            principal,
            door,
            path,
            headers: parts.headers,
            body: Bytes::new(),
            carrier: Carrier::Http,
            peer: Some(peer.ip()),
        };
        match parts.method {
            Method::POST => {
                let stream = media::check(&posting.headers);
                let stream = stream.map_err(|fault| self.refused(&posting, fault))?;
                let read = read(body, silence(parts.version), max_body).await;
                posting.body = read.map_err(|fault| self.refused(&posting, fault))?;
                match self.line().open(posting) {
                    Opened::Letter(letter) => {
                        let outcome = Box::pin(self.line().serve(letter)).await;
                        Ok(if stream { media::streamed(outcome) } else { outcome })
                    }
                    Opened::Batch(posting) => Ok(Box::pin(self.batch(*posting)).await),
                    Opened::Refused(outcome) => Ok(outcome),
                }
            }
            method => Box::pin(self.without_message(method, &posting)).await,
        }
    }
}

fn no_public_url() -> Fault {
    Fault::client(
        Kind::NoSuchDoor,
        "The connector doors are closed: OAuth needs the URL that clients use. Set `public_url` in \
         [server], such as \"https://mcp.example.com\"",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connector_doors_are_two_shapes_of_path() {
        assert_eq!(inner("/connect/mcp"), Some("/mcp"));
        assert_eq!(inner("/connect/p/a/mcp"), Some("/p/a/mcp"));
        for other in [
            "/connect",
            "/connect/",
            "/connect/mcp/",
            "/connect/mcp/a",
            "/connect/p//mcp",
            "/connect/p/a/b/mcp",
            "/connectmcp",
            "/mcp",
        ] {
            assert_eq!(inner(other), None, "{other}");
        }
        assert!(is_beside("/connect/authorize") && !is_beside("/connect"));
        assert!(!is_beside("/.well-known/oauth-protected-resource"));
        assert!(!is_beside("/.well-known/oauth-protected-resource/mcp"));
        assert!(!is_beside("/.well-known/oauth-authorization-server/connect/mcp"));
    }
}
