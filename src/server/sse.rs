//! The doors of HTTP+SSE (2024-11-05): a stream that is opened by GET, and posts that name it.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::mpsc;

use super::conversation::Conversation;
use crate::base::{Fault, Kind, Tasks};
use crate::pipeline::{Answer, Body, Feed, Line, Outcome, Posting, Tally};
use crate::wire::{Era, IdText, sse};

/// Messages that wait for a client that reads slowly; what makes more of them waits then.
const QUEUE: usize = 16;
/// Streams that one key may have open.
const OF_ONE_KEY: usize = 256;
/// A session outlives its stream by this, for posts that are on their way.
const GRACE: Duration = Duration::from_secs(5);
/// How long requests may still run when the proxy stops.
const LAST: Duration = Duration::from_secs(15);

/// The streams that are open, by the id that stands in their `endpoint`.
#[derive(Default)]
pub(super) struct Streams {
    open: Mutex<HashMap<String, Arc<Conversation>>>,
}

/// What stands behind an old door.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Behind<'a> {
    /// Everything.
    All,
    /// One upstream.
    Upstream(&'a str),
    /// A profile.
    Profile(&'a str),
}

impl Behind<'_> {
    /// The path of the new door of the same.
    pub(super) fn path(self) -> String {
        match self {
            Self::All => "/mcp".to_owned(),
            Self::Upstream(name) => format!("/mcp/{name}"),
            Self::Profile(name) => format!("/p/{name}/mcp"),
        }
    }

    /// Where posts go.
    fn messages(self) -> String {
        match self {
            Self::All => "/messages".to_owned(),
            Self::Upstream(name) => format!("/messages/{name}"),
            Self::Profile(name) => format!("/p/{name}/messages"),
        }
    }
}

/// Which of the two doors a path names, with what is behind it.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum OldDoor<'a> {
    /// `/sse`
    Stream(Behind<'a>),
    /// `/messages`
    Messages(Behind<'a>),
}

impl<'a> OldDoor<'a> {
    /// Reads a path.
    pub(super) fn of(path: &'a str) -> Option<Self> {
        if let Some(rest) = path.strip_prefix("/p/") {
            let (name, door) = rest.split_once('/').filter(|(name, _)| !name.is_empty())?;
            return match door {
                "sse" => Some(Self::Stream(Behind::Profile(name))),
                "messages" => Some(Self::Messages(Behind::Profile(name))),
                _ => None,
            };
        }
        let (rest, door): (_, fn(Behind<'a>) -> Self) = match path.strip_prefix("/sse") {
            Some(rest) => (rest, Self::Stream),
            None => (path.strip_prefix("/messages")?, Self::Messages),
        };
        match rest.strip_prefix('/') {
            None if rest.is_empty() => Some(door(Behind::All)),
            Some(name) if !name.is_empty() => Some(door(Behind::Upstream(name))),
            _ => None,
        }
    }

    /// What is behind it.
    pub(super) fn behind(&self) -> Behind<'a> {
        match self {
            Self::Stream(behind) | Self::Messages(behind) => *behind,
        }
    }
}

impl Streams {
    /// Opens a stream for whoever `template` names. It begins with the URI to post to.
    pub(super) fn open(
        self: &Arc<Self>,
        line: &Arc<Line>,
        tasks: &Tasks,
        template: Posting,
        behind: Behind<'_>,
    ) -> Result<Answer, Fault> {
        let id = fresh_id()?;
        let key = template.principal.key();
        let ends = template.principal.ended().clone();
        let (out, events) = mpsc::channel(QUEUE);
        let place = behind.messages();
        let first = format!("event: endpoint\ndata: {place}?sessionId={id}\n\n");
        // The queue is new and empty.
        let _ = out.try_send(Ok(Bytes::from(first)));
        let gone = out.clone();
        let conversation = Conversation::new(line.clone(), tasks.clone(), template, out, event);
        {
            let mut open = self.list();
            if open.values().filter(|other| other.posting().principal.key() == key).count()
                >= OF_ONE_KEY
            {
                let what = "This key has too many streams open; close some, or use /mcp";
                return Err(Fault::client(Kind::Busy, what));
            }
            open.insert(id.clone(), conversation.clone());
        }
        let over = conversation.ended().clone();
        let feed = Feed {
            events,
            ends: [ends.clone(), over.clone()],
            keep_alive: None,
            tally: Tally::default(),
        };
        let (streams, stop) = (self.clone(), tasks.stop().clone());
        tasks.spawn("sse stream", async move {
            tokio::select! {
                () = gone.closed() => {
                    tokio::select! {
                        () = tokio::time::sleep(GRACE) => {}
                        () = over.cancelled() => {}
                        () = ends.cancelled() => {}
                        () = stop.cancelled() => {}
                    }
                }
                () = over.cancelled() => {}
                () = ends.cancelled() => {}
                () = stop.cancelled() => {}
            }
            streams.list().remove(&id);
            conversation.end().await;
        });
        Ok(Answer::ok(Body::Events(feed)))
    }

    /// The conversation that a post names, for whoever opened it at the same door. Unknown,
    /// ended and foreign ones look the same.
    pub(super) fn find(
        &self,
        query: Option<&str>,
        posting: &Posting,
    ) -> Result<Arc<Conversation>, Fault> {
        let id = query
            .unwrap_or_default()
            .split('&')
            .find_map(|pair| pair.strip_prefix("sessionId="))
            .ok_or_else(|| {
                let what = "The query lacks `sessionId`; open /sse and post where its `endpoint` event says";
                Fault::client(Kind::NoSession, what)
            })?;
        let found = self.list().get(id).cloned().filter(|conversation| {
            let own = conversation.posting();
            own.principal.tenant().id() == posting.principal.tenant().id()
                && own.principal.key() == posting.principal.key()
                && own.path == posting.path
        });
        found.ok_or_else(|| {
            Fault::client(Kind::UnknownSession, "Session not found; open /sse again")
        })
    }

    /// Lets every conversation finish what runs, and ends it.
    pub(super) fn drain(&self, tasks: &Tasks) {
        let all: Vec<_> = self.list().values().cloned().collect();
        for conversation in all {
            tasks.spawn("last requests", async move {
                conversation.settle(LAST).await;
                conversation.ended().cancel();
            });
        }
    }

    fn list(&self) -> MutexGuard<'_, HashMap<String, Arc<Conversation>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Takes one post to its conversation: 202, or the refusal.
pub(super) async fn post(conversation: &Arc<Conversation>, body: Bytes) -> Outcome {
    match conversation.take(body).await {
        Ok(()) => Outcome {
            id: IdText::new_static("null"),
            era: Era::Legacy,
            tool: false,
            answer: Ok(Answer::accepted()),
        },
        Err(refused) => *refused,
    }
}

/// 128 random bits as hex.
fn fresh_id() -> Result<String, Fault> {
    let mut bytes = [0_u8; 16];
    getrandom::fill(&mut bytes).map_err(|error| Fault::internal(error.to_string()))?;
    Ok(bytes.iter().fold(String::with_capacity(32), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    }))
}

fn event(message: &[u8]) -> Bytes {
    let mut out = Vec::with_capacity(message.len() + 32);
    out.extend_from_slice(b"event: message\n");
    sse::encode(&mut out, None, message);
    Bytes::from(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_old_doors_have_their_own_paths() {
        assert_eq!(OldDoor::of("/sse"), Some(OldDoor::Stream(Behind::All)));
        assert_eq!(OldDoor::of("/sse/gh"), Some(OldDoor::Stream(Behind::Upstream("gh"))));
        assert_eq!(OldDoor::of("/messages/gh"), Some(OldDoor::Messages(Behind::Upstream("gh"))));
        for other in ["/", "/sse/", "/ssex", "/messages/", "/message", "/mcp", "/x/sse"] {
            assert_eq!(OldDoor::of(other), None, "{other}");
        }
    }

    #[test]
    fn every_message_says_what_it_is() {
        assert_eq!(event(b"{}"), "event: message\ndata: {}\n\n");
    }
}
