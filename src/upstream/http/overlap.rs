//! The event stream of a link, and those that it has replaced. Two streams are two connections:
//! what an upstream said on the older one before it knew the newer one may come after the newer
//! one's acknowledgement. So the older ones are read for a while longer, and what comes on
//! several of them is told once.

use std::collections::hash_map::RandomState;
use std::collections::{HashMap, VecDeque};
use std::future::{Future, poll_fn};
use std::hash::BuildHasher;
use std::pin::pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use super::events::{Broken, Events};
use crate::base::now;
use crate::upstream::link::Message;

/// How long a stream is read after it was replaced.
const AFTER: Duration = Duration::from_secs(5);
/// Streams that were replaced and are still read.
const MOST_OLD: usize = 16;
/// Different messages that are told apart while streams overlap.
const MOST_KINDS: usize = 8_192;

/// How often each message came, by its digest.
type Counts = HashMap<u64, u32>;

/// A stream, and what came on it while it was not alone.
#[derive(Debug)]
struct Counted {
    events: Events,
    counts: Counts,
}

/// The stream that is wanted, if it is open, and the ones before it.
#[derive(Debug, Default)]
pub(super) struct Streams {
    current: Option<Counted>,
    /// Oldest first, each with the end of its time.
    old: VecDeque<(Counted, Instant)>,
    /// How often each message was given while streams overlapped: as often as it came on the
    /// stream on which it came most often.
    given: Counts,
    hasher: RandomState,
}

/// What `next` found.
#[derive(Debug)]
pub(super) enum Next {
    Message(Message),
    /// The current stream has ended; it is still there to be looked at.
    Ended(Option<Broken>),
}

impl Streams {
    /// The stream that is wanted now.
    pub(super) fn current(&self) -> Option<&Events> {
        self.current.as_ref().map(|counted| &counted.events)
    }

    /// Closes all of them.
    pub(super) fn close(&mut self) {
        self.current = None;
        self.old.clear();
        self.rebase();
    }

    /// Reads `events` from now on, and what is still on its way on the one before.
    pub(super) fn replace(&mut self, events: Events) {
        // What was given up to now is not expected on the new one.
        let counts = self.given.clone();
        if let Some(before) = self.current.replace(Counted { events, counts }) {
            self.old.push_back((before, now() + AFTER));
        }
        if self.old.len() > MOST_OLD {
            self.old.pop_front();
            self.rebase();
        }
    }

    /// The next message that was not given yet. May be dropped and called again without losing
    /// anything; waits for ever while there is no stream.
    pub(super) async fn next(&mut self) -> Next {
        loop {
            let Some(end) = self.old.front().map(|(_, end)| *end) else {
                return poll_fn(|context| self.poll(context)).await;
            };
            tokio::select! {
                next = poll_fn(|context| self.poll(context)) => return next,
                () = sleep_until(end) => {
                    self.old.pop_front();
                    self.rebase();
                }
            }
        }
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Next> {
        let mut at = 0;
        while let Some((counted, _)) = self.old.get_mut(at) {
            let next = pin!(counted.events.next()).poll(context);
            match next {
                Poll::Pending => at += 1,
                Poll::Ready(Ok(Some(message))) => {
                    let digest = self.hasher.hash_one(said(&message));
                    if count(&mut counted.counts, &mut self.given, digest) {
                        return Poll::Ready(Next::Message(message));
                    }
                }
                Poll::Ready(Ok(None) | Err(_)) => {
                    self.old.remove(at);
                    self.rebase();
                }
            }
        }
        let Some(counted) = &mut self.current else { return Poll::Pending };
        loop {
            let next = pin!(counted.events.next()).poll(context);
            let message = match next {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Ok(Some(message))) => message,
                Poll::Ready(ended) => return Poll::Ready(Next::Ended(ended.err())),
            };
            if self.old.is_empty() {
                return Poll::Ready(Next::Message(message));
            }
            if self.given.len() >= MOST_KINDS {
                self.old.clear();
                (self.given, counted.counts) = (Counts::new(), Counts::new());
                return Poll::Ready(Next::Message(message));
            }
            let digest = self.hasher.hash_one(said(&message));
            if count(&mut counted.counts, &mut self.given, digest) {
                return Poll::Ready(Next::Message(message));
            }
        }
    }

    /// A stream is no longer read: what only it had said does not come again.
    fn rebase(&mut self) {
        self.given.clear();
        if self.old.is_empty() {
            if let Some(current) = &mut self.current {
                current.counts.clear();
            }
            return;
        }
        let old = self.old.iter().map(|(counted, _)| counted);
        for counted in old.chain(&self.current) {
            for (digest, count) in &counted.counts {
                let most = self.given.entry(*digest).or_default();
                *most = (*most).max(*count);
            }
        }
    }
}

/// Counts a message on its stream. True when it has come there more often than it was given.
fn count(own: &mut Counts, given: &mut Counts, digest: u64) -> bool {
    let own = own.entry(digest).or_default();
    *own += 1;
    let given = given.entry(digest).or_default();
    let fresh = *own > *given;
    *given = (*given).max(*own);
    fresh
}

/// What a message says, without the name of the stream on which it says it.
fn said(message: &Message) -> String {
    let mut value: serde_json::Value = serde_json::from_str(message.text()).unwrap_or_default();
    if let Some(meta) = value.pointer_mut("/params/_meta").and_then(|meta| meta.as_object_mut()) {
        meta.remove("io.modelcontextprotocol/subscriptionId");
    }
    value.to_string()
}
