//! The two ways in: streamable HTTP and standard input.

use std::{convert::Infallible, io, net::SocketAddr, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full, combinators::BoxBody};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use rmcp::{
    ServiceExt,
    transport::{
        StreamableHttpServerConfig, StreamableHttpService,
        streamable_http_server::session::local::LocalSessionManager,
    },
};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::TcpListener,
    signal::unix::{SignalKind, signal},
    sync::Mutex,
};

use crate::{
    era::{Era, Verdict},
    probe::RawMessage,
    server::Everything,
};

/// The largest request body and line that is read.
const MAX_MESSAGE: usize = 64 << 20;

type Reply = Response<BoxBody<Bytes, Infallible>>;
type Mcp = StreamableHttpService<Everything, LocalSessionManager>;

/// Serves streamable HTTP until SIGTERM, or until a pipe at standard input closes.
pub(crate) async fn http(server: Everything, address: SocketAddr, json: bool) -> io::Result<()> {
    let era = server.era();
    let mut config = StreamableHttpServerConfig::default()
        .disable_allowed_hosts()
        .with_allowed_origins(["http://localhost:*", "http://127.0.0.1:*", "http://[::1]:*"])
        .with_json_response(json)
        .with_max_request_body_bytes(MAX_MESSAGE);
    if era == Era::Modern {
        config =
            config.with_legacy_session_mode(false).with_stateless_protocol_metadata_required(true);
    }
    let shutdown = config.cancellation_token.clone();
    let mcp = Arc::new(StreamableHttpService::new(
        move || Ok(server.for_session()),
        Arc::new(LocalSessionManager::default()),
        config,
    ));
    let listener = TcpListener::bind(address).await?;
    eprintln!("listening on http://{}/mcp", listener.local_addr()?);
    let mut end = std::pin::pin!(ended());
    loop {
        let stream = tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => stream,
                // Out of file descriptors, or the peer is gone already.
                Err(_) => { tokio::time::sleep(Duration::from_millis(10)).await; continue }
            },
            outcome = &mut end => {
                shutdown.cancel();
                return outcome;
            }
        };
        stream.set_nodelay(true)?;
        let mcp = Arc::clone(&mcp);
        tokio::spawn(async move {
            let service = service_fn(move |request| {
                let mcp = Arc::clone(&mcp);
                async move { Ok::<_, Infallible>(answer(&mcp, era, request).await) }
            });
            // A client that goes away is not this server's failure.
            let _ = hyper::server::conn::http1::Builder::new()
                .timer(TokioTimer::new())
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
}

async fn answer(mcp: &Mcp, era: Era, request: Request<Incoming>) -> Reply {
    if request.uri().path() != "/mcp" {
        return plain(StatusCode::NOT_FOUND, "text/plain", "Not Found: the endpoint is /mcp");
    }
    let in_session = request.headers().contains_key("mcp-session-id");
    if era == Era::Legacy
        && let Some(version) = request.headers().get("mcp-protocol-version")
        && !era.versions().iter().any(|known| known.as_str().as_bytes() == version.as_bytes())
    {
        let error = json!({"jsonrpc": "2.0", "id": null, "error": {
            "code": -32000,
            "message": format!("Bad Request: Unsupported protocol version: {version:?}"),
        }});
        return plain(StatusCode::BAD_REQUEST, "application/json", &error.to_string());
    }
    let (mut parts, body) = request.into_parts();
    let body = match body.collect().await {
        Ok(body) => body.to_bytes(),
        Err(_) => return plain(StatusCode::BAD_REQUEST, "text/plain", "unreadable body"),
    };
    let mut onward = body.clone();
    if era != Era::Both
        && let Ok(message) = serde_json::from_slice::<Value>(&body)
    {
        match era.screen(&message, in_session) {
            Verdict::Pass => {}
            Verdict::Changed(message) => {
                onward = Bytes::from(message.to_string());
                parts.headers.remove(header::CONTENT_LENGTH);
            }
            Verdict::Refuse(status, error) => {
                return plain(status, "application/json", &error.to_string());
            }
        }
    }
    parts.extensions.insert(RawMessage(body));
    mcp.handle(Request::from_parts(parts, Full::new(onward))).await
}

fn plain(status: StatusCode, kind: &'static str, body: &str) -> Reply {
    let mut reply = Response::new(Full::new(Bytes::from(body.to_owned())).boxed());
    *reply.status_mut() = status;
    reply.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static(kind));
    reply
}

/// Serves one client on standard input and output.
pub(crate) async fn stdio(server: Everything) -> io::Result<()> {
    let (inner, outer) = tokio::io::duplex(1 << 20);
    let (mut from_server, to_server) = tokio::io::split(outer);
    let out = Arc::new(Mutex::new(tokio::io::stdout()));
    let pump = {
        let out = Arc::clone(&out);
        let server = server.clone();
        async move {
            let outcome = screen_lines(&server, to_server, &out).await;
            if let Err(error) = &outcome {
                eprintln!("everything: reading standard input: {error}");
            }
            outcome
        }
    };
    let writer = async move {
        let mut lines = BufReader::new(&mut from_server);
        let mut line = Vec::new();
        while lines.read_until(b'\n', &mut line).await? > 0 {
            let mut out = out.lock().await;
            out.write_all(&line).await?;
            out.flush().await?;
            line.clear();
        }
        Ok::<_, io::Error>(())
    };
    let pump = tokio::spawn(pump);
    let writer = tokio::spawn(writer);
    let serve = async move {
        let running = server.serve(inner).await.map_err(io::Error::other)?;
        running.waiting().await.map_err(io::Error::other)?;
        Ok::<_, io::Error>(())
    };
    let mut term = signal(SignalKind::terminate())?;
    tokio::select! {
        outcome = serve => {
            pump.abort();
            // What the library has already written must reach the client.
            let _ = tokio::time::timeout(Duration::from_secs(1), writer).await;
            outcome
        }
        _ = term.recv() => Ok(()),
    }
}

async fn screen_lines(
    server: &Everything,
    mut to_server: impl tokio::io::AsyncWrite + Unpin,
    out: &Mutex<tokio::io::Stdout>,
) -> io::Result<()> {
    let mut lines = BufReader::new(tokio::io::stdin());
    let mut line = Vec::new();
    let mut in_session = false;
    loop {
        line.clear();
        let read = (&mut lines).take(MAX_MESSAGE as u64).read_until(b'\n', &mut line).await?;
        if read == 0 {
            return to_server.shutdown().await;
        }
        server.probe.remember(&line);
        let message =
            if server.era() == Era::Both { None } else { serde_json::from_slice(&line).ok() };
        let verdict = message
            .as_ref()
            .map_or(Verdict::Pass, |message| server.era().screen(message, in_session));
        match verdict {
            Verdict::Pass => {
                in_session |= message.is_some_and(|message: Value| {
                    message.get("method").is_some_and(|method| method == "initialize")
                });
                to_server.write_all(&line).await?;
            }
            Verdict::Changed(message) => {
                to_server.write_all(format!("{message}\n").as_bytes()).await?;
            }
            Verdict::Refuse(_, error) => {
                let mut out = out.lock().await;
                out.write_all(format!("{error}\n").as_bytes()).await?;
                out.flush().await?;
            }
        }
    }
}

/// Waits for SIGTERM or SIGINT, or for the end of a pipe at standard input. A
/// terminal or `/dev/null` there says nothing about the parent's life.
async fn ended() -> io::Result<()> {
    use std::os::unix::fs::FileTypeExt;

    let mut term = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let piped = std::fs::metadata("/proc/self/fd/0")
        .is_ok_and(|found| found.file_type().is_fifo() || found.file_type().is_socket());
    let closed = async {
        if !piped {
            return std::future::pending().await;
        }
        let mut stdin = tokio::io::stdin();
        let mut buffer = [0_u8; 4096];
        while stdin.read(&mut buffer).await.is_ok_and(|read| read > 0) {}
    };
    tokio::select! {
        _ = term.recv() => {}
        _ = interrupt.recv() => {}
        () = closed => {}
    }
    Ok(())
}
