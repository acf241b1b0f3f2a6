//! A protected MCP upstream and its authorization server, each on an address of its own, and both
//! in this process: what they were asked is counted, and how they answer is told them.

use std::{
    collections::{HashMap, HashSet},
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc::Receiver},
    time::Instant,
};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use url::{Url, form_urlencoded};

/// What every token begins with.
pub(crate) const TOKEN: &str = "canary-token-of-the-login-tests";

/// How the token endpoint answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    Good,
    Away,
    InvalidGrant,
    /// It says no and repeats all that it was told.
    Echo,
}

pub(crate) struct State {
    pub(crate) mode: Mode,
    pub(crate) lifetime: u64,
    /// The issuer of its answers (`None`: none).
    pub(crate) iss: Option<String>,
    /// What its metadata says instead.
    pub(crate) metadata: Value,
    pub(crate) prm: Value,
    /// Where its challenges lead, instead of to its own description.
    pub(crate) resource_metadata: Option<String>,
    /// Requests to a path that begins so are sent elsewhere.
    pub(crate) redirect: Option<(&'static str, String)>,
    pub(crate) access: HashSet<String>,
    pub(crate) refresh: HashSet<String>,
    /// `jwks_uri` of issuers, by the first part of their paths.
    pub(crate) key_places: HashMap<String, String>,
    codes: HashMap<String, (String, String)>,
    serial: usize,
    /// What was asked: `METHOD path`, with the grant of a token request.
    pub(crate) asked: Vec<String>,
    pub(crate) token_times: Vec<Instant>,
    /// The last request for a code or a token, field by field.
    pub(crate) last: HashMap<String, String>,
    /// What the upstream wants besides a token.
    pub(crate) scope: Option<String>,
    /// The next revocation is answered once the other end of this is gone.
    pub(crate) gate: Option<Receiver<()>>,
}

impl State {
    fn give(&mut self) -> (String, String) {
        self.serial += 1;
        let (access, refresh) =
            (format!("{TOKEN}-access-{}", self.serial), format!("{TOKEN}-refresh-{}", self.serial));
        self.access.insert(access.clone());
        self.refresh.insert(refresh.clone());
        (access, refresh)
    }

    pub(crate) fn count(&self, what: &str) -> usize {
        self.asked.iter().filter(|asked| asked.starts_with(what)).count()
    }
}

/// Both of them.
#[derive(Clone)]
pub(crate) struct World {
    pub(crate) upstream: SocketAddr,
    pub(crate) issuer: SocketAddr,
    state: Arc<Mutex<State>>,
}

struct Request {
    method: String,
    path: String,
    query: HashMap<String, String>,
    headers: HashMap<String, String>,
    body: Vec<u8>,
}

fn fields(text: &[u8]) -> HashMap<String, String> {
    form_urlencoded::parse(text).into_owned().collect()
}

fn read(stream: &mut TcpStream) -> Option<Request> {
    let mut bytes = Vec::new();
    let end = loop {
        if let Some(end) = bytes.windows(4).position(|at| at == b"\r\n\r\n") {
            break end;
        }
        let mut more = [0; 4096];
        match stream.read(&mut more).ok()? {
            0 => return None,
            read => bytes.extend_from_slice(&more[..read]),
        }
    };
    let head = String::from_utf8(bytes[..end].to_vec()).ok()?;
    let mut lines = head.split("\r\n");
    let mut first = lines.next()?.split(' ');
    let (method, target) = (first.next()?.to_owned(), first.next()?);
    let headers: HashMap<String, String> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
        .collect();
    let length = headers.get("content-length").and_then(|text| text.parse().ok()).unwrap_or(0);
    let mut body = bytes[end + 4..].to_vec();
    while body.len() < length {
        let mut more = [0; 4096];
        match stream.read(&mut more).ok()? {
            0 => return None,
            read => body.extend_from_slice(&more[..read]),
        }
    }
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    Some(Request { method, path: path.to_owned(), query: fields(query.as_bytes()), headers, body })
}

fn reply(stream: &mut TcpStream, status: u16, headers: &[(&str, String)], body: &Value) {
    let body = if body.is_null() { String::new() } else { body.to_string() };
    let mut text = format!(
        "HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n",
        body.len()
    );
    for (name, value) in headers {
        text += &format!("{name}: {value}\r\n");
    }
    let _ = stream.write_all(format!("{text}\r\n{body}").as_bytes());
}

impl World {
    /// Starts both; they end with the test.
    pub(crate) fn start() -> Self {
        let listen = || TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let (upstream, issuer) = (listen(), listen());
        let address = |listener: &TcpListener| listener.local_addr().expect("it is bound");
        let state = State {
            mode: Mode::Good,
            lifetime: 3_600,
            iss: None,
            metadata: json!({}),
            prm: json!({}),
            resource_metadata: None,
            redirect: None,
            access: HashSet::new(),
            refresh: HashSet::new(),
            key_places: HashMap::new(),
            codes: HashMap::new(),
            serial: 0,
            asked: Vec::new(),
            token_times: Vec::new(),
            last: HashMap::new(),
            scope: None,
            gate: None,
        };
        let world = Self {
            upstream: address(&upstream),
            issuer: address(&issuer),
            state: Arc::new(Mutex::new(state)),
        };
        world.serve(upstream, Self::mcp);
        world.serve(issuer, Self::authorize);
        world
    }

    fn serve(&self, listener: TcpListener, answer: fn(&Self, &Request, &mut TcpStream)) {
        let world = self.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let world = world.clone();
                std::thread::spawn(move || {
                    let mut stream = stream;
                    if let Some(request) = read(&mut stream) {
                        let redirect = world.state().redirect.clone();
                        match redirect.filter(|(path, _)| request.path.starts_with(path)) {
                            Some((_, to)) => {
                                world.state().asked.push("redirected".to_owned());
                                reply(&mut stream, 307, &[("Location", to)], &Value::Null);
                            }
                            None => answer(&world, &request, &mut stream),
                        }
                    }
                });
            }
        });
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/mcp", self.upstream)
    }

    pub(crate) fn issuer_url(&self) -> String {
        format!("http://{}", self.issuer)
    }

    /// Tokens that were never given to anybody over the wire.
    pub(crate) fn tokens(&self) -> (String, String) {
        self.state().give()
    }

    fn mcp(&self, request: &Request, stream: &mut TcpStream) {
        if request.path.starts_with("/.well-known/oauth-protected-resource") {
            let mut said = json!({
                "resource": self.url(), "authorization_servers": [self.issuer_url()],
                "scopes_supported": ["read"],
            });
            merge(&mut said, &self.state().prm);
            return reply(stream, 200, &[], &said);
        }
        if request.path != "/mcp" {
            return reply(stream, 404, &[], &Value::Null);
        }
        let message: Value = serde_json::from_slice(&request.body).unwrap_or_default();
        let mut state = self.state();
        let shown = request.headers.get("authorization").and_then(|it| it.strip_prefix("Bearer "));
        if !shown.is_some_and(|token| state.access.contains(token)) {
            state.asked.push("401".to_owned());
            let own = format!("http://{}/.well-known/oauth-protected-resource/mcp", self.upstream);
            let at = state.resource_metadata.clone().unwrap_or(own);
            let challenge = format!("Bearer resource_metadata=\"{at}\", scope=\"read\"");
            return reply(stream, 401, &[("WWW-Authenticate", challenge)], &Value::Null);
        }
        let method = message["method"].as_str().unwrap_or_default().to_owned();
        state.asked.push(method.clone());
        if method == "tools/call"
            && let Some(scope) = &state.scope
        {
            let challenge = format!("Bearer error=\"insufficient_scope\", scope=\"{scope}\"");
            return reply(stream, 403, &[("WWW-Authenticate", challenge)], &Value::Null);
        }
        drop(state);
        let result = match method.as_str() {
            "initialize" => json!({
                "protocolVersion": "2025-11-25", "capabilities": {"tools": {}},
                "serverInfo": {"name": "guarded", "version": "1"},
            }),
            "tools/list" => json!({"tools": [{
                "name": "who", "description": "d",
                "inputSchema": {"type": "object", "properties": {"token": {"type": "string"}}},
            }]}),
            "tools/call" => json!({"content": [{"type": "text", "text": "you"}]}),
            _ if request.method != "POST" => return reply(stream, 405, &[], &Value::Null),
            _ if message["id"].is_null() => return reply(stream, 202, &[], &Value::Null),
            _ => {
                let error = json!({"jsonrpc": "2.0", "id": message["id"],
                    "error": {"code": -32601, "message": "no"}});
                return reply(stream, 200, &[], &error);
            }
        };
        let answer = json!({"jsonrpc": "2.0", "id": message["id"], "result": result});
        reply(stream, 200, &[], &answer);
    }

    fn authorize(&self, request: &Request, stream: &mut TcpStream) {
        let issuer = self.issuer_url();
        let mut state = self.state();
        match request.path.as_str() {
            "/.well-known/oauth-authorization-server" => {
                state.asked.push("metadata".to_owned());
                let mut said = json!({
                    "issuer": issuer,
                    "authorization_endpoint": format!("{issuer}/authorize"),
                    "token_endpoint": format!("{issuer}/token"),
                    "registration_endpoint": format!("{issuer}/register"),
                    "revocation_endpoint": format!("{issuer}/revoke"),
                    "code_challenge_methods_supported": ["S256"],
                });
                merge(&mut said, &state.metadata);
                reply(stream, 200, &[], &said);
            }
            "/register" => {
                state.asked.push("register".to_owned());
                let given = json!({"client_id": "registered", "client_secret": format!("{TOKEN}-client"),
                    "token_endpoint_auth_method": "client_secret_basic"});
                reply(stream, 201, &[], &given);
            }
            "/authorize" => {
                state.asked.push("authorize".to_owned());
                state.last.clone_from(&request.query);
                state.serial += 1;
                let code = format!("{TOKEN}-code-{}", state.serial);
                let field = |name: &str| request.query.get(name).cloned().unwrap_or_default();
                let challenge = (field("code_challenge"), field("redirect_uri"));
                state.codes.insert(code.clone(), challenge);
                let mut back = Url::parse(&field("redirect_uri")).expect("it is a URL");
                back.query_pairs_mut()
                    .append_pair("code", &code)
                    .append_pair("state", &field("state"));
                if let Some(iss) = &state.iss {
                    back.query_pairs_mut().append_pair("iss", iss);
                }
                reply(stream, 302, &[("Location", back.into())], &Value::Null);
            }
            path if path.ends_with("/.well-known/openid-configuration") => {
                // One issuer of tokens for each first part of a path.
                let own = path.trim_end_matches("/.well-known/openid-configuration");
                let place = state.key_places.get(own.trim_start_matches('/')).cloned();
                let said = json!({"issuer": format!("{issuer}{own}"), "jwks_uri": place});
                state.asked.push("issuer".to_owned());
                reply(stream, if place.is_some() { 200 } else { 404 }, &[], &said);
            }
            "/token" => self.token(request, state, stream),
            "/revoke" => {
                state.asked.push("revoke".to_owned());
                let token = fields(&request.body).remove("token").unwrap_or_default();
                state.access.remove(&token);
                state.refresh.remove(&token);
                let gate = state.gate.take();
                drop(state);
                // It ends with the test, whatever becomes of that.
                let _ = gate.map(|gate| gate.recv());
                reply(stream, 200, &[], &Value::Null);
            }
            _ => reply(stream, 404, &[], &Value::Null),
        }
    }

    fn token(&self, request: &Request, mut state: MutexGuard<'_, State>, stream: &mut TcpStream) {
        let mut form = fields(&request.body);
        let grant = form.get("grant_type").cloned().unwrap_or_default();
        state.asked.push(format!("token {grant}"));
        state.token_times.push(Instant::now());
        if let Some(login) = request.headers.get("authorization") {
            form.insert("authorization".to_owned(), login.clone());
        }
        state.last.clone_from(&form);
        if state.mode == Mode::Away {
            return reply(stream, 503, &[], &Value::Null);
        }
        let field = |name: &str| form.get(name).cloned().unwrap_or_default();
        let good = match grant.as_str() {
            "authorization_code" => {
                let digest = URL_SAFE_NO_PAD.encode(Sha256::digest(field("code_verifier")));
                let known = state.codes.remove(&field("code"));
                known == Some((digest, field("redirect_uri")))
            }
            "refresh_token" => state.refresh.remove(&field("refresh_token")),
            _ => grant == "client_credentials",
        };
        match state.mode {
            Mode::Good if good => {
                let (access, refresh) = state.give();
                let mut given = json!({"access_token": access, "token_type": "Bearer",
                    "expires_in": state.lifetime});
                if grant != "client_credentials" {
                    given["refresh_token"] = refresh.into();
                }
                reply(stream, 200, &[], &given);
            }
            Mode::Echo => {
                let echo = json!({"error": "made_up", "error_description": form});
                reply(stream, 400, &[("X-Echo", form.values().cloned().collect())], &echo);
            }
            _ => reply(stream, 400, &[], &json!({"error": "invalid_grant"})),
        }
        drop(state);
        let _ = self;
    }
}

fn merge(into: &mut Value, more: &Value) {
    for (name, value) in more.as_object().into_iter().flatten() {
        into[name] = value.clone();
    }
}
