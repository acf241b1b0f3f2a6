//! A stdio MCP server that asks what it is told to ask, and tells what it was answered. With sessions:
//! `ask {questions: [{method, params}], progress, hold, withdraw, tag}`, `visit {tag}`, `report`. As
//! `asker modern`, of 2026-07-28: `lack`, `bare`, `stated`.

use std::collections::BTreeMap;
use std::io::{BufRead, Write};

use serde_json::{Value, json};

fn say(message: &Value) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{message}");
    let _ = out.flush();
}

fn respond(id: &Value, result: &Value) {
    say(&json!({"jsonrpc": "2.0", "id": id, "result": result}));
}

fn refuse(id: &Value, code: i64, message: &str, data: &Value) {
    let error = json!({"code": code, "message": message, "data": data});
    say(&json!({"jsonrpc": "2.0", "id": id, "error": error}));
}

fn text(id: &Value, value: &Value) {
    respond(id, &json!({"content": [{"type": "text", "text": value.to_string()}]}));
}

/// A call that waits for answers.
struct Call {
    id: Value,
    tag: Value,
    open: usize,
    answers: BTreeMap<u64, Value>,
}

#[derive(Default)]
struct Asker {
    modern: bool,
    next: u64,
    calls: Vec<Call>,
    /// Which call a question belongs to.
    questions: BTreeMap<u64, Value>,
    visited: Vec<Value>,
    ran: u64,
    finished: u64,
    cancelled: u64,
    answered: u64,
    declared: Value,
}

fn main() {
    let modern = std::env::args().any(|argument| argument == "modern");
    let mut asker = Asker { modern, ..Asker::default() };
    for line in std::io::stdin().lock().lines() {
        let Ok(line) = line else { break };
        if let Ok(message) = serde_json::from_str::<Value>(&line) {
            asker.take(&message);
        }
    }
}

impl Asker {
    fn take(&mut self, message: &Value) {
        let id = &message["id"];
        match message["method"].as_str() {
            None => self.answer(message),
            Some("server/discover") if self.modern => respond(
                id,
                &json!({"resultType": "complete", "supportedVersions": ["2026-07-28"],
                    "capabilities": {"tools": {}}, "ttlMs": 0, "cacheScope": "private"}),
            ),
            Some("initialize") if !self.modern => {
                self.declared = message["params"]["capabilities"].clone();
                respond(
                    id,
                    &json!({"protocolVersion": message["params"]["protocolVersion"],
                        "capabilities": {"tools": {}},
                        "serverInfo": {"name": "asker", "version": "1"}}),
                );
            }
            Some("tools/list") => {
                let tools: Vec<Value> = ["ask", "visit", "report", "lack", "bare", "stated"]
                    .iter()
                    .map(|name| json!({"name": name, "inputSchema": {"type": "object"}}))
                    .collect();
                respond(id, &json!({ "tools": tools }));
            }
            Some("tools/call") => self.call(id, &message["params"]),
            Some("notifications/cancelled") => {
                let gone = &message["params"]["requestId"];
                let before = self.calls.len();
                // Its questions stay, to count what is still said to them.
                self.calls.retain(|call| call.id != *gone);
                self.cancelled += u64::from(self.calls.len() < before);
            }
            Some(_) if id.is_null() => {}
            Some(_) => refuse(id, -32601, "Method not found", &Value::Null),
        }
    }

    fn call(&mut self, id: &Value, params: &Value) {
        let arguments = &params["arguments"];
        match params["name"].as_str().unwrap_or_default() {
            "ask" => {
                self.ran += 1;
                let token = &params["_meta"]["progressToken"];
                for step in 0..arguments["progress"].as_u64().unwrap_or(0) {
                    say(&json!({"jsonrpc": "2.0", "method": "notifications/progress",
                        "params": {"progressToken": token, "progress": step + 1}}));
                }
                let questions = arguments["questions"].as_array().cloned().unwrap_or_default();
                // A call that is held never has all that it waits for.
                let held = usize::from(arguments["hold"] == true);
                let (tag, open) = (arguments["tag"].clone(), questions.len() + held);
                let answers = BTreeMap::new();
                self.calls.push(Call { id: id.clone(), tag, open, answers });
                for question in questions {
                    self.next += 1;
                    self.questions.insert(self.next, id.clone());
                    let mut request =
                        json!({"jsonrpc": "2.0", "id": self.next, "method": question["method"]});
                    if question["params"].is_object() {
                        request["params"] = question["params"].clone();
                    }
                    say(&request);
                    if arguments["withdraw"] == true {
                        say(&json!({"jsonrpc": "2.0", "method": "notifications/cancelled",
                            "params": {"requestId": self.next}}));
                        self.questions.remove(&self.next);
                        if let Some(call) = self.calls.last_mut() {
                            call.open -= 1;
                        }
                    }
                }
                self.finish();
            }
            "visit" => {
                let tag = &arguments["tag"];
                if self.visited.contains(tag) {
                    self.ran += 1;
                    return text(id, &json!({"visited": tag}));
                }
                self.visited.push(tag.clone());
                let visit = json!({"mode": "url", "message": "Sign in", "elicitationId": "e1",
                    "url": "https://example.com/sign-in"});
                refuse(id, -32042, "URL elicitation required", &json!({"elicitations": [visit]}));
            }
            "lack" => {
                let required = json!({"requiredCapabilities": {"sampling": {"tools": {}}}});
                refuse(id, -32021, "Missing client capability", &required);
            }
            // Asks without a state, and then with nothing but one.
            "bare" if params["inputResponses"].is_null() => {
                let question = json!({"method": "roots/list"});
                respond(
                    id,
                    &json!({"resultType": "input_required", "inputRequests": {"q": question}}),
                );
            }
            "stated" if params["requestState"].is_null() => {
                self.ran += 1;
                respond(
                    id,
                    &json!({"resultType": "input_required", "requestState": "\u{1F600}/\" \\ é",
                        "ttlMs": 5, "cacheScope": "public"}),
                );
            }
            "bare" | "stated" => {
                self.finished += 1;
                let told = json!({"state": params["requestState"],
                    "answers": params["inputResponses"], "id": id});
                respond(
                    id,
                    &json!({"resultType": "complete",
                        "content": [{"type": "text", "text": told.to_string()}]}),
                );
            }
            _ => text(
                id,
                &json!({"ran": self.ran, "finished": self.finished, "cancelled": self.cancelled,
                    "waiting": self.calls.len(), "answered": self.answered,
                    "declared": self.declared}),
            ),
        }
    }

    fn answer(&mut self, message: &Value) {
        let Some(number) = message["id"].as_u64() else { return };
        let Some(call) = self.questions.remove(&number) else { return };
        self.answered += 1;
        if let Some(call) = self.calls.iter_mut().find(|waiting| waiting.id == call) {
            let kept = if message["error"].is_null() { "result" } else { "error" };
            call.answers.insert(number, json!({kept: message[kept]}));
        }
        self.finish();
    }

    /// Answers every call that has all its answers.
    fn finish(&mut self) {
        let (done, waiting): (Vec<_>, Vec<_>) =
            self.calls.drain(..).partition(|call| call.answers.len() == call.open);
        self.calls = waiting;
        for call in done {
            self.finished += 1;
            let answers: Vec<&Value> = call.answers.values().collect();
            text(&call.id, &json!({"tag": call.tag, "answers": answers}));
        }
    }
}
