//! Clients that cannot be mended: what the file says of them (`client_quirks`), found by the name
//! in their `clientInfo`.

use std::borrow::Cow;
use std::sync::Arc;

use super::answer::{Answer, Body};
use crate::base::Fault;
use crate::config::{ClientQuirks, Config};
use crate::wire::json::{CLIENT_DEPTH, JsonError, Reader};

/// The entry about a client; `info` is its `clientInfo` as JSON text. Where the file has no
/// entries nothing is read.
pub(super) fn client_quirks(config: &Config, info: &str) -> Option<Arc<ClientQuirks>> {
    let quirks = &config.server.client_quirks;
    if quirks.is_empty() {
        return None;
    }
    let mut name = None;
    Reader::new(info, CLIENT_DEPTH)
        .object::<JsonError>(|reader, key| {
            if key.is("name") && reader.peek()? == b'"' {
                name = reader.string()?.decode().map(Cow::into_owned);
                return Ok(());
            }
            reader.value().map(drop)
        })
        .ok()?;
    let name = name?;
    quirks.iter().find(|entry| entry.fits(&name)).cloned()
}

/// An answer as this client needs it.
pub(super) fn suit(
    answer: Result<Answer, Fault>,
    quirks: Option<&ClientQuirks>,
) -> Result<Answer, Fault> {
    let mut answer = answer?;
    if let (Body::Events(feed), Some(quirks)) = (&mut answer.body, quirks) {
        feed.keep_alive = quirks.keep_alive;
    }
    Ok(answer)
}
