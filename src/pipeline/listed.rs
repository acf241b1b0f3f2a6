//! The tools that a door shows, one by one, for programs that do not speak MCP. They are cut out
//! of the very bytes that `tools/list` answers with, so that both show the same.

use std::sync::Arc;

use bytes::Bytes;

use super::answer::{Answer, Body};
use super::finish::Record;
use super::line::Line;
use super::serve::Posting;
use crate::base::{Fault, Name};
use crate::namespace::Audience;
use crate::wire::json::{JsonError, Reader, UPSTREAM_DEPTH};
use crate::wire::{ListKind, NameKind, Revision};

/// One tool as `tools/list` shows it.
#[derive(Debug, Clone)]
pub struct ListedTool {
    /// Its name at this door.
    pub name: String,
    /// The upstream that has it.
    pub upstream: Name,
    /// Its definition as JSON text, as a client of 2026-07-28 reads it.
    pub definition: Bytes,
}

impl Line {
    /// The tools that somebody sees at a door, whatever the body of the posting. Upstreams are
    /// asked, and limits and audit count it, as `tools/list`.
    ///
    /// # Errors
    /// When a limit is reached, or the audit takes nothing.
    pub async fn listed(self: &Arc<Self>, posting: &Posting) -> Result<Vec<ListedTool>, Fault> {
        let (caller, door, kind) = (&posting.principal, &posting.door, ListKind::Tools);
        if self.audit.as_ref().is_some_and(|audit| !audit.has_room()) {
            self.audit_room().await?;
        }
        let record = Record::of_head(self, posting, kind.method());
        if let Err(fault) = self.admit(caller) {
            return record.settled(Err(fault)).await.map(|_| Vec::new());
        }
        let view = self.tenant(caller).view(self, caller, door, false).await;
        let list = view.list(kind, Audience::of(Revision::LATEST_MODERN));
        record.settled(Ok(Answer::ok(Body::Json(list.clone())))).await?;
        let tools = split(&list).into_iter().filter_map(|(name, definition)| {
            let plan = view.name(NameKind::Tool, &name)?;
            Some(ListedTool { upstream: plan.upstream().name.clone(), name, definition })
        });
        Ok(tools.collect())
    }
}

/// The definitions of a list without its brackets, with their names.
fn split(list: &[u8]) -> Vec<(String, Bytes)> {
    let whole = Bytes::from([b"[", list, b"]"].concat());
    let mut tools = Vec::new();
    let text = std::str::from_utf8(&whole).unwrap_or_default();
    // The list was made of texts that were read before.
    let _ = Reader::new(text, UPSTREAM_DEPTH).array::<JsonError>(|reader| {
        let mut name = None;
        let place = reader.object::<JsonError>(|reader, key| {
            if key.is("name") {
                name = reader.string()?.decode().map(std::borrow::Cow::into_owned);
                return Ok(());
            }
            reader.value().map(drop)
        })?;
        if let Some(name) = name {
            tools.push((name, whole.slice(place)));
        }
        Ok(())
    });
    tools
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_cut_where_its_tools_end() {
        assert!(split(b"").is_empty());
        let list = br#"{"name":"a","n":1.10} ,{"x":{"name":"no"},"name":"b\u0021"}"#;
        let tools = split(list);
        assert_eq!(tools[0], ("a".to_owned(), Bytes::from_static(br#"{"name":"a","n":1.10}"#)));
        assert_eq!((tools.len(), &*tools[1].0), (2, "b!"));
    }
}
