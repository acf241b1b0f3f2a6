//! One posted message, from the head to the outcome. The era is decided here, for each request
//! anew, in the order of protocol.md 1.10.

use std::net::IpAddr;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, HeaderName};

use super::answer::{Answer, Outcome};
use super::finish::Record;
use super::line::Line;
use crate::auth::Principal;
use crate::base::{Fault, Kind};
use crate::namespace::Door;
use crate::wire::header::{METHOD, SESSION, VERSION};
use crate::wire::{
    Called, Era, Field, IdText, MetaKey, Posted, PostedKind, Revision, Route, WireError,
    split_batch,
};

/// How a message came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Carrier {
    /// In the body of a request whose head says some of it again.
    Http,
    /// Over a pipe: there is no head.
    Pipe,
}

/// Something posted by somebody whose key was checked.
#[derive(Debug, Clone)]
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
    /// How it came.
    pub carrier: Carrier,
    /// Who sent it, as far as the network knows: maybe a proxy, of whose clients the headers tell.
    pub peer: Option<IpAddr>,
}

/// A posting with the one message that was read from its body.
#[derive(Debug)]
pub struct Letter {
    // Boxed: they go through many hands, and each would copy them.
    pub(super) posting: Box<Posting>,
    pub(super) posted: Box<Posted>,
}

/// What a body turned out to be.
#[derive(Debug)]
pub enum Opened {
    /// One message, to be served.
    Letter(Letter),
    /// An array of messages, to be judged by [`Line::batch`].
    Batch(Box<Posting>),
    /// No message.
    Refused(Outcome),
}

impl Letter {
    /// Whether it is a request, a notification or a response.
    #[must_use]
    pub fn kind(&self) -> PostedKind {
        self.posted.kind
    }

    /// Its id as JSON text, `null` when it has none.
    #[must_use]
    pub fn id(&self) -> &str {
        self.posted.id_text()
    }

    /// True when it speaks as the modern era does.
    #[must_use]
    pub fn is_modern(&self) -> bool {
        self.kind() != PostedKind::Response
            && self.posted.meta_string(MetaKey::ProtocolVersion).is_some()
    }

    /// True for the request that opens a session.
    #[must_use]
    pub fn opens(&self) -> bool {
        self.kind() == PostedKind::Request && self.posted.called.name() == "initialize"
    }

    /// The id of the request that this notification takes back, as JSON text.
    #[must_use]
    pub fn cancels(&self) -> Option<&str> {
        let cancels = self.kind() == PostedKind::Notification
            && self.posted.called.name() == "notifications/cancelled";
        if cancels { self.posted.raw(Field::RequestId) } else { None }
    }

    /// True for the modern request that goes on until it is taken back.
    #[must_use]
    pub fn listens(&self) -> bool {
        matches!(&self.posted.called, Called::Known(method) if method.route == Route::Listen)
    }

    /// Who sent it, where, and how.
    #[must_use]
    pub fn posting(&self) -> &Posting {
        &self.posting
    }
}

impl Line {
    /// Reads what was posted.
    #[must_use]
    pub fn open(self: &Arc<Self>, mut posting: Posting) -> Opened {
        match Posted::read(std::mem::take(&mut posting.body)) {
            Ok(posted) => {
                Opened::Letter(Letter { posting: Box::new(posting), posted: Box::new(posted) })
            }
            Err((WireError::Batch, body)) => {
                posting.body = body;
                Opened::Batch(Box::new(posting))
            }
            Err((error, body)) => {
                posting.body = body;
                Opened::Refused(self.unreadable(&posting, error))
            }
        }
    }

    /// Judges a batch: only sessions of 2025-03-26 may send one, without `initialize`, and with
    /// requests and notifications or with responses (R48).
    ///
    /// # Errors
    /// With the refusal of the whole batch; nothing of it was done then.
    pub async fn batch(
        self: &Arc<Self>,
        mut posting: Posting,
    ) -> Result<Vec<Letter>, Box<Outcome>> {
        let body = std::mem::take(&mut posting.body);
        let refuse = |error| Box::new(self.unreadable(&posting, error));
        let Some(session) = header(&posting.headers, &SESSION) else {
            return Err(refuse(WireError::Batch));
        };
        match self.find_session(&posting, session).await {
            Ok(session) if session.opening().revision == Revision::V2025_03_26 => {}
            Ok(_) => return Err(refuse(WireError::Batch)),
            Err(fault) => {
                self.note_refused(&posting, &fault);
                let id = IdText::new_static("null");
                let answer = Err(fault);
                return Err(Box::new(Outcome { id, era: Era::Legacy, tool: false, answer }));
            }
        }
        let mut letters = Vec::new();
        for item in split_batch(&body).map_err(refuse)? {
            let posted = match Posted::read(item) {
                Ok(posted) => posted,
                Err((WireError::Batch, _)) => {
                    return Err(refuse(WireError::NotMessage("a batch within a batch")));
                }
                Err((error, _)) => return Err(refuse(error)),
            };
            letters.push(Letter { posting: Box::new(posting.clone()), posted: Box::new(posted) });
        }
        if letters.iter().any(Letter::opens) {
            return Err(refuse(WireError::NotMessage(
                "`initialize` stands alone, never in a batch",
            )));
        }
        if letters.iter().any(Letter::is_modern) {
            return Err(refuse(WireError::Batch));
        }
        let responses = letters.iter().filter(|l| l.kind() == PostedKind::Response).count();
        if responses != 0 && responses != letters.len() {
            let mixed = "a batch holds requests and notifications, or responses";
            return Err(refuse(WireError::NotMessage(mixed)));
        }
        Ok(letters)
    }

    /// Takes one message through the line.
    pub async fn serve(self: &Arc<Self>, letter: Letter) -> Outcome {
        let Letter { posting, posted } = letter;
        let id = IdText::new(posted.id_text());
        let version = posted.meta_string(MetaKey::ProtocolVersion);
        let modern = version.is_some() && posted.kind != PostedKind::Response;
        drop(version);
        let era = if modern { Era::Modern } else { Era::Legacy };
        if self.audit.as_ref().is_some_and(|audit| !audit.has_room())
            && posted.kind == PostedKind::Request
            && let Err(fault) = Box::pin(self.audit_room()).await
        {
            return Outcome { id, era, tool: false, answer: Err(fault) };
        }
        let record = Record::of(self, &posting, &posted, era);
        if modern {
            return self.modern(posting, posted, id, record).await;
        }
        if posted.called.name() == "initialize" && posted.kind == PostedKind::Request {
            let answer = Box::pin(self.initialize(&posting, &posted)).await;
            let answer = record.settled(answer).await;
            return Outcome { id, era: Era::Legacy, tool: false, answer };
        }
        if let Some(session) = header(&posting.headers, &SESSION) {
            return match self.find_session(&posting, session).await {
                Ok(session) => self.legacy(posting, posted, id, session, record).await,
                Err(fault) => {
                    let answer = record.settled(Err(fault)).await;
                    Outcome { id, era: Era::Legacy, tool: false, answer }
                }
            };
        }
        let (era, fault) = without_era(&posting.headers, &posted);
        let answer = record.settled(Err(fault)).await;
        Outcome { id, era, tool: false, answer }
    }

    /// The refusal of a body that is no message.
    fn unreadable(self: &Arc<Self>, posting: &Posting, error: WireError) -> Outcome {
        let refused = unreadable(posting, error);
        if let Err(fault) = &refused.answer {
            self.note_refused(posting, fault);
        }
        refused
    }
}

/// A body that is no message: nothing in it can be believed, so the head says which era answers,
/// and the id is null.
fn unreadable(posting: &Posting, error: WireError) -> Outcome {
    let era = if says_modern(&posting.headers) { Era::Modern } else { Era::Legacy };
    let kind = match error {
        WireError::NotJson(_) => Kind::NotJson,
        WireError::TooDeep | WireError::Batch | WireError::LongBatch | WireError::NotMessage(_) => {
            Kind::NotMessage
        }
    };
    let id = IdText::new_static("null");
    Outcome { id, era, tool: false, answer: Err(Fault::client(kind, error.to_string())) }
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
pub(super) fn accepted(id: IdText, era: Era) -> Outcome {
    Outcome { id, era, tool: false, answer: Ok(Answer::accepted()) }
}
