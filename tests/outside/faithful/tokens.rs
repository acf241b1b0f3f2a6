//! JSON text taken apart without changing a byte of it; nothing of the proxy's own reader is used,
//! which is among what these tests judge.

use std::ops::Range;

/// One member of an object: where its key and its value stand.
#[derive(Debug, Clone)]
pub(crate) struct Member {
    pub(crate) key: Range<usize>,
    pub(crate) value: Range<usize>,
}

/// The place after the white space at `at`.
fn space(text: &str, at: usize) -> usize {
    let rest = text[at..].trim_start_matches([' ', '\t', '\r', '\n']);
    text.len() - rest.len()
}

/// The end of the string that begins at `at`.
fn string(text: &str, at: usize) -> usize {
    let bytes = text.as_bytes();
    let mut place = at + 1;
    while bytes[place] != b'"' {
        place += if bytes[place] == b'\\' { 2 } else { 1 };
    }
    place + 1
}

/// The end of the token that begins at `at`.
fn token(text: &str, at: usize) -> usize {
    match text.as_bytes()[at] {
        b'"' => string(text, at),
        b'{' | b'}' | b'[' | b']' | b',' | b':' => at + 1,
        _ => text[at..].find([',', '}', ']', ' ', '\n', '\r', '\t']).map_or(text.len(), |l| at + l),
    }
}

/// All tokens in order, each as it is written.
pub(crate) fn tokens(text: &str) -> Vec<&str> {
    let mut found = Vec::new();
    let mut at = space(text, 0);
    while at < text.len() {
        let end = token(text, at);
        found.push(&text[at..end]);
        at = space(text, end);
    }
    found
}

/// The end of the value that begins at `at`.
fn value(text: &str, at: usize) -> usize {
    let mut depth = 0_usize;
    let mut place = at;
    loop {
        let end = token(text, place);
        match text.as_bytes()[place] {
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return end;
        }
        place = space(text, end);
    }
}

/// The members of the object that begins at `at`; none of any other value.
fn members(text: &str, at: usize) -> Vec<Member> {
    let mut found = Vec::new();
    let mut place = space(text, at);
    if text.as_bytes().get(place) != Some(&b'{') {
        return found;
    }
    place = space(text, place + 1);
    while text.as_bytes()[place] == b'"' {
        let key = place..string(text, place);
        let start = space(text, space(text, key.end) + 1);
        let end = value(text, start);
        found.push(Member { key, value: start..end });
        let next = space(text, end);
        if text.as_bytes()[next] == b'}' {
            break;
        }
        place = space(text, next + 1);
    }
    found
}

/// The items of an array, as they are written.
pub(crate) fn items(text: &str) -> Vec<&str> {
    let mut found = Vec::new();
    let mut place = space(text, 1);
    while text.as_bytes()[place] != b']' {
        let end = value(text, place);
        found.push(&text[place..end]);
        let next = space(text, end);
        place = if text.as_bytes()[next] == b',' { space(text, next + 1) } else { next };
    }
    found
}

/// True when a key means this, however it is escaped.
fn means(text: &str, member: &Member, name: &str) -> bool {
    serde_json::from_str::<String>(&text[member.key.clone()]).is_ok_and(|key| key == name)
}

/// The member that a path of keys leads to.
pub(crate) fn find(text: &str, path: &[&str]) -> Option<Member> {
    let mut at = 0;
    let mut found = None;
    for name in path {
        let member = members(text, at).into_iter().find(|member| means(text, member, name))?;
        at = member.value.start;
        found = Some(member);
    }
    found
}

/// The text without the member that a path leads to, and without one comma beside it.
pub(crate) fn cut(text: &str, path: &[&str]) -> String {
    let Some(member) = find(text, path) else { return text.to_owned() };
    let after = space(text, member.value.end);
    let (start, end) = if text.as_bytes()[after] == b',' {
        (member.key.start, after + 1)
    } else {
        let before = text[..member.key.start].trim_end();
        match before.strip_suffix(',') {
            Some(before) => (before.len(), member.value.end),
            None => (member.key.start, member.value.end),
        }
    };
    format!("{}{}", &text[..start], &text[end..])
}

/// The text without an object that has no member.
pub(crate) fn cut_empty(text: &str, path: &[&str]) -> String {
    let empty = find(text, path).is_some_and(|member| {
        let value = &text[member.value.clone()];
        value.starts_with('{') && value[1..value.len() - 1].trim().is_empty()
    });
    if empty { cut(text, path) } else { text.to_owned() }
}

/// The text with another value at a path.
pub(crate) fn put(text: &str, path: &[&str], value: &str) -> String {
    let Some(member) = find(text, path) else { return text.to_owned() };
    format!("{}{value}{}", &text[..member.value.start], &text[member.value.end..])
}

#[test]
fn what_is_cut_out_leaves_the_rest_as_it_was() {
    let text = r#"{ "a" : 1 ,"b":{"\u0063":[1, {"d":"}"}],"e":2 } }"#;
    assert_eq!(cut(text, &["a"]), r#"{ "b":{"\u0063":[1, {"d":"}"}],"e":2 } }"#);
    assert_eq!(cut(text, &["b", "c"]), r#"{ "a" : 1 ,"b":{"e":2 } }"#);
    assert_eq!(cut(text, &["b", "e"]), r#"{ "a" : 1 ,"b":{"\u0063":[1, {"d":"}"}] } }"#);
    assert_eq!(put(text, &["b", "c"], "0"), r#"{ "a" : 1 ,"b":{"\u0063":0,"e":2 } }"#);
    assert_eq!(cut_empty(r#"{"a":{ }}"#, &["a"]), "{}");
    assert_eq!(items(r#"[1, [2,3] ,{"a":"]"}]"#), ["1", "[2,3]", r#"{"a":"]"}"#]);
}
