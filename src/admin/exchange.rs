//! One request of MCP through the line. It goes the way of a request of 2026-07-28, from a client
//! that declares no capabilities unless it says some itself; here it is written down as one, and
//! what comes back is told as what it means.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::params::Params;
use super::problem::{Problem, UpstreamError};
use crate::base::{Fault, Kind, Retry, now};
use crate::pipeline::{Answer, Body, End, Feed, Line, Opened, Outcome, Posting};
use crate::session::Level;
use crate::wire::json::{JsonError, Reader, UPSTREAM_DEPTH, quote};
use crate::wire::sse::Decoder;
use crate::wire::{Era, IdText, Inbound, InboundKind, MetaKey, Method, NameKind, Revision, Route};

/// How often an upstream may ask to be called again before it gives a result.
const MOST_ROUNDS: u32 = 16;

/// What is asked for.
pub(super) struct Asked {
    /// Who asks, and where; without a body.
    pub(super) posting: Posting,
    /// A row of the table of methods.
    pub(super) method: &'static Method,
    pub(super) params: Params,
    /// The least severe log message that is wanted; none when there is none.
    pub(super) level: Option<Level>,
    /// Progress is wanted as well, and all of it ends with the key.
    pub(super) streams: bool,
}

/// What is said in the course of a request. Each is the text that stood in the message.
#[derive(Debug)]
pub(super) enum Said {
    /// `params` of a notification of progress.
    Progress(Bytes),
    /// `params` of a log message.
    Message(Bytes),
    /// The result; nothing comes after it.
    Result(Bytes),
    /// Why there is none; nothing comes after it.
    Refused(Problem),
}

/// A request under way. It is cancelled when it is dropped.
pub(super) struct Exchange {
    line: Arc<Line>,
    asked: Asked,
    state: State,
    /// How often it was asked for again.
    rounds: u32,
    until: Option<(Instant, Duration)>,
    /// The key's end, where it ends the call.
    ended: Option<CancellationToken>,
}

enum State {
    /// Nothing was answered yet.
    Waiting(Pin<Box<dyn Future<Output = Outcome> + Send>>),
    /// The answer is a stream.
    Hearing(Box<Feed>, Box<Decoder>),
    /// All is said.
    Over,
}

/// What one message means.
enum Meaning {
    Said(Said),
    /// Ask again, with this state as JSON text.
    Again(Option<String>),
    /// Nothing for the caller.
    Nothing,
}

impl Exchange {
    /// Calls. `limit` is the longest time that it may take.
    pub(super) fn begin(line: Arc<Line>, asked: Asked, limit: Option<Duration>) -> Self {
        let ended = asked.streams.then(|| asked.posting.principal.ended().clone());
        let until = limit.map(|limit| (now() + limit, limit));
        let state = State::Waiting(ask(&line, &asked, None));
        Self { line, asked, state, rounds: 0, until, ended }
    }

    /// What is said next. A call of this that is dropped loses nothing.
    pub(super) async fn next(&mut self) -> Said {
        let until = self.until;
        let said = tokio::select! {
            said = self.hear() => said,
            limit = passed(until) => Said::Refused(late(limit).into()),
        };
        if matches!(said, Said::Result(_) | Said::Refused(_)) {
            if let State::Hearing(feed, _) = &mut self.state {
                feed.tally.end(End::Complete);
            }
            self.state = State::Over;
        }
        said
    }

    async fn hear(&mut self) -> Said {
        loop {
            let meaning = match &mut self.state {
                State::Waiting(outcome) => {
                    let outcome = tokio::select! {
                        outcome = outcome => outcome,
                        () = fired(self.ended.as_ref()) => {
                            return Said::Refused(Problem::Unauthenticated);
                        }
                    };
                    match outcome.answer {
                        Err(fault) => return Said::Refused(fault.into()),
                        Ok(Answer { body: Body::Json(bytes), .. }) => self.meaning(&bytes),
                        Ok(Answer { body: Body::Pieces(pieces), .. }) => {
                            self.meaning(&Bytes::from(pieces.concat()))
                        }
                        Ok(Answer { body: Body::Events(feed), .. }) => {
                            self.state = State::Hearing(Box::new(feed), Box::default());
                            continue;
                        }
                        Ok(Answer { body: Body::Empty, .. }) => return Said::Refused(cut().into()),
                        Ok(Answer { body: Body::Passing(_), .. }) => {
                            let what = "an answer passed that had to be changed";
                            return Said::Refused(Fault::internal(what).into());
                        }
                    }
                }
                State::Hearing(feed, decoder) => match next_event(feed, decoder).await {
                    Ok(message) => self.meaning(&message),
                    Err(problem) => return Said::Refused(problem),
                },
                State::Over => return Said::Refused(cut().into()),
            };
            match meaning {
                Meaning::Said(said) => return said,
                Meaning::Again(state) if self.rounds < MOST_ROUNDS => {
                    self.rounds += 1;
                    self.state = State::Waiting(ask(&self.line, &self.asked, state.as_deref()));
                }
                Meaning::Again(_) => {
                    let what = "The upstream asks to be called again and again. The request may have been \
                                executed; check before you repeat it.";
                    return Said::Refused(Fault::upstream(Retry::MayHaveRun, what).into());
                }
                Meaning::Nothing => {}
            }
        }
    }

    fn meaning(&self, message: &Bytes) -> Meaning {
        meaning(message, self.asked.params.own_rounds)
    }
}

/// The request as it goes through the line.
fn ask(
    line: &Arc<Line>,
    asked: &Asked,
    state: Option<&str>,
) -> Pin<Box<dyn Future<Output = Outcome> + Send>> {
    let posting = Posting { body: Bytes::from(message(asked, state)), ..asked.posting.clone() };
    let (line, tool) = (line.clone(), asked.method.route == Route::Name(NameKind::Tool));
    Box::pin(async move {
        match line.open(posting) {
            Opened::Letter(letter) => line.serve(letter).await,
            // It is one message, unless what it holds is nested too deep.
            Opened::Refused(outcome) => outcome,
            Opened::Batch(_) => {
                let answer = Err(Fault::internal("one request became many messages"));
                Outcome { id: IdText::new_static("1"), era: Era::Modern, tool, answer }
            }
        }
    })
}

/// The request.
fn message(asked: &Asked, state: Option<&str>) -> String {
    let Params { members, meta, has, .. } = &asked.params;
    let mut text = format!(
        "{{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"{}\",\"params\":{{{members}",
        asked.method.name
    );
    let more = |text: &mut String| {
        if !text.ends_with('{') {
            text.push(',');
        }
    };
    if let Some(state) = state {
        more(&mut text);
        text += "\"requestState\":";
        text += state;
    }
    more(&mut text);
    text += "\"_meta\":{";
    text += meta;
    // What is said in `_meta` itself stands.
    let mut fill = |key: MetaKey, value: &str| {
        if !has.contains(&key) {
            more(&mut text);
            text += &format!("\"{}\":{value}", key.as_str());
        }
    };
    fill(MetaKey::ProtocolVersion, &quote(Revision::LATEST_MODERN.as_str()));
    let own = env!("CARGO_PKG_VERSION");
    fill(MetaKey::ClientInfo, &format!("{{\"name\":\"mcp-proxy-rest\",\"version\":\"{own}\"}}"));
    fill(MetaKey::ClientCapabilities, "{}");
    if let Some(level) = asked.level {
        fill(MetaKey::LogLevel, &quote(level.as_str()));
    }
    if asked.streams {
        fill(MetaKey::ProgressToken, "1");
    }
    text + "}}}"
}

/// The next message of a stream.
async fn next_event(feed: &mut Feed, decoder: &mut Decoder) -> Result<Bytes, Problem> {
    loop {
        match decoder.next() {
            Ok(Some(event)) if event.data.is_empty() => continue,
            Ok(Some(event)) => return Ok(event.data),
            Ok(None) => {}
            Err(_) => return Err(cut().into()),
        }
        let [key, session] = &feed.ends;
        let event = tokio::select! {
            biased;
            () = key.cancelled() => None,
            () = session.cancelled() => None,
            event = feed.events.recv() => Some(event),
        };
        let Some(event) = event else {
            feed.tally.end(End::Ended);
            return Err(Problem::Unauthenticated);
        };
        match event {
            Some(Ok(event)) => {
                feed.tally.add(event.len());
                decoder.push(event);
            }
            Some(Err(fault)) => return Err((*fault).into()),
            None => return Err(cut().into()),
        }
    }
}

/// What a message says. With `own_rounds` the caller itself answers what is asked of it.
fn meaning(message: &Bytes, own_rounds: bool) -> Meaning {
    let text = std::str::from_utf8(message).unwrap_or_default();
    let Ok(inbound) = Inbound::read(text) else {
        return Meaning::Said(Said::Refused(cut().into()));
    };
    let Some(payload) = inbound.payload.clone() else { return Meaning::Nothing };
    match inbound.kind {
        InboundKind::Result => {
            let kind = inbound.result.result_type.map(|place| &text[place.span()]);
            if kind == Some("\"input_required\"") && !own_rounds {
                return Meaning::Again(state_of(&text[payload]));
            }
            Meaning::Said(Said::Result(message.slice(payload)))
        }
        InboundKind::Error => {
            let error = UpstreamError::read(&text[payload]);
            Meaning::Said(Said::Refused(Problem::Answered(Box::new(error))))
        }
        InboundKind::Notification => match inbound.method.as_deref() {
            Some("notifications/progress") => Meaning::Said(Said::Progress(message.slice(payload))),
            Some("notifications/message") => Meaning::Said(Said::Message(message.slice(payload))),
            _ => Meaning::Nothing,
        },
        // Whoever declares nothing is asked nothing.
        InboundKind::Request => Meaning::Nothing,
    }
}

/// `requestState` of a result, as JSON text.
fn state_of(result: &str) -> Option<String> {
    let mut state = None;
    // It was read before.
    let _ = Reader::new(result, UPSTREAM_DEPTH).object::<JsonError>(|reader, key| {
        let value = reader.value()?;
        if key.is("requestState") {
            state = Some(result[value].to_owned());
        }
        Ok(())
    });
    state
}

/// Waits until this time has passed, and gives how long it was.
async fn passed(until: Option<(Instant, Duration)>) -> Duration {
    match until {
        Some((until, limit)) => {
            tokio::time::sleep_until(until).await;
            limit
        }
        None => std::future::pending().await,
    }
}

async fn fired(token: Option<&CancellationToken>) {
    match token {
        Some(token) => token.cancelled().await,
        None => std::future::pending().await,
    }
}

fn late(limit: Duration) -> Fault {
    let sentence = format!(
        "The request did not end within {limit:?} (`timeout` of the request) and was cancelled. It may have been \
         executed; check before you repeat it."
    );
    let mut fault = Fault::upstream(Retry::MayHaveRun, sentence);
    fault.kind = Kind::UpstreamTimeout;
    fault
}

fn cut() -> Fault {
    Fault::upstream(
        Retry::MayHaveRun,
        "The answer broke off. The request may have been executed; check before you repeat it.",
    )
}
