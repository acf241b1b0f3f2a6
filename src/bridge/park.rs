//! A call of a modern client that waits at a legacy upstream: the upstream's questions go out with
//! the result of one request and their answers come with another (protocol.md 3.2, ML).

use bytes::Bytes;
use tokio::time::Instant;

use super::input::Responses;
use super::question::Question;
use super::response::answer_to;
use crate::wire::CapSet;
use crate::wire::json::quote;

/// Questions that may wait for an answer at a time; the link allows no more either.
const MOST: usize = 16;

/// One question of the upstream that has no answer yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiting {
    /// Its key toward the client; never used for another question of this call.
    pub key: String,
    /// Its id as the upstream wrote it.
    pub id: String,
    /// Its method.
    pub method: &'static str,
    /// What a client must have declared to be asked it.
    pub needs: CapSet,
    /// Its `params`, worded for the client; `None` when there are none.
    pub params: Option<String>,
}

/// The questions and rounds of one such call.
#[derive(Debug, Default)]
pub struct Park {
    round: u32,
    keys: u32,
    open: Vec<Waiting>,
    until: Option<Instant>,
}

impl Park {
    /// Takes a question; false when there are too many, so that it has to be refused.
    pub fn ask(&mut self, id: &str, question: &Question, params: Option<String>) -> bool {
        if self.open.len() >= MOST || self.open.iter().any(|waiting| waiting.id == id) {
            return false;
        }
        self.keys += 1;
        let (key, id) = (format!("u{}", self.keys), id.to_owned());
        let (method, needs) = (question.method(), question.needs);
        self.open.push(Waiting { key, id, method, needs, params });
        true
    }

    /// The upstream takes a question back; true when it was open.
    pub fn withdraw(&mut self, id: &str) -> bool {
        let before = self.open.len();
        self.open.retain(|waiting| waiting.id != id);
        self.open.len() < before
    }

    /// True when something waits for the client.
    #[must_use]
    pub fn asks(&self) -> bool {
        !self.open.is_empty()
    }

    /// Ends a round: the client is told what is asked, and has until `until` to come back. Gives
    /// the number of the round, and `inputRequests` as JSON text.
    pub fn pause(&mut self, until: Instant) -> (u32, String) {
        self.round += 1;
        self.until = Some(until);
        (self.round, self.requests())
    }

    /// What is asked, as the text of an `inputRequests` object.
    #[must_use]
    pub fn requests(&self) -> String {
        let entries: Vec<String> = self
            .open
            .iter()
            .map(|waiting| {
                let params = waiting
                    .params
                    .as_ref()
                    .map_or_else(String::new, |params| format!(",\"params\":{params}"));
                format!("{}:{{\"method\":{}{params}}}", quote(&waiting.key), quote(waiting.method))
            })
            .collect();
        format!("{{{}}}", entries.join(","))
    }

    /// When the client must have come back; `None` while a round is being served.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        self.until
    }

    /// The client comes back with the state of a round. True for the first one of the round that
    /// is open, and in time; everything else is a replay.
    pub fn resume(&mut self, round: u32, now: Instant) -> bool {
        if round != self.round || self.until.is_none_or(|until| until <= now) {
            return false;
        }
        self.until = None;
        true
    }

    /// Takes the answers that came with a retry, and gives what is to be sent to the upstream: `text` is `inputResponses` as it stands. Answers
    /// to nothing that is open are ignored (R36).
    pub fn deliver(&mut self, text: &str, responses: &Responses) -> Vec<Bytes> {
        let mut answers = Vec::new();
        self.open.retain(|waiting| match responses.get(text, &waiting.key) {
            Some(result) => {
                answers.push(answer_to(&waiting.id, result));
                false
            }
            None => true,
        });
        answers
    }

    /// The client has come back and declares only this: what it cannot be asked any more, to be
    /// refused (R32).
    #[must_use]
    pub fn narrow(&mut self, declares: CapSet) -> Vec<Waiting> {
        self.open.extract_if(.., |waiting| !declares.has(waiting.needs)).collect()
    }

    /// Gives up: every question that is open, to be refused.
    #[must_use]
    pub fn give_up(&mut self) -> Vec<Waiting> {
        self.until = None;
        std::mem::take(&mut self.open)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::time::Duration;

    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    fn deliver(park: &mut Park, answers: &Value) -> Vec<Bytes> {
        let text = answers.to_string();
        park.deliver(&text, &Responses::read(&text).unwrap())
    }

    fn form() -> Question {
        Question::read("elicitation/create", r#"{"message":"m"}"#).unwrap()
    }

    fn roots() -> Question {
        Question::read("roots/list", "{}").unwrap()
    }

    #[test]
    fn who_comes_back_with_less_is_asked_less() {
        let mut park = Park::default();
        assert!(park.ask("1", &form(), None) && park.ask("2", &roots(), None));
        let gone = park.narrow(CapSet::ROOTS.with(CapSet::SAMPLING));
        assert_eq!(gone.iter().map(|waiting| &*waiting.id).collect::<Vec<_>>(), ["1"]);
        assert!(park.narrow(CapSet::QUESTIONS).is_empty() && park.asks());
    }

    #[test]
    fn questions_go_out_and_answers_go_back_by_their_ids() {
        let start = crate::base::now();
        let mut park = Park::default();
        assert!(park.ask("3", &form(), Some(r#"{"message":"m"}"#.to_owned())));
        assert!(park.ask("\"x\"", &roots(), None));
        assert!(!park.ask("3", &roots(), None));
        let (round, asked) = park.pause(start + Duration::from_secs(1));
        let asked: Value = serde_json::from_str(&asked).unwrap();
        assert_eq!(
            asked,
            json!({"u1":{"method":"elicitation/create","params":{"message":"m"}},"u2":{"method":"roots/list"}})
        );
        assert!(park.resume(round, start));
        // The second one to come finds nothing open.
        assert!(!park.resume(round, start));
        let back = deliver(&mut park, &json!({"u2":{"roots":[]},"u9":{}}));
        assert_eq!(back, [r#"{"jsonrpc":"2.0","id":"x","result":{"roots":[]}}"#]);
        assert!(park.asks());
        let (second, asked) = park.pause(start + Duration::from_secs(1));
        assert!(asked.starts_with(r#"{"u1":"#), "{asked}");
        assert!(!park.resume(round, start));
        assert!(park.resume(second, start));
        assert_eq!(deliver(&mut park, &json!({"u1":{"action":"decline"}})).len(), 1);
        assert!(!park.asks());
    }

    #[test]
    fn nobody_comes_back_too_late() {
        let start = crate::base::now();
        let mut park = Park::default();
        assert!(park.ask("1", &roots(), None));
        let (round, _) = park.pause(start + Duration::from_secs(1));
        assert!(!park.resume(round, start + Duration::from_secs(1)));
        assert_eq!(park.give_up().len(), 1);
        assert!(!park.resume(round, start));
    }

    #[derive(Debug, Clone)]
    enum Step {
        Ask(u8),
        Withdraw(u8),
        Round(BTreeSet<u8>),
        Replay(u32),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            (0..30_u8).prop_map(Step::Ask),
            (0..30_u8).prop_map(Step::Withdraw),
            proptest::collection::btree_set(0..40_u8, 0..6).prop_map(Step::Round),
            (0..6_u32).prop_map(Step::Replay),
        ];
        proptest::collection::vec(step, 0..60)
    }

    proptest! {
        #[test]
        fn no_answer_goes_to_another_question_and_none_goes_twice(steps in steps()) {
            let start = crate::base::now();
            let until = start + Duration::from_secs(1);
            let mut park = Park::default();
            // What the upstream waits for, by key; and every key that was ever given.
            let mut open: Vec<(String, u8)> = Vec::new();
            let mut used = BTreeSet::new();
            let mut rounds = 0;
            for step in steps {
                match step {
                    Step::Ask(id) => {
                        let fits = open.len() < MOST && open.iter().all(|(_, other)| *other != id);
                        prop_assert_eq!(park.ask(&id.to_string(), &roots(), None), fits);
                        if fits {
                            let key = format!("u{}", used.len() + 1);
                            prop_assert!(used.insert(key.clone()));
                            open.push((key, id));
                        }
                    }
                    Step::Withdraw(id) => {
                        let known = open.iter().any(|(_, other)| *other == id);
                        prop_assert_eq!(park.withdraw(&id.to_string()), known);
                        open.retain(|(_, other)| *other != id);
                    }
                    Step::Round(answered) => {
                        let (round, asked) = park.pause(until);
                        rounds = round;
                        let asked: Value = serde_json::from_str(&asked).unwrap();
                        let shown: BTreeSet<&String> = asked.as_object().unwrap().keys().collect();
                        prop_assert_eq!(shown, open.iter().map(|(key, _)| key).collect());
                        prop_assert!(park.resume(round, start));
                        let answers: serde_json::Map<String, Value> = answered
                            .iter()
                            .map(|number| (format!("u{number}"), json!({"for": format!("u{number}")})))
                            .collect();
                        let back = deliver(&mut park, &Value::Object(answers.clone()));
                        let (done, left): (Vec<_>, Vec<_>) =
                            open.drain(..).partition(|(key, _)| answers.contains_key(key));
                        open = left;
                        prop_assert_eq!(park.asks(), !open.is_empty());
                        let sent: Vec<Value> = back.iter()
                            .map(|bytes| serde_json::from_slice(bytes).unwrap())
                            .collect();
                        prop_assert_eq!(sent.len(), done.len());
                        for ((key, id), sent) in done.iter().zip(&sent) {
                            prop_assert_eq!(&sent["id"], &json!(*id));
                            prop_assert_eq!(&sent["result"]["for"], key);
                        }
                    }
                    Step::Replay(round) => {
                        prop_assert!(round > rounds || !park.resume(round, start));
                    }
                }
            }
            prop_assert_eq!(park.give_up().len(), open.len());
        }
    }
}
