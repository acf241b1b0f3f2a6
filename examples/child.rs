//! A hostile stdio MCP server for tests: `child [MODE…]`. Legacy unless `modern` is among the
//! modes. Tools: any name; `tools/call` answers with what its arguments ask for.

#![expect(clippy::print_stdout, reason = "a server that prints is what is wanted")]

use std::io::{BufRead, Write};
use std::process::{Command, ExitCode};
use std::time::Duration;

use serde_json::{Value, json};

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

#[expect(clippy::disallowed_methods, reason = "a server that does nothing is what is wanted")]
fn sleep(duration: Duration) {
    std::thread::sleep(duration);
}

#[expect(clippy::exit, reason = "a server that dies in the middle is what is wanted")]
fn die(code: i32) -> ! {
    std::process::exit(code)
}

struct Server {
    modes: Vec<String>,
    calls: u32,
    lists: u32,
    /// Ids of calls that are held until they are cancelled or released.
    held: Vec<Value>,
    cancelled: Vec<Value>,
    answers: Vec<Value>,
    /// Questions that are open, each with the call that waits for it.
    asked: Vec<(Value, Value)>,
    /// Answers and cancellations in the order in which they came.
    heard: Vec<Value>,
    listen: Option<Value>,
}

fn main() -> ExitCode {
    let modes: Vec<String> = std::env::args().skip(1).collect();
    let mut server = Server {
        modes,
        calls: 0,
        lists: 0,
        held: Vec::new(),
        cancelled: Vec::new(),
        answers: Vec::new(),
        asked: Vec::new(),
        heard: Vec::new(),
        listen: None,
    };
    if server.has("grandchild") {
        // What stdin, stdout and stderr it inherits is part of the nastiness.
        let _ = Command::new("setsid").args(["sleep", "1000"]).spawn();
    }
    if server.has("garbage") {
        println!("Starting up… \u{1b}[31mred\u{1b}[0m");
        println!("{{\"half\": ");
        println!("[1, 2");
    }
    eprintln!("child ready");
    if server.has("deaf") {
        sleep(Duration::from_secs(1_000));
    }
    for line in std::io::stdin().lock().lines() {
        let Ok(line) = line else { break };
        let Ok(message) = serde_json::from_str::<Value>(&line) else {
            eprintln!("not JSON: {line}");
            continue;
        };
        server.take(&message);
    }
    if server.has("stubborn") {
        sleep(Duration::from_secs(1_000));
    }
    ExitCode::SUCCESS
}

impl Server {
    fn has(&self, mode: &str) -> bool {
        self.modes.iter().any(|own| own == mode)
    }

    fn take(&mut self, message: &Value) {
        let id = &message["id"];
        let Some(method) = message["method"].as_str() else {
            self.answers.push(message.clone());
            self.heard.push(json!({ "answer": id }));
            self.answered(message);
            return;
        };
        match method {
            "server/discover" if self.has("exits-on-discover") => {
                eprintln!("a request before initialize");
                die(3)
            }
            "server/discover" | "initialize" if self.has("mute") => {}
            "server/discover" if self.has("silent-probe") => {}
            "server/discover" if self.has("modern") => {
                if self.has("slow-start") {
                    sleep(Duration::from_millis(3_500));
                }
                respond(
                    id,
                    &json!({"resultType": "complete", "supportedVersions": ["2026-07-28"],
                        "capabilities": {"tools": {"listChanged": true}}, "ttlMs": 0,
                        "cacheScope": "private"}),
                );
            }
            "initialize" if !self.has("modern") => respond(
                id,
                &json!({"protocolVersion": message["params"]["protocolVersion"],
                    "capabilities": {"tools": {"listChanged": true}, "logging": {}},
                    "serverInfo": {"name": "child", "version": "1"}}),
            ),
            "notifications/initialized" if self.has("asks-at-start") => {
                say(&json!({"jsonrpc": "2.0", "id": "roots", "method": "roots/list"}));
            }
            "subscriptions/listen" => self.listen(id, message),
            "tools/list" if self.has("lists") => self.list(id),
            "tools/call" => self.call(id, &message["params"]),
            "notifications/cancelled" => {
                let gone = message["params"]["requestId"].clone();
                self.heard.push(json!({ "cancelled": gone }));
                // Some answer all the same.
                if !self.has("quiet") {
                    respond(&gone, &json!({"late": true}));
                }
                self.cancelled.push(gone);
            }
            _ if id.is_null() => {}
            _ => refuse(id, -32601, "Method not found"),
        }
    }

    /// A question has its answer: the call that waited for it has its result.
    fn answered(&mut self, message: &Value) {
        if let Some(place) = self.asked.iter().position(|(asked, _)| *asked == message["id"]) {
            let (_, call) = self.asked.remove(place);
            respond(&call, &json!({ "answered": message }));
        }
    }

    /// The list is given once; later ones are never answered.
    fn list(&mut self, id: &Value) {
        self.lists += 1;
        if self.lists > 1 {
            return;
        }
        let tools: Vec<Value> = ["echo", "change", "report", "die", "progress-and-die"]
            .iter()
            .map(|name| json!({"name": name, "inputSchema": {"type": "object"}}))
            .collect();
        respond(id, &json!({ "tools": tools }));
    }

    fn listen(&mut self, id: &Value, message: &Value) {
        self.listen = Some(id.clone());
        say(&json!({"jsonrpc": "2.0", "method": "notifications/subscriptions/acknowledged",
            "params": {"notifications": message["params"]["notifications"],
                "_meta": {"io.modelcontextprotocol/subscriptionId": id}}}));
        if message["params"]["notifications"]["toolsListChanged"] == true {
            say(&json!({"jsonrpc": "2.0", "method": "notifications/tools/list_changed",
                "params": {"_meta": {"io.modelcontextprotocol/subscriptionId": id}}}));
        }
        for uri in message["params"]["notifications"]["resourceSubscriptions"]
            .as_array()
            .into_iter()
            .flatten()
        {
            say(&json!({"jsonrpc": "2.0", "method": "notifications/resources/updated",
                "params": {"uri": uri, "_meta": {"io.modelcontextprotocol/subscriptionId": id}}}));
        }
    }

    fn call(&mut self, id: &Value, params: &Value) {
        self.calls += 1;
        let token = match &params["_meta"]["progressToken"] {
            Value::Null => id,
            token => token,
        };
        let arguments = &params["arguments"];
        match params["name"].as_str().unwrap_or_default() {
            "die" => {
                eprintln!("dying with s3cret");
                die(7)
            }
            "progress-and-die" => {
                say(&json!({"jsonrpc": "2.0", "method": "notifications/progress",
                    "params": {"progressToken": token, "progress": 1}}));
                die(7)
            }
            "hold" => self.held.push(id.clone()),
            "release" => {
                for held in std::mem::take(&mut self.held) {
                    respond(&held, &json!({"held": held}));
                }
                respond(id, &json!({}));
            }
            "twice" => {
                respond(id, &json!({"answer": 1}));
                respond(id, &json!({"answer": 2}));
            }
            "stray" => {
                respond(&json!(9_999_999), &json!({"stray": true}));
                respond(&json!("x"), &json!({"stray": true}));
                respond(id, &json!({"stray": false}));
            }
            "garbage" => {
                println!("print() debugging {{");
                respond(id, &json!({"after": "garbage"}));
            }
            "progress" => {
                for step in 0..arguments["steps"].as_u64().unwrap_or(3) {
                    sleep(Duration::from_millis(arguments["ms"].as_u64().unwrap_or(0)));
                    say(&json!({"jsonrpc": "2.0", "method": "notifications/progress",
                        "params": {"progressToken": token, "progress": step}}));
                }
                respond(id, &json!({"done": true}));
            }
            "log" => {
                say(&json!({"jsonrpc": "2.0", "method": "notifications/message",
                    "params": {"level": "info", "data": "hello"}}));
                respond(id, &json!({}));
            }
            "change" => {
                say(&json!({"jsonrpc": "2.0", "method": "notifications/tools/list_changed"}));
                respond(id, &json!({}));
            }
            "ask" => {
                for (number, method) in
                    ["ping", "elicitation/create", "sampling/createMessage", "roots/list"]
                        .iter()
                        .enumerate()
                {
                    say(&json!({"jsonrpc": "2.0", "id": format!("q{number}"), "method": method,
                        "params": {}}));
                }
                respond(id, &json!({}));
            }
            "question" => {
                self.asked.push((arguments["id"].clone(), id.clone()));
                say(&json!({"jsonrpc": "2.0", "id": arguments["id"],
                    "method": arguments["method"], "params": arguments["params"]}));
            }
            "note" => {
                say(&json!({"jsonrpc": "2.0", "method": arguments["method"],
                    "params": arguments["params"]}));
                respond(id, &json!({}));
            }
            "huge" => {
                // One line of the size asked for, in pieces.
                let size = arguments["bytes"].as_u64().unwrap_or(0);
                let mut out = std::io::stdout().lock();
                let head = if arguments["hidden"] == true { "{\"result\":\"" } else { "" };
                let _ = if head.is_empty() {
                    write!(out, "{{\"jsonrpc\":\"2.0\",\"id\":{id},\"result\":\"")
                } else {
                    write!(out, "{head}")
                };
                let piece = vec![b'a'; 64 * 1024];
                for _ in 0..size / (64 * 1024) {
                    let _ = out.write_all(&piece);
                }
                let tail = if head.is_empty() {
                    "\"}\n".to_owned()
                } else {
                    format!("\",\"id\":{id}}}\n")
                };
                let _ = out.write_all(tail.as_bytes());
                let _ = out.flush();
            }
            "batch" => say(&json!([
                {"jsonrpc": "2.0", "method": "notifications/tools/list_changed"},
                {"jsonrpc": "2.0", "id": id, "result": {"batch": true}},
            ])),
            "end-listen" => {
                if let Some(listen) = self.listen.take() {
                    respond(&listen, &json!({"resultType": "complete"}));
                }
                respond(id, &json!({}));
            }
            "deaf" => sleep(Duration::from_secs(1_000)),
            "report" => {
                let mut environment: Vec<String> = std::env::vars().map(|(name, _)| name).collect();
                environment.sort();
                let mut files: Vec<String> = std::fs::read_dir("/proc/self/fd")
                    .map(|entries| {
                        entries
                            .filter_map(|entry| Some(entry.ok()?.file_name().to_str()?.to_owned()))
                            .collect()
                    })
                    .unwrap_or_default();
                files.sort();
                let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
                let limits = std::fs::read_to_string("/proc/self/limits").unwrap_or_default();
                respond(
                    id,
                    &json!({"calls": self.calls, "lists": self.lists, "cancelled": self.cancelled,
                        "answers": self.answers, "heard": self.heard, "held": self.held.len(), "environment": environment, "files": files,
                        "status": status, "limits": limits, "listen": self.listen,
                        "cwd": std::env::current_dir().ok(), "pid": std::process::id()}),
                );
            }
            _ => respond(id, &json!({"echo": arguments})),
        }
    }
}
