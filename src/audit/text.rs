//! What a record takes out of a request's JSON: what the client calls itself, and its trace.

use std::borrow::Cow;
use std::sync::Arc;

use super::event::{Client, Event};
use super::redact::{self, plain};
use crate::base::Map;
use crate::wire::json::{CLIENT_DEPTH, JsonError, Reader};

/// Member of `_meta` (2026-07-28).
const CLIENT_INFO: &str = "io.modelcontextprotocol/clientInfo";
const TRACEPARENT: &str = "traceparent";

/// What was found.
#[derive(Debug, Clone, Default)]
pub(super) struct Told {
    pub(super) client: Arc<Named>,
    pub(super) trace: Option<[u8; 16]>,
}

/// What a client calls itself.
#[derive(Debug, Default)]
pub(super) struct Named {
    pub(super) name: String,
    pub(super) version: String,
}

/// What the texts of a batch said: most requests of a client say the same as the one before.
#[derive(Debug, Default)]
pub(super) struct Memory<'a> {
    infos: Map<&'a str, Arc<Named>>,
    metas: Map<&'a str, Told>,
}

/// Looks it up where it stands.
pub(super) fn told<'a>(event: &'a Event, memory: &mut Memory<'a>) -> Told {
    let posted = &event.posted;
    let meta = posted.text(posted.meta.as_ref());
    let mut told = match meta {
        Some(meta) => memory.metas.entry(meta).or_insert_with(|| read(meta)).clone(),
        None => Told::default(),
    };
    match &event.client {
        Client::InRequest => {}
        Client::Info(info) => {
            let named = memory.infos.entry(info).or_insert_with(|| Arc::new(client(info)));
            told.client = named.clone();
        }
        Client::Unknown => told.client = Arc::default(),
    }
    if told.trace.is_none() {
        told.trace = event.traceparent.as_deref().and_then(trace);
    }
    told
}

/// Of the `_meta` of a request.
fn read(meta: &str) -> Told {
    let mut told = Told::default();
    let mut reader = Reader::new(meta, CLIENT_DEPTH);
    // It was read before; what does not fit says nothing.
    let _ = reader.object::<JsonError>(|reader, key| {
        let value = &meta[reader.value()?];
        if key.is(CLIENT_INFO) {
            told.client = Arc::new(client(value));
        } else if key.is(TRACEPARENT) {
            told.trace = string(Some(value)).and_then(|text| trace(&text));
        }
        Ok(())
    });
    told
}

fn client(info: &str) -> Named {
    let mut named = Named::default();
    let mut reader = Reader::new(info, CLIENT_DEPTH);
    let _ = reader.object::<JsonError>(|reader, key| {
        let value = &info[reader.value()?];
        let slot = if key.is("name") {
            &mut named.name
        } else if key.is("version") {
            &mut named.version
        } else {
            return Ok(());
        };
        if let Some(text) = string(Some(value)) {
            *slot = plain(&text, redact::SHORT).into_owned();
        }
        Ok(())
    });
    named
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
