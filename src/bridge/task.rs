//! A task as an upstream of either era describes it (SEP-2663; tasks of 2025-11-25), and as it is
//! described to a client of 2026-07-28 (protocol.md 3.4).

use std::time::Duration;

use super::error::BridgeError;
use super::question::string_at;
use crate::wire::json::{Reader, Span, UPSTREAM_DEPTH, quote};

/// Pause between two looks at a task whose upstream names none.
const PAUSE: Duration = Duration::from_secs(1);
/// Shortest and longest such pause, whatever the upstream says.
const SHORTEST: Duration = Duration::from_millis(50);
const LONGEST: Duration = Duration::from_secs(30);

/// Where a task stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// It runs.
    Working,
    /// It waits for answers.
    InputRequired,
    /// It has a result.
    Completed,
    /// It has an error.
    Failed,
    /// It was ended.
    Cancelled,
}

impl Status {
    /// Each with its word in both eras.
    pub const ALL: [(Self, &'static str); 5] = [
        (Self::Working, "working"),
        (Self::InputRequired, "input_required"),
        (Self::Completed, "completed"),
        (Self::Failed, "failed"),
        (Self::Cancelled, "cancelled"),
    ];

    /// Its word.
    #[must_use]
    pub fn word(self) -> &'static str {
        Self::ALL.iter().find(|(status, _)| *status == self).map_or("failed", |(_, word)| word)
    }

    /// True when nothing will happen to the task any more.
    #[must_use]
    pub const fn is_over(self) -> bool {
        matches!(self, Self::Completed | Self::Failed | Self::Cancelled)
    }
}

/// A task as its upstream described it: the text of a result, of its member `task`, or of the
/// `params` of a notification.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Task {
    /// The upstream's own id.
    pub id: String,
    /// Where it stands.
    pub status: Status,
    /// What the upstream says about it, to be shown.
    pub message: Option<String>,
    /// When it was made, as it stands in the text.
    pub created: Option<String>,
    /// When it changed last, as it stands in the text.
    pub updated: Option<String>,
    /// How long the upstream keeps it from its making on; `None` means for ever, or that it did
    /// not say.
    pub ttl: Option<Duration>,
    /// Wait this long between two looks.
    pub poll: Option<Duration>,
    /// Place of `taskId`.
    pub id_place: Span,
    /// Place of `result`.
    pub result: Option<Span>,
    /// Place of `error`.
    pub error: Option<Span>,
    /// Place of `inputRequests`.
    pub requests: Option<Span>,
}

impl Task {
    /// Reads a description. Members of both eras are known: `ttl` and `ttlMs`, `pollInterval` and
    /// `pollIntervalMs`.
    ///
    /// # Errors
    /// When it has no id or no known status.
    pub fn read(text: &str) -> Result<Self, BridgeError> {
        let (mut id, mut status) = (None, None);
        let (mut message, mut created, mut updated) = (None, None, None);
        let (mut ttl, mut poll) = (None, None);
        let (mut result, mut error, mut requests) = (None, None, None);
        Reader::new(text, UPSTREAM_DEPTH).object::<BridgeError>(|reader, key| {
            let place = reader.value()?;
            let slot = if key.is("taskId") {
                &mut id
            } else if key.is("status") {
                &mut status
            } else if key.is("statusMessage") {
                &mut message
            } else if key.is("createdAt") {
                &mut created
            } else if key.is("lastUpdatedAt") {
                &mut updated
            } else if key.is("ttl") || key.is("ttlMs") {
                &mut ttl
            } else if key.is("pollInterval") || key.is("pollIntervalMs") {
                &mut poll
            } else if key.is("result") {
                &mut result
            } else if key.is("error") {
                &mut error
            } else if key.is("inputRequests") {
                &mut requests
            } else {
                return Ok(());
            };
            *slot = Some(place);
            Ok(())
        })?;
        let id_place = id.ok_or(BridgeError::Shape("a task without an id"))?;
        let string = |place: Option<Span>| string_at(text, place?);
        let word = string(status);
        let status = Status::ALL.iter().find(|(_, known)| word.as_deref() == Some(*known));
        let (status, _) = *status.ok_or(BridgeError::Shape("a task without a known status"))?;
        let time = |place: Option<Span>| {
            let millis: f64 = text[place?].parse().ok()?;
            (millis.is_finite() && millis >= 0.0)
                .then(|| Duration::try_from_secs_f64(millis / 1_000.0).ok())
                .flatten()
        };
        let object =
            |place: Option<Span>| place.filter(|place| text[place.clone()].starts_with('{'));
        Ok(Self {
            id: string_at(text, id_place.clone())
                .filter(|id| !id.is_empty())
                .ok_or(BridgeError::Shape("a task whose id is no text"))?,
            status,
            message: string(message),
            created: string(created),
            updated: string(updated),
            ttl: time(ttl),
            poll: time(poll),
            id_place,
            result: object(result),
            error: object(error),
            requests: object(requests),
        })
    }

    /// How long to wait before the next look.
    #[must_use]
    pub fn pause(&self) -> Duration {
        self.poll.unwrap_or(PAUSE).clamp(SHORTEST, LONGEST)
    }
}

/// What a client of 2026-07-28 is told of a task that lives with a legacy upstream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Described {
    /// Where it stands.
    pub status: Status,
    /// What the upstream says about it.
    pub message: Option<String>,
    /// When it was made, RFC 3339.
    pub created: String,
    /// When it changed last, RFC 3339.
    pub updated: String,
    /// How long it can be asked for from its making on.
    pub ttl: Duration,
    /// Wait this long between two looks.
    pub poll: Option<Duration>,
    /// How it ended or what it asks, as a member of the description: `"result":{…}`, `"error":{…}`
    /// or `"inputRequests":{…}`.
    pub more: Option<String>,
}

impl Described {
    /// The members of the description, without braces. `brief`: without its end and questions, as
    /// in the answer to the call that made it.
    #[must_use]
    pub fn members(&self, handle: &str, brief: bool) -> String {
        let mut text = format!(
            "\"taskId\":{},\"status\":\"{}\",\"createdAt\":{},\"lastUpdatedAt\":{},\"ttlMs\":{}",
            quote(handle),
            self.status.word(),
            quote(&self.created),
            quote(&self.updated),
            self.ttl.as_millis(),
        );
        if let Some(poll) = self.poll {
            text.push_str(&format!(",\"pollIntervalMs\":{}", poll.as_millis().max(1)));
        }
        if let Some(message) = &self.message {
            text.push_str(&format!(",\"statusMessage\":{}", quote(message)));
        }
        if let Some(more) = self.more.as_ref().filter(|_| !brief) {
            text.push(',');
            text.push_str(more);
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn tasks_of_both_eras_are_read_alike() {
        let legacy = r#"{"taskId":"a","status":"working","ttl":60000,"pollInterval":250,"createdAt":"c","statusMessage":"m"}"#;
        let modern = r#"{"resultType":"complete","taskId":"a","status":"working","ttlMs":60000,"pollIntervalMs":250,"createdAt":"c","statusMessage":"m"}"#;
        let (one, other) = (Task::read(legacy).unwrap(), Task::read(modern).unwrap());
        assert_eq!(Task { id_place: 0..0, ..one.clone() }, Task { id_place: 0..0, ..other });
        assert_eq!(one.pause(), Duration::from_millis(250));
        assert_eq!(one.ttl, Some(Duration::from_secs(60)));
    }

    #[test]
    fn pauses_are_bounded_whatever_an_upstream_says() {
        for (poll, expected) in [
            ("0", SHORTEST),
            ("1e300", LONGEST),
            ("-5", PAUSE),
            ("null", PAUSE),
            ("\"x\"", PAUSE),
            ("86400000", LONGEST),
        ] {
            let text = format!(
                "{{\"taskId\":\"a\",\"status\":\"working\",\"pollInterval\":{poll},\"ttl\":null}}"
            );
            let task = Task::read(&text).unwrap();
            let pause = task.pause();
            assert!(pause == expected || poll == "1e300" && pause == PAUSE, "{poll}: {pause:?}");
            assert_eq!(task.ttl, None);
        }
    }

    #[test]
    fn what_is_no_task_is_refused() {
        for wrong in [
            "{}",
            "[]",
            r#"{"taskId":"a"}"#,
            r#"{"taskId":7,"status":"working"}"#,
            r#"{"taskId":"","status":"working"}"#,
            r#"{"taskId":"a","status":"sleeping"}"#,
        ] {
            assert!(Task::read(wrong).is_err(), "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn what_is_described_is_read_back(
            at in 0..Status::ALL.len(),
            message in proptest::option::of(".{0,20}"),
            ttl in 0..10_000_000_u64,
            poll in proptest::option::of(1..20_000_u64),
        ) {
            let described = Described {
                status: Status::ALL[at].0,
                message: message.clone(),
                created: "2026-01-01T00:00:00Z".to_owned(),
                updated: "2026-01-01T00:00:01Z".to_owned(),
                ttl: Duration::from_millis(ttl),
                poll: poll.map(Duration::from_millis),
                more: Some("\"result\":{\"content\":[]}".to_owned()),
            };
            let text = format!("{{{}}}", described.members("h", false));
            let task = Task::read(&text).unwrap();
            prop_assert_eq!((task.id.as_str(), task.status, task.message), ("h", described.status, message));
            prop_assert_eq!(task.ttl, Some(Duration::from_millis(ttl)));
            prop_assert_eq!(&text[task.result.unwrap()], "{\"content\":[]}");
            let brief: Value = serde_json::from_str(&format!("{{{}}}", described.members("h", true))).unwrap();
            prop_assert_eq!(&brief["result"], &json!(null));
        }
    }
}
