//! Where each message of a child goes.

use std::sync::Arc;

use bytes::Bytes;

use super::frame::LINE_LIMIT;
use super::shared::{End, Shared};
use super::stderr::clean;
use crate::upstream::link::{Cause, Event, Message};
use crate::upstream::question::{Question, refusal};
use crate::wire::json::{JsonError, Reader, UPSTREAM_DEPTH};
use crate::wire::{Era, Inbound, InboundKind};

/// So much of a line that is no message is searched for secrets, to show its beginning.
const GARBAGE: usize = 8 * 1_024;
/// So many lines that are no message are logged one by one, then only each thousandth.
const LOGGED: u64 = 10;

impl Shared {
    /// One line of a child.
    pub(super) fn line(self: &Arc<Self>, bytes: Bytes, garbage: &mut u64) {
        let text = std::str::from_utf8(&bytes).ok();
        if let Some(inbound) = text.and_then(|text| Inbound::read(text).ok()) {
            return self.message(Message { bytes, inbound });
        }
        // Revision 2025-03-26 let servers send several messages at once.
        if let Some(items) = text.and_then(|text| array(text).ok()) {
            for item in items {
                let bytes = bytes.slice(item);
                let text = std::str::from_utf8(&bytes).unwrap_or_default();
                if let Ok(inbound) = Inbound::read(text) {
                    self.message(Message { bytes, inbound });
                }
            }
            return;
        }
        *garbage += 1;
        if *garbage <= LOGGED || garbage.is_multiple_of(1_000) {
            let head = String::from_utf8_lossy(&bytes[..bytes.len().min(GARBAGE)]);
            let head: String = clean(&head, &self.redact).chars().take(200).collect();
            tracing::warn!(upstream = %self.upstream, count = *garbage,
                "a line on standard output is no message: {head}");
        }
    }

    /// A line over the limit costs the call that it answers; when that cannot be told it costs
    /// the link, and this gives false.
    pub(super) fn too_long(&self, head: &[u8]) -> bool {
        let detail = || format!("it sent a line longer than {LINE_LIMIT} bytes");
        tracing::warn!(upstream = %self.upstream, "{}", detail());
        let end = || End { cause: Cause::TooLarge, detail: detail() };
        let valid = head.utf8_chunks().next().map_or("", |chunk| chunk.valid());
        let call = match leading_id(valid) {
            Some(id) => self.take(id),
            None => self.only().and_then(|call| self.take(call.id)),
        };
        if let Some(call) = call {
            call.end(Err(end()));
            return true;
        }
        self.finish(&end());
        false
    }

    /// Takes one message to whom it concerns.
    pub(in crate::upstream) fn message(self: &Arc<Self>, message: Message) {
        match message.inbound.kind {
            InboundKind::Result | InboundKind::Error => self.response(message),
            InboundKind::Notification => self.notification(message),
            InboundKind::Request => self.question(message),
        }
    }

    fn response(self: &Arc<Self>, message: Message) {
        let Some(id) = message.inbound.number else {
            tracing::debug!(upstream = %self.upstream, "a response without an id of ours");
            return;
        };
        if let Some(call) = self.take(id) {
            self.note_time(&call);
            call.end(Ok(message));
        } else if !self.settled_in(id) && !self.has_read(id) && !self.listen_ended(id, &message) {
            tracing::debug!(upstream = %self.upstream, id, "a response that nobody waits for");
        }
    }

    fn notification(self: &Arc<Self>, message: Message) {
        match message.inbound.method.as_deref().unwrap_or_default() {
            "notifications/progress" => {
                let token = message.inbound.progress_token(message.text());
                match token.and_then(|(number, _)| self.find(number)) {
                    Some(call) => call.note(message),
                    None => tracing::debug!(upstream = %self.upstream, "progress of no call"),
                }
            }
            "notifications/message" => match self.only() {
                Some(call) => call.note(message),
                None => self.tell(Event::Log(message)),
            },
            "notifications/tools/list_changed" => self.tell(Event::ListChanged("tools")),
            "notifications/prompts/list_changed" => self.tell(Event::ListChanged("prompts")),
            "notifications/resources/list_changed" => self.tell(Event::ListChanged("resources")),
            "notifications/resources/updated" => match member(&message, "uri") {
                Some(uri) => self.tell(Event::Updated { uri, message }),
                None => tracing::debug!(upstream = %self.upstream, "an update of no resource"),
            },
            "notifications/subscriptions/acknowledged" => self.listen_acknowledged(&message),
            // A modern server ends our listen request with it; a legacy one withdraws a question.
            "notifications/cancelled" if self.era.get() == Some(&Era::Modern) => {
                let id = member(&message, "requestId").and_then(|id| id.parse().ok());
                if let Some(id) = id {
                    self.listen_ended(id, &message);
                }
            }
            "notifications/cancelled" => {
                let call = message.param("requestId").and_then(|id| self.settle(id));
                if let Some(call) = call {
                    call.note(message);
                }
            }
            "notifications/elicitation/complete" => {
                match member(&message, "elicitationId").and_then(|id| self.elicited(&id)) {
                    Some(call) => call.note(message),
                    None => self.tell(Event::Other(message)),
                }
            }
            // News of a task belong to whoever listens, whatever runs meanwhile (SEP-2663).
            "notifications/tasks" => self.tell(Event::Other(message)),
            // What a later revision or an extension adds belongs to the call that runs, if one does.
            _ => match self.only() {
                Some(call) => call.note(message),
                None => self.tell(Event::Other(message)),
            },
        }
    }

    fn question(&self, message: Message) {
        let Some(question) = Question::read(&message) else { return };
        if self.era.get() == Some(&Era::Modern) {
            let method = clean(question.method, &self.redact);
            tracing::warn!(upstream = %self.upstream, "a modern server sent a request: {method:.80}");
            return;
        }
        match self.attribute(&question) {
            Some(call) => call.note(message),
            None => self.control(refusal(question.method, question.id)),
        }
    }
}

/// A member of `params` as text: a string's meaning, a number as it stands.
fn member(message: &Message, name: &str) -> Option<String> {
    let raw = message.param(name)?;
    if raw.starts_with('"') {
        return serde_json::from_str(raw).ok();
    }
    Some(raw.to_owned())
}

/// The places of the items of a batch.
fn array(text: &str) -> Result<Vec<std::ops::Range<usize>>, JsonError> {
    let mut items = Vec::new();
    let mut reader = Reader::new(text, UPSTREAM_DEPTH);
    reader.array::<JsonError>(|reader| {
        items.push(reader.value()?);
        Ok(())
    })?;
    reader.end()?;
    Ok(items)
}

/// The id of a response of which only the head is known, when it stands before the payload.
fn leading_id(head: &str) -> Option<u64> {
    let (mut id, mut question) = (None, false);
    // It always fails: the text has no end. What was seen before that counts.
    let _ = Reader::new(head, UPSTREAM_DEPTH).object::<JsonError>(|reader, key| {
        let value = reader.value()?;
        if key.is("id") {
            id = head[value].trim_matches('"').parse().ok();
        } else if key.is("method") {
            question = true;
        }
        Ok(())
    });
    id.filter(|_| !question)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_id_of_a_cut_answer_is_found_when_it_leads() {
        assert_eq!(leading_id(r#"{"jsonrpc":"2.0","id":7,"result":{"a":"bbb"#), Some(7));
        assert_eq!(leading_id(r#"{"id":"7","result":"#), Some(7));
        assert_eq!(leading_id(r#"{"result":{"id":7,"#), None);
        assert_eq!(leading_id(r#"{"method":"x","id":7,"params":"#), None);
        assert_eq!(leading_id("garbage"), None);
    }

    #[test]
    fn batches_are_taken_apart() {
        let text = r#"[{"id":1,"result":{}}, {"method":"a"}]"#;
        let items: Vec<_> = array(text).unwrap().into_iter().map(|item| &text[item]).collect();
        assert_eq!(items, [r#"{"id":1,"result":{}}"#, r#"{"method":"a"}"#]);
    }

    #[test]
    fn members_of_params_are_read_by_meaning() {
        let text = r#"{"method":"x","params":{"uri":"a\u002fb","requestId":9}}"#;
        let message = Message {
            bytes: Bytes::copy_from_slice(text.as_bytes()),
            inbound: Inbound::read(text).unwrap(),
        };
        assert_eq!(member(&message, "uri").as_deref(), Some("a/b"));
        assert_eq!(member(&message, "requestId").as_deref(), Some("9"));
        assert_eq!(member(&message, "none"), None);
    }
}
