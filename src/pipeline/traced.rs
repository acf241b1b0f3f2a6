//! The trace that a request belongs to: read from `_meta` (SEP-414), else from the headers of its
//! HTTP request, and written into the `_meta` of what goes to the upstream.

use std::borrow::Cow;
use std::sync::Arc;

use http::{HeaderMap, HeaderName};

use super::line::Line;
use super::serve::{Posting, header};
use crate::telemetry::{Context, Incoming, Trace};
use crate::wire::json::{CLIENT_DEPTH, Reader, Span, quote};
use crate::wire::{Edits, Posted};

const PARENT: &str = "traceparent";
const STATE: &str = "tracestate";
/// Longest `tracestate` that is passed on (W3C Trace Context asks for 512 at least).
const LONGEST_STATE: usize = 1024;

impl Line {
    /// Begins the trace of a request; `None` when nobody wants traces.
    pub(super) fn trace(&self, posting: &Posting, posted: &Posted) -> Option<Arc<Trace>> {
        let tracer = self.tracer.as_ref()?;
        let in_meta = || read(|name| text(posted, name));
        let incoming = in_meta().or_else(|| read(|name| in_headers(&posting.headers, name)));
        Some(tracer.begin(incoming))
    }
}

fn read<'a>(value: impl Fn(&'static str) -> Option<Cow<'a, str>>) -> Option<Incoming> {
    let parent = Context::parse(&value(PARENT)?)?;
    let state = value(STATE).filter(|state| {
        let shown = |byte: u8| matches!(byte, b' '..=b'~' | b'\t');
        !state.is_empty() && state.len() <= LONGEST_STATE && state.bytes().all(shown)
    });
    Some(Incoming { parent, state: state.map(Into::into) })
}

fn in_headers<'a>(headers: &'a HeaderMap, name: &'static str) -> Option<Cow<'a, str>> {
    header(headers, &HeaderName::from_static(name)).map(Cow::Borrowed)
}

/// The place of the value of a member of `_meta`.
fn place(posted: &Posted, name: &str) -> Option<Span> {
    let meta = posted.params()?.meta()?;
    let named = |key: &Span| match posted.text(key.clone()) {
        // Hardly ever: an escape in the key.
        key if key.contains('\\') => {
            let key = Reader::new(key, CLIENT_DEPTH).string();
            key.ok().and_then(|key| key.decode().map(|key| key == name)).unwrap_or_default()
        }
        key => key.trim_matches('"') == name,
    };
    meta.members.iter().find(|(key, ..)| named(key)).map(|(_, value, _)| value.clone())
}

/// The text of a member of `_meta`.
fn text<'a>(posted: &'a Posted, name: &str) -> Option<Cow<'a, str>> {
    let value = posted.text(place(posted, name)?);
    if !value.starts_with('"') {
        return None;
    }
    Reader::new(value, CLIENT_DEPTH).string().ok()?.decode()
}

/// Puts the trace into `_meta`: in the place of the client's, or as members to add, which are
/// given.
pub(super) fn write(trace: &Trace, posted: &Posted, edits: &mut Edits) -> Vec<String> {
    let parent = quote(&trace.onward().text());
    let mut added = Vec::new();
    match place(posted, PARENT) {
        Some(place) => edits.replace(place, parent),
        None => added.push(format!("\"{PARENT}\":{parent}")),
    }
    match (place(posted, STATE), trace.state()) {
        (Some(place), Some(state)) => edits.replace(place, quote(state)),
        // It belongs to a trace that could not be read.
        (Some(place), None) => edits.replace(place, "\"\""),
        (None, Some(state)) => added.push(format!("\"{STATE}\":{}", quote(state))),
        (None, None) => {}
    }
    added
}
