//! A client that can be asked: of either era, each message as it came.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use serde_json::{Value, json};

use crate::support::{Answer, Era, Proxy, Raw, post};

/// Longest wait for a message.
const PATIENCE: Duration = Duration::from_secs(30);

/// Everything that a client can declare about questions.
pub(crate) fn everything_declared() -> Value {
    json!({"elicitation": {"form": {}, "url": {}}, "sampling": {"tools": {}}, "roots": {}})
}

/// One client at one door.
pub(crate) struct Speaker {
    address: SocketAddr,
    pub(crate) era: Era,
    pub(crate) door: String,
    pub(crate) key: String,
    pub(crate) declares: Value,
    session: Option<String>,
    next: u64,
}

impl Speaker {
    /// A client of the tenant `test` that can be asked everything.
    pub(crate) fn new(proxy: &Proxy, era: Era, door: &str) -> Self {
        let revision = Era::Legacy.revision();
        Self::declaring(proxy.address(), era, door, proxy.key(), everything_declared(), revision)
    }

    /// A client with these capabilities; `revision` is that of a legacy one.
    pub(crate) fn declaring(
        address: SocketAddr,
        era: Era,
        door: &str,
        key: &str,
        declares: Value,
        revision: &str,
    ) -> Self {
        let (door, key) = (door.to_owned(), key.to_owned());
        let mut client = Self { address, era, door, key, declares, session: None, next: 1 };
        if era == Era::Legacy {
            let mut hello = Era::hello(0);
            hello["params"]["capabilities"] = client.declares.clone();
            hello["params"]["protocolVersion"] = json!(revision);
            let answer = client.post("initialize", &Value::Null, &hello);
            assert_eq!(answer.status, 200, "initialize was refused: {}", answer.text());
            client.session = answer.header("mcp-session-id").map(str::to_owned);
            let ready = json!({"jsonrpc": "2.0", "method": "notifications/initialized"});
            client.post("notifications/initialized", &Value::Null, &ready);
        }
        client
    }

    /// The params of a call of a tool.
    pub(crate) fn tool(name: &str, arguments: &Value) -> Value {
        json!({"name": name, "arguments": arguments})
    }

    fn request(&mut self, method: &str, mut params: Value) -> (u64, Value, Vec<u8>) {
        let id = self.next;
        self.next += 1;
        params = self.era.params(params);
        if self.era == Era::Modern {
            params["_meta"]["io.modelcontextprotocol/clientCapabilities"] = self.declares.clone();
        }
        params["_meta"]["progressToken"] = json!(format!("t{id}"));
        let body = json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params});
        let bytes = self.bytes(method, &params, &body);
        (id, params, bytes)
    }

    fn bytes(&self, method: &str, params: &Value, body: &Value) -> Vec<u8> {
        let mut headers = self.era.headers(method, params);
        headers.extend(self.session.clone().map(|id| ("Mcp-Session-Id", id)));
        headers.push(("Authorization", format!("Bearer {}", self.key)));
        let headers: Vec<(&str, &str)> =
            headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        post(self.address, &self.door, &headers, body.to_string().as_bytes())
    }

    fn post(&self, method: &str, params: &Value, body: &Value) -> Answer {
        let bytes = self.bytes(method, params, body);
        Raw::exchange(self.address, &bytes).unwrap_or_else(|error| panic!("{method}: {error}"))
    }

    /// Posts a message of its own, such as an answer.
    pub(crate) fn say(&self, message: &Value) {
        let method = message["method"].as_str().unwrap_or_default();
        let answer = self.post(method, &Value::Null, message);
        assert_eq!(answer.status, 202, "{}", answer.text());
    }

    /// Answers a question of a session.
    pub(crate) fn answer(&self, question: &Value, answer: &Value) {
        let mut message = answer.clone();
        message["jsonrpc"] = json!("2.0");
        message["id"] = question["id"].clone();
        self.say(&message);
    }

    /// Sends a request and reads its answer as it comes.
    pub(crate) fn open(&mut self, method: &str, params: Value) -> Stream {
        Stream::new(self.send(method, params))
    }

    /// Sends a request whose answer is not read yet.
    pub(crate) fn send(&mut self, method: &str, params: Value) -> TcpStream {
        let (_, _, bytes) = self.request(method, params);
        let mut stream = TcpStream::connect(self.address).expect("it listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
        stream.write_all(&bytes).expect("it takes the request");
        stream
    }

    /// The id of the request that was sent last.
    pub(crate) fn last_id(&self) -> u64 {
        self.next - 1
    }

    /// Sends one request of one round and gives all messages that came.
    pub(crate) fn round(&mut self, method: &str, params: Value) -> (u16, Vec<Value>) {
        let (_, _, bytes) = self.request(method, params);
        let answer = Raw::exchange(self.address, &bytes).expect("an answer");
        (answer.status, answer.messages())
    }

    /// Makes a call to its end: `person` is asked every question (method and params) and gives
    /// `{"result": …}` or `{"error": …}`; `None` means that a modern client has no answer. Gives
    /// the last message.
    pub(crate) fn call(
        &mut self,
        method: &str,
        params: Value,
        mut person: impl FnMut(&str, &Value) -> Option<Value>,
    ) -> Value {
        if self.era == Era::Legacy {
            let mut stream = self.open(method, params);
            loop {
                let message = stream.next();
                if message["method"].is_null() {
                    return message;
                }
                if !message["id"].is_null() {
                    let asked = message["method"].as_str().expect("a method");
                    if let Some(answer) = person(asked, &message["params"]) {
                        self.answer(&message, &answer);
                    }
                }
            }
        }
        let mut sent = params.clone();
        for _ in 0..20 {
            let (_, messages) = self.round(method, sent);
            let last = messages.last().cloned().expect("an answer");
            if last["result"]["resultType"] != "input_required" {
                return last;
            }
            sent = Self::retry(&params, &last["result"], &mut person);
        }
        panic!("it never ends");
    }

    /// The params with which a modern client comes back.
    pub(crate) fn retry(
        params: &Value,
        required: &Value,
        mut person: impl FnMut(&str, &Value) -> Option<Value>,
    ) -> Value {
        let mut sent = params.clone();
        let mut answers = json!({});
        for (key, question) in required["inputRequests"].as_object().into_iter().flatten() {
            let method = question["method"].as_str().expect("a method");
            if let Some(answer) = person(method, &question["params"]) {
                answers[key] = answer["result"].clone();
            }
        }
        sent["inputResponses"] = answers;
        if !required["requestState"].is_null() {
            sent["requestState"] = required["requestState"].clone();
        }
        sent
    }
}

/// The answer of one request, message by message.
pub(crate) struct Stream {
    lines: BufReader<TcpStream>,
    whole: bool,
}

impl Stream {
    fn new(stream: TcpStream) -> Self {
        let mut lines = BufReader::new(stream);
        let mut whole = true;
        loop {
            let mut line = String::new();
            lines.read_line(&mut line).expect("a head in time");
            assert!(!line.is_empty(), "the connection ended before a head");
            if line.trim().is_empty() {
                break;
            }
            whole &= !line.to_ascii_lowercase().contains("text/event-stream");
        }
        Self { lines, whole }
    }

    /// Waits for its end, with no further message before it.
    pub(crate) fn ended(&mut self) {
        let mut rest = String::new();
        self.lines.read_to_string(&mut rest).expect("an end in time");
        assert!(!rest.contains("data:"), "more came: {rest}");
    }

    /// The next message.
    pub(crate) fn next(&mut self) -> Value {
        if self.whole {
            let mut body = String::new();
            self.lines.read_to_string(&mut body).expect("a body in time");
            return serde_json::from_str(&body).unwrap_or_else(|_| panic!("no JSON: {body}"));
        }
        loop {
            let mut line = String::new();
            let read = self.lines.read_line(&mut line).expect("nothing came in time");
            assert!(read > 0, "the stream ended early");
            let message = line.strip_prefix("data:").and_then(|d| serde_json::from_str(d).ok());
            if let Some(message) = message {
                return message;
            }
        }
    }
}

/// What a person says to every question.
pub(crate) fn agreeing(method: &str, _: &Value) -> Option<Value> {
    Some(match method {
        "elicitation/create" => {
            json!({"result": {"action": "accept", "content": {"name": "Ada", "username": "ada",
                "email": "ada@example.com", "ok": true, "color": "red", "value": "v"}}})
        }
        "sampling/createMessage" => {
            json!({"result": {"role": "assistant", "model": "m", "stopReason": "endTurn",
                "content": {"type": "text", "text": "Bonjour"}}})
        }
        _ => json!({"result": {"roots": [{"uri": "file:///home/ada", "name": "home"}]}}),
    })
}
