//! Requests of our own about a task, and messages made of what an upstream told about one.

use bytes::Bytes;

use crate::base::Fault;
use crate::config::Transport;
use crate::namespace::encode_header;
use crate::pipeline::line::Line;
use crate::upstream::{Lease, Message, Outgoing, own_request};
use crate::wire::json::quote;
use crate::wire::{CapSet, Era, Inbound, TaskVerb};

impl Line {
    /// Asks an upstream about a task. `more`: further members of `params`, each with a comma before
    /// it; `declares`: what a modern upstream may want of the task's client.
    pub(in crate::pipeline) async fn ask_task(
        &self,
        lease: &Lease,
        upstream: &crate::config::Upstream,
        (verb, id, more): (TaskVerb, &str, &str),
        declares: CapSet,
    ) -> Result<Message, Fault> {
        let (era, method) = (lease.facts().era, verb.method());
        let declares = declares.with(CapSet::TASKS).without(CapSet::ROOTS_CHANGED);
        let members = format!("\"taskId\":{}{more}", quote(id));
        let routed = era == Era::Modern && matches!(upstream.transport, Transport::Http { .. });
        let outgoing = Outgoing {
            method,
            draft: own_request(era, declares, method.name, &members),
            name: routed.then(|| encode_header(id)),
            parameters: Vec::new(),
            timeout: upstream.timing.timeout,
            max_time: upstream.timing.max_time,
            asker: None,
            takes: CapSet::NONE,
        };
        let reply = lease.request(outgoing).await?;
        self.whole(upstream, reply).await
    }
}

/// A message with this text; `None` when it is none.
pub(in crate::pipeline) fn message_of(text: String) -> Option<Message> {
    let inbound = Inbound::read(&text).ok()?;
    Some(Message { bytes: Bytes::from(text), inbound })
}

/// A message in these bytes; `None` when it is none.
pub(super) fn message_at(bytes: &Bytes) -> Option<Message> {
    let inbound = Inbound::read(std::str::from_utf8(bytes).ok()?).ok()?;
    Some(Message { bytes: bytes.clone(), inbound })
}

/// The response that a task ended with: `member` is `result` or `error`, `text` its JSON.
pub(in crate::pipeline) fn response_of(member: &str, text: &str) -> Option<Message> {
    message_of(format!("{{\"jsonrpc\":\"2.0\",\"id\":0,\"{member}\":{text}}}"))
}

/// What the model reads of a task that somebody else ended.
pub(in crate::pipeline) fn cancelled_at(upstream: &str) -> Option<Message> {
    let sentence = format!(
        "Upstream `{upstream}` cancelled the task of this call. What ran before may have had effects; call the tool \
         again if you still want it."
    );
    let text = quote(&sentence);
    response_of(
        "result",
        &format!("{{\"content\":[{{\"type\":\"text\",\"text\":{text}}}],\"isError\":true}}"),
    )
}
