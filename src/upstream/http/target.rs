//! Where a link goes, with which headers, and how it says what went wrong.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Method as Verb, Uri};

use tokio::time::Instant;

use super::client::{Host, HttpClient, SendError};
use super::connection::Response;
use super::head::{LONG, RequestHead};
use crate::base::{Bearer, Name, Refusal};
use crate::config::EraSetting;
use crate::upstream::link::{Cause, LinkError, Ran};
use crate::wire::header::{LAST_EVENT, SESSION, VERSION};
use crate::wire::{CapSet, Draft, Revision};

/// Most that is shown of what an upstream has said in a failure.
const SHOWN: usize = 500;

/// One HTTP upstream as one tenant reaches it, every reference resolved.
#[derive(Clone)]
pub struct HttpTarget {
    /// Its name in the file.
    pub upstream: Name,
    /// The endpoint; a secret may stand in its path or query.
    pub uri: Uri,
    /// The tenant's own headers. Those that the transport itself sets are left out.
    pub headers: HeaderMap,
    /// The token of the tenant's login, sent with each request as it is at that moment.
    pub bearer: Option<Arc<Bearer>>,
    /// Fixed or to be found.
    pub era: EraSetting,
    /// Longest time from here to a finished handshake.
    pub start: Duration,
    /// What is declared to the upstream.
    pub capabilities: CapSet,
    /// Where its host leads is judged when it is connected to.
    pub guarded: bool,
    /// It gets a session id of ours when it gives none.
    pub session_id: bool,
    /// It asks nothing any more for a call that was cancelled.
    pub cancels: bool,
    /// Takes this tenant's secrets out of a text before it is kept.
    pub redact: Arc<dyn Fn(&str) -> String + Send + Sync>,
}

impl fmt::Debug for HttpTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The URI and the headers hold secrets.
        f.debug_struct("HttpTarget").field("upstream", &self.upstream).finish_non_exhaustive()
    }
}

/// The way to one upstream: everything that all requests of a link have in common.
pub(super) struct Road {
    pub(super) upstream: Name,
    pub(super) session_id: bool,
    host: Arc<Host>,
    uri: Uri,
    base: HeaderMap,
    bearer: Option<Arc<Bearer>>,
    redact: Arc<dyn Fn(&str) -> String + Send + Sync>,
}

impl Road {
    pub(super) fn new(target: &HttpTarget, client: &HttpClient) -> Self {
        let mut base = HeaderMap::new();
        base.insert(
            header::USER_AGENT,
            HeaderValue::from_static(concat!("mcp-proxy/", env!("CARGO_PKG_VERSION"))),
        );
        for (name, value) in &target.headers {
            // Where the tenant logs in, the token of that is what says who it is.
            if is_ours(name) || (target.bearer.is_some() && *name == header::AUTHORIZATION) {
                continue;
            }
            let mut value = value.clone();
            value.set_sensitive(true);
            base.insert(name.clone(), value);
        }
        base.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        base.insert(
            header::ACCEPT,
            HeaderValue::from_static("application/json, text/event-stream"),
        );
        Self {
            upstream: target.upstream.clone(),
            session_id: target.session_id,
            host: client.host(&target.uri, target.guarded),
            uri: target.uri.clone(),
            base,
            bearer: target.bearer.clone(),
            redact: Arc::clone(&target.redact),
        }
    }

    /// The headers of a POST in this revision; a session's id comes on top.
    pub(super) fn headers(&self, revision: Revision, session: Option<&HeaderValue>) -> HeaderMap {
        let mut headers = self.base.clone();
        if revision >= Revision::V2025_06_18 {
            headers.insert(VERSION, HeaderValue::from_static(revision.as_str()));
        }
        if let Some(session) = session {
            headers.insert(SESSION, session.clone());
        }
        headers
    }

    /// The headers of `initialize`: no version and no session is agreed on yet.
    pub(super) fn bare_headers(&self) -> HeaderMap {
        self.base.clone()
    }

    /// The head of a POST with these headers.
    pub(super) fn post_head(&self, headers: &HeaderMap) -> RequestHead {
        RequestHead::new(&Verb::POST, &self.uri, headers)
    }

    /// The head of a POST elsewhere on this host.
    pub(super) fn post_head_to(&self, uri: &Uri, headers: &HeaderMap) -> RequestHead {
        RequestHead::new(&Verb::POST, uri, headers)
    }

    /// A reference that the upstream gave, when it leads to the same scheme, host and port: our
    /// credentials go nowhere else.
    pub(super) fn resolve(&self, reference: &str) -> Option<Uri> {
        let base = url::Url::parse(&self.uri.to_string()).ok()?;
        let mut found = base.join(reference).ok()?;
        found.set_fragment(None);
        let same = found.origin() == base.origin() && found.origin().is_tuple();
        // The authority stays as it is written in the file: it names the pooled connections.
        let path = &found[url::Position::BeforePath..];
        let mut parts = self.uri.clone().into_parts();
        parts.path_and_query = Some(path.parse().ok()?);
        if same { Uri::from_parts(parts).ok() } else { None }
    }

    pub(super) async fn post(&self, head: RequestHead, body: Bytes) -> Result<Response, SendError> {
        match &self.bearer {
            None => self.host.send(head, Some(body)).await,
            // Boxed: what sends no token does not carry this with it.
            Some(bearer) => Box::pin(self.post_as(bearer, head, body)).await,
        }
    }

    /// With the token that is in place at this moment.
    async fn post_as(
        &self,
        bearer: &Bearer,
        mut head: RequestHead,
        body: Bytes,
    ) -> Result<Response, SendError> {
        let sent = show(bearer, &mut head);
        let response = self.host.send(head, Some(body)).await?;
        note(bearer, sent.as_ref(), &response);
        Ok(response)
    }

    /// A request without a body.
    async fn bare(&self, verb: &Verb, mut headers: HeaderMap) -> Result<Response, SendError> {
        let sent = self.bearer.as_ref().and_then(|bearer| bearer.header());
        if let Some(value) = &sent {
            headers.insert(header::AUTHORIZATION, value.clone());
        }
        let head = RequestHead::new(verb, &self.uri, &headers);
        let response = self.host.send(head, None).await?;
        if let Some(bearer) = &self.bearer {
            note(bearer, sent.as_ref(), &response);
        }
        Ok(response)
    }

    /// A POST of a message that is written right behind its head, and whose response must be there
    /// in time.
    pub(super) async fn post_draft(
        &self,
        head: RequestHead,
        (draft, id): (&Draft, u64),
        until: Option<Instant>,
    ) -> Result<Response, SendError> {
        match &self.bearer {
            None if draft.len(id) < LONG => self.host.send_whole(head.with(draft, id), until).await,
            None => Box::pin(self.host.send_whole(head.beside(draft, id), until)).await,
            Some(bearer) => Box::pin(self.post_draft_as(bearer, head, (draft, id), until)).await,
        }
    }

    async fn post_draft_as(
        &self,
        bearer: &Bearer,
        mut head: RequestHead,
        (draft, id): (&Draft, u64),
        until: Option<Instant>,
    ) -> Result<Response, SendError> {
        let sent = show(bearer, &mut head);
        let response = if draft.len(id) < LONG {
            self.host.send_whole(head.with(draft, id), until).await?
        } else {
            self.host.send_whole(head.beside(draft, id), until).await?
        };
        note(bearer, sent.as_ref(), &response);
        Ok(response)
    }

    pub(super) async fn get(
        &self,
        mut headers: HeaderMap,
        last_event: Option<&str>,
    ) -> Result<Response, SendError> {
        headers.remove(header::CONTENT_TYPE);
        headers.insert(header::ACCEPT, HeaderValue::from_static("text/event-stream"));
        if let Some(value) = last_event.and_then(|id| HeaderValue::from_str(id).ok()) {
            headers.insert(LAST_EVENT, value);
        }
        self.bare(&Verb::GET, headers).await
    }

    pub(super) async fn delete(&self, mut headers: HeaderMap) -> Result<Response, SendError> {
        headers.remove(header::CONTENT_TYPE);
        self.bare(&Verb::DELETE, headers).await
    }

    /// A failure in words for the log, without this tenant's secrets.
    pub(super) fn error(&self, cause: Cause, ran: Ran, detail: &str) -> LinkError {
        LinkError { upstream: self.upstream.clone(), cause, ran, detail: self.clean(detail) }
    }

    /// A text that an upstream or the network had a part in, fit for the log. It is cut here and
    /// not before: half a secret is not found.
    pub(super) fn clean(&self, text: &str) -> String {
        (self.redact)(text).chars().take(SHOWN).collect()
    }

    /// A request that got no response.
    pub(super) fn unanswered(&self, error: &SendError) -> LinkError {
        if error.unsent {
            self.error(Cause::Down, Ran::No, &error.detail)
        } else {
            self.error(Cause::Gone, Ran::Maybe, &error.detail)
        }
    }
}

impl fmt::Debug for Road {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Road").field("upstream", &self.upstream).finish_non_exhaustive()
    }
}

/// Puts the token of this moment into a head.
fn show(bearer: &Bearer, head: &mut RequestHead) -> Option<HeaderValue> {
    let sent = bearer.header();
    if let Some(value) = &sent {
        head.push(&header::AUTHORIZATION, value);
    }
    sent
}

/// Whether the token was refused, or does not do for what was asked.
fn note(bearer: &Bearer, sent: Option<&HeaderValue>, response: &Response) {
    let status = response.status().as_u16();
    if !matches!(status, 401 | 403) {
        return;
    }
    let challenges = response.texts(&header::WWW_AUTHENTICATE);
    if status == 401 || challenges.iter().any(|text| text.contains("insufficient_scope")) {
        bearer.refused(sent, Refusal { status, challenges });
    }
}

/// Headers that no configuration decides: those of the protocol and those of the connection.
fn is_ours(name: &HeaderName) -> bool {
    const HOP: [HeaderName; 9] = [
        header::ACCEPT,
        header::CONTENT_TYPE,
        header::CONTENT_LENGTH,
        header::TRANSFER_ENCODING,
        header::CONNECTION,
        header::TE,
        header::TRAILER,
        header::UPGRADE,
        header::EXPECT,
    ];
    HOP.contains(name)
        || *name == LAST_EVENT
        || name.as_str() == "keep-alive"
        || name.as_str() == "accept-encoding"
        || name.as_str().starts_with("mcp-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_transport_decides_its_own_headers_and_the_rest_is_secret() {
        let mut headers = HeaderMap::new();
        for name in ["authorization", "accept", "mcp-session-id", "connection", "x-key"] {
            headers.insert(HeaderName::from_static(name), HeaderValue::from_static("canary"));
        }
        let target = HttpTarget {
            upstream: Name::new("u").unwrap(),
            uri: Uri::from_static("http://127.0.0.1/canary"),
            headers,
            era: EraSetting::Auto,
            start: Duration::from_secs(1),
            bearer: None,
            guarded: false,
            session_id: false,
            cancels: false,
            capabilities: CapSet::NONE,
            redact: Arc::new(|text| text.replace("canary", "[redacted]")),
        };
        let road = Road::new(&target, &HttpClient::new());
        let built = road.headers(Revision::V2026_07_28, None);
        assert_eq!(built["x-key"], "canary");
        assert_eq!(built[VERSION], "2026-07-28");
        assert_eq!(built[header::ACCEPT], "application/json, text/event-stream");
        assert!(!built.contains_key(SESSION) && !built.contains_key("connection"));
        let error = road.error(Cause::Down, Ran::No, "canary fell");
        assert!(!format!("{target:?}{road:?}{built:?}{error:?}").contains("canary"));
        assert!(!road.headers(Revision::V2025_03_26, None).contains_key(VERSION));
    }
}
