//! What a sieve changes, however the message is cut, and what it refuses.

use std::collections::VecDeque;

use bytes::Bytes;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::rules::Rules;
use super::walk::{Broken, Sieve};
use crate::namespace::{UriWay, join_uri};
use crate::pipeline::line::server_info;
use crate::wire::{Era, SERVER_INFO};

const MODERN: [Era; 2] = [Era::Modern; 2];
const LEGACY: [Era; 2] = [Era::Legacy; 2];

fn sieve(eras: [Era; 2], way: UriWay, public: bool) -> Sieve {
    Sieve::with(Rules::plain(eras, way, public))
}

/// Puts a text through in pieces of these lengths; gives what comes out.
fn through(mut sieve: Sieve, text: &str, cuts: &[usize]) -> Result<(String, Sieve), Broken> {
    let (mut out, mut at) = (VecDeque::new(), 0);
    for cut in cuts.iter().copied().chain([text.len()]) {
        let end = (at + cut).min(text.len());
        sieve.take(Bytes::copy_from_slice(&text.as_bytes()[at..end]), &mut out)?;
        at = end;
    }
    sieve.end()?;
    assert!(out.iter().all(|piece| !piece.is_empty()));
    let out = out.iter().flat_map(|piece| piece.to_vec()).collect();
    Ok((String::from_utf8(out).unwrap(), sieve))
}

fn changed(eras: [Era; 2], way: UriWay, public: bool, text: &str) -> String {
    through(sieve(eras, way, public), text, &[]).unwrap().0
}

fn own(members: &str) -> String {
    format!("\"_meta\":{{\"{SERVER_INFO}\":{}{members}}}", server_info())
}

#[test]
fn what_stands_in_known_places_changes_and_nothing_else_does() {
    let text = r#" { "id" : 7, "result":{ "content" : [ {"type":"text","text":"\"uri\":1"}, {"type":"resource_link","uri":"file:///a"},{"resource":{"ur\u0069":"ui://x","text":"file:///a"}}],"structuredContent":{"uri":"file:///a","n":1.10}, "x": -1e2 }, "jsonrpc":"2.0"} "#;
    let public = r#" { "id" : "a", "result":{ "content" : [ {"type":"text","text":"\"uri\":1"}, {"type":"resource_link","uri":"gh+file:///a"},{"resource":{"ur\u0069":"ui://gh/x","text":"file:///a"}}],"structuredContent":{"uri":"file:///a","n":1.10}, "x": -1e2 }, "jsonrpc":"2.0"} "#;
    assert_eq!(changed(LEGACY, UriWay::Content, true, text), public);
    assert_eq!(changed(LEGACY, UriWay::Content, false, text), text.replace("7", "\"a\""));
    let modern = format!(",\"resultType\":\"complete\",{}}}, \"jsonrpc\"", own(""));
    assert_eq!(
        changed([Era::Modern, Era::Legacy], UriWay::Content, true, text),
        public.replace("}, \"jsonrpc\"", &modern)
    );
}

#[test]
fn a_modern_result_says_what_each_one_does() {
    let put = |way, result: &str| {
        let text = format!("{{\"id\":7,\"result\":{result}}}");
        let changed = changed(MODERN, way, true, &text);
        let result = changed.strip_prefix("{\"id\":\"a\",\"result\":").unwrap();
        result.strip_suffix('}').unwrap().to_owned()
    };
    assert_eq!(put(UriWay::Content, "{}"), format!("{{\"resultType\":\"complete\",{}}}", own("")));
    assert_eq!(
        put(UriWay::Content, r#"{"resultType":"complete","_meta":{ }}"#),
        format!(r#"{{"resultType":"complete",{}}}"#, own(" "))
    );
    let named =
        format!(r#"{{"_meta":{{"v":1,"{SERVER_INFO}":{{"name":"x"}}}},"resultType":"complete"}}"#);
    assert_eq!(put(UriWay::Content, &named), named.replace(r#"{"name":"x"}"#, server_info()));
    let cached = r#"{"resultType":"complete","ttlMs":5,"cacheScope":"public","contents":[]"#;
    assert_eq!(
        put(UriWay::Contents, &format!("{cached}}}")),
        format!("{},{}}}", cached.replace("public", "private"), own(""))
    );
}

#[test]
fn what_is_no_answer_that_may_go_through_is_refused() {
    let refused =
        |eras, text: &str| through(sieve(eras, UriWay::Content, true), text, &[]).is_err();
    for text in [
        "[]",
        r#"{"id":8,"result":{}}"#,
        r#"{"result":{},"id":7}"#,
        r#"{"id":7,"error":{"code":1}}"#,
        r#"{"id":7,"method":"x"}"#,
        r#"{"id":7,"result":{},"id":7}"#,
        r#"{"id":7,"result":{},"result":{}}"#,
        r#"{"id":7,"result":{}"#,
        r#"{"id":7,"result":{}}}"#,
        r#"{"id":7,"result":{"content":[{]}}"#,
        r#"{"id":7,"result":{"content":[}}"#,
        r#"{"id":7,"result":{"content":[{"uri":1e}]}}"#,
        r#"{"id":7,"result":{"content":[],}}"#,
        r#"{"id":7,"result":{"a":nul}}"#,
        r#"{"id":7,"result":{a:1}}"#,
        r#"{"id":7,"result":{"a" 1}}"#,
    ] {
        assert!(refused(LEGACY, text) && refused(MODERN, text), "{text}");
    }
    assert!(refused(MODERN, r#"{"id":7,"result":{"content":[],"resultType":"input_required"}}"#));
    assert!(!refused(LEGACY, r#"{"id":7,"result":{"content":[],"resultType":"task"}}"#));
    assert!(!refused(LEGACY, r#"{"id":7,"result":{},"error":null}"#));
}

#[test]
fn it_is_ready_once_the_result_is_certainly_one() {
    let begun = |eras, text: &str| {
        let mut sieve = sieve(eras, UriWay::Content, true);
        sieve.take(Bytes::copy_from_slice(text.as_bytes()), &mut VecDeque::new()).unwrap();
        assert!(sieve.end().is_err());
        sieve.settle()
    };
    assert!(!begun(MODERN, r#"{"id":7,"#) && !begun(LEGACY, r#"{"id":7,"#));
    assert!(begun(LEGACY, r#"{"id":7,"result":{"#));
    assert!(!begun(MODERN, r#"{"id":7,"result":{"_meta":{},"inputRequests":{"#));
    assert!(begun(MODERN, r#"{"id":7,"result":{"resultType":"complete","#));
    assert!(begun(MODERN, r#"{"id":7,"result":{"content":["#));
    let array = r#"{"id":7,"result":{"structuredContent":[]}}"#;
    assert!(through(sieve(LEGACY, UriWay::Content, true), array, &[]).is_err());
    assert!(through(sieve(MODERN, UriWay::Content, true), array, &[]).is_ok());
}

fn any_text() -> impl Strategy<Value = String> {
    "[a-z/:\"\\\\{}\\[\\], \n\u{e9}]{0,80}"
}

fn any_value() -> impl Strategy<Value = Value> {
    prop_oneof![
        any_text().prop_map(Value::from),
        (any_text(), any::<i32>())
            .prop_map(|(text, n)| json!({"uri": text, "_meta": [n, {"id": null}]})),
        prop::collection::vec(any::<i64>(), 0..40).prop_map(Value::from),
    ]
}

fn any_meta() -> impl Strategy<Value = Value> {
    (any::<bool>(), any::<bool>(), any_text()).prop_map(|(ui, named, text)| {
        let mut meta = json!({"v": text});
        if ui {
            meta["ui"] = json!({"resourceUri": "ui://view"});
        }
        if named {
            meta[SERVER_INFO] = json!({"name": text});
        }
        meta
    })
}

fn any_block() -> impl Strategy<Value = Value> {
    prop_oneof![
        any_text().prop_map(|text| json!({"type": "text", "text": text})),
        any_text()
            .prop_map(|text| json!({"type": "resource_link", "uri": format!("file:///{text}")})),
        (any_text(), any_meta()).prop_map(|(text, mut meta)| {
            // The name of a server has no meaning here.
            meta["uri"] = json!(text);
            json!({"type": "resource", "resource": {"uri": "a:b", "text": text, "_meta": meta}})
        }),
        any_value(),
    ]
}

/// The same, made public as the protocol says.
fn public(value: &Value, meta: bool) -> Value {
    let mut value = value.clone();
    let mut join = |place: &str| {
        if let Some(Value::String(uri)) = value.pointer_mut(place) {
            *uri = join_uri("gh", uri).into_owned();
        }
    };
    if meta {
        join("/ui/resourceUri");
        return value;
    }
    join("/uri");
    join("/resource/uri");
    join("/resource/_meta/ui/resourceUri");
    value
}

proptest! {
    #[test]
    fn any_answer_arrives_as_the_protocol_says_however_it_is_cut(
        blocks in prop::collection::vec(any_block(), 0..6),
        structured in any_value().prop_map(|value| json!({"a": value})),
        meta in any_meta(),
        members in prop::sample::subsequence(
            vec!["content", "structuredContent", "_meta", "isError", "resultType", "later"], 0..=6).prop_shuffle(),
        modern in any::<bool>(),
        merged in any::<bool>(),
        pretty in any::<bool>(),
        cuts in prop::collection::vec(0usize..150, 0..30),
    ) {
        let value_of = |name: &str| match name {
            "content" => Value::from(blocks.clone()),
            "_meta" => meta.clone(),
            "isError" => Value::Bool(true),
            "resultType" => json!("complete"),
            _ => structured.clone(),
        };
        let text = |value: &Value| if pretty { format!("{value:#}") } else { value.to_string() };
        let parts: Vec<String> =
            members.iter().map(|name| format!("\"{name}\":{}", text(&value_of(name)))).collect();
        let message = format!("{{\"jsonrpc\":\"2.0\",\"id\":7,\"result\":{{{}}}}}", parts.join(","));
        let eras = if modern { MODERN } else { LEGACY };
        let (whole, sieve_after) =
            through(sieve(eras, UriWay::Content, merged), &message, &[]).unwrap();
        prop_assert_eq!(sieve_after.failed(), members.contains(&"isError"));
        let (pieces, _) = through(sieve(eras, UriWay::Content, merged), &message, &cuts).unwrap();
        prop_assert_eq!(&pieces, &whole);
        let mut expected: Value = serde_json::from_str(&message).unwrap();
        expected["id"] = json!("a");
        let result = &mut expected["result"];
        if merged {
            for block in result.get_mut("content").and_then(Value::as_array_mut).into_iter().flatten() {
                *block = public(block, false);
            }
            if let Some(meta) = result.get_mut("_meta") {
                *meta = public(meta, true);
            }
        }
        if modern {
            result["resultType"] = json!("complete");
            result["_meta"][SERVER_INFO] = serde_json::from_str(server_info()).unwrap();
        }
        prop_assert_eq!(serde_json::from_str::<Value>(&whole).unwrap(), expected);
    }
}
