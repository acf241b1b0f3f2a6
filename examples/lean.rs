//! A plain HTTP proxy that only moves bytes, and does as little as hyper allows: connections to the
//! target are driven by the task of the client's connection, so that no message is handed from one
//! task to another. `floor` is the same as one writes it with the usual client.

#[path = "plain/command.rs"]
mod command;

use std::{
    convert::Infallible,
    io,
    net::SocketAddr,
    pin::{Pin, pin},
    process::ExitCode,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use command::strip;
use http::{HeaderValue, Request, Response, StatusCode, Version, header};
use http_body::{Body, Frame, SizeHint};
use hyper::{
    body::Incoming,
    client::conn::http1::{self, SendRequest},
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};

/// The same as in mcp-proxy, so that it makes no difference.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// A connection to the target: where requests go in, and what has to be polled meanwhile.
struct Link {
    sender: SendRequest<Incoming>,
    connection: http1::Connection<TokioIo<TcpStream>, Incoming>,
    ended: bool,
}

/// The target, and the connections that nobody uses now.
struct Pool {
    target: SocketAddr,
    host: HeaderValue,
    idle: Mutex<Vec<Link>>,
}

fn main() -> ExitCode {
    command::run("lean", serve)
}

#[tokio::main]
async fn serve(listen: SocketAddr, target: SocketAddr) -> io::Result<()> {
    let host = HeaderValue::try_from(target.to_string()).map_err(io::Error::other)?;
    let pool = Arc::new(Pool { target, host, idle: Mutex::default() });
    let listener = TcpListener::bind(listen).await?;
    eprintln!("listening on http://{}", listener.local_addr()?);
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(Duration::from_millis(10)).await;
            continue;
        };
        stream.set_nodelay(true)?;
        let pool = Arc::clone(&pool);
        tokio::spawn(async move {
            let service = service_fn(move |request| forward(Arc::clone(&pool), request));
            // A client that goes away is not a failure of the proxy.
            let _ = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
}

async fn forward(
    pool: Arc<Pool>,
    mut request: Request<Incoming>,
) -> Result<Response<Answer>, Infallible> {
    *request.version_mut() = Version::HTTP_11;
    strip(request.headers_mut());
    request.headers_mut().insert(header::HOST, pool.host.clone());
    Ok(match pool.exchange(request).await {
        Some(answer) => answer,
        None => {
            let mut answer = Response::new(Answer { body: None, link: None, pool });
            *answer.status_mut() = StatusCode::BAD_GATEWAY;
            answer
        }
    })
}

impl Pool {
    /// A connection that can take a request: one that is idle, or else a new one.
    async fn link(&self) -> Option<Link> {
        loop {
            let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
            let Some(mut link) = idle else { break };
            if std::future::poll_fn(|context| link.poll_ready(context)).await {
                return Some(link);
            }
        }
        let stream = TcpStream::connect(self.target).await.ok()?;
        stream.set_nodelay(true).ok()?;
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.ok()?;
        Some(Link { sender, connection, ended: false })
    }

    /// Sends a request, and gives the answer with the connection that its body comes from.
    async fn exchange(self: &Arc<Self>, request: Request<Incoming>) -> Option<Response<Answer>> {
        let mut link = self.link().await?;
        let mut sent = pin!(link.sender.send_request(request));
        let answer = std::future::poll_fn(|context| {
            link.drive(context);
            sent.as_mut().poll(context)
        });
        let mut answer = answer.await.ok()?;
        strip(answer.headers_mut());
        Some(answer.map(|body| Answer {
            body: Some(body),
            link: Some(link),
            pool: Arc::clone(self),
        }))
    }
}

impl Link {
    /// Reads and writes what there is. What that comes to is told to whoever waits for an answer.
    fn drive(&mut self, context: &mut Context<'_>) {
        if !self.ended {
            self.ended = Pin::new(&mut self.connection).poll(context).is_ready();
        }
    }

    /// Whether it takes a request; false when it has ended.
    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<bool> {
        self.drive(context);
        if self.ended {
            return Poll::Ready(false);
        }
        Poll::Ready(ready!(self.sender.poll_ready(context)).is_ok())
    }
}

/// A body on its way, with the connection that it comes from. The end gives that back.
struct Answer {
    body: Option<Incoming>,
    link: Option<Link>,
    pool: Arc<Pool>,
}

impl Body for Answer {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let Self { body: Some(body), link, .. } = &mut *self else { return Poll::Ready(None) };
        if let ready @ Poll::Ready(_) = Pin::new(&mut *body).poll_frame(context) {
            return ready;
        }
        if let Some(link) = link {
            link.drive(context);
        }
        Pin::new(body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(Incoming::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map_or_else(|| SizeHint::with_exact(0), Incoming::size_hint)
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        if let (Some(link), true) = (self.link.take(), self.is_end_stream()) {
            self.pool.idle.lock().unwrap_or_else(PoisonError::into_inner).push(link);
        }
    }
}
