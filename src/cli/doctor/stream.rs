//! Whether streams pass as they are: at once, unpacked, and with the key.

use std::time::Duration;

use super::finding::Findings;
use super::layer::unreached;
use super::public::{Public, initialize};
use super::wire::{Asked, CODINGS, Got, Wanted, WireError, coded};
use crate::base::Secret;

/// How long the beginning of a stream may take.
const BEGIN: Duration = Duration::from_secs(3);

impl Public<'_> {
    /// A stream must begin at once: what holds it back holds back every progress and question.
    pub(super) async fn stream(&self, key: &Secret, findings: &mut Findings) {
        let place = self.place("/mcp");
        let bearer = format!("Bearer {}", key.expose());
        let asked = Asked::post(initialize("doctor"))
            .with("content-type", "application/json")
            .with("accept", "application/json, text/event-stream")
            .with("authorization", &bearer);
        let got = match self.ask("/mcp", &asked).await {
            Ok(got) => got,
            Err(error) => return unreached(&place, self.base, &error, findings),
        };
        if got.status == 401 {
            if self.own("/mcp", &asked).await.is_some_and(|own| own.status == 200) {
                findings.bad(
                    "authorization-lost",
                    &place,
                    "the key is refused through this URL, and taken by the listener itself",
                    (
                        "something in between takes the header Authorization out, or puts its own in",
                        "hand it on (Apache: `CGIPassAuth On`; nginx: no `proxy_set_header Authorization`), or \
                         switch off the login that stands in front",
                    ),
                );
                return;
            }
            let next = "give a key of this proxy: `mcp-proxy key create --tenant TENANT --name doctor`; or \
                 see whether something in between takes the header Authorization out";
            findings.bad("key-refused", &place, "the key is refused", ("", next));
            return;
        }
        if got.status != 200 {
            findings.bad(
                "session-refused",
                &place,
                format!("{} where 200 is due", got.status),
                ("", ""),
            );
            return;
        }
        let session = got.header("mcp-session-id").to_owned();
        // Its first event comes at once, whatever anybody does.
        let asked = Asked::get()
            .with("accept", "text/event-stream")
            .with("accept-encoding", CODINGS)
            .with("authorization", &bearer);
        let url = self.url("/sse");
        let begun = self.wire.ask(&url, &asked, Wanted::Begin(BEGIN)).await;
        let is_stream = |got: &Got| {
            got.status == 200 && got.header("content-type").starts_with("text/event-stream")
        };
        let held = match &begun {
            Err(error) => matches!(error, WireError::Late(_)),
            Ok(got) => is_stream(got) && got.body.is_empty(),
        };
        if let Some(got) = begun.ok().filter(|got| is_stream(got) && got.is_coded()) {
            let (what, why, next) = coded(&got);
            findings.bad("compressed", &self.place("/sse"), what, (why, next));
        } else if held {
            findings.bad(
                "buffered",
                &self.place("/sse"),
                format!("a stream has not begun after {} seconds", BEGIN.as_secs()),
                (
                    "something in between collects answers before it hands them on, so progress, questions \
                     and news come late or never",
                    "nginx: `proxy_buffering off;` for these paths; others: switch off buffering and \
                     compression of text/event-stream",
                ),
            );
        } else {
            findings.good("stream", &place, "streams begin at once");
        }
        let end = Asked { method: "DELETE", ..Asked::default() }
            .with("authorization", &bearer)
            .with("mcp-session-id", session);
        // A session that is left goes by itself.
        let _ = self.ask("/mcp", &end).await;
    }
}
