//! The open `subscriptions/listen` request of a modern child (R74).

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

use super::shared::Shared;
use crate::upstream::handshake::own_request;
use crate::upstream::link::{Event, Interest, LISTENING, Message};
use crate::wire::json::{JsonError, Reader, UPSTREAM_DEPTH};
use crate::wire::{CapSet, Era, InboundKind};

/// Longest pause before a listen request that the server ended is sent again.
const LONGEST: Duration = Duration::from_secs(60);

/// What is listened for, and with which request.
#[derive(Debug, Default)]
pub(in crate::upstream) struct Listening {
    interest: Interest,
    id: Option<u64>,
    /// The newest request that the server has confirmed.
    confirmed: Option<u64>,
    /// The confirmed request before it, open until the new one is confirmed.
    before: Option<u64>,
    /// Told of each confirmation and each end.
    told: Arc<Notify>,
    /// Ends in a row without an acknowledgement; decides the pause.
    ends: u32,
    /// It was cut, so that events may have been missed until it is back.
    cut: bool,
    /// The server knows no such request.
    refused: bool,
}

impl Shared {
    fn listening(&self) -> std::sync::MutexGuard<'_, Listening> {
        self.listening.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Listens for `interest` from now on. A legacy server needs no request for that.
    pub(in crate::upstream) fn listen(&self, interest: Interest) {
        if self.era.get() != Some(&Era::Modern) {
            return;
        }
        let mut listening = self.listening();
        if listening.interest != interest {
            listening.interest = interest;
            self.relisten(&mut listening);
        }
    }

    /// Sends the request for what is wanted now. The one before is withdrawn when the new one is
    /// confirmed, so that nothing falls between them.
    fn relisten(&self, listening: &mut Listening) {
        let mut old = listening.id.take();
        if old.is_some() && old == listening.confirmed {
            std::mem::swap(&mut listening.before, &mut old);
        }
        let interest = &listening.interest;
        let wanted = interest.lists || !interest.resources.is_empty() || !interest.tasks.is_empty();
        if wanted && !listening.refused {
            let id = self.mint();
            listening.id = Some(id);
            let members = filter(&listening.interest);
            // Whoever follows tasks must say that it takes them.
            let tasks = !listening.interest.tasks.is_empty();
            let declared = if tasks { CapSet::TASKS } else { CapSet::NONE };
            let draft = own_request(Era::Modern, declared, "subscriptions/listen", &members);
            self.control(draft.render(id));
        } else if let Some(before) = listening.before.take() {
            self.cancel(before, "nothing is listened for");
        }
        if let Some(old) = old {
            self.cancel(old, "the filter has changed");
        }
        listening.told.notify_waiters();
    }

    /// Waits until the newest request is confirmed or refused.
    pub(super) async fn heard(&self) {
        let (told, own) = {
            let listening = self.listening();
            (Arc::clone(&listening.told), listening.id)
        };
        let waiting = async {
            loop {
                let told = told.notified();
                let mut told = std::pin::pin!(told);
                told.as_mut().enable();
                let pending = {
                    let listening = self.listening();
                    // Numbers only grow, and so does what is listened for while anybody waits.
                    listening.id.is_some() && listening.confirmed < own
                };
                if !pending {
                    return;
                }
                told.await;
            }
        };
        let late = tokio::select! {
            done = tokio::time::timeout(LISTENING, waiting) => done.is_err(),
            () = self.stop.cancelled() => false,
        };
        if late {
            // Nobody waits longer; what is missed until it is confirmed is made up for.
            let mut listening = self.listening();
            if listening.id.is_some() && listening.confirmed < own {
                listening.cut = true;
            }
        }
    }

    /// The server has confirmed a request.
    pub(super) fn listen_acknowledged(&self, message: &Message) {
        let mut listening = self.listening();
        if subscription(message).is_some_and(|id| listening.id != Some(id)) {
            return;
        }
        listening.ends = 0;
        listening.confirmed = listening.id;
        listening.told.notify_waiters();
        if let Some(before) = listening.before.take() {
            self.cancel(before, "the filter has changed");
        }
        if std::mem::take(&mut listening.cut) {
            drop(listening);
            self.tell(Event::Missed);
        }
    }

    /// The server has ended request `id` with `message`. Gives false when `id` is no listen
    /// request that is open.
    pub(super) fn listen_ended(self: &Arc<Self>, id: u64, message: &Message) -> bool {
        let mut listening = self.listening();
        if listening.before == Some(id) {
            listening.before = None;
            return true;
        }
        if listening.id != Some(id) {
            return false;
        }
        listening.id = None;
        listening.told.notify_waiters();
        if message.inbound.kind == InboundKind::Error {
            listening.refused = true;
            tracing::debug!(upstream = %self.upstream, "it does not do `subscriptions/listen`");
            return true;
        }
        listening.cut = true;
        let pause = Duration::from_secs(1 << listening.ends.min(6)).min(LONGEST);
        listening.ends = listening.ends.saturating_add(1);
        drop(listening);
        let shared = Arc::clone(self);
        self.tasks.spawn("stdio listen again", async move {
            tokio::select! {
                () = shared.stop.cancelled() => {}
                () = tokio::time::sleep(pause) => {
                    let mut listening = shared.listening();
                    if listening.id.is_none() {
                        shared.relisten(&mut listening);
                    }
                }
            }
        });
        true
    }
}

/// The request to which a notification belongs, when it says so with a number.
fn subscription(message: &Message) -> Option<u64> {
    let meta = message.param("_meta")?;
    let mut found = None;
    Reader::new(meta, UPSTREAM_DEPTH)
        .object::<JsonError>(|reader, key| {
            let value = reader.value()?;
            if key.is("io.modelcontextprotocol/subscriptionId") {
                found = meta[value].trim_matches('"').parse().ok();
            }
            Ok(())
        })
        .ok()?;
    found
}

fn filter(interest: &Interest) -> String {
    let mut members = Vec::new();
    if interest.lists {
        for list in ["tools", "prompts", "resources"] {
            members.push(format!("\"{list}ListChanged\":true"));
        }
    }
    for (name, wanted) in
        [("resourceSubscriptions", &interest.resources), ("taskIds", &interest.tasks)]
    {
        if !wanted.is_empty() {
            members.push(format!("\"{name}\":{}", serde_json::json!(wanted)));
        }
    }
    format!("\"notifications\":{{{}}}", members.join(","))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_filter_is_json_whatever_the_uris() {
        let odd = || ["a\"b".to_owned()].into();
        let interest = Interest { lists: true, resources: odd(), tasks: odd() };
        let value: serde_json::Value =
            serde_json::from_str(&format!("{{{}}}", filter(&interest))).unwrap();
        assert_eq!(value["notifications"]["toolsListChanged"], true);
        assert_eq!(value["notifications"]["resourceSubscriptions"][0], "a\"b");
        assert_eq!(value["notifications"]["taskIds"][0], "a\"b");
    }
}
