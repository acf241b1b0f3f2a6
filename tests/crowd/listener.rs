//! A client that follows resources and calls a tool, and writes down everything that it hears.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Full};
use hyper::{body::Incoming, client::conn::http1};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::{net::TcpStream, sync::Notify};

use crate::{
    source::{SHARED, own},
    support::Era,
};

/// The door of the only upstream.
const DOOR: &str = "/mcp/up";

/// What came on the client's own stream.
#[derive(Debug, Clone, Default)]
pub(crate) struct Heard {
    /// What the upstream said, in order: the number of the update, and the URI.
    pub(crate) updates: Vec<(u64, String)>,
    /// URIs of which the proxy said that something may have been missed: news from before the
    /// upstream had taken a subscription is nobody's.
    pub(crate) hints: Vec<String>,
    /// How often the list of tools changed.
    pub(crate) changes: usize,
    /// Everything else, which should be nothing.
    pub(crate) others: Vec<String>,
}

impl Heard {
    /// True when it was told of this resource, by the upstream or because it may have missed it.
    pub(crate) fn is_told(&self, uri: &str) -> bool {
        self.updates.iter().any(|(_, told)| told == uri)
            || self.hints.iter().any(|told| told == uri)
    }

    /// What the upstream said after the update of this number.
    pub(crate) fn after(&self, number: u64) -> impl Iterator<Item = &(u64, String)> {
        self.updates.iter().filter(move |(told, _)| *told > number)
    }
}

/// One client.
pub(crate) struct Listener {
    era: Era,
    address: SocketAddr,
    key: String,
    number: usize,
    session: Option<String>,
    heard: Arc<(Mutex<Heard>, Notify)>,
}

impl Listener {
    /// Connects and follows its own resource, the shared one, and the list of tools.
    pub(crate) async fn open(era: Era, address: SocketAddr, key: String, number: usize) -> Self {
        let mut listener = Self { era, address, key, number, session: None, heard: Arc::default() };
        if era == Era::Legacy {
            let (session, _) = listener.ask("initialize", Era::hello(0)["params"].clone()).await;
            listener.session = session;
            let ready = json!({"jsonrpc": "2.0", "method": "notifications/initialized"});
            listener.send("POST", "notifications/initialized", &Value::Null, &ready).await;
            // What is told from now on differs from what a client knows, so it looks first.
            listener.ask("resources/list", json!({})).await;
            let stream = listener.send("GET", "", &Value::Null, &Value::Null).await;
            listener.follow(Events::new(stream));
            for uri in [own(number), SHARED.to_owned()] {
                let (_, answer) = listener.ask("resources/subscribe", json!({"uri": uri})).await;
                assert!(answer["error"].is_null(), "{answer}");
            }
            let (_, answer) = listener.ask("logging/setLevel", json!({"level": "info"})).await;
            assert!(answer["error"].is_null(), "{answer}");
        } else {
            // Which resources there are is known after they were listed.
            listener.ask("resources/list", json!({})).await;
            let wanted = json!({"toolsListChanged": true,
                "resourceSubscriptions": [own(number), SHARED]});
            let params = era.params(json!({"notifications": wanted}));
            let id = format!("listen-{number}");
            let body = json!({"jsonrpc": "2.0", "id": id, "method": "subscriptions/listen",
                "params": params});
            let answer = listener.send("POST", "subscriptions/listen", &params, &body).await;
            let mut events = Events::new(answer);
            let first = events.next().await.unwrap_or_default();
            assert_eq!(first["params"]["notifications"], wanted, "client {number}: {first}");
            listener.follow(events);
        }
        listener
    }

    /// Which one it is.
    pub(crate) fn number(&self) -> usize {
        self.number
    }

    /// What it heard up to now.
    pub(crate) fn heard(&self) -> Heard {
        self.seen().clone()
    }

    /// Forgets what it heard.
    pub(crate) fn forget(&self) {
        *self.seen() = Heard::default();
    }

    fn seen(&self) -> MutexGuard<'_, Heard> {
        self.heard.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until enough was heard.
    pub(crate) async fn until(
        &self,
        what: &str,
        patience: Duration,
        enough: impl Fn(&Heard) -> bool,
    ) {
        let waiting = async {
            loop {
                let more = self.heard.1.notified();
                let mut more = std::pin::pin!(more);
                more.as_mut().enable();
                if enough(&self.seen()) {
                    return;
                }
                more.await;
            }
        };
        if tokio::time::timeout(patience, waiting).await.is_err() {
            panic!("client {} did not hear {what}, but {:?}", self.number, self.seen());
        }
    }

    /// Writes down what comes on a stream.
    fn follow(&self, mut events: Events) {
        let heard = Arc::clone(&self.heard);
        let id = match self.era {
            Era::Legacy => Value::Null,
            Era::Modern => json!(format!("listen-{}", self.number)),
        };
        tokio::spawn(async move {
            while let Some(message) = events.next().await {
                let mut seen = heard.0.lock().unwrap_or_else(PoisonError::into_inner);
                let meta = &message["params"]["_meta"]["io.modelcontextprotocol/subscriptionId"];
                match message["method"].as_str().unwrap_or_default() {
                    _ if *meta != id => seen.others.push(message.to_string()),
                    "notifications/resources/updated" => {
                        let uri = message["params"]["uri"].as_str().unwrap_or_default();
                        match message["params"]["vendor/number"].as_u64() {
                            Some(number) => seen.updates.push((number, uri.to_owned())),
                            None => seen.hints.push(uri.to_owned()),
                        }
                    }
                    "notifications/tools/list_changed" => seen.changes += 1,
                    _ => seen.others.push(message.to_string()),
                }
                drop(seen);
                heard.1.notify_waiters();
            }
        });
    }

    /// Calls the tool; gives what was wrong with what came on the call's own stream.
    pub(crate) async fn call(&self, steps: usize, pace: Duration) -> Vec<String> {
        let label = format!("client {}", self.number);
        let token = format!("token-{}", self.number);
        let arguments = json!({"label": label, "steps": steps,
            "ms": u64::try_from(pace.as_millis()).unwrap_or(1)});
        let mut params = self.era.params(json!({"name": "tick", "arguments": arguments}));
        params["_meta"]["progressToken"] = json!(token);
        if self.era == Era::Modern {
            params["_meta"]["io.modelcontextprotocol/logLevel"] = json!("info");
        }
        // All of them have the same id.
        let body = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params});
        let mut events = Events::new(self.send("POST", "tools/call", &params, &body).await);
        let (mut progress, mut logs, mut problems) = (Vec::new(), Vec::new(), Vec::new());
        let mut answer = Value::Null;
        while let Some(message) = events.next().await {
            match message["method"].as_str() {
                Some("notifications/progress") if message["params"]["progressToken"] == token => {
                    progress.push(message["params"]["message"].clone());
                }
                Some("notifications/message") => logs.push(message["params"]["data"].clone()),
                None if answer.is_null() => answer = message,
                _ => problems.push(format!("{label} heard {message}")),
            }
        }
        let expected: Vec<Value> =
            (1..=steps).map(|step| json!(format!("{label} {step}"))).collect();
        for (what, found) in [("progress", &progress), ("log", &logs)] {
            if *found != expected {
                let first = found.iter().zip(&expected).find(|(found, expected)| found != expected);
                problems.push(format!(
                    "{label}: {what}: {} of {steps}, first difference {first:?}",
                    found.len()
                ));
            }
        }
        if answer["id"] != 1 || answer["result"]["content"][0]["text"] != label {
            problems.push(format!("{label} was answered {answer}"));
        }
        problems
    }

    async fn ask(&self, method: &str, params: Value) -> (Option<String>, Value) {
        let params = self.era.params(params);
        let body = json!({"jsonrpc": "2.0", "id": 7, "method": method, "params": params});
        let answer = self.send("POST", method, &params, &body).await;
        let session = answer.headers().get("mcp-session-id");
        let session = session.and_then(|id| id.to_str().ok()).map(str::to_owned);
        let bytes = answer.into_body().collect().await.expect("an answer").to_bytes();
        (session, serde_json::from_slice(&bytes).unwrap_or_default())
    }

    /// One request on a connection of its own.
    async fn send(
        &self,
        verb: &str,
        method: &str,
        params: &Value,
        body: &Value,
    ) -> http::Response<Incoming> {
        let stream = TcpStream::connect(self.address).await.expect("the proxy listens");
        stream.set_nodelay(true).expect("a TCP socket");
        let (mut sender, connection) =
            http1::handshake(TokioIo::new(stream)).await.expect("it speaks HTTP");
        tokio::spawn(connection);
        let mut request = Request::builder()
            .method(verb)
            .uri(DOOR)
            .header("host", self.address.to_string())
            .header("accept", "application/json, text/event-stream")
            .header("content-type", "application/json")
            .header("authorization", format!("Bearer {}", self.key));
        for (name, value) in self.era.headers(method, params) {
            request = request.header(name, value);
        }
        if let Some(session) = &self.session {
            request = request.header("mcp-session-id", session);
        }
        let body = if body.is_null() { Bytes::new() } else { Bytes::from(body.to_string()) };
        let request = request.body(Full::new(body)).expect("a request");
        let answer = sender.send_request(request).await.expect("an answer");
        assert!(answer.status().is_success(), "{verb} {method}: {}", answer.status());
        answer
    }
}

/// The messages of an event stream.
struct Events {
    body: Incoming,
    pending: Vec<u8>,
}

impl Events {
    fn new(answer: http::Response<Incoming>) -> Self {
        Self { body: answer.into_body(), pending: Vec::new() }
    }

    /// The next message; none when the stream has ended.
    async fn next(&mut self) -> Option<Value> {
        loop {
            while let Some(end) = memchr::memmem::find(&self.pending, b"\n\n") {
                let event: Vec<u8> = self.pending.drain(..end + 2).collect();
                let text = String::from_utf8_lossy(&event);
                let data: String =
                    text.lines().filter_map(|line| line.strip_prefix("data:")).collect();
                if !data.trim().is_empty() {
                    return Some(serde_json::from_str(&data).expect("JSON"));
                }
            }
            let frame = self.body.frame().await?.ok()?;
            self.pending.extend_from_slice(&frame.into_data().unwrap_or_default());
        }
    }
}
