//! The way back: URIs in what an upstream answers, made public (protocol.md 4.3). Only where
//! the protocol puts a URI; text, blobs and structured content are never touched.

use super::catalogue::{rewrite_meta_uris, rewrite_uri};
use crate::wire::Edits;
use crate::wire::json::{JsonError, Reader, UPSTREAM_DEPTH};

/// Which shape a result has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UriWay {
    /// `tools/call`: `content[]`.
    Content,
    /// `prompts/get`: `messages[].content`.
    Messages,
    /// `resources/read`: `contents[].uri`.
    Contents,
}

/// Makes the URIs of a result public. `result` is its text, which begins at `base` of the text
/// that `edits` belong to.
///
/// # Errors
/// When the result is no JSON object.
pub fn rewrite_result_uris(
    way: UriWay,
    result: &str,
    upstream: &str,
    edits: &mut ShiftedEdits<'_>,
) -> Result<(), JsonError> {
    let mut own = Edits::default();
    let mut reader = Reader::new(result, UPSTREAM_DEPTH);
    reader.object::<JsonError>(|reader, key| {
        let list = reader.peek()? == b'[';
        match way {
            UriWay::Content if list && key.is("content") => blocks(reader, upstream, &mut own),
            UriWay::Messages if list && key.is("messages") => {
                reader.array::<JsonError>(|reader| messages(reader, upstream, &mut own)).map(drop)
            }
            UriWay::Contents if list && key.is("contents") => {
                reader.array::<JsonError>(|reader| resource(reader, upstream, &mut own)).map(drop)
            }
            _ if key.is("_meta") && reader.peek()? == b'{' => {
                rewrite_meta_uris(reader, upstream, &mut own)
            }
            _ => reader.value().map(drop),
        }
    })?;
    edits.take(own);
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
        if key.is("data") && reader.peek()? == b'{' {
            return resource(reader, upstream, &mut own);
        }
        reader.value().map(drop)
    })?;
    edits.take(own);
    Ok(())
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

fn messages(reader: &mut Reader<'_>, upstream: &str, edits: &mut Edits) -> Result<(), JsonError> {
    if reader.peek()? != b'{' {
        return reader.value().map(drop);
    }
    reader
        .object::<JsonError>(|reader, key| match reader.peek()? {
            b'[' if key.is("content") => blocks(reader, upstream, edits),
            b'{' if key.is("content") => block(reader, upstream, edits),
            _ => reader.value().map(drop),
        })
        .map(drop)
}

fn blocks(reader: &mut Reader<'_>, upstream: &str, edits: &mut Edits) -> Result<(), JsonError> {
    reader.array::<JsonError>(|reader| block(reader, upstream, edits)).map(drop)
}

/// One content block: `uri` of a resource link, `resource.uri` of an embedded resource.
fn block(reader: &mut Reader<'_>, upstream: &str, edits: &mut Edits) -> Result<(), JsonError> {
    if reader.peek()? != b'{' {
        return reader.value().map(drop);
    }
    reader
        .object::<JsonError>(|reader, key| {
            if key.is("uri") {
                rewrite_uri(reader, upstream, edits)
            } else if key.is("resource") && reader.peek()? == b'{' {
                resource(reader, upstream, edits)
            } else {
                reader.value().map(drop)
            }
        })
        .map(drop)
}

/// An object with a `uri`.
fn resource(reader: &mut Reader<'_>, upstream: &str, edits: &mut Edits) -> Result<(), JsonError> {
    if reader.peek()? != b'{' {
        return reader.value().map(drop);
    }
    reader
        .object::<JsonError>(|reader, key| {
            if key.is("uri") {
                rewrite_uri(reader, upstream, edits)
            } else {
                reader.value().map(drop)
            }
        })
        .map(drop)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn rewritten(way: UriWay, text: &'static str) -> String {
        let mut edits = Edits::default();
        rewrite_result_uris(way, text, "gh", &mut ShiftedEdits { edits: &mut edits, base: 0 })
            .unwrap();
        String::from_utf8(edits.apply(&Bytes::from_static(text.as_bytes())).to_vec()).unwrap()
    }

    #[test]
    fn links_and_resources_become_public_and_text_does_not() {
        assert_eq!(
            rewritten(
                UriWay::Content,
                r#"{"content":[{"type":"resource_link","uri":"file:///a"},{"type":"resource","resource":{"uri":"ui://x","text":"file:///a"}},{"type":"text","text":"{\"uri\":\"file:///a\"}"}],"structuredContent":{"uri":"file:///a"}}"#
            ),
            r#"{"content":[{"type":"resource_link","uri":"gh+file:///a"},{"type":"resource","resource":{"uri":"ui://gh/x","text":"file:///a"}},{"type":"text","text":"{\"uri\":\"file:///a\"}"}],"structuredContent":{"uri":"file:///a"}}"#
        );
        assert_eq!(
            rewritten(UriWay::Messages, r#"{"messages":[{"content":{"resource":{"uri":"a:b"}}}]}"#),
            r#"{"messages":[{"content":{"resource":{"uri":"gh+a:b"}}}]}"#
        );
        assert_eq!(
            rewritten(UriWay::Contents, r#"{"contents":[{"uri":"a:b","text":""}]}"#),
            r#"{"contents":[{"uri":"gh+a:b","text":""}]}"#
        );
    }
}
