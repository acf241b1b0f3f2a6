//! A JSON document as the section of the file that it stands for.

use serde_json::{Map, Value};

use crate::config::problem::{Problem, Problems};

/// The text of a section with these keys, each on a line.
///
/// # Errors
/// When there is a null in it, which TOML does not have.
pub(super) fn section(place: &str, keys: &Map<String, Value>) -> Result<String, Problems> {
    let mut text = format!("[{place}]\n");
    for (key, value) in keys {
        word(&mut text, key);
        text.push_str(" = ");
        if !toml(&mut text, value) {
            let message = format!("`{place}.{key}` has a null in it");
            return Err(Problem::about(place, key, message, "leave out what is not there").into());
        }
        text.push('\n');
    }
    Ok(text)
}

/// A text as TOML has it: as JSON, but for one character that must be escaped there.
fn word(text: &mut String, value: &str) {
    text.push_str(&Value::from(value).to_string().replace('\u{7f}', "\\u007f"));
}

/// A value as TOML has it, on one line. False when there is a null in it.
fn toml(text: &mut String, value: &Value) -> bool {
    match value {
        Value::Null => return false,
        Value::Bool(_) | Value::Number(_) => text.push_str(&value.to_string()),
        Value::String(value) => word(text, value),
        Value::Array(list) => {
            text.push('[');
            for entry in list {
                if !toml(text, entry) {
                    return false;
                }
                text.push_str(", ");
            }
            text.push(']');
        }
        Value::Object(members) => {
            text.push('{');
            for (at, (key, value)) in members.iter().enumerate() {
                text.push_str(if at > 0 { ", " } else { "" });
                word(text, key);
                text.push_str(" = ");
                if !toml(text, value) {
                    return false;
                }
            }
            text.push('}');
        }
    }
    true
}
