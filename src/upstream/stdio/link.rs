//! A child process as a link.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use super::call::{Arrival, PipeExchange};
use super::owner::Running;
use crate::base::now;
use crate::upstream::link::{Cause, Facts, Interest, Link, LinkError, Outgoing, Pending, Reply};

/// How long a notification may wait for its place in the queue.
const NOTIFY: Duration = Duration::from_secs(10);

/// A link to a child process. Dropping it ends the process and its tree.
#[derive(Debug)]
pub struct StdioLink {
    running: Running,
    facts: Facts,
    /// Where calls go one at a time.
    turns: Option<Arc<Semaphore>>,
}

impl StdioLink {
    pub(super) fn new(running: Running, facts: Facts, exclusive: bool) -> Self {
        let turns = exclusive.then(|| Arc::new(Semaphore::new(1)));
        Self { running, facts, turns }
    }

    /// The turn of a call; `None` where there are no turns.
    async fn turn(&self, limit: Duration) -> Result<Option<OwnedSemaphorePermit>, LinkError> {
        let Some(turns) = &self.turns else { return Ok(None) };
        let shared = &self.running.shared;
        tokio::select! {
            turn = timeout(limit, Arc::clone(turns).acquire_owned()) => match turn {
                // It is never closed.
                Ok(turn) => Ok(turn.ok()),
                Err(_) => {
                    let detail = "it takes one call at a time and was busy with others";
                    Err(LinkError::before(&shared.upstream, Cause::Timeout, detail))
                }
            },
            () = shared.stop.cancelled() => {
                let end = shared.ended();
                Err(LinkError::before(&shared.upstream, end.cause, end.detail))
            }
        }
    }

    /// The last lines that it wrote to standard error (at most 64 KiB), without its secrets.
    #[must_use]
    pub fn stderr_tail(&self) -> String {
        self.running.tail.text()
    }

    /// The process id of its guardian, the root of its tree.
    #[must_use]
    pub fn guardian(&self) -> u32 {
        self.running.pid
    }
}

impl Link for StdioLink {
    fn facts(&self) -> &Facts {
        &self.facts
    }

    fn request(&self, outgoing: Outgoing) -> Pending<'_, Result<Reply, LinkError>> {
        Box::pin(async move {
            let Outgoing { draft, timeout: silence, mut max_time, asker, takes, .. } = outgoing;
            let shared = &self.running.shared;
            let mut turn = None;
            // The proxy's own requests ask nobody and wait for nobody.
            if self.turns.is_some() && asker.is_some() {
                let start = now();
                turn = self.turn(silence.min(max_time)).await?;
                max_time = max_time.saturating_sub(start.elapsed());
            }
            let ticket = shared.begin(&draft, (asker, takes), silence, max_time).await?;
            let mut ticket = ticket.keep(turn);
            match ticket.next().await? {
                Arrival::End(response) => Ok(Reply::Message(response)),
                Arrival::Note(first) => {
                    Ok(Reply::Exchange(Box::new(PipeExchange::new(first, ticket))))
                }
            }
        })
    }

    fn send(&self, message: Bytes) -> Pending<'_, Result<(), LinkError>> {
        Box::pin(self.running.shared.send(message, NOTIFY))
    }

    fn listen(&self, interest: Interest) {
        self.running.shared.listen(interest);
    }

    fn listening(&self) -> Pending<'_, ()> {
        Box::pin(self.running.shared.heard())
    }

    fn is_open(&self) -> bool {
        self.running.shared.is_open()
    }

    fn close(&self) -> Pending<'_, ()> {
        Box::pin(self.running.close())
    }
}
