//! A plain HTTP proxy that only moves bytes: the floor that mcp-proxy is compared with.

use std::{convert::Infallible, io, net::SocketAddr, process::ExitCode, time::Duration};

use bytes::Bytes;
use http::{
    HeaderMap, HeaderName, Request, Response, StatusCode, Uri, Version, header, uri::Authority,
};
use http_body_util::{Either, Empty};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioIo, TokioTimer},
};
use tokio::net::TcpListener;

const USAGE: &str = "\
floor: a byte proxy without any knowledge of what it carries

usage: floor --listen ADDR --target http://ADDR";

/// Headers that belong to one connection (RFC 9110 section 7.6.1).
const HOP_BY_HOP: [HeaderName; 8] = [
    header::CONNECTION,
    HeaderName::from_static("keep-alive"),
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
];

type Pool = Client<HttpConnector, Incoming>;

fn main() -> ExitCode {
    let mut args = std::env::args().skip(1);
    let (mut listen, mut target) = (None, None);
    while let Some(arg) = args.next() {
        match (arg.as_str(), args.next()) {
            ("--listen", Some(value)) => listen = value.parse::<SocketAddr>().ok(),
            ("--target", Some(value)) => target = value.parse::<Uri>().ok(),
            _ => {
                eprintln!("{USAGE}");
                return ExitCode::from(64);
            }
        }
    }
    let target = target.and_then(|target| target.authority().cloned());
    let (Some(listen), Some(target)) = (listen, target) else {
        eprintln!("{USAGE}");
        return ExitCode::from(64);
    };
    match serve(listen, &target) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("floor: {error}");
            ExitCode::FAILURE
        }
    }
}

#[tokio::main]
async fn serve(listen: SocketAddr, target: &Authority) -> io::Result<()> {
    let mut connector = HttpConnector::new();
    connector.set_nodelay(true);
    let pool: Pool = Client::builder(TokioExecutor::new())
        .pool_timer(TokioTimer::new())
        .pool_max_idle_per_host(4096)
        .build(connector);
    let listener = TcpListener::bind(listen).await?;
    eprintln!("listening on http://{}", listener.local_addr()?);
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(Duration::from_millis(10)).await;
            continue;
        };
        stream.set_nodelay(true)?;
        let (pool, target) = (pool.clone(), target.clone());
        tokio::spawn(async move {
            let service = service_fn(move |request| forward(pool.clone(), target.clone(), request));
            // A client that goes away is not a failure of the proxy.
            let _ = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
}

async fn forward(
    pool: Pool,
    target: Authority,
    mut request: Request<Incoming>,
) -> Result<Response<Either<Incoming, Empty<Bytes>>>, Infallible> {
    let mut uri = std::mem::take(request.uri_mut()).into_parts();
    uri.scheme = Some(http::uri::Scheme::HTTP);
    uri.authority = Some(target);
    let answer = match Uri::from_parts(uri) {
        Ok(uri) => {
            *request.uri_mut() = uri;
            *request.version_mut() = Version::HTTP_11;
            strip(request.headers_mut());
            // The client writes the target's own name.
            request.headers_mut().remove(header::HOST);
            pool.request(request).await.ok()
        }
        Err(_) => None,
    };
    Ok(match answer {
        Some(mut answer) => {
            strip(answer.headers_mut());
            answer.map(Either::Left)
        }
        None => {
            let mut answer = Response::new(Empty::new()).map(Either::Right);
            *answer.status_mut() = StatusCode::BAD_GATEWAY;
            answer
        }
    })
}

fn strip(headers: &mut HeaderMap) {
    for name in &HOP_BY_HOP {
        headers.remove(name);
    }
}
