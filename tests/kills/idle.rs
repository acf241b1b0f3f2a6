//! Clients of the official SDKs that stay connected and idle between their calls.

use std::sync::Arc;

use rmcp::{
    RoleClient,
    model::{CallToolRequestParams, ProtocolVersion},
    service::{ClientLifecycleMode, ClientServiceExt, RunningService},
    transport::{
        StreamableHttpClientTransport, streamable_http_client::StreamableHttpClientTransportConfig,
    },
};
use serde_json::{Value, json};
use tokio::{runtime::Runtime, task::JoinHandle};

use crate::{
    book::Fate,
    flight::Ask,
    support::{Era, Peer, Peers, Proxy},
};

enum Kind {
    /// Another program.
    Peer(Peer),
    /// The Rust SDK, in this one.
    Rust(Rust),
}

struct Rust {
    runtime: Arc<Runtime>,
    client: RunningService<RoleClient, ()>,
    running: Option<JoinHandle<Value>>,
}

/// One of them.
pub(crate) struct Idle {
    pub(crate) name: String,
    kind: Kind,
    /// It can come back for an answer that has begun.
    pub(crate) comes_back: bool,
    asked: Option<Ask>,
}

impl Idle {
    /// Connects all, each in every era that it knows.
    pub(crate) fn connect_all(peers: &Peers, proxy: &Proxy) -> Vec<Self> {
        let mut all = Vec::new();
        let url = proxy.url("/mcp");
        for (client, eras) in Peers::CLIENTS {
            for era in eras {
                let peer = peers.connect(client, era, &url, proxy.key());
                let (name, kind) = (peer.name().to_owned(), Kind::Peer(peer));
                all.push(Self { name, kind, comes_back: *era == "legacy", asked: None });
            }
        }
        // A second one is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let runtime = Arc::new(Runtime::new().expect("a runtime"));
        for era in Era::BOTH {
            let config =
                StreamableHttpClientTransportConfig::with_uri(url.clone()).auth_header(proxy.key());
            let lifecycle = match era {
                Era::Legacy => ClientLifecycleMode::Initialize,
                Era::Modern => ClientLifecycleMode::Discover {
                    preferred_versions: vec![ProtocolVersion::V_2026_07_28],
                },
            };
            let client = runtime.block_on(async {
                let transport = StreamableHttpClientTransport::from_config(config);
                ().serve_with_lifecycle(transport, lifecycle).await.expect("it connects")
            });
            let kind = Kind::Rust(Rust { runtime: Arc::clone(&runtime), client, running: None });
            let comes_back = era == Era::Legacy;
            all.push(Self { name: format!("rust {era:?}"), kind, comes_back, asked: None });
        }
        all
    }

    /// True while it has called and was not asked what became of it.
    pub(crate) fn waits(&self) -> bool {
        self.asked.is_some()
    }

    /// Has it call.
    pub(crate) fn begin(&mut self, ask: Ask) {
        let (name, arguments, _) = ask.tool();
        match &mut self.kind {
            Kind::Peer(peer) => peer.begin(&json!({"call": name, "arguments": arguments})),
            Kind::Rust(rust) => {
                let peer = rust.client.peer().clone();
                let mut params = CallToolRequestParams::new(name);
                params.arguments = arguments.as_object().cloned();
                rust.running = Some(rust.runtime.spawn(async move {
                    match peer.call_tool(params).await {
                        Ok(result) => json!({"ok": true, "result": result}),
                        Err(error) => json!({"ok": false, "error": error.to_string()}),
                    }
                }));
            }
        }
        self.asked = Some(ask);
    }

    /// What became of that.
    pub(crate) fn finish(&mut self) -> (Ask, Fate) {
        let ask = self.asked.take().expect("it was begun");
        let outcome = match &mut self.kind {
            Kind::Peer(peer) => peer.finish(),
            Kind::Rust(rust) => {
                let running = rust.running.take().expect("it was begun");
                rust.runtime.block_on(running).expect("it does not panic")
            }
        };
        let fate = ask.fate(&outcome["result"], &outcome["error"]);
        (ask, fate)
    }
}
