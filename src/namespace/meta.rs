//! MCP Apps in `_meta`: the URI of a tool's user interface, and the domain of its frame.

use std::borrow::Cow;

use super::uri::join_uri;
use crate::wire::Edits;
use crate::wire::json::{JsonError, Reader, may_hold, quote};

/// Makes `ui.resourceUri` and the deprecated `ui/resourceUri` of the `_meta` object at the reader
/// public, and takes `ui.domain` out: hosts derive it from the URL that they connect to, and that
/// is not the upstream's (protocol.md 4.8). `text` is what the reader reads.
pub(super) fn rewrite_meta(
    text: &str,
    reader: &mut Reader<'_>,
    upstream: &str,
    edits: &mut Edits,
) -> Result<(), JsonError> {
    reader.object::<JsonError>(|reader, key| {
        if key.is("ui/resourceUri") {
            return rewrite_uri(reader, upstream, edits);
        }
        if key.is("ui") && reader.peek()? == b'{' {
            reader.object::<JsonError>(|reader, key| {
                if key.is("resourceUri") {
                    return rewrite_uri(reader, upstream, edits);
                }
                let value = reader.value()?;
                if key.is("domain") {
                    edits.remove_members(text, [value]);
                }
                Ok(())
            })?;
            return Ok(());
        }
        reader.value().map(drop)
    })?;
    Ok(())
}

/// The `ui.resourceUri` (or the deprecated `ui/resourceUri`) of a tool's definition.
pub(super) fn app_uri(tool: &str) -> Option<String> {
    // Most tools have none, and need no second reading.
    if !may_hold(tool, "esourceUri") {
        return None;
    }
    let tool: serde_json::Value = serde_json::from_str(tool).ok()?;
    let meta = &tool["_meta"];
    let uri = meta["ui"]["resourceUri"].as_str().or_else(|| meta["ui/resourceUri"].as_str())?;
    Some(uri.to_owned())
}

/// Rewrites the string at the reader into its public form; leaves another type alone.
pub(super) fn rewrite_uri(
    reader: &mut Reader<'_>,
    upstream: &str,
    edits: &mut Edits,
) -> Result<(), JsonError> {
    if reader.peek()? != b'"' {
        return reader.value().map(drop);
    }
    let text = reader.string()?;
    if let Some(uri) = text.decode()
        && let Cow::Owned(public) = join_uri(upstream, &uri)
    {
        edits.replace(text.span(), quote(&public));
    }
    Ok(())
}
