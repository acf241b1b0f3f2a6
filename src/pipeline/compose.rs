//! What a client wrote, changed into what the upstream is to read: the id and the progress token
//! become the hop's own, the public name becomes the upstream's, `_meta` gets the words of the
//! upstream's era, and the tenant's hidden arguments go in. All else stays as it came.

use std::borrow::Cow;

use super::call::Caller;
use super::task::Tasked;
use super::traced;
use crate::base::{Fault, Kind};
use crate::bridge::Responses;
use crate::config::Transport;
use crate::credential::Armed;
use crate::namespace::{ArgumentError, Plan, encode_header, first_sent, inject, parameter_headers};
use crate::upstream::Outgoing;
use crate::wire::json::{CLIENT_DEPTH, JsonError, Reader, Span, quote};
use crate::wire::{
    CapSet, Edits, Era, Extension, Field, Meta, MetaKey, Method, NameKind, Posted, Revision, Route,
};

/// What a request carries from one round of questions to the next.
#[derive(Debug, Clone, Default)]
pub(super) enum Carry {
    /// What the client wrote.
    #[default]
    AsItIs,
    /// The client's answers, and in the place of our state this one of the upstream, as JSON
    /// text; none when the upstream gave none (R34).
    State(Option<String>),
    /// These and nothing of the client's: `inputResponses` and `requestState` as JSON texts.
    Own(Option<String>, Option<String>),
}

/// Makes the message for an upstream of this era.
pub(super) fn compose(
    caller: &Caller,
    posted: &Posted,
    method: &'static Method,
    plan: &Plan,
    armed: &Armed,
    era: Era,
    carry: &Carry,
) -> Result<Outgoing, Fault> {
    if (caller.era, era) == (Era::Modern, Era::Legacy)
        && let Some(given) = posted.raw(Field::InputResponses)
        && !Responses::are_answers(given)
    {
        // The upstream never sees them, so nobody else can tell.
        let what = "`params.inputResponses` holds something that is no answer";
        return Err(Fault::client(Kind::InvalidParams, what));
    }
    let mut edits = Edits::default();
    if let Some(id) = posted.id() {
        edits.replace_with_id(id);
    }
    rename(posted, method, plan, &mut edits);
    // Members to add to `params`, which may be missing.
    let mut added = Vec::new();
    write_meta(caller, posted, method, era, &mut edits, &mut added);
    let as_task = Tasked::of(caller, posted, method, plan, era) == Tasked::Sent;
    write_carry(caller, posted, (era, as_task), carry, &mut edits, &mut added);
    write_arguments(caller, posted, plan, armed, &mut edits, &mut added)?;
    add_members(posted, &added, &mut edits);
    let (mut name, mut parameters) = (None, Vec::new());
    if let Some(tool) = plan.tool() {
        let arguments = posted.raw(Field::Arguments);
        parameters = parameter_headers(&tool.parameters, arguments, caller.headers.as_ref())
            .map_err(|error| argument_fault(&error))?;
    }
    if era == Era::Modern && matches!(plan.upstream().transport, Transport::Http { .. }) {
        let named = matches!(method.route, Route::Name(_) | Route::Uri | Route::Task(_));
        name = named.then(|| encode_header(plan.original()));
        parameters.extend(plan.tool().into_iter().flat_map(|tool| tool.headers.iter().cloned()));
    } else {
        parameters.clear();
    }
    let timing = &plan.upstream().timing;
    Ok(Outgoing {
        method,
        draft: edits.draft(posted.body()),
        name,
        parameters,
        timeout: timing.timeout,
        max_time: timing.max_time,
        // Only an upstream of the legacy era asks while it works.
        asker: (era == Era::Legacy).then(|| caller.asker()),
        takes: if era == Era::Legacy { caller.takes(method) } else { CapSet::NONE },
    })
}

fn argument_fault(error: &ArgumentError) -> Fault {
    let kind = match error {
        ArgumentError::NotObject => Kind::InvalidParams,
        ArgumentError::Mismatch(_) => Kind::HeaderMismatch,
    };
    Fault::client(kind, error.to_string())
}

fn rename(posted: &Posted, method: &Method, plan: &Plan, edits: &mut Edits) {
    // A task has another id at every door.
    if !plan.renamed() && !matches!(method.route, Route::Task(_)) {
        return;
    }
    let place = match method.route {
        Route::Name(_) => posted.field(Field::Name),
        Route::Uri | Route::Skill | Route::Directory => posted.field(Field::Uri),
        Route::Task(_) => posted.field(Field::TaskId),
        _ => {
            if let Some(reference) = posted.field(Field::Ref) {
                rename_reference(posted, &reference, plan, edits);
            }
            None
        }
    };
    if let Some(place) = place {
        edits.replace(place, quote(plan.original()));
    }
}

fn rename_reference(
    posted: &Posted,
    reference: &std::ops::Range<usize>,
    plan: &Plan,
    edits: &mut Edits,
) {
    let mut reader = Reader::new(posted.text(reference.clone()), CLIENT_DEPTH);
    // It was read when the plan was made.
    let _ = reader.object::<JsonError>(|reader, key| {
        let named = key.is("name") || key.is("uri");
        let value = reader.value()?;
        if named {
            edits.replace(
                value.start + reference.start..value.end + reference.start,
                quote(plan.original()),
            );
        }
        Ok(())
    });
}

/// Puts `added` at the end of `params`, or adds `params` itself.
fn add_members(posted: &Posted, added: &[String], edits: &mut Edits) {
    if added.is_empty() {
        return;
    }
    let members = added.join(",");
    match posted.params() {
        Some(params) => {
            let comma = if params.empty { "" } else { "," };
            edits.insert(params.span.end - 1, format!("{comma}{members}"));
        }
        None => {
            // The message is an object with at least `jsonrpc` in it.
            let end = posted.body().iter().rposition(|byte| *byte == b'}').unwrap_or_default();
            edits.insert(end, format!(",\"params\":{{{members}}}"));
        }
    }
}

/// `_meta` for the upstream's era: reserved keys belong to one hop, all others pass (R96).
fn write_meta(
    caller: &Caller,
    posted: &Posted,
    method: &Method,
    era: Era,
    edits: &mut Edits,
    added: &mut Vec<String>,
) {
    let meta = posted.params().and_then(|params| params.meta());
    let trace = caller.trace.as_ref().map(|trace| traced::write(trace, posted, edits));
    let trace = trace.unwrap_or_default();
    match (caller.era, era) {
        (Era::Legacy, Era::Legacy) => {
            if let Some(token) = meta.and_then(|meta| meta.get(MetaKey::ProgressToken)) {
                edits.replace_with_id(token);
            }
            match meta {
                Some(meta) => {
                    drop_baggage(posted, meta, edits);
                    begin_with(meta, &trace, edits);
                }
                None if trace.is_empty() => {}
                None => added.push(format!("\"_meta\":{{{}}}", trace.join(","))),
            }
        }
        (Era::Modern, Era::Modern) => {
            let Some(meta) = meta else { return };
            if let Some(token) = meta.get(MetaKey::ProgressToken) {
                edits.replace_with_id(token);
            }
            if let Some(place) = meta.get(MetaKey::ClientCapabilities) {
                reduce_capabilities(posted, &place, edits);
            }
            drop_baggage(posted, meta, edits);
            begin_with(meta, &trace, edits);
        }
        (Era::Modern, Era::Legacy) => {
            let Some(meta) = meta else { return };
            rebuild(meta, &trace, edits);
        }
        (Era::Legacy, Era::Modern) => {
            let mut own = modern_members(caller, method);
            own.extend(trace);
            match meta {
                Some(meta) => rebuild(meta, &own, edits),
                None => added.push(format!("\"_meta\":{{{}}}", own.join(","))),
            }
        }
    }
}

/// What a client remarks for its own servers is not for strangers; the trace itself passes (R96).
fn drop_baggage(posted: &Posted, meta: &Meta, edits: &mut Edits) {
    if let Some(place) = meta.get(MetaKey::Baggage) {
        edits.remove_members(posted.text(0..posted.body().len()), [place]);
    }
}

/// Puts members before those of `_meta`.
fn begin_with(meta: &Meta, members: &[String], edits: &mut Edits) {
    if members.is_empty() {
        return;
    }
    // `baggage` goes, and whoever is left wants a comma before itself.
    let alone = meta.members.iter().all(|(.., known)| *known == Some(MetaKey::Baggage));
    let comma = if alone { "" } else { "," };
    edits.insert(meta.span.start + 1, format!("{}{comma}", members.join(",")));
}

/// The reserved members that every request to a modern upstream carries, made from a session.
fn modern_members(caller: &Caller, method: &Method) -> Vec<String> {
    // Tasks of tools are followed for the client.
    let tool = method.route == Route::Name(NameKind::Tool);
    let tasks = if tool { CapSet::TASKS } else { CapSet::NONE };
    // The modern era has no notification of it.
    let declares = caller.declares.with(tasks).without(CapSet::ROOTS_CHANGED);
    let client_info =
        caller.session.as_ref().map_or("{}", |session| &session.opening().client_info);
    let mut members = vec![
        format!(
            "\"io.modelcontextprotocol/protocolVersion\":\"{}\"",
            Revision::LATEST_MODERN.as_str()
        ),
        format!("\"io.modelcontextprotocol/clientCapabilities\":{}", declares.to_json()),
    ];
    if client_info.len() > 2 {
        members.push(format!("\"io.modelcontextprotocol/clientInfo\":{client_info}"));
    }
    if let Some(level) = caller.level {
        members.push(format!("\"io.modelcontextprotocol/logLevel\":\"{}\"", level.as_str()));
    }
    members
}

/// Writes `_meta` anew: what is not reserved as it stands, the progress token as the hop's own,
/// and `own` members after them.
fn rebuild(meta: &Meta, own: &[String], edits: &mut Edits) {
    let mut first = true;
    let mut at = meta.span.start + 1;
    let comma = |first: &mut bool| if std::mem::replace(first, false) { "" } else { "," };
    for (key, value, known) in &meta.members {
        match known {
            None => {
                // From the end of what stands before to this key: white space and a comma.
                edits.replace(at..key.start, comma(&mut first));
            }
            Some(MetaKey::ProgressToken) => {
                edits.replace(at..key.start, comma(&mut first));
                edits.replace_with_id(value.clone());
            }
            Some(_) => edits.replace(at..value.end, ""),
        }
        at = value.end;
    }
    let mut tail = String::new();
    for member in own {
        tail.push_str(comma(&mut first));
        tail.push_str(member);
    }
    edits.replace(at..meta.span.end - 1, tail);
}

/// Takes out of the `ClientCapabilities` object at `place` what is not passed on: extensions that
/// the proxy does not carry (R94), and tasks. All else stays as it came.
fn reduce_capabilities(posted: &Posted, place: &Span, edits: &mut Edits) {
    let text = posted.text(place.clone());
    let mut gone = Vec::new();
    let mut note = |value: Span| gone.push(value.start + place.start..value.end + place.start);
    let mut reader = Reader::new(text, CLIENT_DEPTH);
    // It was read when the request was judged.
    let _ = reader.object::<JsonError>(|reader, key| {
        if key.is("extensions") && reader.peek()? == b'{' {
            return reader
                .object::<JsonError>(|reader, key| {
                    let carried = Extension::ALL.iter().any(|extension| key.is(extension.key()));
                    let value = reader.value()?;
                    if !carried {
                        note(value);
                    }
                    Ok(())
                })
                .map(drop);
        }
        let value = reader.value()?;
        if key.is("tasks") {
            note(value);
        }
        Ok(())
    });
    if !gone.is_empty() {
        edits.remove_members(posted.text(0..posted.body().len()), gone);
    }
}

/// The members with which a request goes on after questions. Only a modern client's own go to a
/// modern upstream; to all others they mean nothing.
fn write_carry(
    caller: &Caller,
    posted: &Posted,
    (era, as_task): (Era, bool),
    carry: &Carry,
    edits: &mut Edits,
    added: &mut Vec<String>,
) {
    // The client's own wish for a task means nothing: which calls become one is not its choice.
    let wish = posted.field(Field::Task).filter(|_| era == Era::Legacy);
    if as_task {
        match &wish {
            Some(place) if posted.text(place.clone()).starts_with('{') => {}
            Some(place) => edits.replace(place.clone(), "{}"),
            None => added.push("\"task\":{}".to_owned()),
        }
    }
    let wish = wish.filter(|_| !as_task);
    let body = || posted.text(0..posted.body().len());
    let ours = match (carry, caller.era, era) {
        (_, Era::Legacy, Era::Legacy) | (Carry::AsItIs, Era::Modern, Era::Modern) => {
            if wish.is_some() {
                edits.remove_members(body(), wish);
            }
            return;
        }
        (Carry::State(state), Era::Modern, Era::Modern) => {
            if let (Some(place), Some(state)) = (posted.field(Field::RequestState), state) {
                edits.replace(place, state.as_str());
                return;
            }
            [None, None]
        }
        (Carry::Own(responses, state), ..) => [
            responses.as_ref().map(|text| format!("\"inputResponses\":{text}")),
            state.as_ref().map(|text| format!("\"requestState\":{text}")),
        ],
        _ => [None, None],
    };
    let own_answers = matches!((carry, era), (Carry::State(_), Era::Modern));
    let answers = posted.field(Field::InputResponses).filter(|_| !own_answers);
    let gone = answers.into_iter().chain(posted.field(Field::RequestState)).chain(wish);
    edits.remove_members(body(), gone);
    added.extend(ours.into_iter().flatten());
}

/// Refuses arguments that the file holds back.
pub(super) fn refuse_held(posted: &Posted, plan: &Plan) -> Result<(), Fault> {
    let Some(tool) = plan.tool().filter(|tool| !tool.refused.is_empty()) else { return Ok(()) };
    let arguments = posted.raw(Field::Arguments).unwrap_or("{}");
    match first_sent(&tool.refused, arguments) {
        Some(name) => {
            let sentence =
                format!("`arguments.{name:.60}` is no argument of this tool; leave it out");
            Err(Fault::client(Kind::InvalidParams, sentence))
        }
        None => Ok(()),
    }
}

/// The tenant's hidden arguments, and those that the file pins.
fn write_arguments(
    caller: &Caller,
    posted: &Posted,
    plan: &Plan,
    armed: &Armed,
    edits: &mut Edits,
    added: &mut Vec<String>,
) -> Result<(), Fault> {
    let Some(tool) = plan.tool().filter(|tool| tool.fills_in()) else { return Ok(()) };
    let all = armed.arguments(Some(caller.principal.key()));
    let own = all
        .iter()
        .filter(|(name, _)| tool.takes(name))
        .map(|(name, value)| (name.as_str(), Cow::Owned(quote(value.expose()))));
    // A secret may have come since the list was made.
    let free = |name: &str| !(tool.open.contains(name) && all.iter().any(|(own, _)| own == name));
    let pinned = tool.pinned.iter().filter(|(name, _)| free(name));
    let pinned = pinned.map(|(name, json)| (name.as_str(), Cow::from(json)));
    let values: Vec<(&str, Cow<'_, str>)> = own.chain(pinned).collect();
    if values.is_empty() {
        return Ok(());
    }
    let text = std::str::from_utf8(posted.body()).unwrap_or_default();
    let object = inject(text, posted.field(Field::Arguments), &values, edits)
        .map_err(|error| argument_fault(&error))?;
    if let Some(object) = object {
        added.push(format!("\"arguments\":{object}"));
    }
    Ok(())
}
