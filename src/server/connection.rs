//! What a connection is doing, so that one that only dawdles can be cut: a header that does not
//! get finished, or silence for too long. One lazily armed timer for each connection, none for
//! each request (hyper's own header timeout also cuts idle keep-alive connections, which makes
//! clients lose requests).

use std::error::Error;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use hyper::body::{Body, Incoming};
use hyper::rt::bounds::Http2ServerConnExec;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper::server::conn::{http1, http2};
use hyper::service::HttpService;
use tokio::time::Sleep;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

use super::wake::SelfWake;
use crate::base::now;

/// A request's header must be complete this long after its first byte, and the first request
/// this long after the connection.
pub(super) const HEADER_TIME: Duration = Duration::from_secs(10);
/// On HTTP/2 there is more to agree on first.
const HTTP2_TIME: Duration = Duration::from_secs(30);
/// A client that takes nothing of what we write for this long is cut.
const BLOCKED_TIME: Duration = Duration::from_secs(60);
/// A connection without a request for this long is closed.
pub(super) const IDLE_TIME: Duration = Duration::from_secs(300);

/// What a connection is doing.
#[derive(Debug)]
pub(super) struct Activity {
    /// Bytes have come that are no whole request yet.
    partial: AtomicBool,
    /// Requests and replies under way.
    active: AtomicU32,
    /// The client does not take what we write.
    blocked: AtomicBool,
    /// Counts requests.
    served: AtomicU32,
    http2: bool,
}

impl Activity {
    pub(super) fn new(http2: bool) -> Arc<Self> {
        Arc::new(Self {
            partial: AtomicBool::new(true),
            active: AtomicU32::new(0),
            blocked: AtomicBool::new(false),
            served: AtomicU32::new(0),
            http2,
        })
    }

    /// A whole header has come; the guard counts as long as the request or its reply lives.
    pub(super) fn begin(self: &Arc<Self>) -> Active {
        self.partial.store(false, Ordering::Relaxed);
        self.served.fetch_add(1, Ordering::Relaxed);
        self.active.fetch_add(1, Ordering::Relaxed);
        Active(self.clone())
    }
}

/// A request under way.
#[derive(Debug)]
pub(super) struct Active(Arc<Activity>);

impl Drop for Active {
    fn drop(&mut self) {
        self.0.active.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A stream that notes when the client takes nothing, and on HTTP/1.1 when bytes come outside a
/// request. (Frames of HTTP/2 come at any time and mean nothing.)
pub(super) struct Noted<S> {
    stream: S,
    activity: Arc<Activity>,
}

impl<S> Noted<S> {
    pub(super) fn new(stream: S, activity: Arc<Activity>) -> Self {
        Self { stream, activity }
    }
}

impl<S: Read + Unpin> Read for Noted<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<std::io::Result<()>> {
        let read = Pin::new(&mut self.stream).poll_read(context, buffer);
        let activity = &self.activity;
        if matches!(read, Poll::Ready(Ok(())))
            && !activity.http2
            && activity.active.load(Ordering::Relaxed) == 0
        {
            activity.partial.store(true, Ordering::Relaxed);
        }
        read
    }
}

impl<S: Write + Unpin> Write for Noted<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.activity.blocked.store(written.is_pending(), Ordering::Relaxed);
        written
    }

    fn poll_flush(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[std::io::IoSlice<'_>],
    ) -> Poll<std::io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        self.activity.blocked.store(written.is_pending(), Ordering::Relaxed);
        written
    }
}

/// Why a connection was cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cut {
    /// A header was not finished in time.
    Header,
    /// The client took nothing of what we wrote.
    Blocked,
    /// Nothing happened for too long.
    Idle,
}

/// How the listener ends: no new connections; those that are open finish what they do.
#[derive(Debug, Clone, Default)]
pub struct Grace(Arc<Ending>);

#[derive(Debug, Default)]
struct Ending {
    began: AtomicBool,
    token: CancellationToken,
}

impl Grace {
    /// Begins the end.
    pub fn begin(&self) {
        self.0.began.store(true, Ordering::Release);
        self.0.token.cancel();
    }

    /// Waits for it.
    pub(super) async fn begun(&self) {
        self.0.token.cancelled().await;
    }
}

/// A connection that can be told to end after what it does.
pub(super) trait Graceful: Future {
    fn end(self: Pin<&mut Self>);
}

impl<I, S, B> Graceful for http1::Connection<I, S>
where
    Self: Future,
    I: Read + Write + Unpin,
    S: HttpService<Incoming, ResBody = B>,
    S::Error: Into<Box<dyn Error + Send + Sync>>,
    B: Body + 'static,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    fn end(self: Pin<&mut Self>) {
        self.graceful_shutdown();
    }
}

impl<I, S, E, B> Graceful for http2::Connection<I, S, E>
where
    Self: Future,
    I: Read + Write + Unpin,
    S: HttpService<Incoming, ResBody = B>,
    S::Error: Into<Box<dyn Error + Send + Sync>>,
    B: Body + 'static,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
    E: Http2ServerConnExec<S::Future, B>,
{
    fn end(self: Pin<&mut Self>) {
        self.graceful_shutdown();
    }
}

/// Runs a connection, cuts it when it dawdles, and ends it with the listener.
pub(super) struct Bounded<C> {
    connection: Pin<Box<C>>,
    wakes: SelfWake,
    activity: Arc<Activity>,
    timer: Pin<Box<Sleep>>,
    /// What the timer stands for.
    timed: Cut,
    served: u32,
    grace: Grace,
    ending: Option<Pin<Box<WaitForCancellationFutureOwned>>>,
    /// Who is woken when the end begins. All connections wait for it behind one lock, so it is
    /// not asked again with each message.
    waker: Option<Waker>,
}

impl<C: Graceful> Bounded<C> {
    pub(super) fn new(connection: C, activity: Arc<Activity>, grace: Grace) -> Self {
        let first = if activity.http2 { HTTP2_TIME } else { HEADER_TIME };
        let timer = Box::pin(tokio::time::sleep(first));
        let ending = Some(Box::pin(grace.0.token.clone().cancelled_owned()));
        let connection = Box::pin(connection);
        Self {
            connection,
            wakes: SelfWake::new(),
            activity,
            timer,
            timed: Cut::Header,
            served: 0,
            grace,
            ending,
            waker: None,
        }
    }

    /// Hears of the end of the listener, once.
    fn hear_the_end(&mut self, context: &mut Context<'_>) {
        let Some(ending) = &mut self.ending else { return };
        let known = self.waker.as_ref().is_some_and(|waker| waker.will_wake(context.waker()));
        if known && !self.grace.0.began.load(Ordering::Acquire) {
            return;
        }
        if ending.as_mut().poll(context).is_ready() {
            self.ending = None;
            self.connection.as_mut().end();
        } else {
            self.waker = Some(context.waker().clone());
        }
    }
}

impl<C: Graceful> Future for Bounded<C> {
    type Output = Result<C::Output, Cut>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        this.hear_the_end(context);
        if let Poll::Ready(output) = this.wakes.poll(this.connection.as_mut(), context) {
            return Poll::Ready(Ok(output));
        }
        let (timed, limit) = if this.activity.blocked.load(Ordering::Relaxed) {
            (Cut::Blocked, BLOCKED_TIME)
        } else if this.activity.partial.load(Ordering::Relaxed) {
            (Cut::Header, HEADER_TIME)
        } else {
            (Cut::Idle, IDLE_TIME)
        };
        if timed != this.timed {
            this.timed = timed;
            this.timer.as_mut().reset(now() + limit);
        }
        while this.timer.as_mut().poll(context).is_ready() {
            if this.timed != Cut::Idle {
                return Poll::Ready(Err(this.timed));
            }
            // Not armed anew for each request: it only looks whether there was one meanwhile.
            let served = this.activity.served.load(Ordering::Relaxed);
            if this.activity.active.load(Ordering::Relaxed) == 0 && served == this.served {
                return Poll::Ready(Err(Cut::Idle));
            }
            this.served = served;
            this.timer.as_mut().reset(now() + IDLE_TIME);
        }
        Poll::Pending
    }
}
