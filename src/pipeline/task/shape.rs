//! Descriptions of tasks by upstreams of 2026-07-28, made the client's: its own id, public URIs,
//! and whose questions they are.

use super::tasked::Tasked;
use crate::base::Fault;
use crate::bridge::{BridgeError, InputRequired, Task, TaskHandle, Toward, Whose};
use crate::namespace::{Recipient, ShiftedEdits, UriWay, rewrite_result};
use crate::pipeline::relay::Asked;
use crate::pipeline::result::{Ready, add_modern, garbage};
use crate::pipeline::talk::{Talk, worded};
use crate::pipeline::update::SUBSCRIPTION;
use crate::upstream::Message;
use crate::wire::json::{JsonError, Reader, Span, UPSTREAM_DEPTH, quote};
use crate::wire::{Edits, Era, Revision, Route, TaskVerb};

/// What changes in a description on its way to the client that knows the task as `handle`.
fn edits_of(
    text: &str,
    task: &Task,
    (upstream, merged): (&str, bool),
    handle: &str,
) -> Result<Edits, BridgeError> {
    let mut edits = Edits::default();
    edits.replace(task.id_place.clone(), quote(handle));
    let revision = Revision::LATEST_MODERN;
    let recipient = Recipient { upstream: merged.then_some(upstream), revision };
    if let Some(place) = task.result.clone().filter(|_| merged) {
        let mut part = ShiftedEdits { edits: &mut edits, base: place.start };
        rewrite_result(UriWay::Content, &text[place], recipient, &mut part)?;
    }
    let asks = |place: &Span| text[place.clone()].contains(':');
    if task.requests.as_ref().is_some_and(asks) {
        let found = InputRequired::read(text)?;
        for entry in &found.entries {
            let Some(place) = entry.params.clone() else { continue };
            let toward = Toward::Modern { from: Era::Modern };
            let own = worded(&entry.question, &text[place.clone()], toward, upstream, recipient)?;
            edits.append(own, place.start);
        }
    }
    Ok(edits)
}

/// Makes the answer to a request about a task the client's.
pub(in crate::pipeline) fn shape_about(
    asked: &Asked,
    message: &Message,
    edits: &mut Edits,
) -> Result<(), Fault> {
    let Tasked::About(handle) = &asked.tasked else { return Ok(()) };
    let Some(payload) = message.inbound.payload.clone() else { return Ok(()) };
    let text = &message.text()[payload.clone()];
    let task = match Task::read(text) {
        Ok(task) => task,
        Err(error) if asked.method.route == Route::Task(TaskVerb::Get) => {
            return Err(garbage(asked, &error.to_string()));
        }
        // Only a word that it has arrived.
        Err(_) => return Ok(()),
    };
    let own = edits_of(text, &task, (asked.upstream.name.as_str(), asked.merged), handle)
        .map_err(|error| garbage(asked, &error.to_string()))?;
    edits.append(own, payload.start);
    Ok(())
}

/// The `params` of `notifications/tasks` for a client that listens with the request of this id (as
/// JSON text) to a task that it knows as `handle`. `None` when they describe no task.
pub(in crate::pipeline) fn described_to(
    params: &str,
    task: &Task,
    upstream: (&str, bool),
    (handle, listen): (&str, &str),
) -> Option<String> {
    let mut edits = edits_of(params, task, upstream, handle).ok()?;
    let (mut meta, mut id, mut blank) = (None, None, true);
    let whole = Reader::new(params, UPSTREAM_DEPTH)
        .object::<JsonError>(|reader, key| {
            if !key.is("_meta") || reader.peek()? != b'{' {
                return reader.value().map(drop);
            }
            meta = Some(reader.object::<JsonError>(|reader, key| {
                blank = false;
                let value = reader.value()?;
                if key.is(SUBSCRIPTION) {
                    id = Some(value);
                }
                Ok(())
            })?);
            Ok(())
        })
        .ok()?;
    let member = format!("\"{SUBSCRIPTION}\":{listen}");
    match (id, meta) {
        (Some(place), _) => edits.replace(place, listen),
        (None, Some(meta)) => {
            edits.insert(meta.start + 1, if blank { member } else { format!("{member},") });
        }
        (None, None) => edits.insert(whole.end - 1, format!(",\"_meta\":{{{member}}}")),
    }
    let changed = edits.apply(&bytes::Bytes::copy_from_slice(params.as_bytes()));
    String::from_utf8(changed.to_vec()).ok()
}

impl Talk {
    /// The answer to a call that has become a task, in the words of a modern client.
    pub(in crate::pipeline) fn task(&self, message: &Message) -> Result<Ready, Fault> {
        let payload = message.inbound.payload.clone().unwrap_or(0..0);
        let text = &message.text()[payload.clone()];
        let broken = |error: BridgeError| garbage(&self.asked, &error.to_string());
        let task = Task::read(text).map_err(broken)?;
        let upstream = self.asked.upstream.name.as_str();
        let whose = Whose::Upstream(task.id.clone());
        let handle = TaskHandle { upstream: upstream.to_owned(), whose };
        let (principal, door) = (&self.caller.principal, &self.caller.door);
        let handle = self.line.seal_task(principal, door, &handle)?;
        let own = edits_of(text, &task, (upstream, self.asked.merged), &handle).map_err(broken)?;
        let mut edits = Edits::default();
        if let Some(id) = message.inbound.id.clone() {
            edits.replace(id, self.asked.id.as_str());
        }
        edits.append(own, payload.start);
        add_modern(&self.asked, message.text(), &payload, &message.inbound.result, &mut edits);
        Ok(Ready { status: 200, bytes: edits.apply(&message.bytes), failed: false })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn told(params: &Value) -> Value {
        let text = params.to_string();
        let task = Task::read(&text).unwrap();
        let told = described_to(&text, &task, ("gh", true), ("t.x", "\"L1\"")).unwrap();
        serde_json::from_str(&told).unwrap()
    }

    #[test]
    fn a_description_names_only_what_the_client_knows() {
        let meta = |more: Value| {
            let mut meta = more;
            meta["io.modelcontextprotocol/subscriptionId"] = json!("L1");
            meta
        };
        let link = json!({"content": [{"type": "resource_link", "uri": "file:///a"}]});
        let said = told(&json!({"taskId": "raw", "status": "completed", "result": link,
            "_meta": {"io.modelcontextprotocol/subscriptionId": 7, "vendor/x": 1}}));
        assert_eq!(said["taskId"], "t.x");
        assert_eq!(said["result"]["content"][0]["uri"], "gh+file:///a");
        assert_eq!(said["_meta"], meta(json!({"vendor/x": 1})));
        let said = told(&json!({"taskId": "raw", "status": "input_required", "_meta": {},
            "inputRequests": {"k": {"method": "elicitation/create",
                "params": {"message": "m", "requestedSchema": {}}}}}));
        assert_eq!(said["inputRequests"]["k"]["params"]["message"], "[gh] m");
        assert_eq!(said["_meta"], meta(json!({})));
        let said = told(&json!({"taskId": "raw", "status": "working"}));
        assert_eq!(said, json!({"taskId": "t.x", "status": "working", "_meta": meta(json!({}))}));
    }
}
