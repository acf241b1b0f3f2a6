//! The schemas of what operators and tenants look at: events, errors, and why a tool can be called.

use serde_json::{Value, json};

use super::schema::{object, page};
use crate::upstream::LinkChange;

/// What is said of the stream of events as a whole.
const EVENTS: &str = "Events `call` (AuditRecord), `head` (AuditHead), `upstream` (UpstreamEvent), `reload` \
    (ReloadEvent, for the operator), each with an `id` for `Last-Event-ID`; and `missed` (MissedEvent) for \
    whoever reads too slowly. Comments fill silence. It ends with the key.";

/// What is told of events and of errors.
pub(super) fn watched() -> [(&'static str, Value); 7] {
    let text = json!({ "type": "string" });
    let maybe = json!({ "type": ["string", "null"] });
    let number = json!({ "type": "integer", "minimum": 0 });
    let time = json!({ "type": "string", "format": "date-time" });
    let some = json!({
        "type": ["integer", "null"], "minimum": 0,
        "description": "How many; null when they were not counted for you alone.",
    });
    [
        ("EventStream", json!({ "type": "string", "description": EVENTS })),
        (
            "UpstreamEvent",
            object(
                &["time", "tenant", "upstream", "state", "reason"],
                json!({
                    "time": time, "tenant": maybe, "upstream": text,
                    "state": { "type": "string", "enum": LinkChange::WORDS }, "reason": maybe,
                }),
            ),
        ),
        (
            "ReloadEvent",
            json!({
                "type": "object", "required": ["at", "by", "accepted"],
                "properties": {
                    "at": time, "by": { "type": "string", "enum": ["signal", "file", "operator"] },
                    "accepted": { "type": "boolean" }, "detail": text,
                },
            }),
        ),
        ("MissedEvent", object(&[], json!({ "calls": some, "states": some, "reloads": some }))),
        (
            "ErrorGroup",
            object(
                &["tenant", "upstream", "outcome", "cause", "count", "first", "last", "sample"],
                json!({
                    "tenant": text, "upstream": maybe, "outcome": text,
                    "cause": {
                        "type": "string",
                        "description": "`other`: what has found no place in the table of the tenant.",
                    },
                    "count": number, "first": time, "last": time, "sample": maybe,
                }),
            ),
        ),
        ("ErrorGroupPage", page("ErrorGroup")),
        (
            "Explained",
            object(
                &["key", "chain"],
                json!({
                    "key": object(
                        &["id", "name", "state"],
                        json!({ "id": text, "name": text, "state": text }),
                    ),
                    "chain": chain(),
                }),
            ),
        ),
    ]
}

/// The steps from a name to a verdict.
fn chain() -> Value {
    let text = json!({ "type": "string" });
    let maybe = json!({ "type": ["string", "null"] });
    let texts = json!({ "type": "array", "items": text });
    let flag = json!({ "type": "boolean" });
    let slot = object(&["slot", "set"], json!({ "slot": text, "set": flag }));
    object(
        &["tenant", "door", "tool", "visible", "callable", "because"],
        json!({
            "tenant": text, "door": text, "door_is_there": flag, "profile": maybe, "tool": text,
            "upstream": maybe, "original": maybe, "rule": maybe,
            "line": { "type": ["integer", "null"], "minimum": 1 },
            "origin": { "type": ["string", "null"], "enum": ["file", "store", "key", null] },
            "upstream_state": maybe, "slots": { "type": "array", "items": slot },
            "filled_in": texts, "refused": texts, "visible": flag, "callable": flag,
            "because": text,
        }),
    )
}
