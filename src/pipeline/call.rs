//! One request for one upstream: name → plan → credentials → link → message → answer. Each step
//! consumes what the step before gave.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderMap;

use super::answer::Answer;
use super::compose::{Carry, compose, refuse_held};
use super::finish::Record;
use super::line::Line;
use super::login::{shown, was_asked};
use super::modern::unknown;
use super::out::finish_early;
use super::quick::QUIET;
use super::relay::{Asked, Relayed, relay};
use super::scope::narrow;
use super::state::refused;
use super::talk::{Talk, visited};
use super::task::{Tasked, unknown as unknown_task};
use crate::auth::Principal;
use crate::base::{Fault, Kind, Name, Retry};
use crate::bridge::Inner;
use crate::config::Upstream;
use crate::namespace::{Door, Plan, View};
use crate::policy::{Hidden, Permit};
use crate::session::{Cast, Level, Running, Session};
use crate::telemetry::Trace;
use crate::upstream::{Asker, Cause, Lease, LinkError, Outgoing, Ran, Reply};
use crate::wire::json::{CLIENT_DEPTH, JsonError, Reader};
use crate::wire::{CapSet, Era, Field, IdText, MetaKey, Method, NameKind, Posted, Route, Skills};

/// A client that has a stream has at least this long to take the last event.
const LAST_WORD: Duration = Duration::from_secs(30);

/// Why an upstream failed that wants another login.
const REFUSED: &str = Cause::Login.as_str();

/// Who asks, and what the answer must respect.
#[derive(Debug)]
pub(super) struct Caller {
    pub(super) principal: Principal,
    pub(super) door: Door,
    pub(super) era: Era,
    /// The least severe log message that the caller wants; `None` in the modern era means none.
    pub(super) level: Option<Level>,
    /// Which questions it can be asked, and whether it shows MCP Apps.
    pub(super) declares: CapSet,
    /// It takes tasks for answers to tools; only in the modern era.
    pub(super) tasks: bool,
    /// In the legacy era.
    pub(super) session: Option<Arc<Session>>,
    /// The call as its session knows it; taken out when it begins.
    pub(super) running: Option<Arc<Running>>,
    /// In the modern era: the caller's own `Mcp-Param-*` are held against the body.
    pub(super) headers: Option<HeaderMap>,
    /// Largest result in bytes that the file says this client takes.
    pub(super) result_cap: Option<usize>,
    /// The trace that the call belongs to, when somebody wants traces.
    pub(super) trace: Option<Arc<Trace>>,
}

impl Caller {
    /// Which questions of an upstream it can be asked while this method runs: in the modern era
    /// only three methods may ask (R31).
    pub(super) fn takes(&self, method: &Method) -> CapSet {
        let may = self.era == Era::Legacy || may_ask(method);
        if may { self.declares } else { CapSet::NONE }
    }

    /// Who waits for an answer, as links tell callers apart.
    pub(super) fn asker(&self) -> Asker {
        let tenant = self.principal.tenant().id();
        match &self.session {
            Some(session) => Asker::new(&(tenant, session.id())),
            None => Asker::new(&(tenant, self.principal.key())),
        }
    }
}

/// `tools/call`, `prompts/get` and `resources/read`.
pub(super) fn may_ask(method: &Method) -> bool {
    matches!(method.route, Route::Name(_) | Route::Uri)
}

impl Line {
    /// Takes a request to the upstream that owns what it names, and brings the answer back.
    pub(super) async fn call(
        self: &Arc<Self>,
        mut caller: Box<Caller>,
        posted: Box<Posted>,
        method: &'static Method,
        record: Record,
    ) -> Result<Answer, Fault> {
        let running = caller.running.take().or_else(|| {
            caller.session.as_ref().map(|session| Arc::new(session.begin(posted.id_text())))
        });
        let mut early = None;
        // Whether its user can be led to a page, and has not turned that down.
        let visits = caller.takes(method).has(CapSet::ELICIT_URL)
            && (caller.era == Era::Legacy || was_asked(&posted) != Some(false));
        // Taken by whatever goes on with the call on its own.
        let mut record = Some(record.logged());
        let answer = match &running {
            Some(running) => {
                tokio::select! {
                    answer = self.execute(caller, posted, method, &mut record, Some(running), &mut early) => answer,
                    // The client wants nothing more for this id: not even an error.
                    () = running.cancelled().cancelled() => Ok(Answer::accepted()),
                }
            }
            None => self.execute(caller, posted, method, &mut record, None, &mut early).await,
        };
        let answer = answer.map_err(|fault| shown(fault, visits));
        let answer = match record {
            Some(record) => record.settled(answer).await,
            None => answer,
        };
        match early {
            None => answer,
            // Its client has a stream already, and hears there what it came to.
            Some(early) => {
                Box::pin(finish_early(early, answer, LAST_WORD)).await;
                Ok(Answer::accepted())
            }
        }
    }

    async fn execute(
        self: &Arc<Self>,
        caller: Box<Caller>,
        posted: Box<Posted>,
        method: &'static Method,
        record: &mut Option<Record>,
        running: Option<&Arc<Running>>,
        early: &mut Option<Cast>,
    ) -> Result<Answer, Fault> {
        let planned = self.plan(&caller, &posted, method).await;
        let mut plan = planned.inspect_err(|fault| {
            if let Some(record) = record
                && matches!(fault.kind, Kind::Upstream | Kind::NeedsSetup)
            {
                record.aimed_at(self.owner(&caller, &posted, method));
            }
        })?;
        let permit = self.permit(&caller, &posted, method, &plan)?;
        if let Some(record) = record {
            record.planned(&plan, method);
        }
        refuse_held(&posted, &plan)?;
        let admitted = self.admit_call(&caller.principal, method, &plan).await?;
        if let Some(record) = record {
            record.admitted(admitted);
        }
        let mut armed = self.arm(&caller.principal, permit).await?;
        if let Some(record) = record {
            record.armed(&armed);
        }
        let mut carry = Carry::AsItIs;
        if caller.era == Era::Modern
            && may_ask(method)
            && posted.field(Field::RequestState).is_some()
        {
            let opened = self.open_state(&caller, &posted, (method, &plan))?;
            match opened.map(|carried| carried.inner) {
                Some(Inner::Park { boot, id, round }) => {
                    let place = (boot, id, round);
                    return Box::pin(self.come_back(&caller, &posted, method, place, record)).await;
                }
                Some(Inner::Resend(keys)) => carry = visited(&caller, &posted, &plan, &keys)?,
                Some(Inner::Pass(state)) => carry = Carry::State(state),
                None => {}
            }
        }
        if caller.era == Era::Modern && was_asked(&posted).is_some() {
            // That was between the client and us.
            carry = Carry::Own(None, None);
        }
        let mut again = true;
        loop {
            let lease = match self.call_link(&caller, plan.upstream(), &armed).await {
                Err(fault) if again && armed.bearer().is_some() && fault.cause == Some(REFUSED) => {
                    again = false;
                    let permit = self.permit(&caller, &posted, method, &plan)?;
                    armed = self.arm(&caller.principal, permit).await?;
                    continue;
                }
                lease => lease?,
            };
            if let Some(record) = record {
                record.leased(&lease);
            }
            let facts = lease.facts();
            if method.route == Route::Reference && !facts.can("completions") {
                let sentence = format!("Upstream `{}` completes nothing", plan.upstream().name);
                return Err(Fault::client(Kind::UnknownMethod, sentence));
            }
            if matches!(method.route, Route::Task(_)) && facts.era != Era::Modern {
                // The upstream that has it is another one by now.
                return Err(unknown_task());
            }
            if !has_skills(method, &facts.capabilities) {
                return Err(unknown(method.name));
            }
            if caller.level.is_some() {
                Box::pin(self.raise_level(&caller, plan.upstream(), &lease)).await;
            }
            if matches!(carry, Carry::State(_)) && facts.era != Era::Modern {
                // The upstream that gave it is another one by now.
                return Err(refused());
            }
            let outgoing = compose(&caller, &posted, method, &plan, &armed, facts.era, &carry)?;
            if let Some(record) = record {
                record.sent();
            }
            let reply = match running.filter(|_| self.may_be_slow(&caller, method, &plan)) {
                Some(running) => {
                    Box::pin(self.request_slowly(
                        &lease,
                        outgoing,
                        (&caller.principal, running),
                        &plan,
                        early,
                    ))
                    .await
                }
                None => lease.request(outgoing).await,
            };
            match &reply {
                // It has only begun; `relay` sees how it ends.
                Ok(Reply::Exchange(_)) => {}
                // It certainly did not arrive, so that it may be sent once more.
                Err(LinkError { cause: Cause::Gone, ran: Ran::No, .. }) if again => {
                    again = false;
                    continue;
                }
                // It was refused for its token, before anything was executed.
                Err(LinkError { cause: Cause::Login, ran: Ran::No, .. })
                    if again && armed.bearer().is_some() =>
                {
                    again = false;
                    let permit = self.permit(&caller, &posted, method, &plan)?;
                    armed = self.arm(&caller.principal, permit).await?;
                    continue;
                }
                reply => lease.report(reply.as_ref().map(drop)),
            }
            let asked = Asked {
                id: IdText::new(posted.id_text()),
                token: posted.meta_raw(MetaKey::ProgressToken).map(str::to_owned),
                era: caller.era,
                level: caller.level,
                method,
                tasked: Tasked::of(&caller, &posted, method, &plan, facts.era),
                upstream: plan.upstream().clone(),
                armed: armed.clone(),
                upstream_era: facts.era,
                merged: plan.merged(),
                principal: caller.principal.clone(),
                session: caller.session.clone(),
                result_cap: caller.result_cap,
            };
            // Who comes without headers reads answers whole, in the modern era.
            let may_pass =
                early.is_none() && (caller.era == Era::Legacy || caller.headers.is_some());
            match relay(asked, lease, reply?, may_pass).await {
                Ok(Relayed::Done(answer)) => return Ok(answer),
                Ok(Relayed::Talk(rest)) => {
                    let (asked, lease, turn) = *rest;
                    let (line, running) = (self.clone(), running.cloned());
                    let talk = Box::new(Talk {
                        line,
                        caller,
                        posted,
                        method,
                        plan,
                        armed,
                        asked,
                        lease,
                        running,
                        progress: None,
                    });
                    return Box::pin(talk.go_on(turn, early.take(), record.take())).await;
                }
                // The upstream's tool wants other headers than its list said: once more with a
                // new list. It refused before executing anything (SEP-2243).
                Err(fault) if again && matches!(fault.kind, Kind::HeaderMismatch) => {
                    again = false;
                    let tenant = self.tenant(&caller.principal);
                    let apps = caller.declares.has(CapSet::APPS);
                    Box::pin(tenant.reload(self, &caller.principal, plan.upstream(), apps)).await;
                    plan = self.plan(&caller, &posted, method).await?;
                    self.permit(&caller, &posted, method, &plan)?;
                    refuse_held(&posted, &plan)?;
                }
                Err(fault) if matches!(fault.kind, Kind::HeaderMismatch) => {
                    return Err(Fault::upstream(Retry::Never, fault.public));
                }
                Err(fault) => return Err(fault),
            }
        }
    }

    /// True for a tool that is not known to answer at once, called by a client that takes a stream
    /// which begins without a message.
    fn may_be_slow(&self, caller: &Caller, method: &Method, plan: &Plan) -> bool {
        method.route == Route::Name(NameKind::Tool)
            && caller.session.as_ref().is_some_and(|session| session.takes_early_streams())
            && !self.quick.has(&plan.upstream().name, plan.original())
    }

    /// Sends a request whose answer may take a while: then its client gets a stream that it can
    /// come back to when its connection is cut.
    async fn request_slowly(
        &self,
        lease: &Lease,
        outgoing: Outgoing,
        (principal, running): (&Principal, &Arc<Running>),
        plan: &Plan,
        early: &mut Option<Cast>,
    ) -> Result<Reply, LinkError> {
        let request = lease.request(outgoing);
        tokio::pin!(request);
        if early.is_some() {
            return request.await;
        }
        let reply = tokio::time::timeout(QUIET, request.as_mut()).await;
        let quick = match &reply {
            Ok(Ok(Reply::Message(_) | Reply::Json { .. })) => Some(true),
            // It has only begun, or has failed: that says nothing about the tool.
            Ok(Ok(Reply::Exchange(_)) | Err(_)) => None,
            Err(_) => Some(false),
        };
        if let Some(quick) = quick {
            self.quick.note(&plan.upstream().name, plan.original(), quick);
        }
        match reply {
            Ok(reply) => reply,
            Err(_) => {
                let (cast, events) = Cast::begin(running.session(), running.id(), true);
                *early = Some(cast);
                running.answer_early((events, principal.ended().clone()));
                request.await
            }
        }
    }

    /// Asks the policy. What it hides looks like what is not there.
    fn permit<'p>(
        &self,
        caller: &Caller,
        posted: &Posted,
        method: &Method,
        plan: &'p Plan,
    ) -> Result<Permit<'p>, Fault> {
        let permit = self.policy().may(plan, &caller.door, narrow(&caller.principal));
        permit.map_err(|Hidden| match named(posted, method) {
            Ok((_, name)) => absent(method, &name),
            Err(fault) => fault,
        })
    }

    /// The upstream that the prefix of a name points at.
    fn owner(&self, caller: &Caller, posted: &Posted, method: &Method) -> Option<Name> {
        let Route::Name(_) = method.route else { return None };
        let name = required(posted, Field::Name, "name").ok()?;
        let tenant = self.tenant(&caller.principal);
        let apps = caller.declares.has(CapSet::APPS);
        let view = tenant.known_view_for(&caller.principal, &caller.door, apps);
        view.owner(&name).map(|owner| owner.name.clone())
    }

    /// Finds who owns what the request names. A name that is not known may be new: the list of
    /// the upstream that its prefix points at is read once more before it is refused.
    async fn plan(
        self: &Arc<Self>,
        caller: &Caller,
        posted: &Posted,
        method: &Method,
    ) -> Result<Plan, Fault> {
        let tenant = self.tenant(&caller.principal);
        let apps = caller.declares.has(CapSet::APPS);
        let (principal, door) = (&caller.principal, &caller.door);
        let view = tenant.known_view_for(principal, door, apps);
        if let Route::Task(_) = method.route {
            return self.task_plan(caller, posted);
        }
        let (kind, name) = named(posted, method)?;
        if method.route == Route::Name(NameKind::Tool)
            // Some clients write `null` for no arguments.
            && posted.raw(Field::Arguments).is_some_and(|a| !a.starts_with('{') && a != "null")
        {
            return Err(Fault::client(Kind::InvalidParams, "`params.arguments` is not an object"));
        }
        let look = |view: &View| match kind {
            Some(kind) => view.name(kind, &name),
            None => view.uri(&name),
        };
        let found = look(&view);
        // The list says what else must be sent along, and which templates a URI can come from.
        let by_list = |plan: &Plan| method.route == Route::Name(NameKind::Tool) || !plan.judged();
        let unread = |plan: &Plan| {
            let shelf = tenant.shelf_for(plan.upstream().name.as_str(), apps);
            by_list(plan) && shelf.is_some_and(|shelf| !shelf.loaded())
        };
        match found {
            Some(plan) if !unread(&plan) => Ok(plan),
            Some(plan) => {
                // Without a list the call goes as it is, and the upstream itself answers.
                let plan = Box::pin(self.look_again(caller, plan.upstream(), &look)).await;
                plan.ok_or_else(|| absent(method, &name))
            }
            None => {
                let owner = match kind {
                    Some(_) => view.owner(&name).cloned(),
                    None => None,
                };
                match owner {
                    Some(owner) => {
                        let found = if tenant.may_be_new(self, owner.name.as_str(), apps) {
                            Box::pin(self.look_again(caller, &owner, &look)).await
                        } else {
                            look(&tenant.known_view_for(principal, door, apps))
                        };
                        if let Some(plan) = found {
                            return Ok(plan);
                        }
                        // Nothing is known of what it has: the reason is the better answer.
                        let shelf = tenant.shelf_for(owner.name.as_str(), apps);
                        if shelf.is_some_and(|shelf| !shelf.loaded()) {
                            self.house_link(&caller.principal, &owner).await?;
                        }
                        Err(absent(method, &name))
                    }
                    None => {
                        let view = Box::pin(tenant.view(self, principal, door, apps)).await;
                        look(&view).ok_or_else(|| absent(method, &name))
                    }
                }
            }
        }
    }

    /// Looks once the list of an upstream was read again.
    async fn look_again(
        self: &Arc<Self>,
        caller: &Caller,
        upstream: &Upstream,
        look: &(dyn Fn(&View) -> Option<Plan> + Sync),
    ) -> Option<Plan> {
        let tenant = self.tenant(&caller.principal);
        let apps = caller.declares.has(CapSet::APPS);
        // What was waited for may be replaced meanwhile: the file may change more than once.
        for _ in 0..4 {
            let shelf = tenant.reload(self, &caller.principal, upstream, apps).await;
            if let Some(plan) = look(&tenant.known_view_for(&caller.principal, &caller.door, apps))
            {
                return Some(plan);
            }
            if !shelf.is_some_and(|shelf| shelf.is_retired()) {
                break;
            }
        }
        None
    }
}

/// What a request names.
fn named<'p>(
    posted: &'p Posted,
    method: &Method,
) -> Result<(Option<NameKind>, Cow<'p, str>), Fault> {
    match method.route {
        Route::Name(kind) => Ok((Some(kind), required(posted, Field::Name, "name")?)),
        Route::Uri | Route::Skill | Route::Directory => {
            Ok((None, required(posted, Field::Uri, "uri")?))
        }
        _ => reference(posted),
    }
}

/// False for a method of skills when the upstream has not announced it.
fn has_skills(method: &Method, capabilities: &str) -> bool {
    let needed = match method.route {
        Route::Skill => Skills::Listed,
        Route::Directory => Skills::Directories,
        _ => return true,
    };
    Skills::announced(capabilities) >= needed
}

/// The same text for what is not there and what may not be seen.
fn absent(method: &Method, name: &str) -> Fault {
    match method.route {
        Route::Name(NameKind::Tool) => {
            Fault::client(Kind::UnknownName, format!("Unknown tool: {name:.200}"))
        }
        Route::Name(NameKind::Prompt) => {
            Fault::client(Kind::UnknownName, format!("Unknown prompt: {name:.200}"))
        }
        Route::Skill | Route::Directory => {
            Fault::client(Kind::InvalidParams, format!("Resource not found: {name:.200}"))
        }
        _ => Fault::client(
            Kind::UnknownResource(name.to_owned()),
            format!("Resource not found: {name:.200}"),
        ),
    }
}

fn required<'p>(posted: &'p Posted, field: Field, name: &str) -> Result<Cow<'p, str>, Fault> {
    let text = posted.string(field);
    text.filter(|text| !text.contains('\0')).ok_or_else(|| {
        Fault::client(Kind::InvalidParams, format!("`params.{name}` is missing or no text"))
    })
}

/// What `params.ref` of a completion names.
fn reference(posted: &Posted) -> Result<(Option<NameKind>, Cow<'_, str>), Fault> {
    let wrong =
        || Fault::client(Kind::InvalidParams, "`params.ref` names neither a prompt nor a resource");
    let raw = posted.raw(Field::Ref).ok_or_else(wrong)?;
    let (mut name, mut uri) = (None, None);
    let mut reader = Reader::new(raw, CLIENT_DEPTH);
    reader
        .object::<JsonError>(|reader, key| {
            let slot = if key.is("name") {
                &mut name
            } else if key.is("uri") {
                &mut uri
            } else {
                return reader.value().map(drop);
            };
            if slot.is_some() {
                return Err(JsonError::Duplicate(reader.position()));
            }
            *slot = reader.string()?.decode();
            Ok(())
        })
        .map_err(|_| wrong())?;
    match (name, uri) {
        (Some(name), None) => Ok((Some(NameKind::Prompt), name)),
        (None, Some(uri)) => Ok((None, uri)),
        _ => Err(wrong()),
    }
}
