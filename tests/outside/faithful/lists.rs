//! Entries of lists, and what merged doors make of names and URIs.

use serde_json::json;

use crate::{
    faithful::SHOWN,
    faithful::cell::{Sender, World},
    faithful::corpus::Case,
    faithful::outside::{Crossing, alike, differ},
    faithful::tokens::{find, items, put},
    faithful::values::{deep, values},
    support::Era,
};

/// The four lists: method, field, member that names an entry.
const LISTS: [(&str, &str, &str); 4] = [
    ("tools/list", "tools", "name"),
    ("prompts/list", "prompts", "name"),
    ("resources/list", "resources", "uri"),
    ("resources/templates/list", "resourceTemplates", "uriTemplate"),
];

/// The entries of a list as the upstreams write them.
fn entries(field: &str) -> Vec<String> {
    let with = |number: usize, value: &String| {
        let odd = format!(
            r#""x":{value},"description":"\u0041\/ é","icons":[{{"src":"data:,","x":{value}}}],"_meta":{{"vendor/v":{value},"":1.0}}"#
        );
        match field {
            "tools" => format!(
                r#"{{"title":null,{odd},"inputSchema":{{"$schema":"x","type":"object","properties":{{"p":{{"default":{value},"enum":[{value}]}}}},"required":[]}},"annotations":{{"readOnlyHint":true,"x":{value}}},"name":"t-{number}"}}"#
            ),
            "prompts" => format!(
                r#"{{ "n\u0061me" : "t-{number}" ,{odd},"arguments":[{{"name":"a","required":false,"x":{value}}}]}}"#
            ),
            "resources" => {
                format!(r#"{{"name":"r","uri":"file:\/\/\/t-{number}",{odd},"size":1E2}}"#)
            }
            _ => format!(r#"{{{odd},"uriTemplate":"file:///t-{number}/{{id}}","name":"r"}}"#),
        }
    };
    let mut all: Vec<String> =
        values().iter().enumerate().map(|(number, value)| with(number, value)).collect();
    if field == "tools" {
        // The message, its result, the list, the entry and the schema are levels of their own.
        for depth in [64, 122] {
            let schema = deep(depth);
            all.push(format!(r#"{{"name":"deep-{depth}","inputSchema":{schema}}}"#));
        }
    }
    all
}

/// All entries that a door lists.
fn listed(client: &mut Sender, method: &'static str, field: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut cursor = String::new();
    loop {
        let request = format!(
            r#"{{"jsonrpc":"2.0","id":1,"method":"{method}","params":{{@OWN@{cursor}"x":1}}}}"#
        );
        let case = Case { method, request, ..Case::default() };
        let body = client.body(&case);
        let answer = client.send(&case, &body).pop().expect("an answer");
        let list = find(&answer, &["result", field]).unwrap_or_else(|| panic!("{answer:.300}"));
        found.extend(items(&answer[list.value]).into_iter().map(str::to_owned));
        match find(&answer, &["result", "nextCursor"]) {
            Some(next) => cursor = format!("\"cursor\":{},", &answer[next.value]),
            None => return found,
        }
    }
}

#[test]
fn entries_of_lists_pass_as_they_were_written() {
    let all: Vec<Vec<String>> = LISTS.iter().map(|(_, field, _)| entries(field)).collect();
    let files: Vec<(String, String)> = LISTS
        .iter()
        .zip(&all)
        .map(|((_, field, _), entries)| (format!("{field}.json"), entries.join(",")))
        .collect();
    let world = World::new(&files);
    let mut wrong = Vec::new();
    for era in Era::BOTH {
        let mut merged = world.client(era, "/mcp");
        for ((method, field, name), entries) in LISTS.iter().zip(&all) {
            let together = listed(&mut merged, method, field);
            for upstream in &world.upstreams {
                let mut own = world.client(era, &format!("/mcp/{}", upstream.name));
                let own = listed(&mut own, method, field);
                let expected: Vec<String> = entries
                    .iter()
                    .map(|entry| {
                        let place = find(entry, &[name]).expect("it has a name").value;
                        let original: String =
                            serde_json::from_str(&entry[place]).expect("a string");
                        let public = match *name {
                            "name" => format!("{}__{original}", upstream.name),
                            _ => format!("{}+{original}", upstream.name),
                        };
                        put(entry, &[name], &json!(public).to_string())
                    })
                    .collect();
                let prefix = |entry: &&String| expected.contains(entry);
                let there = together.iter().filter(prefix).count();
                let at = format!("{method} from {era:?} to {}", upstream.name);
                if there != expected.len() {
                    let lost = expected.iter().find(|entry| !together.contains(entry));
                    wrong.push(format!(
                        "{at}, merged: {there} of {}, not {lost:.300?}",
                        expected.len()
                    ));
                }
                if own.len() != entries.len() {
                    wrong.push(format!("{at}: {} of {} entries", own.len(), entries.len()));
                }
                let both = entries.iter().zip(&own);
                wrong.extend(both.filter_map(|(sent, got)| {
                    differ(sent, got).map(|problem| format!("{at}: {problem}"))
                }));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong[..wrong.len().min(SHOWN)].join("\n\n"));
}

/// Requests at the merged door and their answers: method, the public name, the request's own
/// members, and the answer. What stands between `<` and `>` is the upstream's own form, which the
/// door makes public.
const MERGED: [(&str, &str, &str, &str); 7] = [
    (
        "tools/call",
        "UP__exact",
        r#""arguments":{"uri":"UP+file:///a","name":"UP__exact"},"name":"UP_\u005fexact""#,
        r#"{"content":[{"type":"resource_link","uri":<"file:///a">,"name":"file:///a","x":1.0},{"type":"resource","resource":{"text":"file:///a","uri":<"a:b">}},{"type":"text","text":"file:///a","x":{"uri":"file:///a"}}],"structuredContent":{"uri":"file:///a","content":[{"type":"resource_link","uri":"a:b"}]},"x":{"uri":"a:b"}}"#,
    ),
    (
        "tools/call",
        "UP__exact",
        r#""name":"UP__exact""#,
        r#"{"content":[{"uri":<"ui://exact/x">,"type":"resource_link","name":"\u0041"},{"type":"resource_link","uri":"https:\/\/example.com\/","name":""},{"type":"resource","resource":{"uri":<"skill:\/\/a/SKILL.md">,"blob":"","_meta":{"uri":"a:b"}}}]}"#,
    ),
    (
        "prompts/get",
        "UP__exact",
        r#""name":"UP__exact","arguments":{"uri":"a:b"}"#,
        r#"{"description":"a:b","messages":[{"role":"user","content":{"type":"resource","resource":{"uri":<"file:\/\/\/a">,"text":""}}},{"content":{"type":"text","text":"\/"},"role":"assistant","uri":"a:b"}]}"#,
    ),
    (
        "resources/read",
        "UP+file:///exact",
        r#""uri":"UP+file:\/\/\/exact""#,
        r#"{"contents":[{"text":"\u0041 uri","uri":<"file:///exact">},{"uri":<"file:///exact/b">,"blob":"AA==","x":{"uri":"a:b"}}]}"#,
    ),
    (
        "completion/complete",
        "",
        r#""ref":{"x":1.0,"name":"UP__exact","type":"ref/prompt"},"argument":{"name":"UP__exact","value":""}"#,
        r#"{"completion":{"values":["UP__exact","file:///a"]},"uri":"a:b"}"#,
    ),
    (
        "completion/complete",
        "",
        r#""argument":{"name":"uri","value":"UP+file:///exact"},"ref":{"uri":"UP+file:///exact","type":"ref/resource"}"#,
        r#"{"completion":{"values":[]},"x":1e2}"#,
    ),
    (
        "tools/call",
        "UP__exact",
        r#""name":"UP__exact","uri":"UP+file:///exact","x":"UP__exact""#,
        r#"{"content":[],"x":18446744073709551616}"#,
    ),
];

#[test]
fn a_merged_door_changes_names_and_uris_and_nothing_else() {
    let mut files = vec![
        ("tools.json".to_owned(), r#"{"name":"exact","inputSchema":{"type":"object"}}"#.to_owned()),
        ("prompts.json".to_owned(), r#"{"name":"exact"}"#.to_owned()),
        ("resources.json".to_owned(), r#"{"uri":"file:///exact","name":"exact"}"#.to_owned()),
    ];
    for (number, (.., answer)) in MERGED.iter().enumerate() {
        let result = answer.replace(['<', '>'], "");
        let message = format!(r#"{{"jsonrpc":"2.0","id":@ID@,"result":{result}}}"#);
        files.push((format!("merged-{number}.out"), message));
    }
    let world = World::new(&files);
    let mut wrong = Vec::new();
    for era in Era::BOTH {
        let mut client = world.client(era, "/mcp");
        for method in LISTS {
            // A door that was just opened may not know every owner yet.
            listed(&mut client, method.0, method.1);
        }
        for upstream in &world.upstreams {
            let crossing = Crossing { client: era, upstream: upstream.era, pipe: upstream.stdio };
            for (number, (method, named, members, answer)) in MERGED.iter().enumerate() {
                let at = format!("{method} {number} from {era:?} to {}", upstream.name);
                let request = format!(
                    r#"{{"jsonrpc":"2.0","id":"\u0041","method":"{method}","params":{{@OWN@"x-case":"merged-{number}",{members}}}}}"#
                );
                let own = |text: &str| text.replace("UP", upstream.name);
                let case = Case { method, request: own(&request), ..Case::default() };
                let body = client.body(&case);
                let named = own(named);
                let named = (!named.is_empty() && era == Era::Modern).then_some(&*named);
                let got = client.send_as(method, named, &body);
                let expected = format!(
                    r#"{{"jsonrpc":"2.0","id":"\u0041","result":{}}}"#,
                    public(answer, upstream.name)
                );
                let problems = crossing.answers(&[expected], &got);
                wrong.extend(problems.iter().map(|problem| format!("{at}: {problem}")));
                let Some(got) = World::got(upstream, &format!("merged-{number}")) else {
                    wrong.push(format!("{at}: nothing arrived"));
                    continue;
                };
                let path: &[&str] = match *method {
                    "resources/read" => &["params", "uri"],
                    "completion/complete" if number == 5 => &["params", "ref", "uri"],
                    "completion/complete" => &["params", "ref", "name"],
                    _ => &["params", "name"],
                };
                let name =
                    if path.ends_with(&["uri"]) { r#""file:///exact""# } else { r#""exact""# };
                let expected = put(&body, path, name);
                wrong.extend(
                    crossing.request(&expected, &got).map(|problem| format!("{at}: {problem}")),
                );
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong[..wrong.len().min(SHOWN)].join("\n\n"));
}

/// An answer of [`MERGED`] with its marked URIs in public form.
fn public(answer: &str, upstream: &str) -> String {
    let mut text = String::new();
    let mut rest = answer;
    while let Some((before, after)) = rest.split_once('<') {
        let (uri, after) = after.split_once('>').expect("marks come in pairs");
        let uri: String = serde_json::from_str(uri).expect("a string");
        let public = match uri.split_once("://") {
            Some((kept @ ("ui" | "skill"), path)) => format!("{kept}://{upstream}/{path}"),
            _ => format!("{upstream}+{uri}"),
        };
        text += before;
        text += &json!(public).to_string();
        rest = after;
    }
    text + rest
}

#[test]
fn tokens_of_equal_json_are_compared_in_their_own_spelling() {
    assert_eq!(alike(r#"{ "a":1.0}"#, r#"{"a" : 1.0 }"#), None);
    assert!(alike(r#"{"a":1.0}"#, r#"{"a":1}"#).is_some());
    assert!(alike(r#"{"a":"\u0041"}"#, r#"{"a":"A"}"#).is_some());
    assert!(alike(r#"{"a":1,"b":2}"#, r#"{"b":2,"a":1}"#).is_some());
}
