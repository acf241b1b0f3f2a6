//! Arguments of a call: what the proxy fills in, and what also travels as headers.

use std::borrow::Cow;
use std::collections::BTreeSet;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, HeaderName, HeaderValue};

use super::schema::{HeaderParameter, ParameterKind};
use crate::wire::Edits;
use crate::wire::json::{CLIENT_DEPTH, JsonError, Reader, Span, quote};

/// Why the arguments of a call are refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ArgumentError {
    /// Not an object.
    #[error("`arguments` is not an object")]
    NotObject,
    /// An argument and its header differ, or the header is missing or cannot be read.
    #[error("header {0} does not match the argument in the body")]
    Mismatch(HeaderName),
}

/// Puts values (JSON texts) into the `arguments` at `place` of `text`, over whatever the caller sent under
/// those names; without a place, gives the `arguments` object to add instead.
///
/// # Errors
/// When `arguments` is no object.
pub fn inject(
    text: &str,
    place: Option<Span>,
    values: &[(&str, Cow<'_, str>)],
    edits: &mut Edits,
) -> Result<Option<String>, ArgumentError> {
    let members = || {
        let list: Vec<String> =
            values.iter().map(|(name, value)| format!("{}:{value}", quote(name))).collect();
        list.join(",")
    };
    let Some(place) = place else { return Ok(Some(format!("{{{}}}", members()))) };
    if &text[place.clone()] == "null" {
        edits.replace(place, format!("{{{}}}", members()));
        return Ok(None);
    }
    let mut kept = Vec::new();
    let mut reader = Reader::new(&text[place.clone()], CLIENT_DEPTH);
    reader
        .object::<JsonError>(|reader, key| {
            let ours = key.decode().is_some_and(|key| values.iter().any(|(name, _)| *name == key));
            let value = reader.value()?;
            if !ours {
                kept.push(text[place.start + key.span().start..place.start + value.end].to_owned());
            }
            Ok(())
        })
        .map_err(|_| ArgumentError::NotObject)?;
    kept.push(members());
    edits.replace(place, format!("{{{}}}", kept.join(",")));
    Ok(None)
}

/// The first of these arguments that `arguments` (JSON text) holds.
#[must_use]
pub fn first_sent<'a>(refused: &'a BTreeSet<String>, arguments: &str) -> Option<&'a str> {
    let mut found = None;
    let mut reader = Reader::new(arguments, CLIENT_DEPTH);
    // The text was read when the message was; what is no object holds none.
    let _ = reader.object::<JsonError>(|reader, key| {
        if found.is_none() {
            found = key.decode().and_then(|key| refused.get(&*key));
        }
        reader.value().map(drop)
    });
    found.map(String::as_str)
}

/// The `Mcp-Param-*` headers that `arguments` (JSON text) ask for. With `given`, the caller's own
/// headers are held against them (R6): each recognised one must be there, and mean the same.
///
/// # Errors
/// When a given header is missing, cannot be decoded, or differs.
pub fn parameter_headers(
    parameters: &[HeaderParameter],
    arguments: Option<&str>,
    given: Option<&HeaderMap>,
) -> Result<Vec<(HeaderName, HeaderValue)>, ArgumentError> {
    let mut headers = Vec::new();
    if parameters.is_empty() {
        return Ok(headers);
    }
    for parameter in parameters {
        let value = parameter
            .path
            .iter()
            .try_fold(arguments.unwrap_or("null"), |text, key| member(text, key));
        let expected = value.and_then(|value| written(value, parameter.kind));
        if let Some(given) = given {
            let mismatch = || ArgumentError::Mismatch(parameter.header.clone());
            let mut all = given.get_all(&parameter.header).iter();
            match (all.next(), all.next(), &expected) {
                (None, _, None) => {}
                (Some(header), None, Some(expected)) => {
                    let header = decode_header(header).ok_or_else(mismatch)?;
                    if !same(&header, expected, parameter.kind) {
                        return Err(mismatch());
                    }
                }
                _ => return Err(mismatch()),
            }
        }
        if let Some(expected) = expected {
            headers.push((parameter.header.clone(), encode_header(&expected)));
        }
    }
    Ok(headers)
}

/// The text of a member of an object; the last one counts when it stands twice. Nothing else is
/// looked at: other arguments may hold what no number type takes and what no text is.
fn member<'a>(object: &'a str, name: &str) -> Option<&'a str> {
    let mut found = None;
    let mut reader = Reader::new(object, CLIENT_DEPTH);
    reader
        .object::<JsonError>(|reader, key| {
            let value = reader.value()?;
            if key.is(name) {
                found = Some(value);
            }
            Ok(())
        })
        .ok()?;
    found.map(|place| &object[place])
}

fn written(value: &str, kind: ParameterKind) -> Option<String> {
    let digits = value.strip_prefix('-').unwrap_or(value);
    if kind == ParameterKind::Integer && digits.bytes().all(|byte| byte.is_ascii_digit()) {
        // However large it is.
        return Some(value.to_owned());
    }
    match (kind, serde_json::from_str(value).ok()?) {
        (ParameterKind::String, serde_json::Value::String(text)) => Some(text),
        (ParameterKind::Boolean, serde_json::Value::Bool(flag)) => Some(flag.to_string()),
        (ParameterKind::Integer, serde_json::Value::Number(number)) => {
            // 42.0 is the integer 42 (JSON Schema); compared and written as such.
            number.as_f64().filter(|n| n.fract() == 0.0).map(|n| format!("{n:.0}"))
        }
        _ => None,
    }
}

fn same(header: &str, expected: &str, kind: ParameterKind) -> bool {
    if kind == ParameterKind::Integer {
        let number = |text: &str| text.parse::<f64>().ok();
        return number(header).is_some() && number(header) == number(expected);
    }
    header == expected
}

/// A value in its header form: as it is when it is safe, else `=?base64?…?=` (SEP-2243).
#[must_use]
pub fn encode_header(value: &str) -> HeaderValue {
    let padded = value.starts_with([' ', '\t']) || value.ends_with([' ', '\t']);
    let marked = value.starts_with("=?base64?") && value.ends_with("?=");
    let visible = value.bytes().all(|byte| (0x20..0x7f).contains(&byte));
    let safe = visible && !padded && !marked;
    let text = if safe {
        Cow::Borrowed(value)
    } else {
        Cow::Owned(format!("=?base64?{}?=", STANDARD.encode(value)))
    };
    // Both forms are visible ASCII and blanks.
    HeaderValue::from_str(&text).unwrap_or_else(|_| HeaderValue::from_static(""))
}

/// The meaning of a header written by [`encode_header`]; `None` when it cannot be decoded.
#[must_use]
pub fn decode_header(header: &HeaderValue) -> Option<Cow<'_, str>> {
    let text = header.to_str().ok()?;
    match text.strip_prefix("=?base64?").and_then(|rest| rest.strip_suffix("?=")) {
        Some(encoded) => String::from_utf8(STANDARD.decode(encoded).ok()?).ok().map(Cow::Owned),
        None => Some(Cow::Borrowed(text)),
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn injected_values_win_over_the_callers() {
        let own = |name, value| (name, Cow::Owned(quote(value)));
        let text = r#"{"q":1.10,"api_key":"mine","k\u0065y":2}"#;
        let mut edits = Edits::default();
        let added = inject(
            text,
            Some(0..text.len()),
            &[own("api_key", "s\"x"), own("key", "t")],
            &mut edits,
        )
        .unwrap();
        assert_eq!(added, None);
        let seen = edits.apply(&Bytes::copy_from_slice(text.as_bytes()));
        assert_eq!(&seen[..], br#"{"q":1.10,"api_key":"s\"x","key":"t"}"#);
        let added = inject("", None, &[own("a", "b")], &mut Edits::default()).unwrap();
        assert_eq!(added.as_deref(), Some(r#"{"a":"b"}"#));
        let mut edits = Edits::default();
        assert_eq!(inject("null", Some(0..4), &[own("a", "b")], &mut edits), Ok(None));
        assert_eq!(&edits.apply(&Bytes::from_static(b"null"))[..], br#"{"a":"b"}"#);
        assert!(inject("[1]", Some(0..3), &[own("a", "b")], &mut Edits::default()).is_err());
    }

    #[test]
    fn headers_must_mean_what_the_body_says() {
        let parameters = [
            HeaderParameter {
                header: HeaderName::from_static("mcp-param-region"),
                path: vec!["region".into()],
                kind: ParameterKind::String,
            },
            HeaderParameter {
                header: HeaderName::from_static("mcp-param-n"),
                path: vec!["o".into(), "n".into()],
                kind: ParameterKind::Integer,
            },
        ];
        let body = Some(r#"{"region":" é","o":{"n":42}}"#);
        let headers = parameter_headers(&parameters, body, None).unwrap();
        assert_eq!(headers[0].1, "=?base64?IMOp?=");
        assert_eq!(headers[1].1, "42");
        let mut given: HeaderMap = headers.into_iter().collect();
        assert!(parameter_headers(&parameters, body, Some(&given)).is_ok());
        given.insert("mcp-param-n", HeaderValue::from_static("42.0"));
        assert!(parameter_headers(&parameters, body, Some(&given)).is_ok());
        given.insert("mcp-param-n", HeaderValue::from_static("43"));
        assert!(parameter_headers(&parameters, body, Some(&given)).is_err());
        given.remove("mcp-param-n");
        assert!(parameter_headers(&parameters, body, Some(&given)).is_err());
        assert!(parameter_headers(&parameters, None, Some(&HeaderMap::new())).is_ok());
        // Other arguments are none of its business, and a large integer stays what it is.
        let body = r#"{"x":1e400,"y":"\ud800","o":{"n":123456789012345678901234567890,"z":[]}}"#;
        let headers = parameter_headers(&parameters, Some(body), None).unwrap();
        assert_eq!(
            (headers.len(), &headers[0].1),
            (1, &"123456789012345678901234567890".parse().unwrap())
        );
    }

    proptest! {
        #[test]
        fn header_values_come_back(value in ".{0,30}") {
            let header = encode_header(&value);
            prop_assert_eq!(decode_header(&header).unwrap(), value);
        }
    }
}
