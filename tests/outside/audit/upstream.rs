//! A legacy upstream over streamable HTTP, in a thread. Its tools answer, fail, die, wait, or say
//! half of something.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::mpsc::{Receiver, Sender, channel},
    thread,
};

use serde_json::{Value, json};

/// How long the text of `big` is.
pub(crate) const BIG: usize = 300_000;

/// The upstream; it ends with the process of the tests.
pub(crate) struct Upstream {
    address: SocketAddr,
    /// Connections of calls that wait, half answered or not at all.
    pub(crate) held: Receiver<TcpStream>,
}

impl Upstream {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let (hold, held) = channel();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let hold = hold.clone();
                thread::spawn(move || drop(serve(stream, &hold)));
            }
        });
        Self { address, held }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/mcp", self.address)
    }
}

fn serve(stream: TcpStream, hold: &Sender<TcpStream>) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut stream = stream;
    let (mut first, mut length) = (String::new(), 0);
    reader.read_line(&mut first)?;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 || line.trim_end().is_empty() {
            break;
        }
        let line = line.to_ascii_lowercase();
        if let Some(value) = line.strip_prefix("content-length:") {
            length = value.trim().parse().unwrap_or(0);
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    if !first.starts_with("POST ") {
        return reply(&mut stream, "405 Method Not Allowed", b"");
    }
    let message: Value = serde_json::from_slice(&body)?;
    if message["id"].is_null() {
        return reply(&mut stream, "202 Accepted", b"");
    }
    let tools = ["echo", "fail", "refuse", "die", "wait", "big", "half"];
    let tool = message["params"]["name"].as_str().unwrap_or_default();
    let text = |text: &str| json!({"content": [{"type": "text", "text": text}]});
    let result = match message["method"].as_str().unwrap_or_default() {
        "server/discover" => return reply(&mut stream, "400 Bad Request", b"no session"),
        "initialize" => json!({"protocolVersion": "2025-11-25", "capabilities": {"tools": {}},
            "serverInfo": {"name": "t", "version": "1"}}),
        "tools/list" => {
            let one = |name: &&str| json!({"name": name, "inputSchema": {"type": "object"}});
            json!({"tools": tools.iter().map(one).collect::<Vec<_>>()})
        }
        "tools/call" => match tool {
            "fail" => {
                let mut result = text("no");
                result["isError"] = json!(true);
                result
            }
            "refuse" => {
                let error = json!({"jsonrpc": "2.0", "id": message["id"],
                    "error": {"code": -32000, "message": "not today"}});
                return reply(&mut stream, "200 OK", error.to_string().as_bytes());
            }
            "die" => return Ok(()),
            "wait" => {
                let _ = hold.send(stream);
                return Ok(());
            }
            "big" => text(&"x".repeat(BIG)),
            "half" => {
                let head = format!(
                    "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n\
                     {{\"jsonrpc\":\"2.0\",\"id\":{},\"result\":{{\"content\":[",
                    BIG, message["id"]
                );
                stream.write_all(head.as_bytes())?;
                let _ = hold.send(stream);
                return Ok(());
            }
            _ => text(message["params"]["arguments"]["text"].as_str().unwrap_or_default()),
        },
        _ => json!({}),
    };
    // Whoever passes an answer on as it comes needs the id before the result.
    let id = &message["id"];
    let answer = format!("{{\"jsonrpc\":\"2.0\",\"id\":{id},\"result\":{result}}}");
    reply(&mut stream, "200 OK", answer.as_bytes())
}

fn reply(stream: &mut TcpStream, status: &str, body: &[u8]) -> std::io::Result<()> {
    let length = body.len();
    write!(
        stream,
        "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\
         Connection: close\r\n\r\n"
    )?;
    stream.write_all(body)
}
