//! What a request asks for, as one number: the same for every way of writing the same JSON.

use sha2::{Digest as _, Sha256};

use super::error::BridgeError;
use crate::wire::json::{CLIENT_DEPTH, JsonError, Reader, quote};

/// Members of `params` that a retry changes or may change.
const NOT_ASKED: [&str; 3] = ["_meta", "inputResponses", "requestState"];

/// SHA-256 over the `params` of a request without what belongs to one round only. Order of keys,
/// white space and escapes make no difference: a client that writes its request anew need not
/// write it in the same way. Numbers count as they stand.
///
/// # Errors
/// When it is no JSON object.
pub fn params_digest(params: &str) -> Result<[u8; 32], BridgeError> {
    let mut members = Vec::new();
    let mut reader = Reader::new(params, CLIENT_DEPTH);
    reader.object::<BridgeError>(|reader, key| {
        let name = key.decode().ok_or(BridgeError::Shape("a key that names no character"))?;
        let value = canonical(reader, params)?;
        if !NOT_ASKED.contains(&&*name) {
            members.push((name.into_owned(), value));
        }
        Ok(())
    })?;
    reader.end()?;
    Ok(Sha256::digest(object(members).as_bytes()).into())
}

fn object(mut members: Vec<(String, String)>) -> String {
    // Stable, so that members of one name keep their order.
    members.sort_by(|one, other| one.0.cmp(&other.0));
    let members: Vec<String> =
        members.iter().map(|(name, value)| format!("{}:{value}", quote(name))).collect();
    format!("{{{}}}", members.join(","))
}

fn canonical(reader: &mut Reader<'_>, text: &str) -> Result<String, BridgeError> {
    Ok(match reader.peek()? {
        b'{' => {
            let mut members = Vec::new();
            reader.object::<BridgeError>(|reader, key| {
                let name =
                    key.decode().ok_or(BridgeError::Shape("a key that names no character"))?;
                members.push((name.into_owned(), canonical(reader, text)?));
                Ok(())
            })?;
            object(members)
        }
        b'[' => {
            let mut items = Vec::new();
            reader.array::<BridgeError>(|reader| {
                items.push(canonical(reader, text)?);
                Ok(())
            })?;
            format!("[{}]", items.join(","))
        }
        b'"' => {
            let place = reader.string()?;
            // A lone surrogate has no other way of being written.
            place.decode().map_or_else(|| text[place.span()].to_owned(), |text| quote(&text))
        }
        _ => {
            let place: Result<_, JsonError> = reader.value();
            text[place?].to_owned()
        }
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    #[test]
    fn only_what_is_asked_counts() {
        let digest = |text| params_digest(text).unwrap();
        let first =
            digest(r#"{"name":"a","arguments":{"x":1,"y":"é"},"_meta":{"progressToken":1}}"#);
        let again = digest(
            r#"{ "requestState":"s","arguments":{"y":"\u00e9", "x":1},"inputResponses":{},"name":"a" }"#,
        );
        assert_eq!(first, again);
        for other in [
            r#"{"name":"b","arguments":{"x":1,"y":"é"}}"#,
            r#"{"name":"a","arguments":{"x":2,"y":"é"}}"#,
            r#"{"name":"a","arguments":{"x":1,"y":"é","z":null}}"#,
            r#"{"name":"a","arguments":{"x":[1],"y":"é"}}"#,
            r#"{"name":"a","arguments":{"x":"1","y":"é"}}"#,
            r#"{"name":"a"}"#,
        ] {
            assert_ne!(first, digest(other), "{other}");
        }
        assert!(params_digest("[]").is_err());
    }

    fn json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            ".{0,6}".prop_map(Value::from),
        ];
        leaf.prop_recursive(3, 24, 4, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                proptest::collection::btree_map(".{0,4}", inner, 0..4)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn two_digests_are_equal_when_the_values_are(one in json(), other in json()) {
            let wrap = |value: &Value| serde_json::json!({"arguments": value});
            let plain = params_digest(&wrap(&one).to_string()).unwrap();
            let pretty = params_digest(&serde_json::to_string_pretty(&wrap(&one)).unwrap()).unwrap();
            prop_assert_eq!(plain, pretty);
            let theirs = params_digest(&wrap(&other).to_string()).unwrap();
            prop_assert_eq!(plain == theirs, one == other);
        }
    }
}
