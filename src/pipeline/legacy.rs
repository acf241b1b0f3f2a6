//! The sessionful era: `initialize`, and what a session may send (protocol.md 1.9).

use std::sync::Arc;

use super::answer::{Answer, Feed, Outcome};
use super::call::Caller;
use super::keep_going::KeepGoing;
use super::line::{Line, server_info};
use super::list::Reader;
use super::modern::capabilities;
use super::quirk::{client_quirks, suit};
use super::serve::{Posting, accepted, header};
use crate::base::{Fault, Kind};
use crate::bridge::Reply;
use crate::session::{Level, Opening, Session};
use crate::wire::header::{SESSION, VERSION};
use crate::wire::json::quote;
use crate::wire::{
    Called, CapSet, Era, Field, Method, NameKind, Posted, PostedKind, Revision, Route,
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
                tenant: posting.principal.tenant().id(),
                key: posting.principal.key(),
                door: posting.path.clone(),
                revision,
                capabilities: client,
                client_info: client_info.into(),
            })
            .ok_or_else(|| {
                Fault::client(Kind::Busy, "There are too many sessions; try again later")
            })?;
        let tenant = self.tenant(&posting.principal);
        tenant.warm_up(self, &posting.principal, &posting.door);
        let view = tenant.known_view(&posting.door);
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
        answer.session = Some(session.id().text());
        Ok(answer)
    }

    /// Finds the session of a request and judges the version header (R44, R47).
    pub(super) fn find_session(&self, posting: &Posting, id: &str) -> Result<Arc<Session>, Fault> {
        let principal = &posting.principal;
        let session = self
            .sessions
            .find(id, &principal.tenant().id(), &principal.key(), &posting.path)
            .ok_or_else(|| {
                Fault::client(Kind::UnknownSession, "Session not found; send `initialize` again")
            })?;
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
        posting: Posting,
        posted: Posted,
        id: String,
        session: Arc<Session>,
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
                self.notification(&posted, &session);
                accepted(id, Era::Legacy)
            }
            PostedKind::Request => {
                let method = match &posted.called {
                    Called::Known(method) if method.known_to(Era::Legacy) => *method,
                    called => {
                        let sentence = format!("Method not found: {:.80}", called.name());
                        let answer = Err(Fault::client(Kind::UnknownMethod, sentence));
                        return Outcome { id, era: Era::Legacy, tool: false, answer };
                    }
                };
                let tool = method.route == Route::Name(NameKind::Tool);
                let quirks = client_quirks(&self.config, &session.opening().client_info);
                let cap = quirks.and_then(|quirks| quirks.result_cap);
                let answer = self.legacy_request(posting, posted, method, session, cap).await;
                let answer = suit(answer, quirks);
                Outcome { id, era: Era::Legacy, tool, answer }
            }
        }
    }

    async fn legacy_request(
        self: &Arc<Self>,
        posting: Posting,
        posted: Posted,
        method: &'static Method,
        session: Arc<Session>,
        result_cap: Option<usize>,
    ) -> Result<Answer, Fault> {
        match method.route {
            Route::Local if method.name == "ping" => Ok(Answer::result(posted.id_text(), "{}")),
            Route::Local => set_level(&posted, &session),
            Route::List(kind) => {
                let opening = session.opening();
                let reader = Reader::new(opening.revision, opening.capabilities);
                Box::pin(self.list(&posting, &posted, Era::Legacy, reader, kind)).await
            }
            Route::Subscribe { on } => {
                Box::pin(self.subscribe(&posting, &posted, &session, on)).await
            }
            Route::Name(_) | Route::Uri | Route::Reference | Route::Skill | Route::Directory => {
                let opening = session.opening();
                let apps = opening.capabilities.and(CapSet::APPS);
                let caller = Caller {
                    principal: posting.principal,
                    door: posting.door,
                    era: Era::Legacy,
                    level: session.level(),
                    declares: opening.capabilities.questions_of(opening.revision).with(apps),
                    tasks: false,
                    session: Some(session),
                    headers: None,
                    result_cap,
                };
                let line = self.clone();
                KeepGoing::new(&self.tasks, async move { line.call(caller, posted, method).await })
                    .await
            }
            Route::Listen | Route::Notification | Route::Task(_) => Err(Fault::client(
                Kind::UnknownMethod,
                format!("Method not found: {}", method.name),
            )),
        }
    }

    fn notification(&self, posted: &Posted, session: &Arc<Session>) {
        if posted.called.name() == "notifications/cancelled"
            && let Some(id) = posted.raw(Field::RequestId)
        {
            session.cancel(id);
        }
    }

    /// GET: the stream on which a session hears what belongs to no request. A new one takes the
    /// place of the old.
    ///
    /// # Errors
    /// When the session is unknown.
    pub fn stream(self: &Arc<Self>, posting: &Posting) -> Result<Feed, Fault> {
        let id = header(&posting.headers, &SESSION).ok_or_else(no_session_header)?;
        let session = self.find_session(posting, id)?;
        let tenant = self.tenant(&posting.principal);
        tenant.warm_up(self, &posting.principal, &posting.door);
        let mut feed = tenant.outlets().open_session(&posting.principal, &posting.door, &session);
        let quirks = client_quirks(&self.config, &session.opening().client_info);
        feed.keep_alive = quirks.and_then(|quirks| quirks.keep_alive);
        self.listen_for(&posting.principal);
        Ok(feed)
    }

    /// DELETE: ends a session.
    ///
    /// # Errors
    /// When the session is unknown.
    pub async fn terminate(self: &Arc<Self>, posting: &Posting) -> Result<Answer, Fault> {
        let id = header(&posting.headers, &SESSION).ok_or_else(no_session_header)?;
        let session = self.find_session(posting, id)?;
        self.sessions.end(&session);
        self.forget(&session).await;
        Ok(Answer { status: 200, ..Answer::accepted() })
    }
}

fn no_session_header() -> Fault {
    Fault::client(Kind::HttpMethod, "This needs the `Mcp-Session-Id` header of a session")
}

fn set_level(posted: &Posted, session: &Session) -> Result<Answer, Fault> {
    let level = posted.string(Field::Level).and_then(|level| Level::parse(&level));
    let level = level.ok_or_else(|| {
        let given = posted.raw(Field::Level).unwrap_or("nothing");
        Fault::client(Kind::InvalidParams, format!("`params.level` is no log level: {given:.40}"))
    })?;
    session.set_level(level);
    Ok(Answer::result(posted.id_text(), "{}"))
}
