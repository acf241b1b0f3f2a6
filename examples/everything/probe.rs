//! Tools that show a proxy's work from the other side: what arrived, what was
//! cancelled, what a crash does.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use rmcp::{
    ErrorData, RoleServer,
    model::{
        CallToolRequestParams, CallToolResult, ContentBlock, JsonObject, ProgressNotificationParam,
    },
    service::RequestContext,
};
use serde_json::{Value, json};

/// The body of an HTTP request as it arrived.
#[derive(Clone)]
pub(crate) struct RawMessage(pub(crate) Bytes);

/// What the probing tools keep between calls.
#[derive(Clone, Default)]
pub(crate) struct Probe {
    begun: Arc<AtomicU64>,
    cancelled: Arc<AtomicU64>,
    last_line: Arc<Mutex<Option<String>>>,
}

/// Counts a call that ends before its time, by cancellation or disconnection.
struct Unfinished<'a>(&'a AtomicU64, bool);

impl Drop for Unfinished<'_> {
    fn drop(&mut self) {
        if !self.1 {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Probe {
    /// Keeps a line of standard input that asks to be shown.
    pub(crate) fn remember(&self, line: &[u8]) {
        let asks = |name: &[u8]| line.windows(name.len()).any(|window| window == name);
        if line.len() < 1 << 16
            && (asks(b"whoami") || asks(b"show_request"))
            && let Ok(mut last) = self.last_line.lock()
        {
            *last = Some(String::from_utf8_lossy(line).trim_end().to_owned());
        }
    }

    /// Runs a probing tool. None when the tool is not one of these.
    pub(crate) async fn call(
        &self,
        request: &CallToolRequestParams,
        context: &RequestContext<RoleServer>,
    ) -> Option<Result<CallToolResult, ErrorData>> {
        let arguments = request.arguments.as_ref();
        let argument = |name: &str| arguments.and_then(|arguments| arguments.get(name));
        let number = |name: &str| {
            argument(name).and_then(Value::as_u64).ok_or_else(|| {
                ErrorData::invalid_params(format!("{name} must be a whole number"), None)
            })
        };
        Some(match request.name.as_ref() {
            "echo" => match argument("text").and_then(Value::as_str) {
                Some(text) => Ok(text_result(text)),
                None => Err(ErrorData::invalid_params("text must be a string", None)),
            },
            "whoami" | "show_request" => Ok(self.shown(request, context)),
            "sleep" => match number("ms") {
                Ok(ms) => Ok(self.sleep(ms, context).await),
                Err(error) => Err(error),
            },
            "begun_count" => Ok(text_result(self.begun.load(Ordering::Relaxed).to_string())),
            "cancelled_count" => {
                Ok(text_result(self.cancelled.load(Ordering::Relaxed).to_string()))
            }
            "big" => number("bytes").map(|bytes| text_result(filler(bytes))),
            "structured" => number("bytes").map(structured),
            "crash" => std::process::abort(),
            "spawn_grandchild" => grandchild().map(|pid| text_result(pid.to_string())),
            name if name.starts_with("synthetic_") => {
                let arguments = arguments.cloned().map_or(Value::Null, Value::Object);
                Ok(text_result(format!("{name} {arguments}")))
            }
            _ => return None,
        })
    }

    async fn sleep(&self, ms: u64, context: &RequestContext<RoleServer>) -> CallToolResult {
        self.begun.fetch_add(1, Ordering::Relaxed);
        let mut unfinished = Unfinished(&self.cancelled, false);
        if let Some(token) = context.meta.get_progress_token() {
            // Whoever asked for progress knows now that it runs.
            let begun = ProgressNotificationParam::new(token, 0.0);
            let _ = context.peer.notify_progress(begun).await;
        }
        tokio::select! {
            () = tokio::time::sleep(Duration::from_millis(ms)) => {
                unfinished.1 = true;
                text_result(format!("slept {ms} ms"))
            }
            () = context.ct.cancelled() => text_result("cancelled"),
        }
    }

    fn shown(
        &self,
        request: &CallToolRequestParams,
        context: &RequestContext<RoleServer>,
    ) -> CallToolResult {
        let mut shown = json!({
            "args": std::env::args().collect::<Vec<_>>(),
            "pid": std::process::id(),
            "arguments": request.arguments,
            "meta": serde_json::to_value(&context.meta).unwrap_or_default(),
            "protocolVersion": context.protocol_version(),
            "clientInfo": context.client_info(),
            "clientCapabilities": context.client_capabilities(),
        });
        let names = request.arguments.as_ref().and_then(|arguments| arguments.get("env"));
        let environment: JsonObject = names
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .map(|name| (name.to_owned(), json!(std::env::var(name).ok())))
            .collect();
        shown["env"] = Value::Object(environment);
        if let Some(parts) = context.extensions.get::<http::request::Parts>() {
            let mut headers = JsonObject::new();
            for (name, value) in &parts.headers {
                let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
                let values = headers.entry(name.as_str()).or_insert_with(|| json!([]));
                if let Some(values) = values.as_array_mut() {
                    values.push(Value::String(value));
                }
            }
            shown["headers"] = Value::Object(headers);
            shown["path"] = json!(parts.uri.path_and_query().map(ToString::to_string));
            shown["raw"] = json!(
                parts
                    .extensions
                    .get::<RawMessage>()
                    .map(|raw| String::from_utf8_lossy(&raw.0).into_owned())
            );
        } else if let Ok(last) = self.last_line.lock() {
            shown["raw"] = json!(*last);
        }
        text_result(shown.to_string())
    }
}

/// A result of one text block.
pub(crate) fn text_result(text: impl Into<String>) -> CallToolResult {
    CallToolResult::success(vec![ContentBlock::text(text)])
}

/// Printable text of exactly so many bytes, at most 64 MiB.
fn filler(bytes: u64) -> String {
    let length = usize::try_from(bytes).unwrap_or(usize::MAX).min(64 << 20);
    "The quick brown fox jumps over the lazy dog. ".chars().cycle().take(length).collect()
}

fn structured(bytes: u64) -> CallToolResult {
    let rows: Vec<Value> = (0..bytes / 100)
        .map(|row| {
            json!({"row": row, "name": format!("record {row:08}"), "score": row as f64 / 8.0,
                   "tags": ["first", "second"], "active": row % 2 == 0})
        })
        .collect();
    let mut result = CallToolResult::structured(json!({ "rows": rows }));
    // The text copy of the content would double the size that was asked for.
    result.content = vec![ContentBlock::text(format!("{} rows", bytes / 100))];
    result
}

fn grandchild() -> Result<u32, ErrorData> {
    let started = tokio::process::Command::new("setsid")
        .args(["sleep", "1000"])
        .stdin(std::process::Stdio::null())
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn();
    started
        .ok()
        .and_then(|child| child.id())
        .ok_or_else(|| ErrorData::internal_error("cannot start setsid sleep 1000", None))
}
