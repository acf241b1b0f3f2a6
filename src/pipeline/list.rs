//! The four list methods: always from what is known, as ready bytes.

use std::sync::Arc;

use bytes::Bytes;

use super::answer::{Answer, Body};
use super::line::{LIST_TTL_MS, Line, server_info};
use super::modern::unknown;
use super::serve::Posting;
use crate::base::{Fault, Kind};
use crate::namespace::Audience;
use crate::wire::{CapSet, Era, Field, ListKind, Posted, Revision, Skills};

/// A list up to this size is copied into one piece; a longer one is sent as it is cached.
const ONE_PIECE: usize = 16 * 1024;

/// Who reads a list, as far as that changes what stands in it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reader {
    /// What of a definition it takes.
    pub(super) audience: Audience,
    /// It shows MCP Apps.
    pub(super) apps: bool,
}

impl Reader {
    /// A client of this revision with these capabilities.
    pub(super) fn new(revision: Revision, declared: CapSet) -> Self {
        Self { audience: Audience::of(revision), apps: declared.has(CapSet::APPS) }
    }
}

impl Line {
    /// Answers a list method. The whole list is one page, so no cursor of ours exists.
    pub(super) async fn list(
        self: &Arc<Self>,
        posting: &Posting,
        posted: &Posted,
        era: Era,
        reader: Reader,
        kind: ListKind,
    ) -> Result<Answer, Fault> {
        if posted.field(Field::Cursor).is_some() {
            return Err(Fault::client(
                Kind::InvalidParams,
                "This cursor is not known; list again without one",
            ));
        }
        let tenant = self.tenant(&posting.principal);
        let view = tenant.view(self, &posting.principal, &posting.door, reader.apps).await;
        if kind == ListKind::Skills && view.skills() == Skills::None {
            return Err(unknown(kind.method()));
        }
        let items = view.list(kind, reader.audience);
        let head = format!(
            "{{\"jsonrpc\":\"2.0\",\"id\":{},\"result\":{{\"{}\":[",
            posted.id_text(),
            kind.member()
        );
        let tail = match era {
            Era::Legacy => "]}}".to_owned(),
            Era::Modern => format!(
                "],\"resultType\":\"complete\",\"ttlMs\":{LIST_TTL_MS},\"cacheScope\":\"private\",\
                 \"_meta\":{{\"io.modelcontextprotocol/serverInfo\":{}}}}}}}",
                server_info()
            ),
        };
        if items.len() > ONE_PIECE {
            return Ok(Answer::ok(Body::Pieces(vec![Bytes::from(head), items, Bytes::from(tail)])));
        }
        let mut whole = Vec::with_capacity(head.len() + items.len() + tail.len());
        whole.extend_from_slice(head.as_bytes());
        whole.extend_from_slice(&items);
        whole.extend_from_slice(tail.as_bytes());
        Ok(Answer::ok(Body::Json(Bytes::from(whole))))
    }
}
