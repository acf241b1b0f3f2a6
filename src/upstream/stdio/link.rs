//! A child process as a link.

use std::time::Duration;

use bytes::Bytes;

use super::call::{Arrival, PipeExchange};
use super::owner::Running;
use crate::upstream::link::{Facts, Interest, Link, LinkError, Outgoing, Pending, Reply};

/// How long a notification may wait for its place in the queue.
const NOTIFY: Duration = Duration::from_secs(10);

/// A link to a child process. Dropping it ends the process and its tree.
#[derive(Debug)]
pub struct StdioLink {
    running: Running,
    facts: Facts,
}

impl StdioLink {
    pub(super) fn new(running: Running, facts: Facts) -> Self {
        Self { running, facts }
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
            let Outgoing { draft, timeout, max_time, .. } = outgoing;
            let mut ticket = self.running.shared.begin(&draft, timeout, max_time).await?;
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

    fn is_open(&self) -> bool {
        self.running.shared.is_open()
    }

    fn close(&self) -> Pending<'_, ()> {
        Box::pin(self.running.close())
    }
}
