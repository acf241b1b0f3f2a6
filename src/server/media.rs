//! What a body must be, and in which of the two forms an answer goes out.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, header};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::base::{Fault, Kind};
use crate::pipeline::{Answer, Body, Feed, Outcome, Tally};
use crate::wire::sse;

/// What almost every client sends.
const USUAL: &str = "application/json, text/event-stream";
const STREAM: &str = "text/event-stream";

/// Whether a value of `Accept` takes any of the two types of our answers.
fn takes_ours(accept: &HeaderValue) -> bool {
    if accept == USUAL {
        return true;
    }
    let Ok(accept) = accept.to_str() else { return false };
    accept.split(',').map(essence).any(|range| {
        ["application/json", STREAM, "*/*", "application/*", "text/*"]
            .iter()
            .any(|ours| range.eq_ignore_ascii_case(ours))
    })
}

fn essence(range: &str) -> &str {
    range.split(';').next().unwrap_or_default().trim()
}

/// JSON and nothing else, not compressed. True when the client names a stream before all else.
pub(super) fn check(headers: &HeaderMap) -> Result<bool, Fault> {
    let wrong = |what| Err(Fault::client(Kind::MediaType, what));
    let mut types = headers.get_all(header::CONTENT_TYPE).iter();
    let content_type = types.next();
    let plain = content_type.is_some_and(|content_type| content_type == "application/json");
    let content_type = content_type.and_then(|value| value.to_str().ok()).unwrap_or_default();
    if !(plain || essence(content_type).eq_ignore_ascii_case("application/json"))
        || types.next().is_some()
    {
        return wrong("`Content-Type` must be application/json");
    }
    let mut accepts = headers.get_all(header::ACCEPT).iter();
    let first = accepts.next();
    if !first.into_iter().chain(accepts).all(takes_ours) {
        return Err(Fault::client(
            Kind::NotAcceptable,
            "`Accept` must name application/json and text/event-stream",
        ));
    }
    if headers.contains_key(header::CONTENT_ENCODING) {
        return wrong("Compressed bodies are not taken");
    }
    Ok(first.is_some_and(|accept| accept != USUAL && prefers_stream(accept)))
}

fn prefers_stream(accept: &HeaderValue) -> bool {
    let first = accept.to_str().ok().and_then(|accept| accept.split(',').next());
    first.is_some_and(|first| essence(first).eq_ignore_ascii_case(STREAM))
}

/// The same answer as a stream of one event, for a client that prefers streams. One that still
/// arrives from its upstream goes through as it comes.
pub(super) fn streamed(mut outcome: Outcome) -> Outcome {
    let message = match &outcome.answer {
        Ok(Answer { status: 200, body: Body::Json(bytes), .. }) => bytes.clone(),
        Ok(Answer { status: 200, body: Body::Pieces(pieces), .. }) => Bytes::from(pieces.concat()),
        _ => return outcome,
    };
    let mut event = Vec::new();
    sse::encode(&mut event, None, &message);
    let (sender, events) = mpsc::channel(1);
    // There is room for one.
    let _ = sender.try_send(Ok(Bytes::from(event)));
    let ends = [CancellationToken::new(), CancellationToken::new()];
    if let Ok(answer) = &mut outcome.answer {
        answer.body =
            Body::Events(Feed { events, ends, keep_alive: None, tally: Tally::default() });
    }
    outcome
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(accept: &str) -> Result<bool, Fault> {
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(header::ACCEPT, HeaderValue::from_str(accept).unwrap());
        check(&headers)
    }

    #[test]
    fn who_names_a_stream_first_gets_one() {
        for stream in ["text/event-stream, application/json", "Text/Event-Stream;q=1, */*"] {
            assert!(asked(stream).unwrap(), "{stream}");
        }
        for whole in [USUAL, "application/json,text/event-stream", "*/*", "application/*"] {
            assert!(!asked(whole).unwrap(), "{whole}");
        }
        assert!(asked("text/html").is_err());
    }
}
