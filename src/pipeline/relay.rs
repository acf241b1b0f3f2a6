//! The way back of one request: an answer in one piece, a stream of events, or bytes that go
//! through as they come.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use http_body::Body as _;
use http_body_util::BodyExt;
use tokio_util::sync::CancellationToken;

use super::answer::{Answer, Body, Passing};
use super::finish::Tally;
use super::result::{is_question, respond, uri_way, wants_visits};
use super::sieve::Sieve;
use super::talk::Turn;
use super::task::{Tasked, is_task};
use crate::auth::Principal;
use crate::base::{Fault, Retry};
use crate::config::Upstream;
use crate::credential::Armed;
use crate::namespace::Recipient;
use crate::namespace::falls_back;
use crate::session::{Level, Session};
use crate::upstream::{Arriving, Lease, Message, Reply};
use crate::wire::json::{JsonError, Reader, UPSTREAM_DEPTH};
use crate::wire::{Era, IdText, Inbound, InboundKind, Method, Revision};

/// Longest response that is kept in memory to be changed; a longer one must go through.
const LONGEST: usize = 16 << 20;
/// What is read of a response before it is judged whether the rest may go through. One that is
/// shorter is read to its end.
const BEGINNING: usize = 16 << 10;

/// What must be known of a request when its answer comes.
#[derive(Debug, Clone)]
pub(super) struct Asked {
    /// The client's id as JSON text.
    pub(super) id: IdText,
    /// The client's progress token as JSON text.
    pub(super) token: Option<String>,
    pub(super) era: Era,
    pub(super) level: Option<Level>,
    pub(super) method: &'static Method,
    /// What it has to do with tasks.
    pub(super) tasked: Tasked,
    pub(super) upstream: Arc<Upstream>,
    /// The credentials that the upstream was given.
    pub(super) armed: Arc<Armed>,
    pub(super) upstream_era: Era,
    /// URIs are made public.
    pub(super) merged: bool,
    pub(super) principal: Principal,
    pub(super) session: Option<Arc<Session>>,
    /// Largest result in bytes that the client takes.
    pub(super) result_cap: Option<usize>,
}

impl Asked {
    /// The revision that the client speaks.
    pub(super) fn revision(&self) -> Revision {
        self.session.as_ref().map_or(Revision::LATEST_MODERN, |session| session.opening().revision)
    }

    /// For whom results and questions are made.
    pub(super) fn recipient(&self) -> Recipient<'_> {
        let upstream = self.merged.then(|| self.upstream.name.as_str());
        Recipient { upstream, revision: self.revision() }
    }

    /// What ends a stream before its time. (Tokens are made for streams alone: cloning one takes
    /// a lock that all callers with the same key share.)
    pub(super) fn ends(&self) -> [CancellationToken; 2] {
        let key = self.principal.ended();
        [key.clone(), self.session.as_ref().map_or(key, |session| session.ended()).clone()]
    }
}

/// What becomes of a reply.
pub(super) enum Relayed {
    /// The answer.
    Done(Answer),
    /// More is said than one answer, or something is asked. (Boxed: most calls never move it.)
    Talk(Box<(Asked, Lease, Turn)>),
}

/// Brings a reply back to its client. `may_pass` is false for a client that has a stream already,
/// or reads whole messages: bytes cannot go through to it as they come.
pub(super) async fn relay(
    asked: Asked,
    lease: Lease,
    reply: Reply,
    may_pass: bool,
) -> Result<Relayed, Fault> {
    if asked.tasked == Tasked::Sent {
        return follow(asked, lease, reply).await;
    }
    let message = match reply {
        Reply::Message(message) => message,
        Reply::Json { id, body, .. } if !may_pass => {
            Box::pin(collect(&asked.upstream, id, body, &[])).await?
        }
        Reply::Json { id, length, body } => {
            match Box::pin(arriving(&asked, id, length, body)).await? {
                Arrived::Whole(message) => message,
                Arrived::Passing { head, rest, sieve, length } => {
                    let limits = (asked.upstream.timing.timeout, asked.upstream.timing.max_time);
                    let ends = asked.ends();
                    let tally = Tally::default();
                    let passing = Passing { head, rest, sieve, length, lease, limits, ends, tally };
                    return Ok(Relayed::Done(Answer::ok(Body::Passing(Box::new(passing)))));
                }
            }
        }
        Reply::Exchange(mut exchange) => {
            let message = exchange.next().await.inspect_err(|error| lease.report(Err(error)))?;
            if !matches!(message.inbound.kind, InboundKind::Result | InboundKind::Error) {
                let turn = Turn { first: Some(message), rest: Some(exchange) };
                return Ok(Relayed::Talk(Box::new((asked, lease, turn))));
            }
            lease.report(Ok(()));
            message
        }
    };
    let talks = is_question(&asked, &message)
        || wants_visits(&asked, &message)
        || is_task(&asked, &message);
    if talks {
        let turn = Turn { first: Some(message), rest: None };
        return Ok(Relayed::Talk(Box::new((asked, lease, turn))));
    }
    whole(&asked, &message).map(Relayed::Done)
}

/// A task comes back, and the answer of the call with it later.
async fn follow(asked: Asked, lease: Lease, reply: Reply) -> Result<Relayed, Fault> {
    let turn = match reply {
        Reply::Message(message) => Turn { first: Some(message), rest: None },
        Reply::Json { id, body, .. } => {
            let message = Box::pin(collect(&asked.upstream, id, body, &[])).await?;
            Turn { first: Some(message), rest: None }
        }
        Reply::Exchange(rest) => Turn { first: None, rest: Some(rest) },
    };
    Ok(Relayed::Talk(Box::new((asked, lease, turn))))
}

fn whole(asked: &Asked, message: &Message) -> Result<Answer, Fault> {
    let ready = respond(asked, message)?;
    let body = Body::Json(ready.bytes);
    Ok(Answer { status: ready.status, body, session: None, failed: ready.failed })
}

/// What became of a response that was still arriving.
enum Arrived {
    /// It was read to its end.
    Whole(Message),
    /// It goes through as it comes: what was read, the rest with what changes it, the length of
    /// both.
    Passing {
        head: VecDeque<Bytes>,
        rest: Arriving,
        sieve: Option<Box<Sieve>>,
        length: Option<u64>,
    },
}

/// A response that is still arriving. It goes through as it comes when all that changes in it
/// stands in known places, and its beginning says that it is a result; else it is read to its end.
async fn arriving(
    asked: &Asked,
    id: u64,
    length: Option<u64>,
    mut body: Arriving,
) -> Result<Arrived, Fault> {
    let untouched = asked.era == Era::Legacy
        && asked.upstream_era == Era::Legacy
        && asked.result_cap.is_none()
        && uri_way(asked.method.route)
            .is_none_or(|way| !asked.merged && !falls_back(way, asked.revision(), None));
    if untouched {
        let first = next_piece(&asked.upstream, &mut body).await?.unwrap_or_default();
        let Some(place) = leading_id(&first, id) else {
            return Ok(Arrived::Whole(collect(&asked.upstream, id, body, &[first]).await?));
        };
        let change = asked.id.len() as u64;
        let length = length.map(|length| length + change - place.len() as u64);
        let head = [
            first.slice(..place.start),
            Bytes::copy_from_slice(asked.id.as_bytes()),
            first.slice(place.end..),
        ];
        return Ok(Arrived::Passing { head: head.into(), rest: body, sieve: None, length });
    }
    let Some(mut sieve) = Sieve::new(asked, id) else {
        return Ok(Arrived::Whole(collect(&asked.upstream, id, body, &[]).await?));
    };
    let beginning = beginning(&asked.upstream, &mut body);
    let limit = tokio::time::timeout(asked.upstream.timing.max_time, beginning).await;
    let first = limit.map_err(|_| broken(&asked.upstream, "it took too long"))??;
    let mut head = VecDeque::new();
    let passes = !body.is_end_stream()
        && first.iter().all(|piece| sieve.take(piece.clone(), &mut head).is_ok())
        && sieve.settle();
    if passes {
        let sieve = Some(Box::new(sieve));
        return Ok(Arrived::Passing { head, rest: body, sieve, length: None });
    }
    Ok(Arrived::Whole(collect(&asked.upstream, id, body, &first).await?))
}

/// The first pieces of a body.
async fn beginning(upstream: &Upstream, body: &mut Arriving) -> Result<Vec<Bytes>, Fault> {
    let (mut pieces, mut length) = (Vec::new(), 0);
    while length < BEGINNING
        && let Some(piece) = next_piece(upstream, body).await?
    {
        length += piece.len();
        pieces.push(piece);
    }
    Ok(pieces)
}

/// The next bytes of a body; waits at most as long as the upstream may be silent.
async fn next_piece(upstream: &Upstream, body: &mut Arriving) -> Result<Option<Bytes>, Fault> {
    loop {
        let frame = tokio::time::timeout(upstream.timing.timeout, body.frame()).await;
        match frame.map_err(|_| broken(upstream, "silence"))? {
            None => return Ok(None),
            Some(Err(error)) => return Err(broken(upstream, &error.to_string())),
            Some(Ok(frame)) => {
                if let Ok(data) = frame.into_data() {
                    return Ok(Some(data));
                }
            }
        }
    }
}

/// Place of the id when it is ours and stands before a result in the first bytes of a response.
fn leading_id(first: &[u8], id: u64) -> Option<std::ops::Range<usize>> {
    let text = match std::str::from_utf8(first) {
        Ok(text) => text,
        Err(error) => std::str::from_utf8(&first[..error.valid_up_to()]).ok()?,
    };
    let (mut found, mut result) = (None, false);
    let mut reader = Reader::new(text, UPSTREAM_DEPTH);
    // It ends with an error at the result, which is not whole yet.
    let _ = reader.object::<JsonError>(|reader, key| {
        if key.is("result") {
            result = true;
            return Err(JsonError::Syntax(reader.position()));
        }
        let value = reader.value()?;
        if key.is("id") {
            found = Some(value);
        }
        Ok(())
    });
    found.filter(|place| result && text[place.clone()] == *id.to_string())
}

/// Reads the response to our request `id` to its end; what is in `first` was read already.
pub(super) async fn collect(
    upstream: &Upstream,
    id: u64,
    mut body: Arriving,
    first: &[Bytes],
) -> Result<Message, Fault> {
    let all = async {
        let begun: usize = first.iter().map(Bytes::len).sum();
        // Of one whose length is not known it says 0.
        let left = usize::try_from(body.size_hint().lower()).unwrap_or(LONGEST);
        let mut whole = BytesMut::with_capacity((begun + left).min(LONGEST));
        first.iter().for_each(|piece| whole.extend_from_slice(piece));
        while let Some(data) = next_piece(upstream, &mut body).await? {
            if whole.len() + data.len() > LONGEST {
                return Err(too_large(upstream));
            }
            whole.extend_from_slice(&data);
        }
        Ok(whole.freeze())
    };
    let limit = tokio::time::timeout(upstream.timing.max_time, all).await;
    let bytes = limit.map_err(|_| broken(upstream, "it took too long"))??;
    let text = std::str::from_utf8(&bytes).map_err(|error| broken(upstream, &error.to_string()))?;
    let inbound = Inbound::read(text).map_err(|error| broken(upstream, &error.to_string()))?;
    let ours = inbound.number == Some(id) || inbound.kind == InboundKind::Error;
    if !ours {
        return Err(broken(upstream, "it answers another request"));
    }
    Ok(Message { bytes, inbound })
}

fn too_large(upstream: &Upstream) -> Fault {
    Fault::upstream(
        Retry::MayHaveRun,
        format!(
            "Upstream `{}` sent an answer that is too large. The request may have been executed; ask for less.",
            upstream.name
        ),
    )
}

fn broken(upstream: &Upstream, detail: &str) -> Fault {
    Fault::upstream(
        Retry::MayHaveRun,
        format!(
            "Upstream `{}` broke off its answer. The request may have been executed; check before you repeat it.",
            upstream.name
        ),
    )
    .because(detail)
}
