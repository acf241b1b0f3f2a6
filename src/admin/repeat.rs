//! Requests that name themselves (`Idempotency-Key`): one sent twice is carried out once, and the
//! second gets the answer of the first. What was answered is kept sealed, since it may hold a key.

use serde_json::{Value, json};

use super::answer::{Content, Reply};
use super::call::Call;
use super::problem::Problem;
use super::serve::Api;
use crate::base::unix_seconds;
use crate::store::Begun;

const HEADER: &str = "idempotency-key";
const PURPOSE: &str = "repeated answer";
/// Longest name.
const LONGEST: usize = 128;

/// A request that named itself and is carried out now.
#[derive(Debug)]
pub(super) struct Named {
    name: String,
    about: Vec<u8>,
}

/// What is to be done with a request.
pub(super) enum Turn {
    /// Carry it out; with a name when it has one.
    Fresh(Option<Named>),
    /// It was carried out before, and answered like this.
    Repeated(Reply),
}

/// Looks whether the call was made before.
pub(super) async fn begin(api: &Api, call: &Call) -> Result<Turn, Problem> {
    let Some(value) = call.headers.get(HEADER) else { return Ok(Turn::Fresh(None)) };
    let name = value.to_str().ok().filter(|name| {
        (1..=LONGEST).contains(&name.len()) && name.bytes().all(|c| c.is_ascii_graphic())
    });
    let name = name.ok_or_else(|| {
        Problem::Invalid(format!("`Idempotency-Key` is 1 to {LONGEST} visible characters"))
    })?;
    let tenant = call.caller.tenant().map(|tenant| tenant.id().to_string()).unwrap_or_default();
    // A token of the same key that may do less is not given what the key was.
    let may = format!("{} {}", call.caller.role(), call.caller.scopes());
    let parts = [call.path.as_bytes(), tenant.as_bytes(), may.as_bytes(), &call.body[..]];
    let digest = api.ring.digest("repeated request", &parts);
    let key = call.caller.key();
    let named = Named { name: name.to_owned(), about: format!("{key}/{name}").into_bytes() };
    match api.stores.repeats.begin(key, named.name.clone(), digest, unix_seconds()).await? {
        Begun::Fresh => Ok(Turn::Fresh(Some(named))),
        Begun::Answered(sealed) => {
            let text = api.ring.open_handle(PURPOSE, &named.about, &sealed)?;
            let kept: Value = serde_json::from_slice(&text)
                .map_err(|error| Problem::Internal(error.to_string()))?;
            Ok(Turn::Repeated(opened(&kept)))
        }
        Begun::Running => Err(Problem::Conflict(
            "a request of this `Idempotency-Key` has begun and its end is not known; look whether it \
             was carried out, then take another key"
                .to_owned(),
        )),
        Begun::Other => Err(Problem::Conflict(
            "another request had this `Idempotency-Key`; take a new one for each request".to_owned(),
        )),
        Begun::TooMany => Err(Problem::Conflict(
            "this key has named 1,000 requests within a day, which is the most; leave \
             `Idempotency-Key` out, or wait"
                .to_owned(),
        )),
    }
}

/// What is kept of an answer.
pub(super) fn kept(reply: &Reply) -> Value {
    json!({
        "status": reply.status, "body": reply.value(), "etag": reply.etag, "location": reply.location,
    })
}

/// Keeps what a named request was answered; one that was refused may be tried again.
pub(super) async fn end(api: &Api, call: &Call, named: Named, kept: Option<Value>) {
    let sealed = kept.and_then(|kept| {
        api.ring.seal_handle(PURPOSE, &named.about, kept.to_string().as_bytes()).ok()
    });
    let key = call.caller.key();
    if let Err(error) = api.stores.repeats.finish(key, named.name, sealed).await {
        tracing::warn!(%error, "the answer to a named request is not kept");
    }
}

fn opened(kept: &Value) -> Reply {
    let text = |name: &str| kept[name].as_str().map(str::to_owned);
    let status = kept["status"].as_u64().and_then(|status| u16::try_from(status).ok());
    Reply {
        status: status.unwrap_or(200),
        body: Some(kept["body"].clone()).filter(|body| !body.is_null()).map(Content::Value),
        etag: text("etag"),
        location: text("location"),
        repeated: true,
    }
}
