//! What is spliced in leaves all else alone.

use jsonc_parser::ast;
use proptest::prelude::*;
use serde_json::Value;

use super::client::input;
use super::jsonc::{parse, put};
use super::node::Node;

const PLACE: (&str, &str) = ("mcpServers", "mcp-proxy");

fn entry() -> Node {
    Node::Table(vec![
        ("url", Node::text("https://mcp.example.com/mcp")),
        ("headers", Node::Table(vec![("Authorization", Node::text("Bearer ${env:K}"))])),
    ])
}

fn plain(value: &ast::Value<'_>) -> Value {
    match value {
        ast::Value::StringLit(text) => Value::String(text.value.to_string()),
        ast::Value::NumberLit(number) => Value::String(number.value.to_owned()),
        ast::Value::BooleanLit(flag) => Value::Bool(flag.value),
        ast::Value::NullKeyword(_) => Value::Null,
        ast::Value::Array(array) => array.elements.iter().map(plain).collect(),
        ast::Value::Object(object) => {
            let members = object.properties.iter();
            let members = members.map(|prop| (prop.name.as_str().to_owned(), plain(&prop.value)));
            Value::Object(members.collect())
        }
    }
}

fn read(text: &str) -> Value {
    parse(text.trim_start_matches('\u{feff}')).unwrap().as_ref().map_or(Value::Null, plain)
}

/// Every character of the old text is in the new one, in the same order.
fn is_within(old: &str, new: &str) -> bool {
    let mut rest = new.chars();
    old.chars().all(|char| rest.any(|other| other == char))
}

#[test]
fn files_of_clients_stay_as_they_were() {
    for (old, new) in [
        ("{}", "{\n  \"mcpServers\": {\n    \"mcp-proxy\": E\n  }\n}"),
        ("", "{\n  \"mcpServers\": {\n    \"mcp-proxy\": E\n  }\n}\n"),
        (
            "{\n\t// mine\n\t\"mcpServers\": {\n\t\t\"a\": { \"command\": \"x\" }, // keep\n\t},\n}\n",
            "{\n\t// mine\n\t\"mcpServers\": {\n\t\t\"a\": { \"command\": \"x\" }, // keep\n\t\t\"mcp-proxy\": E,\n\t},\n}\n",
        ),
        (
            "{\n    \"theme\": \"dunkelgrün\", /* 🌲 */\n    \"mcpServers\": {\n        \"a\": {} // last\n    }\n}\n",
            "{\n    \"theme\": \"dunkelgrün\", /* 🌲 */\n    \"mcpServers\": {\n        \"a\": {}, // last\n        \"mcp-proxy\": E\n    }\n}\n",
        ),
        (
            "{\r\n  \"mcpServers\": {\r\n    // none yet\r\n  }\r\n}",
            "{\r\n  \"mcpServers\": {\r\n    // none yet\r\n    \"mcp-proxy\": E\r\n  }\r\n}",
        ),
        (
            "{\n  \"mcpServers\": {\n    \"mcp-proxy\": {\n      \"url\": \"old\"\n    },\n    \"b\": 1\n  }\n}",
            "{\n  \"mcpServers\": {\n    \"mcp-proxy\": E,\n    \"b\": 1\n  }\n}",
        ),
        (
            "\u{feff}{\n  \"a\": 1\n}",
            "\u{feff}{\n  \"a\": 1,\n  \"mcpServers\": {\n    \"mcp-proxy\": E\n  }\n}",
        ),
    ] {
        let made = put(old, PLACE, &entry(), None).unwrap();
        // The entry itself is compared by what it means.
        let begin = made.find("\"mcp-proxy\": {").unwrap() + "\"mcp-proxy\": ".len();
        let length = entry_length(&made[begin..]);
        let shown = format!("{}E{}", &made[..begin], &made[begin + length..]);
        assert_eq!(shown, new);
        assert_eq!(read(&made)["mcpServers"]["mcp-proxy"], entry().value());
        assert_eq!(
            put(&made, PLACE, &entry(), None).unwrap(),
            made,
            "a second time changes nothing"
        );
        assert_eq!(made.contains("\r\n"), old.contains("\r\n"));
        assert!(!old.contains("\r\n") || !made.replace("\r\n", "").contains('\n'));
    }
}

fn entry_length(text: &str) -> usize {
    let mut depth = 0;
    for (at, char) in text.char_indices() {
        match char {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return at + 1;
        }
    }
    panic!("no end")
}

#[test]
fn one_line_stays_one_line() {
    let made = put("{\"mcpServers\": {\"a\": 1}}", PLACE, &entry(), None).unwrap();
    assert!(!made.contains('\n') && made.starts_with("{\"mcpServers\": {\"a\": 1, \"mcp-proxy\""));
    assert_eq!(read(&made)["mcpServers"]["mcp-proxy"], entry().value());
}

#[test]
fn what_cannot_be_edited_is_named_with_its_place() {
    for (text, words) in [
        ("{\n  \"a\": 1\n  \"b\": 2\n}", "line 2, column 9"),
        ("{ \"mcpServers\": [] }", "`mcpServers` is not an object"),
        ("[]", "the document"),
        ("{ \"mcpServers\": {}, \"mcpServers\": {} }", "twice"),
        ("{ \"a\": ", "line 1"),
    ] {
        let error = put(text, PLACE, &entry(), None).unwrap_err().to_string();
        assert!(error.contains(words), "{text}: {error}");
    }
}

#[test]
fn vscode_asks_for_the_key_once() {
    let input = input();
    let place = ("servers", "mcp-proxy");
    for old in [
        "{}",
        "{\n  \"servers\": {}\n}",
        "{\n  \"inputs\": [],\n  \"servers\": {}\n}",
        "{\n  \"inputs\": [\n    { \"id\": \"other\" },\n  ],\n  \"servers\": { }\n}",
    ] {
        let made = put(old, place, &entry(), Some(&input)).unwrap();
        let value = read(&made);
        let ids: Vec<_> = value["inputs"].as_array().unwrap().iter().map(|i| &i["id"]).collect();
        assert_eq!(ids.last().unwrap().as_str(), Some("mcp-proxy-key"), "{made}");
        assert_eq!(value["servers"]["mcp-proxy"], entry().value());
        assert_eq!(put(&made, place, &entry(), Some(&input)).unwrap(), made);
    }
}

/// Blanks and comments, at any place between tokens.
fn gap() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => Just(String::new()),
        3 => Just("\n  ".to_owned()),
        2 => Just("\r\n\t".to_owned()),
        2 => Just(" ".to_owned()),
        1 => Just(" // ein, \"Wort\" { \n".to_owned()),
        1 => Just("/* , } */".to_owned()),
        1 => Just(" /* a\n b */ ".to_owned()),
    ]
}

fn value() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("1.50".to_owned()),
        Just("null".to_owned()),
        Just("\"\\u00e9 {, // 🌲\"".to_owned()),
        Just("{}".to_owned()),
        Just("[]".to_owned()),
    ];
    leaf.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            object(inner.clone(), "[a-d]"),
            (proptest::collection::vec((gap(), inner, gap()), 1..3), any::<bool>()).prop_map(
                |(items, comma)| {
                    let items: Vec<_> =
                        items.into_iter().map(|(a, v, b)| format!("{a}{v}{b}")).collect();
                    format!("[{}{}]", items.join(","), if comma { "," } else { "" })
                }
            ),
        ]
    })
}

fn object(
    inner: impl Strategy<Value = String>,
    names: &'static str,
) -> impl Strategy<Value = String> {
    let members = proptest::collection::btree_map(names, (gap(), gap(), inner, gap()), 0..4);
    (members, any::<bool>(), gap()).prop_map(|(members, comma, end)| {
        let comma = if comma && !members.is_empty() { "," } else { "" };
        let members: Vec<_> = members
            .into_iter()
            .map(|(name, (a, b, value, c))| format!("{a}\"{name}\":{b}{value}{c}"))
            .collect();
        format!("{{{}{comma}{end}}}", members.join(","))
    })
}

fn document() -> impl Strategy<Value = String> {
    let servers = object(value(), "[a-d]|mcp-proxy");
    (gap(), object(value(), "[a-d]"), proptest::option::of((gap(), servers)), gap()).prop_map(
        |(begin, rest, servers, end)| {
            let rest = match servers {
                None => rest,
                Some((gap, servers)) => {
                    format!("{{{gap}\"mcpServers\": {servers},{}", &rest[1..])
                }
            };
            format!("{begin}{rest}{end}")
        },
    )
}

proptest! {
    #[test]
    fn nothing_but_our_entry_changes(old in document()) {
        let Ok(Some(_)) = parse(&old) else { return Ok(()) };
        let before = read(&old);
        let new = put(&old, PLACE, &entry(), None).unwrap();
        let mut expected = before.clone();
        expected["mcpServers"]["mcp-proxy"] = entry().value();
        prop_assert_eq!(read(&new), expected, "{}", new);
        if before["mcpServers"].get("mcp-proxy").is_none() {
            prop_assert!(is_within(&old, &new), "{}\n---\n{}", old, new);
            let added = new.len() - old.len();
            prop_assert!(added < 400, "no more than the entry: {}", new);
        }
        prop_assert_eq!(put(&new, PLACE, &entry(), None).unwrap(), new);
    }
}
