//! Malformed messages at the HTTP door (security.md 3.2): the answers of product.md's table, no panic,
//! and the process serves on.

use crate::support::{ABSENT, Answer, Era, Scene, body, call, good, nested, text};

const PARSE: &[i64] = &[-32700];
const REQUEST: &[i64] = &[-32600];
const BROKEN: &[i64] = &[-32700, -32600];
const PARAMS: &[i64] = &[-32600, -32602];
const HEADER: &[i64] = &[-32020];

/// A name, a body, the statuses and the codes of which one is right.
type Case = (&'static str, Vec<u8>, &'static [u16], &'static [i64]);

/// Kinds 1 to 19 of the list, as (name, body, statuses, codes).
fn bodies(era: Era) -> Vec<Case> {
    const BAD: &[u16] = &[400];
    const JUDGED: &[u16] = &[200, 400];
    let whole = good(era);
    let with = |template: &str| body(era, template);
    let changed = |from: &str, to: &str| with(&call(r#""text":"x""#).replace(from, to));
    let invalid = [
        &with(r#"{"jsonrpc":"2.0","id":1,"method":"ping","params":{META"x":""#)[..],
        b"\xff\xfe\"}}",
    ];
    vec![
        ("1 empty", Vec::new(), BAD, PARSE),
        ("2 truncated", whole[..whole.len() - 1].to_vec(), BAD, PARSE),
        ("3 trailing bytes", [&whole[..], b" x"].concat(), BAD, PARSE),
        ("3 two messages", [&whole[..], &whole[..]].concat(), BAD, PARSE),
        ("4 byte order mark", [b"\xef\xbb\xbf", &whole[..]].concat(), BAD, PARSE),
        ("5 invalid UTF-8", invalid.concat(), BAD, PARSE),
        (
            "6 lone surrogate in a name",
            changed(r#""echo""#, r#""ec\ud800ho""#),
            JUDGED,
            &[-32700, -32600, -32602, -32020],
        ),
        (
            "7 NUL in a name",
            changed(r#""echo""#, r#""echo\u0000""#),
            JUDGED,
            &[-32600, -32602, -32020],
        ),
        ("8 method twice", changed(r#""id":1"#, r#""id":1,"method":"ping""#), BAD, BROKEN),
        ("8 id twice", changed(r#""id":1"#, r#""id":1,"id":2"#), BAD, BROKEN),
        ("9 name twice", changed(r#""name""#, r#""name":"other","name""#), BAD, BROKEN),
        (
            "9 name twice, escaped",
            changed(r#""name""#, r#""na\u006de":"other","name""#),
            BAD,
            BROKEN,
        ),
        ("10 wrong case", changed(r#""method""#, r#""Method""#), BAD, REQUEST),
        ("12 id null", changed(r#""id":1"#, r#""id":null"#), BAD, REQUEST),
        ("12 id object", changed(r#""id":1"#, r#""id":{}"#), BAD, REQUEST),
        ("12 id array", changed(r#""id":1"#, r#""id":[1]"#), BAD, REQUEST),
        ("12 id true", changed(r#""id":1"#, r#""id":true"#), BAD, REQUEST),
        ("12 id fraction", changed(r#""id":1"#, r#""id":1.5"#), BAD, REQUEST),
        ("13 wrong jsonrpc", changed(r#""2.0""#, r#""1.0""#), BAD, REQUEST),
        ("13 jsonrpc a number", changed(r#""2.0""#, "2.0"), BAD, REQUEST),
        ("13 no jsonrpc", changed(r#""jsonrpc":"2.0","#, ""), BAD, REQUEST),
        ("14 batch", [b"[", &whole[..], b"]"].concat(), BAD, REQUEST),
        ("14 empty batch", b"[]".to_vec(), BAD, REQUEST),
        ("15 method and result", changed(r#""id":1"#, r#""id":1,"result":{}"#), BAD, REQUEST),
        (
            "15 result and error",
            br#"{"jsonrpc":"2.0","id":1,"result":{},"error":{"code":1,"message":""}}"#.to_vec(),
            BAD,
            REQUEST,
        ),
        (
            "16 params an array",
            br#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":[]}"#.to_vec(),
            JUDGED,
            PARAMS,
        ),
        (
            "16 params a string",
            br#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":"x"}"#.to_vec(),
            JUDGED,
            PARAMS,
        ),
        ("17 arguments an array", changed(r#"{"text":"x"}"#, "[]"), JUDGED, PARAMS),
        ("17 arguments a string", changed(r#"{"text":"x"}"#, r#""x""#), JUDGED, PARAMS),
        ("17 name a number", changed(r#""echo""#, "5"), JUDGED, &[-32600, -32602, -32020]),
        ("18 depth 65", with(&nested(65)), BAD, BROKEN),
        ("18 depth 127", with(&nested(127)), BAD, BROKEN),
        ("18 depth 20,000", with(&nested(20_000)), BAD, BROKEN),
        ("18 open brackets only", vec![b'['; 60_000], BAD, BROKEN),
        ("a scalar", b"5".to_vec(), BAD, REQUEST),
        ("NaN", changed(r#""x""#, "NaN"), BAD, PARSE),
        ("single quotes", changed(r#""x""#, "'x'"), BAD, PARSE),
        ("raw line feed in a string", changed(r#""x""#, "\"\n\""), BAD, PARSE),
    ]
}

#[test]
fn malformed_bodies_get_the_answers_of_the_table() {
    let scene = Scene::new();
    let mut failures = Vec::new();
    for era in Era::BOTH {
        assert_eq!(scene.send(era, &good(era), &[]).status, 200);
        for (name, body, statuses, codes) in bodies(era) {
            let answer = scene.send(era, &body, &[]);
            let code = answer.code();
            let right = statuses.contains(&answer.status)
                && code.is_some_and(|code| codes.contains(&code))
                && (answer.status == 200 || unread(&answer, code));
            if !right {
                let told = format!("{} {}", answer.status, answer.text());
                failures.push(format!("{era:?} {name}: {told}, not {statuses:?} {codes:?}"));
            }
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    scene.serves_on();
}

/// A message that could not be read is answered with the id null.
fn unread(answer: &Answer, code: Option<i64>) -> bool {
    code != Some(-32700) || answer.messages()[0].get("id").is_some_and(serde_json::Value::is_null)
}

#[test]
fn unusual_bodies_are_served() {
    let scene = Scene::new();
    for era in Era::BOTH {
        let with = |template: &str| body(era, template);
        let changed = |from: &str, to: &str| with(&call(r#""text":"x""#).replace(from, to));
        for (name, body) in [
            ("11 unknown top-level key", changed(r#""id":1"#, r#""id":1,"extra":{"a":[]}"#)),
            ("18 depth 64", with(&nested(64))),
            ("white space", with(&format!(" \r\n\t{} \n", call(r#" "text" : "x" "#)))),
            ("escaped letters", changed(r#""echo""#, r#""\u0065cho""#)),
            ("an id of text", changed(r#""id":1"#, r#""id":"\u00e4 \" 1""#)),
        ] {
            let answer = scene.send(era, &body, &[]);
            let text = answer.messages().pop().unwrap_or_default();
            let text = &text["result"]["content"][0]["text"];
            assert_eq!(text, "x", "{era:?} {name}: {} {}", answer.status, answer.text());
        }
        // 19: what a number means is the upstream's affair; its digits arrive as they were sent.
        let long = "123456789012345678901234567890";
        let shown = call(&format!(r#""n":{long},"m":1.10"#)).replace("echo", "show_request");
        let answer = scene.send(era, &with(&shown), &[named(era, "show_request")]);
        let message = answer.messages().pop().unwrap_or_default();
        let shown: serde_json::Value = serde_json::from_str(text(&message)).expect("it is JSON");
        let raw = shown["raw"].as_str().unwrap_or_default();
        assert!(raw.contains(&format!(r#""n":{long},"m":1.10"#)), "{era:?}: {raw}");
        // 12: an id that few programs can hold comes back digit for digit, or is refused.
        for id in ["18446744073709551616", "1.0"] {
            let answer = scene.send(era, &changed(r#""id":1"#, &format!(r#""id":{id}"#)), &[]);
            let same = answer.status == 200 && answer.text().contains(&format!(r#""id":{id},"#));
            let refused = answer.status == 400 && answer.code() == Some(-32600);
            assert!(same || refused, "{era:?} id {id}: {} {}", answer.status, answer.text());
        }
        let huge = with(&call(r#""text":"x","n":1e400"#));
        assert!(scene.send(era, &huge, &[]).status < 500);
    }
    scene.serves_on();
}

fn named(era: Era, name: &'static str) -> (&'static str, &'static str) {
    if era == Era::Modern { ("Mcp-Name", name) } else { ("X-Nothing", "") }
}

#[test]
fn headers_that_belie_the_body_are_refused() {
    let scene = Scene::new();
    let of = |replaced: &[(&str, &str)]| scene.send(Era::Modern, &good(Era::Modern), replaced);
    for (name, replaced, statuses, codes) in [
        ("other name", &[("Mcp-Name", "sleep")][..], &[400][..], HEADER),
        ("other case", &[("Mcp-Name", "Echo")], &[400], HEADER),
        ("no name", &[("Mcp-Name", ABSENT)], &[400], HEADER),
        ("name twice", &[("Mcp-Name", "echo"), ("Mcp-Name", "sleep")], &[400], HEADER),
        ("bad base64", &[("Mcp-Name", "=?base64?!!!?=")], &[400], HEADER),
        ("base64 of another", &[("Mcp-Name", "=?base64?c2xlZXA=?=")], &[400], HEADER),
        ("other method", &[("Mcp-Method", "tools/list")], &[400], HEADER),
        ("no method", &[("Mcp-Method", ABSENT)], &[400], HEADER),
        ("other version", &[("MCP-Protocol-Version", "2025-11-25")], &[400], HEADER),
        ("no version", &[("MCP-Protocol-Version", ABSENT)], &[400], HEADER),
    ] {
        let answer = of(replaced);
        let code = answer.code().unwrap_or_default();
        let right = statuses.contains(&answer.status) && codes.contains(&code);
        assert!(right, "{name}: {} {}", answer.status, answer.text());
    }
    assert_eq!(of(&[("Mcp-Name", "=?base64?ZWNobw==?=")]).status, 200, "base64 is decoded");

    let unknown = String::from_utf8(good(Era::Modern)).expect("we wrote it");
    let unknown = unknown.replace("2026-07-28", "1900-01-01");
    let version = ("MCP-Protocol-Version", "1900-01-01");
    let answer = scene.send(Era::Modern, unknown.as_bytes(), &[version]);
    assert_eq!((answer.status, answer.code()), (400, Some(-32022)), "{}", answer.text());
    let bare = good(Era::Legacy);
    let answer = scene.send(Era::Modern, &bare, &[]);
    assert_eq!((answer.status, answer.code()), (400, Some(-32602)), "{}", answer.text());

    let legacy =
        |replaced: &[(&str, &str)]| scene.send(Era::Legacy, &good(Era::Legacy), replaced).status;
    assert_eq!(legacy(&[("Mcp-Session-Id", ABSENT)]), 400, "no session");
    assert_eq!(legacy(&[("Mcp-Session-Id", "not-a-session")]), 404, "unknown session");
    assert_eq!(legacy(&[("MCP-Protocol-Version", "1999-01-01")]), 400, "unknown version");
    scene.serves_on();
}

#[test]
fn content_that_is_not_plain_json_is_refused() {
    let scene = Scene::new();
    for era in Era::BOTH {
        for (name, replaced, statuses) in [
            ("text", ("Content-Type", "text/plain"), &[400, 415][..]),
            ("no type", ("Content-Type", ABSENT), &[400, 415]),
            ("form", ("Content-Type", "application/x-www-form-urlencoded"), &[400, 415]),
            ("gzip", ("Content-Encoding", "gzip"), &[400, 415]),
            ("with a charset", ("Content-Type", "application/json; charset=utf-8"), &[200]),
            // No rule says what is right; JSON all the same is what careless clients need.
            ("accepts nothing we have", ("Accept", "text/html"), &[200, 400, 406]),
            ("accepts both", ("Accept", "text/event-stream, application/json"), &[200]),
        ] {
            let answer = scene.send(era, &good(era), &[replaced]);
            let told = format!("{era:?} {name}: {} {}", answer.status, answer.text());
            assert!(statuses.contains(&answer.status), "{told}");
        }
    }
    scene.serves_on();
}

#[test]
fn a_stranger_always_gets_the_same_refusal() {
    let scene = Scene::new();
    let refused = |value: &str, body: &[u8]| {
        let answer = scene.send(Era::Modern, body, &[("Authorization", value)]);
        let headers: Vec<_> =
            answer.headers.into_iter().filter(|(name, _)| name != "date").collect();
        (answer.status, headers, answer.body)
    };
    let first = refused(ABSENT, &good(Era::Modern));
    assert_eq!(first.0, 401);
    let challenge = first.1.iter().find(|(name, _)| name == "www-authenticate");
    assert!(challenge.is_some_and(|(_, value)| value.starts_with("Bearer")), "{:?}", first.1);
    assert!(!first.1.iter().any(|(_, value)| value.contains("resource_metadata")), "{:?}", first.1);
    let long = format!("Bearer {}", "k".repeat(8000));
    for value in [
        "Bearer a-key-that-nobody-made-but-long-enough-1",
        "Bearer mcpp_0123456789_0123456789012345678901234567890123456789012_012345",
        "Bearer mcpp_",
        "Bearer",
        "Bearer ",
        "Basic dXNlcjpwYXNz",
        "bearer  two  words",
        long.as_str(),
        "Bearer ' OR 1=1 --",
        "Bearer \u{e4}",
    ] {
        assert_eq!(refused(value, &good(Era::Modern)), first, "{value}");
    }
    // What a stranger sends is not read: the answer to rubbish is the same.
    for body in [&b"{"[..], b"", &[b'['; 60_000], b"\xff"] {
        assert_eq!(refused(ABSENT, body), first);
    }
    scene.serves_on();
}
