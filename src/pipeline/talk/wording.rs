//! How a question of an upstream is worded for a client.

use crate::bridge::{Asks, BridgeError, Question, Toward};
use crate::namespace::{ShiftedEdits, UriWay, rewrite_result_uris};
use crate::wire::Edits;

/// The changes that word a question of an upstream; `merged`: the client knows names with the
/// upstream's before them. What a model is shown names resources as the client knows them (R84).
pub(in crate::pipeline) fn worded(
    question: &Question,
    params: &str,
    toward: Toward,
    (upstream, merged): (&str, bool),
) -> Result<Edits, BridgeError> {
    let mut edits = question.worded(params, upstream, toward, "")?;
    if merged && question.asks == Asks::Model && params.contains("uri") {
        let mut part = ShiftedEdits { edits: &mut edits, base: 0 };
        rewrite_result_uris(UriWay::Messages, params, upstream, &mut part)?;
    }
    Ok(edits)
}
