//! The same upstream in each era and over each transport, behind one proxy.

use crate::support::{Era, Process, Proxy, everything, serve_everything};

/// How an upstream is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reach {
    /// A child's standard input and output.
    Pipe,
    /// Streamable HTTP.
    Http,
    // HTTP+SSE (2024-11-05) comes here with its link.
}

/// One upstream.
pub(crate) struct Upstream {
    /// Its name in the file, and in the table.
    pub(crate) name: &'static str,
    era: Era,
    reach: Reach,
}

/// Every upstream.
pub(crate) const UPSTREAMS: [Upstream; 4] = [
    Upstream { name: "legacy-http", era: Era::Legacy, reach: Reach::Http },
    Upstream { name: "legacy-pipe", era: Era::Legacy, reach: Reach::Pipe },
    Upstream { name: "modern-http", era: Era::Modern, reach: Reach::Http },
    Upstream { name: "modern-pipe", era: Era::Modern, reach: Reach::Pipe },
];

/// The word for an era.
pub(crate) const fn short(era: Era) -> &'static str {
    match era {
        Era::Legacy => "legacy",
        Era::Modern => "modern",
    }
}

/// Everything that runs.
pub(crate) struct World {
    pub(crate) proxy: Proxy,
    _servers: Vec<Process>,
}

impl World {
    /// Starts everything.
    pub(crate) fn new() -> Self {
        let mut toml = "[server]\nlisten = \"127.0.0.1:0\"\n".to_owned();
        let mut servers = Vec::new();
        for upstream in &UPSTREAMS {
            let options = ["--era", short(upstream.era), "--tools", "300", "--page", "40"];
            toml += &format!("[upstreams.{}]\n", upstream.name);
            match upstream.reach {
                Reach::Pipe => {
                    let quoted = options.map(|option| format!("{option:?}")).join(", ");
                    toml += &format!("command = [{:?}, {quoted}]\n", everything());
                }
                Reach::Http => {
                    let (process, address) = serve_everything(&options);
                    servers.push(process);
                    toml += &format!("url = \"http://{address}/mcp\"\n");
                }
            }
        }
        Self { proxy: Proxy::start(&toml), _servers: servers }
    }
}
