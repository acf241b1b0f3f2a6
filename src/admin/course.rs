//! A request of MCP over plain HTTP: with its result for an answer, or with what is said in its
//! course as server-sent events.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, header};

use super::answer::{Content, Reply};
use super::call::Call;
use super::exchange::{Asked, Exchange, Said};
use super::params::Params;
use super::problem::Problem;
use super::reply::document;
use super::serve::Api;
use super::stream::{Source, events};
use crate::base::{Fault, Kind, parse_duration};
use crate::pipeline::Posting;
use crate::session::Level;
use crate::wire::{Method, sse};

/// What goes wrong within this time is a status of HTTP; after it a stream has begun, and it is
/// an event.
const FIRST: Duration = Duration::from_secs(1);
const STREAM: &str = "text/event-stream";

/// What somebody wants of the line.
pub(super) struct Wanted {
    pub(super) method: &'static Method,
    pub(super) params: Params,
    /// Log messages from this level on.
    pub(super) level: Option<Level>,
    /// The longest time that it may take.
    pub(super) limit: Option<Duration>,
}

/// Carries it out, or writes down why not.
pub(super) async fn carry_out(
    api: &Arc<Api>,
    call: &Call,
    posting: Posting,
    wanted: Result<Wanted, Problem>,
) -> Result<Reply, Problem> {
    let Wanted { method, params, level, limit } = wanted.inspect_err(|problem| {
        // The line, which records what it refuses, never sees it.
        api.line.note_refused(&posting, &refused(problem));
    })?;
    let streams = takes_events(&call.headers);
    let asked = Asked { posting, method, params, level, streams };
    let mut exchange = Exchange::begin(api.line.clone(), asked, limit);
    if !streams {
        return whole(exchange).await;
    }
    let first = match tokio::time::timeout(FIRST, exchange.next()).await {
        Ok(Said::Refused(problem)) => return Err(problem),
        Ok(said) => Some(said),
        Err(_) => None,
    };
    Ok(Reply::with(Content::Events(events(Told { first, exchange: Some(exchange) }))))
}

/// A request that names itself is refused: an upstream does not know the name.
pub(super) fn unnamed(call: &Call) -> Result<(), Problem> {
    if call.headers.contains_key("idempotency-key") {
        let what = "a request to an upstream cannot name itself: the proxy does not know whether it may run \
                    twice; leave `Idempotency-Key` out";
        return Err(Problem::Invalid(what.to_owned()));
    }
    Ok(())
}

/// A refusal as the line would word it.
fn refused(problem: &Problem) -> Fault {
    match problem {
        Problem::Fault(fault) => (**fault).clone(),
        Problem::NotFound(words) => Fault::client(Kind::NoSuchDoor, words.clone()),
        other => Fault::client(Kind::InvalidParams, other.to_string()),
    }
}

/// The result alone.
async fn whole(mut exchange: Exchange) -> Result<Reply, Problem> {
    loop {
        match exchange.next().await {
            Said::Result(result) => return Ok(Reply::with(Content::Text(result))),
            Said::Refused(problem) => return Err(problem),
            Said::Progress(_) | Said::Message(_) => {}
        }
    }
}

/// What is said in the course of a call, as events.
struct Told {
    first: Option<Said>,
    /// None after the last event.
    exchange: Option<Exchange>,
}

impl Source for Told {
    async fn next(&mut self) -> Option<Bytes> {
        let exchange = self.exchange.as_mut()?;
        let said = match self.first.take() {
            Some(said) => said,
            None => exchange.next().await,
        };
        Some(match said {
            Said::Progress(params) => event("progress", &params),
            Said::Message(params) => event("message", &params),
            Said::Result(result) => {
                self.exchange = None;
                event("result", &result)
            }
            Said::Refused(problem) => {
                self.exchange = None;
                event("error", document(&problem).as_bytes())
            }
        })
    }
}

fn event(name: &str, data: &[u8]) -> Bytes {
    let mut out = format!("event: {name}\n").into_bytes();
    sse::encode(&mut out, None, data);
    Bytes::from(out)
}

/// Whether the client names a stream, and before JSON.
fn takes_events(headers: &HeaderMap) -> bool {
    let accepts = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
    let mut named = accepts.flat_map(|value| value.split(',')).map(|range| {
        let kind = range.split(';').next().unwrap_or_default().trim();
        (kind.eq_ignore_ascii_case(STREAM), kind.eq_ignore_ascii_case("application/json"))
    });
    named.find(|(stream, json)| *stream || *json).is_some_and(|(stream, _)| stream)
}

/// A log level.
pub(super) fn level(text: &str) -> Result<Level, Problem> {
    let wrong = || {
        Problem::Invalid(format!("`{text:.20}` is no log level; write `debug`, `info` or `error`"))
    };
    Level::parse(text).ok_or_else(wrong)
}

/// The longest time for a request.
pub(super) fn limit(text: &str) -> Result<Duration, Problem> {
    let wrong = || {
        Problem::Invalid(format!(
            "`{text:.20}` is no time for a call; write it as 500ms, 30s or 5m"
        ))
    };
    parse_duration(text).filter(|limit| !limit.is_zero()).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_names_a_stream_before_json_gets_one() {
        for (accept, stream) in [
            ("text/event-stream", true),
            ("Text/Event-Stream;q=0.9, */*", true),
            ("text/event-stream, application/json", true),
            ("application/json, text/event-stream", false),
            ("*/*", false),
            ("", false),
        ] {
            let headers = HeaderMap::from_iter([(header::ACCEPT, accept.parse().unwrap())]);
            assert_eq!(takes_events(&headers), stream, "{accept}");
        }
        assert!(!takes_events(&HeaderMap::new()));
    }

    #[test]
    fn an_event_has_a_name_and_all_lines() {
        assert_eq!(&event("result", b"{\n}")[..], b"event: result\ndata: {\ndata: }\n\n");
    }
}
