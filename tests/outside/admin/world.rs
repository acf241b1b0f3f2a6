//! A proxy with two tenants of the store and one of the file, and a key of every kind.

use std::net::SocketAddr;

use serde_json::{Value, json};

use crate::support::{Answer, Process, Proxy, Raw, Setup, serve_everything};

pub(crate) const OPERATOR: &str = "the-key-of-the-operator-in-the-tests-0001";
pub(crate) const FILED: &str = "the-key-of-an-admin-declared-in-the-file-01";

/// A proxy before one upstream.
pub(crate) struct World {
    pub(crate) proxy: Proxy,
    _upstream: Process,
}

impl World {
    /// The configuration that all of these tests use, with more of it; `{up}` is the upstream's URL.
    pub(crate) fn with(more: &str) -> Self {
        let (upstream, address) = serve_everything(&[]);
        let more = more.replace("{up}", &format!("http://{address}/mcp"));
        let toml = format!(
            "{more}\n[upstreams.gh]\nurl = \"http://{address}/mcp\"\n\
             headers = {{ Authorization = \"Bearer {{secret.token}}\" }}\n\
             [upstreams.free]\nurl = \"http://{address}/mcp\"\n\
             [tenants.filed]\nkeys = [{{ name = \"boss\", env = \"FILED\", role = \"admin\" }}]\n\
             secrets = {{ gh = {{ token = {{ env = \"FILED_TOKEN\" }} }} }}\n"
        );
        let toml = if toml.contains("[admin]") {
            toml.replace("[admin]", "[admin]\nkeys = [{ name = \"ops\", env = \"OPS\" }]")
        } else {
            format!("{toml}[admin]\nkeys = [{{ name = \"ops\", env = \"OPS\" }}]\n")
        };
        let setup =
            Setup::new().env("OPS", OPERATOR).env("FILED", FILED).env("FILED_TOKEN", "t0ken");
        let proxy = setup.config(&toml).serve();
        Self { proxy, _upstream: upstream }
    }

    pub(crate) fn new() -> Self {
        Self::with("")
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.proxy.address()
    }

    pub(crate) fn ask(&self, ask: &Ask<'_>) -> Answer {
        ask.at(self.address())
    }

    /// Makes a tenant with a first key of an admin, and gives that key's text.
    pub(crate) fn tenant(&self, name: &str) -> String {
        let body = json!({ "name": name, "key": { "name": "boss" } });
        let made = self.ask(&Ask::new("POST", "/api/v1/tenants").key(OPERATOR).json(&body));
        assert_eq!(made.status, 201, "{}", made.text());
        value(&made)["key"]["key"].as_str().expect("a key").to_owned()
    }

    /// Makes a key with another, and gives what was answered.
    pub(crate) fn key(&self, with: &str, body: &Value) -> Value {
        let made = self.ask(&Ask::new("POST", "/api/v1/keys").key(with).json(body));
        assert_eq!(made.status, 201, "{}", made.text());
        value(&made)
    }
}

/// The text of a key that was just made.
pub(crate) fn text(made: &Value) -> String {
    made["key"].as_str().expect("a key").to_owned()
}

pub(crate) fn value(answer: &Answer) -> Value {
    serde_json::from_slice(&answer.body).unwrap_or_else(|_| panic!("no JSON: {}", answer.text()))
}

/// One request.
#[derive(Clone)]
pub(crate) struct Ask<'a> {
    method: &'a str,
    path: &'a str,
    headers: Vec<(&'a str, String)>,
    body: Vec<u8>,
}

impl<'a> Ask<'a> {
    pub(crate) fn new(method: &'a str, path: &'a str) -> Self {
        Self { method, path, headers: Vec::new(), body: Vec::new() }
    }

    pub(crate) fn key(self, key: &str) -> Self {
        self.header("Authorization", &format!("Bearer {key}"))
    }

    pub(crate) fn tenant(self, tenant: &str) -> Self {
        self.header("X-Tenant", tenant)
    }

    pub(crate) fn header(mut self, name: &'a str, value: &str) -> Self {
        self.headers.push((name, value.to_owned()));
        self
    }

    pub(crate) fn json(mut self, body: &Value) -> Self {
        self.body = body.to_string().into_bytes();
        self.header("Content-Type", "application/json")
    }

    /// A body that stands as it is.
    pub(crate) fn text(mut self, body: &str) -> Self {
        self.body = body.as_bytes().to_vec();
        self
    }

    pub(crate) fn at(&self, address: SocketAddr) -> Answer {
        let mut head = format!("{} {} HTTP/1.1\r\n", self.method, self.path);
        if !self.headers.iter().any(|(name, _)| *name == "Host") {
            head += &format!("Host: {address}\r\n");
        }
        for (name, value) in &self.headers {
            head += &format!("{name}: {value}\r\n");
        }
        head += &format!("Content-Length: {}\r\nConnection: close\r\n\r\n", self.body.len());
        let bytes = [head.as_bytes(), &self.body].concat();
        Raw::exchange(address, &bytes).unwrap_or_else(|error| panic!("{head}: {error}"))
    }
}
