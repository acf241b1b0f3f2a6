//! What changes in a result, and that nothing else does.

use bytes::Bytes;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::{Recipient, ShiftedEdits, UriWay, rewrite_result};
use crate::namespace::fallback::takes;
use crate::wire::{Edits, Revision};

fn to(way: UriWay, text: &str, upstream: Option<&str>, revision: Revision) -> String {
    let mut edits = Edits::default();
    let recipient = Recipient { upstream, revision };
    rewrite_result(way, text, recipient, &mut ShiftedEdits { edits: &mut edits, base: 0 }).unwrap();
    String::from_utf8(edits.apply(&Bytes::copy_from_slice(text.as_bytes())).to_vec()).unwrap()
}

fn rewritten(way: UriWay, text: &str) -> String {
    to(way, text, Some("gh"), Revision::LATEST_MODERN)
}

#[test]
fn links_and_resources_become_public_and_text_does_not() {
    assert_eq!(
        rewritten(
            UriWay::Content,
            r#"{"content":[{"type":"resource_link","uri":"file:///a"},{"type":"resource","resource":{"uri":"ui://x","text":"file:///a"}},{"type":"text","text":"{\"uri\":\"file:///a\"}"}],"structuredContent":{"uri":"file:///a"}}"#
        ),
        r#"{"content":[{"type":"resource_link","uri":"gh+file:///a"},{"type":"resource","resource":{"uri":"ui://gh/x","text":"file:///a"}},{"type":"text","text":"{\"uri\":\"file:///a\"}"}],"structuredContent":{"uri":"file:///a"}}"#
    );
    assert_eq!(
        rewritten(UriWay::Messages, r#"{"messages":[{"content":{"resource":{"uri":"a:b"}}}]}"#),
        r#"{"messages":[{"content":{"resource":{"uri":"gh+a:b"}}}]}"#
    );
    assert_eq!(
        rewritten(UriWay::Contents, r#"{"contents":[{"uri":"a:b","text":""}]}"#),
        r#"{"contents":[{"uri":"gh+a:b","text":""}]}"#
    );
}

#[test]
fn an_app_keeps_all_but_its_domain() {
    assert_eq!(
        rewritten(
            UriWay::Contents,
            r#"{"contents":[{"uri":"ui://a/b","text":"<p>","_meta":{"ui":{"csp":{"connectDomains":["https://x.example"]},"domain":"d.example","prefersBorder":true}}}]}"#
        ),
        r#"{"contents":[{"uri":"ui://gh/a/b","text":"<p>","_meta":{"ui":{"csp":{"connectDomains":["https://x.example"]},"prefersBorder":true}}}]}"#
    );
    assert_eq!(
        rewritten(
            UriWay::Content,
            r#"{"content":[],"_meta":{"ui":{"resourceUri":"ui://a"},"ui/resourceUri":"ui://a","v":1.0}}"#
        ),
        r#"{"content":[],"_meta":{"ui":{"resourceUri":"ui://gh/a"},"ui/resourceUri":"ui://gh/a","v":1.0}}"#
    );
}

#[test]
fn skills_and_directories_become_public_and_digests_stay() {
    assert_eq!(
        rewritten(
            UriWay::Skill,
            r#"{"skill":{"uri":"skill://a/SKILL.md","frontmatter":{"uri":"skill://a"},"resources":[{"uri":"skill://a/SKILL.md","digest":"sha256:0"}]}}"#
        ),
        r#"{"skill":{"uri":"skill://gh/a/SKILL.md","frontmatter":{"uri":"skill://a"},"resources":[{"uri":"skill://gh/a/SKILL.md","digest":"sha256:0"}]}}"#
    );
    assert_eq!(
        rewritten(UriWay::Directory, r#"{"resources":[{"uri":"skill://a/b","name":"b"}]}"#),
        r#"{"resources":[{"uri":"skill://gh/a/b","name":"b"}]}"#
    );
}

#[test]
fn structured_content_goes_to_whom_takes_it() {
    let legacy = |text: &str| to(UriWay::Content, text, None, Revision::V2025_11_25);
    let object = r#"{"content":[],"structuredContent":{"a":1.0}}"#;
    assert_eq!(legacy(object), object);
    assert_eq!(
        legacy(r#"{"structuredContent":[1.10, 2],"content":[{"type":"text","text":"two"}] }"#),
        r#"{"content":[{"type":"text","text":"two"},{"type":"text","text":"[1.10, 2]"}] }"#
    );
    assert_eq!(
        legacy(
            r#"{"content":[{"type":"text","text":"[1,2]"}],"structuredContent":[1,2],"isError":false}"#
        ),
        r#"{"content":[{"type":"text","text":"[1,2]"}],"isError":false}"#
    );
    assert_eq!(
        legacy(r#"{"structuredContent":null,"x":1}"#),
        r#"{"content":[{"type":"text","text":"null"}],"x":1}"#
    );
    let old = |text: &str| to(UriWay::Content, text, None, Revision::V2025_03_26);
    assert_eq!(old(object), r#"{"content":[{"type":"text","text":"{\"a\":1.0}"}]}"#);
    assert_eq!(
        old(r#"{"structuredContent":{"a":1},"content":[{"type":"text","text":"one"}]}"#),
        r#"{"content":[{"type":"text","text":"one"}]}"#
    );
}

#[test]
fn blocks_of_newer_types_become_text_beside_others() {
    assert_eq!(
        to(
            UriWay::Content,
            r#"{"content":[{"type":"resource_link","uri":"file:///a","name":"a"}, {"type":"resource","resource":{"uri":"file:///b"}}]}"#,
            Some("gh"),
            Revision::V2025_03_26
        ),
        r#"{"content":[{"type":"text","text":"[resource] a gh+file:///a"}, {"type":"resource","resource":{"uri":"gh+file:///b"}}]}"#
    );
    assert_eq!(
        to(
            UriWay::Messages,
            r#"{"messages":[{"role":"user","content":{"type":"audio","data":"AA==","mimeType":"audio/wav"}}]}"#,
            None,
            Revision::V2024_11_05
        ),
        r#"{"messages":[{"role":"user","content":{"type":"text","text":"[audio, audio/wav, 1 bytes: left out, this client takes no audio]"}}]}"#
    );
}

fn any_block() -> impl Strategy<Value = Value> {
    prop_oneof![
        ".{0,12}".prop_map(|text| json!({"type": "text", "text": text})),
        ".{0,12}".prop_map(|text| json!({"type": "audio", "data": text, "mimeType": "audio/wav"})),
        ".{0,12}".prop_map(
            |text| json!({"type": "resource_link", "uri": format!("file:///{text}"), "name": text})
        ),
        ".{0,12}"
            .prop_map(|text| json!({"type": "resource", "resource": {"uri": "a:b", "text": text}})),
        ".{0,12}".prop_map(|text| json!({"type": "later", "x": [text, 1.5]})),
    ]
}

fn any_structured() -> impl Strategy<Value = Option<Value>> {
    prop_oneof![
        Just(None),
        Just(Some(json!({"a": [1, {"b": null}]}))),
        Just(Some(json!([1, 2]))),
        Just(Some(json!("text"))),
        Just(Some(Value::Null)),
    ]
}

fn any_revision() -> impl Strategy<Value = Revision> {
    proptest::sample::select(vec![
        Revision::V2024_11_05,
        Revision::V2025_03_26,
        Revision::V2025_06_18,
        Revision::V2025_11_25,
        Revision::V2026_07_28,
    ])
}

proptest! {
    #[test]
    fn every_client_gets_json_that_its_revision_knows_and_nothing_else_changes(
        blocks in proptest::collection::vec(any_block(), 0..5),
        structured in any_structured(),
        order in any::<bool>(),
        revision in any_revision(),
        merged in any::<bool>(),
    ) {
        let content = Value::from(blocks.clone()).to_string();
        let mut members = vec![format!("\"content\":{content}"), "\"isError\": false".to_owned()];
        if let Some(value) = &structured {
            members.insert(if order { 0 } else { 2 }, format!("\"structuredContent\" : {value}"));
        }
        let text = format!("{{ {} }}", members.join(" , "));
        let got: Value =
            serde_json::from_str(&to(UriWay::Content, &text, merged.then_some("gh"), revision)).unwrap();
        prop_assert_eq!(&got["isError"], &Value::Bool(false));
        let kept = structured.as_ref().is_some_and(|value| takes(revision, &value.to_string()));
        prop_assert_eq!(got.get("structuredContent"), structured.as_ref().filter(|_| kept));
        let content = got["content"].as_array().unwrap();
        prop_assert!(content.len() == blocks.len() || content.len() == blocks.len() + 1);
        for (was, is) in blocks.iter().zip(content) {
            let unknown = match was["type"].as_str().unwrap() {
                "audio" => revision < Revision::V2025_03_26,
                "resource_link" => revision < Revision::V2025_06_18,
                _ => false,
            };
            if unknown {
                prop_assert_eq!(&is["type"], "text");
            } else if !merged {
                prop_assert_eq!(is, was);
            }
        }
        let whole = revision >= Revision::V2025_06_18 && (structured.is_none() || kept);
        if whole && !merged {
            prop_assert_eq!(to(UriWay::Content, &text, None, revision), text);
        }
    }
}
