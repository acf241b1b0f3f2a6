//! The tools that ask the client something before they answer.

use rmcp::{
    ErrorData, RoleServer,
    model::{
        CallToolRequestParams, CallToolResponse, CallToolResult, ClientCapabilities, ContentBlock,
        JsonObject,
    },
    service::RequestContext,
};
use serde_json::{Value, json};

use crate::{
    ask::{Outcome, Question, Script, is_modern},
    probe::text_result,
};

/// The tool that the suite judges by the key of its question. A question in a session has none,
/// so a server of that era has no such tool to offer.
const KEYED: &str = "test_input_required_result_elicitation";

/// The script of a tool with its arguments for a client; none for a tool that asks nothing.
fn script(name: &str, arguments: &JsonObject, client: &ClientCapabilities) -> Option<Script> {
    let argument = |key: &str, default: &str| {
        arguments.get(key).and_then(Value::as_str).unwrap_or(default).to_owned()
    };
    let name_form = || Question::field("What is your name?", "name", "string");
    let everything = || {
        vec![
            ("user_name", name_form()),
            ("greeting", Question::Model("Write a greeting".to_owned())),
            ("client_roots", Question::Roots),
        ]
    };
    Some(match name {
        "test_sampling" => {
            Script::one("sampling", Question::Model(argument("prompt", "Say something")))
        }
        "test_elicitation" => Script::one(
            "elicitation",
            Question::Form(
                argument("message", "Please say who you are"),
                json!({
                    "username": {"type": "string", "description": "How you are called"},
                    "email": {"type": "string", "description": "Where mail reaches you"}}),
                json!(["username", "email"]),
            ),
        ),
        "test_roots" => Script::one("roots", Question::Roots),
        "test_elicitation_sep1034_defaults" => Script::one("elicitation", defaults()),
        "test_elicitation_sep1330_enums" => Script::one("elicitation", choices()),
        "test_streaming_elicitation" => {
            Script::one("value", Question::field("Please give a value", "value", "string"))
        }
        KEYED => Script::one("user_name", name_form()),
        "test_input_required_result_sampling" => Script::one(
            "capital_question",
            Question::Model("What is the capital of France?".to_owned()),
        ),
        "test_input_required_result_list_roots" => Script::one("client_roots", Question::Roots),
        "test_input_required_result_request_state"
        | "test_input_required_result_tampered_state" => Script {
            rounds: vec![vec![("confirm", Question::field("Is that right?", "ok", "boolean"))]],
            stateful: true,
        },
        "test_input_required_result_multiple_inputs" => {
            Script { rounds: vec![everything()], stateful: true }
        }
        "test_input_required_result_multi_round" => Script {
            rounds: vec![
                vec![("step1", Question::field("First: what is your name?", "name", "string"))],
                vec![("step2", Question::field("Then: which colour?", "color", "string"))],
            ],
            stateful: true,
        },
        "test_input_required_result_capabilities" => {
            let suiting = everything().into_iter().filter(|(_, asked)| asked.suits(client));
            Script { rounds: vec![suiting.collect()], stateful: false }
        }
        _ => return None,
    })
}

/// Runs a tool that asks. None when the tool is not one of these.
pub(crate) async fn call(
    request: &CallToolRequestParams,
    context: &RequestContext<RoleServer>,
) -> Option<Result<CallToolResponse, ErrorData>> {
    let nothing = JsonObject::new();
    let client = context.client_capabilities().unwrap_or_default();
    let arguments = request.arguments.as_ref().unwrap_or(&nothing);
    let script = script(&request.name, arguments, &client)?;
    if request.name == KEYED && !is_modern(context) {
        let mut result = text_result("this tool needs a client of 2026-07-28");
        result.is_error = Some(true);
        return Some(Ok(result.into()));
    }
    let state = request.request_state.as_deref();
    let outcome = script.run(context, request.input_responses.as_ref(), state).await;
    Some(outcome.map(|outcome| match outcome {
        Outcome::Again(result) => result.into(),
        Outcome::Failed(reason) => {
            let text = format!("the client did not answer: {reason}");
            CallToolResult::error(vec![ContentBlock::text(text)]).into()
        }
        Outcome::Answers(answers) => {
            let text = told(&request.name, answers);
            CallToolResult::success(vec![ContentBlock::text(text)]).into()
        }
    }))
}

/// The answer of a tool, which shows the answers of the client.
fn told(tool: &str, answers: JsonObject) -> String {
    let text = |pointer: &str| {
        let found = answers.values().next().and_then(|answer| answer.pointer(pointer));
        found.and_then(Value::as_str).unwrap_or("(nothing)").to_owned()
    };
    // A model answers with one block or with several.
    let said = || match text("/content/text") {
        missing if missing == "(nothing)" => text("/content/0/text"),
        said => said,
    };
    match tool {
        "test_sampling" => format!("LLM response: {}", said()),
        KEYED => format!("Hello, {}!", text("/content/name")),
        "test_input_required_result_sampling" => {
            format!("The model says: {}", said())
        }
        "test_elicitation"
        | "test_elicitation_sep1034_defaults"
        | "test_elicitation_sep1330_enums" => {
            let content = answers.values().next().and_then(|answer| answer.get("content"));
            format!(
                "User response: action={}, content={}",
                text("/action"),
                content.unwrap_or(&Value::Null)
            )
        }
        "test_input_required_result_request_state" => "state-ok".to_owned(),
        _ => format!("answers: {}", Value::Object(answers)),
    }
}

fn defaults() -> Question {
    Question::Form(
        "Please check these values".to_owned(),
        json!({
            "name": {"type": "string", "description": "Name", "default": "John Doe"},
            "age": {"type": "integer", "description": "Age", "default": 30},
            "score": {"type": "number", "description": "Score", "default": 95.5},
            "status": {"type": "string", "description": "Status",
                       "enum": ["active", "inactive", "pending"], "default": "active"},
            "verified": {"type": "boolean", "description": "Verified", "default": true}}),
        json!([]),
    )
}

fn choices() -> Question {
    let titled = |word: &str| {
        json!([{"const": "value1", "title": format!("First {word}")},
               {"const": "value2", "title": format!("Second {word}")},
               {"const": "value3", "title": format!("Third {word}")}])
    };
    Question::Form(
        "Please choose".to_owned(),
        json!({
            "untitledSingle": {"type": "string", "enum": ["option1", "option2", "option3"]},
            "titledSingle": {"type": "string", "oneOf": titled("Option")},
            "legacyEnum": {"type": "string", "enum": ["opt1", "opt2", "opt3"],
                           "enumNames": ["Option One", "Option Two", "Option Three"]},
            "untitledMulti": {"type": "array", "items": {
                "type": "string", "enum": ["option1", "option2", "option3"]}},
            "titledMulti": {"type": "array", "items": {"anyOf": titled("Choice")}}}),
        json!([]),
    )
}
