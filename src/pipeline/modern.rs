//! The stateless era: what every request must carry, and where it goes (protocol.md 1.1–1.6).

use std::sync::Arc;

use http::{HeaderMap, HeaderName};

use super::answer::{Answer, Outcome};
use super::call::Caller;
use super::finish::Record;
use super::keep_going::KeepGoing;
use super::line::{LIST_TTL_MS, Line, server_info};
use super::list::Reader;
use super::quirk::{client_quirks, suit};
use super::serve::{Carrier, Posting, accepted};
use crate::base::{Fault, Kind};
use crate::namespace::{View, decode_header};
use crate::session::Level;
use crate::wire::header::{METHOD, NAME, VERSION};
use crate::wire::json::quote;
use crate::wire::{
    Called, CapSet, Era, Extension, Field, IdText, MetaKey, Method, NameKind, Posted, PostedKind,
    Revision, Route, Skills,
};

impl Line {
    /// One message of the modern era.
    pub(super) async fn modern(
        self: &Arc<Self>,
        posting: Box<Posting>,
        posted: Box<Posted>,
        id: IdText,
        record: Record,
    ) -> Outcome {
        if posted.kind == PostedKind::Notification {
            // There is no session that it could concern; closing the stream is the cancellation.
            return accepted(id, Era::Modern);
        }
        let headers = (posting.carrier == Carrier::Http).then_some(&posting.headers);
        let (method, declares) = match judge(headers, &posted) {
            Ok(judged) => judged,
            Err(fault) => {
                let answer = record.settled(Err(fault)).await;
                return Outcome { id, era: Era::Modern, tool: false, answer };
            }
        };
        let tool = method.route == Route::Name(NameKind::Tool);
        if let Err(fault) = self.admit(&posting.principal) {
            let answer = record.settled(Err(fault)).await;
            return Outcome { id, era: Era::Modern, tool, answer };
        }
        let client = posted.meta_raw(MetaKey::ClientInfo).unwrap_or_default();
        let quirks = client_quirks(&self.config(), client);
        let answer = match method.route {
            Route::Local => {
                let answer = Ok(Box::pin(self.discover(&posting, &id)).await);
                record.settled(answer).await
            }
            Route::List(kind) => {
                let reader = Reader::new(Revision::LATEST_MODERN, declares);
                let list = self.list(&posting, &posted, Era::Modern, reader, kind);
                record.settled(Box::pin(list).await).await
            }
            Route::Listen => {
                let line = self.clone();
                // What is counted must be counted back, also when the client goes meanwhile.
                let work = async move {
                    let answer = line.listen(&posting, &posted, declares).await;
                    record.settled(answer).await
                };
                KeepGoing::new(&self.tasks, work).await
            }
            Route::Name(_)
            | Route::Uri
            | Route::Reference
            | Route::Skill
            | Route::Directory
            | Route::Task(_) => {
                let level =
                    posted.meta_string(MetaKey::LogLevel).and_then(|level| Level::parse(&level));
                let posting = *posting;
                let caller = Box::new(Caller {
                    principal: posting.principal,
                    door: posting.door,
                    era: Era::Modern,
                    level,
                    declares: declares.and(CapSet::QUESTIONS.with(CapSet::APPS)),
                    tasks: declares.has(CapSet::TASKS),
                    session: None,
                    running: None,
                    headers: (posting.carrier == Carrier::Http).then_some(posting.headers),
                    result_cap: quirks.as_ref().and_then(|quirks| quirks.result_cap),
                    trace: record.trace(),
                });
                match method.route {
                    Route::Task(_) => Box::pin(self.task(caller, posted, method, record)).await,
                    _ => self.call(caller, posted, method, record).await,
                }
            }
            Route::Subscribe { .. } | Route::Notification => {
                record.settled(Err(unknown(method.name))).await
            }
        };
        let answer = suit(answer, quirks.as_deref());
        Outcome { id, era: Era::Modern, tool, answer }
    }

    /// `server/discover`: answered here, whatever the upstreams do.
    async fn discover(self: &Arc<Self>, posting: &Posting, id: &str) -> Answer {
        let view = self.tenant(&posting.principal).known_view(&posting.principal, &posting.door);
        let instructions = view
            .instructions()
            .map_or_else(String::new, |text| format!("\"instructions\":{},", quote(&text)));
        Answer::result(
            id,
            &format!(
                "{{\"resultType\":\"complete\",\"supportedVersions\":[\"{}\"],\"capabilities\":{},{instructions}\
                 \"ttlMs\":{LIST_TTL_MS},\"cacheScope\":\"private\",\
                 \"_meta\":{{\"io.modelcontextprotocol/serverInfo\":{}}}}}",
                Revision::LATEST_MODERN.as_str(),
                capabilities(&view, Era::Modern),
                server_info(),
            ),
        )
    }
}

/// What the proxy offers whatever stands behind it: a fixed set, so that it cannot depend on
/// which upstream happened to be up (protocol.md 4.6). An empty list is legal. Skills alone are
/// announced when an upstream is known to have them: without one their methods do not exist.
pub(super) fn capabilities(view: &View, era: Era) -> String {
    let mut extensions = format!("\"{}\":{{}}", Extension::Apps.key());
    match view.skills() {
        Skills::None => {}
        skills => {
            let settings =
                if skills == Skills::Directories { "\"directoryRead\":true" } else { "" };
            extensions.push_str(&format!(",\"{}\":{{{settings}}}", Extension::Skills.key()));
        }
    }
    // Tasks of clients with sessions are followed for them: those are offered none.
    if era == Era::Modern {
        extensions.push_str(&format!(",\"{}\":{{}}", Extension::Tasks.key()));
    }
    // `logging` is declared because upstreams' messages are passed on.
    format!(
        "{{\"tools\":{{\"listChanged\":true}},\"prompts\":{{\"listChanged\":true}},\
         \"resources\":{{\"subscribe\":true,\"listChanged\":true}},\"completions\":{{}},\"logging\":{{}},\
         \"extensions\":{{{extensions}}}}}"
    )
}

pub(super) fn unknown(method: &str) -> Fault {
    Fault::client(Kind::UnknownMethod, format!("Method not found: {method:.80}"))
}

/// The rules that hold for every request (R3–R9): headers and body say the same, the version is
/// spoken, the method is known, the required `_meta` is there. Over a pipe there are no headers.
fn judge(headers: Option<&HeaderMap>, posted: &Posted) -> Result<(&'static Method, CapSet), Fault> {
    let version = posted.meta_string(MetaKey::ProtocolVersion).unwrap_or_default();
    must_match(headers, &VERSION, &version, false)?;
    must_match(headers, &METHOD, posted.called.name(), false)?;
    if Revision::parse(&version).is_none_or(|revision| revision.era() != Era::Modern) {
        let sentence = format!(
            "Protocol version {version:.40} is not spoken in this form; use {}, or `initialize` for 2024-11-05 to \
             2025-11-25",
            Revision::LATEST_MODERN.as_str()
        );
        return Err(Fault::client(Kind::UnsupportedVersion(version.into_owned()), sentence));
    }
    let method = match &posted.called {
        Called::Known(method) if method.known_to(Era::Modern) => *method,
        called => return Err(unknown(called.name())),
    };
    let capabilities = posted.meta_raw(MetaKey::ClientCapabilities);
    let Some(Ok(declares)) = capabilities.map(CapSet::read) else {
        let sentence = "`params._meta` lacks a valid `io.modelcontextprotocol/clientCapabilities`";
        return Err(Fault::client(Kind::MissingMeta, sentence));
    };
    if let Some(level) = posted.meta_raw(MetaKey::LogLevel)
        && posted.meta_string(MetaKey::LogLevel).and_then(|level| Level::parse(&level)).is_none()
    {
        return Err(Fault::client(Kind::InvalidParams, format!("{level:.40} is no log level")));
    }
    let named = match method.route {
        Route::Name(_) => Some((Field::Name, "name")),
        Route::Uri => Some((Field::Uri, "uri")),
        Route::Task(_) => Some((Field::TaskId, "taskId")),
        _ => None,
    };
    if let Some((field, member)) = named {
        let name = posted.string(field).ok_or_else(|| {
            Fault::client(Kind::InvalidParams, format!("`params.{member}` is missing or no text"))
        })?;
        // For tasks the extension asks the header of clients alone.
        if field != Field::TaskId || headers.is_some_and(|headers| headers.contains_key(&NAME)) {
            must_match(headers, &NAME, &name, true)?;
        }
    }
    Ok((method, declares))
}

fn must_match(
    headers: Option<&HeaderMap>,
    name: &HeaderName,
    expected: &str,
    encoded: bool,
) -> Result<(), Fault> {
    let Some(headers) = headers else { return Ok(()) };
    let mut values = headers.get_all(name).iter();
    let problem = match (values.next(), values.next()) {
        (None, _) => "is missing",
        (Some(_), Some(_)) => "stands twice",
        (Some(value), None) => {
            let same = if encoded {
                decode_header(value).is_some_and(|value| value == expected)
            } else {
                value == expected
            };
            if same {
                return Ok(());
            }
            "differs from the body"
        }
    };
    Err(Fault::client(Kind::HeaderMismatch, format!("Header `{name}` {problem}")))
}
