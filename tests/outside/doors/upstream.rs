//! Upstreams that speak HTTP+SSE 2024-11-05: found without a setting (R63).

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    process::Command,
    sync::{Arc, Mutex},
    time::Duration,
};

use serde_json::{Value, json};

use crate::support::{Era, Peers, Process, Proxy, text, until};

const PATIENCE: Duration = Duration::from_secs(20);

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// Waits until the server answers.
fn reachable(port: u16) {
    until("the server listens", Duration::from_secs(60), || {
        TcpStream::connect(("127.0.0.1", port)).ok()
    });
}

#[test]
fn the_reference_server_is_reached_over_sse() {
    let Some(peers) = Peers::installed() else { return };
    let port = free_port();
    let mut command = Command::new("node");
    command.arg(peers.npm("mcp-server-everything")).arg("sse");
    let _server = Process::start(command.env("PORT", port.to_string()));
    reachable(port);
    let proxy = Proxy::start(&format!("[upstreams.up]\nurl = \"http://127.0.0.1:{port}/sse\"\n"));
    for era in Era::BOTH {
        let mut client = proxy.client(era, "/mcp");
        let tools = client.list("tools/list", "tools");
        assert!(tools.iter().any(|tool| tool["name"] == "up__echo"), "{tools:?}");
        let answer = client.call("up__echo", json!({"message": "over sse"}));
        assert_eq!(text(&answer), "Echo: over sse");
        let answer = client.call("up__get-sum", json!({"a": 2, "b": 40}));
        assert_eq!(text(&answer), "The sum of 2 and 40 is 42.");
    }
    for (client, eras) in Peers::CLIENTS {
        for era in eras {
            let plan = json!([{"call": "up__echo", "arguments": {"message": client}},
                {"prompt": "up__args-prompt", "arguments": {"city": "Oslo"}}]);
            let report = peers.run(client, era, &proxy.url("/mcp"), proxy.key(), &plan);
            let said = report["steps"].to_string();
            assert!(said.contains(&format!("Echo: {client}")) && said.contains("Oslo"), "{report}");
        }
    }
}

#[test]
fn a_python_server_is_reached_over_sse() {
    let Some(peers) = Peers::installed() else { return };
    let port = free_port();
    let _server = Process::start(&mut peers.python(1, "server_sse.py", &[&port.to_string()]));
    reachable(port);
    let proxy = Proxy::start(&format!("[upstreams.up]\nurl = \"http://127.0.0.1:{port}/sse\"\n"));
    for era in Era::BOTH {
        let mut client = proxy.client(era, "/mcp");
        let answer = client.call("up__echo", json!({"text": "x"}));
        assert_eq!(text(&answer), "x");
        // Progress comes on the one stream and reaches the call that it belongs to.
        let mut params = json!({"name": "up__count", "arguments": {"to": 5}});
        if era == Era::Legacy {
            params["_meta"] = json!({"progressToken": "p"});
            let all = client.send("tools/call", params).messages();
            let steps = all.iter().filter(|m| m["method"] == "notifications/progress");
            let steps: Vec<_> = steps.map(|m| m["params"]["progress"].as_f64().unwrap()).collect();
            assert_eq!(steps, [1.0, 2.0, 3.0, 4.0, 5.0], "{all:?}");
        }
        let listed = client.list("resources/list", "resources");
        assert!(json!(listed).to_string().contains("up+note://one"), "{listed:?}");
    }
    // Many calls are in flight at once on one stream, and no answer is somebody else's.
    let callers: Vec<_> = (0..8)
        .map(|caller| {
            let mut client = proxy.client(Era::Modern, "/mcp");
            std::thread::spawn(move || {
                for step in 0..20 {
                    let word = format!("{caller}-{step}");
                    let answer = client.call("up__echo", json!({"text": word}));
                    assert_eq!(text(&answer), word);
                }
            })
        })
        .collect();
    callers.into_iter().for_each(|caller| caller.join().unwrap());
}

#[test]
fn old_client_and_old_server_meet() {
    let Some(peers) = Peers::installed() else { return };
    let port = free_port();
    let _server = Process::start(&mut peers.python(1, "server_sse.py", &[&port.to_string()]));
    reachable(port);
    let proxy = Proxy::start(&format!("[upstreams.up]\nurl = \"http://127.0.0.1:{port}/sse\"\n"));
    let plan = json!([{"call": "up__echo", "arguments": {"text": "sse to sse"}}]);
    for client in ["ts1", "py1"] {
        let report = peers.run(client, "legacy", &proxy.url("/sse"), proxy.key(), &plan);
        assert!(report["steps"].to_string().contains("sse to sse"), "{client}: {report}");
    }
}

/// A server of HTTP+SSE that follows a script.
#[derive(Clone)]
struct Script {
    address: SocketAddr,
    /// The streams that are open.
    streams: Arc<Mutex<Vec<TcpStream>>>,
    /// Methods, and cancelled ids, in the order of their arrival.
    seen: Arc<Mutex<Vec<String>>>,
}

impl Script {
    /// `endpoint` is what its first event says.
    fn start(endpoint: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let script = Self {
            address: listener.local_addr().unwrap(),
            streams: Arc::default(),
            seen: Arc::default(),
        };
        let (this, endpoint) = (script.clone(), endpoint.to_owned());
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (this, endpoint) = (this.clone(), endpoint.clone());
                std::thread::spawn(move || this.serve(stream, &endpoint));
            }
        });
        script
    }

    fn serve(&self, mut stream: TcpStream, endpoint: &str) -> Option<()> {
        let mut lines = BufReader::new(stream.try_clone().ok()?);
        let (mut first, mut length) = (String::new(), 0);
        lines.read_line(&mut first).ok()?;
        loop {
            let mut line = String::new();
            lines.read_line(&mut line).ok()?;
            if let Some(value) = line.to_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().ok()?;
            }
            if line.trim().is_empty() {
                break;
            }
        }
        if first.starts_with("GET") {
            let head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n";
            stream.write_all(head.as_bytes()).ok()?;
            // Whoever answers a post at once must find the stream.
            let mut streams = self.streams.lock().unwrap();
            stream.write_all(format!("event: endpoint\ndata: {endpoint}\n\n").as_bytes()).ok()?;
            streams.push(stream);
            return None;
        }
        let mut body = vec![0; length];
        lines.read_exact(&mut body).ok()?;
        let posted = first.starts_with("POST /post?id=7");
        let status = if posted { "202 Accepted" } else { "405 Method Not Allowed" };
        let reply = format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
        stream.write_all(reply.as_bytes()).ok()?;
        if posted {
            self.hear(&serde_json::from_slice(&body).ok()?);
        }
        None
    }

    fn hear(&self, message: &Value) {
        let method = message["method"].as_str().unwrap_or("answer").to_owned();
        let tool = message["params"]["name"].as_str().unwrap_or_default().to_owned();
        self.seen.lock().unwrap().push(if tool.is_empty() { method.clone() } else { tool.clone() });
        let result = match (method.as_str(), tool.as_str()) {
            ("initialize", _) => json!({"protocolVersion": "2024-11-05",
                "capabilities": {"tools": {"listChanged": true}},
                "serverInfo": {"name": "old", "version": "1"}}),
            ("tools/list", _) => {
                json!({"tools": [{"name": "echo", "inputSchema": {"type": "object"}},
                {"name": "cut", "inputSchema": {"type": "object"}},
                {"name": "hang", "inputSchema": {"type": "object"}}]})
            }
            (_, "echo") => json!({"content": [{"type": "text", "text": "here"}]}),
            (_, "cut") => return self.cut(),
            _ => return,
        };
        self.say(&json!({"jsonrpc": "2.0", "id": message["id"], "result": result}));
    }

    fn say(&self, message: &Value) {
        let event = format!("event: message\r\ndata: {message}\r\n\r\n");
        self.streams.lock().unwrap().retain_mut(|s| s.write_all(event.as_bytes()).is_ok());
    }

    fn cut(&self) {
        for stream in self.streams.lock().unwrap().drain(..) {
            let _ = stream.shutdown(std::net::Shutdown::Both);
        }
    }

    fn count(&self, what: &str) -> usize {
        self.seen.lock().unwrap().iter().filter(|seen| *seen == what).count()
    }

    fn proxy(&self) -> Proxy {
        Proxy::start(&format!(
            "[upstreams.up]\nurl = \"http://{}/sse\"\ntimeout = \"60s\"\n",
            self.address
        ))
    }
}

#[test]
fn a_stream_that_is_cut_costs_what_was_running_and_nothing_else() {
    let script = Script::start("/post?id=7");
    let proxy = script.proxy();
    let mut client = proxy.client(Era::Modern, "/mcp");
    assert_eq!(text(&client.call("up__echo", json!({}))), "here");
    let lost = client.call("up__cut", json!({}));
    assert_eq!(lost["result"]["isError"], true, "{lost}");
    assert!(text(&lost).contains("may have been executed"), "{lost}");
    assert_eq!(script.count("cut"), 1, "it is not repeated");
    // The next one works over a new stream without anybody doing anything.
    until("a new stream is open", PATIENCE, || {
        let answer = client.call("up__echo", json!({}));
        (text(&answer) == "here").then_some(())
    });
}

#[test]
fn a_cancelled_call_is_cancelled_there_and_changes_are_heard() {
    let script = Script::start("/post?id=7");
    let proxy = script.proxy();
    let mut old = crate::doors::stream::Stream::open(proxy.address(), "/sse", proxy.key());
    old.hello("2024-11-05");
    old.request("tools/call", json!({"name": "up__echo", "arguments": {}}));
    let id = old.send("tools/call", json!({"name": "up__hang", "arguments": {}}));
    until("the upstream has it", PATIENCE, || (script.count("hang") == 1).then_some(()));
    let cancel = json!({"jsonrpc": "2.0", "method": "notifications/cancelled",
        "params": {"requestId": id}});
    old.post(&cancel.to_string());
    until("it is cancelled", PATIENCE, || {
        (script.count("notifications/cancelled") == 1).then_some(())
    });
    script.say(&json!({"jsonrpc": "2.0", "method": "notifications/tools/list_changed"}));
    old.until(|m| m["method"] == "notifications/tools/list_changed");
    // A question that nobody can be asked has its answer all the same.
    script.say(&json!({"jsonrpc": "2.0", "id": "q", "method": "ping"}));
    until("the ping is answered", PATIENCE, || (script.count("answer") > 0).then_some(()));
}

#[test]
fn posts_go_nowhere_else() {
    let other = TcpListener::bind("127.0.0.1:0").unwrap();
    other.set_nonblocking(true).unwrap();
    let port = other.local_addr().unwrap().port();
    for endpoint in [
        format!("http://127.0.0.1:{port}/post?id=7"),
        format!("//127.0.0.1:{port}/"),
        "http://[".to_owned(),
    ] {
        let script = Script::start(&endpoint);
        let proxy = script.proxy();
        let answer = proxy.client(Era::Modern, "/mcp").call("up__echo", json!({}));
        assert!(answer["result"]["isError"] == true || answer["error"].is_object(), "{answer}");
        assert_eq!(script.count("initialize"), 0);
        assert!(other.accept().is_err(), "somebody has come to {endpoint}");
    }
}
