//! An MCP server, over stdio or (`--http ADDR`) over HTTP, whose tools run as tasks. A task goes on with each look at it, never with time:
//! `work {looks, questions, end}` is over after so many looks, asks then, and ends as `result`,
//! `failed`, `error` or `cancelled`; `report` tells what was done; `die` ends it. With sessions (2025-11-25) `work`
//! must be called as a task, `either` may be. As `tasker modern`, of 2026-07-28: `work` becomes a task
//! for those who take one, and `touch` tells those who listen.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::{Map, Value, json};

const RELATED: &str = "io.modelcontextprotocol/related-task";
const META: &str = "io.modelcontextprotocol/";

/// Where the messages of each POST go; empty over stdio.
static STREAMS: Mutex<BTreeMap<u64, Sender<Value>>> = Mutex::new(BTreeMap::new());

/// Whom an answer is for.
#[derive(Clone, Default)]
struct To {
    /// The POST that it came with; 0 over stdio.
    stream: u64,
    id: Value,
}

impl To {
    fn say(&self, message: Value) {
        if self.stream == 0 {
            let mut out = std::io::stdout().lock();
            let _ = writeln!(out, "{message}");
            let _ = out.flush();
            return;
        }
        let streams = STREAMS.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(stream) = streams.get(&self.stream) {
            let _ = stream.send(message);
        }
    }

    fn respond(&self, result: &Value) {
        self.say(json!({"jsonrpc": "2.0", "id": self.id, "result": result}));
    }

    fn refuse(&self, code: i64, message: &str) {
        let error = json!({"code": code, "message": message});
        self.say(json!({"jsonrpc": "2.0", "id": self.id, "error": error}));
    }
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
    waiting: Option<To>,
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
    listens: Vec<(To, Vec<String>)>,
    declared: Vec<Value>,
    cancels: u64,
    plain: u64,
    refused: u64,
    /// Requests about a task whose `Mcp-Name` is another.
    misnamed: u64,
    dead: bool,
}

fn main() {
    let options: Vec<String> = std::env::args().skip(1).collect();
    let modern = options.iter().any(|option| option == "modern");
    let tasker = Tasker { modern, ..Tasker::default() };
    match options.iter().position(|option| option == "--http") {
        Some(at) => serve(tasker, options.get(at + 1).map_or("127.0.0.1:0", String::as_str)),
        None => talk(tasker),
    }
}

fn talk(mut tasker: Tasker) {
    for line in std::io::stdin().lock().lines() {
        let Ok(line) = line else { break };
        if let Ok(message) = serde_json::from_str::<Value>(&line) {
            tasker.take(0, &message);
        }
        if tasker.dead {
            break;
        }
    }
}

/// Ends when standard input does.
fn serve(tasker: Tasker, address: &str) {
    let listener = match TcpListener::bind(address) {
        Ok(listener) => listener,
        Err(error) => return eprintln!("tasker: {address}: {error}"),
    };
    if let Ok(address) = listener.local_addr() {
        let _ = writeln!(std::io::stdout(), "listening on http://{address}/mcp");
    }
    let tasker = Arc::new(Mutex::new(tasker));
    std::thread::spawn(move || {
        let mut last = 0;
        for stream in listener.incoming().flatten() {
            last += 1;
            let (tasker, number) = (Arc::clone(&tasker), last);
            std::thread::spawn(move || exchange(&tasker, stream, number));
        }
    });
    let _ = std::io::stdin().lock().read_to_end(&mut Vec::new());
}

/// One request of HTTP, and its answer as events.
fn exchange(tasker: &Mutex<Tasker>, stream: TcpStream, number: u64) -> Option<()> {
    let mut input = BufReader::new(stream.try_clone().ok()?);
    let mut output = stream;
    let (mut first, mut length, mut named) = (String::new(), 0, None);
    input.read_line(&mut first).ok()?;
    loop {
        let mut line = String::new();
        input.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim().split_once(':') else { break };
        match name.to_ascii_lowercase().as_str() {
            "content-length" => length = value.trim().parse().ok()?,
            "mcp-name" => named = Some(value.trim().to_owned()),
            _ => {}
        }
    }
    if !first.starts_with("POST") {
        return write!(output, "HTTP/1.1 405 No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            .ok();
    }
    let mut body = vec![0; length];
    input.read_exact(&mut body).ok()?;
    let message: Value = serde_json::from_slice(&body).ok()?;
    let (sender, said) = channel();
    let lock = || tasker.lock().unwrap_or_else(PoisonError::into_inner);
    let streams = || STREAMS.lock().unwrap_or_else(PoisonError::into_inner);
    streams().insert(number, sender);
    {
        let mut tasker = lock();
        let task = message["params"]["taskId"].as_str();
        if tasker.modern && task.is_some() && named.as_deref() != task {
            tasker.misnamed += 1;
        }
        tasker.take(number, &message);
    }
    let told = tell(&mut output, &message, &said);
    streams().remove(&number);
    told
}

fn tell(output: &mut TcpStream, message: &Value, said: &Receiver<Value>) -> Option<()> {
    if message["id"].is_null() || message["method"].is_null() {
        let head = "HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
        return write!(output, "{head}").ok();
    }
    let head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n";
    write!(output, "{head}Mcp-Session-Id: tasker\r\n\r\n").ok()?;
    while let Ok(next) = said.recv() {
        write!(output, "event: message\ndata: {next}\n\n").ok()?;
        output.flush().ok()?;
        if next["method"].is_null() {
            break;
        }
    }
    Some(())
}

impl Tasker {
    fn take(&mut self, stream: u64, message: &Value) {
        let to = &To { stream, id: message["id"].clone() };
        let params = &message["params"];
        match message["method"].as_str() {
            None => self.answer(message),
            Some("server/discover") if self.modern => {
                to.respond(&json!({"resultType": "complete", "supportedVersions": ["2026-07-28"],
                    "capabilities": {"tools": {"listChanged": true},
                        "extensions": {"io.modelcontextprotocol/tasks": {}}},
                    "ttlMs": 0, "cacheScope": "private"}))
            }
            Some("initialize") if !self.modern => {
                to.respond(&json!({"protocolVersion": "2025-11-25",
                    "capabilities": {"tools": {},
                        "tasks": {"cancel": {}, "requests": {"tools": {"call": {}}}}},
                    "serverInfo": {"name": "tasker", "version": "1"}}))
            }
            Some("tools/list") => to.respond(&self.tools()),
            Some("tools/call") => self.call(to, params),
            Some("tasks/get" | "tasks/cancel" | "tasks/update" | "tasks/result") => {
                self.about(to, message["method"].as_str().unwrap_or_default(), params);
            }
            Some("subscriptions/listen") if self.modern => {
                let filter = &params["notifications"];
                let ids = filter["taskIds"].as_array().into_iter().flatten();
                let ids: Vec<String> = ids.filter_map(Value::as_str).map(str::to_owned).collect();
                self.listens.push((to.clone(), ids));
                self.declared.push(capabilities(params));
                to.say(json!({"jsonrpc": "2.0",
                    "method": "notifications/subscriptions/acknowledged",
                    "params": {"notifications": filter,
                        "_meta": {format!("{META}subscriptionId"): to.id}}}));
            }
            Some("notifications/cancelled") => {
                self.listens.retain(|(listen, _)| listen.id != params["requestId"]);
                for task in self.tasks.values_mut() {
                    task.waiting.take_if(|waiting| waiting.id == params["requestId"]);
                }
            }
            Some(_) if to.id.is_null() => {}
            Some(_) => to.refuse(-32601, "Method not found"),
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
            tool("die", "forbidden"),
        ];
        json!({"tools": tools, "resultType": "complete", "ttlMs": 60_000, "cacheScope": "public"})
    }

    fn call(&mut self, to: &To, params: &Value) {
        let arguments = &params["arguments"];
        match params["name"].as_str().unwrap_or_default() {
            "die" => self.dead = true,
            "report" => {
                let told = json!({"tasks": self.tasks.len(), "cancels": self.cancels,
                    "plain": self.plain, "misnamed": self.misnamed, "refused": self.refused, "declared": self.declared,
                    "listens": self.listens.len(), "waiting":
                        self.tasks.values().filter(|task| task.waiting.is_some()).count(),
                    "working": self.tasks.values().filter(|t| t.status() == "working").count()});
                to.respond(&self.complete(text(&told)));
            }
            "touch" => {
                for (listen, ids) in &self.listens {
                    for task in ids.iter().filter(|task| self.tasks.contains_key(*task)) {
                        let mut params = self.described(task, true);
                        params["_meta"] = json!({format!("{META}subscriptionId"): listen.id});
                        listen.say(json!({"jsonrpc": "2.0", "method": "notifications/tasks",
                            "params": params}));
                    }
                }
                to.respond(&self.complete(text(&json!("touched"))));
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
                        return to.refuse(-32601, "It runs as a task only");
                    }
                    self.plain += 1;
                    return to.respond(&self.complete(text(&json!("plain"))));
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
                    to.respond(&told);
                } else {
                    to.respond(&json!({ "task": told }));
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

    fn about(&mut self, to: &To, method: &str, params: &Value) {
        let name = params["taskId"].as_str().unwrap_or_default().to_owned();
        let Some(task) = self.tasks.get_mut(&name) else {
            return to.refuse(-32602, "Unknown task");
        };
        match method {
            "tasks/get" => {
                task.seen += 1;
                let told = self.described(&name, true);
                to.respond(&self.complete(told));
            }
            "tasks/cancel" => {
                self.cancels += 1;
                task.cancelled = true;
                let told = if self.modern { json!({}) } else { self.described(&name, false) };
                to.respond(&self.complete(told));
            }
            "tasks/update" => {
                for (key, answer) in params["inputResponses"].as_object().into_iter().flatten() {
                    let number = key.trim_start_matches('q').parse().unwrap_or(usize::MAX);
                    if number < task.questions.len() {
                        task.answers.insert(number, answer.clone());
                    }
                }
                to.respond(&self.complete(json!({})));
            }
            _ => {
                task.waiting = Some(to.clone());
                if task.status() == "input_required" && !std::mem::replace(&mut task.asked, true) {
                    for (number, question) in task.questions.iter().enumerate() {
                        self.next += 1;
                        self.open.insert(self.next, (name.clone(), number));
                        let mut params = question["params"].clone();
                        params["_meta"] = json!({RELATED: {"taskId": name}});
                        to.say(json!({"jsonrpc": "2.0", "id": self.next,
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
        let Some(to) = task.waiting.take() else { return };
        let task = &self.tasks[name];
        if task.end == "error" || status == "cancelled" {
            return to.refuse(-32603, "broken");
        }
        let mut result = self.end(task);
        result["_meta"] = json!({RELATED: {"taskId": name}, "vendor/kept": 1});
        to.respond(&result);
    }
}

fn capabilities(params: &Value) -> Value {
    params["_meta"][format!("{META}clientCapabilities")].clone()
}
