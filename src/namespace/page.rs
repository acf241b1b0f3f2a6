//! One page of an upstream's list, as bytes.

use std::borrow::Cow;

use crate::wire::ListKind;
use crate::wire::json::{JsonError, Reader, Span, UPSTREAM_DEPTH};

/// What a page holds; places are in the text of the result.
#[derive(Debug, Default)]
pub struct Page {
    /// Place of each item.
    pub items: Vec<Span>,
    /// The cursor of the next page; an empty one is one too (R86).
    pub next: Option<String>,
    /// `ttlMs`: milliseconds the list may be served without asking again.
    pub ttl: Option<u64>,
}

/// Reads the `result` of a list method.
///
/// # Errors
/// When it is no list of this kind.
pub fn read_page(kind: ListKind, result: &str) -> Result<Page, JsonError> {
    let mut page = Page::default();
    let mut listed = false;
    let mut reader = Reader::new(result, UPSTREAM_DEPTH);
    reader.object::<JsonError>(|reader, key| {
        if key.is(kind.member()) {
            listed = true;
            reader.array::<JsonError>(|reader| {
                page.items.push(reader.value()?);
                Ok(())
            })?;
        } else if key.is("nextCursor") && reader.peek()? == b'"' {
            page.next = reader.string()?.decode().map(Cow::into_owned);
        } else {
            let ttl = key.is("ttlMs");
            let value = reader.value()?;
            if ttl {
                page.ttl = result[value].parse().ok();
            }
        }
        Ok(())
    })?;
    if listed { Ok(page) } else { Err(JsonError::Type(0)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_gives_its_items_untouched() {
        let text = r#"{"ttlMs":5,"tools":[{"name":"a","x":1.10}, {"name":"b"}],"nextCursor":""}"#;
        let page = read_page(ListKind::Tools, text).unwrap();
        assert_eq!(&text[page.items[0].clone()], r#"{"name":"a","x":1.10}"#);
        assert_eq!((page.items.len(), page.next.as_deref(), page.ttl), (2, Some(""), Some(5)));
        assert!(read_page(ListKind::Tools, "{}").is_err());
        assert!(read_page(ListKind::Prompts, text).is_err());
    }
}
