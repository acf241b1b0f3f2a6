//! The way back: URIs in what an upstream answers, made public (protocol.md 4.3), and content of
//! a newer revision than the client's. Only where the protocol puts them; text, blobs and
//! structured content are never touched.

use crate::namespace::fallback::{block_text, dropped_text, lacks_blocks, takes};
use crate::namespace::meta::{rewrite_meta, rewrite_uri};
use crate::wire::json::{JsonError, Reader, Span, UPSTREAM_DEPTH};
use crate::wire::{Edits, Revision};

/// Which shape a result has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UriWay {
    /// `tools/call`: `content[]`.
    Content,
    /// `prompts/get`: `messages[].content`.
    Messages,
    /// `resources/read`: `contents[].uri`.
    Contents,
    /// `skills/get`: `skill`.
    Skill,
    /// `resources/directory/read`: `resources[].uri`.
    Directory,
}

/// To whom a result goes.
#[derive(Debug, Clone, Copy)]
pub struct Recipient<'a> {
    /// The upstream whose URIs become public; `None` where names stay as they are.
    pub upstream: Option<&'a str>,
    /// The client's revision.
    pub revision: Revision,
}

/// Changes a result for its recipient. `result` is its text, which begins at `base` of the text
/// that `edits` belong to.
///
/// # Errors
/// When the result is no JSON object.
pub fn rewrite_result(
    way: UriWay,
    result: &str,
    recipient: Recipient<'_>,
    edits: &mut ShiftedEdits<'_>,
) -> Result<(), JsonError> {
    let mut walk = Walk { text: result, recipient, edits: Edits::default() };
    walk.result(way)?;
    edits.take(walk.edits);
    Ok(())
}

/// Makes `data.uri` of an error public.
///
/// # Errors
/// When the error is no JSON object.
pub fn rewrite_error_uri(
    error: &str,
    upstream: &str,
    edits: &mut ShiftedEdits<'_>,
) -> Result<(), JsonError> {
    let mut own = Edits::default();
    let mut reader = Reader::new(error, UPSTREAM_DEPTH);
    reader.object::<JsonError>(|reader, key| {
        if !(key.is("data") && reader.peek()? == b'{') {
            return reader.value().map(drop);
        }
        reader.object::<JsonError>(|reader, key| {
            if key.is("uri") {
                return rewrite_uri(reader, upstream, &mut own);
            }
            reader.value().map(drop)
        })?;
        Ok(())
    })?;
    edits.take(own);
    Ok(())
}

/// A value of a result that may name something of its upstream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Naming {
    /// The `uri` of a resource or a link.
    Uri,
    /// The `_meta` of a result or a resource.
    Meta,
}

/// Makes public what one such value names. Another type than the protocol's is left alone.
///
/// # Errors
/// When the value is no JSON.
pub fn rewrite_naming(
    naming: Naming,
    value: &str,
    upstream: &str,
    edits: &mut Edits,
) -> Result<(), JsonError> {
    let mut reader = Reader::new(value, UPSTREAM_DEPTH);
    match (naming, reader.peek()?) {
        (Naming::Uri, b'"') => rewrite_uri(&mut reader, upstream, edits),
        (Naming::Meta, b'{') => rewrite_meta(value, &mut reader, upstream, edits),
        _ => reader.value().map(drop),
    }
}

/// Edits of a part of a text, made from the part's own places.
#[derive(Debug)]
pub struct ShiftedEdits<'a> {
    /// The edits of the whole text.
    pub edits: &'a mut Edits,
    /// Where the part begins.
    pub base: usize,
}

impl ShiftedEdits<'_> {
    fn take(&mut self, part: Edits) {
        self.edits.append(part, self.base);
    }
}

/// The URIs of one skill's entry, with `edits` in the places of `text`.
pub(in crate::namespace) fn rewrite_skill(
    text: &str,
    reader: &mut Reader<'_>,
    upstream: &str,
    edits: &mut Edits,
) -> Result<(), JsonError> {
    // The revision decides nothing here.
    let recipient = Recipient { upstream: Some(upstream), revision: Revision::LATEST_MODERN };
    let mut walk = Walk { text, recipient, edits: std::mem::take(edits) };
    let read = walk.skill(reader);
    *edits = walk.edits;
    read
}

struct Walk<'a> {
    text: &'a str,
    recipient: Recipient<'a>,
    edits: Edits,
}

impl Walk<'_> {
    fn result(&mut self, way: UriWay) -> Result<(), JsonError> {
        let (mut content, mut structured) = (None, None);
        let mut reader = Reader::new(self.text, UPSTREAM_DEPTH);
        reader.object::<JsonError>(|reader, key| {
            let first = reader.peek()?;
            match (way, first) {
                (UriWay::Content, b'[') if key.is("content") => {
                    content = Some(reader.array::<JsonError>(|reader| self.block(reader))?);
                    Ok(())
                }
                (UriWay::Content, _) if key.is("structuredContent") => {
                    structured = Some((key.span().start, reader.value()?));
                    Ok(())
                }
                (UriWay::Messages, b'[') if key.is("messages") => {
                    reader.array::<JsonError>(|reader| self.message(reader)).map(drop)
                }
                (UriWay::Contents, b'[') if key.is("contents") => {
                    reader.array::<JsonError>(|reader| self.resource(reader)).map(drop)
                }
                (UriWay::Directory, b'[') if key.is("resources") => {
                    reader.array::<JsonError>(|reader| self.resource(reader)).map(drop)
                }
                (UriWay::Skill, b'{') if key.is("skill") => self.skill(reader),
                (_, b'{') if key.is("_meta") => self.meta(reader),
                _ => reader.value().map(drop),
            }
        })?;
        if let Some((key, value)) = structured
            && !takes(self.recipient.revision, &self.text[value.clone()])
        {
            self.drop_structured(key, value, content);
        }
        Ok(())
    }

    /// Takes structured content out, whose key begins at `key`; what it says stays readable.
    fn drop_structured(&mut self, key: usize, value: Span, content: Option<Span>) {
        let json = &self.text[value.clone()];
        let block = dropped_text(json, content.clone().map(|content| &self.text[content]));
        let Some(content) = content else {
            let block = block.unwrap_or_default();
            self.edits.replace(key..value.end, format!("\"content\":[{block}]"));
            return;
        };
        if let Some(block) = block {
            let inside = &self.text[content.start + 1..content.end - 1];
            let comma = if inside.trim().is_empty() { "" } else { "," };
            self.edits.insert(content.end - 1, format!("{comma}{block}"));
        }
        self.edits.remove_members(self.text, [value]);
    }

    fn message(&mut self, reader: &mut Reader<'_>) -> Result<(), JsonError> {
        if reader.peek()? != b'{' {
            return reader.value().map(drop);
        }
        reader
            .object::<JsonError>(|reader, key| match reader.peek()? {
                b'[' if key.is("content") => {
                    reader.array::<JsonError>(|reader| self.block(reader)).map(drop)
                }
                b'{' if key.is("content") => self.block(reader),
                _ => reader.value().map(drop),
            })
            .map(drop)
    }

    /// One content block: `uri` of a resource link, `resource.uri` of an embedded resource.
    fn block(&mut self, reader: &mut Reader<'_>) -> Result<(), JsonError> {
        if reader.peek()? != b'{' {
            return reader.value().map(drop);
        }
        let Recipient { upstream, revision } = self.recipient;
        if lacks_blocks(revision) {
            let place = reader.value()?;
            if let Some(text) = block_text(&self.text[place.clone()], upstream, revision) {
                self.edits.replace(place, text);
                return Ok(());
            }
            let recipient = Recipient { upstream, revision: Revision::LATEST_LEGACY };
            let mut inner =
                Walk { text: &self.text[place.clone()], recipient, edits: Edits::default() };
            inner.block(&mut Reader::new(inner.text, UPSTREAM_DEPTH))?;
            self.edits.append(inner.edits, place.start);
            return Ok(());
        }
        reader
            .object::<JsonError>(|reader, key| {
                if key.is("uri") {
                    self.uri(reader)
                } else if key.is("resource") && reader.peek()? == b'{' {
                    self.resource(reader)
                } else {
                    reader.value().map(drop)
                }
            })
            .map(drop)
    }

    /// An object with a `uri`, and what its `_meta` says of a user interface.
    fn resource(&mut self, reader: &mut Reader<'_>) -> Result<(), JsonError> {
        if reader.peek()? != b'{' {
            return reader.value().map(drop);
        }
        reader
            .object::<JsonError>(|reader, key| {
                if key.is("uri") {
                    self.uri(reader)
                } else if key.is("_meta") && reader.peek()? == b'{' {
                    self.meta(reader)
                } else {
                    reader.value().map(drop)
                }
            })
            .map(drop)
    }

    /// An entry of a skill: its `uri` and those of its files.
    fn skill(&mut self, reader: &mut Reader<'_>) -> Result<(), JsonError> {
        reader
            .object::<JsonError>(|reader, key| {
                if key.is("uri") {
                    self.uri(reader)
                } else if key.is("resources") && reader.peek()? == b'[' {
                    reader.array::<JsonError>(|reader| self.resource(reader)).map(drop)
                } else {
                    reader.value().map(drop)
                }
            })
            .map(drop)
    }

    fn uri(&mut self, reader: &mut Reader<'_>) -> Result<(), JsonError> {
        match self.recipient.upstream {
            Some(upstream) => rewrite_uri(reader, upstream, &mut self.edits),
            None => reader.value().map(drop),
        }
    }

    fn meta(&mut self, reader: &mut Reader<'_>) -> Result<(), JsonError> {
        match self.recipient.upstream {
            Some(upstream) => rewrite_meta(self.text, reader, upstream, &mut self.edits),
            None => reader.value().map(drop),
        }
    }
}
