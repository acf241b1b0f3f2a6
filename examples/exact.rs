//! An upstream that answers with given bytes and keeps the bytes that it got, in either era, over
//! HTTP or standard input: for tests of what a proxy leaves as it is.

use std::{
    borrow::Cow,
    convert::Infallible,
    fs, io,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
};

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::rt::TokioIo;
use memchr::memmem;
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::TcpListener,
};

const USAGE: &str = "\
exact: an MCP server that answers with given bytes and keeps those it got

usage: exact --folder DIR [--http ADDR] [--era legacy|modern]

A request that has \"x-case\":\"NAME\" anywhere is kept as DIR/NAME.in and answered with DIR/NAME.out,
in which @ID@ and @TOKEN@ stand for the id and the progress token of the request. Lines of three
dashes part messages; over HTTP more than one, or the file DIR/NAME.sse, make the answer a stream.
DIR/tools.json, prompts.json, resources.json and resourceTemplates.json hold the entries of lists.

Without --http it speaks on standard input and output; with it, it ends when standard input does.";

/// The legacy revisions but the latest one.
const EARLIER: [&str; 3] = ["2024-11-05", "2025-03-26", "2025-06-18"];
const PARTING: &[u8] = b"\n---\n";

/// What every request is answered from.
struct Exact {
    folder: PathBuf,
    modern: bool,
}

/// A JSON-RPC message of a client, as far as an answer needs it.
#[derive(Deserialize)]
struct Message<'a> {
    #[serde(borrow)]
    id: Option<&'a RawValue>,
    #[serde(borrow)]
    method: Option<Cow<'a, str>>,
    #[serde(borrow)]
    params: Option<Params<'a>>,
}

/// The parameters of a request.
#[derive(Default, Deserialize)]
struct Params<'a> {
    #[serde(borrow, rename = "_meta")]
    meta: Option<Meta<'a>>,
    #[serde(borrow, rename = "protocolVersion")]
    version: Option<Cow<'a, str>>,
}

/// `_meta` of a request.
#[derive(Deserialize)]
struct Meta<'a> {
    #[serde(borrow, rename = "progressToken")]
    token: Option<&'a RawValue>,
}

/// What a request is answered with.
enum Answer {
    /// Nothing.
    Nothing,
    /// These messages, the response last.
    Messages { status: u16, stream: bool, messages: Vec<Bytes> },
}

fn main() -> ExitCode {
    let mut args = std::env::args().skip(1);
    let (mut folder, mut address, mut modern) = (None, None, false);
    while let Some(arg) = args.next() {
        match (arg.as_str(), args.next()) {
            ("--folder", Some(value)) => folder = Some(PathBuf::from(value)),
            ("--http", Some(value)) => address = value.parse::<SocketAddr>().ok(),
            ("--era", Some(value)) => modern = value == "modern",
            _ => folder = None,
        }
    }
    let Some(folder) = folder else {
        eprintln!("{USAGE}");
        return ExitCode::from(64);
    };
    let exact = Arc::new(Exact { folder, modern });
    let outcome = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .and_then(|runtime| {
            let outcome = runtime.block_on(async {
                match address {
                    Some(address) => http(address, &exact).await,
                    None => stdio(&exact).await,
                }
            });
            // A blocked read of standard input must not keep the process alive.
            runtime.shutdown_background();
            outcome
        });
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("exact: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn stdio(exact: &Exact) -> io::Result<()> {
    let mut lines = BufReader::new(tokio::io::stdin());
    let mut out = tokio::io::stdout();
    let mut line = Vec::new();
    while lines.read_until(b'\n', &mut line).await? > 0 {
        let end = line.strip_suffix(b"\n").unwrap_or(&line);
        if let Answer::Messages { messages, .. } = exact.answer(end) {
            for message in messages {
                out.write_all(&message).await?;
                out.write_all(b"\n").await?;
            }
            out.flush().await?;
        }
        line.clear();
    }
    Ok(())
}

async fn http(address: SocketAddr, exact: &Arc<Exact>) -> io::Result<()> {
    let listener = TcpListener::bind(address).await?;
    eprintln!("listening on http://{}/mcp", listener.local_addr()?);
    let ended = async {
        let mut input = tokio::io::stdin();
        let mut buffer = [0; 64];
        while input.read(&mut buffer).await.is_ok_and(|read| read > 0) {}
    };
    let mut ended = std::pin::pin!(ended);
    loop {
        let stream = tokio::select! {
            accepted = listener.accept() => accepted?.0,
            () = &mut ended => return Ok(()),
        };
        stream.set_nodelay(true)?;
        let exact = Arc::clone(exact);
        tokio::spawn(async move {
            let service = service_fn(move |request| {
                let exact = Arc::clone(&exact);
                async move { Ok::<_, Infallible>(reply(&exact, request).await) }
            });
            // A client that goes away is not a failure of the server.
            let _ = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
}

async fn reply(exact: &Exact, request: Request<Incoming>) -> Response<Full<Bytes>> {
    if *request.method() != Method::POST {
        let delete = *request.method() == Method::DELETE && !exact.modern;
        let status = if delete { StatusCode::OK } else { StatusCode::METHOD_NOT_ALLOWED };
        return response(status, "text/plain", Bytes::new());
    }
    let Ok(body) = request.into_body().collect().await else {
        return response(StatusCode::BAD_REQUEST, "text/plain", Bytes::new());
    };
    match exact.answer(&body.to_bytes()) {
        Answer::Nothing => response(StatusCode::ACCEPTED, "text/plain", Bytes::new()),
        Answer::Messages { status, stream: false, mut messages } => {
            let status = StatusCode::from_u16(status).unwrap_or(StatusCode::OK);
            let message = messages.pop().unwrap_or_default();
            let mut answer = response(status, "application/json", message);
            if !exact.modern {
                let session = header::HeaderValue::from_static("exact-session");
                answer.headers_mut().insert("mcp-session-id", session);
            }
            answer
        }
        Answer::Messages { stream: true, messages, .. } => {
            let mut events = Vec::new();
            for message in messages {
                events.extend_from_slice(b"event: message\n");
                for line in message.split(|byte| *byte == b'\n') {
                    events.extend_from_slice(b"data: ");
                    events.extend_from_slice(line);
                    events.push(b'\n');
                }
                events.push(b'\n');
            }
            response(StatusCode::OK, "text/event-stream", Bytes::from(events))
        }
    }
}

fn response(status: StatusCode, kind: &'static str, body: Bytes) -> Response<Full<Bytes>> {
    let mut answer = Response::new(Full::new(body));
    *answer.status_mut() = status;
    answer.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static(kind));
    answer
}

impl Exact {
    fn answer(&self, body: &[u8]) -> Answer {
        let Ok(message) = serde_json::from_slice::<Message<'_>>(body) else {
            return one(
                400,
                r#"{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"?"}}"#,
            );
        };
        let Some(id) = message.id else { return Answer::Nothing };
        let params = message.params.unwrap_or_default();
        if let Some(case) = case(body) {
            return self.given(&case, body, id.get(), params.meta.and_then(|meta| meta.token));
        }
        let result = match message.method.as_deref().unwrap_or_default() {
            "initialize" if !self.modern => {
                let asked = params.version.as_deref().filter(|asked| EARLIER.contains(asked));
                let version = asked.unwrap_or("2025-11-25");
                format!(
                    r#""protocolVersion":"{version}","capabilities":{{"tools":{{}},"prompts":{{}},"resources":{{}},"completions":{{}},"logging":{{}}}},"serverInfo":{{"name":"exact","version":"1"}}"#
                )
            }
            "server/discover" if self.modern => {
                r#""supportedVersions":["2026-07-28"],"capabilities":{"tools":{},"prompts":{},"resources":{},"completions":{},"logging":{}},"_meta":{"io.modelcontextprotocol/serverInfo":{"name":"exact","version":"1"}}"#.to_owned()
            }
            "ping" | "logging/setLevel" if !self.modern => String::new(),
            "tools/list" => self.list("tools"),
            "prompts/list" => self.list("prompts"),
            "resources/list" => self.list("resources"),
            "resources/templates/list" => self.list("resourceTemplates"),
            _ => {
                let text = format!(
                    r#"{{"jsonrpc":"2.0","id":{},"error":{{"code":-32601,"message":"Method not found"}}}}"#,
                    id.get()
                );
                return one(if self.modern { 404 } else { 400 }, &text);
            }
        };
        let modern = r#""resultType":"complete","ttlMs":60000,"cacheScope":"private""#;
        let result = match (self.modern, result.is_empty()) {
            (true, _) => format!("{modern},{result}"),
            (false, _) => result,
        };
        one(200, &format!(r#"{{"jsonrpc":"2.0","id":{},"result":{{{result}}}}}"#, id.get()))
    }

    fn list(&self, field: &str) -> String {
        let entries = fs::read_to_string(self.folder.join(format!("{field}.json")));
        format!("\"{field}\":[{}]", entries.unwrap_or_default())
    }

    fn given(&self, case: &str, body: &[u8], id: &str, token: Option<&RawValue>) -> Answer {
        let place = |kind: &str| self.folder.join(format!("{case}.{kind}"));
        let read = |place: &Path| fs::read(place).ok();
        if let Err(error) = fs::write(place("in"), body) {
            eprintln!("exact: {case}.in: {error}");
        }
        let Some(out) = read(&place("out")) else {
            return one(
                200,
                &format!(
                    r#"{{"jsonrpc":"2.0","id":{id},"error":{{"code":-32602,"message":"no case"}}}}"#
                ),
            );
        };
        let mut messages = Vec::new();
        let mut from = 0;
        for at in memmem::find_iter(&out, PARTING).chain([out.len()]) {
            let message = filled(&out[from..at], b"@ID@", id.as_bytes());
            let token = token.map_or("null", RawValue::get);
            messages.push(Bytes::from(filled(&message, b"@TOKEN@", token.as_bytes())));
            from = (at + PARTING.len()).min(out.len());
        }
        let stream = messages.len() > 1 || place("sse").exists();
        Answer::Messages { status: 200, stream, messages }
    }
}

fn one(status: u16, text: &str) -> Answer {
    let messages = vec![Bytes::copy_from_slice(text.as_bytes())];
    Answer::Messages { status, stream: false, messages }
}

/// The name of the case that a request names.
fn case(body: &[u8]) -> Option<String> {
    let mark = b"\"x-case\":\"";
    let start = memmem::find(body, mark)? + mark.len();
    let length = memchr::memchr(b'"', &body[start..])?;
    let name = std::str::from_utf8(&body[start..start + length]).ok()?;
    let plain = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    plain.then(|| name.to_owned())
}

/// `text` with `value` at each place of `mark`.
fn filled(text: &[u8], mark: &[u8], value: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len() + value.len());
    let mut from = 0;
    for at in memmem::find_iter(text, mark) {
        out.extend_from_slice(&text[from..at]);
        out.extend_from_slice(value);
        from = at + mark.len();
    }
    out.extend_from_slice(&text[from..]);
    out
}
