//! A small client of both eras that hides nothing: each answer as it came.

use std::net::SocketAddr;

use serde_json::{Value, json};

use super::{Answer, Raw, post};

/// How the client speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Era {
    /// 2025-11-25, with `initialize` and a session.
    Legacy,
    /// 2026-07-28.
    Modern,
}

impl Era {
    /// Both of them.
    pub(crate) const BOTH: [Self; 2] = [Self::Legacy, Self::Modern];

    /// The revision that it speaks.
    pub(crate) const fn revision(self) -> &'static str {
        match self {
            Self::Legacy => "2025-11-25",
            Self::Modern => "2026-07-28",
        }
    }

    /// Params as this era wants them.
    pub(crate) fn params(self, mut params: Value) -> Value {
        if self == Self::Modern {
            params["_meta"] = json!({
                "io.modelcontextprotocol/protocolVersion": self.revision(),
                "io.modelcontextprotocol/clientInfo": {"name": "test", "version": "1"},
                "io.modelcontextprotocol/clientCapabilities": {},
            });
        }
        params
    }

    /// The headers that belong to a request (protocol.md 1.2), without key and session.
    pub(crate) fn headers(self, method: &str, params: &Value) -> Vec<(&'static str, String)> {
        if self == Self::Legacy && method == "initialize" {
            return Vec::new();
        }
        let mut headers = vec![("MCP-Protocol-Version", self.revision().to_owned())];
        if self == Self::Modern {
            headers.push(("Mcp-Method", method.to_owned()));
            let named = match method {
                "tools/call" | "prompts/get" => params["name"].as_str(),
                "resources/read" => params["uri"].as_str(),
                "tasks/get" | "tasks/update" | "tasks/cancel" => params["taskId"].as_str(),
                _ => None,
            };
            headers.extend(named.map(|name| ("Mcp-Name", name.to_owned())));
        }
        headers
    }

    /// The body of `initialize`.
    pub(crate) fn hello(id: u64) -> Value {
        json!({"jsonrpc": "2.0", "id": id, "method": "initialize", "params": {
            "protocolVersion": Self::Legacy.revision(), "capabilities": {},
            "clientInfo": {"name": "test", "version": "1"}}})
    }
}

/// A client at one door.
pub(crate) struct Client {
    era: Era,
    address: SocketAddr,
    door: String,
    key: Option<String>,
    session: Option<String>,
    extra: Vec<(String, String)>,
    next: u64,
}

impl Client {
    /// Connects; a legacy client has its session when this returns.
    ///
    /// # Panics
    /// When the server refuses the handshake.
    pub(crate) fn connect(era: Era, address: SocketAddr, door: &str, key: Option<&str>) -> Self {
        let key = key.map(str::to_owned);
        let (session, extra) = (None, Vec::new());
        let mut client = Self { era, address, door: door.to_owned(), key, session, extra, next: 1 };
        if era == Era::Legacy {
            let answer = client.exchange("initialize", &Value::Null, &Era::hello(0));
            assert_eq!(answer.status, 200, "initialize was refused: {}", answer.text());
            client.session = answer.header("mcp-session-id").map(str::to_owned);
            let ready = json!({"jsonrpc": "2.0", "method": "notifications/initialized"});
            let answer = client.exchange("notifications/initialized", &Value::Null, &ready);
            assert_eq!(answer.status, 202, "initialized was refused: {}", answer.text());
        }
        client
    }

    /// The same legacy client in a new session, in which it declares these capabilities.
    ///
    /// # Panics
    /// When the server refuses the handshake.
    pub(crate) fn declaring(mut self, capabilities: &Value) -> Self {
        self.session = None;
        let mut hello = Era::hello(0);
        hello["params"]["capabilities"] = capabilities.clone();
        let answer = self.exchange("initialize", &Value::Null, &hello);
        assert_eq!(answer.status, 200, "initialize was refused: {}", answer.text());
        self.session = answer.header("mcp-session-id").map(str::to_owned);
        self.notify("notifications/initialized", json!({}));
        self
    }

    /// Sends this header with everything from now on.
    pub(crate) fn with_header(mut self, name: &str, value: &str) -> Self {
        self.extra.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The id of its session.
    pub(crate) fn session(&self) -> Option<&str> {
        self.session.as_deref()
    }

    /// Sends a request and gives the whole HTTP answer.
    pub(crate) fn send(&mut self, method: &str, params: Value) -> Answer {
        let params = self.era.params(params);
        let id = self.next;
        self.next += 1;
        let body = json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params});
        self.exchange(method, &params, &body)
    }

    /// Sends a request and gives the JSON-RPC answer.
    ///
    /// # Panics
    /// When there is none with this request's id.
    pub(crate) fn request(&mut self, method: &str, params: Value) -> Value {
        let id = self.next;
        let answer = self.send(method, params);
        let found = answer.messages().into_iter().find(|m| m["id"] == id && m["method"].is_null());
        found.unwrap_or_else(|| panic!("{method}: {} {}", answer.status, answer.text()))
    }

    /// Sends a notification.
    pub(crate) fn notify(&mut self, method: &str, params: Value) {
        let params = self.era.params(params);
        let body = json!({"jsonrpc": "2.0", "method": method, "params": params});
        let answer = self.exchange(method, &params, &body);
        assert_eq!(answer.status, 202, "{method} was refused: {}", answer.text());
    }

    /// Calls a tool and gives the JSON-RPC answer.
    pub(crate) fn call(&mut self, tool: &str, arguments: Value) -> Value {
        let mut params = json!({"name": tool});
        params["arguments"] = arguments;
        self.request("tools/call", params)
    }

    /// All pages of a list, under this field of the results.
    pub(crate) fn list(&mut self, method: &str, field: &str) -> Vec<Value> {
        let mut found = Vec::new();
        let mut params = json!({});
        loop {
            let answer = self.request(method, params);
            let page = answer["result"][field].as_array();
            found.extend(page.unwrap_or_else(|| panic!("{method}: {answer}")).iter().cloned());
            match answer["result"]["nextCursor"].as_str() {
                Some(cursor) => params = json!({"cursor": cursor}),
                None => return found,
            }
        }
    }

    fn exchange(&self, method: &str, params: &Value, body: &Value) -> Answer {
        let mut headers = self.era.headers(method, params);
        headers.extend(self.session.clone().map(|id| ("Mcp-Session-Id", id)));
        headers.extend(self.key.as_ref().map(|key| ("Authorization", format!("Bearer {key}"))));
        let headers: Vec<(&str, &str)> = headers
            .iter()
            .map(|(name, value)| (*name, value.as_str()))
            .chain(self.extra.iter().map(|(name, value)| (name.as_str(), value.as_str())))
            .collect();
        let bytes = post(self.address, &self.door, &headers, body.to_string().as_bytes());
        Raw::exchange(self.address, &bytes).unwrap_or_else(|error| panic!("{method}: {error}"))
    }
}

/// The text of the first content block of a tool's answer.
///
/// # Panics
/// When the answer is an error or holds no text.
pub(crate) fn text(answer: &Value) -> &str {
    answer["result"]["content"][0]["text"].as_str().unwrap_or_else(|| panic!("no text: {answer}"))
}

/// Reads the sentence of product.md: which upstream, what happened, whether it may have run,
/// what to do next. Gives the middle two.
pub(crate) fn sentence(upstream: &str, is_error: bool, said: &str) -> Option<String> {
    let rest = said.strip_prefix(&format!("Upstream `{upstream}` "))?;
    let (happened, rest) = rest.split_once(". The request ")?;
    let (ran, next) = rest.strip_suffix('.')?.split_once("; ")?;
    let known = matches!(ran, "was not executed" | "may have been executed");
    (is_error && known && !happened.is_empty() && !next.is_empty())
        .then(|| format!("{happened}, {ran}"))
}
