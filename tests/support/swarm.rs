//! Many callers at once, each of whose requests has the id 1.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::{
    body::Incoming,
    client::conn::{http1, http2},
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::{Value, json};
use tokio::{
    net::TcpStream,
    sync::{Barrier, OwnedSemaphorePermit, Semaphore},
    task::JoinSet,
};

use super::Era;

/// Calls on one HTTP/2 connection.
const STREAMS: usize = 100;
/// Handshakes at a time: the calls are to come at once, not these.
const HANDSHAKES: usize = 64;
/// Longest time for everything.
const PATIENCE: Duration = Duration::from_secs(300);

/// Allows this process, and those it starts from now on, as many open files as the system lets it.
pub(crate) fn raise_open_files() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    // Not more than asked for is not less than there was.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit });
}

/// Who calls what, where.
pub(crate) struct Swarm {
    /// The server.
    pub(crate) address: SocketAddr,
    /// The path.
    pub(crate) door: String,
    /// Each tenant's key, and the text that only it sends.
    pub(crate) tenants: Vec<(String, String)>,
    /// The tool that gives back its argument `text`.
    pub(crate) tool: String,
    /// Calls of each tenant at the same time.
    pub(crate) calls: usize,
    /// HTTP/2 with a hundred calls on a connection, or HTTP/1.1 with one.
    pub(crate) http2: bool,
}

enum Line {
    One(http1::SendRequest<Full<Bytes>>),
    Many(http2::SendRequest<Full<Bytes>>),
}

type Failure = Box<dyn std::error::Error + Send + Sync>;

impl Swarm {
    /// Lets all of them call at once and gives what went wrong, one line each: an error, or an
    /// answer that is not the caller's own.
    pub(crate) fn run(self, era: Era) -> Vec<String> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .expect("a runtime can be made");
        runtime.block_on(async {
            let all = tokio::time::timeout(PATIENCE, Arc::new(self).storm(era)).await;
            all.unwrap_or_else(|_| vec![format!("not all calls were answered after {PATIENCE:?}")])
        })
    }

    async fn storm(self: Arc<Self>, era: Era) -> Vec<String> {
        let ready = Arc::new(Barrier::new(self.tenants.len() * self.calls));
        let turns = Arc::new(Semaphore::new(HANDSHAKES));
        let mut callers = JoinSet::new();
        let mut failures = Vec::new();
        for tenant in 0..self.tenants.len() {
            let mut shared = None;
            for call in 0..self.calls {
                let turn = Arc::clone(&turns).acquire_owned().await.expect("it is never closed");
                let line = match &shared {
                    Some(Line::Many(line)) if call % STREAMS != 0 => Ok(Line::Many(line.clone())),
                    _ => self.connect().await,
                };
                let line = match line {
                    Ok(line) => line,
                    Err(error) => return vec![format!("cannot connect: {error}")],
                };
                if let Line::Many(line) = &line {
                    shared = Some(Line::Many(line.clone()));
                }
                let (swarm, ready) = (Arc::clone(&self), Arc::clone(&ready));
                callers.spawn(
                    async move { swarm.caller(era, line, tenant, call, &ready, turn).await },
                );
            }
        }
        while let Some(ended) = callers.join_next().await {
            match ended {
                Ok(Ok(())) => {}
                Ok(Err(error)) => failures.push(error.to_string()),
                Err(error) => failures.push(error.to_string()),
            }
        }
        failures
    }

    async fn connect(&self) -> Result<Line, Failure> {
        let stream = TcpStream::connect(self.address).await?;
        stream.set_nodelay(true)?;
        let stream = TokioIo::new(stream);
        if self.http2 {
            let (sender, connection) = http2::handshake(TokioExecutor::new(), stream).await?;
            tokio::spawn(connection);
            return Ok(Line::Many(sender));
        }
        let (sender, connection) = http1::handshake(stream).await?;
        tokio::spawn(connection);
        Ok(Line::One(sender))
    }

    async fn caller(
        &self,
        era: Era,
        mut line: Line,
        tenant: usize,
        call: usize,
        ready: &Barrier,
        turn: OwnedSemaphorePermit,
    ) -> Result<(), Failure> {
        let (key, canary) = &self.tenants[tenant];
        let session = match era {
            Era::Modern => Ok(None),
            Era::Legacy => self.shake_hands(&mut line, key).await,
        };
        drop(turn);
        // Whoever failed still arrives, or the others would wait for ever.
        ready.wait().await;
        let session = session.map_err(|error| format!("tenant {tenant} call {call}: {error}"))?;
        let text = format!("{canary} {call}");
        let params = era.params(json!({"name": self.tool, "arguments": {"text": text}}));
        let body = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params});
        let headers = era.headers("tools/call", &params);
        let request = self.request(key, session.as_deref(), headers, &body)?;
        let (status, answer) = whole(line.send(request).await?).await?;
        let own = messages(&answer).iter().any(|message| {
            message["id"] == 1 && message["result"]["content"][0]["text"] == text.as_str()
        });
        if own {
            return Ok(());
        }
        Err(format!("tenant {tenant} call {call} sent {text:?} and got {status} {answer}").into())
    }

    async fn shake_hands(&self, line: &mut Line, key: &str) -> Result<Option<String>, Failure> {
        let request = self.request(key, None, Vec::new(), &Era::hello(1))?;
        let answer = line.send(request).await?;
        let session = answer.headers().get("mcp-session-id").and_then(|id| id.to_str().ok());
        let session = session.map(str::to_owned);
        let (status, text) = whole(answer).await?;
        if status != 200 || session.is_none() {
            return Err(format!("initialize got {status} {text}").into());
        }
        let body = json!({"jsonrpc": "2.0", "method": "notifications/initialized"});
        let headers = Era::Legacy.headers("notifications/initialized", &Value::Null);
        let request = self.request(key, session.as_deref(), headers, &body)?;
        whole(line.send(request).await?).await?;
        Ok(session)
    }

    fn request(
        &self,
        key: &str,
        session: Option<&str>,
        headers: Vec<(&'static str, String)>,
        body: &Value,
    ) -> Result<Request<Full<Bytes>>, Failure> {
        let uri = if self.http2 {
            format!("http://{}{}", self.address, self.door)
        } else {
            self.door.clone()
        };
        let mut request = Request::post(uri)
            .header("content-type", "application/json")
            .header("accept", "application/json, text/event-stream")
            .header("authorization", format!("Bearer {key}"));
        if !self.http2 {
            request = request.header("host", self.address.to_string());
        }
        for (name, value) in headers {
            request = request.header(name, value);
        }
        if let Some(session) = session {
            request = request.header("mcp-session-id", session);
        }
        Ok(request.body(Full::new(Bytes::from(body.to_string())))?)
    }
}

impl Line {
    async fn send(&mut self, request: Request<Full<Bytes>>) -> hyper::Result<Response<Incoming>> {
        match self {
            Self::One(line) => {
                line.ready().await?;
                line.send_request(request).await
            }
            Self::Many(line) => {
                line.ready().await?;
                line.send_request(request).await
            }
        }
    }
}

async fn whole(answer: Response<Incoming>) -> Result<(u16, String), Failure> {
    let status = answer.status().as_u16();
    let body = answer.into_body().collect().await?.to_bytes();
    Ok((status, String::from_utf8_lossy(&body).into_owned()))
}

/// The messages of a JSON body or of an event stream.
fn messages(body: &str) -> Vec<Value> {
    let lines = body.lines().map(|line| line.strip_prefix("data:").unwrap_or(line));
    lines.filter_map(|line| serde_json::from_str(line.trim()).ok()).collect()
}
