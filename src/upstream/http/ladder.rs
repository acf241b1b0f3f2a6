//! Finding out the era: `server/discover`, then `initialize` (protocol.md section 2, HTTP).

use http::HeaderValue;
use tokio::time::timeout;

use super::answer::{Answer, ERROR_LIMIT, Refusal, collect, judge, own};
use super::events::Events;
use super::target::{HttpTarget, Road};
use crate::config::EraSetting;
use crate::upstream::handshake::{
    Verdict, discover, initialize, initialized, is_modern_code, is_unknown_method, judge_discover,
    judge_initialize,
};
use crate::upstream::link::{Cause, Facts, LinkError, Message, Ran};
use crate::wire::header::{METHOD, SESSION};
use crate::wire::{CapSet, Draft, Revision};

/// The numbers of the two requests of a handshake. Not 0, which some servers take for absent.
const DISCOVER_ID: u64 = 1;
const INITIALIZE_ID: u64 = 2;
/// The first number of a request after it.
pub(super) const FIRST_ID: u64 = 3;

/// What a finished handshake has found.
#[derive(Debug)]
pub(super) struct Greeting {
    pub(super) facts: Facts,
    /// The id of the session, when the upstream keeps one.
    pub(super) session: Option<HeaderValue>,
}

/// What stands at the end of the ladder.
#[derive(Debug)]
pub(super) enum Found {
    /// Streamable HTTP, in either era.
    Streamable(Greeting),
    /// It takes no `initialize` here, as a server of HTTP+SSE would not; the error is what holds
    /// when it is none.
    Perhaps(LinkError),
}

/// Climbs the ladder. The caller sets the deadline.
pub(super) async fn climb(road: &Road, target: &HttpTarget) -> Result<Found, LinkError> {
    let mut modern = None;
    if target.era != EraSetting::Legacy {
        // A server that is silent about a method it does not know still has time to greet.
        let asked = timeout(target.start / 2, probe(road, target.capabilities)).await;
        match asked.unwrap_or_else(|_| Ok(Err("`server/discover` was not answered".to_owned())))? {
            Ok(facts) => return Ok(Found::Streamable(Greeting { facts, session: None })),
            Err(reason) if target.era == EraSetting::Modern => {
                return Err(road.error(
                    Cause::Garbage,
                    Ran::No,
                    &format!("`era = \"modern\"` is set, but {reason}"),
                ));
            }
            Err(reason) => modern = Some(reason),
        }
    }
    let told = |mut error: LinkError| {
        if let Some(reason) = &modern {
            error.detail = format!("{}; before that, {reason}", error.detail);
        }
        error
    };
    let asked = hello(road, target.capabilities).await.map_err(told)?;
    let perhaps = may_be_older(&asked);
    match settle(road, asked).await.map_err(told) {
        Ok(greeting) => Ok(Found::Streamable(greeting)),
        Err(error) if perhaps => Ok(Found::Perhaps(error)),
        Err(error) => Err(error),
    }
}

/// True when `initialize` was refused as by a server that has only the older transport here: any
/// 4xx that is not about who asks or how often. An error of the modern era, or a method that is
/// not known, proves that streamable HTTP is spoken (R63).
fn may_be_older(asked: &Asked) -> bool {
    let status = asked.status.as_u16();
    let refused =
        (400..500).contains(&status) && !matches!(status, 401 | 403 | 407 | 408 | 421 | 429);
    let proof = asked.answer.as_ref().is_ok_and(|message| {
        let code = message.inbound.payload.clone().and_then(|at| {
            let error: serde_json::Value = serde_json::from_str(&message.text()[at]).ok()?;
            error["code"].as_i64()
        });
        is_modern_code(code) || status == 404 && is_unknown_method(code)
    });
    refused && !proof
}

/// `server/discover`. The inner error says why it is not taken for modern.
async fn probe(road: &Road, capabilities: CapSet) -> Result<Result<Facts, String>, LinkError> {
    let mut headers = road.headers(Revision::LATEST_MODERN, None);
    headers.insert(METHOD, HeaderValue::from_static("server/discover"));
    let mut again = true;
    loop {
        let asked = ask(road, headers.clone(), &discover(capabilities), DISCOVER_ID).await?;
        let message = match asked.answer {
            Ok(message) => message,
            Err(refusal) if refusal.is_not_understood() => {
                return Ok(Err(format!("`server/discover` got {}", road.clean(&refusal.detail))));
            }
            Err(refusal) => return Err(road.error(refusal.cause, Ran::No, &refusal.detail)),
        };
        match judge_discover(&message) {
            Verdict::Modern(facts) => return Ok(Ok(facts)),
            Verdict::Again(_) if again => again = false,
            Verdict::Refused(reason) | Verdict::Again(reason) => {
                return Err(road.error(Cause::Garbage, Ran::No, &reason));
            }
            Verdict::Legacy => return Ok(Err("`server/discover` was not understood".to_owned())),
        }
    }
}

/// `initialize` and `notifications/initialized`: a new session.
pub(super) async fn greet(road: &Road, capabilities: CapSet) -> Result<Greeting, LinkError> {
    settle(road, hello(road, capabilities).await?).await
}

async fn hello(road: &Road, capabilities: CapSet) -> Result<Asked, LinkError> {
    ask(road, road.bare_headers(), &initialize(capabilities), INITIALIZE_ID).await
}

async fn settle(road: &Road, asked: Asked) -> Result<Greeting, LinkError> {
    let message = asked.answer.map_err(|refusal| {
        road.error(refusal.cause, Ran::No, &format!("`initialize` got {}", refusal.detail))
    })?;
    let facts = judge_initialize(&message)
        .map_err(|reason| road.error(Cause::Garbage, Ran::No, &reason))?;
    let headers = road.headers(facts.revision, asked.session.as_ref());
    let response = road
        .post(road.post_head(&headers), initialized())
        .await
        .map_err(|error| road.unanswered(&error))?;
    let status = response.status();
    // Read to its end, so that the connection can be used again.
    let _ = collect(response.body, ERROR_LIMIT).await;
    if !status.is_success() {
        let cause =
            if matches!(status.as_u16(), 401 | 403) { Cause::Login } else { Cause::Garbage };
        let detail = format!("`notifications/initialized` got HTTP {}", status.as_u16());
        return Err(road.error(cause, Ran::No, &detail));
    }
    let session = asked.session.or_else(|| road.session_id.then(own_session).flatten());
    Ok(Greeting { facts, session })
}

/// A session id for an upstream that wants one and gives none.
fn own_session() -> Option<HeaderValue> {
    let id = getrandom::u64().ok()?;
    let mut session = HeaderValue::from_str(&format!("{id:016x}")).ok()?;
    session.set_sensitive(true);
    Some(session)
}

struct Asked {
    status: http::StatusCode,
    answer: Result<Message, Refusal>,
    session: Option<HeaderValue>,
}

async fn ask(
    road: &Road,
    headers: http::HeaderMap,
    draft: &Draft,
    id: u64,
) -> Result<Asked, LinkError> {
    let response = road
        .post(road.post_head(&headers), draft.render(id))
        .await
        .map_err(|error| LinkError { ran: Ran::No, ..road.unanswered(&error) })?;
    let session = response.head.get(&SESSION).and_then(|session| {
        let mut session = HeaderValue::from_bytes(session).ok()?;
        session.set_sensitive(true);
        Some(session)
    });
    let status = response.status();
    let garbage = |cause, detail: &str| Refusal::garbage(status, cause, detail);
    let answer = match judge(response, id, true).await {
        Answer::Message(message) => Ok(message),
        Answer::Refused(refusal) => Err(refusal),
        Answer::Accepted | Answer::Json { .. } => {
            Err(garbage(Cause::Garbage, "a request was accepted without an answer"))
        }
        Answer::Stream(body) => {
            let mut events = Events::new(body);
            loop {
                match events.next().await {
                    Ok(Some(message)) if message.inbound.method.is_some() => {}
                    Ok(Some(message)) => {
                        break own(message, id).map_err(|text| garbage(Cause::Garbage, &text));
                    }
                    Ok(None) => {
                        break Err(garbage(Cause::Garbage, "a stream ended without an answer"));
                    }
                    Err(broken) => break Err(garbage(broken.cause, &broken.detail)),
                }
            }
        }
    };
    Ok(Asked { status, answer, session })
}
