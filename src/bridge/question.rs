//! One question of an upstream to whoever is behind the client: what it needs, and how it is
//! worded for a client of either era.

use super::error::BridgeError;
use super::schema::downgrade;
use crate::wire::json::{JsonError, Reader, Span, UPSTREAM_DEPTH, quote};
use crate::wire::{CapSet, Edits, Era, Revision};

/// What is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asks {
    /// A form for the user.
    Form,
    /// A visit of the user to a URL.
    Url,
    /// A message of the client's model.
    Model,
    /// The client's roots.
    Roots,
}

/// For whom a question is worded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Toward {
    /// A client of 2026-07-28; `from` is how the upstream that asks speaks.
    Modern {
        /// The upstream's era.
        from: Era,
    },
    /// A client of a revision with sessions.
    Legacy(Revision),
}

/// A question with its parts found, as places in the text of its `params`.
#[derive(Debug, Clone)]
pub struct Question {
    /// What is asked.
    pub asks: Asks,
    /// What a client must have declared to be asked.
    pub needs: CapSet,
    message: Option<Span>,
    context: Option<Span>,
    mode: Option<Span>,
    mark: Option<Span>,
    schema: Option<Span>,
    whole: Span,
}

impl Question {
    /// Reads a question from its method and the text of its `params`, `{}` when there are none.
    ///
    /// # Errors
    /// When it is none of the protocol's questions, or has not their shape.
    pub fn read(method: &str, params: &str) -> Result<Self, BridgeError> {
        let asks = match method {
            "elicitation/create" => Asks::Form,
            "sampling/createMessage" => Asks::Model,
            "roots/list" => Asks::Roots,
            other => return Err(BridgeError::Unknown(other.chars().take(80).collect())),
        };
        let mut found = Self {
            asks,
            needs: CapSet::NONE,
            message: None,
            context: None,
            mode: None,
            mark: None,
            schema: None,
            whole: 0..0,
        };
        let (mut tools, mut mode) = (false, None);
        let mut reader = Reader::new(params, UPSTREAM_DEPTH);
        found.whole = reader.object::<BridgeError>(|reader, key| {
            let text = reader.peek()? == b'"';
            let place = reader.value()?;
            let slot = match asks {
                Asks::Model if key.is("tools") || key.is("toolChoice") => {
                    tools |= &params[place] != "null";
                    return Ok(());
                }
                Asks::Model if key.is("includeContext") => &mut found.context,
                Asks::Form if key.is("message") && text => &mut found.message,
                Asks::Form if key.is("mode") && text => {
                    mode = Some(params[place.clone()].to_owned());
                    &mut found.mode
                }
                Asks::Form if key.is("elicitationId") => &mut found.mark,
                Asks::Form if key.is("requestedSchema") => &mut found.schema,
                _ => return Ok(()),
            };
            if slot.replace(place).is_some() {
                return Err(BridgeError::Shape("a member stands twice"));
            }
            Ok(())
        })?;
        reader.end()?;
        if asks == Asks::Form && found.message.is_none() {
            return Err(BridgeError::Shape("an elicitation without a message"));
        }
        match mode.as_deref() {
            Some("\"url\"") => found.asks = Asks::Url,
            None | Some("\"form\"") => {}
            Some(_) => return Err(BridgeError::Shape("an elicitation of an unknown mode")),
        }
        found.needs = match found.asks {
            Asks::Form => CapSet::ELICIT_FORM,
            Asks::Url => CapSet::ELICIT_URL,
            Asks::Model if tools => CapSet::SAMPLING.with(CapSet::SAMPLING_TOOLS),
            Asks::Model => CapSet::SAMPLING,
            Asks::Roots => CapSet::ROOTS,
        };
        Ok(found)
    }

    /// Reads a visit to a URL from the text of its `params`.
    ///
    /// # Errors
    /// When it is another question or has not its shape.
    pub fn visit(params: &str) -> Result<Self, BridgeError> {
        let found = Self::read("elicitation/create", params)?;
        let visit = found.asks == Asks::Url;
        visit.then_some(found).ok_or(BridgeError::Shape("an elicitation that is no visit"))
    }

    /// The changes that word its `params` for a client: the message names the upstream (R99), the
    /// context of other servers is not asked for (R78), the rest is as the client's revision has
    /// it. `mark` is the `elicitationId` of a visit that has none and needs one.
    ///
    /// # Errors
    /// When the client's revision cannot express it.
    pub fn worded(
        &self,
        params: &str,
        upstream: &str,
        toward: Toward,
        mark: &str,
    ) -> Result<Edits, BridgeError> {
        let mut edits = Edits::default();
        if let Some(message) = &self.message {
            // The name of an upstream needs no escape.
            edits.insert(message.start + 1, format!("[{upstream}] "));
        }
        if let Some(context) = &self.context
            && &params[context.clone()] != "\"none\""
        {
            edits.replace(context.clone(), "\"none\"");
        }
        match toward {
            Toward::Modern { from } => {
                if let Some(mark) = &self.mark {
                    edits.remove_members(params, [mark.clone()]);
                }
                if from == Era::Legacy && self.asks == Asks::Form && self.mode.is_none() {
                    edits.insert(self.whole.start + 1, "\"mode\":\"form\",");
                }
            }
            Toward::Legacy(Revision::V2025_11_25) => {
                if self.asks == Asks::Url && self.mark.is_none() {
                    edits.insert(self.whole.end - 1, format!(",\"elicitationId\":{}", quote(mark)));
                }
            }
            Toward::Legacy(_) => match self.asks {
                Asks::Url => return Err(BridgeError::Inexpressible("a visit to a URL")),
                Asks::Model if self.needs.has(CapSet::SAMPLING_TOOLS) => {
                    return Err(BridgeError::Inexpressible("sampling with tools"));
                }
                Asks::Form => {
                    if let Some(mode) = &self.mode {
                        edits.remove_members(params, [mode.clone()]);
                    }
                    if let Some(schema) = &self.schema {
                        edits.append(downgrade(&params[schema.clone()])?, schema.start);
                    }
                }
                Asks::Model | Asks::Roots => {}
            },
        }
        Ok(edits)
    }

    /// Its method.
    #[must_use]
    pub const fn method(&self) -> &'static str {
        match self.asks {
            Asks::Form | Asks::Url => "elicitation/create",
            Asks::Model => "sampling/createMessage",
            Asks::Roots => "roots/list",
        }
    }

    /// True when the answer to it may say that the user wants not to go on.
    #[must_use]
    pub fn can_be_cancelled(&self) -> bool {
        matches!(self.asks, Asks::Form | Asks::Url)
    }
}

/// The text of a string at `place` in a JSON text; `None` for other values.
pub(super) fn string_at(text: &str, place: Span) -> Option<String> {
    let text = text.get(place)?;
    let mut reader = Reader::new(text, UPSTREAM_DEPTH);
    let string: Result<_, JsonError> = reader.string();
    string.ok()?.decode().map(std::borrow::Cow::into_owned)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use serde_json::{Value, json};

    use super::*;

    fn worded(method: &str, params: &str, toward: Toward) -> Result<Value, BridgeError> {
        let question = Question::read(method, params)?;
        let edits = question.worded(params, "gh", toward, "mark")?;
        let bytes = edits.apply(&Bytes::copy_from_slice(params.as_bytes()));
        Ok(serde_json::from_slice(&bytes).unwrap())
    }

    const ML: Toward = Toward::Modern { from: Era::Legacy };
    const LATEST: Toward = Toward::Legacy(Revision::V2025_11_25);
    const OLDER: Toward = Toward::Legacy(Revision::V2025_06_18);

    #[test]
    fn what_a_question_needs_is_told() {
        let needs = |method, params| Question::read(method, params).map(|found| found.needs);
        assert_eq!(needs("elicitation/create", r#"{"message":"a"}"#), Ok(CapSet::ELICIT_FORM));
        assert_eq!(
            needs("elicitation/create", r#"{"mode":"url","message":"a","url":"b"}"#),
            Ok(CapSet::ELICIT_URL)
        );
        assert_eq!(
            needs("sampling/createMessage", r#"{"messages":[],"tools":[]}"#),
            Ok(CapSet::SAMPLING.with(CapSet::SAMPLING_TOOLS))
        );
        assert_eq!(needs("roots/list", "{}"), Ok(CapSet::ROOTS));
        assert!(needs("tools/list", "{}").is_err());
        assert!(needs("elicitation/create", r#"{"message":"a","mode":"x"}"#).is_err());
        assert!(needs("elicitation/create", r#"{"message":"a","message":"b"}"#).is_err());
    }

    #[test]
    fn a_message_names_its_upstream_for_everybody() {
        for toward in [ML, Toward::Modern { from: Era::Modern }, LATEST, OLDER] {
            let said = worded("elicitation/create", r#"{"message":"Who?"}"#, toward).unwrap();
            assert_eq!(said["message"], "[gh] Who?");
        }
    }

    #[test]
    fn marks_are_where_the_revision_has_them() {
        let with = r#"{"mode":"url","message":"m","elicitationId":"x","url":"u"}"#;
        let without = r#"{"mode":"url","message":"m","url":"u"}"#;
        assert_eq!(
            worded("elicitation/create", with, ML).unwrap(),
            json!({"mode":"url","message":"[gh] m","url":"u"})
        );
        assert_eq!(worded("elicitation/create", with, LATEST).unwrap()["elicitationId"], "x");
        assert_eq!(worded("elicitation/create", without, LATEST).unwrap()["elicitationId"], "mark");
        assert!(worded("elicitation/create", without, OLDER).is_err());
    }

    #[test]
    fn the_context_of_other_servers_is_never_asked_for() {
        let said = worded(
            "sampling/createMessage",
            r#"{"messages":[],"includeContext":"allServers","maxTokens":1.0}"#,
            LATEST,
        );
        assert_eq!(said.unwrap(), json!({"messages":[],"includeContext":"none","maxTokens":1.0}));
    }

    #[test]
    fn an_older_client_reads_forms_in_its_own_words() {
        let said = worded(
            "elicitation/create",
            r#"{"mode":"form","message":"m","requestedSchema":{"type":"object","properties":{"a":{"type":"string","oneOf":[{"const":"x","title":"X"}]}}}}"#,
            OLDER,
        );
        assert_eq!(
            said.unwrap(),
            json!({"message":"[gh] m","requestedSchema":{"type":"object","properties":{
                "a":{"type":"string","enum":["x"],"enumNames":["X"]}}}})
        );
    }
}
