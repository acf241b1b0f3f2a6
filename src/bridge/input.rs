//! `input_required`: what an upstream of 2026-07-28 asks before it goes on, and the answers that a
//! client of that era brings (protocol.md 1.7).

use super::error::BridgeError;
use super::question::{Question, string_at};
use crate::wire::CapSet;
use crate::wire::json::{Reader, Span, UPSTREAM_DEPTH};

/// Questions of one result, and answers of one retry.
const MOST: usize = 64;

/// One entry of `inputRequests`.
#[derive(Debug, Clone)]
pub struct Entry {
    /// Its key.
    pub key: String,
    /// The method that it names.
    pub method: String,
    /// Place of its `params` in the text of the result; `None` when there are none.
    pub params: Option<Span>,
    /// What it asks; places are in the text of its `params`.
    pub question: Question,
}

/// An `input_required` result with its parts found.
#[derive(Debug, Clone, Default)]
pub struct InputRequired {
    /// What is asked, in the order of the result.
    pub entries: Vec<Entry>,
    /// Place of the value of `requestState`, a string.
    pub state: Option<Span>,
}

impl InputRequired {
    /// Reads the text of a result.
    ///
    /// # Errors
    /// When it has neither questions nor a state, or has not the shape that the protocol gives it.
    pub fn read(result: &str) -> Result<Self, BridgeError> {
        let mut found = Self::default();
        let (mut asked, mut held) = (false, false);
        Reader::new(result, UPSTREAM_DEPTH).object::<BridgeError>(|reader, key| {
            let twice = BridgeError::Shape("a member stands twice");
            if key.is("inputRequests") && reader.peek()? == b'{' {
                if std::mem::replace(&mut asked, true) {
                    return Err(twice);
                }
                reader.object::<BridgeError>(|reader, key| {
                    let name = key.decode().ok_or(BridgeError::Shape("a key of no characters"))?;
                    found.take(name.into_owned(), reader, result)
                })?;
            } else if key.is("requestState") {
                let string = reader.peek()? == b'"';
                let place = reader.value()?;
                if string {
                    found.state = Some(place);
                } else if &result[place] != "null" {
                    return Err(BridgeError::Shape("a requestState that is no text"));
                }
                if std::mem::replace(&mut held, true) {
                    return Err(twice);
                }
            } else {
                reader.value()?;
            }
            Ok(())
        })?;
        if found.entries.is_empty() && found.state.is_none() {
            return Err(BridgeError::Shape(
                "input_required without a question and without a state",
            ));
        }
        Ok(found)
    }

    fn take(
        &mut self,
        key: String,
        reader: &mut Reader<'_>,
        result: &str,
    ) -> Result<(), BridgeError> {
        let (mut method, mut params) = (None, None);
        reader.object::<BridgeError>(|reader, member| {
            let place = reader.value()?;
            if member.is("method") {
                method = string_at(result, place);
            } else if member.is("params") && result[place.clone()].starts_with('{') {
                params = Some(place);
            }
            Ok(())
        })?;
        let method = method.ok_or(BridgeError::Shape("a question without a method"))?;
        let text = params.clone().map_or("{}", |place| &result[place]);
        let question = Question::read(&method, text)?;
        if self.entries.len() >= MOST {
            return Err(BridgeError::TooMany(MOST));
        }
        if self.entries.iter().any(|entry| entry.key == key) {
            return Err(BridgeError::Shape("two questions of one key"));
        }
        self.entries.push(Entry { key, method, params, question });
        Ok(())
    }

    /// What a client must have declared so that it can be asked all of this.
    #[must_use]
    pub fn needs(&self) -> CapSet {
        self.entries.iter().fold(CapSet::NONE, |set, entry| set.with(entry.question.needs))
    }
}

/// `inputResponses` of a retry.
#[derive(Debug, Clone, Default)]
pub struct Responses {
    list: Vec<(String, Span)>,
}

impl Responses {
    /// Reads the text of an `inputResponses` object. Answers that are no objects count as missing;
    /// of two answers of one key none counts.
    ///
    /// # Errors
    /// When it is no object, or has more answers than there can be questions.
    pub fn read(text: &str) -> Result<Self, BridgeError> {
        let mut list: Vec<(String, Span)> = Vec::new();
        let mut twice = Vec::new();
        let mut reader = Reader::new(text, UPSTREAM_DEPTH);
        reader.object::<BridgeError>(|reader, key| {
            let object = reader.peek()? == b'{';
            let place = reader.value()?;
            let Some(key) = key.decode().filter(|_| object) else { return Ok(()) };
            if list.len() >= MOST {
                return Err(BridgeError::TooMany(MOST));
            }
            if list.iter().any(|(other, _)| *other == key) {
                twice.push(key.into_owned());
            } else {
                list.push((key.into_owned(), place));
            }
            Ok(())
        })?;
        reader.end()?;
        list.retain(|(key, _)| !twice.contains(key));
        Ok(Self { list })
    }

    /// True for the text of an object of objects.
    #[must_use]
    pub fn are_answers(text: &str) -> bool {
        let mut all = true;
        let mut reader = Reader::new(text, UPSTREAM_DEPTH);
        let read = reader.object::<BridgeError>(|reader, _| {
            all &= reader.peek()? == b'{';
            Ok(reader.value().map(drop)?)
        });
        read.is_ok() && all
    }

    /// The answer of a key in `text`, which this was read from.
    #[must_use]
    pub fn get<'a>(&self, text: &'a str, key: &str) -> Option<&'a str> {
        self.list
            .iter()
            .find(|(other, _)| other == key)
            .and_then(|(_, place)| text.get(place.clone()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn questions_and_state_are_found() {
        let text = r#"{"resultType":"input_required","inputRequests":{"a\u0062":{"method":"elicitation/create",
            "params":{"message":"m"}},"r":{"method":"roots/list"}},"requestState":"s\u0041"}"#;
        let found = InputRequired::read(text).unwrap();
        assert_eq!(found.entries[0].key, "ab");
        assert_eq!(&text[found.entries[0].params.clone().unwrap()], r#"{"message":"m"}"#);
        assert_eq!(found.entries[1].method, "roots/list");
        assert_eq!(found.needs(), CapSet::ELICIT_FORM.with(CapSet::ROOTS));
        assert_eq!(&text[found.state.unwrap()], r#""s\u0041""#);
    }

    #[test]
    fn what_asks_nothing_and_holds_nothing_is_refused() {
        for wrong in [
            "{}",
            r#"{"inputRequests":{}}"#,
            r#"{"requestState":7}"#,
            r#"{"requestState":"a","requestState":"b"}"#,
            r#"{"inputRequests":{"a":{"method":"tools/call"}}}"#,
            r#"{"inputRequests":{"a":{"method":"roots/list"},"\u0061":{"method":"roots/list"}}}"#,
        ] {
            assert!(InputRequired::read(wrong).is_err(), "{wrong}");
        }
        assert!(InputRequired::read(r#"{"requestState":"a","inputRequests":null}"#).is_ok());
    }

    #[test]
    fn answers_are_found_by_their_key() {
        let text = r#"{"a":{"action":"accept","content":{"n":1.0}},"b":7,"c":{},"c":{}}"#;
        let found = Responses::read(text).unwrap();
        assert_eq!(found.get(text, "a"), Some(r#"{"action":"accept","content":{"n":1.0}}"#));
        for missing in ["b", "c", "d"] {
            assert_eq!(found.get(text, missing), None);
        }
        assert!(Responses::read("[]").is_err());
        assert!(!Responses::are_answers(text));
        for (given, are) in [("{}", true), (r#"{"a":{}}"#, true), ("null", false), ("7", false)] {
            assert_eq!(Responses::are_answers(given), are, "{given}");
        }
    }
}
