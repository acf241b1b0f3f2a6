//! The accept loop: one task for each connection, and limits on all of them.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper::rt::Executor;
use hyper::server::conn::{http1, http2};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use super::connection::{Activity, Bounded, Grace, HEADER_TIME, Noted};
use super::entrance::Entrance;
use super::tls::Acceptor;
use crate::base::Tasks;
use crate::telemetry::meters;

/// Bytes of a request's head, and headers in it (security.md R8).
pub(super) const MOST_HEAD: usize = 16 * 1024;
const HEADERS: usize = 100;
/// Requests at a time on one HTTP/2 connection.
const STREAMS: u32 = 100;
/// After a failed accept (no file descriptors left) it is tried again this much later.
const ACCEPT_REST: Duration = Duration::from_millis(100);

/// Takes connections until the drain begins.
pub async fn listen(
    listener: TcpListener,
    entrance: Entrance,
    tls: Arc<Acceptor>,
    tasks: Tasks,
    grace: Grace,
) {
    // As many holders as connections, and this one.
    let places = Arc::new(());
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = grace.begun() => return,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "no connection could be accepted; raise the limit of open files if this persists");
                tokio::time::sleep(ACCEPT_REST).await;
                continue;
            }
        };
        let most = entrance.max_connections();
        if Arc::strong_count(&places) > most {
            meters().turned_away.one();
            tracing::warn!(most, %peer, "too many connections; one was refused (`max_connections` in [server])");
            continue;
        }
        let place = places.clone();
        // Without it a second small write waits for the first one's acknowledgement: 40 ms.
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "TCP_NODELAY");
        }
        let (entrance, tls, grace, executor) =
            (entrance.clone(), tls.get(), grace.clone(), tasks.clone());
        meters().accepted.one();
        let counted = meters().connections.hold();
        tasks.spawn("connection", async move {
            let _counted = counted;
            serve(stream, peer, entrance, tls, executor, grace).await;
            drop(place);
        });
    }
}

async fn serve(
    stream: TcpStream,
    peer: SocketAddr,
    entrance: Entrance,
    tls: Option<TlsAcceptor>,
    tasks: Tasks,
    grace: Grace,
) {
    let Some(tls) = tls else {
        match tokio::time::timeout(HEADER_TIME, begins_like_http2(&stream)).await {
            Ok(http2) => talk(TokioIo::new(stream), http2, peer, entrance, tasks, grace).await,
            Err(_) => tracing::debug!(%peer, "connection was cut: it said nothing"),
        }
        return;
    };
    // Apart from the others, which would be as large without it.
    Box::pin(async move {
        match tokio::time::timeout(HEADER_TIME, tls.accept(stream)).await {
            Ok(Ok(stream)) => {
                let http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
                talk(TokioIo::new(stream), http2, peer, entrance, tasks, grace).await;
            }
            Ok(Err(error)) => tracing::debug!(%peer, %error, "TLS handshake failed"),
            Err(_) => tracing::debug!(%peer, "TLS handshake took too long"),
        }
    })
    .await;
}

/// The preface of HTTP/2 (RFC 9113 section 3.4). No request of HTTP/1.1 begins like that.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Without TLS a client says by its first bytes that it speaks HTTP/2. A preface that comes in
/// tatters is taken for HTTP/1.1, which refuses it.
async fn begins_like_http2(stream: &TcpStream) -> bool {
    let mut first = [0; PREFACE.len()];
    matches!(stream.peek(&mut first).await, Ok(length) if length == first.len()) && first == PREFACE
}

pub(super) async fn talk<S>(
    stream: S,
    http2: bool,
    peer: SocketAddr,
    entrance: Entrance,
    tasks: Tasks,
    grace: Grace,
) where
    S: hyper::rt::Read + hyper::rt::Write + Unpin + Send + 'static,
{
    let activity = Activity::new(http2);
    let service = {
        // One count for each connection: those of what is behind it are everybody's.
        let seat = Arc::new((entrance, activity.clone()));
        hyper::service::service_fn(move |request| {
            let seat = seat.clone();
            async move { seat.0.serve(request, peer, &seat.1).await }
        })
    };
    let ended = if http2 {
        let connection = http2::Builder::new(Spawner(tasks))
            .max_concurrent_streams(STREAMS)
            .max_header_list_size(u32::try_from(MOST_HEAD).unwrap_or(u32::MAX))
            .max_pending_accept_reset_streams(20)
            .keep_alive_interval(Duration::from_secs(60))
            .keep_alive_timeout(Duration::from_secs(20))
            .timer(TokioTimer::new())
            .serve_connection(Noted::new(stream, activity.clone()), service);
        Bounded::new(connection, activity, grace).await
    } else {
        let connection = http1::Builder::new()
            .header_read_timeout(None)
            .max_headers(HEADERS)
            .max_buf_size(64 * 1024)
            .half_close(false)
            .timer(TokioTimer::new())
            .serve_connection(Noted::new(stream, activity.clone()), service);
        Bounded::new(connection, activity, grace).await
    };
    match ended {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!(%peer, %error, "connection ended"),
        Err(cut) => tracing::debug!(%peer, ?cut, "connection was cut"),
    }
}

/// Tasks that HTTP/2 needs have the same owner as all others.
#[derive(Clone)]
struct Spawner(Tasks);

impl<F> Executor<F> for Spawner
where
    F: std::future::Future + Send + 'static,
    F::Output: Send + 'static,
{
    fn execute(&self, future: F) {
        self.0.spawn("http2", future);
    }
}
