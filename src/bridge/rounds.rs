//! The rounds of a call of a legacy client to an upstream of 2026-07-28: each result that asks
//! becomes questions of ours, their answers become the next request (protocol.md 3.2, LM).

use std::time::Duration;

use super::error::BridgeError;
use super::input::InputRequired;
use super::question::{Question, Toward};
use super::response::Reply;
use crate::wire::json::quote;
use crate::wire::{CapSet, Edits};

/// First pause before a request that only a state is sent with (R41).
const PAUSE: Duration = Duration::from_millis(200);
/// Longest such pause.
const LONGEST: Duration = Duration::from_secs(5);

/// What to do after a result that asks.
#[derive(Debug, PartialEq, Eq)]
pub enum Next {
    /// Put these questions: key, method, and `params` as JSON text.
    Ask(Vec<(String, &'static str, String)>),
    /// Nothing is asked: send the request again after this pause.
    Wait(Duration),
}

/// Where such a call stands.
#[derive(Debug)]
pub struct Rounds {
    toward: Toward,
    declared: CapSet,
    most: u32,
    count: u32,
    idle: u32,
    open: Vec<(String, Question)>,
    answers: Vec<(String, String)>,
    state: Option<String>,
}

impl Rounds {
    /// For a client of this revision with these capabilities; at most `most` results may ask.
    #[must_use]
    pub fn new(toward: Toward, declared: CapSet, most: u32) -> Self {
        Self {
            toward,
            declared,
            most,
            count: 0,
            idle: 0,
            open: Vec::new(),
            answers: Vec::new(),
            state: None,
        }
    }

    /// Takes a result that asks. `mark` is the id of a visit to a URL.
    ///
    /// # Errors
    /// When there were too many rounds, or something is asked that cannot be put to this client;
    /// nothing is asked then.
    pub fn begin(&mut self, result: &str, upstream: &str, mark: &str) -> Result<Next, BridgeError> {
        if self.count >= self.most {
            return Err(BridgeError::TooOften(self.most));
        }
        self.count += 1;
        let asked = InputRequired::read(result)?;
        if !self.declared.has(asked.needs()) {
            return Err(BridgeError::Undeclared(asked.needs().without(self.declared)));
        }
        let mut questions = Vec::new();
        for (number, entry) in asked.entries.iter().enumerate() {
            let params = entry.params.clone().map_or("{}", |place| &result[place]);
            let mark = format!("{mark}-{number}");
            let edits: Edits = entry.question.worded(params, upstream, self.toward, &mark)?;
            let worded = edits.apply(&bytes::Bytes::copy_from_slice(params.as_bytes()));
            let worded = String::from_utf8_lossy(&worded).into_owned();
            questions.push((entry.key.clone(), entry.question.method(), worded));
        }
        self.open = asked.entries.into_iter().map(|entry| (entry.key, entry.question)).collect();
        self.answers.clear();
        self.state = asked.state.map(|place| result[place].to_owned());
        if questions.is_empty() {
            let pause = PAUSE.saturating_mul(1 << self.idle.min(8)).min(LONGEST);
            self.idle += 1;
            return Ok(Next::Wait(pause));
        }
        self.idle = 0;
        Ok(Next::Ask(questions))
    }

    /// Takes the client's answer to the question of a key. A form that failed counts as cancelled.
    /// False when the client will not answer a question that has no word for that: the call ends.
    pub fn answer(&mut self, key: &str, reply: &Reply) -> bool {
        let Some(at) = self.open.iter().position(|(open, _)| open == key) else { return true };
        let (key, question) = self.open.swap_remove(at);
        let text = match reply.good && reply.payload().starts_with('{') {
            true => reply.payload().to_owned(),
            false if question.can_be_cancelled() => "{\"action\":\"cancel\"}".to_owned(),
            false => return false,
        };
        self.answers.push((key, text));
        true
    }

    /// True when every question has its answer.
    #[must_use]
    pub fn is_answered(&self) -> bool {
        self.open.is_empty()
    }

    /// What the next request carries: `inputResponses` and `requestState`, as JSON texts.
    #[must_use]
    pub fn carry(&self) -> (Option<String>, Option<String>) {
        let answers: Vec<String> =
            self.answers.iter().map(|(key, text)| format!("{}:{text}", quote(key))).collect();
        let answers = (!answers.is_empty()).then(|| format!("{{{}}}", answers.join(",")));
        (answers, self.state.clone())
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;
    use crate::wire::Revision;

    fn rounds() -> Rounds {
        let declared = CapSet::ELICIT_FORM.with(CapSet::SAMPLING);
        Rounds::new(Toward::Legacy(Revision::V2025_11_25), declared, 3)
    }

    fn reply(text: &str) -> Reply {
        Reply::read(Bytes::copy_from_slice(text.as_bytes())).unwrap()
    }

    const FORM: &str = r#"{"inputRequests":{"k \"1":{"method":"elicitation/create","params":{"message":"m"}}},"requestState":"s\/"}"#;

    #[test]
    fn answers_and_state_come_back_as_they_were() {
        let mut rounds = rounds();
        let Ok(Next::Ask(asked)) = rounds.begin(FORM, "gh", "m") else { panic!() };
        assert_eq!(asked[0].0, "k \"1");
        assert_eq!(asked[0].2, r#"{"message":"[gh] m"}"#);
        assert!(rounds.answer(
            "k \"1",
            &reply(r#"{"id":"p-1","result":{"action":"accept","content":{"n":1.0}}}"#)
        ));
        assert!(rounds.is_answered());
        let (answers, state) = rounds.carry();
        assert_eq!(answers.unwrap(), r#"{"k \"1":{"action":"accept","content":{"n":1.0}}}"#);
        assert_eq!(state.unwrap(), r#""s\/""#);
    }

    #[test]
    fn a_failed_form_is_cancelled_and_a_failed_model_ends_the_call() {
        let mut rounds = rounds();
        let _ = rounds.begin(FORM, "gh", "m").unwrap();
        assert!(rounds.answer("k \"1", &reply(r#"{"id":"p-1","error":{"code":-1}}"#)));
        assert_eq!(rounds.carry().0.unwrap(), r#"{"k \"1":{"action":"cancel"}}"#);
        let model = r#"{"inputRequests":{"k":{"method":"sampling/createMessage","params":{"messages":[]}}}}"#;
        let _ = rounds.begin(model, "gh", "m").unwrap();
        assert!(!rounds.answer("k", &reply(r#"{"id":"p-2","error":{"code":-1}}"#)));
    }

    #[test]
    fn what_was_not_declared_is_not_asked_and_rounds_end() {
        let mut rounds = rounds();
        let roots = r#"{"inputRequests":{"k":{"method":"roots/list"}}}"#;
        assert_eq!(rounds.begin(roots, "gh", "m"), Err(BridgeError::Undeclared(CapSet::ROOTS)));
        let state = r#"{"requestState":"s"}"#;
        assert_eq!(rounds.begin(state, "gh", "m"), Ok(Next::Wait(PAUSE)));
        assert_eq!(rounds.begin(state, "gh", "m"), Ok(Next::Wait(PAUSE * 2)));
        assert_eq!(rounds.carry(), (None, Some("\"s\"".to_owned())));
        assert_eq!(rounds.begin(state, "gh", "m"), Err(BridgeError::TooOften(3)));
    }

    proptest! {
        #[test]
        fn each_question_has_one_answer_whatever_the_order(
            keys in proptest::collection::btree_set(".{0,4}", 1..6),
            order in any::<prop::sample::Index>(),
        ) {
            let entries: Vec<String> = keys
                .iter()
                .map(|key| format!("{}:{{\"method\":\"elicitation/create\",\"params\":{{\"message\":\"\"}}}}", quote(key)))
                .collect();
            let mut rounds = rounds();
            let result = format!("{{\"inputRequests\":{{{}}}}}", entries.join(","));
            let Ok(Next::Ask(asked)) = rounds.begin(&result, "gh", "m") else { panic!() };
            let first = order.index(asked.len());
            for at in 0..asked.len() {
                prop_assert!(!rounds.is_answered());
                let key = &asked[(first + at) % asked.len()].0;
                let text = format!("{{\"id\":1,\"result\":{{\"k\":{}}}}}", quote(key));
                prop_assert!(rounds.answer(key, &reply(&text)));
                // A second answer changes nothing.
                let second = reply(r#"{"id":1,"result":{}}"#);
                prop_assert!(rounds.answer(key, &second));
            }
            prop_assert!(rounds.is_answered());
            let answers: Value = serde_json::from_str(&rounds.carry().0.unwrap()).unwrap();
            for key in &keys {
                prop_assert_eq!(answers[key.as_str()]["k"].as_str(), Some(key.as_str()));
            }
        }
    }
}
