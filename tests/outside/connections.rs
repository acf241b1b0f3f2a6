//! Hostile connections: foreign hosts and origins, floods, broken framing, silence (security.md 3.2
//! and R7, R8). The answers are those of product.md's table, and the process serves on.

use std::time::Duration;

use crate::support::{ABSENT, DOOR, Era, MAX_BODY, Raw, Scene, body, call, good, post};

/// The header timeout is 10 s; half as much again for a busy machine.
const HEADER_TIMEOUT: Duration = Duration::from_secs(15);

#[test]
fn only_known_hosts_and_origins_come_in() {
    let scene = Scene::new();
    let port = scene.at().port();
    let local = format!("localhost:{port}");
    let six = format!("[::1]:{port}");
    let own = scene.at().to_string();
    for (host, status) in [
        (own.as_str(), 200),
        (local.as_str(), 200),
        (six.as_str(), 200),
        ("LOCALHOST", 200),
        ("evil.com", 403),
        ("localhost.evil.com", 403),
        ("127.0.0.1.evil.com", 403),
        ("evil.com:80", 403),
        ("127.1", 403),
        ("0.0.0.0", 403),
        ("[::ffff:7f00:1]", 403),
        ("2130706433", 403),
        ("user@localhost", 403),
        ("localhost.", 403),
    ] {
        let answer = scene.send(Era::Modern, &good(Era::Modern), &[("Host", host)]);
        assert_eq!(answer.status, status, "Host {host}: {}", answer.text());
    }
    for (origin, status) in [
        ("http://localhost:3000", 200),
        ("http://127.0.0.1:1", 200),
        ("https://evil.com", 403),
        ("http://localhost.evil.com", 403),
        ("null", 403),
        ("", 403),
        ("file://", 403),
        ("http://127.0.0.1.evil.com", 403),
        ("http://evil.com/?localhost", 403),
    ] {
        let answer = scene.send(Era::Modern, &good(Era::Modern), &[("Origin", origin)]);
        assert_eq!(answer.status, status, "Origin {origin}: {}", answer.text());
    }
    // The place is judged before the person, and probes answer everybody.
    let foreign = [("Host", "evil.com"), ("Authorization", ABSENT)];
    assert_eq!(scene.send(Era::Modern, b"{", &foreign).status, 403);
    let ask = |bytes: &[u8]| Raw::exchange(scene.at(), bytes).map(|answer| answer.status).ok();
    assert_eq!(
        ask(b"GET /livez HTTP/1.1\r\nHost: evil.com\r\nConnection: close\r\n\r\n"),
        Some(200)
    );
    let twice =
        format!("GET /mcp HTTP/1.1\r\nHost: {own}\r\nHost: evil.com\r\nConnection: close\r\n\r\n");
    assert!(matches!(ask(twice.as_bytes()), Some(400 | 403)));
    let absolute =
        format!("GET http://evil.com/mcp HTTP/1.1\r\nHost: {own}\r\nConnection: close\r\n\r\n");
    assert!(matches!(ask(absolute.as_bytes()), Some(400 | 403)));
    assert!(matches!(ask(b"GET /mcp HTTP/1.1\r\nConnection: close\r\n\r\n"), Some(400 | 403)));
    scene.serves_on();
}

#[test]
fn other_methods_and_paths_are_refused() {
    let scene = Scene::new();
    let ask = |method: &str, path: &str, key: bool| {
        let key = if key {
            format!("Authorization: Bearer {}\r\n", scene.proxy.key())
        } else {
            String::new()
        };
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: {}\r\n{key}Accept: text/event-stream\r\nConnection: close\r\n\r\n",
            scene.at()
        );
        let mut raw = Raw::connect(scene.at());
        raw.send(head.as_bytes()).expect("a new connection");
        // An answer to HEAD tells the length of a body that does not come.
        raw.head().map(|answer| answer.status).unwrap_or_default()
    };
    for method in ["GET", "DELETE", "PUT", "PATCH", "HEAD", "OPTIONS", "TRACE", "get", "BREW"] {
        assert_eq!(ask(method, "/mcp", true), 405, "{method} /mcp without a session");
    }
    for path in [
        "/",
        "/nowhere",
        "/mcp/",
        "/mcp//",
        "/mcp/up/",
        "/mcp/nope",
        "/mcp/up/more",
        "/MCP",
        "//mcp",
        "/mcp/%75%70%2f",
        "/mcp/..",
        "/p/x/mcp",
        "/connect/mcp",
    ] {
        assert_eq!(ask("GET", path, true), 404, "{path}");
        assert!(matches!(ask("GET", path, false), 401 | 404), "{path} without a key");
    }
    // Clients that find metadata ignore their key (field.md section 3).
    for path in [
        "/.well-known/oauth-protected-resource",
        "/.well-known/oauth-protected-resource/mcp",
        "/.well-known/oauth-authorization-server",
        "/.well-known/openid-configuration",
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
    let with =
        |headers: &[(&str, &str)]| scene.send(Era::Modern, &good(Era::Modern), headers).status;
    // The call has nine of its own.
    let many = |count: usize| {
        let names: Vec<String> = (9..count).map(|n| format!("X-{n}")).collect();
        with(&names.iter().map(|name| (name.as_str(), "1")).collect::<Vec<_>>())
    };
    assert_eq!([many(99), many(100), many(101), many(3000)], [200, 200, 431, 431]);
    let long = |length: usize| with(&[("X-Long", &"v".repeat(length))]);
    assert_eq!([long(15 << 10), long(17 << 10), long(1 << 20)], [200, 431, 431]);
    let path = format!("GET /{} HTTP/1.1\r\nHost: localhost\r\n\r\n", "p".repeat(70_000));
    let answer = Raw::exchange(scene.at(), path.as_bytes()).map(|answer| answer.status).ok();
    assert!(matches!(answer, Some(404 | 414 | 431)), "{answer:?}");
    scene.serves_on();
}

#[test]
fn broken_framing_never_makes_two_requests_of_one() {
    let scene = Scene::new();
    let (host, key) = (scene.at(), scene.proxy.key());
    let start = format!(
        "POST {DOOR} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {key}\r\nContent-Type: application/json\r\n"
    );
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
        let bytes =
            if rest.is_empty() { format!("POST {DOOR}\r\n\r\n") } else { format!("{start}{rest}") };
        let mut raw = Raw::connect(scene.at());
        raw.send(bytes.as_bytes()).expect("a new connection");
        raw.finish();
        let status = raw.answer().map(|answer| answer.status).ok();
        assert!(matches!(status, Some(400) | None), "{name}: {status:?}");
        assert!(raw.closes_within(Duration::from_secs(5)), "{name}: stays open");
    }
    // Two lengths at once: either way of reading must not let the hidden request through.
    let hidden = "0\r\n\r\nGET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let both = format!(
        "{start}Content-Length: {}\r\nTransfer-Encoding: chunked\r\n\r\n{hidden}",
        hidden.len()
    );
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
    let full = format!(
        "POST {DOOR} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {key}\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n"
    );
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
