//! Tools of the tasks extension: work that the client polls for.

use std::time::Duration;

use rmcp::{
    ErrorData, RoleServer,
    model::{
        CallToolRequestParams, CallToolResponse, CallToolResult, ClientCapabilities, ContentBlock,
        CreateTaskResult, JsonObject,
    },
    service::RequestContext,
    task_manager::{TaskContext, TaskExit, TaskManager, TaskOptions},
};
use serde_json::Value;

use crate::{
    ask::{Outcome, Question, Script},
    probe::text_result,
};

/// What a call of one of these tools is to do.
#[derive(Clone)]
enum Job {
    Greet(String),
    Compute { seconds: f64, label: String },
    Fail,
    Break,
    Delete(String),
    Gather,
    Name(String),
}

impl Job {
    /// Whether the job asks its client or must be seen as a task, so that it has no other form.
    fn only_as_task(&self) -> bool {
        matches!(self, Self::Fail | Self::Delete(_) | Self::Gather | Self::Name(_))
    }

    async fn work(self, task: Option<&TaskContext>) -> Result<CallToolResult, TaskExit> {
        match self {
            Self::Greet(name) => Ok(text_result(format!("Hello, {name}!"))),
            Self::Compute { seconds, label } => {
                let seconds = Duration::from_secs_f64(seconds.clamp(0.0, 3600.0));
                let cancelled = async {
                    match task {
                        Some(task) => task.cancelled().await,
                        None => std::future::pending().await,
                    }
                };
                tokio::select! {
                    () = tokio::time::sleep(seconds) => Ok(text_result(format!("{label}: done"))),
                    () = cancelled => Err(TaskExit::Cancelled),
                }
            }
            Self::Fail => {
                tokio::time::sleep(Duration::from_secs(1)).await;
                let text = ContentBlock::text("this job always fails");
                Ok(CallToolResult::error(vec![text]))
            }
            Self::Break => {
                tokio::time::sleep(Duration::from_millis(200)).await;
                Err(TaskExit::Error(ErrorData::internal_error("this job always breaks", None)))
            }
            Self::Delete(file) => {
                let text = format!("Delete {file}?");
                let answer = ask(task, "confirm", &text, "confirm", "boolean").await?;
                Ok(text_result(format!("{file}: {answer}")))
            }
            Self::Gather => {
                let (first, second) = tokio::try_join!(
                    ask(task, "first", "The first value?", "value", "string"),
                    ask(task, "second", "The second value?", "value", "string"),
                )?;
                Ok(text_result(format!("{first} and {second}")))
            }
            Self::Name(name) => {
                tokio::time::sleep(Duration::from_millis(200)).await;
                Ok(text_result(format!("Hello, {name}, from a task!")))
            }
        }
    }
}

async fn ask(
    task: Option<&TaskContext>,
    key: &str,
    message: &str,
    field: &str,
    kind: &str,
) -> Result<Value, TaskExit> {
    let Some(task) = task else {
        return Err(TaskExit::Error(ErrorData::internal_error("asks only as a task", None)));
    };
    let entry = Question::field(message, field, kind).entry().map_err(TaskExit::Error)?;
    let answer = task.request_input(key, entry).await?;
    Ok(answer.pointer(&format!("/content/{field}")).cloned().unwrap_or(Value::Null))
}

fn job(name: &str, arguments: &JsonObject) -> Option<Job> {
    let text = |key: &str, default: &str| {
        arguments.get(key).and_then(Value::as_str).unwrap_or(default).to_owned()
    };
    Some(match name {
        "greet" => Job::Greet(text("name", "friend")),
        "slow_compute" => Job::Compute {
            seconds: arguments.get("seconds").and_then(Value::as_f64).unwrap_or(1.0),
            label: text("label", "compute"),
        },
        "failing_job" => Job::Fail,
        "protocol_error_job" => Job::Break,
        "confirm_delete" => Job::Delete(text("filename", "file.txt")),
        "multi_input" => Job::Gather,
        "test_tool_with_task" => Job::Name(String::new()),
        _ => return None,
    })
}

/// Runs a tool of this kind. None when the tool is not one of these.
pub(crate) async fn call(
    tasks: &TaskManager,
    request: &CallToolRequestParams,
    context: &RequestContext<RoleServer>,
) -> Option<Result<CallToolResponse, ErrorData>> {
    let nothing = JsonObject::new();
    let job = job(&request.name, request.arguments.as_ref().unwrap_or(&nothing))?;
    Some(start(tasks, job, request, context).await)
}

async fn start(
    tasks: &TaskManager,
    mut job: Job,
    request: &CallToolRequestParams,
    context: &RequestContext<RoleServer>,
) -> Result<CallToolResponse, ErrorData> {
    let knows_tasks = context.client_capabilities().is_some_and(|client| client.supports_tasks());
    if job.only_as_task() && !knows_tasks {
        return Err(ErrorData::missing_required_client_capability(
            ClientCapabilities::builder().enable_tasks().build(),
        ));
    }
    if let Job::Name(name) = &mut job {
        let question = Question::field("What is your name?", "name", "string");
        let script = Script::one("user_name", question);
        let responses = request.input_responses.as_ref();
        match script.run(context, responses, request.request_state.as_deref()).await? {
            Outcome::Again(result) => return Ok(result.into()),
            Outcome::Failed(reason) => return Err(ErrorData::internal_error(reason, None)),
            Outcome::Answers(answers) => {
                let given = answers.get("user_name").and_then(|it| it.pointer("/content/name"));
                *name = given.and_then(Value::as_str).unwrap_or("friend").to_owned();
            }
        }
    }
    if !knows_tasks || matches!(job, Job::Greet(_)) {
        return match job.work(None).await {
            Ok(result) => Ok(result.into()),
            Err(TaskExit::Error(error)) => Err(error),
            Err(_) => Err(ErrorData::internal_error("cancelled", None)),
        };
    }
    let task = tasks.spawn(TaskOptions::default(), move |task| {
        Box::pin(async move { job.work(Some(&task)).await })
    });
    Ok(CreateTaskResult::new(task).into())
}
