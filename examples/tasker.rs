//! A stdio MCP server whose tools run as tasks. A task goes on with each look at it, never with time:
//! `work {looks, questions, end}` is over after so many looks, asks then, and ends as `result`,
//! `failed`, `error` or `cancelled`; `report` tells what was done. With sessions (2025-11-25) `work`
//! must be called as a task, `either` may be. As `tasker modern`, of 2026-07-28: `work` becomes a task
//! for those who take one, and `touch` tells those who listen.

use std::collections::BTreeMap;
use std::io::{BufRead, Write};

use serde_json::{Map, Value, json};

const RELATED: &str = "io.modelcontextprotocol/related-task";
const META: &str = "io.modelcontextprotocol/";

fn say(message: &Value) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{message}");
    let _ = out.flush();
}

fn respond(id: &Value, result: &Value) {
    say(&json!({"jsonrpc": "2.0", "id": id, "result": result}));
}

fn refuse(id: &Value, code: i64, message: &str) {
    say(&json!({"jsonrpc": "2.0", "id": id, "error": {"code": code, "message": message}}));
}

fn text(value: &Value) -> Value {
    let link = json!({"type": "resource_link", "uri": "file:///made", "name": "made"});
    json!({"content": [{"type": "text", "text": value.to_string()}, link]})
}

#[derive(Default)]
struct Task {
    modern: bool,
    looks: u64,
    seen: u64,
    end: String,
    cancelled: bool,
    questions: Vec<Value>,
    asked: bool,
    /// By their number in `questions`.
    answers: BTreeMap<usize, Value>,
    /// The request for its result, which waits.
    waiting: Option<Value>,
}

impl Task {
    fn status(&self) -> &'static str {
        if self.cancelled {
            return "cancelled";
        }
        if self.seen < self.looks {
            return "working";
        }
        if self.answers.len() < self.questions.len() {
            return "input_required";
        }
        match self.end.as_str() {
            "cancelled" => "cancelled",
            "failed" if !self.modern => "failed",
            "error" => "failed",
            _ => "completed",
        }
    }
}

#[derive(Default)]
struct Tasker {
    modern: bool,
    tasks: BTreeMap<String, Task>,
    /// Which question of which task a request of ours asks.
    open: BTreeMap<u64, (String, usize)>,
    next: u64,
    listens: Vec<(Value, Vec<String>)>,
    declared: Vec<Value>,
    cancels: u64,
    plain: u64,
    refused: u64,
}

fn main() {
    let modern = std::env::args().any(|argument| argument == "modern");
    let mut tasker = Tasker { modern, ..Tasker::default() };
    for line in std::io::stdin().lock().lines() {
        let Ok(line) = line else { break };
        if let Ok(message) = serde_json::from_str::<Value>(&line) {
            tasker.take(&message);
        }
    }
}

impl Tasker {
    fn take(&mut self, message: &Value) {
        let (id, params) = (&message["id"], &message["params"]);
        match message["method"].as_str() {
            None => self.answer(message),
            Some("server/discover") if self.modern => respond(
                id,
                &json!({"resultType": "complete", "supportedVersions": ["2026-07-28"],
                    "capabilities": {"tools": {"listChanged": true},
                        "extensions": {"io.modelcontextprotocol/tasks": {}}},
                    "ttlMs": 0, "cacheScope": "private"}),
            ),
            Some("initialize") if !self.modern => respond(
                id,
                &json!({"protocolVersion": "2025-11-25",
                    "capabilities": {"tools": {},
                        "tasks": {"cancel": {}, "requests": {"tools": {"call": {}}}}},
                    "serverInfo": {"name": "tasker", "version": "1"}}),
            ),
            Some("tools/list") => respond(id, &self.tools()),
            Some("tools/call") => self.call(id, params),
            Some("tasks/get" | "tasks/cancel" | "tasks/update" | "tasks/result") => {
                self.about(id, message["method"].as_str().unwrap_or_default(), params);
            }
            Some("subscriptions/listen") if self.modern => {
                let filter = &params["notifications"];
                let ids = filter["taskIds"].as_array().into_iter().flatten();
                let ids: Vec<String> = ids.filter_map(Value::as_str).map(str::to_owned).collect();
                self.listens.push((id.clone(), ids));
                self.declared.push(capabilities(params));
                say(&json!({"jsonrpc": "2.0",
                    "method": "notifications/subscriptions/acknowledged",
                    "params": {"notifications": filter,
                        "_meta": {format!("{META}subscriptionId"): id}}}));
            }
            Some("notifications/cancelled") => {
                self.listens.retain(|(listen, _)| *listen != params["requestId"]);
                for task in self.tasks.values_mut() {
                    task.waiting.take_if(|waiting| *waiting == params["requestId"]);
                }
            }
            Some(_) if id.is_null() => {}
            Some(_) => refuse(id, -32601, "Method not found"),
        }
    }

    fn tools(&self) -> Value {
        let tool = |name: &str, support: &str| {
            let mut tool = json!({"name": name, "inputSchema": {"type": "object"}});
            if !self.modern {
                tool["execution"] = json!({"taskSupport": support});
            }
            tool
        };
        let tools = [
            tool("work", "required"),
            tool("either", "optional"),
            tool("report", "forbidden"),
            tool("touch", "forbidden"),
        ];
        json!({"tools": tools, "resultType": "complete", "ttlMs": 60_000, "cacheScope": "public"})
    }

    fn call(&mut self, id: &Value, params: &Value) {
        let arguments = &params["arguments"];
        match params["name"].as_str().unwrap_or_default() {
            "report" => {
                let told = json!({"tasks": self.tasks.len(), "cancels": self.cancels,
                    "plain": self.plain, "refused": self.refused, "declared": self.declared,
                    "listens": self.listens.len(), "waiting":
                        self.tasks.values().filter(|task| task.waiting.is_some()).count(),
                    "working": self.tasks.values().filter(|t| t.status() == "working").count()});
                respond(id, &self.complete(text(&told)));
            }
            "touch" => {
                for (listen, ids) in &self.listens {
                    for task in ids.iter().filter(|task| self.tasks.contains_key(*task)) {
                        let mut params = self.described(task, true);
                        params["_meta"] = json!({format!("{META}subscriptionId"): listen});
                        say(&json!({"jsonrpc": "2.0", "method": "notifications/tasks",
                            "params": params}));
                    }
                }
                respond(id, &self.complete(text(&json!("touched"))));
            }
            name => {
                let extensions = &capabilities(params)["extensions"];
                let taken = match self.modern {
                    true => extensions["io.modelcontextprotocol/tasks"].is_object(),
                    false => params["task"].is_object(),
                };
                if !taken {
                    if name == "work" && !self.modern {
                        self.refused += 1;
                        return refuse(id, -32601, "It runs as a task only");
                    }
                    self.plain += 1;
                    return respond(id, &self.complete(text(&json!("plain"))));
                }
                let questions = arguments["questions"].as_array().cloned().unwrap_or_default();
                let task = Task {
                    modern: self.modern,
                    looks: arguments["looks"].as_u64().unwrap_or(1),
                    end: arguments["end"].as_str().unwrap_or("result").to_owned(),
                    questions,
                    ..Task::default()
                };
                let name = format!("raw-{}", self.tasks.len() + 1);
                self.tasks.insert(name.clone(), task);
                let mut told = self.described(&name, false);
                if self.modern {
                    told["resultType"] = json!("task");
                    respond(id, &told);
                } else {
                    respond(id, &json!({ "task": told }));
                }
            }
        }
    }

    fn complete(&self, mut result: Value) -> Value {
        if self.modern {
            result["resultType"] = json!("complete");
        }
        result
    }

    /// A task as its era tells of it.
    fn described(&self, name: &str, whole: bool) -> Value {
        let task = &self.tasks[name];
        let (ttl, poll) =
            if self.modern { ("ttlMs", "pollIntervalMs") } else { ("ttl", "pollInterval") };
        let mut told = json!({"taskId": name, "status": task.status(),
            "statusMessage": format!("look {}", task.seen),
            "createdAt": "2026-01-01T00:00:00Z", "lastUpdatedAt": "2026-01-01T00:00:00Z",
            ttl: 60_000, poll: 50});
        if whole && self.modern {
            match task.status() {
                "input_required" => {
                    let open = task.questions.iter().enumerate();
                    let open = open.filter(|(number, _)| !task.answers.contains_key(number));
                    told["inputRequests"] = open
                        .map(|(number, question)| (format!("q{number}"), question.clone()))
                        .collect::<Map<_, _>>()
                        .into();
                }
                "completed" => told["result"] = self.complete(self.end(task)),
                "failed" => told["error"] = json!({"code": -32603, "message": "broken"}),
                _ => {}
            }
        }
        told
    }

    fn end(&self, task: &Task) -> Value {
        let answers: Vec<&Value> = task.answers.values().collect();
        let mut result = text(&json!({"answers": answers, "looks": task.seen}));
        if task.end == "failed" {
            result["isError"] = json!(true);
        }
        result
    }

    fn about(&mut self, id: &Value, method: &str, params: &Value) {
        let name = params["taskId"].as_str().unwrap_or_default().to_owned();
        let Some(task) = self.tasks.get_mut(&name) else {
            return refuse(id, -32602, "Unknown task");
        };
        match method {
            "tasks/get" => {
                task.seen += 1;
                let told = self.described(&name, true);
                respond(id, &self.complete(told));
            }
            "tasks/cancel" => {
                self.cancels += 1;
                task.cancelled = true;
                let told = if self.modern { json!({}) } else { self.described(&name, false) };
                respond(id, &self.complete(told));
            }
            "tasks/update" => {
                for (key, answer) in params["inputResponses"].as_object().into_iter().flatten() {
                    let number = key.trim_start_matches('q').parse().unwrap_or(usize::MAX);
                    if number < task.questions.len() {
                        task.answers.insert(number, answer.clone());
                    }
                }
                respond(id, &self.complete(json!({})));
            }
            _ => {
                task.waiting = Some(id.clone());
                if task.status() == "input_required" && !std::mem::replace(&mut task.asked, true) {
                    for (number, question) in task.questions.iter().enumerate() {
                        self.next += 1;
                        self.open.insert(self.next, (name.clone(), number));
                        let mut params = question["params"].clone();
                        params["_meta"] = json!({RELATED: {"taskId": name}});
                        say(&json!({"jsonrpc": "2.0", "id": self.next,
                            "method": question["method"], "params": params}));
                    }
                }
                self.settle(&name);
            }
        }
    }

    fn answer(&mut self, message: &Value) {
        let Some((name, number)) =
            message["id"].as_u64().and_then(|number| self.open.remove(&number))
        else {
            return;
        };
        if let Some(task) = self.tasks.get_mut(&name) {
            let answer = if message["error"].is_null() { "result" } else { "error" };
            task.answers.insert(number, message[answer].clone());
        }
        self.settle(&name);
    }

    /// Gives the result of a task that is over to whoever waits for it.
    fn settle(&mut self, name: &str) {
        let Some(task) = self.tasks.get_mut(name) else { return };
        let status = task.status();
        if !matches!(status, "completed" | "failed" | "cancelled") {
            return;
        }
        let Some(id) = task.waiting.take() else { return };
        let task = &self.tasks[name];
        if task.end == "error" || status == "cancelled" {
            return refuse(&id, -32603, "broken");
        }
        let mut result = self.end(task);
        result["_meta"] = json!({RELATED: {"taskId": name}, "vendor/kept": 1});
        respond(&id, &result);
    }
}

fn capabilities(params: &Value) -> Value {
    params["_meta"][format!("{META}clientCapabilities")].clone()
}
