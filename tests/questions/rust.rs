//! The client of the official Rust SDK, which walks the same plan and gives the same report.

#![expect(deprecated, reason = "sampling and roots are what clients are asked for")]

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rmcp::{
    ClientHandler, ErrorData, RoleClient,
    model::{
        CallToolRequestParams, ClientConfig, CreateMessageRequestParams, CreateMessageResult,
        ElicitRequestParams, ElicitResult, ListRootsResult, ProgressNotificationParam,
        ProtocolVersion,
    },
    service::{ClientLifecycleMode, ClientServiceExt, NotificationContext, RequestContext},
    transport::{
        StreamableHttpClientTransport, streamable_http_client::StreamableHttpClientTransportConfig,
    },
};
use serde_json::{Value, json};

/// What there is to say, and what was asked.
#[derive(Default)]
struct Heard {
    say: Value,
    asked: Vec<Value>,
    progress: Vec<Value>,
}

#[derive(Clone, Default)]
struct Person(Arc<Mutex<Heard>>);

impl Person {
    fn heard(&self) -> MutexGuard<'_, Heard> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn answer<T: serde::de::DeserializeOwned>(
        &self,
        method: &str,
        params: &Value,
    ) -> Result<T, ErrorData> {
        let mut heard = self.heard();
        let after = heard.progress.len();
        heard.asked.push(json!({"method": method, "params": params, "after": after}));
        made(heard.say[method].clone())
    }
}

fn made<T: serde::de::DeserializeOwned>(value: Value) -> Result<T, ErrorData> {
    serde_json::from_value(value)
        .map_err(|error| ErrorData::internal_error(error.to_string(), None))
}

fn json_of(value: impl serde::Serialize) -> Value {
    serde_json::to_value(value).expect("the SDK writes JSON")
}

impl ClientHandler for Person {
    fn get_info(&self) -> ClientConfig {
        let mut info = ClientConfig::default();
        let declares =
            json!({"elicitation": {"form": {}, "url": {}}, "sampling": {"tools": {}}, "roots": {}});
        info.capabilities = made(declares).expect("the SDK knows them");
        info
    }

    async fn create_message(
        &self,
        params: CreateMessageRequestParams,
        _: RequestContext<RoleClient>,
    ) -> Result<CreateMessageResult, ErrorData> {
        self.answer("sampling/createMessage", &json_of(params))
    }

    async fn list_roots(
        &self,
        _: RequestContext<RoleClient>,
    ) -> Result<ListRootsResult, ErrorData> {
        self.answer("roots/list", &Value::Null)
    }

    async fn create_elicitation(
        &self,
        params: ElicitRequestParams,
        _: RequestContext<RoleClient>,
    ) -> Result<ElicitResult, ErrorData> {
        self.answer("elicitation/create", &json_of(params))
    }

    async fn on_progress(
        &self,
        params: ProgressNotificationParam,
        _: NotificationContext<RoleClient>,
    ) {
        self.heard().progress.push(json!(params.progress));
    }
}

/// Walks a plan of calls with `say` (see tests/peers/plan.mjs) and gives the report.
pub(crate) fn run(url: &str, key: &str, modern: bool, plan: &Value) -> Value {
    // A second one is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    // This SDK runs each notification in a task of its own: on one thread they keep their order.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.expect("a runtime can be made");
    runtime.block_on(walk(url, key, modern, plan))
}

async fn walk(url: &str, key: &str, modern: bool, plan: &Value) -> Value {
    let person = Person::default();
    let config = StreamableHttpClientTransportConfig::with_uri(url.to_owned()).auth_header(key);
    let transport = StreamableHttpClientTransport::from_config(config);
    let lifecycle = if modern {
        let preferred_versions = vec![ProtocolVersion::V_2026_07_28];
        ClientLifecycleMode::Discover { preferred_versions }
    } else {
        ClientLifecycleMode::Initialize
    };
    let client = person.clone().serve_with_lifecycle(transport, lifecycle).await;
    let client = client.expect("it connects");
    let mut steps = Vec::new();
    for step in plan.as_array().into_iter().flatten() {
        *person.heard() = Heard { say: step["say"].clone(), ..Heard::default() };
        let mut call =
            CallToolRequestParams::new(step["call"].as_str().unwrap_or_default().to_owned());
        call.arguments = step["arguments"].as_object().cloned();
        let mut outcome = match client.call_tool(call).await {
            Ok(result) => json!({"ok": true, "result": json_of(result)}),
            Err(error) => json!({"ok": false, "error": error.to_string()}),
        };
        let heard = std::mem::take(&mut *person.heard());
        outcome["asked"] = json!(heard.asked);
        outcome["progress"] = json!(heard.progress);
        steps.push(outcome);
    }
    client.cancel().await.expect("it ends");
    json!({ "steps": steps })
}
