//! The end of every request: one record in the audit, one count, its spans, and for what goes to an
//! upstream one line in the log. A record goes with whatever ends the request, a body or a
//! conversation included, and ends with it.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

use super::admit::Admitted;
use super::answer::{Answer, Body};
use super::line::Line;
use super::result::Ready;
use super::serve::{Posting, header};
use crate::audit::{self, AuditError, Client, Event, Heard, Kept, Mask, Outcome, Ran};
use crate::auth::Denied;
use crate::base::{Fault, Kind, Name, Retry, Side, now, unix_millis};
use crate::credential::Armed;
use crate::namespace::Plan;
use crate::session::Session;
use crate::telemetry::metrics::UpstreamMeter;
use crate::telemetry::{CallLine, Ended, Trace, meters};
use crate::upstream::Lease;
use crate::wire::{Called, Era, Field, Method, NameKind, Posted, PostedKind, Route};

/// Longest `clientInfo` of an `initialize` that is looked at.
const CLIENT_INFO: usize = 512;
/// Longest name of an upstream's tool or resource that is kept for the log.
const NAME: usize = 200;

/// A request on its way to its end. No arguments are in what it leaves behind.
#[derive(Debug)]
pub(super) struct Record {
    line: Arc<Line>,
    started: Instant,
    /// None when it has ended, and for what is no decision.
    event: Option<Box<Event>>,
    /// It was given to the upstream, or is just being given.
    sent: bool,
    /// It leaves a line in the log.
    logged: bool,
    /// It is a stream on which a client listens until it leaves.
    listens: bool,
    /// What came of it when it is dropped.
    dropped: Outcome,
    /// What a call holds until it has ended.
    admitted: Option<Admitted>,
    method: Option<&'static Method>,
    /// The counts of the upstream that has it.
    meter: Option<Arc<UpstreamMeter>>,
    /// The upstream that it was meant for, when that has failed too early to know more.
    aimed: Option<Name>,
    trace: Option<Arc<Trace>>,
}

impl Record {
    fn new(line: &Arc<Line>, event: Option<Box<Event>>) -> Self {
        Self {
            line: line.clone(),
            started: now(),
            event,
            sent: false,
            logged: false,
            listens: false,
            dropped: Outcome::Abandoned,
            admitted: None,
            method: None,
            meter: None,
            aimed: None,
            trace: None,
        }
    }

    /// Of a message; one that decides nothing leaves no record.
    pub(super) fn of(line: &Arc<Line>, posting: &Posting, posted: &Posted, era: Era) -> Self {
        let method = match &posted.called {
            Called::Known(method) => Some(*method),
            Called::Unknown(_) => None,
        };
        let route = method.map(|method| method.route);
        let silent = route == Some(Route::Local) && posted.called.name() == "ping";
        if posted.kind != PostedKind::Request || silent {
            return Self::new(line, None);
        }
        let mut event = begun(line, posting);
        event.method = match &posted.called {
            Called::Known(method) => Cow::Borrowed(method.name),
            Called::Unknown(name) => Cow::Owned(name.clone()),
        };
        event.bytes_in = posted.body().len() as u64;
        if line.audit.is_some() {
            event.posted = audit::Posted::keep(posted.body());
            event.posted.name = posted.field(Field::Name).or_else(|| posted.field(Field::Uri));
            event.posted.arguments = posted.field(Field::Arguments);
            event.posted.meta = posted.field(Field::Meta);
            event.traceparent = traceparent(posting);
            if era == Era::Modern {
                event.client = Client::InRequest;
            } else if let Some(info) = posted.raw(Field::ClientInfo)
                && info.len() <= CLIENT_INFO
            {
                event.client = Client::Info(info.into());
            }
        }
        let trace = line.trace(posting, posted);
        if let Some(trace) = &trace {
            event.traceparent = Some(trace.own().text().into());
        }
        let mut record = Self::new(line, Some(event));
        record.listens = route == Some(Route::Listen);
        record.method = method;
        record.trace = trace;
        record
    }

    /// Of a request that is no message of MCP, or of a body that is none.
    pub(super) fn of_head(line: &Arc<Line>, posting: &Posting, method: &'static str) -> Self {
        let mut event = begun(line, posting);
        event.method = Cow::Borrowed(method);
        event.bytes_in = posting.body.len() as u64;
        event.traceparent = traceparent(posting);
        Self::new(line, Some(event))
    }

    /// It belongs to this session.
    pub(super) fn of_session(&mut self, session: &Session) {
        if let Some(event) = &mut self.event {
            event.client = Client::Info(session.opening().client_info.clone());
        }
    }

    /// It is a stream on which a client listens.
    pub(super) fn listens(mut self) -> Self {
        self.listens = true;
        self
    }

    /// It goes to an upstream, so that the log has a line of it.
    pub(super) fn logged(mut self) -> Self {
        self.logged = true;
        self
    }

    /// It is known where it goes.
    pub(super) fn planned(&mut self, plan: &Plan, method: &Method) {
        let Some(event) = &mut self.event else { return };
        let original = plan.shared_original();
        event.upstream = Some(plan.upstream().name.clone());
        event.original = Some(if original.len() <= NAME {
            original.clone()
        } else {
            original[..original.floor_char_boundary(NAME)].into()
        });
        event.is_tool = method.route == Route::Name(NameKind::Tool);
        if let Some(audit) = &self.line.audit {
            event.heard = audit.hears(event);
        }
    }

    /// With these credentials, which no body may show.
    pub(super) fn armed(&mut self, armed: &Arc<Armed>) {
        if let Some(heard) = self.heard() {
            heard.mask_with(Arc::new(Hidden(armed.clone())));
        }
    }

    /// This goes to the client.
    fn hear(&mut self, bytes: &[u8]) {
        if let Some(heard) = self.heard() {
            heard.hear(bytes);
        }
    }

    fn heard(&mut self) -> Option<&mut Heard> {
        self.event.as_mut()?.heard.as_deref_mut()
    }

    /// The trace that it belongs to.
    pub(super) fn trace(&self) -> Option<Arc<Trace>> {
        self.trace.clone()
    }

    /// It was meant for this upstream, of which nothing is known.
    pub(super) fn aimed_at(&mut self, upstream: Option<Name>) {
        self.aimed = upstream;
    }

    /// It is under way at the upstream of this link.
    pub(super) fn leased(&mut self, lease: &Lease) {
        if self.meter.is_none() && self.event.is_some() {
            lease.meter().begin();
            self.meter = Some(lease.meter().clone());
        }
    }

    /// Keeps what the call holds until it has ended.
    pub(super) fn admitted(&mut self, admitted: Admitted) {
        self.admitted = Some(admitted);
    }

    /// From now on it may have run.
    pub(super) fn sent(&mut self) {
        self.sent = true;
        if let Some(trace) = &self.trace {
            trace.sent(self.started.elapsed());
        }
    }

    /// What came of it when nothing more is said about it.
    pub(super) fn if_dropped(&mut self, outcome: Outcome) {
        self.dropped = outcome;
    }

    /// So many bytes went to the client.
    pub(super) fn add(&mut self, bytes: usize) {
        if let Some(event) = &mut self.event {
            event.bytes_out += bytes as u64;
        }
    }

    /// Ends it with an answer. An answer that goes on takes the record along.
    pub(super) async fn settled(mut self, answer: Result<Answer, Fault>) -> Result<Answer, Fault> {
        let mut answer = answer;
        let kept = match &mut answer {
            Ok(Answer { body: Body::Passing(passing), .. }) => {
                passing.tally = Tally::of(self);
                return answer;
            }
            Ok(Answer { body: Body::Events(feed), .. }) => {
                feed.tally = Tally::of(self);
                return answer;
            }
            Ok(answer) => {
                match &answer.body {
                    Body::Json(bytes) => self.hear(bytes),
                    Body::Pieces(pieces) => pieces.iter().for_each(|piece| self.hear(piece)),
                    _ => {}
                }
                let (outcome, bytes) = match &answer.body {
                    Body::Empty if answer.status == 202 => (Outcome::Cancelled, 0),
                    Body::Json(bytes) => (answered(answer), bytes.len()),
                    Body::Pieces(pieces) => (answered(answer), pieces.iter().map(Bytes::len).sum()),
                    _ => (Outcome::Ok, 0),
                };
                self.add(bytes);
                let ran = if outcome == Outcome::Cancelled { self.perhaps() } else { Ran::Yes };
                self.end(outcome, ran, None)
            }
            Err(fault) => self.failed(fault),
        };
        match kept {
            // Boxed: nobody waits unless the file says so.
            Some(kept) => Box::pin(hold(kept, answer)).await,
            None => answer,
        }
    }

    /// Ends it with the last message of a conversation.
    pub(super) async fn said(mut self, last: Result<Ready, Fault>) -> Result<Ready, Fault> {
        let kept = match &last {
            Ok(ready) => {
                self.hear(&ready.bytes);
                self.add(ready.bytes.len());
                let failed = ready.failed || ready.status != 200;
                self.end(if failed { Outcome::Error } else { Outcome::Ok }, Ran::Yes, None)
            }
            Err(fault) => self.failed(fault),
        };
        match kept {
            Some(kept) => Box::pin(hold(kept, last)).await,
            None => last,
        }
    }

    /// Ends it with a refusal that nothing waits for.
    pub(super) fn refused(mut self, fault: &Fault) {
        // Nothing ran that would have to wait for its record.
        drop(self.failed(fault));
    }

    fn failed(&mut self, fault: &Fault) -> Option<Kept> {
        let ran = match fault.retry {
            Retry::Safe => Ran::No,
            Retry::MayHaveRun => Ran::MayHave,
            Retry::Never => self.perhaps(),
        };
        self.end(outcome(&fault.kind), ran, Some(fault))
    }

    fn perhaps(&self) -> Ran {
        if self.sent { Ran::MayHave } else { Ran::No }
    }

    fn end(&mut self, outcome: Outcome, ran: Ran, fault: Option<&Fault>) -> Option<Kept> {
        let mut event = self.event.take()?;
        if let Some(admitted) = self.admitted.take() {
            admitted.spend(event.bytes_in + event.bytes_out);
        }
        event.outcome = outcome;
        event.ran = ran;
        let took = self.started.elapsed();
        event.ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        if outcome.is_error() {
            let upstream = event.upstream.as_ref().or(self.aimed.as_ref());
            self.line.troubles.note((event.tenant, &event.tenant_name), upstream, outcome, fault);
        }
        self.count(&event, took);
        if let Some(calls) = self.line.calls.as_ref().filter(|_| self.logged) {
            calls.write(&CallLine {
                tenant: event.tenant_name.as_str(),
                key: event.key.as_ref().map_or("", |key| key.as_str()),
                method: &event.method,
                upstream: event.upstream.as_ref().map(|upstream| upstream.as_str()),
                name: event.original.as_deref().unwrap_or_default(),
                outcome: outcome.as_str(),
                ms: event.ms,
                bytes_in: event.bytes_in,
                bytes_out: event.bytes_out,
                reason: fault.map(|fault| fault.private.as_deref().unwrap_or(&fault.public)),
            });
        }
        self.line.audit.as_ref()?.record(event)
    }
}

impl Record {
    /// Counts it, and leaves its spans.
    fn count(&mut self, event: &Event, took: Duration) {
        let (outcome, bytes) = (event.outcome as usize, (event.bytes_in, event.bytes_out));
        // How long a client listens says nothing about how fast anybody is.
        let lasted = (!self.listens).then_some(took);
        if let Some(meter) = self.meter.take() {
            meter.leave();
            meter.end(self.method, outcome, lasted, bytes);
        } else if let Some(upstream) = event.upstream.as_ref().or(self.aimed.as_ref()) {
            // It did not get as far as a link.
            meters().upstream(upstream).end(self.method, outcome, lasted, bytes);
        } else {
            meters().end_own(self.method, outcome, lasted, bytes);
        }
        if let (Some(trace), Some(tracer)) = (self.trace.take(), &self.line.tracer) {
            let named = |kind| match self.method?.route {
                Route::Name(named) if named == kind => event.original.clone(),
                _ => None,
            };
            let ended = Ended {
                method: event.method.clone(),
                tenant: event.tenant_name.clone(),
                upstream: event.upstream.clone().or_else(|| self.aimed.take()),
                tool: named(NameKind::Tool),
                prompt: named(NameKind::Prompt),
                outcome: event.outcome.as_str(),
                failed: event.outcome.is_error(),
                took,
            };
            tracer.end(trace, ended);
        }
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        if self.event.is_some() {
            let outcome = if self.listens { Outcome::Closed } else { self.dropped };
            // Nobody is there who could wait.
            drop(self.end(outcome, self.perhaps(), None));
        }
    }
}

/// Takes a tenant's credentials out of what is kept.
struct Hidden(Arc<Armed>);

impl Mask for Hidden {
    fn mask<'t>(&self, text: &'t str, is_cut: bool) -> Cow<'t, str> {
        if is_cut { self.0.redact_cut(text) } else { self.0.redact(text) }
    }
}

/// How an answer that went on has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// All of it went to the client.
    Complete,
    /// The same, and it said that it failed.
    Failed,
    /// The upstream broke off.
    Broken,
    /// The key or the session ended.
    Ended,
    /// The client left.
    Left,
}

/// What goes along with an answer that goes on, counts it, and ends the request with it.
#[derive(Debug, Default)]
pub struct Tally(Option<Box<Record>>);

impl Tally {
    fn of(record: Record) -> Self {
        Self(Some(Box::new(record)))
    }

    /// So many bytes more went to the client.
    pub fn add(&mut self, bytes: usize) {
        if let Some(record) = &mut self.0 {
            record.add(bytes);
        }
    }

    /// What went to the client; `add` counts it.
    pub fn hear(&mut self, bytes: &[u8]) {
        if let Some(record) = &mut self.0 {
            record.hear(bytes);
        }
    }

    /// It is over; only the first word counts.
    pub fn end(&mut self, end: End) {
        let Some(mut record) = self.0.take() else { return };
        let outcome = match end {
            End::Ended => Outcome::Ended,
            End::Broken => Outcome::Broken,
            _ if record.listens => Outcome::Closed,
            End::Complete => Outcome::Ok,
            End::Failed => Outcome::Error,
            End::Left => Outcome::Abandoned,
        };
        // What waits for the disk is what can still be held back.
        drop(record.end(outcome, Ran::Yes, None));
    }
}

impl Drop for Tally {
    fn drop(&mut self) {
        self.end(End::Left);
    }
}

impl Line {
    /// Waits for room in the audit.
    pub(super) async fn audit_room(&self) -> Result<(), Fault> {
        let Some(audit) = &self.audit else { return Ok(()) };
        let room = audit.room().await;
        room.inspect_err(|_| meters().deny(audit::Denial::Unrecorded as usize)).map_err(|error| Fault {
            kind: Kind::Busy,
            side: Side::Proxy,
            retry: Retry::Safe,
            public: "The proxy cannot write down what it does at the moment, so it does nothing; try again soon"
                .into(),
            private: Some(error.to_string()),
            cause: None,
        })
    }

    /// Records that a door refused a request of somebody whose key is good.
    pub fn note_refused(self: &Arc<Self>, posting: &Posting, fault: &Fault) {
        Record::of_head(self, posting, "POST").refused(fault);
    }

    /// Counts somebody who was not let in.
    pub fn note_denied(&self, denied: &Denied) {
        let denial = match denied {
            Denied::NoKey => audit::Denial::NoKey,
            Denied::Malformed | Denied::Token(_) => audit::Denial::Malformed,
            Denied::Unknown
            | Denied::Wrong
            | Denied::TenantNeeded
            | Denied::UnknownTenant
            | Denied::OtherTenant => audit::Denial::Unknown,
            Denied::Revoked | Denied::Expired | Denied::NoTenant => audit::Denial::Ended,
            Denied::Unavailable(_) => audit::Denial::Unchecked,
        };
        meters().deny(denial as usize);
        if let Some(audit) = &self.audit {
            audit.deny(denial);
        }
    }
}

/// Holds an answer back until its record is on disk.
async fn hold<T>(kept: Kept, answer: Result<T, Fault>) -> Result<T, Fault> {
    let Err(error) = kept.wait().await else { return answer };
    answer.and_then(|_| Err(unrecorded(&error)))
}

fn unrecorded(error: &AuditError) -> Fault {
    let public = "The request was executed, but its record did not reach the disk in time, so its answer is \
                  withheld; check before you repeat it";
    Fault {
        kind: Kind::Busy,
        side: Side::Proxy,
        retry: Retry::MayHaveRun,
        public: public.into(),
        private: Some(error.to_string()),
        cause: None,
    }
}

/// What is known of a request as soon as it is there.
fn begun(line: &Line, posting: &Posting) -> Box<Event> {
    let tenant = posting.principal.tenant();
    let key = Some(posting.principal.key());
    let mut event = Box::new(Event::new(unix_millis(), tenant.id(), tenant.name().clone(), key));
    event.asked_by(posting.principal.role(), posting.principal.key_name());
    event.door = posting.path.clone();
    event.policy = line.config().revision;
    event
}

fn traceparent(posting: &Posting) -> Option<Box<str>> {
    static TRACEPARENT: http::HeaderName = http::HeaderName::from_static("traceparent");
    header(&posting.headers, &TRACEPARENT).filter(|text| text.len() <= 64).map(Into::into)
}

fn answered(answer: &Answer) -> Outcome {
    if answer.failed || answer.status != 200 { Outcome::Error } else { Outcome::Ok }
}

fn outcome(kind: &Kind) -> Outcome {
    match kind {
        Kind::Upstream | Kind::UpstreamTimeout => Outcome::UpstreamFailed,
        Kind::NeedsSetup | Kind::NeedsLogin { .. } => Outcome::NeedsSetup,
        Kind::Internal => Outcome::Internal,
        Kind::Limited { .. } => Outcome::Limited,
        Kind::Busy => Outcome::Busy,
        _ => Outcome::Refused,
    }
}
