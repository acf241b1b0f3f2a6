//! What a tool's definition says to a proxy: which arguments also travel as headers
//! (`x-mcp-header`, SEP-2243), and which are filled in by the proxy and hidden from the model.

use std::collections::BTreeSet;

use http::HeaderName;
use serde_json::Value;

use crate::wire::Edits;
use crate::wire::json::{JsonError, Reader, Span, Text, UPSTREAM_DEPTH, may_hold};

/// The type of an argument that travels as a header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ParameterKind {
    /// As it is.
    String,
    /// Decimal.
    Integer,
    /// `true` or `false`.
    Boolean,
}

/// One argument that also travels as `Mcp-Param-{Name}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeaderParameter {
    /// The whole header name.
    pub header: HeaderName,
    /// Keys that lead to the argument, from the top of `arguments`.
    pub path: Vec<String>,
    /// Its type.
    pub kind: ParameterKind,
}

/// Reads the `x-mcp-header` annotations of an input schema.
///
/// # Errors
/// A sentence when an annotation is not valid: a client on HTTP must then drop the tool (R67).
pub(super) fn header_parameters(schema: &str) -> Result<Vec<HeaderParameter>, String> {
    if !may_hold(schema, "x-mcp-header") {
        return Ok(Vec::new());
    }
    let schema: Value = serde_json::from_str(schema).map_err(|error| error.to_string())?;
    let mut found = Vec::new();
    collect(&schema, &mut Vec::new(), true, &mut found)?;
    let mut names = BTreeSet::new();
    for parameter in &found {
        if !names.insert(parameter.header.as_str().to_owned()) {
            return Err(format!("header {} is used twice", parameter.header));
        }
    }
    Ok(found)
}

fn collect(
    schema: &Value,
    path: &mut Vec<String>,
    reachable: bool,
    found: &mut Vec<HeaderParameter>,
) -> Result<(), String> {
    let Some(object) = schema.as_object() else {
        if let Some(list) = schema.as_array() {
            for item in list {
                collect(item, path, false, found)?;
            }
        }
        return Ok(());
    };
    if let Some(annotation) = object.get("x-mcp-header") {
        let name =
            annotation.as_str().filter(|name| !name.is_empty()).ok_or("x-mcp-header is no text")?;
        if !reachable || path.is_empty() {
            return Err(format!("x-mcp-header `{name:.40}` stands where no argument is"));
        }
        let header = HeaderName::from_bytes(format!("mcp-param-{name}").as_bytes())
            .map_err(|_| format!("`{name:.40}` is no header name"))?;
        let kind = match object.get("type").and_then(Value::as_str) {
            Some("string") => ParameterKind::String,
            Some("integer") => ParameterKind::Integer,
            Some("boolean") => ParameterKind::Boolean,
            _ => {
                return Err(format!(
                    "argument of header `{name:.40}` is no string, integer or boolean"
                ));
            }
        };
        found.push(HeaderParameter { header, path: path.clone(), kind });
    }
    for (key, value) in object {
        match (key.as_str(), value.as_object()) {
            // Annotation values and examples are data, not schemas.
            ("const" | "default" | "enum" | "examples" | "x-mcp-header", _) => {}
            ("properties", Some(properties)) => {
                for (name, property) in properties {
                    path.push(name.clone());
                    collect(property, path, reachable, found)?;
                    path.pop();
                }
            }
            _ => collect(value, path, false, found)?,
        }
    }
    Ok(())
}

/// Names of the top-level properties of an input schema.
#[must_use]
pub(super) fn property_names(schema: &str) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    let mut reader = Reader::new(schema, UPSTREAM_DEPTH);
    // A schema that cannot be read has no properties that could be filled in.
    let _ = reader.object::<JsonError>(|reader, key| {
        if key.is("properties") && reader.peek()? == b'{' {
            reader.object::<JsonError>(|reader, key| {
                names.extend(key.decode().map(|name| name.into_owned()));
                reader.value().map(drop)
            })?;
            return Ok(());
        }
        reader.value().map(drop)
    });
    names
}

/// Takes properties out of the input schema at `schema` in `text`: out of `properties` and out
/// of `required`. The model neither sees nor fills them.
pub(super) fn hide_properties(
    text: &str,
    schema: &Span,
    hidden: &BTreeSet<&str>,
    edits: &mut Edits,
) {
    let is_hidden = |key: &Text<'_>| key.decode().is_some_and(|name| hidden.contains(&*name));
    let base = schema.start;
    let mut reader = Reader::new(&text[schema.clone()], UPSTREAM_DEPTH);
    // The text was read before, so it is JSON; of a schema of another shape nothing is hidden.
    let _ = reader.object::<JsonError>(|reader, key| {
        match reader.peek()? {
            b'{' if key.is("properties") => {
                let mut members = Vec::new();
                reader.object::<JsonError>(|reader, key| {
                    let value = reader.value()?;
                    members.push((key.span().start..value.end, is_hidden(&key)));
                    Ok(())
                })?;
                remove(&members, base, edits);
            }
            b'[' if key.is("required") => {
                let mut items = Vec::new();
                reader.array::<JsonError>(|reader| {
                    let item = reader.string()?;
                    items.push((item.span(), is_hidden(&item)));
                    Ok(())
                })?;
                remove(&items, base, edits);
            }
            _ => {
                reader.value()?;
            }
        }
        Ok(())
    });
}

/// Removes some of the comma-separated `parts` with the commas that become idle.
pub(super) fn remove(parts: &[(Span, bool)], base: usize, edits: &mut Edits) {
    let mut kept_before = false;
    for (index, (span, gone)) in parts.iter().enumerate() {
        if !gone {
            kept_before = true;
            continue;
        }
        // With a kept part before it, a part takes the comma before; else the one after.
        let cut = if kept_before {
            parts[index - 1].0.end..span.end
        } else {
            span.start..parts.get(index + 1).map_or(span.end, |next| next.0.start)
        };
        edits.replace(cut.start + base..cut.end + base, "");
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn annotations_lead_to_headers() {
        let schema = r#"{"type":"object","properties":{"region":{"type":"string","x-mcp-header":"Region"},
            "o":{"type":"object","properties":{"n":{"type":"integer","x-mcp-header":"N"}}}}}"#;
        let found = header_parameters(schema).unwrap();
        assert_eq!(found.len(), 2);
        assert!(found.iter().any(|p| p.header == "mcp-param-n" && p.path == ["o", "n"]));
        for wrong in [
            r#"{"properties":{"a":{"type":"string","x-mcp-header":""}}}"#,
            r#"{"properties":{"a":{"type":"string","x-mcp-header":"a b"}}}"#,
            r#"{"properties":{"a":{"type":"number","x-mcp-header":"A"}}}"#,
            r#"{"properties":{"a":{"items":{"type":"string","x-mcp-header":"A"}}}}"#,
            r#"{"properties":{"a":{"type":"string","x-mcp-header":"A"},"b":{"type":"string","x-mcp-header":"a"}}}"#,
        ] {
            assert!(header_parameters(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn hidden_properties_leave_no_trace() {
        let schema = r#"{"type":"object", "properties": {"key": {"type":"string"}, "q":{"type":"string"}},"required":["q" , "key"]}"#;
        let mut edits = Edits::default();
        hide_properties(schema, &(0..schema.len()), &BTreeSet::from(["key"]), &mut edits);
        let seen = edits.apply(&Bytes::copy_from_slice(schema.as_bytes()));
        let value: Value = serde_json::from_slice(&seen).unwrap();
        assert_eq!(value["properties"].as_object().unwrap().len(), 1);
        assert_eq!(value["required"], serde_json::json!(["q"]));
    }

    proptest! {
        #[test]
        fn what_is_left_is_json(gone in proptest::collection::vec(any::<bool>(), 1..7)) {
            let names: Vec<String> = (0..gone.len()).map(|i| format!("p{i}")).collect();
            let schema = serde_json::json!({
                "properties": names.iter().map(|n| (n.clone(), Value::Null)).collect::<serde_json::Map<_, _>>(),
                "required": names,
            }).to_string();
            let hidden: BTreeSet<&str> =
                names.iter().zip(&gone).filter(|(_, gone)| **gone).map(|(name, _)| name.as_str()).collect();
            let mut edits = Edits::default();
            hide_properties(&schema, &(0..schema.len()), &hidden, &mut edits);
            let seen = edits.apply(&Bytes::from(schema.into_bytes()));
            let value: Value = serde_json::from_slice(&seen).unwrap();
            let left = names.len() - hidden.len();
            prop_assert_eq!(value["properties"].as_object().unwrap().len(), left);
            prop_assert_eq!(value["required"].as_array().unwrap().len(), left);
        }
    }
}
