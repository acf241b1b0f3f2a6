//! Each feature of the protocol, once: what a client does and what it must see, whoever speaks
//! which era on the other side.

use std::pin::Pin;

use rmcp::model::{
    ClientRequest, ErrorCode, GetPromptRequestParams, LoggingLevel, PaginatedRequestParams,
    PingRequest, ReadResourceRequestParams, SetLevelRequestParams, UnsubscribeRequestParams,
};
use serde_json::{Value, json};

use crate::{
    client::{Client, Note, PATIENCE},
    support::{Era, Raw, post},
};

/// What a feature comes to.
pub(crate) type Outcome = Result<(), String>;
type Running<'a> = Pin<Box<dyn Future<Output = Outcome> + 'a>>;

/// One row of the table.
pub(crate) struct Feature {
    pub(crate) name: &'static str,
    /// The eras of clients that have it.
    pub(crate) eras: &'static [Era],
    pub(crate) run: for<'a> fn(&'a Client) -> Running<'a>,
}

const BOTH: &[Era] = &Era::BOTH;
const LEGACY: &[Era] = &[Era::Legacy];

macro_rules! feature {
    ($name:literal, $eras:ident, $run:ident) => {
        Feature { name: $name, eras: $eras, run: |client| Box::pin($run(client)) }
    };
}

/// Every row. SSE and what comes with it (resumption) has a column of its own when it is there.
pub(crate) const FEATURES: &[Feature] = &[
    feature!("ping", LEGACY, ping),
    feature!("tools, pages", BOTH, pages),
    feature!("content: every type", BOTH, content),
    feature!("structured output", BOTH, structured),
    feature!("errors of both kinds", BOTH, errors),
    feature!("prompts", BOTH, prompts),
    feature!("resources", BOTH, resources),
    feature!("templates", BOTH, templates),
    feature!("completion", BOTH, completion),
    feature!("progress, 100 a second", BOTH, progress),
    feature!("logging with levels", BOTH, logging),
    feature!("elicitation", BOTH, elicitation),
    feature!("sampling", BOTH, sampling),
    feature!("roots", BOTH, roots),
    // After these a process of the legacy era may be at work for somebody who has gone, and what it
    // asks may belong to that call.
    feature!("cancellation", BOTH, cancellation),
    feature!("disconnection", BOTH, disconnection),
    feature!("list_changed", BOTH, list_changed),
    feature!("subscribe, updated", BOTH, updated),
];

fn same<T: PartialEq + std::fmt::Debug>(what: &str, found: &T, expected: &T) -> Outcome {
    if found == expected {
        return Ok(());
    }
    Err(format!("{what}: {found:?} instead of {expected:?}"))
}

fn told<E: std::fmt::Display>(error: E) -> String {
    error.to_string()
}

async fn ping(client: &Client) -> Outcome {
    let ping = ClientRequest::PingRequest(PingRequest::default());
    client.peer().send_request(ping).await.map(drop).map_err(told)
}

async fn pages(client: &Client) -> Outcome {
    let mut names = Vec::new();
    let mut cursor = None;
    loop {
        let params = PaginatedRequestParams::default().with_cursor(cursor);
        let page = client.peer().list_tools(Some(params)).await.map_err(told)?;
        names.extend(page.tools.iter().map(|tool| tool.name.to_string()));
        match page.next_cursor {
            Some(next) => cursor = Some(next),
            None => break,
        }
    }
    let synthetic: Vec<String> = (1..=300).map(|n| format!("synthetic_{n:04}")).collect();
    let found: Vec<String> =
        names.iter().filter(|name| name.starts_with("synthetic_")).cloned().collect();
    same("the tools of all pages", &found, &synthetic)?;
    let named = ["echo", "tick", "structured"];
    same("others", &named.iter().all(|name| names.contains(&(*name).to_owned())), &true)
}

async fn content(client: &Client) -> Outcome {
    let kinds = [
        ("test_simple_text", vec!["text"]),
        ("test_image_content", vec!["image"]),
        ("test_audio_content", vec!["audio"]),
        ("test_embedded_resource", vec!["resource"]),
        ("test_resource_link", vec!["resource_link"]),
        ("test_multiple_content_types", vec!["text", "image", "resource"]),
    ];
    for (tool, expected) in kinds {
        let result = json!(client.call(tool, Value::Null).await?);
        let blocks = result["content"].as_array().cloned().unwrap_or_default();
        let found: Vec<&str> = blocks.iter().filter_map(|block| block["type"].as_str()).collect();
        same(tool, &found, &expected)?;
        for block in &blocks {
            let uri = block["uri"].as_str().or(block["resource"]["uri"].as_str());
            same("its URI", &uri.is_none_or(|uri| uri.starts_with("test://")), &true)?;
            let data = block["data"].as_str();
            same("its data", &data.is_none_or(|data| data.len() > 50), &true)?;
        }
    }
    let text = client.text("big", json!({"bytes": 1_000_000})).await?;
    same("a large text", &text.len(), &1_000_000)
}

async fn structured(client: &Client) -> Outcome {
    let result = client.call("structured", json!({"bytes": 10_000})).await?;
    let rows = result.structured_content.unwrap_or_default();
    same("rows", &rows["rows"].as_array().map_or(0, Vec::len), &100)?;
    same("a row", &rows["rows"][7]["score"], &json!(0.875))
}

async fn errors(client: &Client) -> Outcome {
    let result = client.call("test_error_handling", Value::Null).await?;
    same("isError", &result.is_error, &Some(true))?;
    let refused =
        client.peer().call_tool_once(rmcp::model::CallToolRequestParams::new("no_such_tool"));
    let error = refused.await.err().ok_or("an unknown tool was called")?;
    same("its code", &code(&error), &Some(ErrorCode::INVALID_PARAMS))
}

fn code(error: &rmcp::ServiceError) -> Option<ErrorCode> {
    match error {
        rmcp::ServiceError::McpError(error) => Some(error.code),
        _ => None,
    }
}

async fn prompts(client: &Client) -> Outcome {
    let all = client.peer().list_all_prompts().await.map_err(told)?;
    same("prompts", &(all.len() >= 4), &true)?;
    let get = async |name: &str, arguments: Value| {
        let mut params = GetPromptRequestParams::new(name);
        if let Value::Object(arguments) = arguments {
            params = params.with_arguments(arguments);
        }
        let got = client.service().get_prompt(params).await.map_err(told)?;
        Ok::<_, String>(json!(got))
    };
    let got = get("test_prompt_with_arguments", json!({"arg1": "one", "arg2": "two"})).await?;
    let text = &got["messages"][0]["content"]["text"];
    same("a prompt", text, &json!("Prompt with arguments: arg1='one', arg2='two'"))?;
    let uri = json!({"resourceUri": "test://static-text"});
    let got = get("test_prompt_with_embedded_resource", uri).await?;
    let uri = &got["messages"][0]["content"]["resource"]["uri"];
    same("its resource", uri, &json!("test://static-text"))?;
    let got = get("test_prompt_with_image", Value::Null).await?;
    same("its image", &got["messages"][0]["content"]["mimeType"], &json!("image/png"))
}

async fn resources(client: &Client) -> Outcome {
    let all = client.peer().list_all_resources().await.map_err(told)?;
    same("resources", &all.len(), &3)?;
    let read =
        async |uri: &str| client.service().read_resource(ReadResourceRequestParams::new(uri)).await;
    let got = json!(read("test://static-text").await.map_err(told)?);
    same("its URI", &got["contents"][0]["uri"], &json!("test://static-text"))?;
    let text = got["contents"][0]["text"].as_str().unwrap_or_default();
    same("its text", &text, &"This is the content of the static text resource.")?;
    let got = json!(read("test://static-binary").await.map_err(told)?);
    same("its blob", &(got["contents"][0]["blob"].as_str().map_or(0, str::len) > 50), &true)?;
    let error = read("test://none").await.err().ok_or("an unknown resource was read")?;
    let expected: &[i32] = match client.era {
        // A legacy client understands both.
        Era::Legacy => &[-32002, -32602],
        Era::Modern => &[-32602],
    };
    let known = code(&error).is_some_and(|code| expected.contains(&code.0));
    if known { Ok(()) } else { Err(format!("an unknown resource: {error}")) }
}

async fn templates(client: &Client) -> Outcome {
    let all = client.peer().list_all_resource_templates().await.map_err(told)?;
    let template = all.first().map(|template| template.uri_template.clone());
    same("the template", &template.as_deref(), &Some("test://template/{id}/data"))?;
    let params = ReadResourceRequestParams::new("test://template/7/data");
    let got = json!(client.service().read_resource(params).await.map_err(told)?);
    let text = got["contents"][0]["text"].as_str().unwrap_or_default();
    same("what it gives", &text.contains("Data for ID: 7"), &true)
}

async fn completion(client: &Client) -> Outcome {
    let peer = client.peer();
    let prompt = peer.complete_prompt_simple("test_prompt_with_arguments", "arg1", "par").await;
    let expected = ["paris", "park", "party"].map(str::to_owned).to_vec();
    same("of a prompt", &prompt.map_err(told)?, &expected)?;
    let resource = peer.complete_resource_simple("test://template/{id}/data", "id", "te").await;
    same(
        "of a resource",
        &resource.map_err(told)?,
        &["test", "testing"].map(str::to_owned).to_vec(),
    )
}

/// The progress of a label: each step once, in order.
fn steps(notes: &[Note], label: &str) -> Vec<f64> {
    notes
        .iter()
        .filter_map(|note| match note {
            Note::Progress(message, step) if message.starts_with(label) => Some(*step),
            _ => None,
        })
        .collect()
}

async fn progress(client: &Client) -> Outcome {
    client.heard.forget();
    let begun = client.begin("tick", json!({"label": "p", "count": 100, "ms": 10}), None).await?;
    begun.await_response().await.map_err(told)?;
    client.heard.until("all progress", |notes| steps(notes, "p ").len() >= 100).await?;
    let expected: Vec<f64> = (1..=100).map(f64::from).collect();
    same("progress", &steps(&client.heard.all(), "p "), &expected)
}

async fn logging(client: &Client) -> Outcome {
    client.heard.forget();
    let level = LoggingLevel::Warning;
    if client.era == Era::Legacy {
        client.peer().set_level(SetLevelRequestParams::new(level)).await.map_err(told)?;
    }
    let own = (client.era == Era::Modern).then_some(level);
    let arguments = json!({"label": "l", "count": 40, "ms": 5, "log": true});
    client.begin("tick", arguments, own).await?.await_response().await.map_err(told)?;
    // Of four steps the third is a warning and the fourth an error.
    let expected: Vec<String> = (1..=40)
        .filter(|step| step % 4 == 3 || step % 4 == 0)
        .map(|step| format!("l {step}"))
        .collect();
    let logged = |notes: &[Note]| -> Vec<String> {
        let data = |note: &Note| match note {
            Note::Log(_, data) => Some(data.clone()),
            _ => None,
        };
        notes.iter().filter_map(data).collect()
    };
    client.heard.until("the log", |notes| logged(notes).len() >= expected.len()).await?;
    same("the log", &logged(&client.heard.all()), &expected)
}

async fn cancelled(client: &Client) -> Result<u64, String> {
    client.text("cancelled_count", Value::Null).await?.parse().map_err(told)
}

async fn cancellation(client: &Client) -> Outcome {
    client.heard.forget();
    let before = cancelled(client).await?;
    let begun = client.begin("sleep", json!({"ms": 20_000}), None).await?;
    // Its progress says that it runs.
    client.heard.until("that it runs", |notes| !steps(notes, "").is_empty()).await?;
    begun.cancel(Some("enough".to_owned())).await.map_err(told)?;
    one_more(client, before).await
}

/// Waits until one more call has ended before its time.
async fn one_more(client: &Client, before: u64) -> Outcome {
    let end = tokio::time::Instant::now() + PATIENCE;
    while cancelled(client).await? == before {
        if tokio::time::Instant::now() > end {
            return Err("the upstream went on".to_owned());
        }
    }
    same("calls that ended", &cancelled(client).await?, &(before + 1))
}

/// A connection that ends cancels a call of the modern era, and none of a session.
async fn disconnection(client: &Client) -> Outcome {
    let before = cancelled(client).await?;
    let door = &client.door;
    let own =
        crate::support::Client::connect(client.era, door.address, &door.path, Some(&door.key));
    let ms = if client.era == Era::Legacy { 300 } else { 20_000 };
    let mut params = client.era.params(json!({"name": "sleep", "arguments": {"ms": ms}}));
    params["_meta"]["progressToken"] = json!("t");
    let body = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params});
    let mut headers = client.era.headers("tools/call", &params);
    headers.push(("Authorization", format!("Bearer {}", door.key)));
    headers.extend(own.session().map(|id| ("Mcp-Session-Id", id.to_owned())));
    let headers: Vec<(&str, &str)> =
        headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let mut raw = Raw::connect(door.address);
    let bytes = post(door.address, &door.path, &headers, body.to_string().as_bytes());
    raw.send(&bytes).map_err(told)?;
    // The stream begins with the progress that says that the call runs.
    same("its status", &raw.head().map_err(told)?.status, &200)?;
    drop(raw);
    if client.era == Era::Modern {
        return one_more(client, before).await;
    }
    client.call("sleep", json!({"ms": 2 * ms})).await?;
    same("calls that ended", &cancelled(client).await?, &before)
}

async fn list_changed(client: &Client) -> Outcome {
    let uri = "test://watched-resource";
    let _follower = client.follow(uri).await?;
    for (tool, kind) in [
        ("test_trigger_tool_change", "tools"),
        ("test_trigger_prompt_change", "prompts"),
        ("test_trigger_resource_change", "resources"),
    ] {
        client.heard.forget();
        client.call(tool, Value::Null).await?;
        let heard = |notes: &[Note]| notes.contains(&Note::Changed(kind));
        client.heard.until(kind, heard).await?;
        // What follows comes on the same stream, behind a second word about it.
        client.call("touch_resource", json!({"uri": uri})).await?;
        let updated = |notes: &[Note]| notes.iter().any(|note| matches!(note, Note::Updated(_)));
        client.heard.until("the update", updated).await?;
        let expected = vec![Note::Changed(kind), Note::Updated(uri.to_owned())];
        same("what was heard", &client.heard.all(), &expected)?;
    }
    Ok(())
}

async fn updated(client: &Client) -> Outcome {
    let uri = "test://watched-resource";
    let follower = client.follow(uri).await?;
    client.heard.forget();
    for round in 1..=5 {
        client.call("touch_resource", json!({"uri": uri})).await?;
        let heard = |notes: &[Note]| notes.len() >= round;
        client.heard.until("the update", heard).await?;
    }
    // Another resource, which nobody follows.
    client.call("touch_resource", json!({"uri": "test://static-text"})).await?;
    client.call("touch_resource", json!({"uri": uri})).await?;
    client.heard.until("the last update", |notes| notes.len() >= 6).await?;
    same("updates", &client.heard.all(), &vec![Note::Updated(uri.to_owned()); 6])?;
    if client.era == Era::Legacy {
        let params = UnsubscribeRequestParams::new(uri);
        client.peer().unsubscribe(params).await.map_err(told)?;
        client.heard.forget();
        client.call("touch_resource", json!({"uri": uri})).await?;
        client.call("test_trigger_tool_change", Value::Null).await?;
        client.heard.until("a change", |notes| !notes.is_empty()).await?;
        same("afterwards", &client.heard.all().first(), &Some(&Note::Changed("tools")))?;
    }
    drop(follower);
    Ok(())
}

async fn elicitation(client: &Client) -> Outcome {
    let text = client.text("test_elicitation", json!({"message": "Who are you?"})).await?;
    same("the answer", &text.contains("action=accept"), &true)?;
    same("the content", &text.contains(r#""username":"ada""#), &true)?;
    same("the question", &client.asked().contains("Who are you?"), &true)
}

async fn sampling(client: &Client) -> Outcome {
    let text = client.text("test_sampling", json!({"prompt": "What is it?"})).await?;
    same("the answer", &text.as_str(), &"LLM response: Paris")?;
    same("the question", &client.asked().contains("What is it?"), &true)
}

async fn roots(client: &Client) -> Outcome {
    let text = client.text("test_roots", Value::Null).await?;
    same("the answer", &text.contains("file:///home/someone"), &true)
}
