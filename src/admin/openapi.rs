//! The OpenAPI 3.1 document, made from the table of routes.

use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::answer::Reply;
use super::call::Call;
use super::page::MOST;
use super::router::{Answering, ROUTES, Route, Who};
use super::schema::schemas;
use super::serve::Api;

#[expect(clippy::needless_pass_by_value, reason = "every route is handed its call")]
pub(super) fn show(api: Arc<Api>, call: Call) -> Answering {
    let for_operator = call.for_operator;
    Box::pin(async move {
        let config = api.config();
        let server = match &config.server.public_url {
            Some(url) if !for_operator || config.admin.listen.is_none() => {
                url.as_str().trim_end_matches('/').to_owned()
            }
            _ => "/".to_owned(),
        };
        Ok(Reply::ok(document(&server, for_operator)))
    })
}

/// The document; without the operator's routes where they are not served.
pub(super) fn document(server: &str, for_operator: bool) -> Value {
    let mut paths: Map<String, Value> = Map::new();
    for route in ROUTES.iter().filter(|route| for_operator || route.who != Who::Operator) {
        let path = paths.entry(route.path).or_insert_with(|| json!({}));
        path[route.method.to_ascii_lowercase()] = operation(route);
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "mcp-proxy",
            "version": env!("CARGO_PKG_VERSION"),
            "license": { "name": "Apache-2.0", "identifier": "Apache-2.0" },
            "description": "Looks after the tenants of an mcp-proxy: keys, secrets, sessions, upstreams; and \
                lists and calls tools for programs that do not speak MCP. Whatever the proxy's file declares is shown and cannot be changed here.",
        },
        "servers": [{ "url": server }],
        "security": [{ "bearer": [] }, { "apiKey": [] }],
        "paths": paths,
        "components": {
            "securitySchemes": {
                "bearer": { "type": "http", "scheme": "bearer", "description": "A key, or a token made of one." },
                "apiKey": { "type": "apiKey", "in": "header", "name": "X-API-Key" },
            },
            "schemas": schemas(),
        },
    })
}

/// What a call is told as a stream.
const EVENTS: &str = "With `Accept: text/event-stream`: any number of `progress` (`params` of \
    `notifications/progress`) and `message` (`params` of `notifications/message`, from `log_level` \
    on), then one `result` (as without a stream) or `error` (Problem). A refusal within the first second is \
    an HTTP status instead. Comments fill silence. Whoever hangs up cancels the call.";

fn operation(route: &Route) -> Value {
    let doc = &route.doc;
    let (status, schema) = doc.answer;
    let mut responses = Map::new();
    let mut good = json!({ "description": if status == 204 { "Done." } else { "Good." } });
    if let Some(schema) = schema {
        good["content"] = json!({ "application/json": { "schema": reference(schema) } });
    }
    if doc.id == "streamEvents" {
        good["content"] = json!({ "text/event-stream": { "schema": reference("EventStream") } });
    }
    if route.live && route.method == "POST" {
        good["content"]["text/event-stream"] =
            json!({ "schema": { "type": "string", "description": EVENTS } });
    }
    responses.insert(status.to_string(), good);
    let problem = json!({
        "application/problem+json": { "schema": reference("Problem") },
    });
    let usual: &[u16] = if route.who == Who::Key { &[401, 429] } else { &[401, 403, 429] };
    for refusal in usual.iter().chain(doc.refusals) {
        let description = refusal_text(*refusal);
        responses.insert(
            refusal.to_string(),
            json!({ "description": description, "content": problem.clone() }),
        );
    }
    let mut operation = json!({
        "operationId": doc.id,
        "summary": doc.summary,
        "description": format!("For: {}.", route.who.as_str()),
        "tags": [doc.tag],
        "parameters": parameters(route),
        "responses": responses,
    });
    if let Some(body) = doc.body {
        operation["requestBody"] = json!({
            "required": false,
            "content": { "application/json": { "schema": reference(body) } },
        });
    }
    operation
}

fn reference(schema: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{schema}") })
}

fn parameters(route: &Route) -> Vec<Value> {
    let text = json!({ "type": "string" });
    let header = |name: &str, description: &str| json!({ "name": name, "in": "header", "required": false, "schema": text, "description": description });
    let named = route.path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
    let mut all: Vec<Value> = named
        .map(|name| json!({ "name": name, "in": "path", "required": true, "schema": text }))
        .collect();
    if route.doc.answer.1.is_some_and(|schema| schema.ends_with("Page")) {
        all.push(json!({
            "name": "limit", "in": "query", "required": false,
            "schema": { "type": "integer", "minimum": 1, "maximum": MOST },
        }));
        all.push(json!({
            "name": "cursor", "in": "query", "required": false, "schema": text,
            "description": "`next` of the page before.",
        }));
    }
    if route.who != Who::Operator {
        all.push(header("X-Tenant", "With a key of the operator: the tenant that it acts for."));
    }
    let query = |name: &str, description: &str| json!({ "name": name, "in": "query", "required": false, "schema": text, "description": description });
    match route.doc.id {
        "streamEvents" => {
            all.push(query(
                "types",
                "With commas between: `call`, `head`, `upstream`, `reload`; all without.",
            ));
            all.push(query("upstream", "Calls and states of this upstream only."));
            let resumes =
                "The `id` of the last event that came: the calls after it are told first.";
            all.push(header("Last-Event-ID", resumes));
        }
        "listBodies" => {
            all.push(query("upstream", "Of calls to this upstream only."));
            all.push(query("tool", "Of this tool, prompt or resource, as the upstream names it."));
            let moment = "A moment, such as `2026-11-21T07:00:00Z`, or `24h` before now.";
            all.push(query("since", moment));
            all.push(query("until", moment));
        }
        "explainTool" => {
            all.push(json!({ "name": "tool", "in": "query", "required": true, "schema": text, "description": "By the name that clients of the door see." }));
            all.push(query("door", "Its path, such as `/p/support/mcp`; `/mcp` without."));
            all.push(query("key", "The id of a key of the tenant; your own without."));
            all.push(query(
                "ask",
                "`false`: start no upstream, and tell what can be told without.",
            ));
        }
        _ => {}
    }
    if route.doc.tag == "tools" && route.doc.id != "explainTool" {
        all.push(query("profile", "As at the door `/p/{profile}/mcp`."));
        all.push(query(
            "upstream",
            "As at the door `/mcp/{upstream}`, under the upstream's own names.",
        ));
    }
    if route.method == "POST" && !route.live {
        all.push(header(
            "Idempotency-Key",
            "Names the request: sent twice within a day it is carried out once, and answered alike.",
        ));
    }
    if route.doc.refusals.contains(&412) {
        all.push(header(
            "If-Match",
            "The ETag of the state that you mean; 412 when it has changed.",
        ));
    }
    all
}

fn refusal_text(status: u16) -> &'static str {
    match status {
        400 => "The body or a parameter is wrong.",
        401 => "No valid key.",
        403 => "The key may not do this.",
        404 => "Nothing of that name.",
        409 => "It is there already, is declared in the file, or something stands in the way.",
        412 => "It has changed since it was read.",
        422 => {
            "The file is refused and the one before runs on, as `problems` says; or the tool asks its user for something, which plain HTTP cannot carry."
        }
        428 => "Say with If-Match that you mean it.",
        429 => "A limit is reached; Retry-After says when to come back.",
        502 => {
            "The upstream failed, or answered with an error. `retry` says whether it may have run."
        }
        503 => "Too much at once; nothing was executed.",
        504 => "The upstream did not answer in time, or not within `timeout`. It may have run.",
        _ => "Refused.",
    }
}
