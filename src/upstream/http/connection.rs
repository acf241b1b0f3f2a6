//! One connection to an upstream: a request goes out, the head of its response comes in, and the
//! body is read by whoever wants it. All of it happens in the task that asks: between two tasks
//! there would be a wake-up, and often another thread, for each message (house.md, hot path).

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes, BytesMut};
use http::StatusCode;
use http::header::HeaderName;
use http_body::{Body, Frame, SizeHint};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::Instant;
use tokio_util::io::{poll_read_buf, poll_write_buf};

use super::alarm::Alarm;
use super::client::{Host, SendError};
use super::framing::Framing;
use super::head::ResponseHead;

/// What is asked of the system at a time; doubled while reads fill it.
const READ: usize = 8 << 10;
const READ_MOST: usize = 64 << 10;
/// With less room than this the buffer is made anew (or taken back, when nobody holds what was
/// read from it).
const READ_LEAST: usize = 1 << 10;

/// TCP or TLS.
pub(super) trait Io: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Io for T {}

/// An open connection.
pub(super) struct Connection {
    io: Box<dyn Io>,
    buffer: BytesMut,
    /// Of the request under way.
    alarm: Alarm,
    read: usize,
    /// When it was last put away, in turns of the sweep.
    pub(super) since: u32,
}

impl Connection {
    pub(super) fn new(io: Box<dyn Io>) -> Self {
        Self { io, buffer: BytesMut::new(), alarm: Alarm::default(), read: READ, since: 0 }
    }

    /// True while the peer says nothing: what it says between two requests is the end, or not
    /// meant for us.
    pub(super) fn is_quiet(&mut self, context: &mut Context<'_>) -> bool {
        self.fill(context).is_pending()
    }

    /// Sends a request and reads the head of its response, until `until`. Afterwards the
    /// connection belongs to its host again. When nothing of the request was sent, all of it is
    /// still there.
    pub(super) async fn exchange(
        mut self,
        host: &Arc<Host>,
        request: &mut impl Buf,
        until: Option<Instant>,
    ) -> Result<Response, SendError> {
        self.alarm.set(until);
        let whole = request.remaining();
        let (mut broken, mut late) = (None, false);
        let talk = std::future::poll_fn(|context| {
            let talk = self.talk(context, request, whole, &mut broken);
            if talk.is_pending() && self.alarm.poll(context).is_ready() {
                late = true;
                return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
            }
            talk
        });
        match talk.await {
            Ok(head) => {
                let keep = (head.keep && !request.has_remaining()).then(|| Arc::clone(host));
                Ok(Response { body: Arriving::new(self, &head, keep), head })
            }
            Err(error) => Err(SendError {
                unsent: !late && request.remaining() == whole,
                late,
                detail: broken.unwrap_or(error).to_string(),
            }),
        }
    }

    /// Writes and reads at once: a peer may answer before it has read everything, and then closes.
    fn talk(
        &mut self,
        context: &mut Context<'_>,
        request: &mut impl Buf,
        whole: usize,
        broken: &mut Option<io::Error>,
    ) -> Poll<io::Result<ResponseHead>> {
        while request.has_remaining() && broken.is_none() {
            match poll_write_buf(Pin::new(&mut *self.io), context, request) {
                Poll::Ready(Ok(0)) => *broken = Some(io::ErrorKind::WriteZero.into()),
                Poll::Ready(Ok(_)) => {}
                Poll::Ready(Err(error)) => *broken = Some(error),
                Poll::Pending => break,
            }
        }
        if broken.is_some() && request.remaining() == whole {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        if !request.has_remaining()
            && let Poll::Ready(Err(error)) = Pin::new(&mut *self.io).poll_flush(context)
        {
            *broken = Some(error);
        }
        loop {
            match ResponseHead::take(&mut self.buffer) {
                Ok(Some(head)) => return Poll::Ready(Ok(head)),
                Ok(None) => {}
                Err(error) => return Poll::Ready(Err(io::Error::other(error))),
            }
            if ready!(self.fill(context))? == 0 {
                return Poll::Ready(Err(io::Error::new(
                    io::ErrorKind::UnexpectedEof,
                    "the connection was closed before the response came",
                )));
            }
        }
    }

    /// Reads what there is. 0 is the end.
    fn fill(&mut self, context: &mut Context<'_>) -> Poll<io::Result<usize>> {
        if self.buffer.capacity() - self.buffer.len() < READ_LEAST {
            self.buffer.reserve(self.read);
        }
        let room = self.buffer.capacity() - self.buffer.len();
        let read = ready!(poll_read_buf(Pin::new(&mut *self.io), context, &mut self.buffer))?;
        if read == room {
            self.read = (self.read * 2).min(READ_MOST);
        }
        Poll::Ready(Ok(read))
    }

    /// As small as a new one.
    fn shrink(&mut self) {
        if self.read > READ {
            (self.read, self.buffer) = (READ, BytesMut::new());
        }
    }
}

/// The head of a response, and its body as far as anybody reads it.
pub(super) struct Response {
    pub(super) head: ResponseHead,
    pub(super) body: Arriving,
}

impl Response {
    pub(super) fn status(&self) -> StatusCode {
        self.head.status
    }

    /// The first header of this name, as text.
    pub(super) fn text(&self, name: &HeaderName) -> Option<&str> {
        self.head.text(name)
    }
}

/// A body that is still arriving. Dropping it before its end closes its connection.
pub struct Arriving {
    connection: Option<Connection>,
    framing: Framing,
    /// Where the connection goes afterwards; `None` when it cannot be used again.
    keep: Option<Arc<Host>>,
}

impl Arriving {
    fn new(connection: Connection, head: &ResponseHead, keep: Option<Arc<Host>>) -> Self {
        let mut body = Self { connection: Some(connection), framing: Framing::new(head.end), keep };
        body.settle();
        body
    }

    /// Lets the connection go when all has come.
    fn settle(&mut self) {
        if matches!(self.framing, Framing::Over)
            && let Some(mut connection) = self.connection.take()
            // What nobody asked for is no start of the next response.
            && connection.buffer.is_empty()
            && let Some(host) = self.keep.take()
        {
            connection.shrink();
            host.put(connection);
        }
    }

    /// Whoever reads on sets the deadlines.
    pub(super) fn take_your_time(&mut self) {
        if let Some(connection) = &mut self.connection {
            connection.alarm.set(None);
        }
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<io::Result<Option<Bytes>>> {
        let polled = self.read(context);
        if polled.is_pending()
            && let Some(connection) = &mut self.connection
            && connection.alarm.poll(context).is_ready()
        {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        polled
    }

    fn read(&mut self, context: &mut Context<'_>) -> Poll<io::Result<Option<Bytes>>> {
        while let Some(connection) = &mut self.connection {
            let piece = self.framing.take(&mut connection.buffer).map_err(io::Error::other)?;
            if piece.is_some() || matches!(self.framing, Framing::Over) {
                self.settle();
                return Poll::Ready(Ok(piece));
            }
            if let Some(left) = self.framing.left()
                && let room = connection.buffer.capacity() as u64
                && left > room
            {
                connection.read = READ_MOST;
            }
            if ready!(connection.fill(context))? == 0 {
                if matches!(self.framing, Framing::Close) {
                    self.framing = Framing::Over;
                    break;
                }
                return Poll::Ready(Err(io::Error::new(
                    io::ErrorKind::UnexpectedEof,
                    "the connection was closed before the end of the response",
                )));
            }
        }
        Poll::Ready(Ok(None))
    }
}

impl Body for Arriving {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let polled = ready!(self.poll(context));
        if polled.is_err() {
            self.connection = None;
        }
        Poll::Ready(polled.map(|piece| piece.map(Frame::data)).transpose())
    }

    fn is_end_stream(&self) -> bool {
        matches!(self.framing, Framing::Over)
    }

    fn size_hint(&self) -> SizeHint {
        self.framing.left().map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}

impl std::fmt::Debug for Arriving {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Arriving").field("framing", &self.framing).finish_non_exhaustive()
    }
}
