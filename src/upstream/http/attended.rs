//! A call that may be asked: what comes on the link's own stream for it is brought together with
//! what comes on its own, also before its response has begun.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;

use super::answer::{MESSAGE_LIMIT, collect, own, read_message};
use super::core::Core;
use crate::upstream::link::{Cause, Exchange, LinkError, Message, Outgoing, Pending, Ran, Reply};
use crate::wire::InboundKind;

/// The place of a call at the desk, until it is dropped.
struct Seated {
    core: Arc<Core>,
    number: u64,
}

impl Drop for Seated {
    fn drop(&mut self) {
        // Given up calls have left already, with their cancellation.
        let refusals = self.core.desk.leave(self.number, None);
        self.core.errands("upstream-refusal", refusals);
    }
}

/// Sends a request whose caller can be asked.
pub(super) async fn attend(core: &Arc<Core>, outgoing: Outgoing) -> Result<Reply, LinkError> {
    let number = core.desk.enter(outgoing.asker, outgoing.takes);
    // Before `asking`, so that it goes after it, should this future be dropped.
    let seated = Seated { core: Arc::clone(core), number };
    let max_time = outgoing.max_time;
    let mut asking: Asking = Box::pin({
        let core = Arc::clone(core);
        async move { core.ask(outgoing, Some(number)).await }
    });
    let (first, state) = tokio::select! {
        biased;
        reply = &mut asking => match reply? {
            Reply::Exchange(exchange) => (None, State::Running(exchange)),
            reply => return Ok(reply),
        },
        message = core.desk.next(number) => (Some(message), State::Asking(asking)),
    };
    Ok(Reply::Exchange(Box::new(Attended { first, state, max_time, seated })))
}

type Asking = Pin<Box<dyn Future<Output = Result<Reply, LinkError>> + Send>>;

enum State {
    Asking(Asking),
    Running(Box<dyn Exchange>),
    Over,
}

struct Attended {
    first: Option<Message>,
    // Before `seated`: what gives up a call refuses its questions itself, in order.
    state: State,
    max_time: Duration,
    seated: Seated,
}

impl Attended {
    async fn step(&mut self) -> Result<Message, LinkError> {
        if let Some(first) = self.first.take() {
            return Ok(first);
        }
        let Seated { core, number } = &self.seated;
        loop {
            let reply = match &mut self.state {
                State::Over => {
                    return Err(core.road.error(Cause::Gone, Ran::Maybe, "the exchange is over"));
                }
                State::Running(exchange) => tokio::select! {
                    biased;
                    message = core.desk.next(*number) => return Ok(message),
                    message = exchange.next() => return message,
                },
                State::Asking(asking) => tokio::select! {
                    biased;
                    message = core.desk.next(*number) => return Ok(message),
                    reply = asking => reply?,
                },
            };
            self.state = match reply {
                Reply::Message(message) => return Ok(message),
                Reply::Exchange(exchange) => State::Running(exchange),
                Reply::Json { id, body, .. } => {
                    let (core, max_time) = (Arc::clone(core), self.max_time);
                    State::Asking(Box::pin(async move {
                        let Ok(read) = timeout(max_time, collect(body, MESSAGE_LIMIT)).await else {
                            let detail = "its answer took too long";
                            return Err(core.road.error(Cause::Timeout, Ran::Maybe, detail));
                        };
                        let bytes = read.map_err(|(cause, detail)| {
                            core.road.error(cause, Ran::Maybe, &detail)
                        })?;
                        let message = read_message(bytes).and_then(|message| own(message, id));
                        message
                            .map(Reply::Message)
                            .map_err(|detail| core.road.error(Cause::Garbage, Ran::Maybe, &detail))
                    }))
                }
            };
        }
    }
}

impl Exchange for Attended {
    fn next(&mut self) -> Pending<'_, Result<Message, LinkError>> {
        Box::pin(async {
            let result = self.step().await;
            let more = matches!(&result, Ok(message) if !matches!(
                message.inbound.kind,
                InboundKind::Result | InboundKind::Error
            ));
            if !more {
                self.state = State::Over;
            }
            result
        })
    }
}

impl fmt::Debug for Attended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Attended").field("number", &self.seated.number).finish_non_exhaustive()
    }
}
