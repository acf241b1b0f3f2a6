//! An upstream that says on demand that a list has changed or that a resource was updated, and
//! whose one tool reports progress and logs while it runs.

use std::{
    collections::BTreeSet,
    convert::Infallible,
    net::SocketAddr,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, combinators::BoxBody};
use hyper::{
    body::{Body, Frame, Incoming},
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::{net::TcpListener, sync::mpsc, time::MissedTickBehavior};

use crate::support::Era;

/// What every client follows.
pub(crate) const SHARED: &str = "crowd://shared";

/// It takes this long to open a stream, so that whoever counts on it too early is found out.
const SLOW: Duration = Duration::from_millis(50);

/// The resource that one client follows.
pub(crate) fn own(number: usize) -> String {
    format!("crowd://own-{number}")
}

/// One open stream.
struct Stream {
    /// The session (legacy) or the id of the listen (modern).
    holder: String,
    /// The id as JSON, for the modern era.
    id: Value,
    uris: BTreeSet<String>,
    events: mpsc::UnboundedSender<Bytes>,
}

#[derive(Default)]
struct State {
    sessions: usize,
    /// Subscriptions of sessions: (session, URI).
    followed: BTreeSet<(String, String)>,
    streams: Vec<Stream>,
    /// Updates that were told, of all resources.
    updates: u64,
}

/// The upstream.
pub(crate) struct Source {
    era: Era,
    clients: usize,
    address: SocketAddr,
    state: Mutex<State>,
}

type Reply = Response<BoxBody<Bytes, Infallible>>;

impl Source {
    /// Starts one that has a resource for each client.
    pub(crate) async fn start(era: Era, clients: usize) -> Arc<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let source = Arc::new(Self { era, clients, address, state: Mutex::default() });
        let server = Arc::clone(&source);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let server = Arc::clone(&server);
                stream.set_nodelay(true).expect("a TCP socket");
                let service = service_fn(move |request| {
                    let server = Arc::clone(&server);
                    async move { Ok::<_, Infallible>(server.answer(request).await) }
                });
                let connection = hyper::server::conn::http1::Builder::new()
                    .serve_connection(TokioIo::new(stream), service);
                tokio::spawn(connection);
            }
        });
        source
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says that a resource was updated.
    /// The number of this update, which it carries.
    pub(crate) fn updated(&self, uri: &str) -> u64 {
        let mut state = self.state();
        state.updates += 1;
        let number = state.updates;
        for stream in &state.streams {
            let followed = match self.era {
                Era::Legacy => state.followed.contains(&(stream.holder.clone(), uri.to_owned())),
                Era::Modern => stream.uris.contains(uri),
            };
            if followed {
                let params = json!({"uri": uri, "vendor/number": number});
                self.say(stream, "notifications/resources/updated", params);
            }
        }
        number
    }

    /// Says that the list of tools has changed.
    pub(crate) fn list_changed(&self) {
        for stream in &self.state().streams {
            self.say(stream, "notifications/tools/list_changed", json!({}));
        }
    }

    fn say(&self, stream: &Stream, method: &str, mut params: Value) {
        if self.era == Era::Modern {
            params["_meta"] = json!({"io.modelcontextprotocol/subscriptionId": stream.id});
        }
        // A stream that was closed hears nothing.
        let _ = stream.events.send(event(&json!({
            "jsonrpc": "2.0", "method": method, "params": params})));
    }

    async fn answer(self: &Arc<Self>, request: Request<Incoming>) -> Reply {
        let session = session(request.headers());
        match (request.method(), self.era) {
            (&Method::POST, _) => {}
            (&Method::GET, Era::Legacy) => {
                tokio::time::sleep(SLOW).await;
                return self.open(session, Value::Null, BTreeSet::new(), None);
            }
            (&Method::DELETE, Era::Legacy) => return plain(StatusCode::OK, None),
            _ => return plain(StatusCode::METHOD_NOT_ALLOWED, None),
        }
        let body = request.into_body().collect().await.map(|body| body.to_bytes());
        let message: Value = serde_json::from_slice(&body.unwrap_or_default()).unwrap_or_default();
        let (id, params) = (message["id"].clone(), message["params"].clone());
        if id.is_null() {
            return plain(StatusCode::ACCEPTED, None);
        }
        let result = match (message["method"].as_str().unwrap_or_default(), self.era) {
            ("initialize", Era::Legacy) => {
                let mut state = self.state();
                state.sessions += 1;
                let session = format!("session-{}", state.sessions);
                drop(state);
                let result = json!({"protocolVersion": "2025-11-25", "capabilities": able(),
                    "serverInfo": {"name": "source", "version": "1"}});
                let mut reply = plain(StatusCode::OK, Some(&answered(&id, result)));
                let session = session.parse().expect("a header value");
                reply.headers_mut().insert("mcp-session-id", session);
                return reply;
            }
            ("server/discover", Era::Modern) => {
                json!({"supportedVersions": ["2026-07-28"], "capabilities": able()})
            }
            ("tools/list", _) => {
                json!({"tools": [{"name": "tick", "inputSchema": {"type": "object"}}]})
            }
            ("resources/list", _) => {
                let all = (0..self.clients).map(own).chain([SHARED.to_owned()]);
                let all: Vec<Value> = all.map(|uri| json!({"uri": uri, "name": uri})).collect();
                json!({"resources": all})
            }
            ("resources/templates/list", _) => json!({"resourceTemplates": []}),
            ("resources/subscribe", Era::Legacy) => {
                let uri = params["uri"].as_str().unwrap_or_default().to_owned();
                self.state().followed.insert((session, uri));
                json!({})
            }
            ("logging/setLevel" | "resources/unsubscribe", Era::Legacy) => json!({}),
            ("subscriptions/listen", Era::Modern) => {
                tokio::time::sleep(SLOW).await;
                let wanted = &params["notifications"];
                let uris = wanted["resourceSubscriptions"].as_array().into_iter().flatten();
                let uris = uris.filter_map(Value::as_str).map(str::to_owned).collect();
                let told = json!({"jsonrpc": "2.0",
                    "method": "notifications/subscriptions/acknowledged",
                    "params": {"notifications": wanted,
                        "_meta": {"io.modelcontextprotocol/subscriptionId": id}}});
                return self.open(id.to_string(), id, uris, Some(&told));
            }
            ("tools/call", _) => return self.tick(&id, &params),
            _ => {
                let error = json!({"code": -32601, "message": "Method not found"});
                let error = json!({"jsonrpc": "2.0", "id": id, "error": error});
                return plain(StatusCode::NOT_FOUND, Some(&error));
            }
        };
        plain(StatusCode::OK, Some(&answered(&id, result)))
    }

    fn open(
        &self,
        holder: String,
        id: Value,
        uris: BTreeSet<String>,
        first: Option<&Value>,
    ) -> Reply {
        let (events, receiver) = mpsc::unbounded_channel();
        if let Some(first) = first {
            // The receiver is right here.
            let _ = events.send(event(first));
        }
        self.state().streams.push(Stream { holder, id, uris, events });
        stream(receiver)
    }

    /// Progress and a log message at each step, then the answer.
    fn tick(&self, id: &Value, params: &Value) -> Reply {
        let (events, receiver) = mpsc::unbounded_channel();
        let arguments = &params["arguments"];
        let label = arguments["label"].as_str().unwrap_or_default().to_owned();
        let steps = arguments["steps"].as_u64().unwrap_or_default();
        let pace = Duration::from_millis(arguments["ms"].as_u64().unwrap_or(10));
        let token = params["_meta"]["progressToken"].clone();
        let level = params["_meta"]["io.modelcontextprotocol/logLevel"].is_string();
        let logs = level || self.era == Era::Legacy;
        let last = event(&answered(id, json!({"content": [{"type": "text", "text": label}]})));
        tokio::spawn(async move {
            let mut clock = tokio::time::interval(pace);
            clock.set_missed_tick_behavior(MissedTickBehavior::Burst);
            for step in 1..=steps {
                clock.tick().await;
                let text = format!("{label} {step}");
                let progress = json!({"progressToken": token, "progress": step, "message": text});
                let mut all = vec![("notifications/progress", progress)];
                if logs {
                    all.push(("notifications/message", json!({"level": "info", "data": text})));
                }
                for (method, params) in all {
                    let message = json!({"jsonrpc": "2.0", "method": method, "params": params});
                    if events.send(event(&message)).is_err() {
                        return;
                    }
                }
            }
            // A caller that has gone gets no answer.
            let _ = events.send(last);
        });
        stream(receiver)
    }
}

fn able() -> Value {
    json!({"tools": {"listChanged": true}, "logging": {},
        "resources": {"subscribe": true, "listChanged": true}})
}

fn answered(id: &Value, mut result: Value) -> Value {
    result["resultType"] = json!("complete");
    json!({"jsonrpc": "2.0", "id": id, "result": result})
}

fn session(headers: &HeaderMap) -> String {
    let session = headers.get("mcp-session-id").and_then(|value| value.to_str().ok());
    session.unwrap_or_default().to_owned()
}

fn event(message: &Value) -> Bytes {
    Bytes::from(format!("data: {message}\n\n"))
}

/// A body that lasts as long as somebody may say something.
struct Events(mpsc::UnboundedReceiver<Bytes>);

impl Body for Events {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.0.poll_recv(context).map(|event| event.map(|event| Ok(Frame::data(event))))
    }
}

fn stream(receiver: mpsc::UnboundedReceiver<Bytes>) -> Reply {
    let mut reply = Response::new(Events(receiver).boxed());
    let kind = HeaderValue::from_static("text/event-stream");
    reply.headers_mut().insert("content-type", kind);
    reply
}

fn plain(status: StatusCode, message: Option<&Value>) -> Reply {
    let body = message.map_or_else(Bytes::new, |message| Bytes::from(message.to_string()));
    let mut reply = Response::new(Full::new(body).boxed());
    *reply.status_mut() = status;
    let kind = HeaderValue::from_static("application/json");
    reply.headers_mut().insert("content-type", kind);
    reply
}
