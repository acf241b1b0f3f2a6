//! A batch: an array of messages, which only the revision 2025-03-26 knows.

use bytes::Bytes;

use super::WireError;
use super::json::{CLIENT_DEPTH, Reader};

/// Messages that one batch may hold.
pub const BATCH_LIMIT: usize = 64;

/// Cuts an array into the texts of its items, which share its memory. What each item is, its own
/// reader says.
///
/// # Errors
/// When it is no well-formed array, has no item, or more than [`BATCH_LIMIT`].
pub fn split_batch(body: &Bytes) -> Result<Vec<Bytes>, WireError> {
    let text = std::str::from_utf8(body)
        .map_err(|error| WireError::NotJson(super::json::JsonError::Syntax(error.valid_up_to())))?;
    let mut reader = Reader::new(text, CLIENT_DEPTH);
    let mut items = Vec::new();
    reader.array::<WireError>(|reader| {
        if items.len() == BATCH_LIMIT {
            return Err(WireError::LongBatch);
        }
        let span = reader.value()?;
        items.push(body.slice(span));
        Ok(())
    })?;
    reader.end()?;
    if items.is_empty() {
        return Err(WireError::NotMessage("an empty batch"));
    }
    Ok(items)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn split(text: &str) -> Result<Vec<Bytes>, WireError> {
        split_batch(&Bytes::copy_from_slice(text.as_bytes()))
    }

    #[test]
    fn a_batch_has_items_and_not_too_many() {
        assert_eq!(split(" [ {\"a\":[1]} , 2 ]\n").unwrap(), ["{\"a\":[1]}", "2"]);
        assert!(matches!(split("[]"), Err(WireError::NotMessage(_))));
        assert!(matches!(split("[1"), Err(WireError::NotJson(_))));
        assert!(matches!(split("[1] 2"), Err(WireError::NotJson(_))));
        let many = |count: usize| format!("[{}]", vec!["1"; count].join(","));
        assert_eq!(split(&many(BATCH_LIMIT)).unwrap().len(), BATCH_LIMIT);
        assert_eq!(split(&many(BATCH_LIMIT + 1)), Err(WireError::LongBatch));
    }

    proptest! {
        #[test]
        fn what_was_joined_comes_apart_again(
            items in prop::collection::vec("[a-z,\\[\\]{} ]{0,8}", 1..BATCH_LIMIT)
        ) {
            let items: Vec<String> = items.iter().map(|item| super::super::json::quote(item)).collect();
            let apart = split(&format!("[{}]", items.join(" , "))).unwrap();
            prop_assert_eq!(apart, items);
        }
    }
}
