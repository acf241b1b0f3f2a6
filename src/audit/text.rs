//! What a record takes out of a request's JSON: what the client calls itself, and its trace.

use std::borrow::Cow;

use super::event::{Client, Event};
use super::redact::{self, plain};
use crate::wire::json::{CLIENT_DEPTH, JsonError, Reader};

/// Member of `_meta` (2026-07-28).
const CLIENT_INFO: &str = "io.modelcontextprotocol/clientInfo";
const TRACEPARENT: &str = "traceparent";

/// What was found.
#[derive(Debug, Default)]
pub(super) struct Told {
    pub(super) name: String,
    pub(super) version: String,
    pub(super) trace: Option<[u8; 16]>,
}

/// Looks it up where it stands.
pub(super) fn told(event: &Event) -> Told {
    let mut told = Told::default();
    if let Client::Info(info) = &event.client {
        client(info, &mut told);
    }
    let posted = &event.posted;
    let says_itself = matches!(event.client, Client::InRequest);
    if let Some(meta) = posted.text(posted.meta.as_ref()) {
        let mut reader = Reader::new(meta, CLIENT_DEPTH);
        // It was read before; what does not fit says nothing.
        let _ = reader.object::<JsonError>(|reader, key| {
            let value = &meta[reader.value()?];
            if says_itself && key.is(CLIENT_INFO) {
                client(value, &mut told);
            } else if key.is(TRACEPARENT) {
                told.trace = string(Some(value)).and_then(|text| trace(&text));
            }
            Ok(())
        });
    }
    if told.trace.is_none() {
        told.trace = event.traceparent.as_deref().and_then(trace);
    }
    told
}

fn client(info: &str, told: &mut Told) {
    let mut reader = Reader::new(info, CLIENT_DEPTH);
    let _ = reader.object::<JsonError>(|reader, key| {
        let value = &info[reader.value()?];
        let slot = if key.is("name") {
            &mut told.name
        } else if key.is("version") {
            &mut told.version
        } else {
            return Ok(());
        };
        if let Some(text) = string(Some(value)) {
            *slot = plain(&text, redact::SHORT).into_owned();
        }
        Ok(())
    });
}

/// The text that a JSON string means.
pub(super) fn string(raw: Option<&str>) -> Option<Cow<'_, str>> {
    let raw = raw?;
    let inner = raw.strip_prefix('"')?.strip_suffix('"')?;
    if inner.contains('\\') {
        serde_json::from_str(raw).ok().map(Cow::Owned)
    } else {
        Some(Cow::Borrowed(inner))
    }
}

/// The trace id of a `traceparent` (W3C Trace Context, 3.2): version, trace, parent, flags.
fn trace(text: &str) -> Option<[u8; 16]> {
    let mut parts = text.split('-');
    let (version, id) = (parts.next()?, parts.next()?);
    if version.len() != 2 || id.len() != 32 || !id.is_ascii() {
        return None;
    }
    let mut bytes = [0; 16];
    for (byte, at) in bytes.iter_mut().zip((0..32).step_by(2)) {
        *byte = u8::from_str_radix(&id[at..at + 2], 16).ok()?;
    }
    (bytes != [0; 16]).then_some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trace_is_one_or_none() {
        let id = "4bf92f3577b34da6a3ce929d0e0e4736";
        assert!(trace(&format!("00-{id}-00f067aa0ba902b7-01")).is_some());
        for wrong in
            ["", "00", "00-", &format!("00-{}-x-01", "0".repeat(32)), &format!("0-{id}-x"), "00-ü"]
        {
            assert_eq!(trace(wrong), None, "{wrong}");
        }
    }
}
