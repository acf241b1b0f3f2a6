//! The prompts, and completion of their arguments.

use rmcp::{
    ErrorData, RoleServer,
    model::{
        CompleteRequestParams, CompleteResult, CompletionInfo, ContentBlock,
        GetPromptRequestParams, GetPromptResponse, GetPromptResult, ImageContent, Prompt,
        PromptArgument, PromptMessage, Role,
    },
    service::RequestContext,
};
use serde_json::Value;

use crate::{
    ask::{Outcome, Question, Script},
    simple::{IMAGE, text_resource},
};

/// Every prompt in a fixed order.
pub(crate) fn list() -> Vec<Prompt> {
    let bare = |name: &str, description: &str| Prompt::new(name, Some(description), None);
    vec![
        bare("test_simple_prompt", "One message, no arguments"),
        Prompt::new(
            "test_prompt_with_arguments",
            Some("One message that shows two arguments"),
            Some(vec![
                PromptArgument::new("arg1").with_description("The first").with_required(true),
                PromptArgument::new("arg2").with_description("The second").with_required(false),
            ]),
        ),
        bare("test_prompt_with_embedded_resource", "A message that holds a resource"),
        bare("test_prompt_with_image", "A message that holds an image"),
        bare("test_input_required_result_prompt", "Asks the user before it answers"),
    ]
}

/// Answers `prompts/get`.
pub(crate) async fn get(
    request: &GetPromptRequestParams,
    context: &RequestContext<RoleServer>,
) -> Result<GetPromptResponse, ErrorData> {
    let argument = |name: &str| {
        request.arguments.as_ref().and_then(|arguments| arguments.get(name)).and_then(Value::as_str)
    };
    let text = |text: String| PromptMessage::new_text(Role::User, text);
    let messages = match request.name.as_str() {
        "test_simple_prompt" => vec![text("This is a simple prompt for testing.".to_owned())],
        "test_prompt_with_arguments" => vec![text(format!(
            "Prompt with arguments: arg1='{}', arg2='{}'",
            argument("arg1").unwrap_or_default(),
            argument("arg2").unwrap_or_default()
        ))],
        "test_prompt_with_embedded_resource" => {
            let uri = argument("resourceUri").unwrap_or("test://example-resource");
            let resource = text_resource(uri, "text/plain", "Embedded resource content.");
            vec![
                PromptMessage::new(Role::User, ContentBlock::resource(resource)),
                text("Please process the embedded resource above.".to_owned()),
            ]
        }
        "test_prompt_with_image" => vec![
            PromptMessage::new(
                Role::User,
                ContentBlock::Image(ImageContent::new(IMAGE, "image/png")),
            ),
            text("Please look at the image above.".to_owned()),
        ],
        "test_input_required_result_prompt" => {
            let question = Question::field("Which context is it for?", "context", "string");
            let script = Script::one("user_context", question);
            let state = request.request_state.as_deref();
            match script.run(context, request.input_responses.as_ref(), state).await? {
                Outcome::Again(result) => return Ok(result.into()),
                Outcome::Failed(reason) => return Err(ErrorData::internal_error(reason, None)),
                Outcome::Answers(answers) => {
                    vec![text(format!("The context is {}", Value::Object(answers)))]
                }
            }
        }
        name => {
            return Err(ErrorData::invalid_params(format!("there is no prompt {name:?}"), None));
        }
    };
    Ok(GetPromptResult::new(messages).into())
}

/// Answers `completion/complete` with the words that begin like the argument.
pub(crate) fn complete(request: &CompleteRequestParams) -> Result<CompleteResult, ErrorData> {
    let words = ["paris", "park", "party", "london", "test", "testing"];
    let begun = request.argument.value.as_str();
    let values = words.into_iter().filter(|word| word.starts_with(begun));
    CompletionInfo::new(values.map(str::to_owned).collect())
        .map(CompleteResult::new)
        .map_err(|error| ErrorData::internal_error(error, None))
}
