//! The bodies of our replies.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::time::Sleep;
use tokio_util::sync::WaitForCancellationFutureOwned;

use super::connection::Active;
use super::reply;
use crate::base::now;
use crate::pipeline::{self, Broken, End, Feed, Sieve, Tally};
use crate::upstream::{Arriving, Lease};
use crate::wire::{Era, IdText, sse};

/// A comment goes out after this much silence, so that nothing between us and the client takes
/// the stream for dead.
const KEEP_ALIVE: Duration = Duration::from_secs(20);

/// Why a body broke off.
#[derive(Debug, thiserror::Error)]
pub(super) enum BodyError {
    /// The upstream's answer broke off while it went through.
    #[error("the upstream broke off its answer")]
    Passing(#[from] std::io::Error),
    /// The key was revoked or the session ended.
    #[error("whoever asked may not read on")]
    Ended,
    /// The upstream fell silent, or dripped for too long, while its answer went through.
    #[error("the upstream took too long in the middle of its answer")]
    Silence,
    /// The upstream's answer went wrong while it went through.
    #[error(transparent)]
    Malformed(#[from] Broken),
    /// A cold route failed.
    #[error(transparent)]
    Cold(#[from] axum::Error),
}

/// One reply's body; as long as it lives its connection counts as busy.
pub(super) struct ReplyBody {
    kind: Kind,
    _active: Option<Active>,
}

enum Kind {
    Whole(Option<Bytes>),
    Pieces(VecDeque<Bytes>),
    Passing(Box<Passing>),
    Events(Box<Events>),
    Cold(axum::body::Body),
}

struct Passing {
    /// What goes out next.
    ready: VecDeque<Bytes>,
    rest: Arriving,
    sieve: Option<Box<Sieve>>,
    left: Option<u64>,
    silence: Duration,
    timer: Pin<Box<Sleep>>,
    total: Pin<Box<Sleep>>,
    ends: [Pin<Box<WaitForCancellationFutureOwned>>; 2],
    tally: Tally,
    _lease: Lease,
}

struct Events {
    feed: Feed,
    id: IdText,
    era: Era,
    tool: bool,
    ends: [Pin<Box<WaitForCancellationFutureOwned>>; 2],
    silence: Pin<Box<Sleep>>,
    keep_alive: Duration,
}

impl ReplyBody {
    pub(super) fn whole(bytes: Bytes) -> Self {
        Self { kind: Kind::Whole(Some(bytes)), _active: None }
    }

    pub(super) fn pieces(pieces: Vec<Bytes>) -> Self {
        Self { kind: Kind::Pieces(pieces.into()), _active: None }
    }

    /// An upstream's answer as it comes; the lease keeps its link until all has come.
    pub(super) fn passing(answer: pipeline::Passing) -> Self {
        let pipeline::Passing { head, rest, sieve, length, lease, limits, ends, tally } = answer;
        let (silence, total) = limits;
        let passing = Passing {
            ready: head,
            rest,
            sieve,
            left: length,
            silence,
            timer: Box::pin(tokio::time::sleep(silence)),
            total: Box::pin(tokio::time::sleep(total)),
            ends: ends.map(|end| Box::pin(end.cancelled_owned())),
            tally,
            _lease: lease,
        };
        Self { kind: Kind::Passing(Box::new(passing)), _active: None }
    }

    /// A stream of events; `id`, `era` and `tool` word a fault that comes in its course.
    pub(super) fn events(feed: Feed, id: IdText, era: Era, tool: bool) -> Self {
        let ends = feed.ends.clone().map(|end| Box::pin(end.cancelled_owned()));
        let keep_alive = feed.keep_alive.unwrap_or(KEEP_ALIVE);
        let silence = Box::pin(tokio::time::sleep(keep_alive));
        Self {
            kind: Kind::Events(Box::new(Events { feed, id, era, tool, ends, silence, keep_alive })),
            _active: None,
        }
    }

    pub(super) fn cold(body: axum::body::Body) -> Self {
        Self { kind: Kind::Cold(body), _active: None }
    }

    /// The body of something mounted.
    pub(super) fn mounted(body: super::entrance::MountBody) -> Self {
        Self::cold(axum::body::Body::new(body))
    }

    /// Keeps the connection busy until the body is gone.
    pub(super) fn holding(mut self, active: Active) -> Self {
        self._active = Some(active);
        self
    }
}

impl Body for ReplyBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let data = |bytes| Poll::Ready(Some(Ok(Frame::data(bytes))));
        match &mut self.get_mut().kind {
            Kind::Whole(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Kind::Pieces(pieces) => {
                Poll::Ready(pieces.pop_front().map(|bytes| Ok(Frame::data(bytes))))
            }
            Kind::Passing(passing) => passing.poll(context),
            Kind::Events(events) => match ready!(events.poll(context)) {
                Some(bytes) => data(bytes),
                None => Poll::Ready(None),
            },
            Kind::Cold(body) => Pin::new(body).poll_frame(context).map_err(Into::into),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.kind {
            Kind::Whole(bytes) => bytes.is_none(),
            Kind::Pieces(pieces) => pieces.is_empty(),
            Kind::Passing(passing) => passing.is_over(),
            Kind::Events(_) => false,
            Kind::Cold(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        let exact = |length: usize| SizeHint::with_exact(length as u64);
        match &self.kind {
            Kind::Whole(bytes) => exact(bytes.as_ref().map_or(0, Bytes::len)),
            Kind::Pieces(pieces) => exact(pieces.iter().map(Bytes::len).sum()),
            Kind::Passing(passing) => {
                passing.left.map_or_else(SizeHint::default, SizeHint::with_exact)
            }
            Kind::Events(_) => SizeHint::default(),
            Kind::Cold(body) => body.size_hint(),
        }
    }
}

impl Passing {
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        for end in &mut self.ends {
            if end.as_mut().poll(context).is_ready() {
                self.tally.end(End::Ended);
                return Poll::Ready(Some(Err(BodyError::Ended)));
            }
        }
        if self.total.as_mut().poll(context).is_ready() {
            self.tally.end(End::Broken);
            return Poll::Ready(Some(Err(BodyError::Silence)));
        }
        let frame = match self.ready.pop_front() {
            Some(bytes) => Some(Ok(Frame::data(bytes))),
            None => match self.next(context) {
                Poll::Ready(frame) => frame,
                Poll::Pending => {
                    ready!(self.timer.as_mut().poll(context));
                    Some(Err(BodyError::Silence))
                }
            },
        };
        self.timer.as_mut().reset(now() + self.silence);
        self.count(frame.as_ref());
        Poll::Ready(frame)
    }

    /// What has come from the upstream, changed back.
    fn next(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        loop {
            let frame = ready!(Pin::new(&mut self.rest).poll_frame(context)).transpose()?;
            let Some(sieve) = &mut self.sieve else { return Poll::Ready(frame.map(Ok)) };
            match frame.map(Frame::into_data) {
                Some(Ok(data)) => sieve.take(data, &mut self.ready)?,
                Some(Err(_)) => {}
                None => return Poll::Ready(sieve.end().err().map(|error| Err(error.into()))),
            }
            if let Some(bytes) = self.ready.pop_front() {
                return Poll::Ready(Some(Ok(Frame::data(bytes))));
            }
        }
    }

    fn complete(&self) -> End {
        let failed = self.sieve.as_ref().is_some_and(|sieve| sieve.failed());
        if failed { End::Failed } else { End::Complete }
    }

    /// True when nothing more goes out and nothing has gone wrong.
    fn is_over(&self) -> bool {
        self.ready.is_empty()
            && self.rest.is_end_stream()
            && self.sieve.as_ref().is_none_or(|sieve| sieve.end().is_ok())
    }

    /// Counts what goes to the client. Whoever reads a body of a known length does not ask for
    /// what comes after its last byte.
    fn count(&mut self, frame: Option<&Result<Frame<Bytes>, BodyError>>) {
        match frame {
            Some(Ok(frame)) => {
                let data = frame.data_ref().map_or(&[][..], |data| &data[..]);
                let bytes = data.len();
                self.tally.hear(data);
                self.tally.add(bytes);
                if let Some(left) = &mut self.left {
                    *left = left.saturating_sub(bytes as u64);
                }
                if self.left == Some(0) || self.is_over() {
                    self.tally.end(self.complete());
                }
            }
            Some(Err(_)) => self.tally.end(End::Broken),
            None => self.tally.end(self.complete()),
        }
    }
}

impl Events {
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Option<Bytes>> {
        for end in &mut self.ends {
            if end.as_mut().poll(context).is_ready() {
                self.feed.tally.end(End::Ended);
                return Poll::Ready(None);
            }
        }
        let next = match self.feed.events.poll_recv(context) {
            Poll::Ready(Some(Ok(event))) => {
                self.feed.tally.add(event.len());
                Some(event)
            }
            Poll::Ready(Some(Err(fault))) => {
                let message = reply::fault_message(&self.id, self.era, self.tool, &fault);
                let mut out = Vec::with_capacity(message.len() + 32);
                sse::encode(&mut out, None, message.as_bytes());
                Some(Bytes::from(out))
            }
            Poll::Ready(None) => {
                self.feed.tally.end(End::Complete);
                None
            }
            Poll::Pending => {
                ready!(self.silence.as_mut().poll(context));
                Some(Bytes::from_static(sse::COMMENT))
            }
        };
        self.silence.as_mut().reset(now() + self.keep_alive);
        if next.as_ref().is_some_and(|event| event == sse::COMMENT) {
            // The new timer must be polled once, or nobody wakes this stream.
            let _ = self.silence.as_mut().poll(context);
        }
        Poll::Ready(next)
    }
}
