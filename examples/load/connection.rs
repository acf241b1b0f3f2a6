//! One HTTP connection to a target, with the session that legacy needs.

use std::{net::Ipv4Addr, net::SocketAddr, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode, header};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use serde_json::json;
use tokio::net::{TcpSocket, TcpStream, lookup_host};

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
    /// The client's own address, when clients are on several.
    from: Option<Ipv4Addr>,
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
    if let Some(key) = options.keys.first() {
        headers.insert(header::AUTHORIZATION, key.clone());
    } else if let Some(key) = &options.key {
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
            options::Method::Get => {}
        }
    }
    Ok(headers)
}

async fn connect(
    target: &Target,
    from: Option<Ipv4Addr>,
) -> Result<SendRequest<Full<Bytes>>, String> {
    let failed = |error: &dyn std::fmt::Display| format!("connecting to {}: {error}", target.url);
    let stream = match from {
        None => TcpStream::connect(&target.authority).await,
        Some(from) => connect_from(&target.authority, from).await,
    };
    let stream = stream.map_err(|error| failed(&error))?;
    stream.set_nodelay(true).map_err(|error| failed(&error))?;
    let (sender, connection) =
        http1::handshake(TokioIo::new(stream)).await.map_err(|error| failed(&error))?;
    // Its failure shows in the request that it fails.
    tokio::spawn(connection);
    Ok(sender)
}

async fn connect_from(authority: &str, from: Ipv4Addr) -> std::io::Result<TcpStream> {
    let missing = || std::io::Error::other("has no address of version 4");
    let to = lookup_host(authority).await?.find(SocketAddr::is_ipv4).ok_or_else(missing)?;
    let socket = TcpSocket::new_v4()?;
    socket.bind((from, 0).into())?;
    socket.connect(to).await
}

impl Connection {
    /// Connects, and in legacy opens a session.
    ///
    /// # Errors
    ///
    /// When the target refuses either.
    pub(crate) async fn open(
        options: &Options,
        target: &Target,
        place: usize,
    ) -> Result<Self, String> {
        let mut connection = Self::bare(options, target, place).await?;
        if options.era == Era::Legacy {
            let session = connection.open_session().await?;
            connection.enter(session);
        }
        Ok(connection)
    }

    /// Connects and no more. The place among all connections says from which address.
    pub(crate) async fn bare(
        options: &Options,
        target: &Target,
        place: usize,
    ) -> Result<Self, String> {
        let headers = common(options, target)?;
        let from = (options.addresses > 1)
            .then(|| Ipv4Addr::new(127, 0, 0, 1 + (place % options.addresses) as u8));
        let sender = connect(target, from).await?;
        Ok(Self { sender, target: target.clone(), headers, from })
    }

    /// Connects again after a failure; the session stays the same.
    pub(crate) async fn reconnect(&mut self) -> Result<(), String> {
        self.sender = connect(&self.target, self.from).await?;
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

    /// Sends the following requests with the key for this place among all, where there are several.
    pub(crate) fn use_key(&mut self, keys: &[HeaderValue], place: usize) {
        if !keys.is_empty() {
            self.headers.insert(header::AUTHORIZATION, keys[place % keys.len()].clone());
        }
    }

    /// Ends the session that it is in, if any.
    pub(crate) async fn close_session(&mut self) -> Result<(), String> {
        if !self.headers.contains_key(SESSION) {
            return Ok(());
        }
        let reply = self.send(Method::DELETE, Bytes::new(), &[]).await?;
        // A server may refuse to end sessions on request.
        if reply.status.is_success() || reply.status == StatusCode::METHOD_NOT_ALLOWED {
            Ok(())
        } else {
            Err(format!("DELETE: {}: {}", reply.status, beginning(&reply.body)))
        }
    }

    /// Sends a message and reads the whole answer.
    pub(crate) async fn post(&mut self, body: Bytes) -> Result<Reply, String> {
        self.send(Method::POST, body, &[]).await
    }

    /// The same with headers of this message alone.
    pub(crate) async fn post_with(
        &mut self,
        body: Bytes,
        headers: &[(HeaderName, HeaderValue)],
    ) -> Result<Reply, String> {
        self.send(Method::POST, body, headers).await
    }

    /// Reads a file.
    pub(crate) async fn get(&mut self) -> Result<Reply, String> {
        self.send(Method::GET, Bytes::new(), &[]).await
    }

    /// Opens the session's stream. It is open as long as what comes back lives.
    pub(crate) async fn stream(&mut self) -> Result<Incoming, String> {
        let request = self.request(Method::GET, Bytes::new())?;
        self.sender.ready().await.map_err(|error| error.to_string())?;
        let asked = tokio::time::timeout(PATIENCE, self.sender.send_request(request));
        let reply = asked.await.map_err(|_| "no stream in time".to_owned())?;
        let reply = reply.map_err(|error| error.to_string())?;
        match reply.status() {
            StatusCode::OK => Ok(reply.into_body()),
            status => Err(format!("GET: {status}")),
        }
    }

    fn request(&self, method: Method, body: Bytes) -> Result<Request<Full<Bytes>>, String> {
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = method;
        *request.uri_mut() = self.target.path.parse().map_err(|_| "bad path".to_owned())?;
        *request.headers_mut() = self.headers.clone();
        Ok(request)
    }

    async fn send(
        &mut self,
        method: Method,
        body: Bytes,
        headers: &[(HeaderName, HeaderValue)],
    ) -> Result<Reply, String> {
        let mut request = self.request(method, body)?;
        for (name, value) in headers {
            request.headers_mut().insert(name.clone(), value.clone());
        }
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
