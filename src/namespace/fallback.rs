//! What a client of an older revision gets in the place of what it does not know
//! (protocol.md 3.5): a text instead of a block of a newer type, and a text with the JSON instead
//! of structured content. Nothing else is ever mended.

use serde_json::Value;

use super::rewrite::UriWay;
use super::uri::join_uri;
use crate::wire::Revision;
use crate::wire::json::quote;

/// True when a result must be looked through for a client of this revision. `structured` is the
/// text of its `structuredContent`.
#[must_use]
pub fn falls_back(way: UriWay, revision: Revision, structured: Option<&str>) -> bool {
    match way {
        UriWay::Content => {
            lacks_blocks(revision) || structured.is_some_and(|json| !takes(revision, json))
        }
        UriWay::Messages => lacks_blocks(revision),
        UriWay::Contents | UriWay::Skill | UriWay::Directory => false,
    }
}

/// True when the revision lacks a type of content block.
pub(super) fn lacks_blocks(revision: Revision) -> bool {
    revision < Revision::V2025_06_18
}

/// True when a client of this revision takes this as `structuredContent`: any JSON from
/// 2026-07-28, objects from 2025-06-18, nothing before (R98).
pub(super) fn takes(revision: Revision, json: &str) -> bool {
    match revision {
        Revision::V2026_07_28 => true,
        Revision::V2025_06_18 | Revision::V2025_11_25 => json.starts_with('{'),
        Revision::V2024_11_05 | Revision::V2025_03_26 => false,
    }
}

/// The text block that a content block of a newer type becomes; `None` for a block that the
/// client knows. URIs in it are public when an upstream is given.
pub(super) fn block_text(
    block: &str,
    upstream: Option<&str>,
    revision: Revision,
) -> Option<String> {
    let value: Value = serde_json::from_str(block).ok()?;
    let member = |name: &str| value[name].as_str().filter(|text| !text.is_empty());
    let text = match member("type")? {
        "audio" if revision < Revision::V2025_03_26 => {
            let bytes = member("data").map_or(0, |data| data.trim_end_matches('=').len() * 3 / 4);
            let kind = member("mimeType").unwrap_or("unknown type");
            format!("[audio, {kind}, {bytes} bytes: left out, this client takes no audio]")
        }
        "resource_link" if revision < Revision::V2025_06_18 => {
            let uri = member("uri").unwrap_or_default();
            let uri = upstream.map_or_else(|| uri.into(), |upstream| join_uri(upstream, uri));
            let mut text = String::from("[resource]");
            for part in [member("title").or_else(|| member("name")), Some(&*uri)] {
                text.extend(part.into_iter().flat_map(|part| [" ", part]));
            }
            if let Some(kind) = member("mimeType") {
                text.push_str(&format!(" ({kind})"));
            }
            if let Some(description) = member("description") {
                text.push_str(": ");
                text.push_str(description);
            }
            text
        }
        _ => return None,
    };
    let annotations = match &value["annotations"] {
        known @ Value::Object(_) => format!(",\"annotations\":{known}"),
        _ => String::new(),
    };
    Some(format!("{{\"type\":\"text\",\"text\":{}{annotations}}}", quote(&text)))
}

/// The text block that carries what is dropped, when no block of `content` does: the JSON of
/// structured content that is no object; of an object only when there is no other content, since
/// clients of those revisions never read it.
pub(super) fn dropped_text(json: &str, content: Option<&str>) -> Option<String> {
    let block = || Some(format!("{{\"type\":\"text\",\"text\":{}}}", quote(json)));
    let Some(blocks) = content.and_then(|text| serde_json::from_str::<Vec<Value>>(text).ok())
    else {
        return block();
    };
    if json.starts_with('{') {
        return if blocks.is_empty() { block() } else { None };
    }
    let dropped: Option<Value> = serde_json::from_str(json).ok();
    let carried = blocks.iter().filter_map(|block| block["text"].as_str()).any(|text| {
        dropped.as_ref().and_then(Value::as_str) == Some(text)
            || serde_json::from_str(text).ok() == dropped
    });
    if carried { None } else { block() }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn only_blocks_that_a_revision_lacks_become_text() {
        let audio = r#"{"type":"audio","data":"AAAA","mimeType":"audio/wav","annotations":{"priority":1.0}}"#;
        let link = r#"{"type":"resource_link","uri":"file:///a","name":"a","mimeType":"text/plain","description":"d"}"#;
        let text = |block, revision| {
            let block: Value =
                serde_json::from_str(&block_text(block, Some("gh"), revision)?).ok()?;
            assert_eq!(block["type"], "text");
            Some(block)
        };
        let old = text(audio, Revision::V2024_11_05).unwrap();
        assert!(old["text"].as_str().unwrap().contains("audio/wav, 3 bytes"), "{old}");
        assert_eq!(old["annotations"], json!({"priority": 1.0}));
        assert!(text(audio, Revision::V2025_03_26).is_none());
        for revision in [Revision::V2024_11_05, Revision::V2025_03_26] {
            let old = text(link, revision).unwrap();
            assert_eq!(old["text"], "[resource] a gh+file:///a (text/plain): d");
        }
        assert!(text(link, Revision::V2025_06_18).is_none());
        assert!(text(r#"{"type":"text","text":"x"}"#, Revision::V2024_11_05).is_none());
        assert!(text(r#"{"type":"later"}"#, Revision::V2024_11_05).is_none());
    }

    #[test]
    fn what_is_dropped_is_said_once() {
        let carried = |json: &str, content: &str| dropped_text(json, Some(content)).is_none();
        assert!(carried("[1, 2]", r#"[{"type":"text","text":"[1,2]"}]"#));
        assert!(carried("\"ok\"", r#"[{"type":"text","text":"ok"}]"#));
        assert!(!carried("[1, 2]", r#"[{"type":"text","text":"two numbers"}]"#));
        assert!(!carried("[1, 2]", "[]"));
        assert!(carried(r#"{"a":1}"#, r#"[{"type":"text","text":"words"}]"#));
        assert!(!carried(r#"{"a":1}"#, "[]"));
        assert!(dropped_text("1", None).is_some());
    }

    proptest! {
        #[test]
        fn no_text_breaks_a_fallback(name in ".{0,30}", uri in ".{0,30}", kind in "audio|resource_link") {
            let block = json!({"type": kind, "name": name, "uri": uri, "data": name, "mimeType": uri}).to_string();
            let text = block_text(&block, None, Revision::V2024_11_05).unwrap();
            let text: Value = serde_json::from_str(&text).unwrap();
            prop_assert!(text["text"].as_str().unwrap().contains(uri.as_str()) || kind == "audio" );
        }
    }
}
