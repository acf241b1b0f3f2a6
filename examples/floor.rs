//! A plain HTTP proxy that only moves bytes: the floor that mcp-proxy is compared with.

#[path = "plain/command.rs"]
mod command;

use std::{convert::Infallible, io, net::SocketAddr, process::ExitCode, time::Duration};

use bytes::Bytes;
use command::strip;
use http::{Request, Response, StatusCode, Uri, Version, header, uri::Authority};
use http_body_util::{Either, Empty};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioIo, TokioTimer},
};
use tokio::net::TcpListener;

type Pool = Client<HttpConnector, Incoming>;

fn main() -> ExitCode {
    command::run("floor", serve)
}

#[tokio::main]
async fn serve(listen: SocketAddr, target: SocketAddr) -> io::Result<()> {
    let target = Authority::try_from(target.to_string()).map_err(io::Error::other)?;
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
