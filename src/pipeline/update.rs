//! `notifications/resources/updated` for those who follow the resource: as its upstream wrote it,
//! but for the URI and for what belongs to the listen request of the hop.

use bytes::Bytes;

use crate::wire::Edits;
use crate::wire::json::{JsonError, Reader, UPSTREAM_DEPTH, quote};

/// Names the listen request in the `_meta` of what is said for it (R29).
pub(super) const SUBSCRIPTION: &str = "io.modelcontextprotocol/subscriptionId";

/// The notification with `uri` in the place of its own, when there is one, for the listen request
/// `listen` (its id as JSON text) or for a session. `None` when it is none.
pub(super) fn reworded(text: &str, uri: Option<&str>, listen: Option<&str>) -> Option<String> {
    let (mut params, mut original, mut meta, mut id, mut others) = (None, None, None, None, 0);
    let mut reader = Reader::new(text, UPSTREAM_DEPTH);
    reader
        .object::<JsonError>(|reader, key| {
            if !key.is("params") || reader.peek()? != b'{' {
                return reader.value().map(drop);
            }
            params = Some(reader.object::<JsonError>(|reader, key| {
                if !key.is("_meta") || reader.peek()? != b'{' {
                    let value = reader.value()?;
                    if key.is("uri") {
                        original = Some(value);
                    }
                    return Ok(());
                }
                meta = Some(reader.object::<JsonError>(|reader, key| {
                    let value = reader.value()?;
                    if key.is(SUBSCRIPTION) {
                        id = Some(value);
                    } else {
                        others += 1;
                    }
                    Ok(())
                })?);
                Ok(())
            })?);
            Ok(())
        })
        .ok()?;
    let (params, original) = params.zip(original)?;
    let mut edits = Edits::default();
    if let Some(uri) = uri {
        edits.replace(original, quote(uri));
    }
    match (listen, id, meta) {
        (Some(listen), Some(id), _) => edits.replace(id, listen),
        (Some(listen), None, Some(meta)) => {
            let comma = if others > 0 { "," } else { "" };
            edits.insert(meta.start + 1, format!("\"{SUBSCRIPTION}\":{listen}{comma}"));
        }
        (Some(listen), None, None) => {
            edits.insert(params.end - 1, format!(",\"_meta\":{{\"{SUBSCRIPTION}\":{listen}}}"));
        }
        // A session has no such request.
        (None, Some(id), _) if others > 0 => edits.remove_members(text, [id]),
        (None, Some(_), Some(meta)) => edits.remove_members(text, [meta]),
        (None, ..) => {}
    }
    let changed = edits.apply(&Bytes::copy_from_slice(text.as_bytes()));
    String::from_utf8(changed.to_vec()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_but_the_uri_and_the_subscription_stays() {
        let (own, other) = (
            r#"{"method":"notifications/resources/updated","params":{"n":1.0,"u\u0072i":"a:b","_meta":{"x":[1],"io.modelcontextprotocol/subscriptionId":7}}}"#,
            r#"{"params":{"uri":"a:b","title":"é"},"method":"notifications/resources/updated"}"#,
        );
        assert_eq!(
            reworded(own, Some("up+a:b"), Some("\"l\"")).unwrap(),
            r#"{"method":"notifications/resources/updated","params":{"n":1.0,"u\u0072i":"up+a:b","_meta":{"x":[1],"io.modelcontextprotocol/subscriptionId":"l"}}}"#
        );
        assert_eq!(
            reworded(own, None, None).unwrap(),
            r#"{"method":"notifications/resources/updated","params":{"n":1.0,"u\u0072i":"a:b","_meta":{"x":[1]}}}"#
        );
        assert_eq!(
            reworded(other, None, Some("3")).unwrap(),
            r#"{"params":{"uri":"a:b","title":"é","_meta":{"io.modelcontextprotocol/subscriptionId":3}},"method":"notifications/resources/updated"}"#
        );
        assert_eq!(reworded(other, None, None).unwrap(), other);
        let alone =
            r#"{"params":{"uri":"a","_meta":{"io.modelcontextprotocol/subscriptionId":3}}}"#;
        assert_eq!(reworded(alone, None, None).unwrap(), r#"{"params":{"uri":"a"}}"#);
        let empty = r#"{"params":{"_meta":{},"uri":"a"}}"#;
        assert_eq!(
            reworded(empty, None, Some("3")).unwrap(),
            r#"{"params":{"_meta":{"io.modelcontextprotocol/subscriptionId":3},"uri":"a"}}"#
        );
        assert!(reworded("{}", None, None).is_none());
    }
}
