//! Tools that answer with fixed content, or notify while they run.

use std::time::Duration;

use rmcp::{
    ErrorData, RoleServer,
    model::{
        AudioContent, CallToolRequestParams, CallToolResult, ClientCapabilities, ContentBlock,
        LoggingLevel, LoggingMessageNotificationParam, ProgressNotificationParam, Resource,
        ResourceContents,
    },
    service::RequestContext,
};
use serde_json::{Value, json};

use crate::probe::text_result;

/// A PNG of one red pixel.
pub(crate) const IMAGE: &str = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8BQDwAEhQGAhKmMIQAAAABJRU5ErkJggg==";
/// A WAV file without a sample.
const AUDIO: &str = "UklGRiQAAABXQVZFZm10IBAAAAABAAEARKwAAIhYAQACABAAZGF0YQAAAAA=";
/// Between two notifications, so that they are seen while the call runs.
const STEP: Duration = Duration::from_millis(50);

/// A resource of one text.
pub(crate) fn text_resource(uri: &str, kind: &str, text: &str) -> ResourceContents {
    ResourceContents::TextResourceContents {
        uri: uri.to_owned(),
        mime_type: Some(kind.to_owned()),
        text: text.to_owned(),
        meta: None,
    }
}

/// Runs a tool of this kind. None when the tool is not one of these.
pub(crate) async fn call(
    request: &CallToolRequestParams,
    context: &RequestContext<RoleServer>,
) -> Option<Result<CallToolResult, ErrorData>> {
    let argument = |name: &str| {
        request.arguments.as_ref().and_then(|arguments| arguments.get(name)).and_then(Value::as_str)
    };
    Some(Ok(match request.name.as_ref() {
        "test_simple_text" => text_result("This is a simple text response for testing."),
        "test_image_content" => {
            CallToolResult::success(vec![ContentBlock::image(IMAGE, "image/png")])
        }
        "test_audio_content" => CallToolResult::success(vec![ContentBlock::Audio(
            AudioContent::new(AUDIO, "audio/wav"),
        )]),
        "test_embedded_resource" => {
            CallToolResult::success(vec![ContentBlock::resource(text_resource(
                "test://embedded-resource",
                "text/plain",
                "This is an embedded resource content.",
            ))])
        }
        "test_multiple_content_types" => CallToolResult::success(vec![
            ContentBlock::text("Multiple content types test:"),
            ContentBlock::image(IMAGE, "image/png"),
            ContentBlock::resource(text_resource(
                "test://mixed-content-resource",
                "application/json",
                r#"{"test":"data","value":123}"#,
            )),
        ]),
        "test_resource_link" => {
            let resource = Resource::new("test://static-text", "Static text");
            CallToolResult::success(vec![ContentBlock::resource_link(resource)])
        }
        "tick" => {
            let number = |name: &str| {
                let arguments = request.arguments.as_ref();
                arguments.and_then(|all| all.get(name)).and_then(Value::as_u64).unwrap_or(1)
            };
            let log = request.arguments.as_ref().and_then(|all| all.get("log"));
            let label = argument("label").unwrap_or("tick");
            let log = log == Some(&Value::Bool(true));
            tick(context, label, number("count"), number("ms"), log).await;
            text_result(format!("{label} ticked {} times", number("count")))
        }
        "test_error_handling" => CallToolResult::error(vec![ContentBlock::text(
            "This tool intentionally returns an error for testing",
        )]),
        "test_tool_with_logging" => {
            for message in
                ["Tool execution started", "Tool processing data", "Tool execution completed"]
            {
                log(context, LoggingLevel::Info, message).await;
                tokio::time::sleep(STEP).await;
            }
            text_result("logged three times")
        }
        "test_logging_tool" => {
            if let Some(level) = context.meta.log_level() {
                log(context, level, "the request asked for log messages").await;
            }
            text_result("done")
        }
        "test_tool_with_progress" => {
            progress(context).await;
            text_result("progressed three times")
        }
        "test_reconnection" => {
            tokio::time::sleep(STEP * 2).await;
            text_result("Reconnection test completed")
        }
        "test_custom_header" => match argument("value") {
            Some(value) => text_result(value),
            None => return Some(Err(ErrorData::invalid_params("value must be a string", None))),
        },
        "json_schema_2020_12_tool" => {
            text_result(format!("Hello, {}!", argument("name").unwrap_or("world")))
        }
        "test_missing_capability" => {
            if context.client_capabilities().is_none_or(|client| client.sampling.is_none()) {
                return Some(Err(ErrorData::missing_required_client_capability(
                    ClientCapabilities::builder().enable_sampling().build(),
                )));
            }
            text_result("the client can sample")
        }
        _ => return None,
    }))
}

async fn log(context: &RequestContext<RoleServer>, level: LoggingLevel, message: &str) {
    let message = LoggingMessageNotificationParam::new(level, json!(message));
    // A client that is gone gets no messages; the call itself will notice.
    let _ = context.peer.notify_logging_message(message.with_logger("everything")).await;
}

/// Each step says which one it is; the level of its log message goes round.
async fn tick(
    context: &RequestContext<RoleServer>,
    label: &str,
    count: u64,
    ms: u64,
    with_log: bool,
) {
    let levels =
        [LoggingLevel::Debug, LoggingLevel::Info, LoggingLevel::Warning, LoggingLevel::Error];
    let mut steps = tokio::time::interval(Duration::from_millis(ms.max(1)));
    for (step, level) in (1..=count).zip(levels.into_iter().cycle()) {
        steps.tick().await;
        let message = format!("{label} {step}");
        if let Some(token) = context.meta.get_progress_token() {
            let progress = ProgressNotificationParam::new(token, step as f64);
            let progress = progress.with_total(count as f64).with_message(&message);
            let _ = context.peer.notify_progress(progress).await;
        }
        if with_log {
            log(context, level, &message).await;
        }
    }
}

async fn progress(context: &RequestContext<RoleServer>) {
    let Some(token) = context.meta.get_progress_token() else {
        return;
    };
    for (done, message) in [(0.0, "begun"), (50.0, "half way"), (100.0, "done")] {
        let progress = ProgressNotificationParam::new(token.clone(), done);
        let progress = progress.with_total(100.0).with_message(message);
        let _ = context.peer.notify_progress(progress).await;
        tokio::time::sleep(STEP).await;
    }
}
