//! The demo's tools, resource and prompt.

use std::sync::Arc;

use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CallToolResult, ContentBlock, GetPromptRequestParams,
    GetPromptResponse, GetPromptResult, Implementation, ListPromptsResult, ListResourcesResult,
    ListToolsResult, PaginatedRequestParams, Prompt, PromptArgument, PromptMessage,
    ReadResourceRequestParams, ReadResourceResponse, ReadResourceResult, Resource,
    ResourceContents, Role, ServerCapabilities, ServerConfig, Tool, ToolAnnotations,
};
use rmcp::service::RequestContext;
use rmcp::{ErrorData, RoleServer, ServerHandler, ServiceExt};
use serde_json::{Map, Value, json};

use crate::base::unix_seconds;

const README: &str = "demo://readme";
const README_TEXT: &str = "This is the demo server that is built into mcp-proxy. Replace it in mcp-proxy.toml with \
                           the servers that you use.";

/// Serves over standard input and output until the input closes.
///
/// # Errors
/// When the client does not speak MCP.
pub async fn run() -> Result<(), String> {
    let service =
        Demo.serve(rmcp::transport::io::stdio()).await.map_err(|error| error.to_string())?;
    service.waiting().await.map_err(|error| error.to_string())?;
    Ok(())
}

/// The server; it has no state.
#[derive(Debug, Clone, Copy)]
struct Demo;

fn schema(properties: &Value, required: &[&str]) -> Arc<Map<String, Value>> {
    let schema = json!({ "type": "object", "properties": properties, "required": required });
    Arc::new(schema.as_object().cloned().unwrap_or_default())
}

fn tools() -> Vec<Tool> {
    let read_only = || ToolAnnotations::new().read_only(true);
    vec![
        Tool::new(
            "add",
            "Adds two numbers.",
            schema(&json!({ "a": { "type": "number" }, "b": { "type": "number" } }), &["a", "b"]),
        )
        .with_annotations(read_only()),
        Tool::new(
            "echo",
            "Gives back the text that it is given.",
            schema(&json!({ "text": { "type": "string" } }), &["text"]),
        )
        .with_annotations(read_only()),
        Tool::new(
            "now",
            "Tells the time in seconds since 1970-01-01 (UTC).",
            schema(&json!({}), &[]),
        )
        .with_annotations(read_only()),
    ]
}

fn call(name: &str, arguments: &Map<String, Value>) -> Result<CallToolResult, ErrorData> {
    let missing = |what: &str| {
        CallToolResult::error(vec![ContentBlock::text(format!("argument `{what}` is missing"))])
    };
    let text = |text: String| CallToolResult::success(vec![ContentBlock::text(text)]);
    let number = |name: &str| arguments.get(name).and_then(Value::as_f64);
    Ok(match name {
        "add" => match (number("a"), number("b")) {
            (Some(a), Some(b)) => text((a + b).to_string()),
            (None, _) => missing("a"),
            (_, None) => missing("b"),
        },
        "echo" => match arguments.get("text").and_then(Value::as_str) {
            Some(given) => text(given.to_owned()),
            None => missing("text"),
        },
        "now" => text(unix_seconds().to_string()),
        _ => return Err(ErrorData::invalid_params(format!("Unknown tool: {name}"), None)),
    })
}

impl ServerHandler for Demo {
    fn get_info(&self) -> ServerConfig {
        let capabilities = ServerCapabilities::builder()
            .enable_tools()
            .enable_prompts()
            .enable_resources()
            .build();
        ServerConfig::new(capabilities)
            .with_server_info(Implementation::new("mcp-proxy-demo", env!("CARGO_PKG_VERSION")))
            .with_instructions("A demo: add, echo and now.")
    }

    async fn list_tools(
        &self,
        _request: Option<PaginatedRequestParams>,
        _context: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        Ok(ListToolsResult { tools: tools(), ..Default::default() })
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        _context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        call(&request.name, &request.arguments.unwrap_or_default()).map(Into::into)
    }

    async fn list_resources(
        &self,
        _request: Option<PaginatedRequestParams>,
        _context: RequestContext<RoleServer>,
    ) -> Result<ListResourcesResult, ErrorData> {
        let readme = Resource::new(README, "readme")
            .with_description("About this demo")
            .with_mime_type("text/plain");
        Ok(ListResourcesResult { resources: vec![readme], ..Default::default() })
    }

    async fn read_resource(
        &self,
        request: ReadResourceRequestParams,
        _context: RequestContext<RoleServer>,
    ) -> Result<ReadResourceResponse, ErrorData> {
        if request.uri != README {
            let data = json!({ "uri": request.uri });
            return Err(ErrorData::resource_not_found("Resource not found", Some(data)));
        }
        let contents = ResourceContents::TextResourceContents {
            uri: request.uri,
            mime_type: Some("text/plain".to_owned()),
            text: README_TEXT.to_owned(),
            meta: None,
        };
        Ok(ReadResourceResult::new(vec![contents]).into())
    }

    async fn list_prompts(
        &self,
        _request: Option<PaginatedRequestParams>,
        _context: RequestContext<RoleServer>,
    ) -> Result<ListPromptsResult, ErrorData> {
        let name =
            PromptArgument::new("name").with_description("Whom to greet").with_required(true);
        let greet = Prompt::new("greet", Some("Greets somebody."), Some(vec![name]));
        Ok(ListPromptsResult { prompts: vec![greet], ..Default::default() })
    }

    async fn get_prompt(
        &self,
        request: GetPromptRequestParams,
        _context: RequestContext<RoleServer>,
    ) -> Result<GetPromptResponse, ErrorData> {
        if request.name != "greet" {
            return Err(ErrorData::invalid_params(
                format!("Unknown prompt: {}", request.name),
                None,
            ));
        }
        let name =
            request.arguments.as_ref().and_then(|given| given.get("name")).and_then(Value::as_str);
        let text = format!("Please greet {} kindly.", name.unwrap_or("everybody"));
        Ok(GetPromptResult::new(vec![PromptMessage::new_text(Role::User, text)]).into())
    }
}
