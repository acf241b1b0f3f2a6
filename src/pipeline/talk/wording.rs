//! How a question of an upstream is worded for a client.

use crate::bridge::{Asks, BridgeError, Question, Toward};
use crate::namespace::{Recipient, ShiftedEdits, UriWay, falls_back, rewrite_result};
use crate::wire::Edits;
use crate::wire::json::may_hold;

/// The changes that word a question of an upstream for whom it is put to. What a model is shown
/// names resources as the client knows them (R84), in content that it knows.
pub(in crate::pipeline) fn worded(
    question: &Question,
    params: &str,
    toward: Toward,
    upstream: &str,
    recipient: Recipient<'_>,
) -> Result<Edits, BridgeError> {
    let mut edits = question.worded(params, upstream, toward, "")?;
    let way = UriWay::Messages;
    let public = recipient.upstream.is_some() && may_hold(params, "uri");
    if question.asks == Asks::Model && (public || falls_back(way, recipient.revision, None)) {
        let mut part = ShiftedEdits { edits: &mut edits, base: 0 };
        rewrite_result(way, params, recipient, &mut part)?;
    }
    Ok(edits)
}
