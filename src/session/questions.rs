//! Questions that a session's client has not answered yet. Their ids are the session's own, so
//! that an answer can reach nobody else (R57).

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::mpsc;

use super::Session;

/// The open questions of one session.
#[derive(Debug, Default)]
pub(super) struct Questions {
    last: u64,
    open: Vec<(u64, mpsc::Sender<(u64, Bytes)>)>,
}

impl Questions {
    /// A new question, whose answer goes to `answers`; gives its number.
    pub(super) fn open(&mut self, answers: mpsc::Sender<(u64, Bytes)>) -> u64 {
        if self.last == 0 {
            // A client that still answers what was asked before a restart must not meet a new
            // question of the same number. Without random bytes it only may.
            let mut start = [0; 4];
            let _ = getrandom::fill(&mut start);
            self.last = u64::from(u32::from_le_bytes(start));
        }
        self.last += 1;
        self.open.push((self.last, answers));
        self.last
    }

    /// The id of the request that asks a question.
    pub(super) fn id(number: u64) -> String {
        format!("p-{number}")
    }

    /// Hands an answer over; false when no question of this id is open.
    pub(super) fn answer(&mut self, id: &str, body: Bytes) -> bool {
        let Some(at) = self.open.iter().position(|(number, _)| Self::id(*number) == id) else {
            return false;
        };
        let (number, answers) = self.open.swap_remove(at);
        // Whoever asks has room for an answer to each of its questions.
        answers.try_send((number, body)).is_ok()
    }

    /// Nobody waits for the answer any more.
    pub(super) fn forget(&mut self, number: u64) {
        self.open.retain(|(open, _)| *open != number);
    }
}

impl Session {
    /// Registers a question to the client; its answer comes to `answers`. Dropping the guard
    /// forgets the question.
    #[must_use]
    pub fn ask(self: &Arc<Self>, answers: mpsc::Sender<(u64, Bytes)>) -> Question {
        let number = self.questions(|questions| questions.open(answers));
        Question { session: self.clone(), number }
    }

    /// Takes an answer of the client, whose id means `id`; false when no such question is open.
    /// Only the first answer counts.
    pub fn answer(&self, id: &str, body: Bytes) -> bool {
        self.questions(|questions| questions.answer(id, body))
    }
}

/// A question that waits for the client's answer.
#[derive(Debug)]
pub struct Question {
    session: Arc<Session>,
    number: u64,
}

impl Question {
    /// The number that comes with its answer.
    #[must_use]
    pub fn number(&self) -> u64 {
        self.number
    }

    /// The id of its request.
    #[must_use]
    pub fn id(&self) -> String {
        Questions::id(self.number)
    }
}

impl Drop for Question {
    fn drop(&mut self) {
        self.session.questions(|questions| questions.forget(self.number));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_answer_reaches_its_question_once() {
        let mut questions = Questions::default();
        let (sender, mut answers) = mpsc::channel(4);
        let (one, other) = (questions.open(sender.clone()), questions.open(sender));
        let body = Bytes::from_static(b"{}");
        assert!(!questions.answer("p-0", body.clone()));
        assert!(!questions.answer(&one.to_string(), body.clone()));
        assert!(questions.answer(&Questions::id(other), body.clone()));
        assert!(!questions.answer(&Questions::id(other), body.clone()));
        assert_eq!(answers.try_recv().unwrap().0, other);
        questions.forget(one);
        assert!(!questions.answer(&Questions::id(one), body));
    }
}
