//! A client of HTTP+SSE 2024-11-05 that hides nothing.

use std::{
    io::{BufRead, BufReader, ErrorKind, Write},
    net::{Shutdown, SocketAddr, TcpStream},
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::support::{Answer, Raw, post};

const PATIENCE: Duration = Duration::from_secs(30);

/// An open stream.
pub(crate) struct Stream {
    address: SocketAddr,
    key: String,
    lines: BufReader<TcpStream>,
    /// Where it says to post.
    pub(crate) endpoint: String,
    next: u64,
}

impl Stream {
    /// Opens it and reads its first event.
    pub(crate) fn open(address: SocketAddr, path: &str, key: &str) -> Self {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let head = format!(
            "GET {path} HTTP/1.1\r\nHost: {address}\r\nAccept: text/event-stream\r\n\
             Authorization: Bearer {key}\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).unwrap();
        let mut lines = BufReader::new(stream);
        let mut status = String::new();
        lines.read_line(&mut status).unwrap();
        assert!(status.starts_with("HTTP/1.1 200"), "{status}");
        let (key, endpoint) = (key.to_owned(), String::new());
        let mut stream = Self { address, key, lines, endpoint, next: 1 };
        let (kind, endpoint) = stream.event().unwrap();
        assert_eq!(kind, "endpoint");
        stream.endpoint = endpoint;
        stream
    }

    /// The next event: its type and data; `None` at the end of the stream.
    pub(crate) fn event(&mut self) -> Option<(String, String)> {
        let (mut kind, mut data) = (String::new(), None);
        loop {
            let mut line = String::new();
            // Each event is a chunk of its own, so that its lines come whole.
            match self.lines.read_line(&mut line) {
                Ok(0) => return None,
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::ConnectionReset => return None,
                Err(error) => panic!("the stream: {error}"),
            }
            let line = line.trim_end();
            if line == "0" {
                return None;
            } else if let Some(text) = line.strip_prefix("event: ") {
                text.clone_into(&mut kind);
            } else if let Some(text) = line.strip_prefix("data: ") {
                data = Some(text.to_owned());
            } else if line.is_empty()
                && let Some(data) = data.take()
            {
                return Some((kind, data));
            }
        }
    }

    /// Reads messages until one is of this kind.
    pub(crate) fn until(&mut self, what: impl Fn(&Value) -> bool) -> Value {
        let end = Instant::now() + PATIENCE;
        while let Some((kind, data)) = self.event() {
            assert_eq!(kind, "message");
            let message: Value = serde_json::from_str(&data).unwrap();
            if what(&message) {
                return message;
            }
            assert!(Instant::now() < end, "it does not come: {message}");
        }
        panic!("the stream has ended")
    }

    /// Posts one text where the stream says.
    pub(crate) fn post(&self, body: &str) -> Answer {
        self.post_as(&self.key, &self.endpoint, body)
    }

    /// Posts somewhere as somebody.
    pub(crate) fn post_as(&self, key: &str, path: &str, body: &str) -> Answer {
        let key = format!("Bearer {key}");
        let bytes = post(self.address, path, &[("Authorization", &key)], body.as_bytes());
        Raw::exchange(self.address, &bytes).unwrap()
    }

    /// Sends a request and gives its id.
    pub(crate) fn send(&mut self, method: &str, params: Value) -> u64 {
        let id = self.next;
        self.next += 1;
        let mut body = json!({"jsonrpc": "2.0", "id": id, "method": method});
        body["params"] = params;
        let answer = self.post(&body.to_string());
        assert_eq!((answer.status, answer.text().as_str()), (202, ""), "{method}");
        id
    }

    /// Sends a request and waits for its answer on the stream.
    pub(crate) fn request(&mut self, method: &str, params: Value) -> Value {
        let id = self.send(method, params);
        self.until(|message| message["id"] == id && message["method"].is_null())
    }

    /// Shakes hands; gives the result of `initialize`.
    pub(crate) fn hello(&mut self, revision: &str) -> Value {
        let answer = self.request(
            "initialize",
            json!({"protocolVersion": revision,
            "capabilities": {}, "clientInfo": {"name": "old", "version": "1"}}),
        );
        let ready = json!({"jsonrpc": "2.0", "method": "notifications/initialized"});
        assert_eq!(self.post(&ready.to_string()).status, 202);
        answer["result"].clone()
    }

    /// Cuts the connection.
    pub(crate) fn cut(&self) {
        self.lines.get_ref().shutdown(Shutdown::Both).unwrap();
    }
}
