//! One HTTP connection to a target, with the session that legacy needs.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode, header};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use serde_json::json;
use tokio::net::TcpStream;

use crate::{
    message::meta,
    options::{self, Era, Options, Target},
};

/// Longer than any answer may take.
const PATIENCE: Duration = Duration::from_secs(60);

const SESSION: HeaderName = HeaderName::from_static("mcp-session-id");
const VERSION: HeaderName = HeaderName::from_static("mcp-protocol-version");

/// A connection that sends one request at a time.
pub(crate) struct Connection {
    sender: SendRequest<Full<Bytes>>,
    target: Target,
    headers: HeaderMap,
}

/// An answer of the server.
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Reply {
    /// Whether the body is a stream of events.
    pub(crate) fn is_stream(&self) -> bool {
        let kind = self.headers.get(header::CONTENT_TYPE);
        kind.is_some_and(|kind| kind.as_bytes().starts_with(b"text/event-stream"))
    }
}

/// The headers that all requests carry.
fn common(options: &Options, target: &Target) -> Result<HeaderMap, String> {
    let value = |text: &str| {
        HeaderValue::try_from(text).map_err(|_| format!("{text:?} cannot stand in a header"))
    };
    let mut headers = HeaderMap::new();
    headers.insert(header::HOST, value(&target.authority)?);
    headers.insert(header::CONTENT_TYPE, value("application/json")?);
    headers.insert(header::ACCEPT, value("application/json, text/event-stream")?);
    if let Some(key) = &options.key {
        headers.insert(header::AUTHORIZATION, value(&format!("Bearer {key}"))?);
    }
    if options.era == Era::Modern {
        headers.insert(VERSION, value("2026-07-28")?);
        match options.method {
            options::Method::Call => {
                headers.insert("mcp-method", value("tools/call")?);
                headers.insert("mcp-name", value(&options.tool)?);
            }
            options::Method::List => {
                headers.insert("mcp-method", value("tools/list")?);
            }
        }
    }
    Ok(headers)
}

async fn connect(target: &Target) -> Result<SendRequest<Full<Bytes>>, String> {
    let failed = |error: &dyn std::fmt::Display| format!("connecting to {}: {error}", target.url);
    let stream = TcpStream::connect(&target.authority).await.map_err(|error| failed(&error))?;
    stream.set_nodelay(true).map_err(|error| failed(&error))?;
    let (sender, connection) =
        http1::handshake(TokioIo::new(stream)).await.map_err(|error| failed(&error))?;
    // Its failure shows in the request that it fails.
    tokio::spawn(connection);
    Ok(sender)
}

impl Connection {
    /// Connects, and in legacy opens a session.
    ///
    /// # Errors
    ///
    /// When the target refuses either.
    pub(crate) async fn open(options: &Options, target: &Target) -> Result<Self, String> {
        let mut connection = Self::bare(options, target).await?;
        if options.era == Era::Legacy {
            let session = connection.open_session().await?;
            connection.enter(session);
        }
        Ok(connection)
    }

    /// Connects and no more.
    pub(crate) async fn bare(options: &Options, target: &Target) -> Result<Self, String> {
        let headers = common(options, target)?;
        Ok(Self { sender: connect(target).await?, target: target.clone(), headers })
    }

    /// Connects again after a failure; the session stays the same.
    pub(crate) async fn reconnect(&mut self) -> Result<(), String> {
        self.sender = connect(&self.target).await?;
        Ok(())
    }

    /// Whether the connection can take no more requests.
    pub(crate) fn is_closed(&self) -> bool {
        self.sender.is_closed()
    }

    /// Sends the following requests in this session.
    pub(crate) fn enter(&mut self, session: Option<HeaderValue>) {
        self.headers.insert(VERSION, HeaderValue::from_static("2025-11-25"));
        match session {
            Some(session) => self.headers.insert(SESSION, session),
            None => self.headers.remove(SESSION),
        };
    }

    /// Opens a session: `initialize`, then `notifications/initialized`. Gives the
    /// session's id, or none when the server keeps no sessions.
    pub(crate) async fn open_session(&mut self) -> Result<Option<HeaderValue>, String> {
        self.headers.remove(SESSION);
        self.headers.remove(VERSION);
        let hello = json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {
            "protocolVersion": "2025-11-25", "capabilities": {},
            "clientInfo": {"name": "load", "version": "1"}}});
        let reply = self.post(Bytes::from(hello.to_string())).await?;
        if reply.status != StatusCode::OK {
            return Err(format!("initialize: {}: {}", reply.status, beginning(&reply.body)));
        }
        let session = reply.headers.get(SESSION).cloned();
        self.enter(session.clone());
        let ready = r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#;
        let reply = self.post(Bytes::from_static(ready.as_bytes())).await?;
        if !reply.status.is_success() {
            return Err(format!("initialized: {}: {}", reply.status, beginning(&reply.body)));
        }
        Ok(session)
    }

    /// Ends the session that it is in, if any.
    pub(crate) async fn close_session(&mut self) -> Result<(), String> {
        if !self.headers.contains_key(SESSION) {
            return Ok(());
        }
        let reply = self.send(Method::DELETE, Bytes::new()).await?;
        // A server may refuse to end sessions on request.
        if reply.status.is_success() || reply.status == StatusCode::METHOD_NOT_ALLOWED {
            Ok(())
        } else {
            Err(format!("DELETE: {}: {}", reply.status, beginning(&reply.body)))
        }
    }

    /// Sends a message and reads the whole answer.
    pub(crate) async fn post(&mut self, body: Bytes) -> Result<Reply, String> {
        self.send(Method::POST, body).await
    }

    async fn send(&mut self, method: Method, body: Bytes) -> Result<Reply, String> {
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = method;
        *request.uri_mut() = self.target.path.parse().map_err(|_| "bad path".to_owned())?;
        *request.headers_mut() = self.headers.clone();
        let exchange = async {
            self.sender.ready().await?;
            let (parts, body) = self.sender.send_request(request).await?.into_parts();
            let body = body.collect().await?.to_bytes();
            Ok::<_, hyper::Error>(Reply { status: parts.status, headers: parts.headers, body })
        };
        match tokio::time::timeout(PATIENCE, exchange).await {
            Ok(outcome) => outcome.map_err(|error| format!("{}: {error:?}", self.target.url)),
            Err(_) => Err(format!("{}: no answer in {PATIENCE:?}", self.target.url)),
        }
    }

    /// Asks the target who it is, in the era's own way. Fails when it is not there.
    pub(crate) async fn greet(&mut self, era: Era) -> Result<(), String> {
        if era == Era::Legacy {
            return Ok(());
        }
        let hello = json!({"jsonrpc": "2.0", "id": 1, "method": "server/discover",
                           "params": {"_meta": meta()}});
        let headers = self.headers.clone();
        self.headers.insert("mcp-method", HeaderValue::from_static("server/discover"));
        self.headers.remove("mcp-name");
        let reply = self.post(Bytes::from(hello.to_string())).await;
        self.headers = headers;
        match reply? {
            reply if reply.status == StatusCode::OK => Ok(()),
            reply => Err(format!("server/discover: {}: {}", reply.status, beginning(&reply.body))),
        }
    }
}

/// The beginning of a body, for messages.
pub(crate) fn beginning(body: &[u8]) -> String {
    String::from_utf8_lossy(&body[..body.len().min(300)]).into_owned()
}
