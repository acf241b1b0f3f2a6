//! A response of an upstream, changed back for its client: the client's own id, public URIs, and
//! the words of the client's era. The result itself stays as it came.

use std::borrow::Cow;

use bytes::Bytes;

use super::call::may_ask;
use super::line::{SERVER_INFO_MEMBER, SERVER_INFO_META, server_info};
use super::relay::Asked;
use super::task::{Tasked, shape_about};
use crate::base::{Fault, Kind, Retry};
use crate::namespace::{
    Recipient, ShiftedEdits, UriWay, falls_back, rewrite_error_uri, rewrite_result,
};
use crate::upstream::Message;
use crate::wire::json::{Span, may_hold};
use crate::wire::{CapSet, Edits, Era, Inbound, InboundKind, NameKind, Place, ResultParts, Route};

/// A response ready for the client, with the HTTP status that it asks for when nothing has been
/// sent yet.
#[derive(Debug)]
pub(super) struct Ready {
    pub(super) status: u16,
    pub(super) bytes: Bytes,
    /// It is an error, or the result of a tool that says it failed.
    pub(super) failed: bool,
}

/// Where a method's result has URIs.
pub(super) fn uri_way(route: Route) -> Option<UriWay> {
    match route {
        Route::Name(NameKind::Tool) => Some(UriWay::Content),
        Route::Name(NameKind::Prompt) => Some(UriWay::Messages),
        Route::Uri => Some(UriWay::Contents),
        Route::Skill => Some(UriWay::Skill),
        Route::Directory => Some(UriWay::Directory),
        _ => None,
    }
}

/// Changes a response back.
pub(super) fn respond(asked: &Asked, message: &Message) -> Result<Ready, Fault> {
    let mut edits = Edits::default();
    if let Some(id) = message.inbound.id.clone() {
        edits.replace_id(id, asked.id.clone());
    }
    let status = match message.inbound.kind {
        InboundKind::Result => {
            shape_result(asked, message, &mut edits)?;
            200
        }
        InboundKind::Error => shape_error(asked, message, &mut edits)?,
        InboundKind::Notification | InboundKind::Request => {
            return Err(garbage(asked, "a message that is no response"));
        }
    };
    let mut bytes = edits.apply(&message.bytes);
    if message.inbound.kind == InboundKind::Error {
        bytes = hidden(asked, bytes).ok_or_else(|| garbage(asked, "its error cannot be shown"))?;
    }
    if asked.result_cap.is_some_and(|cap| bytes.len() > cap) {
        return Err(too_much(asked, bytes.len()));
    }
    let failed = message.inbound.kind == InboundKind::Error || message.inbound.result.failed;
    Ok(Ready { status, bytes, failed })
}

/// A message without the tenant's credentials, which some upstreams repeat when they complain.
/// `None` when it is no message any more.
fn hidden(asked: &Asked, bytes: Bytes) -> Option<Bytes> {
    let text = std::str::from_utf8(&bytes).ok()?;
    match asked.armed.redact(text) {
        Cow::Borrowed(_) => Some(bytes),
        Cow::Owned(text) => Inbound::read(&text).is_ok().then(|| Bytes::from(text)),
    }
}

/// The file says that this client cannot take so much.
fn too_much(asked: &Asked, length: usize) -> Fault {
    Fault::upstream(
        Retry::Never,
        format!(
            "The answer of upstream `{}` has {length} bytes, more than this client takes ({}). The request was \
             executed; ask for less at a time.",
            asked.upstream.name,
            asked.result_cap.unwrap_or_default()
        ),
    )
}

pub(super) fn garbage(asked: &Asked, detail: &str) -> Fault {
    Fault::upstream(
        Retry::MayHaveRun,
        format!(
            "Upstream `{}` sent an answer that is not valid MCP. The request may have been executed; check before \
             you repeat it.",
            asked.upstream.name
        ),
    )
    .because(detail)
}

fn shape_result(asked: &Asked, message: &Message, edits: &mut Edits) -> Result<(), Fault> {
    let parts = &message.inbound.result;
    let Some(payload) = message.inbound.payload.clone() else { return Ok(()) };
    let text = message.text();
    // Between two that know no such word it is a member like any other.
    let spoken = asked.era == Era::Modern || asked.upstream_era == Era::Modern;
    if spoken
        && let Some(place) = parts.result_type
        && &text[place.span()] != "\"complete\""
    {
        // Some say so of what they tell about a task, too.
        if matches!(asked.tasked, Tasked::About(_)) && &text[place.span()] == "\"task\"" {
            edits.replace(place.span(), "\"complete\"");
        } else {
            return Err(question(asked, &text[place.span()]));
        }
    }
    shape_about(asked, message, edits)?;
    if asked.era == Era::Modern {
        add_modern(asked, text, &payload, parts, edits);
    }
    if asked.era == Era::Legacy && asked.upstream_era == Era::Modern {
        let modern = [parts.result_type, parts.ttl, parts.scope, parts.server_info];
        strip_modern(text, modern, edits);
    }
    if let Some(way) = uri_way(asked.method.route) {
        let text = &text[payload.clone()];
        let structured = parts.structured.map(|place| &message.text()[place.span()]);
        let public = asked.merged
            && (may_hold(text, "uri") || parts.meta.is_some() && text.contains("resourceUri"));
        let revision = asked.revision();
        if public || falls_back(way, revision, structured) {
            let upstream = asked.merged.then(|| asked.upstream.name.as_str());
            let recipient = Recipient { upstream, revision };
            let mut part = ShiftedEdits { edits, base: payload.start };
            rewrite_result(way, text, recipient, &mut part)
                .map_err(|error| garbage(asked, &error.to_string()))?;
        }
    }
    Ok(())
}

/// Adds what each result of the modern era has: its type, how long and for whom it may be kept,
/// and whose it is (R10, R11, R12). The upstream's own name belongs to its hop (R96).
pub(super) fn add_modern(
    asked: &Asked,
    text: &str,
    payload: &Span,
    parts: &ResultParts,
    edits: &mut Edits,
) {
    if !text[payload.clone()].starts_with('{') {
        return;
    }
    let mut added = Vec::new();
    if parts.result_type.is_none() {
        added.push("\"resultType\":\"complete\"");
    }
    if asked.method.cacheable {
        if parts.ttl.is_none() {
            added.push("\"ttlMs\":0");
        }
        match parts.scope {
            None => added.push("\"cacheScope\":\"private\""),
            // What a tenant reads with its own credentials is nobody else's (R91).
            Some(place) if &text[place.span()] != "\"private\"" => {
                edits.replace(place.span(), "\"private\"")
            }
            Some(_) => {}
        }
    }
    let start = payload.start + 1;
    let fixed = |alone: bool, member: &'static str| {
        if alone { member.trim_end_matches(',') } else { member }
    };
    match (parts.server_info, parts.meta.map(Place::span)) {
        (Some(place), _) => edits.replace_fixed(place.span(), server_info()),
        (None, Some(meta)) if text[meta.clone()].starts_with('{') => {
            let alone = text[meta.start + 1..].trim_start().starts_with('}');
            edits.insert_fixed(meta.start + 1, fixed(alone, SERVER_INFO_MEMBER));
        }
        (None, Some(_)) => {}
        (None, None) => {
            let alone = parts.empty && added.is_empty();
            edits.insert_fixed(start, fixed(alone, SERVER_INFO_META));
        }
    }
    if !added.is_empty() {
        let comma = if parts.empty { "" } else { "," };
        edits.insert(start, format!("{}{comma}", added.join(",")));
    }
}

/// Takes members of the modern era out of a result that goes to a legacy client (R61).
fn strip_modern(text: &str, values: [Option<Place>; 4], edits: &mut Edits) {
    edits.remove_members(text, values.into_iter().flatten().map(Place::span));
}

/// True for a result of a modern upstream that asks something first, where it may (R31).
pub(super) fn is_question(asked: &Asked, message: &Message) -> bool {
    let Some(place) = message.inbound.result.result_type else { return false };
    asked.upstream_era == Era::Modern
        && may_ask(asked.method)
        && message.inbound.kind == InboundKind::Result
        && &message.bytes[place.span()] == b"\"input_required\""
}

/// True for an error of a legacy upstream that asks for visits to URLs, of a client that does not
/// know it (R79).
pub(super) fn wants_visits(asked: &Asked, message: &Message) -> bool {
    asked.era == Era::Modern
        && asked.upstream_era == Era::Legacy
        && may_ask(asked.method)
        && message.inbound.kind == InboundKind::Error
        && message.param("code") == Some("-32042")
}

/// The upstream needs to ask what the client has not declared.
pub(super) fn undeclared(asked: &Asked, lacking: CapSet) -> Fault {
    let mut fault = Fault::upstream(
        Retry::Safe,
        format!(
            "Upstream `{}` needs a capability that this client has not declared: {}. Use a client that has it, or a \
             tool that needs no such answer.",
            asked.upstream.name,
            lacking.names()
        ),
    );
    fault.kind = Kind::Undeclared(lacking.to_json());
    fault
}

/// A result that is no result yet: the upstream asks something that is not passed on.
fn question(asked: &Asked, result_type: &str) -> Fault {
    if result_type == "\"task\"" {
        return Fault::upstream(
            Retry::MayHaveRun,
            format!(
                "Upstream `{}` made a task of the call, and this client has not declared that it takes tasks. What \
                 was begun may have effects; use a client that takes them.",
                asked.upstream.name
            ),
        );
    }
    Fault::upstream(
        Retry::Safe,
        format!(
            "Upstream `{}` wants an answer from its user before it goes on, and that cannot be passed on to this \
             client. Use a tool that needs no such answer.",
            asked.upstream.name
        ),
    )
    .because(format!("resultType {result_type:.60}"))
}

fn shape_error(asked: &Asked, message: &Message, edits: &mut Edits) -> Result<u16, Fault> {
    let Some(payload) = message.inbound.payload.clone() else { return Ok(200) };
    let text = &message.text()[payload.clone()];
    // One whose data cannot be taken as values still has its code.
    let error: serde_json::Value = serde_json::from_str(text).unwrap_or_default();
    let code = error["code"].as_i64().unwrap_or_else(|| code_of(text));
    if asked.merged {
        let mut part = ShiftedEdits { edits, base: payload.start };
        rewrite_error_uri(text, asked.upstream.name.as_str(), &mut part)
            .map_err(|error| garbage(asked, &error.to_string()))?;
    }
    match (code, asked.era) {
        // Between the proxy and the upstream; never the client's matter.
        (-32020 | -32022, _) if asked.upstream_era == Era::Modern => {
            let sentence = format!(
                "Upstream `{}` refused the form of the request ({code})",
                asked.upstream.name
            );
            let mut fault = Fault::upstream(Retry::Safe, sentence)
                .because(asked.armed.redact(text).chars().take(300).collect::<String>());
            if code == -32020 {
                fault.kind = Kind::HeaderMismatch;
            }
            Err(fault)
        }
        (-32021, Era::Modern) => Ok(400),
        (-32601, Era::Modern) => Ok(404),
        // Codes of the legacy era that a modern client must not see (R22).
        (-32002, Era::Modern) => {
            replace_code(text, payload.start, edits);
            Ok(200)
        }
        (-32021, Era::Legacy) if asked.upstream_era == Era::Modern => {
            let required = error["data"]["requiredCapabilities"].to_string();
            let lacking = CapSet::read(&required).unwrap_or_default();
            Err(undeclared(asked, lacking))
        }
        // Where no question may be asked (completions).
        (-32042, Era::Modern) => Err(question(asked, "URL elicitation required")),
        _ => Ok(200),
    }
}

/// The code of an error; 0 when it has none. Nothing else is read: the data may hold what no number
/// type takes and what no text is.
fn code_of(error: &str) -> i64 {
    use crate::wire::json::{JsonError, Reader, UPSTREAM_DEPTH};
    let mut code = 0;
    let mut reader = Reader::new(error, UPSTREAM_DEPTH);
    // The error was read before.
    let _ = reader.object::<JsonError>(|reader, key| {
        let value = reader.value()?;
        if key.is("code") {
            code = error[value].parse().unwrap_or_default();
        }
        Ok(())
    });
    code
}

/// `-32002` (resource not found, legacy) becomes `-32602` (R80).
fn replace_code(error: &str, base: usize, edits: &mut Edits) {
    use crate::wire::json::{JsonError, Reader, UPSTREAM_DEPTH};
    let mut reader = Reader::new(error, UPSTREAM_DEPTH);
    // The error was read before.
    let _ = reader.object::<JsonError>(|reader, key| {
        let value = reader.value()?;
        if key.is("code") {
            edits.replace(base + value.start..base + value.end, "-32602");
        }
        Ok(())
    });
}

/// A notification of an upstream in the words of its client; `None` when the client does not
/// want it.
pub(super) fn notify(asked: &Asked, message: &Message) -> Option<Bytes> {
    use super::outlet::{message_level, passes};
    let text = message.text();
    match message.inbound.method.as_deref()? {
        "notifications/progress" => {
            let token = asked.token.as_ref()?;
            let (_, place) = message.inbound.progress_token(text)?;
            let mut edits = Edits::default();
            edits.replace(place, token.as_str());
            Some(edits.apply(&message.bytes))
        }
        "notifications/message" => {
            // Modern clients get log messages only when they asked for a level (R20).
            if asked.era == Era::Modern && asked.level.is_none() {
                return None;
            }
            passes(asked.level, message_level(text))
                .then(|| hidden(asked, message.bytes.clone()))
                .flatten()
        }
        // Lists and resources are announced on their own streams, once, after they were read.
        "notifications/resources/updated"
        | "notifications/tools/list_changed"
        | "notifications/prompts/list_changed"
        | "notifications/resources/list_changed"
        | "notifications/cancelled"
        // Of tasks a client hears where it listens, under the ids that it knows.
        | "notifications/tasks"
        | "notifications/tasks/status" => None,
        _ => (asked.era == asked.upstream_era).then(|| message.bytes.clone()),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;
    use crate::wire::json::quote;

    const MODERN: [&str; 3] = ["resultType", "ttlMs", "cacheScope"];

    fn stripped(text: &str) -> String {
        let inbound = Inbound::read(text).unwrap();
        let mut edits = Edits::default();
        let parts = &inbound.result;
        strip_modern(
            text,
            [parts.result_type, parts.ttl, parts.scope, parts.server_info],
            &mut edits,
        );
        String::from_utf8(edits.apply(&Bytes::copy_from_slice(text.as_bytes())).to_vec()).unwrap()
    }

    #[test]
    fn nothing_but_the_members_of_the_modern_era_goes() {
        assert_eq!(
            stripped(r#"{"id":1,"result":{"resultType":"complete","content":[1.10, "ttlMs"]}}"#),
            r#"{"id":1,"result":{"content":[1.10, "ttlMs"]}}"#
        );
        assert_eq!(
            stripped(r#"{"id":1,"result":{ "ttlMs" : 5 , "result\u0054ype":"complete" }}"#),
            r#"{"id":1,"result":{  }}"#
        );
    }

    proptest! {
        #[test]
        fn a_stripped_result_has_all_other_members(
            keys in proptest::sample::subsequence(vec!["resultType", "a", "ttlMs", "b,\"", "cacheScope", "c"], 0..=6)
                .prop_shuffle(),
            blank in "[ \n\t]{0,2}",
        ) {
            let members: Vec<String> = keys
                .iter()
                .map(|key| format!("{blank}{}{blank}:{blank}\"{{complete,}}\"{blank}", quote(key)))
                .collect();
            let text = format!("{{\"result\":{{{}{blank}}},\"id\":1}}", members.join(","));
            let mut expected: Value = serde_json::from_str(&text).unwrap();
            for name in MODERN {
                expected["result"].as_object_mut().unwrap().remove(name);
            }
            let value: Value = serde_json::from_str(&stripped(&text)).unwrap();
            prop_assert_eq!(value, expected);
        }
    }
}
