//! What was looked at, and what came of it.

use serde_json::{Value, json};

/// How a thing stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Grade {
    Good,
    /// Works, and may not be what is wanted.
    Note,
    Bad,
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Finding {
    pub(super) grade: Grade,
    /// A word for programs, such as `certificate-expired`.
    pub(super) code: &'static str,
    /// Where it is.
    pub(super) place: String,
    pub(super) what: String,
    pub(super) why: String,
    pub(super) next: String,
    /// Nobody answered there.
    pub(super) unreachable: bool,
}

/// All of them, in the order in which they were looked at.
#[derive(Debug, Default)]
pub(super) struct Findings(pub(super) Vec<Finding>);

impl Findings {
    pub(super) fn good(&mut self, code: &'static str, place: &str, what: impl Into<String>) {
        self.put(Grade::Good, code, place, &what.into(), ("", ""));
    }

    pub(super) fn note(
        &mut self,
        code: &'static str,
        place: &str,
        what: impl Into<String>,
        reason: (&str, &str),
    ) {
        self.put(Grade::Note, code, place, &what.into(), reason);
    }

    /// With why it is, and what to do.
    pub(super) fn bad(
        &mut self,
        code: &'static str,
        place: &str,
        what: impl Into<String>,
        reason: (&str, &str),
    ) {
        self.put(Grade::Bad, code, place, &what.into(), reason);
    }

    /// The same where nobody answered.
    pub(super) fn silent(
        &mut self,
        code: &'static str,
        place: &str,
        what: impl Into<String>,
        reason: (&str, &str),
    ) {
        self.bad(code, place, what, reason);
        if let Some(last) = self.0.last_mut() {
            last.unreachable = true;
        }
    }

    fn put(
        &mut self,
        grade: Grade,
        code: &'static str,
        place: &str,
        what: &str,
        (why, next): (&str, &str),
    ) {
        // What others have sent must not move the cursor.
        let clean = |text: &str| text.replace(|char: char| char.is_control() && char != '\n', "?");
        self.0.push(Finding {
            grade,
            code,
            place: clean(place),
            what: clean(what),
            why: clean(why),
            next: clean(next),
            unreachable: false,
        });
    }

    pub(super) fn bad_ones(&self) -> impl Iterator<Item = &Finding> {
        self.0.iter().filter(|finding| finding.grade == Grade::Bad)
    }
}

impl Finding {
    pub(super) fn json(&self) -> Value {
        let grade = match self.grade {
            Grade::Good => "ok",
            Grade::Note => "note",
            Grade::Bad => "problem",
        };
        json!({
            "grade": grade, "code": self.code, "where": self.place, "what": self.what,
            "why": self.why, "next": self.next,
        })
    }

    pub(super) fn lines(&self) -> String {
        let mark = match self.grade {
            Grade::Good => "ok  ",
            Grade::Note => "note",
            Grade::Bad => "BAD ",
        };
        let mut text = format!("{mark}  {}: {}", self.place, self.what);
        for (label, words) in [("why", &self.why), ("next", &self.next)] {
            if !words.is_empty() {
                text += &format!("\n        {label}: {words}");
            }
        }
        text
    }
}
