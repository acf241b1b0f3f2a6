//! The servers of `tests/peers` behind one proxy, in every era and over every transport that each
//! has.

use std::{net::TcpListener, path::Path};

use crate::support::{Peers, Process, Proxy, Setup, address_in};

/// One upstream.
pub(crate) struct Upstream {
    /// Its name in the file and in the table: SDK, transport, and `old` for one that knows both eras
    /// and is kept to the older one.
    pub(crate) name: &'static str,
    sdk: &'static str,
    web: bool,
    /// The era that it is used in.
    pub(crate) modern: bool,
}

const fn upstream(name: &'static str, sdk: &'static str, web: bool, modern: bool) -> Upstream {
    Upstream { name, sdk, web, modern }
}

/// Every upstream.
pub(crate) const UPSTREAMS: [Upstream; 12] = [
    upstream("ts1-pipe", "ts1", false, false),
    upstream("ts1-web", "ts1", true, false),
    upstream("py1-pipe", "py1", false, false),
    upstream("py1-web", "py1", true, false),
    upstream("ts2-pipe-old", "ts2", false, false),
    upstream("ts2-web-old", "ts2", true, false),
    upstream("py2-pipe-old", "py2", false, false),
    upstream("py2-web-old", "py2", true, false),
    upstream("ts2-pipe", "ts2", false, true),
    upstream("ts2-web", "ts2", true, true),
    upstream("py2-pipe", "py2", false, true),
    upstream("py2-web", "py2", true, true),
];

/// The clients, each in the eras that its SDK knows: name, era as the plan names it, modern.
pub(crate) const CLIENTS: [(&str, &str, bool); 8] = [
    ("ts1", "legacy", false),
    ("ts2", "legacy", false),
    ("ts2", "auto", true),
    ("ts2", "2026-07-28", true),
    ("py1", "legacy", false),
    ("py2", "legacy", false),
    ("py2", "auto", true),
    ("py2", "2026-07-28", true),
];

/// Everything that runs.
pub(crate) struct World {
    pub(crate) proxy: Proxy,
    _servers: Vec<Process>,
}

impl World {
    /// Starts these upstreams; `more` is said of each in the file. Without `tenants` there is the
    /// tenant `test`.
    pub(crate) fn new(peers: &Peers, names: &[&str], more: &str, tenants: &[&str]) -> Self {
        let (mut toml, mut setup) = (String::new(), Setup::new());
        for tenant in tenants {
            let name = format!("KEY_{}", tenant.to_uppercase());
            setup = setup.env(&name, &Self::key(tenant));
            toml += &format!("[tenants.{tenant}]\nkeys = [{{ name = \"a\", env = {name:?} }}]\n");
        }
        let mut servers = Vec::new();
        let mut started: Vec<(&str, String)> = Vec::new();
        for upstream in UPSTREAMS.iter().filter(|upstream| names.contains(&upstream.name)) {
            let era = if upstream.modern { "modern" } else { "legacy" };
            toml += &format!("[upstreams.{}]\nera = \"{era}\"\n{more}", upstream.name);
            if !upstream.web {
                let (program, script) = peers.server(upstream.sdk);
                toml += &format!("command = [{program:?}, {script:?}]\n");
                continue;
            }
            if !started.iter().any(|(sdk, _)| *sdk == upstream.sdk) {
                let (server, url) = serve(peers.server(upstream.sdk));
                servers.push(server);
                started.push((upstream.sdk, url));
            }
            let url = started.iter().find(|(sdk, _)| *sdk == upstream.sdk).expect("started above");
            toml += &format!("url = {:?}\n", url.1);
        }
        Self { proxy: setup.config(&toml).serve(), _servers: servers }
    }

    /// The key of a tenant.
    pub(crate) fn key(tenant: &str) -> String {
        format!("the-key-of-the-tenant-{tenant}-in-the-tests-1")
    }

    /// The door of one upstream, or of all.
    pub(crate) fn door(&self, upstream: Option<&str>) -> String {
        self.proxy.url(&upstream.map_or_else(|| "/mcp".to_owned(), |name| format!("/mcp/{name}")))
    }
}

fn serve((program, script): (impl AsRef<Path>, impl AsRef<Path>)) -> (Process, String) {
    // Not every SDK says which port it got, so that one must be chosen for it.
    let free = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
    let port = free.expect("loopback has free ports").port();
    let mut command = std::process::Command::new(program.as_ref());
    let server = Process::start(command.arg(script.as_ref()).arg(port.to_string()));
    let address = server.line("its address", address_in);
    (server, format!("http://{address}/mcp"))
}
