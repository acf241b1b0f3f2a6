//! Rules and profiles that change: what is shown and callable is another from then on, those who
//! see a difference hear of it, and nobody else.

use serde_json::{Value, json};

use crate::reload::world::{file, full, listen, process, reload, report, start, stream, tools};
use crate::support::{Client, Era, Proxy, Raw, Setup, Stream, post, text};

const CHANGED: &str = "notifications/tools/list_changed";

/// Clients of both eras at every door, with what they hear on a stream.
fn everybody(proxy: &Proxy) -> Vec<(&'static str, Client, Stream)> {
    let mut all = Vec::new();
    for (door, prefix) in [("/mcp", "a__"), ("/mcp/a", ""), ("/p/desk/mcp", "a__")] {
        for era in Era::BOTH {
            let mut client = proxy.client(era, door);
            tools(&mut client);
            let heard = match era {
                Era::Legacy => stream(proxy, proxy.key(), door, &client),
                Era::Modern => listen(proxy, door),
            };
            all.push((prefix, client, heard));
        }
    }
    all
}

fn refusal(client: &mut Client, tool: &str) -> String {
    let answer = client.call(tool, json!({}));
    assert_eq!(answer["error"]["code"], -32602, "{tool}: {answer}");
    answer["error"]["message"].as_str().expect("a message").replace(tool, "")
}

#[test]
fn a_rule_that_changes_holds_at_every_door_for_the_next_list_and_call() {
    let a = process("a", "one");
    let desk = "[profiles.desk]\nupstreams = [\"a\"]\n";
    let open = file(&format!("{a}{desk}"));
    let hidden = file(&format!("{a}tools = {{ deny = [\"echo\"] }}\n{desk}"));
    let renamed = file(&format!("{a}rename = {{ echo = \"mirror\" }}\n{desk}"));
    let proxy = start(Setup::new(), &open);
    let mut all = everybody(&proxy);
    let pid = report(&mut all[0].1, "a").0;
    for round in [(&hidden, None), (&open, Some("echo")), (&renamed, Some("mirror"))] {
        let (toml, shown) = round;
        let told = reload(&proxy, toml);
        assert!(told.contains("upstreams changed: a"), "{told}");
        for (prefix, client, heard) in &mut all {
            for name in ["echo", "mirror"] {
                let public = format!("{prefix}{name}");
                // Called before it is listed: a call follows the rules, not somebody's list.
                if shown == Some(name) {
                    assert!(client.call(&public, json!({})).get("result").is_some(), "{public}");
                } else if !prefix.is_empty() || *toml != open {
                    // At its own door an upstream without rules answers itself.
                    let never = refusal(client, &format!("{prefix}never"));
                    assert_eq!(refusal(client, &public), never, "{public}");
                }
                assert_eq!(tools(client).contains(&public), shown == Some(name), "{public}");
            }
            // The stream of before is the one that hears it.
            heard.hears(CHANGED);
        }
    }
    assert_eq!(report(&mut all[0].1, "a").0, pid, "rules end no process");
}

/// How often a stream hears that tools have changed until it ends.
fn count_until_end(stream: &mut Stream) -> usize {
    let mut count = 0;
    while let Some(event) = stream.event() {
        count += usize::from(event.message["method"] == CHANGED);
    }
    count
}

#[test]
fn only_those_at_a_changed_profile_hear_of_it() {
    let a = full("a", 3);
    let profile = |name: &str, allow: &str| {
        format!("[profiles.{name}]\nupstreams = [\"a\"]\ntools = {{ allow = [\"{allow}\"] }}\n")
    };
    let both =
        |desk: &str| file(&format!("{a}{}{}", profile("desk", desk), profile("other", "echo")));
    let proxy = start(Setup::new(), &both("synthetic_0001"));
    let mut desk = proxy.client(Era::Legacy, "/p/desk/mcp");
    let mut other = proxy.client(Era::Legacy, "/p/other/mcp");
    assert_eq!(tools(&mut desk), ["a__synthetic_0001"]);
    assert_eq!(tools(&mut other), ["a__echo"]);
    let mut at_desk = stream(&proxy, proxy.key(), "/p/desk/mcp", &desk);
    let mut at_other = stream(&proxy, proxy.key(), "/p/other/mcp", &other);
    let mut listens = listen(&proxy, "/p/other/mcp");

    let told = reload(&proxy, &both("synthetic_0002"));
    assert!(told.contains("profiles: desk") && !told.contains("upstreams"), "{told}");
    at_desk.hears(CHANGED);
    assert_eq!(tools(&mut desk), ["a__synthetic_0002"]);
    refusal(&mut desk, "a__synthetic_0001");

    // A comment moves every line, and is no difference to anybody.
    let told = reload(&proxy, &format!("# moved\n{}", both("synthetic_0002")));
    assert!(told.contains("nothing is different"), "{told}");
    assert_eq!(tools(&mut other), ["a__echo"]);

    // What nobody sees is told to nobody.
    let slower = both("synthetic_0002").replace(&a, &format!("{a}timeout = \"50s\"\n"));
    assert!(reload(&proxy, &slower).contains("upstreams changed: a"));

    // A profile that goes ends its streams; its door is as if it had never been.
    let told = reload(&proxy, &file(&format!("{a}{}", profile("desk", "synthetic_0002"))));
    assert!(told.contains("profiles: other"), "{told}");
    assert_eq!((count_until_end(&mut at_other), count_until_end(&mut listens)), (0, 0));
    let ask = |door: &str, session: Option<&str>| {
        let key = format!("Bearer {}", proxy.key());
        let mut headers = vec![("Authorization", &*key)];
        headers.extend(session.map(|session| ("Mcp-Session-Id", session)));
        let list = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/list"}).to_string();
        let bytes = post(proxy.address(), door, &headers, list.as_bytes());
        let answer = Raw::exchange(proxy.address(), &bytes).expect("it answers");
        (answer.status, answer.text())
    };
    let never = ask("/p/never/mcp", None);
    assert_eq!(never.0, 404);
    assert_eq!(ask("/p/other/mcp", None), never);
    assert_eq!(ask("/p/other/mcp", other.session()), never);
    assert_eq!(tools(&mut desk), ["a__synthetic_0002"]);

    // It may come back, and its sessions with it.
    reload(&proxy, &both("synthetic_0002"));
    assert_eq!(tools(&mut other), ["a__echo"]);
    assert!(!text(&other.call("a__echo", json!({"text": "x"}))).is_empty());
}

#[test]
fn an_upstream_that_joins_a_profile_is_read_and_announced() {
    let upstreams = format!("{}{}", process("a", "one"), process("b", "two"));
    let with = |members: &str| file(&format!("{upstreams}[profiles.p]\nupstreams = [{members}]\n"));
    let proxy = start(Setup::new(), &with("\"a\""));
    let mut client = proxy.client(Era::Legacy, "/p/p/mcp");
    assert!(!tools(&mut client).iter().any(|name| name.starts_with("b__")));
    let mut heard = stream(&proxy, proxy.key(), "/p/p/mcp", &client);
    reload(&proxy, &with("\"a\", \"b\""));
    heard.hears(CHANGED);
    assert!(tools(&mut client).contains(&"b__echo".to_owned()));
    reload(&proxy, &with("\"b\""));
    heard.hears(CHANGED);
    refusal(&mut client, "a__echo");
    report(&mut client, "b");
}

#[test]
fn what_was_followed_and_is_hidden_now_is_followed_no_more() {
    let uri = "test://watched-resource";
    let (a, desk) = (full("a", 1), "[profiles.desk]\nupstreams = [\"a\"]\n");
    let open = file(&format!("{a}{desk}"));
    let hidden = file(&format!("{a}resources = {{ deny = [\"test://watched*\"] }}\n{desk}"));
    let proxy = start(Setup::new(), &open);
    let mut client = proxy.client(Era::Legacy, "/mcp");
    tools(&mut client);
    let public = format!("a+{uri}");
    let followed = client.request("resources/subscribe", json!({ "uri": public }));
    assert!(followed["error"].is_null(), "{followed}");
    let mut session = stream(&proxy, proxy.key(), "/mcp", &client);
    let mut modern = follow(&proxy, &public);
    let touch = |client: &mut Client| {
        let done = client.call("a__touch_resource", json!({ "uri": uri }));
        assert!(done["error"].is_null() && done["result"]["isError"] != true, "{done}");
    };
    touch(&mut client);
    session.hears("notifications/resources/updated");
    modern.hears("notifications/resources/updated");

    reload(&proxy, &hidden);
    let read = client.request("resources/read", json!({ "uri": public }));
    assert!(!read["error"].is_null(), "{read}");
    touch(&mut client);
    // The next that is heard is of the tools: the change of the hidden resource was before.
    reload(&proxy, &hidden.replace(&a, &full("a", 2)));
    for heard in [&mut session, &mut modern] {
        loop {
            let message = heard.event().expect("it goes on").message;
            assert_ne!(message["method"], "notifications/resources/updated");
            if message["method"] == CHANGED {
                break;
            }
        }
    }
}

/// A `subscriptions/listen` for one resource and the list of tools.
fn follow(proxy: &Proxy, uri: &str) -> Stream {
    let wanted = json!({ "toolsListChanged": true, "resourceSubscriptions": [uri] });
    let params: Value = Era::Modern.params(json!({ "notifications": wanted }));
    let body =
        json!({"jsonrpc": "2.0", "id": "l", "method": "subscriptions/listen", "params": params});
    let headers = format!(
        "Authorization: Bearer {}\r\nMCP-Protocol-Version: 2026-07-28\r\nMcp-Method: subscriptions/listen",
        proxy.key()
    );
    let mut stream = Stream::open(proxy.address(), "POST /mcp", &headers, &body.to_string());
    let told = stream.hears("notifications/subscriptions/acknowledged");
    assert_eq!(told["params"]["notifications"]["resourceSubscriptions"], json!([uri]), "{told}");
    stream
}
