//! Lists in pages. A cursor is sealed for the key, tenant and path that it was made for, so that
//! anybody else's is an unknown one.

use serde_json::{Value, json};

use super::call::Call;
use super::problem::Problem;
use super::serve::Api;

const PURPOSE: &str = "page";
/// Entries of a page when nothing is said.
const USUAL: usize = 50;
/// Most entries of a page.
pub(super) const MOST: usize = 200;

/// One entry: what it is sorted by, which is unique, and what is shown.
pub(super) type Entry = (String, Value);

/// How many entries the call asks for.
pub(super) fn limit(call: &Call) -> Result<usize, Problem> {
    match call.query("limit") {
        None => Ok(USUAL),
        Some(text) => match text.parse() {
            Ok(limit) if (1..=MOST).contains(&limit) => Ok(limit),
            _ => Err(Problem::Invalid(format!("`limit` is a number from 1 to {MOST}"))),
        },
    }
}

/// The place behind which the page begins.
pub(super) fn after(api: &Api, call: &Call) -> Result<Option<String>, Problem> {
    let Some(cursor) = call.query("cursor") else { return Ok(None) };
    let after = api.ring.open_handle(PURPOSE, &about(call), cursor);
    let after = after.map_err(|_| unknown_cursor())?;
    String::from_utf8(after).map(Some).map_err(|_| unknown_cursor())
}

/// The cursor of what comes behind this place.
pub(super) fn cursor(api: &Api, call: &Call, place: &str) -> Result<String, Problem> {
    Ok(api.ring.seal_handle(PURPOSE, &about(call), place.as_bytes())?)
}

pub(super) fn unknown_cursor() -> Problem {
    Problem::Invalid("this cursor is unknown; list again without one".to_owned())
}

/// The page of `entries` that the call asks for, as `{"items": […], "next": …}`.
pub(super) fn page(api: &Api, call: &Call, entries: Vec<Entry>) -> Result<Value, Problem> {
    let (items, next) = cut(api, call, entries)?;
    Ok(json!({ "items": items, "next": next }))
}

/// The entries of the page that the call asks for, and the cursor of the next one.
pub(super) fn cut<T>(
    api: &Api,
    call: &Call,
    mut entries: Vec<(String, T)>,
) -> Result<(Vec<T>, Option<String>), Problem> {
    let limit = limit(call)?;
    entries.sort_unstable_by(|(one, _), (two, _)| one.cmp(two));
    if let Some(after) = after(api, call)? {
        entries.retain(|(place, _)| *place > after);
    }
    let more = entries.len() > limit;
    entries.truncate(limit);
    let next = match entries.last() {
        Some((last, _)) if more => Some(cursor(api, call, last)?),
        _ => None,
    };
    Ok((entries.into_iter().map(|(_, value)| value).collect(), next))
}

/// Whose cursor it is.
fn about(call: &Call) -> Vec<u8> {
    let tenant = call.caller.tenant().map(|tenant| tenant.id().to_string()).unwrap_or_default();
    format!("{}/{tenant}{}", call.caller.key(), call.path).into_bytes()
}
