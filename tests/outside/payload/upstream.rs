//! An upstream over streamable HTTP that answers what a test says and keeps what it was asked.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

use serde_json::{Value, json};

use crate::support::Era;

/// What the upstream was sent.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    /// Header names in lower case.
    pub(crate) headers: Vec<(String, String)>,
    /// The message.
    pub(crate) message: Value,
}

impl Seen {
    /// The first header of this name.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }
}

/// Result or error of a request: its method, its params, and the capabilities that its client
/// declares.
pub(crate) type Script = fn(&str, &Value, &Value) -> Result<Value, Value>;

struct Inside {
    era: Era,
    capabilities: Value,
    script: Script,
    seen: Mutex<Vec<Seen>>,
    /// Capabilities by session; the number of a session is its place.
    sessions: Mutex<Vec<Value>>,
    streams: Mutex<Vec<TcpStream>>,
    gives_sessions: bool,
    over: AtomicBool,
}

/// It ends with the value.
pub(crate) struct Upstream {
    address: SocketAddr,
    inside: Arc<Inside>,
}

impl Upstream {
    pub(crate) fn start(era: Era, capabilities: Value, script: Script) -> Self {
        Self::with_sessions(era, capabilities, script, true)
    }

    /// One of the legacy era that gives no session ids.
    pub(crate) fn without_sessions(capabilities: Value, script: Script) -> Self {
        Self::with_sessions(Era::Legacy, capabilities, script, false)
    }

    fn with_sessions(era: Era, capabilities: Value, script: Script, gives_sessions: bool) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let inside = Arc::new(Inside {
            era,
            capabilities,
            script,
            seen: Mutex::default(),
            sessions: Mutex::default(),
            streams: Mutex::default(),
            gives_sessions,
            over: AtomicBool::new(false),
        });
        let own = inside.clone();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if own.over.load(Ordering::Relaxed) {
                    return;
                }
                let inside = own.clone();
                thread::spawn(move || drop(inside.serve(stream)));
            }
        });
        Self { address, inside }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/mcp", self.address)
    }

    /// Everything it was sent with this method.
    pub(crate) fn seen(&self, method: &str) -> Vec<Seen> {
        let all = self.inside.seen.lock().expect("no thread panicked");
        all.iter().filter(|seen| seen.message["method"] == method).cloned().collect()
    }

    /// Says something on every open GET stream; gives how many there are.
    pub(crate) fn say(&self, message: &Value) -> usize {
        let mut streams = self.inside.streams.lock().expect("no thread panicked");
        streams.retain_mut(|stream| write!(stream, "data: {message}\n\n").is_ok());
        streams.len()
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.inside.over.store(true, Ordering::Relaxed);
        self.inside.streams.lock().expect("no thread panicked").clear();
        // Wakes the listener, so that its thread ends.
        drop(TcpStream::connect(self.address));
    }
}

impl Inside {
    fn serve(&self, stream: TcpStream) -> std::io::Result<()> {
        let mut reader = BufReader::new(stream.try_clone()?);
        let mut stream = stream;
        let mut first = String::new();
        reader.read_line(&mut first)?;
        let mut headers = Vec::new();
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line)? == 0 || line.trim_end().is_empty() {
                break;
            }
            if let Some((name, value)) = line.split_once(':') {
                headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
            }
        }
        let seen = |message| Seen { headers: headers.clone(), message };
        if first.starts_with("GET ") {
            if self.era == Era::Modern {
                return reply(&mut stream, "405 Method Not Allowed", "", b"");
            }
            write!(stream, "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n")?;
            self.streams.lock().expect("no thread panicked").push(stream);
            return Ok(());
        }
        if first.starts_with("DELETE ") {
            return reply(&mut stream, "200 OK", "", b"");
        }
        let length = seen(Value::Null).header("content-length").and_then(|l| l.parse().ok());
        let mut body = vec![0; length.unwrap_or(0)];
        reader.read_exact(&mut body)?;
        let message: Value = serde_json::from_slice(&body)?;
        let asked = seen(message.clone());
        let session: Option<usize> =
            asked.header("mcp-session-id").and_then(|id| id.strip_prefix("s-")?.parse().ok());
        self.seen.lock().expect("no thread panicked").push(asked);
        if message["id"].is_null() {
            return reply(&mut stream, "202 Accepted", "", b"");
        }
        let method = message["method"].as_str().unwrap_or_default();
        let mut extra = String::new();
        let answer = match (self.era, method) {
            (Era::Modern, "server/discover") => Ok(json!({
                "resultType": "complete", "supportedVersions": ["2026-07-28"],
                "capabilities": self.capabilities, "ttlMs": 0, "cacheScope": "private"})),
            (Era::Legacy, "server/discover") => {
                return reply(&mut stream, "400 Bad Request", "", b"no session");
            }
            (Era::Legacy, "initialize") => {
                let mut sessions = self.sessions.lock().expect("no thread panicked");
                if self.gives_sessions {
                    extra = format!("Mcp-Session-Id: s-{}\r\n", sessions.len());
                }
                sessions.push(message["params"]["capabilities"].clone());
                Ok(json!({"protocolVersion": "2025-11-25", "capabilities": self.capabilities,
                    "serverInfo": {"name": "scripted", "version": "1"}}))
            }
            _ => {
                let own = &message["params"]["_meta"]["io.modelcontextprotocol/clientCapabilities"];
                let declared = match session {
                    Some(session) => {
                        self.sessions.lock().expect("no thread panicked")[session].clone()
                    }
                    None => own.clone(),
                };
                (self.script)(method, &message["params"], &declared)
            }
        };
        let answer = match answer {
            Ok(mut result) => {
                if self.era == Era::Modern && result["resultType"].is_null() {
                    result["resultType"] = json!("complete");
                }
                json!({"jsonrpc": "2.0", "id": message["id"], "result": result})
            }
            Err(error) => json!({"jsonrpc": "2.0", "id": message["id"], "error": error}),
        };
        reply(&mut stream, "200 OK", &extra, answer.to_string().as_bytes())
    }
}

fn reply(stream: &mut TcpStream, status: &str, extra: &str, body: &[u8]) -> std::io::Result<()> {
    let length = body.len();
    write!(
        stream,
        "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\
         Connection: close\r\n{extra}\r\n"
    )?;
    stream.write_all(body)
}

/// What an upstream says to a method that its script does not have.
pub(crate) fn unknown() -> Result<Value, Value> {
    Err(json!({"code": -32601, "message": "Method not found"}))
}
