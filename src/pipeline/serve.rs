//! One posted message, from the head to the outcome. The era is decided here, for each request
//! anew, in the order of protocol.md 1.10.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, HeaderName};

use super::answer::{Answer, Outcome};
use super::line::Line;
use crate::auth::Principal;
use crate::base::{Fault, Kind};
use crate::namespace::Door;
use crate::wire::header::{METHOD, SESSION, VERSION};
use crate::wire::{Called, Era, MetaKey, Posted, PostedKind, Revision, WireError};

/// One POST by somebody whose key was checked.
#[derive(Debug)]
pub struct Posting {
    /// Who.
    pub principal: Principal,
    /// Where names are looked up.
    pub door: Door,
    /// The path as text: what sessions are bound to.
    pub path: Arc<str>,
    /// The headers, for the rules of the modern era.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
}

impl Line {
    /// Takes one posted message through the line.
    pub async fn serve(self: &Arc<Self>, mut posting: Posting) -> Outcome {
        let posted = match Posted::read(std::mem::take(&mut posting.body)) {
            Ok(posted) => posted,
            Err(error) => return self.unreadable(&posting, error),
        };
        let id = posted.id_text().to_owned();
        let version = posted.meta_string(MetaKey::ProtocolVersion);
        if version.is_some() && posted.kind != PostedKind::Response {
            drop(version);
            return self.modern(posting, posted, id).await;
        }
        drop(version);
        if posted.called.name() == "initialize" && posted.kind == PostedKind::Request {
            let answer = Box::pin(self.initialize(&posting, &posted)).await;
            return Outcome { id, era: Era::Legacy, tool: false, answer };
        }
        if let Some(session) = header(&posting.headers, &SESSION) {
            return match self.find_session(&posting, session).await {
                Ok(session) => self.legacy(posting, posted, id, session).await,
                Err(fault) => Outcome { id, era: Era::Legacy, tool: false, answer: Err(fault) },
            };
        }
        let (era, fault) = without_era(&posting.headers, &posted);
        Outcome { id, era, tool: false, answer: Err(fault) }
    }

    /// A body that is no message: nothing in it can be believed, so the head says which era
    /// answers, and the id is null.
    fn unreadable(&self, posting: &Posting, error: WireError) -> Outcome {
        let era = if says_modern(&posting.headers) { Era::Modern } else { Era::Legacy };
        let kind = match error {
            WireError::NotJson(_) => Kind::NotJson,
            WireError::TooDeep | WireError::Batch | WireError::NotMessage(_) => Kind::NotMessage,
        };
        let id = "null".to_owned();
        Outcome { id, era, tool: false, answer: Err(Fault::client(kind, error.to_string())) }
    }
}

/// Points 6 and 7 of protocol.md 1.10: no `_meta`, no session, no `initialize`.
fn without_era(headers: &HeaderMap, posted: &Posted) -> (Era, Fault) {
    if says_modern(headers) {
        let missing = "`params._meta` lacks `io.modelcontextprotocol/protocolVersion`, which every request of \
                       2026-07-28 carries";
        return (Era::Modern, Fault::client(Kind::MissingMeta, missing));
    }
    let what = match &posted.called {
        Called::Known(method) => method.name,
        Called::Unknown(_) => "this message",
    };
    let sentence = format!(
        "{what} needs a session: send `initialize` first and then its `Mcp-Session-Id` header (2024-11-05 to \
         2025-11-25), or `_meta` with a protocol version (2026-07-28)"
    );
    (Era::Legacy, Fault::client(Kind::NoSession, sentence))
}

fn says_modern(headers: &HeaderMap) -> bool {
    headers.contains_key(METHOD)
        || header(headers, &VERSION)
            .and_then(Revision::parse)
            .is_some_and(|revision| revision.era() == Era::Modern)
}

/// A header's text; `None` when it is missing, twice, or no visible ASCII.
pub(super) fn header<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?;
    if values.next().is_some() { None } else { value.to_str().ok() }
}

/// An answer that says nothing but that the message has arrived.
pub(super) fn accepted(id: String, era: Era) -> Outcome {
    Outcome { id, era, tool: false, answer: Ok(Answer::accepted()) }
}
