//! Upstreams that come, change and go.

use serde_json::json;

use crate::reload::world::{
    PATIENCE, file, full, hang_up, listen, process, reload, replace, report, running, start,
    stream, tools, write,
};
use crate::support::{Era, Proxy, Raw, Setup, Stream, post, serve_everything, text, until};

#[test]
fn a_new_upstream_is_heard_of_and_called_in_the_old_session() {
    let a = process("a", "one");
    let proxy = start(Setup::new(), &file(&a));
    let mut client = proxy.client(Era::Legacy, "/mcp");
    let before = tools(&mut client);
    let (pid, _) = report(&mut client, "a");
    let mut general = stream(&proxy, proxy.key(), "/mcp", &client);
    let mut modern = listen(&proxy, "/mcp");

    let told = reload(&proxy, &file(&(a + &process("b", "two"))));
    assert!(told.contains("upstreams added: b"), "{told}");
    general.hears("notifications/tools/list_changed");
    modern.hears("notifications/tools/list_changed");
    let after = tools(&mut client);
    assert_eq!(after[..before.len()], before);
    assert!(after.contains(&"b__echo".to_owned()), "{after:?}");
    assert_ne!(report(&mut client, "b").0, pid);
    assert_eq!(report(&mut client, "a"), (pid, 2), "the same process");
    // The same file once more changes nothing.
    assert!(hang_up(&proxy).contains("nothing is different"));
    assert_eq!(report(&mut client, "a"), (pid, 3));
}

#[test]
fn a_changed_upstream_gets_a_new_process_and_the_others_keep_theirs() {
    let (_server, address) = serve_everything(&["--era", "legacy"]);
    let rest = format!("{}[upstreams.web]\nurl = \"http://{address}/mcp\"\n", process("a", "same"));
    let with = |b: &str| file(&format!("{rest}{b}"));
    let proxy = start(Setup::new(), &with(&process("b", "first")));
    let mut client = proxy.client(Era::Legacy, "/mcp");
    let mut modern = proxy.client(Era::Modern, "/mcp");
    assert_eq!(text(&client.call("web__echo", json!({"text": "x"}))), "x");
    let (a, b) = (report(&mut client, "a").0, report(&mut client, "b").0);

    let told = reload(&proxy, &with(&process("b", "second")));
    assert!(told.contains("upstreams changed: b"), "{told}");
    // Nobody needs to list anew.
    let second = report(&mut modern, "b").0;
    assert_ne!(second, b);
    assert_eq!(report(&mut client, "b").0, second, "one process for all");
    assert_eq!(report(&mut client, "a").0, a);
    assert_eq!(text(&client.call("web__echo", json!({"text": "y"}))), "y");
    until("the old process is gone", PATIENCE, || (running(&proxy, "first") == 0).then_some(()));

    // What is looked at for each call needs no new process.
    let slower = process("b", "second") + "timeout = \"50s\"\n";
    assert!(reload(&proxy, &with(&slower)).contains("upstreams changed: b"));
    assert_eq!(report(&mut client, "b").0, second);
    assert_eq!(report(&mut client, "a").0, a);
}

#[test]
fn a_call_that_runs_ends_well_though_its_upstream_changes() {
    let proxy = start(Setup::new(), &file(&full("up", 1)));
    let mut client = proxy.client(Era::Legacy, "/mcp");
    tools(&mut client);
    let arguments = json!({"label": "t", "count": 50, "ms": 100, "log": false});
    let mut params = Era::Modern.params(json!({"name": "up__tick", "arguments": arguments}));
    params["_meta"]["progressToken"] = json!("p");
    let headers = Era::Modern.headers("tools/call", &params);
    let headers: String =
        headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let headers = format!("{headers}Authorization: Bearer {}", proxy.key());
    let body = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params});
    let mut slow = Stream::open(proxy.address(), "POST /mcp", &headers, &body.to_string());
    slow.hears("notifications/progress");

    reload(&proxy, &file(&full("up", 2)));
    assert_eq!(text(&client.call("up__echo", json!({"text": "new"}))), "new");
    assert!(running(&proxy, "--tools 1") > 0, "its call runs on");
    let answer = loop {
        let message = slow.event().expect("the stream goes on").message;
        if message["id"] == 1 {
            break message;
        }
        assert_eq!(message["method"], "notifications/progress");
    };
    assert!(answer["error"].is_null() && answer["result"]["isError"] != true, "{answer}");
    until("the old process is gone", PATIENCE, || {
        (running(&proxy, "--tools 1") == 0).then_some(())
    });
    assert!(running(&proxy, "--tools 2") > 0);
}

#[test]
fn a_removed_upstream_is_as_if_it_had_never_been() {
    let (a, b) = (process("a", "stays"), process("b", "goes"));
    let proxy = start(Setup::new(), &file(&format!("{a}{b}")));
    let mut client = proxy.client(Era::Legacy, "/mcp");
    let single = proxy.client(Era::Legacy, "/mcp/b");
    assert!(tools(&mut client).contains(&"b__echo".to_owned()));
    report(&mut client, "b");
    let mut general = stream(&proxy, proxy.key(), "/mcp", &client);
    let mut own = stream(&proxy, proxy.key(), "/mcp/b", &single);
    let mut own_listen = listen(&proxy, "/mcp/b");

    let told = reload(&proxy, &file(&a));
    assert!(told.contains("upstreams removed: b"), "{told}");
    general.hears("notifications/tools/list_changed");
    assert!(!tools(&mut client).iter().any(|name| name.starts_with("b__")));
    let (gone, never) = (client.call("b__echo", json!({})), client.call("never__echo", json!({})));
    assert_eq!(gone["error"]["code"], -32602, "{gone}");
    let unnamed = |answer: &serde_json::Value, name: &str| {
        answer["error"]["message"].as_str().expect("a message").replace(name, "")
    };
    assert_eq!(unnamed(&gone, "b__echo"), unnamed(&never, "never__echo"));
    // Streams at its door end, and nothing is there any more.
    while own.line().is_some() {}
    while own_listen.line().is_some() {}
    let authorization = format!("Bearer {}", proxy.key());
    let request = post(proxy.address(), "/mcp/b", &[("Authorization", &authorization)], b"{}");
    assert_eq!(Raw::exchange(proxy.address(), &request).expect("an answer").status, 404);
    until("its process is gone", PATIENCE, || (running(&proxy, "goes") == 0).then_some(()));

    // It may come back.
    reload(&proxy, &file(&format!("{a}{b}")));
    general.hears("notifications/tools/list_changed");
    report(&mut client, "b");
}

#[test]
fn a_change_of_the_file_is_enough() {
    let a = process("a", "one");
    let proxy = Proxy::start(&file(&a));
    let mut client = proxy.client(Era::Legacy, "/mcp");
    tools(&mut client);
    let mut general = stream(&proxy, proxy.key(), "/mcp", &client);
    let (pid, _) = report(&mut client, "a");
    write(&proxy, &file(&format!("{a}{}", process("b", "two"))));
    general.hears("notifications/tools/list_changed");
    report(&mut client, "b");
    // In place, too.
    let path = proxy.folder().join("mcp-proxy.toml");
    std::fs::write(path, file(&a)).expect("the file is ours");
    general.hears("notifications/tools/list_changed");
    assert!(!tools(&mut client).iter().any(|name| name.starts_with("b__")));
    assert_eq!(report(&mut client, "a").0, pid);
}

#[test]
fn an_upstream_comes_to_a_proxy_that_had_none() {
    let proxy = start(Setup::new(), &file(""));
    let mut client = proxy.client(Era::Legacy, "/mcp");
    let mut general = stream(&proxy, proxy.key(), "/mcp", &client);
    assert!(tools(&mut client).is_empty());
    reload(&proxy, &file(&process("a", "first")));
    general.hears("notifications/tools/list_changed");
    report(&mut client, "a");
}

#[test]
fn another_separator_renames_everything() {
    let a = process("a", "one");
    let proxy = start(Setup::new(), &file(&a));
    let mut client = proxy.client(Era::Legacy, "/mcp");
    let mut general = stream(&proxy, proxy.key(), "/mcp", &client);
    let (pid, _) = report(&mut client, "a");
    reload(&proxy, &file(&format!("[namespace]\nseparator = \".\"\n{a}")));
    general.hears("notifications/tools/list_changed");
    assert!(tools(&mut client).contains(&"a.report".to_owned()));
    let answer = client.call("a.report", json!({}));
    assert_eq!(answer["result"]["pid"], pid, "{answer}");
}

#[test]
fn another_value_of_a_secret_makes_a_new_process_of_that_upstream_alone() {
    let upstreams = format!(
        "{}env = {{ TOKEN = \"{{secret.token}}\" }}\n{}",
        process("a", "secret"),
        process("b", "open")
    );
    let toml = file(&upstreams) + "secrets = { a = { token = { file = \"a.token\" } } }\n";
    let proxy = start(Setup::new().file("a.token", b"the-first-value"), &toml);
    let mut client = proxy.client(Era::Legacy, "/mcp");
    let (a, b) = (report(&mut client, "a").0, report(&mut client, "b").0);
    let told = hang_up(&proxy);
    assert!(told.contains("secrets=0"), "{told}");
    assert_eq!(report(&mut client, "a").0, a);
    replace(&proxy.folder().join("a.token"), "the-second-value");
    let told = hang_up(&proxy);
    assert!(told.contains("secrets=1"), "{told}");
    assert_ne!(report(&mut client, "a").0, a);
    assert_eq!(report(&mut client, "b").0, b);
    until("the old process is gone", PATIENCE, || {
        (!proxy.descendants().iter().any(|(id, ..)| u64::from(*id) == a)).then_some(())
    });
}

#[test]
fn settings_hold_at_once() {
    let proxy = start(Setup::new(), &file(""));
    let ask = |host: &str, size: usize| {
        let body = format!("{{\"x\":\"{}\"}}", "a".repeat(size));
        let request = format!(
            "POST /mcp HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {}\r\nContent-Type: application/json\r\n\
             Accept: application/json, text/event-stream\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
            proxy.key(),
            body.len()
        );
        Raw::exchange(proxy.address(), request.as_bytes()).expect("an answer").status
    };
    assert_eq!((ask("new.example", 1), ask("localhost", 2000)), (403, 400));
    let server = "hosts = [\"new.example\"]\nmax_body = \"1KiB\"\n";
    let told = reload(&proxy, &file("").replace("[tenants", &format!("{server}[tenants")));
    assert!(told.contains("settings: server.hosts, server.max_body"), "{told}");
    assert_eq!((ask("new.example", 1), ask("localhost", 2000)), (400, 413));
    // A limit, too; and it goes away again.
    let limit = "[limits]\nkey = { rate = \"1/h\" }\n";
    let told = reload(&proxy, &file(limit));
    assert!(told.contains("limits"), "{told}");
    let mut client = proxy.client(Era::Modern, "/mcp");
    assert_eq!(client.send("tools/list", json!({})).status, 200);
    assert_eq!(client.send("tools/list", json!({})).status, 429);
    reload(&proxy, &file(""));
    assert_eq!(client.send("tools/list", json!({})).status, 200);
}
