//! An upstream that does byte for byte what a test says, and a stage with a link to it.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue};
use mcp_proxy::base::{Name, Tasks};
use mcp_proxy::config::EraSetting;
use mcp_proxy::upstream::{
    Event, HttpClient, HttpTarget, Interest, Link, LinkError, Message, Outgoing, Reply, open_http,
    own_request,
};
use mcp_proxy::wire::{Called, CapSet, Era};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;

/// Longest wait of a test for anything.
pub(crate) const LONG: Duration = Duration::from_secs(20);

/// Longest start of a link.
pub(crate) const START: Duration = Duration::from_secs(4);

/// A request as it came.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub(crate) verb: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Value,
    /// Which TCP connection, in the order of their acceptance.
    pub(crate) connection: usize,
}

impl Seen {
    pub(crate) fn method(&self) -> &str {
        self.body["method"].as_str().unwrap_or(&self.verb)
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }
}

/// What the upstream does for one request.
pub(crate) enum Step {
    Send(Vec<u8>),
    /// One byte after the other, with this pause.
    Drip(Vec<u8>, Duration),
    Wait(Duration),
    Until(Arc<Notify>),
    /// Holds the connection until the proxy closes it.
    Hang,
    Close,
}

pub(crate) type Script = Arc<dyn Fn(&Seen) -> Vec<Step> + Send + Sync>;

/// What happened at the upstream.
#[derive(Default)]
pub(crate) struct Book {
    pub(crate) seen: Vec<Seen>,
    /// Methods of requests whose connection the proxy closed while they hung.
    pub(crate) dropped: Vec<String>,
}

pub(crate) struct Upstream {
    pub(crate) address: SocketAddr,
    pub(crate) book: Arc<Mutex<Book>>,
    changed: Arc<Notify>,
}

impl Upstream {
    pub(crate) async fn start(tasks: &Tasks, script: Script) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let book: Arc<Mutex<Book>> = Arc::default();
        let changed = Arc::new(Notify::new());
        let (own, log, bell, stop) =
            (tasks.clone(), Arc::clone(&book), Arc::clone(&changed), tasks.stop().clone());
        tasks.spawn("script", async move {
            let mut connection = 0;
            loop {
                let socket = tokio::select! {
                    accepted = listener.accept() => accepted.unwrap().0,
                    () = stop.cancelled() => return,
                };
                let (script, log, bell) =
                    (Arc::clone(&script), Arc::clone(&log), Arc::clone(&bell));
                let stop = stop.clone();
                own.spawn("script-connection", async move {
                    tokio::select! {
                        () = serve(socket, connection, script, log, bell) => {}
                        () = stop.cancelled() => {}
                    }
                });
                connection += 1;
            }
        });
        Self { address, book, changed }
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.book.lock().unwrap().seen.clone()
    }

    /// The methods that came, in order.
    pub(crate) fn methods(&self) -> Vec<String> {
        self.seen().iter().map(|seen| seen.method().to_owned()).collect()
    }

    pub(crate) fn count(&self, method: &str) -> usize {
        self.methods().iter().filter(|seen| *seen == method).count()
    }

    /// Waits until the book says so.
    pub(crate) async fn until(&self, what: &str, reached: impl Fn(&Book) -> bool) {
        let wait = async {
            loop {
                let changed = self.changed.notified();
                tokio::pin!(changed);
                changed.as_mut().enable();
                if reached(&self.book.lock().unwrap()) {
                    return;
                }
                changed.await;
            }
        };
        let done = tokio::time::timeout(LONG, wait).await;
        assert!(done.is_ok(), "never happened: {what}; seen {:?}", self.methods());
    }

    pub(crate) async fn until_seen(&self, method: &str, count: usize) {
        let many = |book: &Book| book.seen.iter().filter(|s| s.method() == method).count() >= count;
        self.until(method, many).await;
    }

    pub(crate) async fn until_dropped(&self, method: &str) {
        self.until("dropped", |book| book.dropped.iter().any(|dropped| dropped == method)).await;
    }
}

async fn serve(
    mut socket: TcpStream,
    connection: usize,
    script: Script,
    book: Arc<Mutex<Book>>,
    changed: Arc<Notify>,
) {
    socket.set_nodelay(true).unwrap();
    let mut buffer = Vec::new();
    while let Some(seen) = read_request(&mut socket, &mut buffer, connection).await {
        let method = seen.method().to_owned();
        let steps = script(&seen);
        book.lock().unwrap().seen.push(seen);
        changed.notify_waiters();
        for step in steps {
            let sent = match step {
                Step::Send(bytes) => socket.write_all(&bytes).await,
                Step::Drip(bytes, pause) => drip(&mut socket, &bytes, pause).await,
                Step::Wait(time) => {
                    tokio::time::sleep(time).await;
                    Ok(())
                }
                Step::Until(gate) => {
                    gate.notified().await;
                    Ok(())
                }
                Step::Hang => {
                    while socket.read(&mut [0; 64]).await.is_ok_and(|length| length > 0) {}
                    Err(std::io::ErrorKind::BrokenPipe.into())
                }
                Step::Close => return,
            };
            if sent.is_err() {
                book.lock().unwrap().dropped.push(method);
                changed.notify_waiters();
                return;
            }
        }
    }
}

async fn drip(socket: &mut TcpStream, bytes: &[u8], pause: Duration) -> std::io::Result<()> {
    for byte in bytes {
        socket.write_all(&[*byte]).await?;
        tokio::time::sleep(pause).await;
    }
    Ok(())
}

async fn read_request(
    socket: &mut TcpStream,
    buffer: &mut Vec<u8>,
    connection: usize,
) -> Option<Seen> {
    let end = loop {
        if let Some(at) = buffer.windows(4).position(|window| window == b"\r\n\r\n") {
            break at + 4;
        }
        if socket.read_buf(buffer).await.ok()? == 0 {
            return None;
        }
    };
    let head = String::from_utf8(buffer.drain(..end).collect()).unwrap();
    let mut lines = head.split("\r\n");
    let verb = lines.next().unwrap().split(' ').next().unwrap().to_owned();
    let mut headers = HeaderMap::new();
    for line in lines.filter(|line| !line.is_empty()) {
        let (name, value) = line.split_once(':').unwrap();
        headers.append(
            HeaderName::from_bytes(name.as_bytes()).unwrap(),
            HeaderValue::from_str(value.trim()).unwrap(),
        );
    }
    let length = headers.get("content-length").map_or(0, |v| v.to_str().unwrap().parse().unwrap());
    while buffer.len() < length {
        if socket.read_buf(buffer).await.ok()? == 0 {
            return None;
        }
    }
    let body: Vec<u8> = buffer.drain(..length).collect();
    let body = serde_json::from_slice(&body).unwrap_or(Value::Null);
    Some(Seen { verb, headers, body, connection })
}

/// A whole response.
pub(crate) fn reply(status: u16, headers: &str, body: &str) -> Vec<Step> {
    let length = body.len();
    vec![Step::Send(
        format!("HTTP/1.1 {status} X\r\nContent-Length: {length}\r\n{headers}\r\n{body}").into(),
    )]
}

pub(crate) fn json_reply(body: &Value) -> Vec<Step> {
    reply(200, "Content-Type: application/json\r\n", &body.to_string())
}

/// The result of a request.
#[expect(clippy::needless_pass_by_value, reason = "reads better with `json!`")]
pub(crate) fn result(seen: &Seen, result: Value) -> Value {
    json!({"jsonrpc": "2.0", "id": seen.body["id"], "result": result})
}

pub(crate) fn ok(seen: &Seen) -> Vec<Step> {
    json_reply(&result(seen, json!({"ok": true})))
}

/// The head of an event stream.
pub(crate) fn stream() -> Step {
    Step::Send(
        b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
            .to_vec(),
    )
}

/// A piece of an event stream.
pub(crate) fn piece(text: &str) -> Step {
    Step::Send(format!("{:x}\r\n{text}\r\n", text.len()).into())
}

pub(crate) fn event(data: &Value) -> Step {
    piece(&format!("event: message\ndata: {data}\n\n"))
}

/// The end of an event stream.
pub(crate) fn end() -> Step {
    Step::Send(b"0\r\n\r\n".to_vec())
}

pub(crate) fn progress(token: &Value, progress: u32) -> Value {
    json!({"jsonrpc": "2.0", "method": "notifications/progress",
           "params": {"progressToken": token, "progress": progress}})
}

#[expect(clippy::needless_pass_by_value, reason = "reads better with `json!`")]
pub(crate) fn note(method: &str, params: Value) -> Value {
    json!({"jsonrpc": "2.0", "method": method, "params": params})
}

/// A modern upstream; `script` answers all but the probe.
pub(crate) fn modern(script: impl Fn(&Seen) -> Vec<Step> + Send + Sync + 'static) -> Script {
    Arc::new(move |seen| match seen.method() {
        "server/discover" => json_reply(&result(
            seen,
            json!({"resultType": "complete", "supportedVersions": ["2026-07-28"], "ttlMs": 0,
                   "cacheScope": "private", "capabilities": {"tools": {"listChanged": true},
                   "prompts": {}, "resources": {"subscribe": true}}}),
        )),
        _ => script(seen),
    })
}

/// A legacy upstream with sessions; `script` answers all but the handshake and DELETE.
pub(crate) fn legacy(script: impl Fn(&Seen) -> Vec<Step> + Send + Sync + 'static) -> Script {
    let sessions = Mutex::new(0);
    Arc::new(move |seen| match seen.method() {
        "server/discover" => reply(400, "", "Bad Request: no session"),
        "initialize" => {
            let mut number = sessions.lock().unwrap();
            *number += 1;
            let headers =
                format!("Content-Type: application/json\r\nMcp-Session-Id: s{number}\r\n");
            let result = result(seen, greeting("2025-11-25"));
            reply(200, &headers, &result.to_string())
        }
        "notifications/initialized" => reply(202, "", ""),
        "DELETE" => reply(200, "", ""),
        _ => script(seen),
    })
}

pub(crate) fn greeting(version: &str) -> Value {
    json!({"protocolVersion": version, "capabilities": {"tools": {}},
           "serverInfo": {"name": "script", "version": "1"}})
}

/// A link, its upstream and what its sink got.
pub(crate) struct Stage {
    pub(crate) tasks: Tasks,
    pub(crate) upstream: Upstream,
    pub(crate) link: Arc<dyn Link>,
    pub(crate) events: Arc<Mutex<Vec<String>>>,
}

impl Stage {
    pub(crate) async fn new(script: Script) -> Self {
        Self::with(script, EraSetting::Auto, HeaderMap::new()).await.0.unwrap()
    }

    /// With a link that tells the upstream that it may ask.
    pub(crate) async fn asking(script: Script) -> Self {
        let told = CapSet::QUESTIONS;
        Self::build(script, EraSetting::Auto, HeaderMap::new(), told).await.0.unwrap()
    }

    /// What `open` says, and the upstream.
    pub(crate) async fn with(
        script: Script,
        era: EraSetting,
        headers: HeaderMap,
    ) -> (Result<Self, LinkError>, Upstream) {
        Self::build(script, era, headers, CapSet::NONE).await
    }

    async fn build(
        script: Script,
        era: EraSetting,
        headers: HeaderMap,
        capabilities: CapSet,
    ) -> (Result<Self, LinkError>, Upstream) {
        let tasks = Tasks::default();
        let upstream = Upstream::start(&tasks, script).await;
        let events: Arc<Mutex<Vec<String>>> = Arc::default();
        let heard = Arc::clone(&events);
        let link = open_http(
            HttpTarget {
                upstream: Name::new("script").unwrap(),
                uri: format!("http://{}/mcp?k=canary", upstream.address).parse().unwrap(),
                headers,
                bearer: None,
                era,
                start: START,
                guarded: false,
                session_id: false,
                cancels: false,
                capabilities,
                redact: Arc::new(|text| text.replace("canary", "[redacted]")),
            },
            HttpClient::new(),
            Arc::new(move |event| heard.lock().unwrap().push(name(&event))),
            tasks.clone(),
        )
        .await;
        let twin = Upstream {
            address: upstream.address,
            book: Arc::clone(&upstream.book),
            changed: Arc::clone(&upstream.changed),
        };
        (link.map(|link| Self { tasks, upstream, link, events }), twin)
    }

    pub(crate) fn outgoing(&self, method: &str) -> Outgoing {
        let Called::Known(method) = Called::find(method) else { panic!("no such method") };
        let era = self.link.facts().era;
        let token = if era == Era::Legacy { "\"name\":\"x\"" } else { "" };
        Outgoing {
            method,
            draft: own_request(era, CapSet::NONE, method.name, token),
            name: None,
            parameters: Vec::new(),
            timeout: LONG,
            max_time: LONG,
            asker: None,
            takes: CapSet::NONE,
        }
    }

    pub(crate) async fn request(&self, method: &str) -> Result<Reply, LinkError> {
        self.link.request(self.outgoing(method)).await
    }

    /// A call that must fail.
    pub(crate) async fn failure(&self, method: &str) -> LinkError {
        match self.request(method).await {
            Err(error) => error,
            Ok(Reply::Exchange(mut exchange)) => loop {
                match exchange.next().await {
                    Ok(message) => assert!(message.inbound.method.is_some(), "{message:?}"),
                    Err(error) => return error,
                }
            },
            Ok(reply) => panic!("no failure: {reply:?}"),
        }
    }

    /// Waits until the sink got this.
    pub(crate) async fn until_event(&self, event: &str) {
        let wait = async {
            while !self.events.lock().unwrap().iter().any(|got| got == event) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let done = tokio::time::timeout(LONG, wait).await;
        assert!(done.is_ok(), "never came: {event}; got {:?}", self.events.lock().unwrap());
    }
}

fn name(event: &Event) -> String {
    match event {
        Event::ListChanged(what) => format!("list {what}"),
        Event::Updated { uri, .. } => format!("updated {uri}"),
        Event::Log(_) => "log".to_owned(),
        Event::Other(message) => message.inbound.method.clone().unwrap(),
        Event::Missed => "missed".to_owned(),
        Event::Gone => "gone".to_owned(),
    }
}

/// The complete message of a reply.
pub(crate) fn message(reply: Result<Reply, LinkError>) -> Value {
    match reply.unwrap() {
        Reply::Message(message) => value(&message),
        other => panic!("not a message: {other:?}"),
    }
}

pub(crate) fn value(message: &Message) -> Value {
    serde_json::from_str(message.text()).unwrap()
}

pub(crate) fn interest(lists: bool, resources: &[&str]) -> Interest {
    let resources: BTreeSet<String> = resources.iter().map(|&uri| uri.to_owned()).collect();
    Interest { lists, resources, ..Interest::default() }
}
