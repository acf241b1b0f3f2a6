//! The official Rust SDK at both ends, in every pair of eras: its client answers, its server asks.

#![expect(deprecated, reason = "sampling and roots are what clients are asked for")]

use std::sync::{Arc, Mutex, PoisonError};

use rmcp::{
    ClientHandler, ErrorData, RoleClient,
    model::{
        CallToolRequestParams, CallToolResult, ClientConfig, CreateMessageRequestParams,
        CreateMessageResult, ElicitRequestParams, ElicitResult, ListRootsResult, ProtocolVersion,
    },
    service::{ClientLifecycleMode, ClientServiceExt, RequestContext, RunningService},
    transport::{
        StreamableHttpClientTransport, streamable_http_client::StreamableHttpClientTransportConfig,
    },
};
use serde_json::{Value, json};

use crate::bridge::pairs::{UPSTREAMS, World};
use crate::support::Era;

/// A client of the SDK whose person agrees to everything.
#[derive(Clone, Default)]
struct Agreeing(Arc<Mutex<Vec<String>>>);

impl Agreeing {
    fn asked(&self, what: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(what.to_owned());
    }

    fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

fn made<T: serde::de::DeserializeOwned>(value: Value) -> T {
    serde_json::from_value(value).expect("the SDK reads it")
}

impl ClientHandler for Agreeing {
    fn get_info(&self) -> ClientConfig {
        let mut info = ClientConfig::default();
        info.capabilities = made(json!({"elicitation": {"form": {}}, "sampling": {}, "roots": {}}));
        info
    }

    async fn create_message(
        &self,
        _: CreateMessageRequestParams,
        _: RequestContext<RoleClient>,
    ) -> Result<CreateMessageResult, ErrorData> {
        self.asked("sampling");
        Ok(made(json!({"role": "assistant", "model": "m", "content": {"type": "text",
            "text": "Bonjour"}})))
    }

    async fn list_roots(
        &self,
        _: RequestContext<RoleClient>,
    ) -> Result<ListRootsResult, ErrorData> {
        self.asked("roots");
        Ok(made(json!({"roots": [{"uri": "file:///home/ada", "name": "home"}]})))
    }

    async fn create_elicitation(
        &self,
        request: ElicitRequestParams,
        _: RequestContext<RoleClient>,
    ) -> Result<ElicitResult, ErrorData> {
        let asked = serde_json::to_value(request).expect("JSON");
        self.asked(asked["message"].as_str().unwrap_or_default());
        Ok(made(json!({"action": "accept", "content": {"name": "Ada", "color": "red"}})))
    }
}

async fn connect(
    world: &World,
    era: Era,
    upstream: &str,
    person: &Agreeing,
) -> RunningService<RoleClient, Agreeing> {
    let config =
        StreamableHttpClientTransportConfig::with_uri(world.proxy.url(&format!("/mcp/{upstream}")))
            .auth_header(world.proxy.key());
    let transport = StreamableHttpClientTransport::from_config(config);
    let lifecycle = match era {
        Era::Legacy => ClientLifecycleMode::Initialize,
        Era::Modern => {
            let preferred_versions = vec![ProtocolVersion::V_2026_07_28];
            ClientLifecycleMode::Discover { preferred_versions }
        }
    };
    person.clone().serve_with_lifecycle(transport, lifecycle).await.expect("it connects")
}

#[tokio::test(flavor = "multi_thread")]
async fn the_sdk_asks_and_answers_in_every_pair() {
    // A second one is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let world = World::new();
    for era in Era::BOTH {
        for upstream in UPSTREAMS {
            let case = format!("{era:?} client, {upstream}");
            let person = Agreeing::default();
            let client = connect(&world, era, upstream, &person).await;
            for (tool, asked, told) in [
                ("test_sampling", vec!["sampling"], "LLM response: Bonjour"),
                ("test_roots", vec!["roots"], "file:///home/ada"),
                ("test_elicitation", vec!["Please say who you are"], "action=accept"),
                (
                    "test_input_required_result_multiple_inputs",
                    vec!["What is your name?", "roots", "sampling"],
                    "Bonjour",
                ),
                (
                    "test_input_required_result_multi_round",
                    vec!["First: what is your name?", "Then: which colour?"],
                    "Ada",
                ),
            ] {
                let answer: CallToolResult = client
                    .call_tool(CallToolRequestParams::new(tool))
                    .await
                    .unwrap_or_else(|error| panic!("{case}, {tool}: {error}"));
                let answer = serde_json::to_value(answer).expect("JSON").to_string();
                assert!(answer.contains(told), "{case}, {tool}: {answer}");
                let mut seen = person.take();
                seen.sort();
                let mut expected: Vec<String> = asked
                    .iter()
                    .map(|what| match *what {
                        "sampling" | "roots" => (*what).to_owned(),
                        message => format!("[{upstream}] {message}"),
                    })
                    .collect();
                expected.sort();
                assert_eq!(seen, expected, "{case}, {tool}");
            }
            client.cancel().await.expect("it ends");
        }
    }
}
