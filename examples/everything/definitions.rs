//! The definitions of all tools.

use rmcp::model::{JsonObject, Tool};
use serde_json::{Value, json};

/// Tools without arguments: name and description.
const BARE: &[(&str, &str)] = &[
    ("test_simple_text", "Answers with one text block"),
    ("test_image_content", "Answers with one PNG image block"),
    ("test_audio_content", "Answers with one WAV audio block"),
    ("test_embedded_resource", "Answers with one embedded resource"),
    ("test_multiple_content_types", "Answers with text, an image and a resource"),
    ("test_resource_link", "Answers with one link to a resource"),
    ("test_tool_with_logging", "Sends three log messages while it runs"),
    ("test_error_handling", "Always fails with a tool error"),
    ("test_tool_with_progress", "Reports progress three times while it runs"),
    ("test_elicitation_sep1034_defaults", "Asks the user with a default in every field"),
    ("test_elicitation_sep1330_enums", "Asks the user with every form of a choice"),
    ("test_reconnection", "Answers after a moment, for tests of stream resumption"),
    ("test_roots", "Asks the client for its roots and answers with them"),
    ("test_trigger_tool_change", "Announces that the list of tools changed"),
    ("test_trigger_prompt_change", "Announces that the list of prompts changed"),
    ("test_trigger_resource_change", "Announces that the list of resources changed"),
    ("test_missing_capability", "Needs the client capability sampling"),
    ("test_streaming_elicitation", "Asks the user for one value"),
    ("test_logging_tool", "Logs once when the request asks for a log level"),
    ("test_input_required_result_elicitation", "Asks the user for a name"),
    ("test_input_required_result_sampling", "Asks the model for a capital"),
    ("test_input_required_result_list_roots", "Asks the client for its roots"),
    ("test_input_required_result_request_state", "Asks once, with a sealed state"),
    ("test_input_required_result_multiple_inputs", "Asks user, model and roots at once"),
    ("test_input_required_result_multi_round", "Asks twice, one question after the other"),
    ("test_input_required_result_tampered_state", "Refuses a state that was changed"),
    ("test_input_required_result_capabilities", "Asks only what the client can answer"),
    ("begun_count", "Answers how many calls of sleep have begun"),
    ("cancelled_count", "Answers how many calls of sleep ended before their time"),
    ("crash", "Ends the server's process at once"),
    ("spawn_grandchild", "Starts a process that outlives a plain kill and answers its pid"),
    ("failing_job", "A task that ends with a tool error"),
    ("protocol_error_job", "A task that ends with a protocol error"),
    ("multi_input", "A task that waits for two answers"),
    ("test_tool_with_task", "Asks for a name, then goes on as a task"),
];

/// Every tool in a fixed order, `synthetic` generated ones last.
pub(crate) fn tools(synthetic: usize) -> Vec<Tool> {
    // The suite calls the first one without arguments.
    let bare = |&(name, description): &(&str, &str)| {
        tool(name, description, json!({"type": "object", "properties": {}}))
    };
    let mut tools = vec![
        bare(&BARE[0]),
        tool("echo", "Answers with the text it is given", one("text", "string")),
        tool(
            "whoami",
            "Answers with what arrived: headers, path, arguments and environment",
            json!({"type": "object", "properties": {
                "env": {"type": "array", "items": {"type": "string"},
                        "description": "Names of environment variables to report"}}}),
        ),
        tool(
            "show_request",
            "Another name of whoami",
            json!({"type": "object", "properties": {
                "env": {"type": "array", "items": {"type": "string"}}}}),
        ),
        tool("sleep", "Answers after ms milliseconds", one("ms", "integer")),
        tool("big", "Answers with a text of so many bytes", one("bytes", "integer")),
        tool(
            "structured",
            "Answers with structured content of about so many bytes",
            one("bytes", "integer"),
        ),
        tool(
            "tick",
            "Reports progress count times, one each ms milliseconds, and logs with each",
            json!({"type": "object", "properties": {
                "label": {"type": "string"}, "count": {"type": "integer"},
                "ms": {"type": "integer"}, "log": {"type": "boolean"}},
                "required": ["label", "count", "ms"]}),
        ),
        tool("touch_resource", "Announces that a resource changed", one("uri", "string")),
        tool("test_sampling", "Asks the client's model", one("prompt", "string")),
        tool("test_elicitation", "Asks the user", one("message", "string")),
        tool("greet", "Greets at once, never as a task", one("name", "string")),
        tool(
            "slow_compute",
            "Works for so many seconds, as a task when the client knows tasks",
            json!({"type": "object", "properties": {
                "seconds": {"type": "number"}, "label": {"type": "string"}}}),
        ),
        tool(
            "confirm_delete",
            "A task that waits for a confirmation",
            json!({"type": "object", "properties": {"filename": {"type": "string"}}}),
        ),
        custom_header(),
        json_schema(),
    ];
    tools.extend(BARE[1..].iter().map(bare));
    tools.extend((1..=synthetic).map(|number| {
        tool(
            &format!("synthetic_{number:04}"),
            "Looks up one record of the inventory and answers with its present state",
            json!({"type": "object", "properties": {
                "record": {"type": "string", "description": "Identifier of the record"},
                "limit": {"type": "integer", "minimum": 1}}, "required": ["record"]}),
        )
    }));
    tools
}

/// The tool whose argument also travels as a header.
pub(crate) fn custom_header() -> Tool {
    tool(
        "test_custom_header",
        "Takes an argument that travels as a header too",
        json!({"type": "object", "required": ["value"], "properties": {
            "value": {"type": "string", "x-mcp-header": "Value"}}}),
    )
}

fn json_schema() -> Tool {
    tool(
        "json_schema_2020_12_tool",
        "Has an input schema with the keywords of JSON Schema 2020-12",
        json!({
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "type": "object",
            "$defs": {"address": {
                "$anchor": "address",
                "type": "object",
                "properties": {"street": {"type": "string"}, "city": {"type": "string"}}}},
            "properties": {
                "name": {"type": "string"},
                "address": {"$ref": "#/$defs/address"}},
            "allOf": [{"anyOf": [{"required": ["name"]}, {"required": ["address"]}]}],
            "if": {"required": ["address"]},
            "then": {"properties": {"address": {"required": ["street"]}}},
            "else": {"required": ["name"]},
            "additionalProperties": false}),
    )
}

fn one(name: &str, kind: &str) -> Value {
    json!({"type": "object", "properties": {name: {"type": kind}}, "required": [name]})
}

fn tool(name: &str, description: &str, schema: Value) -> Tool {
    Tool::new(name.to_owned(), description.to_owned(), object(schema))
}

/// The members of a JSON object; nothing of any other value.
pub(crate) fn object(value: Value) -> JsonObject {
    match value {
        Value::Object(members) => members,
        _ => JsonObject::new(),
    }
}
