//! A proxy before an upstream of each era, and requests of its one tenant.

use serde_json::{Value, json};

use crate::rest::world::{Ask, value};
use crate::support::{Answer, Client, Era, Process, Proxy, serve_everything};

/// The upstreams by their names.
pub(crate) const UPSTREAMS: [&str; 2] = ["old", "new"];

pub(crate) struct Bed {
    pub(crate) proxy: Proxy,
    /// In the order of their names above.
    pub(crate) servers: Vec<Process>,
}

impl Bed {
    /// With more of a configuration; `{old}` in it stands for the URL of that upstream.
    pub(crate) fn with(more: &str) -> Self {
        let mut servers = Vec::new();
        let mut toml = more.to_owned();
        for (name, era) in UPSTREAMS.into_iter().zip(["legacy", "modern"]) {
            let (server, address) = serve_everything(&["--era", era, "--tools", "2"]);
            servers.push(server);
            let url = format!("http://{address}/mcp");
            toml = toml.replace(&format!("{{{name}}}"), &url);
            if !more.contains(&format!("[upstreams.{name}]")) {
                toml += &format!("\n[upstreams.{name}]\nurl = \"{url}\"\n");
            }
        }
        Self { proxy: Proxy::start(&toml), servers }
    }

    pub(crate) fn new() -> Self {
        Self::with("")
    }

    pub(crate) fn send(&self, ask: &Ask<'_>) -> Answer {
        ask.clone().key(self.proxy.key()).at(self.proxy.address())
    }

    pub(crate) fn get(&self, path: &str) -> Answer {
        self.send(&Ask::new("GET", path))
    }

    /// Calls a tool at the merged door.
    pub(crate) fn call(&self, tool: &str, arguments: &Value) -> Answer {
        self.post(tool, &json!({ "arguments": arguments }))
    }

    pub(crate) fn post(&self, tool: &str, body: &Value) -> Answer {
        self.send(&Ask::new("POST", &format!("/api/v1/tools/{tool}/call")).json(body))
    }

    /// The text that a tool answers with.
    pub(crate) fn text(&self, tool: &str, arguments: &Value) -> String {
        let answer = self.call(tool, arguments);
        assert_eq!(answer.status, 200, "{}", answer.text());
        let text = value(&answer)["content"][0]["text"].as_str().map(str::to_owned);
        text.unwrap_or_else(|| panic!("no text: {}", answer.text()))
    }

    pub(crate) fn client(&self, era: Era) -> Client {
        self.proxy.client(era, "/mcp")
    }
}

/// Status, and a member of a problem.
pub(crate) fn problem(answer: &Answer) -> (u16, Value) {
    assert_eq!(
        answer.header("content-type"),
        Some("application/problem+json"),
        "{}",
        answer.text()
    );
    let problem = value(answer);
    assert_eq!(problem["status"], answer.status);
    (answer.status, problem)
}
