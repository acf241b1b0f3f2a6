//! Sessions over restarts: what lives goes on without the client doing anything, what has ended
//! stays ended.

use std::{fs, net::TcpListener, path::Path, thread, time::Duration};

use crate::support::{
    Answer, Client, Era, Peers, Proxy, Raw, Setup, Stream, post, serve_everything, text, until,
};
use serde_json::{Value, json};

/// Longest wait for what ought to come soon.
const PATIENCE: Duration = Duration::from_secs(60);

/// A free port, so that a restarted proxy is where its clients look for it.
fn port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("it is bound").port()
}

/// A folder with a proxy's file: one port for all starts, one upstream, what is said besides.
fn setup(upstream: &str, server: &str) -> Setup {
    let toml = format!(
        "[server]\nlisten = \"127.0.0.1:{}\"\n{server}\n[upstreams.up]\n{upstream}\n",
        port()
    );
    Setup::new().config(&toml)
}

/// A `ping` with this session.
fn ping(proxy: &Proxy, key: &str, door: &str, session: &str) -> Answer {
    let authorization = format!("Bearer {key}");
    let headers = [("Authorization", authorization.as_str()), ("Mcp-Session-Id", session)];
    let body = br#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#;
    Raw::exchange(proxy.address(), &post(proxy.address(), door, &headers, body)).expect("an answer")
}

fn delete(proxy: &Proxy, door: &str, session: &str) -> Answer {
    let request = format!(
        "DELETE {door} HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {}\r\nMcp-Session-Id: {session}\r\n\
         Connection: close\r\n\r\n",
        proxy.address(),
        proxy.key()
    );
    Raw::exchange(proxy.address(), request.as_bytes()).expect("an answer")
}

fn general(proxy: &Proxy, door: &str, session: &str) -> Stream {
    let headers = format!("Authorization: Bearer {}\r\nMcp-Session-Id: {session}", proxy.key());
    Stream::open(proxy.address(), &format!("GET {door}"), &headers, "")
}

fn session(client: &Client) -> String {
    client.session().expect("a session").to_owned()
}

#[test]
fn idle_clients_go_on_after_each_kill() {
    let (_server, address) = serve_everything(&["--era", "legacy"]);
    let mut proxy = setup(&format!("url = \"http://{address}/mcp\""), "").serve();
    let mut merged = proxy.client(Era::Legacy, "/mcp");
    let mut single = proxy.client(Era::Legacy, "/mcp/up");
    let pointer = session(&single);
    assert!(pointer.len() <= 300 && pointer.bytes().all(|byte| byte.is_ascii_graphic()));
    for round in 0..3 {
        proxy = if round == 1 { proxy.stop().serve() } else { proxy.kill().serve() };
        let answer = merged.call("up__echo", json!({"text": format!("round {round}")}));
        assert_eq!(text(&answer), format!("round {round}"));
        let answer = single.call("echo", json!({"text": format!("round {round}")}));
        assert_eq!(text(&answer), format!("round {round}"));
        assert!(!single.list("tools/list", "tools").is_empty());
    }
    // Another door, key or a changed pointer opens nothing, as before.
    assert_eq!(ping(&proxy, proxy.key(), "/mcp", &pointer).status, 404);
    let mut changed = pointer.clone().into_bytes();
    changed[100] ^= 1;
    let changed = String::from_utf8(changed).expect("ASCII");
    let answer = ping(&proxy, proxy.key(), "/mcp/up", &changed);
    assert_eq!(answer.status, 404, "{}", answer.text());
    assert_eq!(ping(&proxy, proxy.key(), "/mcp/up", &pointer).status, 200);
}

#[test]
fn what_a_session_has_changed_is_there_after_a_kill() {
    let (_server, address) = serve_everything(&["--era", "legacy"]);
    let proxy = setup(&format!("url = \"http://{address}/mcp\""), "").serve();
    let mut client = proxy.client(Era::Legacy, "/mcp/up");
    let watched = json!({"uri": "test://watched-resource"});
    assert!(client.request("resources/subscribe", watched.clone())["result"].is_object());
    assert!(client.request("logging/setLevel", json!({"level": "error"}))["result"].is_object());
    let proxy = proxy.kill().serve();
    let mut stream = general(&proxy, "/mcp/up", &session(&client));
    // What may have been missed is announced as soon as the upstream follows again …
    let told = stream.hears("notifications/resources/updated");
    assert_eq!(told["params"]["uri"], "test://watched-resource");
    // … and what changes from then on is heard.
    client.call("touch_resource", watched.clone());
    stream.hears("notifications/resources/updated");
    // The level holds: three messages of level info are not for this client.
    let answer =
        client.send("tools/call", json!({"name": "test_tool_with_logging", "arguments": {}}));
    let methods: Vec<Value> = answer.messages().iter().map(|m| m["method"].clone()).collect();
    assert!(!methods.iter().any(|method| method == "notifications/message"), "{methods:?}");
    assert!(client.request("resources/unsubscribe", watched.clone())["result"].is_object());
}

#[test]
fn what_has_ended_stays_ended() {
    let (_server, address) = serve_everything(&[]);
    let proxy = setup(&format!("url = \"http://{address}/mcp\""), "session_idle = \"1s\"");
    let proxy = proxy.serve_at_trace();
    let client = proxy.client(Era::Legacy, "/mcp");
    let deleted = session(&client);
    assert_eq!(delete(&proxy, "/mcp", &deleted).status, 200);
    assert_eq!(ping(&proxy, proxy.key(), "/mcp", &deleted).status, 404);
    let expired = session(&proxy.client(Era::Legacy, "/mcp"));
    until("it has expired", PATIENCE, || {
        proxy.log().contains("idle sessions have ended").then_some(())
    });
    assert_eq!(ping(&proxy, proxy.key(), "/mcp", &expired).status, 404);
    let proxy = proxy.kill().serve();
    for ended in [&deleted, &expired] {
        let answer = ping(&proxy, proxy.key(), "/mcp", ended);
        assert_eq!(answer.status, 404, "{}", answer.text());
    }
    assert_eq!(delete(&proxy, "/mcp", &deleted).status, 404);
}

#[test]
fn sessions_of_a_revoked_key_end_with_it() {
    let (_server, address) = serve_everything(&[]);
    let setup = setup(&format!("url = \"http://{address}/mcp\""), "");
    setup.add_tenant("acme");
    let (key, other) = (setup.create_key("acme", "laptop"), setup.create_key("acme", "desk"));
    let proxy = setup.serve();
    let connect = |key: &str| Client::connect(Era::Legacy, proxy.address(), "/mcp", Some(key));
    let (revoked, alive) = (session(&connect(&key)), session(&connect(&other)));
    let id = key.split('_').nth(1).expect("a key has an id");
    let (status, _, errors) = proxy.setup().run(&["key", "revoke", id], b"");
    assert!(status.success(), "{errors}");
    until("the key is refused", Duration::from_secs(1), || {
        (ping(&proxy, &key, "/mcp", &revoked).status == 401).then_some(())
    });
    let proxy = proxy.kill().serve();
    assert_eq!(ping(&proxy, &key, "/mcp", &revoked).status, 401);
    assert_eq!(ping(&proxy, &other, "/mcp", &revoked).status, 404, "another key's session");
    assert_eq!(ping(&proxy, &other, "/mcp", &alive).status, 200);
    assert_eq!(ping(&proxy, proxy.key(), "/mcp", &alive).status, 404, "another tenant's session");
}

#[test]
fn clients_of_the_sdks_notice_nothing_of_three_restarts() {
    let Some(peers) = Peers::installed() else { return };
    let (_server, address) = serve_everything(&["--era", "legacy"]);
    let mut proxy = setup(&format!("url = \"http://{address}/mcp\""), "").serve();
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let gate = |client: &str, round: usize| folder.path().join(format!("{client}-{round}"));
    thread::scope(|scope| {
        let mut runs = Vec::new();
        for (client, _) in Peers::CLIENTS {
            let mut plan = vec![json!({"call": "up__echo", "arguments": {"text": "before"}})];
            for round in 0..3 {
                plan.push(json!({"until": gate(client, round)}));
                plan.push(json!({"call": "up__echo", "arguments": {"text": round.to_string()}}));
            }
            let (url, key) = (proxy.url("/mcp"), proxy.key());
            let run = move || peers.run(client, "legacy", &url, key, &Value::Array(plan));
            runs.push((client, scope.spawn(run)));
        }
        for round in 0..3 {
            until("all clients are idle", PATIENCE, || {
                let reached = |client: &str| {
                    Path::new(&format!("{}.reached", gate(client, round).display())).exists()
                };
                let over = runs.iter().any(|(_, run)| run.is_finished());
                (over || Peers::CLIENTS.iter().all(|(client, _)| reached(client))).then_some(())
            });
            let replaced = std::mem::replace(&mut proxy, Proxy::start("[upstreams]\n"));
            proxy = replaced.kill().serve();
            for (client, _) in Peers::CLIENTS {
                fs::write(gate(client, round), "").expect("the folder is ours");
            }
        }
        for (client, run) in runs {
            let report = run.join().expect("it printed a report");
            for (at, expected) in [(0, "before"), (2, "0"), (4, "1"), (6, "2")] {
                let step = &report["steps"][at];
                assert_eq!(step["ok"], true, "{client}: {report}");
                assert_eq!(step["result"]["content"][0]["text"], expected, "{client}: {report}");
            }
        }
    });
}
