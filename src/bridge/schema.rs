//! The schema of a form, in the words of 2025-06-18: titled choices become `enum` and `enumNames`,
//! and what that revision cannot express is refused (protocol.md 3.2).

use super::error::BridgeError;
use crate::wire::Edits;
use crate::wire::json::{JsonError, Reader, UPSTREAM_DEPTH, quote};

/// The changes to the text of a `requestedSchema`.
///
/// # Errors
/// When the form has a choice of several values, which that revision does not know.
pub fn downgrade(schema: &str) -> Result<Edits, BridgeError> {
    let mut edits = Edits::default();
    Reader::new(schema, UPSTREAM_DEPTH).object::<BridgeError>(|reader, key| {
        if !key.is("properties") || reader.peek()? != b'{' {
            return Ok(reader.value().map(drop)?);
        }
        reader.object::<BridgeError>(|reader, _| {
            if reader.peek()? != b'{' {
                return Err(BridgeError::Shape("a property of a form that is no schema"));
            }
            property(reader, schema, &mut edits)
        })?;
        Ok(())
    })?;
    Ok(edits)
}

fn property(reader: &mut Reader<'_>, schema: &str, edits: &mut Edits) -> Result<(), BridgeError> {
    reader.object::<BridgeError>(|reader, key| {
        let place = reader.value()?;
        if key.is("items") || (key.is("type") && &schema[place.clone()] == "\"array\"") {
            return Err(BridgeError::Inexpressible("a choice of several values"));
        }
        if key.is("oneOf") {
            let (values, names) = choices(&schema[place.clone()])?;
            let member = format!("\"enum\":[{values}],\"enumNames\":[{names}]");
            edits.replace(key.span().start..place.end, member);
        }
        Ok(())
    })?;
    Ok(())
}

/// The constants and the titles of a titled choice, each joined by commas.
fn choices(text: &str) -> Result<(String, String), BridgeError> {
    let (mut values, mut names) = (Vec::new(), Vec::new());
    Reader::new(text, UPSTREAM_DEPTH).array::<BridgeError>(|reader| {
        let (mut value, mut title) = (None, None);
        reader.object::<JsonError>(|reader, key| {
            let place = reader.value()?;
            if key.is("const") {
                value = Some(text[place].to_owned());
            } else if key.is("title") {
                title = Some(text[place].to_owned());
            }
            Ok(())
        })?;
        let value = value.ok_or(BridgeError::Shape("a choice without a value"))?;
        // What has no title is shown as it is.
        let shown = if value.starts_with('"') { value.clone() } else { quote(&value) };
        names.push(title.unwrap_or(shown));
        values.push(value);
        Ok(())
    })?;
    Ok((values.join(","), names.join(",")))
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use serde_json::{Value, json};

    use super::*;

    fn downgraded(schema: &Value) -> Result<Value, BridgeError> {
        let text = schema.to_string();
        let bytes = downgrade(&text)?.apply(&Bytes::from(text));
        Ok(serde_json::from_slice(&bytes).unwrap())
    }

    #[test]
    fn titled_choices_keep_values_and_titles() {
        let schema = json!({"type":"object","properties":{
            "a":{"type":"string","oneOf":[{"const":"x","title":"An \"X\""},{"const":"y"}],"default":"y"},
            "b":{"type":"integer","default":3}},"required":["a"]});
        assert_eq!(
            downgraded(&schema).unwrap(),
            json!({"type":"object","properties":{
                "a":{"type":"string","enum":["x","y"],"enumNames":["An \"X\"","y"],"default":"y"},
                "b":{"type":"integer","default":3}},"required":["a"]})
        );
    }

    #[test]
    fn a_choice_of_several_values_cannot_be_said() {
        let schema = json!({"type":"object","properties":{
            "a":{"type":"array","items":{"type":"string","enum":["x"]}}}});
        assert_eq!(
            downgraded(&schema),
            Err(BridgeError::Inexpressible("a choice of several values"))
        );
    }
}
