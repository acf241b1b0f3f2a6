//! One proxy before one good upstream, and good calls of it, for the tests of what is not good.

use std::net::SocketAddr;

use serde_json::json;

use super::{Answer, Era, Process, Proxy, Raw, post, serve_everything, text};

/// Where the upstream's own names are.
pub(crate) const DOOR: &str = "/mcp/up";
/// The largest body that this proxy takes.
pub(crate) const MAX_BODY: usize = 64 << 10;

/// A proxy before `everything`, and what a client needs to say to it.
pub(crate) struct Scene {
    /// The proxy, one upstream at [`DOOR`].
    pub(crate) proxy: Proxy,
    session: String,
    _server: Process,
}

impl Scene {
    /// Starts both.
    pub(crate) fn new() -> Self {
        let (server, address) = serve_everything(&[]);
        let proxy = Proxy::start(&format!(
            "[server]\nlisten = \"127.0.0.1:0\"\nmax_body = \"64KiB\"\n\
             [upstreams.up]\nurl = \"http://{address}/mcp\"\n"
        ));
        let session = proxy.client(Era::Legacy, DOOR).session().map(str::to_owned);
        let session = session.expect("a legacy client gets a session");
        Self { proxy, session, _server: server }
    }

    /// Where the proxy listens.
    pub(crate) fn at(&self) -> SocketAddr {
        self.proxy.address()
    }

    /// The headers of a good `tools/call` of `echo`.
    pub(crate) fn headers(&self, era: Era) -> Vec<(&str, String)> {
        let mut headers = era.headers("tools/call", &json!({"name": "echo"}));
        headers.push(("Authorization", format!("Bearer {}", self.proxy.key())));
        if era == Era::Legacy {
            headers.push(("Mcp-Session-Id", self.session.clone()));
        }
        headers
    }

    /// Sends a body with good headers, some of them replaced.
    pub(crate) fn send(&self, era: Era, body: &[u8], replaced: &[(&str, &str)]) -> Answer {
        let headers = self.headers(era);
        let replaces = |name: &str| replaced.iter().any(|(n, _)| n.eq_ignore_ascii_case(name));
        let headers: Vec<(&str, &str)> = headers
            .iter()
            .filter(|(name, _)| !replaces(name))
            .map(|(name, value)| (*name, value.as_str()))
            .chain(replaced.iter().copied())
            .collect();
        let bytes = post(self.at(), DOOR, &headers, body);
        Raw::exchange(self.at(), &bytes).unwrap_or_else(|error| panic!("no answer: {error}"))
    }

    /// The process lives, has not panicked, and answers a good call in both eras.
    pub(crate) fn serves_on(&self) {
        for era in Era::BOTH {
            let answer = self.proxy.client(era, DOOR).call("echo", json!({"text": "still here"}));
            assert_eq!(text(&answer), "still here");
        }
        let log = self.proxy.log();
        assert!(!log.contains("panicked"), "{log}");
    }
}

/// A body with what the era wants in the place of `META`.
pub(crate) fn body(era: Era, template: &str) -> Vec<u8> {
    let meta = match era {
        Era::Legacy => String::new(),
        Era::Modern => format!("\"_meta\":{},", era.params(json!({}))["_meta"]),
    };
    template.replace("META", &meta).into_bytes()
}

/// A good call of `echo`.
pub(crate) fn good(era: Era) -> Vec<u8> {
    body(era, &call(r#""text":"x""#))
}

/// A call of `echo` with these members as arguments, `META` standing for what the era wants.
pub(crate) fn call(arguments: &str) -> String {
    format!(
        r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{META"name":"echo","arguments":{{{arguments}}}}}}}"#
    )
}

/// A call as deep as this, the message itself counted.
pub(crate) fn nested(depth: usize) -> String {
    // Message, params and arguments are three levels of their own.
    let (open, close) = ("[".repeat(depth - 3), "]".repeat(depth - 3));
    call(&format!(r#""text":"x","deep":{open}{close}"#))
}
