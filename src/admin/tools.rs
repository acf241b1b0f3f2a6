//! `/api/v1/tools`: what a door shows, for programs that do not speak MCP.

use std::collections::HashSet;
use std::sync::Arc;

use bytes::Bytes;

use super::answer::{Content, Reply};
use super::call::Call;
use super::etag::etag;
use super::page::cut;
use super::problem::Problem;
use super::router::Answering;
use super::serve::Api;
use crate::namespace::Door;
use crate::pipeline::{Carrier, ListedTool, Posting};
use crate::wire::Edits;
use crate::wire::json::{JsonError, Reader, UPSTREAM_DEPTH, quote};

pub(super) fn list(api: Arc<Api>, call: Call) -> Answering {
    Box::pin(async move {
        let mut seen = HashSet::new();
        // One upstream may list a name twice; the first one stands.
        let tools = all(&api, &call).await?.into_iter().filter(|t| seen.insert(t.name.clone()));
        let entries = tools.map(|tool| (tool.name.clone(), entry(&tool))).collect();
        let (items, next) = cut(&api, &call, entries)?;
        let items = items.iter().map(|item| String::from_utf8_lossy(item)).collect::<Vec<_>>();
        let items = items.join(",");
        let tag = etag(&[&items, if next.is_some() { "more" } else { "all" }]);
        let next = next.map_or_else(|| "null".to_owned(), |next| quote(&next));
        let text = Bytes::from(format!("{{\"items\":[{items}],\"next\":{next}}}"));
        Ok(Reply::with(Content::Text(text)).with_etag(tag))
    })
}

pub(super) fn show(api: Arc<Api>, call: Call) -> Answering {
    Box::pin(async move {
        let tools = all(&api, &call).await?;
        let tool = tools.iter().find(|tool| tool.name == call.part(0));
        let unknown = || Problem::unknown("tool", "`GET /api/v1/tools` lists all");
        let entry = entry(tool.ok_or_else(unknown)?);
        let tag = etag(&[&String::from_utf8_lossy(&entry)]);
        Ok(Reply::with(Content::Text(entry)).with_etag(tag))
    })
}

async fn all(api: &Api, call: &Call) -> Result<Vec<ListedTool>, Problem> {
    let mut posting = posting(call)?;
    go_to_door(api, call, &mut posting)?;
    Ok(api.line.listed(&posting).await?)
}

/// The request as the line takes it, at the door of everything and still without a body.
pub(super) fn posting(call: &Call) -> Result<Posting, Problem> {
    Ok(Posting {
        principal: call.principal()?.clone(),
        door: Door::Merged,
        path: Arc::from("/mcp"),
        headers: call.headers.clone(),
        body: Bytes::new(),
        // The head says nothing of the message.
        carrier: Carrier::Pipe,
        peer: Some(call.address),
    })
}

/// Takes a request to the door that its query names: that of everything, of `profile`, or of
/// `upstream`.
pub(super) fn go_to_door(api: &Api, call: &Call, posting: &mut Posting) -> Result<(), Problem> {
    let (path, what) = match (call.query("profile"), call.query("upstream")) {
        (None, None) => ("/mcp".to_owned(), "door"),
        (Some(profile), None) => (format!("/p/{profile}/mcp"), "profile"),
        (None, Some(upstream)) => (format!("/mcp/{upstream}"), "upstream"),
        (Some(_), Some(_)) => {
            let both = "name a `profile` or an `upstream` in the query, not both".to_owned();
            return Err(Problem::Invalid(both));
        }
    };
    go_to(api, posting, &path, what)
}

/// Takes a request to the door of a path; `what` is missing where there is none.
pub(super) fn go_to(
    api: &Api,
    posting: &mut Posting,
    path: &str,
    what: &str,
) -> Result<(), Problem> {
    posting.principal.opens_door(path)?;
    let door = api.line.door(&posting.principal, path);
    posting.door =
        door.ok_or_else(|| Problem::unknown(what, "the proxy's file says which there are"))?;
    posting.path = path.into();
    Ok(())
}

/// The definition of a tool as it stands, and the upstream that has it.
fn entry(tool: &ListedTool) -> Bytes {
    let text = std::str::from_utf8(&tool.definition).unwrap_or_default();
    let mut own = Vec::new();
    let place = Reader::new(text, UPSTREAM_DEPTH).object::<JsonError>(|reader, key| {
        let value = reader.value()?;
        if key.is("upstream") {
            own.push(value);
        }
        Ok(())
    });
    // The text was read when the list was made.
    let Ok(place) = place else { return tool.definition.clone() };
    let mut edits = Edits::default();
    edits.remove_members(text, own);
    // It has at least a name.
    edits.insert(place.end - 1, format!(",\"upstream\":{}", quote(tool.upstream.as_str())));
    edits.apply(&tool.definition)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Name;

    #[test]
    fn an_entry_is_the_definition_and_its_upstream() {
        let entry = |definition: &'static str| {
            let definition = Bytes::from_static(definition.as_bytes());
            let upstream = Name::new("up").unwrap();
            let tool = ListedTool { name: "a".to_owned(), upstream, definition };
            String::from_utf8(entry(&tool).to_vec()).unwrap()
        };
        assert_eq!(entry(r#"{"name":"a","n":1.10}"#), r#"{"name":"a","n":1.10,"upstream":"up"}"#);
        assert_eq!(entry(r#"{"name":"a","upstream":{}}"#), r#"{"name":"a","upstream":"up"}"#);
    }
}
