//! `-32042`: a legacy upstream wants the user to visit a URL before the call is made. A modern client
//! is asked in its own way and sends the call once more (protocol.md 3.2, R79).

use super::conversation::Talk;
use crate::base::{Fault, Retry, unix_seconds};
use crate::bridge::{BridgeError, Carried, Inner, Purpose, Question, Responses, Toward};
use crate::namespace::Plan;
use crate::pipeline::call::Caller;
use crate::pipeline::compose::Carry;
use crate::pipeline::result::{Ready, garbage, undeclared, wants_visits};
use crate::pipeline::state::{TTL, refused};
use crate::upstream::Message;
use crate::wire::json::{Reader, UPSTREAM_DEPTH, quote};
use crate::wire::{CapSet, Edits, Era, Field, Posted};

/// Visits that one error may ask for.
const MOST: usize = 16;

impl Talk {
    /// True for an error that asks for visits, of a client that does not know it.
    pub(super) fn wants_visits(&self, message: &Message) -> bool {
        wants_visits(&self.asked, message)
    }

    /// Such an error as `input_required`.
    pub(in crate::pipeline) fn visits(&self, message: &Message) -> Result<Ready, Fault> {
        if !self.caller.takes(self.method).has(CapSet::ELICIT_URL) {
            return Err(undeclared(&self.asked, CapSet::ELICIT_URL));
        }
        let broken = |error: BridgeError| garbage(&self.asked, &error.to_string());
        let text = message.param("data").ok_or_else(|| broken(BridgeError::Shape("no `data`")))?;
        let mut entries = Vec::new();
        let mut keys = Vec::new();
        let upstream = self.asked.upstream.name.as_str();
        Reader::new(text, UPSTREAM_DEPTH)
            .object::<BridgeError>(|reader, key| {
                if !key.is("elicitations") {
                    return Ok(reader.value().map(drop)?);
                }
                reader.array::<BridgeError>(|reader| {
                    let params = &text[reader.value()?];
                    let question = Question::visit(params)?;
                    if keys.len() >= MOST {
                        return Err(BridgeError::TooMany(MOST));
                    }
                    let toward = Toward::Modern { from: Era::Legacy };
                    let edits: Edits = question.worded(params, upstream, toward, "")?;
                    let worded = edits.apply(&bytes::Bytes::copy_from_slice(params.as_bytes()));
                    let key = format!("u{}", keys.len() + 1);
                    entries.push(format!(
                        "{}:{{\"method\":{},\"params\":{}}}",
                        quote(&key),
                        quote(question.method()),
                        String::from_utf8_lossy(&worded)
                    ));
                    keys.push(key);
                    Ok(())
                })?;
                Ok(())
            })
            .map_err(broken)?;
        if keys.is_empty() {
            return Err(broken(BridgeError::Shape("no elicitation")));
        }
        let carried = Carried { expires: unix_seconds() + TTL, inner: Inner::Resend(keys) };
        let request = (self.method, &self.plan);
        let state = self.line.seal_state(
            &self.caller,
            &self.posted,
            request,
            (Purpose::Resend, &carried),
        )?;
        Ok(required(&self.asked.id, &format!("{{{}}}", entries.join(",")), &state))
    }
}

/// An `input_required` result of our own; everything as JSON text.
pub(super) fn required(id: &str, requests: &str, state: &str) -> Ready {
    let text = format!(
        "{{\"jsonrpc\":\"2.0\",\"id\":{id},\"result\":{{\"resultType\":\"input_required\",\
         \"inputRequests\":{requests},\"requestState\":{state}}}}}"
    );
    Ready { status: 200, bytes: text.into(), failed: false }
}

/// The client is back from its visits: the call is made once more, since it failed before (a
/// missing answer is asked for again by that), unless the user did not want to go.
pub(in crate::pipeline) fn visited(
    caller: &Caller,
    posted: &Posted,
    plan: &Plan,
    keys: &[String],
) -> Result<Carry, Fault> {
    debug_assert!(caller.era == Era::Modern, "only modern clients carry states");
    let text = posted.raw(Field::InputResponses).unwrap_or("{}");
    let answers = Responses::read(text).map_err(|_| refused())?;
    for key in keys {
        let Some(answer) = answers.get(text, key) else { continue };
        let answer: serde_json::Value = serde_json::from_str(answer).map_err(|_| refused())?;
        if answer["action"] != "accept" {
            return Err(Fault::upstream(
                Retry::Never,
                format!(
                    "Upstream `{}` needs a visit to a page first, and the user did not want that. The request was \
                     not executed.",
                    plan.upstream().name
                ),
            ));
        }
    }
    Ok(Carry::Own(None, None))
}
