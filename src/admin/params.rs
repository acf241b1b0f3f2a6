//! `params` of a request that came over plain HTTP, taken apart so that the line can be given them
//! with what each request of 2026-07-28 carries.

use bytes::Bytes;
use serde_json::value::RawValue;

use super::problem::Problem;
use crate::wire::json::{CLIENT_DEPTH, JsonError, Reader, Span, quote};
use crate::wire::{Edits, Field, MetaKey};

/// `params` without `_meta`, and what stands in that.
#[derive(Debug, Clone, Default)]
pub(super) struct Params {
    /// The members of `params` as they came, with commas between.
    pub(super) members: String,
    /// The members of `_meta` likewise.
    pub(super) meta: String,
    /// Those of them that the protocol reserves.
    pub(super) has: Vec<MetaKey>,
    /// The caller says what it can be asked, or answers: what is asked is its own to see.
    pub(super) own_rounds: bool,
}

impl Params {
    /// Those of a call of a tool.
    pub(super) fn of_tool(name: &str, arguments: Option<&RawValue>) -> Self {
        let mut members = format!("\"name\":{}", quote(name));
        if let Some(arguments) = arguments {
            members += ",\"arguments\":";
            members += arguments.get();
        }
        Self { members, ..Self::default() }
    }

    /// Those that somebody sent.
    pub(super) fn read(text: &str) -> Result<Self, Problem> {
        Self::take_apart(text).map_err(|error| {
            let what = match error {
                JsonError::Type(_) => "`params` is an object, and so is `_meta` in it",
                JsonError::Duplicate(_) => "`_meta` stands twice in `params`",
                JsonError::TooDeep(_) => "`params` is nested too deep",
                JsonError::Syntax(_) => "`params` is no JSON",
            };
            Problem::Invalid(what.to_owned())
        })
    }

    fn take_apart(text: &str) -> Result<Self, JsonError> {
        let mut params = Self::default();
        let mut meta: Option<Span> = None;
        Reader::new(text, CLIENT_DEPTH).object::<JsonError>(|reader, key| {
            if !key.is(Field::Meta.as_str()) {
                let answers = [Field::RequestState, Field::InputResponses];
                params.own_rounds |= answers.iter().any(|field| key.is(field.as_str()));
                return reader.value().map(drop);
            }
            if meta.is_some() {
                return Err(JsonError::Duplicate(key.span().start));
            }
            let place = reader.object::<JsonError>(|reader, key| {
                params.has.extend(key.decode().as_deref().and_then(MetaKey::parse));
                reader.value().map(drop)
            })?;
            inner(&text[place.clone()]).clone_into(&mut params.meta);
            meta = Some(place);
            Ok(())
        })?;
        params.own_rounds |= params.has.contains(&MetaKey::ClientCapabilities);
        let mut edits = Edits::default();
        edits.remove_members(text, meta);
        let rest = edits.apply(&Bytes::copy_from_slice(text.as_bytes()));
        let rest = String::from_utf8_lossy(&rest);
        inner(rest.trim()).clone_into(&mut params.members);
        Ok(params)
    }
}

/// The members of an object without its braces.
fn inner(object: &str) -> &str {
    let inner = object.strip_prefix('{').and_then(|rest| rest.strip_suffix('}'));
    inner.unwrap_or_default().trim()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_sent_stays_as_it_came() {
        for (text, members, meta, own_rounds) in [
            ("{}", "", "", false),
            (r#" { "uri" : "a:\/b" } "#, r#""uri" : "a:\/b""#, "", false),
            (r#"{"_meta":{ },"n":1.10}"#, r#""n":1.10"#, "", false),
            (
                r#"{"a":1, "_m\u0065ta": {"x/y": 1.0} , "b":{}}"#,
                r#""a":1 , "b":{}"#,
                r#""x/y": 1.0"#,
                false,
            ),
            (r#"{"name":"t","requestState":"s"}"#, r#""name":"t","requestState":"s""#, "", true),
            (
                r#"{"_meta":{"io.modelcontextprotocol/clientCapabilities":{"elicitation":{}}}}"#,
                "",
                r#""io.modelcontextprotocol/clientCapabilities":{"elicitation":{}}"#,
                true,
            ),
        ] {
            let params = Params::read(text).unwrap();
            let found = (&*params.members, &*params.meta, params.own_rounds);
            assert_eq!(found, (members, meta, own_rounds), "{text}");
        }
        for wrong in ["[]", "1", r#"{"_meta":1}"#, r#"{"_meta":{},"_meta":{}}"#] {
            assert!(Params::read(wrong).is_err(), "{wrong}");
        }
        assert!(Params::read(&format!("{{\"a\":{}1{}}}", "[".repeat(90), "]".repeat(90))).is_err());
    }
}
