//! Malformed input at the HTTP door (security.md 3.2 and R7, R8): the answers of product.md's table,
//! no panic, and the process serves on.

#[expect(clippy::allow_attributes, reason = "which parts are unused differs by test file")]
#[allow(dead_code, unused_imports, reason = "each test file uses its own part of the harness")]
mod support;

use std::{net::SocketAddr, time::Duration};

use serde_json::json;
use support::{ABSENT, Answer, Era, Process, Proxy, Raw, post, serve_everything, text};

const DOOR: &str = "/mcp/up";
const MAX_BODY: usize = 64 << 10;
/// The header timeout is 10 s; half as much again for a busy machine.
const HEADER_TIMEOUT: Duration = Duration::from_secs(15);

const PARSE: &[i64] = &[-32700];
const REQUEST: &[i64] = &[-32600];
const BROKEN: &[i64] = &[-32700, -32600];
const PARAMS: &[i64] = &[-32600, -32602];
const HEADER: &[i64] = &[-32020];

/// A proxy before `everything`, and what a client needs to say to it.
struct Scene {
    proxy: Proxy,
    session: String,
    _server: Process,
}

impl Scene {
    fn new() -> Self {
        let (server, address) = serve_everything(&[]);
        let proxy = Proxy::start(&format!(
            "[server]\nlisten = \"127.0.0.1:0\"\nmax_body = \"64KiB\"\n\
             [upstreams.up]\nurl = \"http://{address}/mcp\"\n"
        ));
        let session = proxy.client(Era::Legacy, DOOR).session().map(str::to_owned);
        let session = session.expect("a legacy client gets a session");
        Self { proxy, session, _server: server }
    }

    fn at(&self) -> SocketAddr {
        self.proxy.address()
    }

    /// The headers of a good `tools/call` of `echo`.
    fn headers(&self, era: Era) -> Vec<(&str, String)> {
        let mut headers = era.headers("tools/call", &json!({"name": "echo"}));
        headers.push(("Authorization", format!("Bearer {}", self.proxy.key())));
        if era == Era::Legacy {
            headers.push(("Mcp-Session-Id", self.session.clone()));
        }
        headers
    }

    /// Sends a body with good headers, some of them replaced.
    fn send(&self, era: Era, body: &[u8], replaced: &[(&str, &str)]) -> Answer {
        let headers = self.headers(era);
        let replaces = |name: &str| replaced.iter().any(|(n, _)| n.eq_ignore_ascii_case(name));
        let headers: Vec<(&str, &str)> = headers
            .iter()
            .filter(|(name, _)| !replaces(name))
            .map(|(name, value)| (*name, value.as_str()))
            .chain(replaced.iter().copied())
            .collect();
        let bytes = post(self.at(), DOOR, &headers, body);
        Raw::exchange(self.at(), &bytes).unwrap_or_else(|error| panic!("no answer: {error}"))
    }

    /// The process lives, has not panicked, and answers a good call in both eras.
    fn serves_on(&self) {
        for era in Era::BOTH {
            let answer = self.proxy.client(era, DOOR).call("echo", json!({"text": "still here"}));
            assert_eq!(text(&answer), "still here");
        }
        let log = self.proxy.log();
        assert!(!log.contains("panicked"), "{log}");
    }
}

/// A body with what the era wants in the place of `META`.
fn body(era: Era, template: &str) -> Vec<u8> {
    let meta = match era {
        Era::Legacy => String::new(),
        Era::Modern => format!("\"_meta\":{},", era.params(json!({}))["_meta"]),
    };
    template.replace("META", &meta).into_bytes()
}

fn good(era: Era) -> Vec<u8> {
    body(era, &call(r#""text":"x""#))
}

fn call(arguments: &str) -> String {
    format!(
        r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{META"name":"echo","arguments":{{{arguments}}}}}}}"#
    )
}

fn nested(depth: usize) -> String {
    // Message, params and arguments are three levels of their own.
    let (open, close) = ("[".repeat(depth - 3), "]".repeat(depth - 3));
    call(&format!(r#""text":"x","deep":{open}{close}"#))
}

/// Kinds 1 to 19 of the list, as (name, body, statuses, codes).
fn bodies(era: Era) -> Vec<(&'static str, Vec<u8>, &'static [u16], &'static [i64])> {
    const BAD: &[u16] = &[400];
    const JUDGED: &[u16] = &[200, 400];
    let whole = good(era);
    let with = |template: &str| body(era, template);
    let changed = |from: &str, to: &str| with(&call(r#""text":"x""#).replace(from, to));
    let invalid = [&with(r#"{"jsonrpc":"2.0","id":1,"method":"ping","params":{META"x":""#)[..], b"\xff\xfe\"}}"];
    vec![
        ("1 empty", Vec::new(), BAD, PARSE),
        ("2 truncated", whole[..whole.len() - 1].to_vec(), BAD, PARSE),
        ("3 trailing bytes", [&whole[..], b" x"].concat(), BAD, PARSE),
        ("3 two messages", [&whole[..], &whole[..]].concat(), BAD, PARSE),
        ("4 byte order mark", [b"\xef\xbb\xbf", &whole[..]].concat(), BAD, PARSE),
        ("5 invalid UTF-8", invalid.concat(), BAD, PARSE),
        ("6 lone surrogate in a name", changed(r#""echo""#, r#""ec\ud800ho""#), BAD,
            &[-32700, -32600, -32602, -32020]),
        ("7 NUL in a name", changed(r#""echo""#, r#""echo\u0000""#), JUDGED,
            &[-32600, -32602, -32020]),
        ("8 method twice", changed(r#""id":1"#, r#""id":1,"method":"ping""#), BAD, BROKEN),
        ("8 id twice", changed(r#""id":1"#, r#""id":1,"id":2"#), BAD, BROKEN),
        ("9 name twice", changed(r#""name""#, r#""name":"other","name""#), BAD, BROKEN),
        ("9 name twice, escaped", changed(r#""name""#, r#""na\u006de":"other","name""#), BAD, BROKEN),
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
        ("15 result and error",
            br#"{"jsonrpc":"2.0","id":1,"result":{},"error":{"code":1,"message":""}}"#.to_vec(), BAD, REQUEST),
        ("16 params an array",
            br#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":[]}"#.to_vec(), JUDGED, PARAMS),
        ("16 params a string",
            br#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":"x"}"#.to_vec(), JUDGED, PARAMS),
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

    let legacy = |replaced: &[(&str, &str)]| scene.send(Era::Legacy, &good(Era::Legacy), replaced).status;
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
            ("accepts nothing we have", ("Accept", "text/html"), &[400, 406]),
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
        let headers: Vec<_> = answer.headers.into_iter().filter(|(name, _)| name != "date").collect();
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
        "Bearer mcpp_", "Bearer", "Bearer ", "Basic dXNlcjpwYXNz", "bearer  two  words", long.as_str(),
        "Bearer ' OR 1=1 --", "Bearer \u{e4}",
    ] {
        assert_eq!(refused(value, &good(Era::Modern)), first, "{value}");
    }
    // What a stranger sends is not read: the answer to rubbish is the same.
    for body in [&b"{"[..], b"", &[b'['; 60_000], b"\xff"] {
        assert_eq!(refused(ABSENT, body), first);
    }
    scene.serves_on();
}

#[test]
fn only_known_hosts_and_origins_come_in() {
    let scene = Scene::new();
    let port = scene.at().port();
    let local = format!("localhost:{port}");
    let six = format!("[::1]:{port}");
    let own = scene.at().to_string();
    for (host, status) in [
        (own.as_str(), 200), (local.as_str(), 200), (six.as_str(), 200), ("LOCALHOST", 200),
        ("evil.com", 403), ("localhost.evil.com", 403), ("127.0.0.1.evil.com", 403),
        ("evil.com:80", 403), ("127.1", 403), ("0.0.0.0", 403), ("[::ffff:7f00:1]", 403),
        ("2130706433", 403), ("user@localhost", 403), ("localhost.", 403),
    ] {
        let answer = scene.send(Era::Modern, &good(Era::Modern), &[("Host", host)]);
        assert_eq!(answer.status, status, "Host {host}: {}", answer.text());
    }
    for (origin, status) in [
        ("http://localhost:3000", 200), ("http://127.0.0.1:1", 200), ("https://evil.com", 403),
        ("http://localhost.evil.com", 403), ("null", 403), ("", 403), ("file://", 403),
        ("http://127.0.0.1.evil.com", 403), ("http://evil.com/?localhost", 403),
    ] {
        let answer = scene.send(Era::Modern, &good(Era::Modern), &[("Origin", origin)]);
        assert_eq!(answer.status, status, "Origin {origin}: {}", answer.text());
    }
    // The place is judged before the person, and probes answer everybody.
    let foreign = [("Host", "evil.com"), ("Authorization", ABSENT)];
    assert_eq!(scene.send(Era::Modern, b"{", &foreign).status, 403);
    let ask = |bytes: &[u8]| Raw::exchange(scene.at(), bytes).map(|answer| answer.status).ok();
    assert_eq!(ask(b"GET /livez HTTP/1.1\r\nHost: evil.com\r\nConnection: close\r\n\r\n"), Some(200));
    let twice = format!("GET /mcp HTTP/1.1\r\nHost: {own}\r\nHost: evil.com\r\nConnection: close\r\n\r\n");
    assert!(matches!(ask(twice.as_bytes()), Some(400 | 403)));
    let absolute = format!("GET http://evil.com/mcp HTTP/1.1\r\nHost: {own}\r\nConnection: close\r\n\r\n");
    assert!(matches!(ask(absolute.as_bytes()), Some(400 | 403)));
    assert!(matches!(ask(b"GET /mcp HTTP/1.1\r\nConnection: close\r\n\r\n"), Some(400 | 403)));
    scene.serves_on();
}

#[test]
fn other_methods_and_paths_are_refused() {
    let scene = Scene::new();
    let ask = |method: &str, path: &str, key: bool| {
        let key = if key { format!("Authorization: Bearer {}\r\n", scene.proxy.key()) } else { String::new() };
        let head = format!("{method} {path} HTTP/1.1\r\nHost: {}\r\n{key}Accept: text/event-stream\r\nConnection: close\r\n\r\n", scene.at());
        Raw::exchange(scene.at(), head.as_bytes()).map(|answer| answer.status).unwrap_or_default()
    };
    for method in ["GET", "DELETE", "PUT", "PATCH", "HEAD", "OPTIONS", "TRACE", "get", "BREW"] {
        assert_eq!(ask(method, "/mcp", true), 405, "{method} /mcp without a session");
    }
    for path in [
        "/", "/nowhere", "/mcp/", "/mcp//", "/mcp/up/", "/mcp/nope", "/mcp/up/more", "/MCP", "//mcp",
        "/mcp/%75%70%2f", "/mcp/..", "/p/x/mcp", "/connect/mcp",
    ] {
        assert_eq!(ask("GET", path, true), 404, "{path}");
        assert!(matches!(ask("GET", path, false), 401 | 404), "{path} without a key");
    }
    // Clients that find metadata ignore their key (field.md section 3).
    for path in [
        "/.well-known/oauth-protected-resource", "/.well-known/oauth-protected-resource/mcp",
        "/.well-known/oauth-authorization-server", "/.well-known/openid-configuration",
    ] {
        assert_eq!(ask("GET", path, false), 404, "{path}");
    }
    scene.serves_on();
}

#[test]
fn what_is_too_large_is_refused_while_it_arrives() {
    let scene = Scene::new();
    let padded = |size: usize| {
        let empty = body(Era::Modern, &call(r#""text":"""#)).len();
        body(Era::Modern, &call(&format!(r#""text":"{}""#, "y".repeat(size - empty))))
    };
    for (size, status) in [(MAX_BODY - 1, 200), (MAX_BODY, 200), (MAX_BODY + 1, 413)] {
        assert_eq!(scene.send(Era::Modern, &padded(size), &[]).status, status, "{size} bytes");
    }
    // Declared: refused before it is sent. Undeclared: as soon as it is too much.
    let owned = scene.headers(Era::Modern);
    let mut headers: Vec<(&str, &str)> = owned.iter().map(|(n, v)| (*n, v.as_str())).collect();
    headers.push(("Content-Length", "1000000000"));
    let mut raw = Raw::connect(scene.at());
    raw.send(&post(scene.at(), DOOR, &headers, b"{")).expect("a new connection");
    assert_eq!(raw.answer().map(|answer| answer.status).ok(), Some(413));
    assert!(raw.closes_within(Duration::from_secs(5)));

    headers.pop();
    headers.push(("Transfer-Encoding", "chunked"));
    let head = post(scene.at(), DOOR, &headers, b"");
    let head = String::from_utf8_lossy(&head).replace("Content-Length: 0\r\n", "");
    let mut raw = Raw::connect(scene.at());
    raw.send(head.as_bytes()).expect("a new connection");
    let chunk = [b"1000\r\n", &[b' '; 0x1000][..], b"\r\n"].concat();
    let sent = (0..4096).take_while(|_| raw.send(&chunk).is_ok()).count();
    // 16 MiB fit into the buffers on the way only when somebody reads them.
    assert!(sent < 4096, "an endless body was read to its end");
    scene.serves_on();
}

#[test]
fn floods_of_headers_are_refused() {
    let scene = Scene::new();
    let many = |count: usize| {
        let lines: String = (0..count).map(|n| format!("X-H{n}: 1\r\n")).collect();
        // Host and Connection make two more.
        let head = format!("GET /livez HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{lines}\r\n");
        Raw::exchange(scene.at(), head.as_bytes()).map(|answer| answer.status).ok()
    };
    assert_eq!([many(97), many(98), many(99), many(5000)], [Some(200), Some(200), Some(431), Some(431)]);
    let long = |length: usize| {
        let value = "v".repeat(length);
        let head = format!("GET /livez HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nX-Long: {value}\r\n\r\n");
        Raw::exchange(scene.at(), head.as_bytes()).map(|answer| answer.status).ok()
    };
    assert_eq!([long(15 << 10), long(17 << 10), long(1 << 20)], [Some(200), Some(431), Some(431)]);
    let path = format!("GET /{} HTTP/1.1\r\nHost: localhost\r\n\r\n", "p".repeat(70_000));
    let answer = Raw::exchange(scene.at(), path.as_bytes()).map(|answer| answer.status).ok();
    assert!(matches!(answer, Some(404 | 414 | 431)), "{answer:?}");
    scene.serves_on();
}

#[test]
fn broken_framing_never_makes_two_requests_of_one() {
    let scene = Scene::new();
    let (host, key) = (scene.at(), scene.proxy.key());
    let start = format!("POST {DOOR} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {key}\r\nContent-Type: application/json\r\n");
    for (name, rest) in [
        ("bad chunk size", "Transfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n"),
        ("chunk longer than said", "Transfer-Encoding: chunked\r\n\r\n1\r\n{}}}\r\n0\r\n\r\n"),
        ("chunked is not last", "Transfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n"),
        ("lengths differ", "Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}x"),
        ("length with sign", "Content-Length: +2\r\n\r\n{}"),
        ("length is text", "Content-Length: two\r\n\r\n{}"),
        ("folded header", "X-A: 1\r\n folded\r\nContent-Length: 2\r\n\r\n{}"),
        ("space before the colon", "Content-Length : 2\r\n\r\n{}"),
        ("NUL in a value", "X-A: \0\r\nContent-Length: 2\r\n\r\n{}"),
        ("no version", ""),
    ] {
        let bytes = if rest.is_empty() { format!("POST {DOOR}\r\n\r\n") } else { format!("{start}{rest}") };
        let mut raw = Raw::connect(scene.at());
        raw.send(bytes.as_bytes()).expect("a new connection");
        raw.finish();
        let status = raw.answer().map(|answer| answer.status).ok();
        assert!(matches!(status, Some(400) | None), "{name}: {status:?}");
        assert!(raw.closes_within(Duration::from_secs(5)), "{name}: stays open");
    }
    // Two lengths at once: either way of reading must not let the hidden request through.
    let hidden = "0\r\n\r\nGET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let both = format!("{start}Content-Length: {}\r\nTransfer-Encoding: chunked\r\n\r\n{hidden}", hidden.len());
    let mut raw = Raw::connect(scene.at());
    raw.send(both.as_bytes()).expect("a new connection");
    assert_eq!(raw.answer().map(|answer| answer.status).ok(), Some(400));
    assert!(raw.closes_within(Duration::from_secs(5)), "the hidden request was answered");
    scene.serves_on();
}

#[test]
fn connections_that_say_nothing_are_closed() {
    let scene = Scene::new();
    let (host, key) = (scene.at(), scene.proxy.key());
    let opened = |bytes: String| {
        let mut raw = Raw::connect(scene.at());
        raw.send(bytes.as_bytes()).expect("a new connection");
        raw
    };
    let full = format!("POST {DOOR} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {key}\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n");
    let mut slow = [
        ("nothing", opened(String::new())),
        ("half a line", opened("POST /mc".to_owned())),
        ("half of the headers", opened(format!("GET /livez HTTP/1.1\r\nHost: {host}\r\nX-A: "))),
        ("half of an HTTP/2 preface", opened("PRI * HTTP/2.0\r\n".to_owned())),
    ];
    let mut stalled = opened(format!("{full}{{"));
    // Half-open: the client is gone in one direction, in the middle of headers and of a body.
    for bytes in ["GET /livez HTTP/1.1\r\n".to_owned(), format!("{full}{{")] {
        let mut raw = opened(bytes);
        raw.finish();
        assert!(raw.closes_within(Duration::from_secs(5)), "half-open");
    }
    let many: Vec<Raw> = (0..200).map(|_| opened("POST /mcp HTTP/1.1\r\n".to_owned())).collect();
    scene.serves_on();
    for (name, raw) in &mut slow {
        assert!(raw.closes_within(HEADER_TIMEOUT), "{name}: still open");
    }
    for mut raw in many {
        assert!(raw.closes_within(HEADER_TIMEOUT), "one of two hundred is still open");
    }
    assert!(stalled.closes_within(Duration::from_secs(60)), "half of a body: still open");
    scene.serves_on();
}
