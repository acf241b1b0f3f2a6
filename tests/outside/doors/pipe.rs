//! `mcp-proxy stdio`.

use std::{
    io::{BufRead, BufReader, Write},
    process::{Child, ChildStdin, Command, Stdio},
    sync::mpsc::{Receiver, RecvTimeoutError, channel},
    time::Duration,
};

use serde_json::{Value, json};

use crate::support::{Era, Setup, everything, until};

const PATIENCE: Duration = Duration::from_secs(20);

/// A started `mcp-proxy stdio` and its two pipes.
struct Pipe {
    child: Child,
    input: Option<ChildStdin>,
    output: Receiver<String>,
    next: u64,
}

impl Pipe {
    fn start(command: &mut Command) -> Self {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .unwrap();
        let input = child.stdin.take();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let (sender, output) = channel();
        std::thread::spawn(move || lines.map_while(Result::ok).try_for_each(|l| sender.send(l)));
        Self { child, input, output, next: 1 }
    }

    fn write(&mut self, text: &str) {
        self.input.as_mut().unwrap().write_all(text.as_bytes()).unwrap();
    }

    fn say(&mut self, message: &Value) {
        self.write(&format!("{message}\n"));
    }

    /// The next message, `None` at the end. Whatever is no message fails the test.
    fn read(&mut self) -> Option<Value> {
        match self.output.recv_timeout(PATIENCE) {
            Ok(line) => Some(serde_json::from_str(&line).unwrap_or_else(|_| panic!("{line}"))),
            Err(RecvTimeoutError::Disconnected) => None,
            Err(RecvTimeoutError::Timeout) => panic!("nothing is said"),
        }
    }

    fn until(&mut self, what: impl Fn(&Value) -> bool) -> Value {
        while let Some(message) = self.read() {
            if what(&message) {
                return message;
            }
        }
        panic!("the output has ended")
    }

    fn send(&mut self, era: Era, method: &str, params: Value) -> u64 {
        let id = self.next;
        self.next += 1;
        let params = era.params(params);
        self.say(&json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params}));
        id
    }

    fn request(&mut self, era: Era, method: &str, params: Value) -> Value {
        let id = self.send(era, method, params);
        self.until(|message| message["id"] == id && message["method"].is_null())
    }

    fn call(&mut self, era: Era, tool: &str, arguments: Value) -> Value {
        let mut params = json!({"name": tool});
        params["arguments"] = arguments;
        self.request(era, "tools/call", params)
    }

    fn hello(&mut self) {
        self.say(&Era::hello(0));
        let answer = self.until(|message| message["id"] == 0);
        assert_eq!(answer["result"]["protocolVersion"], "2025-11-25");
        self.say(&json!({"jsonrpc": "2.0", "method": "notifications/initialized"}));
    }

    /// Waits for its end.
    fn end(mut self) -> std::process::ExitStatus {
        until("it ends", PATIENCE, || self.child.try_wait().unwrap())
    }
}

impl Drop for Pipe {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn setup() -> Setup {
    let server = everything().to_str().unwrap();
    Setup::new().config(&format!("[upstreams.up]\ncommand = [{server:?}]\n"))
}

/// Processes whose command line has this text and whose parent chain does not matter.
fn running(text: &str) -> usize {
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    entries
        .filter_map(|entry| std::fs::read(entry.path().join("cmdline")).ok())
        .filter(|line| String::from_utf8_lossy(line).contains(text))
        .count()
}

#[test]
fn both_eras_speak_over_pipes() {
    let setup = setup();
    let mut pipe = Pipe::start(&mut setup.command(&["stdio"]));
    // A modern client needs no handshake, and nothing stands in headers.
    let discovered = pipe.request(Era::Modern, "server/discover", json!({}));
    assert_eq!(discovered["result"]["supportedVersions"], json!(["2026-07-28"]));
    let tools = pipe.request(Era::Modern, "tools/list", json!({}));
    assert!(tools.to_string().contains("up__echo"), "{tools}");
    let answer = pipe.call(Era::Modern, "up__echo", json!({"text": "mod\nern"}));
    assert_eq!(answer["result"]["content"][0]["text"], "mod\nern");
    assert_eq!(answer["result"]["resultType"], "complete");
    pipe.hello();
    let answer = pipe.call(Era::Legacy, "up__echo", json!({"text": "legacy"}));
    assert_eq!(answer["result"]["content"][0]["text"], "legacy");
    assert!(answer["result"].get("resultType").is_none());
    let id = pipe.send(
        Era::Legacy,
        "tools/call",
        json!({"name": "up__test_tool_with_progress",
        "arguments": {}, "_meta": {"progressToken": "p"}}),
    );
    pipe.until(|m| m["method"] == "notifications/progress" && m["params"]["progressToken"] == "p");
    pipe.until(|m| m["id"] == id);
    pipe.input = None;
    assert!(pipe.end().success());
}

#[test]
fn what_is_no_message_is_told_and_the_next_is_served() {
    let setup = setup();
    let mut pipe = Pipe::start(&mut setup.command(&["stdio"]));
    pipe.write("\n  \n{\n");
    assert_eq!(pipe.read().unwrap()["error"]["code"], -32700);
    pipe.write("[]\n");
    assert_eq!(pipe.read().unwrap()["error"]["code"], -32600);
    pipe.say(&json!({"jsonrpc": "2.0", "id": 5, "method": "tools/call", "params": {}}));
    let refused = pipe.read().unwrap();
    assert_eq!((&refused["id"], &refused["error"]["code"]), (&json!(5), &json!(-32600)));
    pipe.hello();
    pipe.write("{\"jsonrpc\":\"2.0\",\"id\":6,\"method\":\"ping\"}\r\n");
    assert_eq!(pipe.read().unwrap(), json!({"jsonrpc": "2.0", "id": 6, "result": {}}));
}

#[test]
fn a_batch_over_a_pipe_is_answered_by_a_line() {
    let setup = setup();
    let mut pipe = Pipe::start(&mut setup.command(&["stdio"]));
    pipe.say(&json!({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": {
        "protocolVersion": "2025-03-26", "capabilities": {}, "clientInfo": {"name": "x", "version": "1"}}}));
    pipe.until(|m| m["id"] == 0);
    pipe.say(&json!([{"jsonrpc": "2.0", "id": 1, "method": "ping"},
        {"jsonrpc": "2.0", "id": 2, "method": "no/such"}]));
    let answers = pipe.until(Value::is_array);
    assert_eq!(answers.as_array().unwrap().len(), 2, "{answers}");
}

#[test]
fn a_request_is_taken_back_in_both_eras() {
    let setup = setup();
    let mut pipe = Pipe::start(&mut setup.command(&["stdio"]));
    pipe.hello();
    pipe.call(Era::Legacy, "up__echo", json!({"text": "the upstream runs"}));
    for (before, era) in Era::BOTH.into_iter().enumerate() {
        let sleeping = pipe.send(
            era,
            "tools/call",
            era.params(json!({"name": "up__sleep",
            "arguments": {"ms": 60_000}})),
        );
        pipe.call(era, "up__echo", json!({"text": "the other one has begun"}));
        let cancel = json!({"requestId": sleeping});
        pipe.say(&json!({"jsonrpc": "2.0", "method": "notifications/cancelled",
            "params": era.params(cancel)}));
        let seen = (before + 1).to_string();
        until("the upstream hears of it", PATIENCE, || {
            let id = pipe.send(
                era,
                "tools/call",
                json!({"name": "up__cancelled_count", "arguments": {}}),
            );
            let answer = pipe.until(|message| {
                assert_ne!(message["id"], sleeping, "nothing more is said: {message}");
                message["id"] == id
            });
            (answer["result"]["content"][0]["text"] == seen.as_str()).then_some(())
        });
    }
}

#[test]
fn a_listen_is_taken_back() {
    let setup = setup();
    let mut pipe = Pipe::start(&mut setup.command(&["stdio"]));
    pipe.request(Era::Modern, "tools/list", json!({}));
    let listen = pipe.send(
        Era::Modern,
        "subscriptions/listen",
        json!({"notifications": {"toolsListChanged": true}}),
    );
    pipe.until(|m| m["method"] == "notifications/subscriptions/acknowledged");
    // The upstream is listened to a moment after the acknowledgement.
    let change = until("the change is told", PATIENCE, || {
        let trigger = pipe.send(
            Era::Modern,
            "tools/call",
            json!({"name": "up__test_trigger_tool_change", "arguments": {}}),
        );
        let told = |m: &Value| m["method"] == "notifications/tools/list_changed";
        Some(pipe.until(|m| told(m) || m["id"] == trigger)).filter(told)
    });
    assert_eq!(change["params"]["_meta"]["io.modelcontextprotocol/subscriptionId"], listen);
    // At the end it is told that nothing more comes, by the result and by the notification.
    rustix::process::kill_process(
        rustix::process::Pid::from_raw(i32::try_from(pipe.child.id()).unwrap()).unwrap(),
        rustix::process::Signal::TERM,
    )
    .unwrap();
    pipe.until(|m| m["id"] == listen && m["result"].is_object());
    pipe.until(|m| m["method"] == "notifications/cancelled" && m["params"]["requestId"] == listen);
    while pipe.read().is_some() {}
    assert!(pipe.end().success());
}

#[test]
fn the_end_of_the_input_ends_everything() {
    let setup = setup();
    // A child that this test can tell from those of others.
    let mark = format!("{}", setup.folder().display());
    let setup = setup.config(&format!(
        "[upstreams.up]\ncommand = [\"sh\", \"-c\", \"sleep 1000\", {mark:?}]\n\
         [upstreams.ev]\ncommand = [{:?}]\n",
        everything().to_str().unwrap()
    ));
    let mut pipe = Pipe::start(&mut setup.command(&["stdio"]));
    pipe.hello();
    pipe.call(Era::Legacy, "ev__echo", json!({"text": "x"}));
    // One that never answers must not hold up the end either.
    pipe.send(Era::Legacy, "tools/call", json!({"name": "ev__sleep", "arguments": {"ms": 60_000}}));
    pipe.input = None;
    assert!(pipe.end().success());
    until("no process is left", PATIENCE, || (running(&mark) == 0).then_some(()));
}

#[test]
fn what_was_asked_before_the_end_is_answered() {
    let setup = setup();
    let hello = Era::hello(0);
    let call = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call",
        "params": {"name": "up__echo", "arguments": {"text": "last words"}}});
    let (status, output, errors) = setup.run(&["stdio"], format!("{hello}\n{call}").as_bytes());
    assert!(status.success(), "{errors}");
    assert!(output.contains("last words"), "{output}{errors}");
    assert!(output.lines().all(|line| serde_json::from_str::<Value>(line).is_ok()), "{output}");
}

#[test]
fn somebody_must_be_meant() {
    let setup = setup();
    let input = format!("{}\n", Era::hello(0));
    setup.add_tenant("acme");
    let (status, output, errors) = setup.run(&["stdio"], input.as_bytes());
    assert!(!status.success() && output.is_empty() && errors.contains("--tenant"), "{errors}");
    let (status, output, _) = setup.run(&["stdio", "--tenant", "acme"], input.as_bytes());
    assert!(status.success() && output.contains("2025-11-25"), "{output}");
    let (status, _, errors) = setup.run(&["stdio", "--tenant", "nobody"], input.as_bytes());
    assert!(!status.success() && errors.contains("no tenant `nobody`"), "{errors}");
    let (status, _, errors) = setup.run(&["stdio", "--tenant", "acme", "--upstream", "x"], b"");
    assert!(!status.success() && errors.contains("no upstream `x`"), "{errors}");
    let key = setup.create_key("acme", "laptop");
    let setup = setup.env("MCP_PROXY_KEY", &key);
    let (status, output, _) = setup.run(&["stdio", "--upstream", "up"], input.as_bytes());
    assert!(status.success() && output.contains("2025-11-25"), "{output}");
    let setup = setup.env("MCP_PROXY_KEY", "mcpp_no_key_of_anybody");
    let (status, output, errors) = setup.run(&["stdio"], input.as_bytes());
    assert!(!status.success() && output.is_empty(), "{output}");
    assert!(errors.contains("MCP_PROXY_KEY") && !errors.contains("no_key_of"), "{errors}");
}

#[test]
fn a_revoked_key_ends_it() {
    let setup = setup();
    setup.add_tenant("acme");
    let key = setup.create_key("acme", "laptop");
    let mut pipe = Pipe::start(setup.command(&["stdio"]).env("MCP_PROXY_KEY", &key));
    pipe.hello();
    pipe.call(Era::Legacy, "up__echo", json!({"text": "x"}));
    let id = key.split('_').nth(1).unwrap();
    let (status, output, errors) = setup.run(&["key", "revoke", id], b"");
    assert!(status.success(), "{output}{errors}");
    assert!(pipe.read().is_none());
    assert!(!pipe.end().success());
}

#[test]
fn a_first_start_without_a_listener_needs_no_key() {
    let setup = Setup::new().file("mcp-proxy.toml", b"[server]\nlisten = \"127.0.0.1:0\"\n");
    let input = format!("{}\n", Era::hello(0));
    let (status, output, errors) = setup.run(&["stdio"], input.as_bytes());
    assert!(status.success() && output.contains("2025-11-25"), "{output}{errors}");
    assert!(!output.contains("mcpp_") && !errors.contains("mcpp_"), "{output}{errors}");
}
