//! An HTTP server in a thread that notes what it was sent: a collector of spans, or an upstream.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Mutex, PoisonError},
    thread,
    time::Duration,
};

use serde_json::{Value, json};

use crate::support::until;

const PATIENCE: Duration = Duration::from_secs(30);

/// What it was sent: the head in lower case, and the body.
type Seen = Arc<Mutex<Vec<(String, Value)>>>;
type Answering = dyn Fn(&Value) -> (u16, Value) + Send + Sync;

/// The server; it ends with the process of the tests.
pub(crate) struct Recorder {
    pub(crate) address: SocketAddr,
    seen: Seen,
}

impl Recorder {
    fn start(answer: impl Fn(&Value) -> (u16, Value) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let (seen, answer): (Seen, Arc<Answering>) = (Seen::default(), Arc::new(answer));
        let noted = seen.clone();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (noted, answer) = (noted.clone(), answer.clone());
                thread::spawn(move || while serve(&stream, &noted, &*answer).is_some() {});
            }
        });
        Self { address, seen }
    }

    /// A collector that answers with this status.
    pub(crate) fn collector(status: u16) -> Self {
        Self::start(move |_| (status, json!({})))
    }

    /// An upstream of one era whose one tool `see` answers `seen`.
    pub(crate) fn upstream(modern: bool) -> Self {
        Self::start(move |message| {
            let method = message["method"].as_str().unwrap_or_default();
            let tool = json!([{"name": "see", "inputSchema": {"type": "object"}}]);
            let mut result = match method {
                "server/discover" if modern => json!({"supportedVersions": ["2026-07-28"],
                    "capabilities": {"tools": {}}, "ttlMs": 1000, "cacheScope": "private"}),
                "server/discover" => return (400, json!({"error": "no session"})),
                "initialize" => {
                    json!({"protocolVersion": "2025-11-25", "capabilities": {"tools": {}},
                    "serverInfo": {"name": "recorder", "version": "1"}})
                }
                "tools/list" if modern => {
                    json!({"tools": tool, "ttlMs": 60000, "cacheScope": "private"})
                }
                "tools/list" => json!({"tools": tool}),
                "tools/call" => json!({"content": [{"type": "text", "text": "seen"}]}),
                _ if message["id"].is_null() => return (202, Value::Null),
                _ => json!({}),
            };
            if modern {
                result["resultType"] = json!("complete");
            }
            (200, json!({"jsonrpc": "2.0", "id": message["id"], "result": result}))
        })
    }

    /// Everything that it was sent.
    pub(crate) fn seen(&self) -> Vec<(String, Value)> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// `_meta` of every call.
    pub(crate) fn metas(&self) -> Vec<Value> {
        let seen = self.seen();
        let calls = seen.iter().filter(|(_, body)| body["method"] == "tools/call");
        calls.map(|(_, body)| body["params"]["_meta"].clone()).collect()
    }

    /// Spans, with the attributes as a table.
    pub(crate) fn spans(&self) -> Vec<Value> {
        let mut spans = Vec::new();
        for (_, body) in self.seen() {
            for span in
                body["resourceSpans"][0]["scopeSpans"][0]["spans"].as_array().into_iter().flatten()
            {
                let mut span = span.clone();
                let list = span["attributes"].take();
                let list = list.as_array().into_iter().flatten();
                span["attributes"] = list
                    .map(|one| {
                        (
                            one["key"].as_str().expect("a key").to_owned(),
                            one["value"]["stringValue"].clone(),
                        )
                    })
                    .collect();
                spans.push(span);
            }
        }
        spans
    }

    /// The spans, once one fits.
    pub(crate) fn spans_with(&self, what: &str, fits: impl Fn(&Value) -> bool) -> Vec<Value> {
        until(what, PATIENCE, || {
            let spans = self.spans();
            spans.iter().any(&fits).then_some(spans)
        })
    }
}

fn serve(stream: &TcpStream, seen: &Seen, answer: &Answering) -> Option<()> {
    let mut reader = BufReader::new(stream);
    let (mut head, mut length) = (String::new(), 0);
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        if line.trim_end().is_empty() {
            break;
        }
        let line = line.to_ascii_lowercase();
        if let Some(value) = line.strip_prefix("content-length:") {
            length = value.trim().parse().ok()?;
        }
        head.push_str(&line);
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    let body: Value = serde_json::from_slice(&body).unwrap_or_default();
    let (status, answer) =
        if head.starts_with("post ") { answer(&body) } else { (405, Value::Null) };
    seen.lock().unwrap_or_else(PoisonError::into_inner).push((head, body));
    let text = if answer.is_null() { String::new() } else { answer.to_string() };
    let length = text.len();
    let head = format!(
        "HTTP/1.1 {status} X\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n"
    );
    let mut stream = stream;
    stream.write_all(format!("{head}{text}").as_bytes()).ok()
}
