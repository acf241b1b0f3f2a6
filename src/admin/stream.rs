//! The bodies of the API's answers, and events that come one by one.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use tokio::time::Sleep;

use crate::base::now;
use crate::wire::sse::COMMENT;

/// The body of an answer.
pub type ApiBody = UnsyncBoxBody<Bytes, Infallible>;

/// A comment goes out after this much silence, so that nothing between us and the client takes
/// the stream for dead.
const KEEP_ALIVE: Duration = Duration::from_secs(20);

/// A body in one piece.
pub(super) fn whole(bytes: Bytes) -> ApiBody {
    Full::new(bytes).boxed_unsync()
}

/// Where events come from. It is dropped with its body: when its client has gone, or after the
/// last event.
pub(super) trait Source: Send + 'static {
    /// The next event in its wire form; `None` after the last.
    fn next(&mut self) -> impl Future<Output = Option<Bytes>> + Send;
}

/// A body of events as they come, with comments in between when none comes.
pub(super) fn events<S: Source>(source: S) -> ApiBody {
    let silence = Box::pin(tokio::time::sleep(KEEP_ALIVE));
    Events { next: Some(advance(source)), silence }.boxed_unsync()
}

type Next<S> = Pin<Box<dyn Future<Output = (S, Option<Bytes>)> + Send>>;

fn advance<S: Source>(mut source: S) -> Next<S> {
    Box::pin(async move {
        let event = source.next().await;
        (source, event)
    })
}

struct Events<S> {
    next: Option<Next<S>>,
    silence: Pin<Box<Sleep>>,
}

impl<S: Source> Body for Events<S> {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let Some(next) = &mut self.next else { return Poll::Ready(None) };
        match next.as_mut().poll(context) {
            Poll::Ready((source, Some(event))) => {
                self.next = Some(advance(source));
                self.silence.as_mut().reset(now() + KEEP_ALIVE);
                Poll::Ready(Some(Ok(Frame::data(event))))
            }
            Poll::Ready((_, None)) => {
                self.next = None;
                Poll::Ready(None)
            }
            Poll::Pending => {
                ready!(self.silence.as_mut().poll(context));
                self.silence.as_mut().reset(now() + KEEP_ALIVE);
                // The new time must be looked at once, or nobody wakes this stream.
                let _ = self.silence.as_mut().poll(context);
                Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(COMMENT)))))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Slow(u32);

    impl Source for Slow {
        async fn next(&mut self) -> Option<Bytes> {
            self.0 = self.0.checked_sub(1)?;
            tokio::time::sleep(KEEP_ALIVE * 2 + Duration::from_secs(1)).await;
            Some(Bytes::from_static(b"data: x\n\n"))
        }
    }

    #[tokio::test(start_paused = true)]
    async fn silence_is_filled_with_comments() {
        let whole = events(Slow(2)).collect().await.unwrap().to_bytes();
        assert_eq!(&whole[..], b":\n\n:\n\ndata: x\n\n:\n\n:\n\ndata: x\n\n");
    }
}
