//! A client of any revision with any capabilities.

use std::{
    io::{BufRead, BufReader, Write},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use serde_json::{Value, json};

use crate::support::{Proxy, Raw, post};

/// Longest wait for a line of a stream.
const PATIENCE: Duration = Duration::from_secs(30);

/// A client at one door of the tenant `test`.
pub(crate) struct Peer {
    address: SocketAddr,
    key: &'static str,
    door: String,
    revision: String,
    name: String,
    capabilities: Value,
    session: Option<String>,
    /// What the server said of itself in `initialize` or `server/discover`.
    pub(crate) welcome: Value,
    next: u64,
}

impl Peer {
    pub(crate) fn connect(proxy: &Proxy, door: &str, revision: &str, capabilities: Value) -> Self {
        Self::named(proxy, door, revision, capabilities, "peer")
    }

    pub(crate) fn named(
        proxy: &Proxy,
        door: &str,
        revision: &str,
        capabilities: Value,
        name: &str,
    ) -> Self {
        let mut peer = Self {
            address: proxy.address(),
            key: proxy.key(),
            door: door.to_owned(),
            revision: revision.to_owned(),
            name: name.to_owned(),
            capabilities,
            session: None,
            welcome: Value::Null,
            next: 1,
        };
        peer.greet();
        peer
    }

    fn modern(&self) -> bool {
        self.revision == "2026-07-28"
    }

    /// Shakes hands, or discovers.
    pub(crate) fn greet(&mut self) {
        if self.modern() {
            self.welcome = self.ask("server/discover", json!({}))["result"].take();
            return;
        }
        let hello = json!({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": {
            "protocolVersion": self.revision, "capabilities": self.capabilities,
            "clientInfo": {"name": self.name, "version": "1"}}});
        self.session = None;
        let (session, answer) = self.post(&[], &hello);
        self.session = session;
        self.welcome = answer["result"].clone();
        assert_eq!(self.welcome["protocolVersion"], self.revision.as_str(), "{answer}");
    }

    /// Sends a request; gives result or error as the whole message.
    pub(crate) fn ask(&mut self, method: &str, params: Value) -> Value {
        self.ask_with(method, params, json!({}))
    }

    /// The same with these members of `_meta` besides.
    pub(crate) fn ask_with(&mut self, method: &str, mut params: Value, mut meta: Value) -> Value {
        let mut headers = Vec::new();
        if self.modern() {
            meta["io.modelcontextprotocol/protocolVersion"] = json!(self.revision);
            meta["io.modelcontextprotocol/clientInfo"] = json!({"name": self.name, "version": "1"});
            meta["io.modelcontextprotocol/clientCapabilities"] = self.capabilities.clone();
            headers.push(("Mcp-Method", method.to_owned()));
            let named = match method {
                "tools/call" | "prompts/get" => params["name"].as_str(),
                "resources/read" => params["uri"].as_str(),
                _ => None,
            };
            headers.extend(named.map(|name| ("Mcp-Name", name.to_owned())));
        }
        if meta != json!({}) {
            params["_meta"] = meta;
        }
        let id = self.next;
        self.next += 1;
        let body = json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params});
        let (_, answer) = self.post(&headers, &body);
        assert_eq!(answer["id"], id, "{method}: {answer}");
        answer
    }

    /// The result of a tool.
    pub(crate) fn call(&mut self, tool: &str) -> Value {
        let answer = self.ask("tools/call", json!({"name": tool, "arguments": {}}));
        assert!(answer["error"].is_null(), "{tool}: {answer}");
        answer["result"].clone()
    }

    /// The items of a list.
    pub(crate) fn list(&mut self, method: &str, member: &str) -> Vec<Value> {
        let answer = self.ask(method, json!({}));
        let items = answer["result"][member].as_array();
        items.unwrap_or_else(|| panic!("{method}: {answer}")).clone()
    }

    /// The GET stream of its session.
    pub(crate) fn stream(&self) -> Lines {
        let session = self.session.as_deref().expect("a session");
        let line = format!("GET {}", self.door);
        let headers = format!("Authorization: Bearer {}\r\nMcp-Session-Id: {session}", self.key);
        Lines::open(self.address, &line, &headers, "")
    }

    /// A `subscriptions/listen` stream.
    pub(crate) fn listen(&self, notifications: &Value) -> Lines {
        let body = json!({"jsonrpc": "2.0", "id": "l", "method": "subscriptions/listen", "params": {
            "notifications": notifications, "_meta": {
                "io.modelcontextprotocol/protocolVersion": self.revision,
                "io.modelcontextprotocol/clientInfo": {"name": self.name, "version": "1"},
                "io.modelcontextprotocol/clientCapabilities": self.capabilities}}});
        let headers = format!(
            "Authorization: Bearer {}\r\nMCP-Protocol-Version: {}\r\nMcp-Method: subscriptions/listen",
            self.key, self.revision
        );
        Lines::open(self.address, &format!("POST {}", self.door), &headers, &body.to_string())
    }

    fn post(&self, headers: &[(&str, String)], body: &Value) -> (Option<String>, Value) {
        let bearer = format!("Bearer {}", self.key);
        let mut all = vec![("Authorization", bearer.as_str())];
        let first = body["method"] == "initialize";
        if !first && (self.modern() || self.revision.as_str() >= "2025-06-18") {
            all.push(("MCP-Protocol-Version", &self.revision));
        }
        all.extend(self.session.as_deref().map(|session| ("Mcp-Session-Id", session)));
        all.extend(headers.iter().map(|(name, value)| (*name, value.as_str())));
        let bytes = post(self.address, &self.door, &all, body.to_string().as_bytes());
        let answer = Raw::exchange(self.address, &bytes).expect("an answer");
        let found = answer.messages().into_iter().find(|m| m["id"] == body["id"]);
        let found = found.unwrap_or_else(|| panic!("{body}: {} {}", answer.status, answer.text()));
        (answer.header("mcp-session-id").map(str::to_owned), found)
    }
}

/// The lines of an open event stream.
pub(crate) struct Lines(BufReader<TcpStream>);

impl Lines {
    fn open(address: SocketAddr, line: &str, headers: &str, body: &str) -> Self {
        let mut stream = TcpStream::connect(address).expect("it listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
        let length = body.len();
        write!(
            stream,
            "{line} HTTP/1.1\r\n{headers}\r\nHost: {address}\r\nAccept: application/json, text/event-stream\r\n\
             Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
        )
        .expect("it takes the request");
        let mut lines = Self(BufReader::new(stream));
        let status = lines.line();
        assert!(status.contains(" 200 "), "{status}");
        while !lines.line().is_empty() {}
        lines
    }

    /// The next line.
    pub(crate) fn line(&mut self) -> String {
        let mut line = String::new();
        self.0.read_line(&mut line).expect("nothing came in time");
        assert!(!line.is_empty(), "the stream ended");
        line.trim_end().to_owned()
    }

    /// The next message.
    pub(crate) fn message(&mut self) -> Value {
        loop {
            let line = self.line();
            let data = line.strip_prefix("data:").map(str::trim).filter(|data| !data.is_empty());
            if let Some(data) = data {
                return serde_json::from_str(data).expect("JSON");
            }
        }
    }
}
