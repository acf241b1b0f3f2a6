//! `input_required` of a modern upstream for a modern client: passed on with our own state, which
//! holds the upstream's (protocol.md 3.2, MM).

use super::conversation::Talk;
use crate::base::{Fault, unix_seconds};
use crate::bridge::{BridgeError, Carried, Inner, InputRequired, Purpose, Toward};
use crate::pipeline::result::{Ready, garbage, is_question, undeclared};
use crate::pipeline::state::TTL;
use crate::upstream::Message;
use crate::wire::{Edits, Era, Place};

impl Talk {
    /// True for a result that asks something first.
    pub(super) fn asks(&self, message: &Message) -> bool {
        is_question(&self.asked, message)
    }

    /// Such a result, in the words of a modern client.
    pub(in crate::pipeline) fn required(&self, message: &Message) -> Result<Ready, Fault> {
        let text = message.text();
        let payload = message.inbound.payload.clone().unwrap_or(0..0);
        let result = &text[payload.clone()];
        let broken = |error: &BridgeError| garbage(&self.asked, &error.to_string());
        let found = InputRequired::read(result).map_err(|error| broken(&error))?;
        let lacking = found.needs().without(self.caller.declares);
        if found.needs() != found.needs().and(self.caller.declares) {
            return Err(undeclared(&self.asked, lacking));
        }
        let mut edits = Edits::default();
        if let Some(id) = message.inbound.id.clone() {
            edits.replace_id(id, self.asked.id.clone());
        }
        for entry in &found.entries {
            let Some(place) = entry.params.clone() else { continue };
            let base = payload.start + place.start;
            let params = &result[place];
            let toward = Toward::Modern { from: Era::Modern };
            let worded = self.worded(&entry.question, params, toward);
            edits.append(worded.map_err(|error| broken(&error))?, base);
        }
        let state = found.state.clone().map(|place| result[place].to_owned());
        let carried = Carried { expires: unix_seconds() + TTL, inner: Inner::Pass(state) };
        let request = (self.method, &self.plan);
        let sealed =
            self.line.seal_state(&self.caller, &self.posted, request, (Purpose::Pass, &carried))?;
        match found.state {
            Some(place) => {
                edits.replace(place.start + payload.start..place.end + payload.start, sealed);
            }
            // It has at least `resultType`.
            None => edits.insert(payload.end - 1, format!(",\"requestState\":{sealed}")),
        }
        // How long a result may be kept says nothing about a question (R12, R37).
        let parts = &message.inbound.result;
        let hints = [parts.ttl, parts.scope].into_iter().flatten();
        edits.remove_members(text, hints.map(Place::span));
        Ok(Ready { status: 200, bytes: edits.apply(&message.bytes), failed: false })
    }
}
