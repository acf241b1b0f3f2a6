//! The sessionful era: `initialize`, and what a session may send (protocol.md 1.9).

use std::sync::Arc;

use tokio::sync::mpsc;

use super::answer::{Answer, Body, Feed, Outcome};
use super::call::Caller;
use super::finish::{Record, Tally};
use super::keep_going::KeepGoing;
use super::line::{Line, server_info};
use super::list::Reader;
use super::modern::capabilities;
use super::outlet::look_again;
use super::quirk::{client_quirks, suit};
use super::scope::narrow;
use super::serve::{Posting, accepted, header};
use super::take_up::refused;
use crate::auth::client_address;
use crate::base::{Fault, Kind, Retry};
use crate::bridge::Reply;
use crate::session::{Item, Level, Opening, Return, Session};
use crate::wire::header::{LAST_EVENT, SESSION, VERSION};
use crate::wire::json::quote;
use crate::wire::{
    Called, CapSet, Era, Field, IdText, Method, NameKind, Posted, PostedKind, Revision, Route,
};

/// Longest `clientInfo` that a session keeps.
const CLIENT_INFO: usize = 512;

impl Line {
    /// `initialize`: answered here and at once; upstreams start warming up meanwhile.
    pub(super) async fn initialize(
        self: &Arc<Self>,
        posting: &Posting,
        posted: &Posted,
    ) -> Result<Answer, Fault> {
        self.admit(&posting.principal)?;
        let missing = |what: &str| {
            Fault::client(Kind::InvalidParams, format!("`params.{what}` is missing or wrong"))
        };
        let version =
            posted.string(Field::ProtocolVersion).ok_or_else(|| missing("protocolVersion"))?;
        // An unknown revision, also 2026-07-28 which has no handshake, gets the latest legacy one.
        let revision = Revision::parse(&version)
            .filter(|revision| revision.era() == Era::Legacy)
            .unwrap_or(Revision::LATEST_LEGACY);
        let capabilities_text = posted.raw(Field::Capabilities).unwrap_or("{}");
        let client = CapSet::read(capabilities_text).map_err(|_| missing("capabilities"))?;
        let client_info =
            posted.raw(Field::ClientInfo).filter(|text| text.len() <= CLIENT_INFO).unwrap_or("{}");
        let session = self
            .sessions
            .open(Opening {
                address: posting.peer.map(|peer| {
                    let trusted = &self.config().server.trusted_proxies;
                    client_address(trusted, &posting.headers, peer)
                }),
                tenant: posting.principal.tenant().id(),
                key: posting.principal.key(),
                door: posting.path.clone(),
                revision,
                capabilities: client,
                client_info: client_info.into(),
            })
            .map_err(refused)?;
        self.holders.hold(&posting.principal);
        let tenant = self.tenant(&posting.principal);
        tenant.warm_up(self, &posting.principal, &posting.door);
        let view = tenant.known_view(&posting.principal, &posting.door);
        let instructions = view
            .instructions()
            .map_or_else(String::new, |text| format!(",\"instructions\":{}", quote(&text)));
        let result = format!(
            "{{\"protocolVersion\":\"{}\",\"capabilities\":{},\"serverInfo\":{}{instructions}}}",
            revision.as_str(),
            capabilities(&view, Era::Legacy),
            server_info(),
        );
        let mut answer = Answer::result(posted.id_text(), &result);
        answer.session = Some(session.pointer().to_string());
        Ok(answer)
    }

    /// Finds the session of a request and judges the version header (R44, R47).
    pub(super) async fn find_session(
        self: &Arc<Self>,
        posting: &Posting,
        id: &str,
    ) -> Result<Arc<Session>, Fault> {
        let principal = &posting.principal;
        let (tenant, key) = (principal.tenant().id(), principal.key());
        let session = match self.sessions.find(id, &tenant, &key, &posting.path) {
            Some(session) => session,
            // Boxed: only the first request after a restart comes here.
            None => Box::pin(self.take_up(posting, id)).await?,
        };
        if posting.headers.contains_key(VERSION) {
            let known = header(&posting.headers, &VERSION)
                .and_then(Revision::parse)
                .is_some_and(|revision| revision.era() == Era::Legacy);
            if !known {
                let sentence = "`MCP-Protocol-Version` of this session is one of 2024-11-05, 2025-03-26, 2025-06-18 \
                                and 2025-11-25";
                return Err(Fault::client(Kind::NotMessage, sentence));
            }
        }
        Ok(session)
    }

    /// One message of a session.
    pub(super) async fn legacy(
        self: &Arc<Self>,
        posting: Box<Posting>,
        posted: Box<Posted>,
        id: IdText,
        session: Arc<Session>,
        mut record: Record,
    ) -> Outcome {
        match posted.kind {
            PostedKind::Response => {
                // Only what answers a question that is open in this session is taken (R57).
                if let Ok(reply) = Reply::read(posted.body().clone())
                    && let Some(id) = reply.id()
                {
                    session.answer(&id, posted.body().clone());
                }
                accepted(id, Era::Legacy)
            }
            PostedKind::Notification => {
                self.notification(&posting, &posted, &session).await;
                accepted(id, Era::Legacy)
            }
            PostedKind::Request => {
                record.of_session(&session);
                let method = match &posted.called {
                    Called::Known(method) if method.known_to(Era::Legacy) => *method,
                    called => {
                        let sentence = format!("Method not found: {:.80}", called.name());
                        let fault = Fault::client(Kind::UnknownMethod, sentence);
                        let answer = record.settled(Err(fault)).await;
                        return Outcome { id, era: Era::Legacy, tool: false, answer };
                    }
                };
                let tool = method.route == Route::Name(NameKind::Tool);
                if let Err(fault) = self.admit(&posting.principal) {
                    let answer = record.settled(Err(fault)).await;
                    return Outcome { id, era: Era::Legacy, tool, answer };
                }
                let quirks = client_quirks(&self.config(), &session.opening().client_info);
                let cap = quirks.as_ref().and_then(|quirks| quirks.result_cap);
                let answer =
                    self.legacy_request(posting, posted, method, session, (cap, record)).await;
                let answer = suit(answer, quirks.as_deref());
                Outcome { id, era: Era::Legacy, tool, answer }
            }
        }
    }

    async fn legacy_request(
        self: &Arc<Self>,
        posting: Box<Posting>,
        posted: Box<Posted>,
        method: &'static Method,
        session: Arc<Session>,
        (result_cap, record): (Option<usize>, Record),
    ) -> Result<Answer, Fault> {
        match method.route {
            Route::Local if method.name == "ping" => Ok(Answer::result(posted.id_text(), "{}")),
            Route::Local => {
                let answer = Box::pin(self.set_level(&posted, &session)).await;
                record.settled(answer).await
            }
            Route::List(kind) => {
                let opening = session.opening();
                let reader = Reader::new(opening.revision, opening.capabilities);
                let list = self.list(&posting, &posted, Era::Legacy, reader, kind);
                record.settled(Box::pin(list).await).await
            }
            Route::Subscribe { on } => {
                let line = self.clone();
                // What is counted must be counted back, also when the client goes meanwhile.
                KeepGoing::new(&self.tasks, async move {
                    let answer = line.subscribe(&posting, &posted, &session, on).await;
                    record.settled(answer).await
                })
                .await
            }
            Route::Name(_) | Route::Uri | Route::Reference | Route::Skill | Route::Directory => {
                let running = Arc::new(session.begin(posted.id_text()));
                let own = running.clone();
                let early = move || {
                    let (events, key) = own.take_early()?;
                    let ends = [key, own.session().ended().clone()];
                    // The record stays with the call.
                    let feed = Feed { events, ends, keep_alive: None, tally: Tally::default() };
                    Some(Ok(Answer::ok(Body::Events(feed))))
                };
                let declares = declared_by(session.opening());
                let posting = *posting;
                let caller = Box::new(Caller {
                    principal: posting.principal,
                    door: posting.door,
                    era: Era::Legacy,
                    level: session.level(),
                    declares,
                    tasks: false,
                    session: Some(session),
                    running: Some(running),
                    headers: None,
                    result_cap,
                    trace: record.trace(),
                });
                let line = self.clone();
                let work = Box::pin(async move { line.call(caller, posted, method, record).await });
                KeepGoing::or_early(&self.tasks, early, work).await
            }
            Route::Listen | Route::Notification | Route::Task(_) => {
                let sentence = format!("Method not found: {}", method.name);
                record.settled(Err(Fault::client(Kind::UnknownMethod, sentence))).await
            }
        }
    }

    async fn notification(&self, posting: &Posting, posted: &Posted, session: &Arc<Session>) {
        match posted.called.name() {
            "notifications/cancelled" => {
                if let Some(id) = posted.raw(Field::RequestId) {
                    session.cancel(id);
                }
            }
            // Boxed: few requests are this one.
            "notifications/roots/list_changed" => {
                Box::pin(self.roots_changed(posting, posted, session)).await;
            }
            _ => {}
        }
    }

    /// The upstreams that were told of this client's roots on links of its own, and that it says
    /// when they change, hear it as it was said.
    async fn roots_changed(&self, posting: &Posting, posted: &Posted, session: &Session) {
        let told = declared_by(session.opening());
        if !told.has(CapSet::ROOTS_CHANGED) {
            return;
        }
        let (tenant, holder) = (posting.principal.tenant().id(), posting.principal.key());
        let (own, narrow) = (session.id().text(), narrow(&posting.principal));
        let links = {
            let policy = self.tenant(&posting.principal).policy();
            self.pool.ready_where(|key| {
                let principal = key.principal.as_deref();
                key.tenant == Some(tenant)
                    && (principal == Some(own.as_str()) || principal == Some(holder.as_str()))
                    && key.capabilities == told
                    && policy.reaches(&posting.door, narrow, &key.upstream)
            })
        };
        for link in links.into_iter().filter(|link| link.facts().era == Era::Legacy) {
            if let Err(error) = link.send(posted.body().clone()).await {
                tracing::debug!(upstream = %error.upstream, %error, "a change of roots was not taken");
            }
        }
    }

    /// GET: the stream on which a session hears what belongs to no request, a new one in the
    /// place of the old; or, with `Last-Event-ID`, the rest of the stream that was cut there. For
    /// a request whose answer an earlier process had begun, that is the word that it broke off.
    pub async fn stream(self: &Arc<Self>, posting: &Posting) -> Outcome {
        let mut record = Record::of_head(self, posting, "GET").listens();
        let (request, answer) = match self.open_stream(posting, &mut record).await {
            Ok((feed, request)) => (request, Ok(Answer::ok(Body::Events(feed)))),
            Err(fault) => (None, Err(fault)),
        };
        let answer = record.settled(answer).await;
        let (id, tool) = request.unwrap_or_else(|| ("null".to_owned(), false));
        Outcome { id: id.into(), era: Era::Legacy, tool, answer }
    }

    async fn open_stream(
        self: &Arc<Self>,
        posting: &Posting,
        record: &mut Record,
    ) -> Result<(Feed, Option<(String, bool)>), Fault> {
        let id = header(&posting.headers, &SESSION).ok_or_else(no_session_header)?;
        let session = self.find_session(posting, id).await?;
        record.of_session(&session);
        let ends = [posting.principal.ended().clone(), session.ended().clone()];
        let quirks = client_quirks(&self.config(), &session.opening().client_info);
        let keep_alive = quirks.and_then(|quirks| quirks.keep_alive);
        let last = header(&posting.headers, &LAST_EVENT);
        let (back, unknown) = match last.map(|event| session.resume(event)) {
            Some(Return::To(back)) => (back, false),
            // It must not take the place of the stream that belongs to no request.
            Some(Return::Ended) => {
                let request = last.and_then(|event| session.broken_off(event));
                let request = request.ok_or_else(no_such_stream)?;
                let tally = Tally::default();
                return Ok((Feed { events: broken_off(), ends, keep_alive, tally }, Some(request)));
            }
            // Whoever names an event that nobody knows has missed what came after it.
            Some(Return::Unknown) => (session.open_general(), true),
            None => (session.open_general(), false),
        };
        let (events, lost) = (back.events, back.gap || unknown);
        if let Some(request) = back.request {
            let tally = Tally::default();
            return Ok((Feed { events, ends, keep_alive, tally }, Some(request)));
        }
        let tenant = self.tenant(&posting.principal);
        tenant.warm_up(self, &posting.principal, &posting.door);
        let listed = tenant.outlets().add_session(&posting.principal, &posting.door, &session);
        if lost || (last.is_some() && !listed) {
            look_again(&session);
        }
        Ok((Feed { events, ends, keep_alive, tally: Tally::default() }, None))
    }

    /// DELETE: ends a session.
    ///
    /// # Errors
    /// When the session is unknown.
    pub async fn terminate(self: &Arc<Self>, posting: &Posting) -> Result<Answer, Fault> {
        let mut record = Record::of_head(self, posting, "DELETE");
        let answer = self.end_own_session(posting, &mut record).await;
        record.settled(answer).await
    }

    async fn end_own_session(
        self: &Arc<Self>,
        posting: &Posting,
        record: &mut Record,
    ) -> Result<Answer, Fault> {
        let id = header(&posting.headers, &SESSION).ok_or_else(no_session_header)?;
        let session = self.find_session(posting, id).await?;
        record.of_session(&session);
        record.sent();
        let line = self.clone();
        KeepGoing::new(&self.tasks, async move {
            // Before it leaves the table: nobody takes it up in between.
            line.ledger.bury([&session]);
            if line.sessions.end(&session) {
                line.forget(&session).await;
            }
            if !line.ledger.settle().await {
                let sentence = "The session has ended, but the store could not note it yet; it is tried further";
                return Err(Fault::client(Kind::Busy, sentence));
            }
            Ok(Answer { status: 200, ..Answer::accepted() })
        })
        .await
    }

    async fn set_level(&self, posted: &Posted, session: &Arc<Session>) -> Result<Answer, Fault> {
        let level = posted.string(Field::Level).and_then(|level| Level::parse(&level));
        let level = level.ok_or_else(|| {
            let given = posted.raw(Field::Level).unwrap_or("nothing");
            let sentence = format!("`params.level` is no log level: {given:.40}");
            Fault::client(Kind::InvalidParams, sentence)
        })?;
        if session.level() != Some(level) {
            session.set_level(level);
            self.keep_state(session).await;
        }
        Ok(Answer::result(posted.id_text(), "{}"))
    }

    /// What was changed in a session must be there after a kill, so the answer waits for the disk;
    /// a store that fails costs only that.
    pub(super) async fn keep_state(&self, session: &Arc<Session>) {
        if !self.ledger.keep(session).await {
            tracing::warn!("a change of a session is not in the store yet");
        }
    }
}

/// What upstreams are told of a session's client.
fn declared_by(opening: &Opening) -> CapSet {
    let others = opening.capabilities.and(CapSet::APPS.with(CapSet::ROOTS_CHANGED));
    opening.capabilities.questions_of(opening.revision).with(others)
}

fn no_such_stream() -> Fault {
    Fault::client(
        Kind::HttpMethod("POST, GET, DELETE"),
        "The call of this `Last-Event-ID` has ended and its stream is no longer kept",
    )
}

/// The stream that ends a call which was under way when the proxy ended.
fn broken_off() -> mpsc::Receiver<Item> {
    let (sender, events) = mpsc::channel(1);
    let sentence = "The proxy was restarted while it worked on this. The request may have been executed; check \
                    before you repeat it.";
    // The queue is new and empty.
    let _ = sender.try_send(Err(Box::new(Fault::upstream(Retry::MayHaveRun, sentence))));
    events
}

fn no_session_header() -> Fault {
    Fault::client(
        Kind::HttpMethod("POST, GET, DELETE"),
        "This needs the `Mcp-Session-Id` header of a session",
    )
}
