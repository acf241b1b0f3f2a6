//! A fast upstream for benchmarks: just enough of the protocol, in both eras and over both
//! transports, to list tools, to echo a text, and to give a structured result.

use std::{
    borrow::Cow,
    convert::Infallible,
    fmt::Write as _,
    io::{self, BufRead, Write as _},
    net::SocketAddr,
    process::ExitCode,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::net::TcpListener;

const USAGE: &str = "\
canned: a fast MCP server with the tools echo and report, for benchmarks

usage: canned --http ADDR|--pipe yes [--era legacy|modern|both] [--tools N] [--work MICROSECONDS]

  --pipe yes  on standard input and output, one call after the other
  --tools N   list N tools of about 250 bytes (default 1): echo, report, which gives structured
              content of as many `bytes` as it is asked for, and synthetic_0001 and so on,
              which echo, too
  --work US   compute for so long before each answer to a call (default 0)";

const MODERN: &[u8] = b"2026-07-28";
const MODERN_META: &str = r#""io.modelcontextprotocol/protocolVersion":"2026-07-28""#;

/// What every request is answered from.
struct Canned {
    legacy: bool,
    modern: bool,
    /// The members of a tools/list result, without its braces.
    list: String,
    sessions: AtomicU64,
    /// How long a call computes.
    work: Duration,
    /// The last structured content, as long as it is of the size that is asked for.
    report: Mutex<Arc<str>>,
}

/// A JSON-RPC message of a client.
#[derive(Deserialize)]
struct Message<'a> {
    #[serde(borrow)]
    id: Option<&'a RawValue>,
    #[serde(borrow)]
    method: Cow<'a, str>,
    #[serde(borrow)]
    params: Option<&'a RawValue>,
}

/// The parameters of tools/call.
#[derive(Deserialize)]
struct Call<'a> {
    #[serde(borrow)]
    name: Cow<'a, str>,
    #[serde(borrow)]
    arguments: Option<Echo<'a>>,
}

/// The arguments of all tools. The text stays as it is written: it goes out the same.
#[derive(Deserialize)]
struct Echo<'a> {
    #[serde(borrow)]
    text: Option<&'a RawValue>,
    /// Of report: the length of its structured content.
    #[serde(default)]
    bytes: usize,
}

/// The parameters of initialize that count.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Initialize<'a> {
    #[serde(borrow)]
    protocol_version: Cow<'a, str>,
}

fn main() -> ExitCode {
    let mut args = std::env::args().skip(1);
    let (mut address, mut pipe, mut era, mut tools) = (None, false, "both".to_owned(), 1);
    let mut work = Duration::ZERO;
    while let Some(arg) = args.next() {
        match (arg.as_str(), args.next()) {
            ("--http", Some(value)) => address = value.parse::<SocketAddr>().ok(),
            ("--era", Some(value)) => era = value,
            ("--tools", Some(value)) => tools = value.parse().unwrap_or(1),
            ("--work", Some(value)) => work = Duration::from_micros(value.parse().unwrap_or(0)),
            ("--pipe", Some(_)) => pipe = true,
            _ => (address, pipe) = (None, false),
        }
    }
    if (address.is_none() && !pipe) || !matches!(era.as_str(), "legacy" | "modern" | "both") {
        eprintln!("{USAGE}");
        return ExitCode::from(64);
    }
    let canned = Canned {
        legacy: era != "modern",
        modern: era != "legacy",
        list: definitions(tools),
        sessions: AtomicU64::new(1),
        work,
        report: Mutex::new(Arc::from("")),
    };
    let outcome = match address {
        Some(address) => serve(address, &Arc::new(canned)),
        None => read(&canned),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("canned: {error}");
            ExitCode::FAILURE
        }
    }
}

fn definitions(tools: usize) -> String {
    let echo = r#"{"name":"echo","description":"Answers with the text it is given","inputSchema":{"type":"object","properties":{"text":{"type":"string"}},"required":["text"]}}"#;
    let mut list = format!(r#""tools":[{echo}"#);
    if tools >= 2 {
        list.push_str(r#",{"name":"report","description":"Answers with as many bytes as it is asked for","inputSchema":{"type":"object","properties":{"text":{"type":"string"},"bytes":{"type":"integer"}},"required":["text"]}}"#);
    }
    for number in 1..=tools.saturating_sub(2) {
        // Writing to a string cannot fail.
        let _ = write!(
            list,
            r#",{{"name":"synthetic_{number:04}","description":"Looks up one record of the inventory and answers with its present state","inputSchema":{{"type":"object","properties":{{"record":{{"type":"string","description":"Identifier of the record"}},"limit":{{"type":"integer"}}}},"required":["record"]}}}}"#
        );
    }
    list.push(']');
    list
}

/// Serves standard input until it ends.
#[tokio::main(flavor = "current_thread")]
async fn read(canned: &Canned) -> io::Result<()> {
    let (mut input, mut output) = (io::stdin().lock(), io::stdout().lock());
    let mut line = Vec::new();
    loop {
        line.clear();
        if input.read_until(b'\n', &mut line)? == 0 {
            return Ok(());
        }
        let Ok(message) = serde_json::from_slice::<Message<'_>>(&line) else { continue };
        // Over a pipe only the message itself says of which era it is.
        let modern = message.params.is_some_and(|it| it.get().contains(MODERN_META));
        // What is in memory has no other error and nothing to wait for.
        let Ok(body) = canned.reply(&message, modern).into_body().collect().await;
        let body = body.to_bytes();
        if !body.is_empty() {
            output.write_all(&[&body, &b"\n"[..]].concat())?;
            output.flush()?;
        }
    }
}

#[tokio::main]
async fn serve(address: SocketAddr, canned: &Arc<Canned>) -> io::Result<()> {
    let listener = TcpListener::bind(address).await?;
    eprintln!("listening on http://{}/mcp", listener.local_addr()?);
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(Duration::from_millis(10)).await;
            continue;
        };
        stream.set_nodelay(true)?;
        let canned = Arc::clone(canned);
        tokio::spawn(async move {
            let service = service_fn(move |request| {
                let canned = Arc::clone(&canned);
                async move { Ok::<_, Infallible>(canned.answer(request).await) }
            });
            // A client that goes away is not a failure of the server.
            let _ = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
}

impl Canned {
    async fn answer(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        match *request.method() {
            Method::POST => {}
            Method::DELETE if self.legacy => return bare(StatusCode::OK),
            _ => return bare(StatusCode::METHOD_NOT_ALLOWED),
        }
        let version = request.headers().get("mcp-protocol-version");
        let modern = version.is_some_and(|version| version.as_bytes() >= MODERN);
        let Ok(body) = request.into_body().collect().await else {
            return bare(StatusCode::BAD_REQUEST);
        };
        let body = body.to_bytes();
        match serde_json::from_slice::<Message<'_>>(&body) {
            Ok(message) => self.reply(&message, modern),
            Err(_) => error(StatusCode::BAD_REQUEST, None, -32700, "Parse error"),
        }
    }

    fn reply(&self, message: &Message<'_>, modern: bool) -> Response<Full<Bytes>> {
        let Some(id) = message.id else {
            return bare(StatusCode::ACCEPTED);
        };
        if modern && !self.modern {
            let text = "Bad Request: Unsupported protocol version";
            return error(StatusCode::BAD_REQUEST, Some(id), -32000, text);
        }
        match message.method.as_ref() {
            "tools/call" => {
                let call = message.params.and_then(|it| serde_json::from_str(it.get()).ok());
                let known = call.and_then(|call: Call<'_>| {
                    // Also by the name that a proxy gives it, so that one load fits both.
                    let name = call.name.rsplit("__").next()?;
                    let report = name == "report";
                    let known = report || name == "echo" || name.starts_with("synthetic_");
                    let arguments = call.arguments?;
                    let text = arguments.text.filter(|text| known && is_string(text))?;
                    Some((text, if report { arguments.bytes } else { 0 }))
                });
                self.work();
                match known {
                    Some((text, bytes)) => {
                        let text = text.get();
                        let content = format!(r#""content":[{{"type":"text","text":{text}}}]"#);
                        match bytes {
                            0 => result(id, modern, &content),
                            _ => {
                                result(id, modern, &[&*content, ",", &*self.report(bytes)].concat())
                            }
                        }
                    }
                    None => error(StatusCode::OK, Some(id), -32602, "only echo {text} is here"),
                }
            }
            "tools/list" if modern => {
                result(id, true, &format!(r#"{},"ttlMs":60000,"cacheScope":"public""#, self.list))
            }
            "tools/list" => result(id, false, &self.list),
            "server/discover" if modern => result(
                id,
                true,
                r#""supportedVersions":["2026-07-28"],"capabilities":{"tools":{}},"ttlMs":60000,"cacheScope":"public","_meta":{"io.modelcontextprotocol/serverInfo":{"name":"canned","version":"1"}}"#,
            ),
            "initialize" if self.legacy => self.initialize(message, id),
            "ping" if !modern => result(id, false, ""),
            _ => {
                let status = if modern { StatusCode::NOT_FOUND } else { StatusCode::BAD_REQUEST };
                error(status, Some(id), -32601, "Method not found")
            }
        }
    }

    /// Computes as long as a call shall take.
    fn work(&self) {
        let start = Instant::now();
        while start.elapsed() < self.work {
            std::hint::spin_loop();
        }
    }

    /// Structured content of this length, as a member of a result.
    fn report(&self, bytes: usize) -> Arc<str> {
        // Nobody panics while he holds it, and if so it is still a text.
        let mut last = self.report.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if !(bytes..bytes + 200).contains(&last.len()) {
            let mut text = r#""structuredContent":{"records":["#.to_owned();
            let mut number = 0;
            while text.len() + 2 < bytes {
                let comma = if number == 0 { "" } else { "," };
                let _ = write!(
                    text,
                    r#"{comma}{{"record":{number},"name":"item \"{number}\"","price":{number}.25,"in_stock":true}}"#
                );
                number += 1;
            }
            text.push_str("]}");
            *last = Arc::from(text);
        }
        Arc::clone(&last)
    }

    fn initialize(&self, message: &Message<'_>, id: &RawValue) -> Response<Full<Bytes>> {
        let params = message.params.and_then(|it| serde_json::from_str(it.get()).ok());
        let asked: Initialize<'_> = params.unwrap_or_default();
        let version = match asked.protocol_version.as_ref() {
            known @ ("2024-11-05" | "2025-03-26" | "2025-06-18") => known,
            _ => "2025-11-25",
        };
        let members = format!(
            r#""protocolVersion":"{version}","capabilities":{{"tools":{{}}}},"serverInfo":{{"name":"canned","version":"1"}}"#
        );
        let mut answer = result(id, false, &members);
        let number = self.sessions.fetch_add(1, Ordering::Relaxed);
        let session = HeaderValue::try_from(format!("canned-{number:016x}"));
        if let Ok(session) = session {
            answer.headers_mut().insert("mcp-session-id", session);
        }
        answer
    }
}

fn is_string(value: &RawValue) -> bool {
    value.get().starts_with('"')
}

fn result(id: &RawValue, modern: bool, members: &str) -> Response<Full<Bytes>> {
    let kind = if modern { r#""resultType":"complete","# } else { "" };
    let body = format!(r#"{{"jsonrpc":"2.0","id":{},"result":{{{kind}{members}}}}}"#, id.get());
    json(StatusCode::OK, body)
}

fn error(
    status: StatusCode,
    id: Option<&RawValue>,
    code: i32,
    text: &str,
) -> Response<Full<Bytes>> {
    let id = id.map_or("null", RawValue::get);
    let error = format!(r#"{{"code":{code},"message":"{text}"}}"#);
    json(status, format!(r#"{{"jsonrpc":"2.0","id":{id},"error":{error}}}"#))
}

fn json(status: StatusCode, body: String) -> Response<Full<Bytes>> {
    let mut answer = Response::new(Full::new(Bytes::from(body)));
    *answer.status_mut() = status;
    let kind = HeaderValue::from_static("application/json");
    answer.headers_mut().insert(header::CONTENT_TYPE, kind);
    answer
}

fn bare(status: StatusCode) -> Response<Full<Bytes>> {
    let mut answer = Response::new(Full::default());
    *answer.status_mut() = status;
    answer
}
