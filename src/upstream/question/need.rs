//! What a question says of itself, and what a client must be able to do to answer it.

use crate::upstream::link::Message;
use crate::wire::CapSet;
use crate::wire::json::{JsonError, Reader, UPSTREAM_DEPTH};

/// What the client must have declared to be asked this; `None` for what is no question at all.
/// `params` is the JSON text of the question's `params`. A sampling request's `includeContext` is
/// not counted: without `sampling.context` it is to be taken as `none` (R78).
#[must_use]
pub fn need(method: &str, params: &str) -> Option<CapSet> {
    read(method, params).map(|(need, _)| need)
}

/// A question as a link reads it.
#[derive(Debug)]
pub(in crate::upstream) struct Question<'a> {
    /// The id as it stands.
    pub(in crate::upstream) id: &'a str,
    /// Its method.
    pub(in crate::upstream) method: &'a str,
    /// See [`need`].
    pub(in crate::upstream) need: Option<CapSet>,
    /// `elicitationId`, which a later `notifications/elicitation/complete` names.
    pub(in crate::upstream) elicitation: Option<String>,
}

impl<'a> Question<'a> {
    /// `None` when the message is no request.
    pub(in crate::upstream) fn read(message: &'a Message) -> Option<Self> {
        let text = message.text();
        let method = message.inbound.method.as_deref()?;
        let id = &text[message.inbound.id.clone()?];
        let params = message.inbound.payload.clone().map_or("{}", |params| &text[params]);
        let (need, elicitation) = read(method, params).unzip();
        Some(Self { id, method, need, elicitation: elicitation.flatten() })
    }
}

fn read(method: &str, params: &str) -> Option<(CapSet, Option<String>)> {
    match method {
        "elicitation/create" => {
            let (mut url, mut elicitation) = (false, None);
            members(params, |reader, key| {
                let slot = match key {
                    "mode" | "elicitationId" if reader.peek()? == b'"' => reader.string()?.decode(),
                    _ => return reader.value().map(drop),
                };
                match key {
                    "mode" => url = slot.as_deref() == Some("url"),
                    _ => elicitation = slot.map(std::borrow::Cow::into_owned),
                }
                Ok(())
            });
            Some((if url { CapSet::ELICIT_URL } else { CapSet::ELICIT_FORM }, elicitation))
        }
        "sampling/createMessage" => {
            let mut need = CapSet::SAMPLING;
            members(params, |reader, key| {
                if matches!(key, "tools" | "toolChoice") {
                    need = need.with(CapSet::SAMPLING_TOOLS);
                }
                reader.value().map(drop)
            });
            Some((need, None))
        }
        "roots/list" => Some((CapSet::ROOTS, None)),
        _ => None,
    }
}

fn members(params: &str, mut each: impl FnMut(&mut Reader<'_>, &str) -> Result<(), JsonError>) {
    // It was read as JSON when the message was taken; what is no object has no members.
    let _ = Reader::new(params, UPSTREAM_DEPTH).object::<JsonError>(|reader, key| {
        let name = ["mode", "elicitationId", "tools", "toolChoice"]
            .into_iter()
            .find(|name| key.is(name))
            .unwrap_or_default();
        each(reader, name)
    });
}
