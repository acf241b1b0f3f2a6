//! Judging a response: what status, type and body together mean.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::StatusCode;
use http::header;
use http_body::Body;
use http_body_util::BodyExt;

use super::connection::{Arriving, Response};
use crate::upstream::link::{Cause, Message, Ran};
use crate::wire::{Inbound, InboundKind};

/// Longest message that is taken from an upstream, in bytes (security.md R8). A `Reply::Json`
/// without a length is the reader's to bound.
pub const MESSAGE_LIMIT: usize = 16 << 20;
/// Most that is read of the body of an error, in bytes.
pub(super) const ERROR_LIMIT: usize = 64 << 10;
/// JSON answers up to this `Content-Length` are read whole and checked; longer ones are handed on
/// while they arrive.
pub(super) const SMALL_BODY: u64 = 64 << 10;

/// Pause after 429 without a readable `Retry-After`.
const PAUSE: Duration = Duration::from_secs(5);
/// Longest pause that an upstream can ask for.
const LONGEST_PAUSE: Duration = Duration::from_secs(3_600);

/// What came back for one POST.
#[derive(Debug)]
pub(super) enum Answer {
    /// A whole message.
    Message(Message),
    /// JSON that is still arriving.
    Json { length: Option<u64>, body: Arriving },
    /// A stream of events.
    Stream(Arriving),
    /// 2xx with nothing in it.
    Accepted,
    /// No answer of MCP.
    Refused(Refusal),
}

/// Why a response is no answer.
#[derive(Debug)]
pub(super) struct Refusal {
    pub(super) status: StatusCode,
    pub(super) cause: Cause,
    pub(super) ran: Ran,
    pub(super) detail: String,
    /// It reads like a legacy server that does not know the session, or wants one.
    pub(super) about_session: bool,
}

impl Refusal {
    fn new(status: StatusCode, cause: Cause, ran: Ran, detail: impl Into<String>) -> Self {
        Self { status, cause, ran, detail: detail.into(), about_session: false }
    }

    /// A good status with something in it that is no answer.
    pub(super) fn garbage(status: StatusCode, cause: Cause, detail: &str) -> Self {
        Self::new(status, cause, Ran::Maybe, detail)
    }

    /// True when a server that does not know this method, path or era may have said so.
    pub(super) fn is_not_understood(&self) -> bool {
        matches!(self.status.as_u16(), 200..=299 | 400 | 402 | 404..=428 | 430..=499 | 500 | 501)
    }
}

/// Judges the response to a request with this id. Bodies of errors are read; of a good answer
/// only a small one is. `whole` asks for the message of any size (handshakes).
pub(super) async fn judge(response: Response, id: u64, whole: bool) -> Answer {
    let status = response.status();
    if !status.is_success() {
        return Box::pin(refused(response, id)).await;
    }
    let media = response.text(&header::CONTENT_TYPE).and_then(media_type);
    let body = response.body;
    match media {
        Some(Media::Events) => Answer::Stream(body),
        Some(Media::Json) => {
            let length = body.size_hint().exact();
            let garbage =
                |cause, detail| Answer::Refused(Refusal::new(status, cause, Ran::Maybe, detail));
            if length.is_some_and(|length| length > MESSAGE_LIMIT as u64) {
                let detail = format!("a body is longer than {MESSAGE_LIMIT} bytes");
                return garbage(Cause::TooLarge, detail);
            }
            if !whole && length.is_none_or(|length| length > SMALL_BODY) {
                return Answer::Json { length, body };
            }
            let bytes = match collect(body, MESSAGE_LIMIT).await {
                Ok(bytes) => bytes,
                Err((cause, detail)) => return garbage(cause, detail),
            };
            match read_message(bytes).and_then(|message| own(message, id)) {
                Ok(message) => Answer::Message(message),
                Err(detail) => garbage(Cause::Garbage, detail),
            }
        }
        None if body.is_end_stream() || status == StatusCode::ACCEPTED => Answer::Accepted,
        None => Answer::Refused(Refusal::new(
            status,
            Cause::Garbage,
            Ran::Maybe,
            format!("HTTP {status} without JSON and without an event stream"),
        )),
    }
}

async fn refused(response: Response, id: u64) -> Answer {
    let status = response.status();
    let code = status.as_u16();
    let simple =
        |cause, ran, detail: String| Answer::Refused(Refusal::new(status, cause, ran, detail));
    match code {
        300..=399 => {
            let ran = if code == 303 { Ran::Maybe } else { Ran::No };
            let to = response
                .text(&header::LOCATION)
                .and_then(|to| to.parse::<http::Uri>().ok())
                .and_then(|to| to.host().map(|host| format!(" to host `{host}`")))
                .unwrap_or_default();
            return simple(
                Cause::Down,
                ran,
                format!(
                    "HTTP {code} redirects{to}; redirects are not followed, set `url` to the final address"
                ),
            );
        }
        401 | 403 => {
            return simple(Cause::Login, Ran::No, format!("HTTP {code}"));
        }
        429 | 503 => {
            let pause = response.text(&header::RETRY_AFTER).map(retry_after);
            if let Some(pause) = pause.or((code == 429).then_some(PAUSE)) {
                return simple(Cause::Resting(pause), Ran::No, format!("HTTP {code}"));
            }
        }
        _ => {}
    }
    let text = collect(response.body, ERROR_LIMIT).await.unwrap_or_default();
    let message = read_message(text.clone()).ok().filter(|m| m.inbound.kind == InboundKind::Error);
    let hint = String::from_utf8_lossy(&text[..text.len().min(2_000)]).to_lowercase();
    let about_session = hint.contains("session") || hint.contains("not initialized");
    let has_id = message.as_ref().is_some_and(|message| message.inbound.number == Some(id));
    // A server that has lost a session answers before it reads the id (field.md 1).
    if let Some(message) = message
        && (has_id || !(about_session && matches!(code, 400 | 404)))
        && let Ok(message) = own(message, id)
    {
        return Answer::Message(message);
    }
    let (cause, ran) = match code {
        404 | 410 => (Cause::Down, Ran::No),
        408 | 502 | 504 => (Cause::Down, Ran::Maybe),
        413 | 414 | 431 => (Cause::TooLarge, Ran::No),
        503 => (Cause::Down, Ran::No),
        400..=499 => (Cause::Garbage, Ran::No),
        _ => (Cause::Garbage, Ran::Maybe),
    };
    let start: String = String::from_utf8_lossy(&text).chars().take(4_000).collect();
    let mut refusal =
        Refusal::new(status, cause, ran, format!("HTTP {code}: {}", start.escape_debug()));
    refusal.about_session = about_session || code == 404;
    Answer::Refused(refusal)
}

fn retry_after(value: &str) -> Duration {
    // The other form is a date; the clocks of two machines are not compared.
    value.trim().parse().map_or(PAUSE, Duration::from_secs).min(LONGEST_PAUSE)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Media {
    Json,
    Events,
}

fn media_type(value: &str) -> Option<Media> {
    let kind = value.split(';').next()?.trim();
    if kind.eq_ignore_ascii_case("application/json") {
        Some(Media::Json)
    } else if kind.eq_ignore_ascii_case("text/event-stream") {
        Some(Media::Events)
    } else {
        None
    }
}

/// Reads a body of at most `limit` bytes; one that comes in one piece is not copied.
pub(super) async fn collect(mut body: Arriving, limit: usize) -> Result<Bytes, (Cause, String)> {
    let mut first = Bytes::new();
    let mut all = BytesMut::new();
    let mut length = 0;
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| (Cause::Gone, error.to_string()))?;
        let Ok(data) = frame.into_data() else { continue };
        length += data.len();
        if length > limit {
            return Err((Cause::TooLarge, format!("a body is longer than {limit} bytes")));
        }
        if first.is_empty() {
            first = data;
        } else {
            if all.is_empty() {
                let left = usize::try_from(body.size_hint().lower()).unwrap_or(limit);
                all.reserve((length + left).min(limit));
                all.extend_from_slice(&first);
            }
            all.extend_from_slice(&data);
        }
    }
    Ok(if all.is_empty() { first } else { all.freeze() })
}

/// Reads one message; the error says what is wrong with it, not what stands in it.
pub(super) fn read_message(bytes: Bytes) -> Result<Message, String> {
    let text = std::str::from_utf8(&bytes).map_err(|_| "a message is not UTF-8".to_owned())?;
    let inbound = Inbound::read(text).map_err(|error| format!("no JSON-RPC message: {error}"))?;
    Ok(Message { bytes, inbound })
}

/// The message when it answers the request with this id. An error without a number (`null`, or a
/// word that some servers put there when they have not read the id) answers the only request that
/// the response can belong to, and gets its id.
pub(super) fn own(message: Message, id: u64) -> Result<Message, String> {
    match message.inbound.kind {
        InboundKind::Result | InboundKind::Error if message.inbound.number == Some(id) => {
            Ok(message)
        }
        InboundKind::Error if message.inbound.number.is_none() => {
            let error = message.inbound.payload.clone().map_or("null", |at| &message.text()[at]);
            read_message(Bytes::from(format!(
                "{{\"jsonrpc\":\"2.0\",\"id\":{id},\"error\":{error}}}"
            )))
        }
        InboundKind::Result | InboundKind::Error => {
            Err("an answer has the id of another request".to_owned())
        }
        InboundKind::Notification | InboundKind::Request => {
            Err("JSON that is no answer".to_owned())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(text: &'static str) -> Message {
        read_message(Bytes::from_static(text.as_bytes())).unwrap()
    }

    #[test]
    fn an_answer_has_our_id_or_is_an_error_without_one() {
        assert!(own(message(r#"{"id":7,"result":{}}"#), 7).is_ok());
        assert!(own(message(r#"{"id":8,"result":{}}"#), 7).is_err());
        assert!(own(message(r#"{"id":null,"result":{}}"#), 7).is_err());
        assert!(own(message(r#"{"method":"x","id":7}"#), 7).is_err());
        let error = own(message(r#"{"id":null,"error":{"code":-32020}}"#), 7).unwrap();
        assert_eq!(error.inbound.number, Some(7));
        assert!(own(message(r#"{"id":"server-error","error":{"code":1}}"#), 7).is_ok());
        assert!(own(message(r#"{"id":8,"error":{"code":1}}"#), 7).is_err());
        assert_eq!(error.text(), r#"{"jsonrpc":"2.0","id":7,"error":{"code":-32020}}"#);
    }

    #[test]
    fn media_types_are_read_without_case_and_parameters() {
        assert_eq!(media_type("Application/JSON; charset=utf-8"), Some(Media::Json));
        assert_eq!(media_type("text/event-stream"), Some(Media::Events));
        assert_eq!(media_type("text/html"), None);
    }

    #[test]
    fn a_pause_is_bounded() {
        assert_eq!(retry_after(" 7"), Duration::from_secs(7));
        assert_eq!(retry_after("99999999"), LONGEST_PAUSE);
        assert_eq!(retry_after("Fri, 31 Dec 1999 23:59:59 GMT"), PAUSE);
    }
}
