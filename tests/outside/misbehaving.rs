//! Upstreams that misbehave in small ways, and what their clients and the others notice of it.

use std::time::{Duration, Instant};

use crate::support::{Client, Era, Proxy, Raw, Setup, post, serve_everything, text, until};
use serde_json::json;

/// A legacy stdio server in a few lines of shell. What it is called with decides its manners.
const SERVER: &str = r#"
say() { printf '%s\n' "$1"; }
lists=0
while read -r line; do
  id=$(printf '%s' "$line" | sed -n 's/.*"id":\([0-9][0-9]*\).*/\1/p')
  token=$(printf '%s' "$line" | sed -n 's/.*"progressToken":\([0-9][0-9]*\).*/\1/p')
  case $line in
    *'"server/discover"'*) say '{"jsonrpc":"2.0","id":'$id',"error":{"code":-32601,"message":"no"}}';;
    *'"initialize"'*) say '{"jsonrpc":"2.0","id":'$id',"result":{"protocolVersion":"2025-11-25","capabilities":{"tools":{"listChanged":true},"logging":{}},"serverInfo":{"name":"s","version":"1"}}}';;
    *'"tools/list"'*)
      lists=$((lists + 1))
      [ "$1" = hung ] && continue
      say '{"jsonrpc":"2.0","id":'$id',"result":{"tools":[{"name":"count"},{"name":"fail"},{"name":"log"}]}}'
      [ "$1" = storm ] && say '{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}';;
    *'"hold"'*)
      held=$id
      say '{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":'$token',"progress":1}}';;
    *'"notifications/cancelled"'*) cancelled=yes;;
    *'"count"'*) say '{"jsonrpc":"2.0","id":'$id',"result":{"content":[{"type":"text","text":"'$lists' '$cancelled'"}]}}';;
    *'"fail"'*) say '{"jsonrpc":"2.0","id":'$id',"error":{"code":-32000,"message":"bad token '"$TOKEN"'"}}';;
    *'"log"'*)
      say '{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"error","data":"token '"$TOKEN"'"}}'
      say '{"jsonrpc":"2.0","id":'$id',"result":{"content":[{"type":"text","text":"logged"}]}}';;
    *'"tools/call"'*) say '{"jsonrpc":"2.0","id":'$id',"result":{"content":[{"type":"text","text":"gone"}]}}';;
  esac
done
"#;

const TOKEN: &str = "token-canary-7d40c2";
/// Longest wait for what ought to come at once.
const PATIENCE: Duration = Duration::from_secs(5);

/// A proxy before one such server for each of these manners.
fn serve(manners: &[&str]) -> Proxy {
    let setup = Setup::new().file("server.sh", SERVER.as_bytes()).env("TOKEN", TOKEN);
    let script = setup.folder().join("server.sh");
    let mut toml = "[server]\nlisten = \"127.0.0.1:0\"\n".to_owned();
    for manner in manners {
        toml += &format!(
            "[upstreams.{manner}]\ncommand = [\"sh\", {script:?}, \"{manner}\"]\n\
             env = {{ TOKEN = \"{{secret.token}}\" }}\n"
        );
    }
    toml += "[tenants.test]\nkeys = [{ name = \"test\", env = \"TEST_KEY\" }]\n[tenants.test.secrets]\n";
    for manner in manners {
        toml += &format!("{manner} = {{ token = {{ env = \"TOKEN\" }} }}\n");
    }
    setup.config(&toml).serve()
}

/// What the server counted: its lists, and whether a call was cancelled.
fn count(client: &mut Client, tool: &str) -> (u64, bool) {
    let answer = client.call(tool, json!({}));
    let (lists, cancelled) = text(&answer).split_once(' ').expect("two words");
    (lists.parse().expect("a number"), cancelled == "yes")
}

/// Opens a call that reports progress and then does not answer; gives its connection.
fn hold(proxy: &Proxy, client: &Client, door: &str) -> Raw {
    let session = client.session().expect("a legacy client has one").to_owned();
    let bearer = format!("Bearer {}", proxy.key());
    let body = json!({"jsonrpc": "2.0", "id": "held", "method": "tools/call", "params": {
        "name": "hold", "arguments": {}, "_meta": {"progressToken": "p"}}});
    let headers = [("Authorization", bearer.as_str()), ("Mcp-Session-Id", session.as_str())];
    let mut raw = Raw::connect(proxy.address());
    raw.send(&post(proxy.address(), door, &headers, body.to_string().as_bytes())).expect("open");
    let head = raw.head().expect("a stream begins");
    assert_eq!(head.header("content-type"), Some("text/event-stream"));
    raw
}

#[test]
fn a_call_is_cancelled_also_after_its_stream_has_begun() {
    let proxy = serve(&["plain"]);
    let mut client = proxy.client(Era::Legacy, "/mcp/plain");
    let mut held = hold(&proxy, &client, "/mcp/plain");
    client.notify("notifications/cancelled", json!({"requestId": "held"}));
    assert!(held.closes_within(PATIENCE), "the stream of a cancelled call ends");
    until("the upstream hears of it", PATIENCE, || count(&mut client, "count").1.then_some(()));
}

#[test]
fn a_session_that_ends_takes_its_calls_along() {
    let proxy = serve(&["plain"]);
    let client = proxy.client(Era::Legacy, "/mcp/plain");
    let mut held = hold(&proxy, &client, "/mcp/plain");
    end(&proxy, &client, "/mcp/plain");
    assert!(held.closes_within(PATIENCE));
    let mut other = proxy.client(Era::Legacy, "/mcp/plain");
    until("the upstream hears of it", PATIENCE, || count(&mut other, "count").1.then_some(()));
}

#[test]
fn an_upstream_that_never_lists_is_waited_for_once() {
    let proxy = serve(&["hung", "plain"]);
    let mut client = proxy.client(Era::Legacy, "/mcp");
    assert_eq!(client.list("tools/list", "tools").len(), 3);
    let started = Instant::now();
    for _ in 0..3 {
        assert_eq!(client.list("tools/list", "tools").len(), 3);
    }
    let took = started.elapsed();
    assert!(took < PATIENCE, "lists come from what is known; three took {took:?}");
}

#[test]
fn an_upstream_that_always_changes_is_listed_and_not_asked_for_ever() {
    let proxy = serve(&["storm"]);
    let mut client = proxy.client(Era::Legacy, "/mcp");
    assert_eq!(client.list("tools/list", "tools").len(), 3);
    let (before, _) = count(&mut client, "storm__count");
    let started = Instant::now();
    let mut after = before;
    while after < before + 3 {
        assert!(started.elapsed() < PATIENCE, "changes are still followed");
        (after, _) = count(&mut client, "storm__count");
    }
    assert!(started.elapsed() > Duration::from_millis(800), "it is read again and again");
}

#[test]
fn what_an_upstream_repeats_of_its_credentials_is_masked() {
    let proxy = serve(&["plain"]);
    for door in ["/mcp", "/mcp/plain"] {
        let mut client = proxy.client(Era::Legacy, door);
        let tool =
            |name: &str| if door == "/mcp" { format!("plain__{name}") } else { name.to_owned() };
        let error = client.call(&tool("fail"), json!({}));
        assert_eq!(error["error"]["message"], "bad token [redacted]");
        let logged = client.send("tools/call", json!({"name": tool("log"), "arguments": {}}));
        let messages = logged.messages();
        assert_eq!(messages[0]["params"]["data"], "token [redacted]", "{}", logged.text());
    }
    assert!(!proxy.log().contains(TOKEN));
}

#[test]
fn legacy_clients_see_no_members_of_the_modern_era() {
    let (_server, address) = serve_everything(&["--era", "modern"]);
    let proxy = Proxy::start(&format!(
        "[server]\nlisten = \"127.0.0.1:0\"\n[upstreams.up]\nurl = \"http://{address}/mcp\"\n"
    ));
    let mut client = proxy.client(Era::Legacy, "/mcp/up");
    for (method, params) in [
        ("tools/call", json!({"name": "echo", "arguments": {"text": "x"}})),
        ("prompts/get", json!({"name": "test_simple_prompt"})),
        ("resources/read", json!({"uri": "test://static-text"})),
    ] {
        let answer = client.request(method, params);
        assert!(answer["result"].is_object(), "{answer}");
        for name in ["resultType", "ttlMs", "cacheScope"] {
            assert_eq!(answer["result"][name], json!(null), "{method}: {answer}");
        }
    }
}

#[test]
fn the_process_of_a_session_ends_with_it() {
    let setup = Setup::new().file("server.sh", SERVER.as_bytes());
    let script = setup.folder().join("server.sh");
    let proxy = setup
        .config(&format!(
            "[server]\nlisten = \"127.0.0.1:0\"\n\
             [upstreams.own]\ncommand = [\"sh\", {script:?}, \"plain\"]\nshare = \"session\"\n"
        ))
        .serve();
    let mut client = proxy.client(Era::Legacy, "/mcp/own");
    assert_eq!(client.list("tools/list", "tools").len(), 3);
    let before = proxy.descendants().len();
    client.call("count", json!({}));
    assert!(proxy.descendants().len() > before, "the session has a process of its own");
    end(&proxy, &client, "/mcp/own");
    until("its process is gone", Duration::from_secs(15), || {
        (proxy.descendants().len() <= before).then_some(())
    });
}

/// Ends the client's session.
fn end(proxy: &Proxy, client: &Client, door: &str) {
    let head = format!(
        "DELETE {door} HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {}\r\nMcp-Session-Id: {}\r\n\
         Connection: close\r\n\r\n",
        proxy.address(),
        proxy.key(),
        client.session().expect("a legacy client has one")
    );
    assert_eq!(Raw::exchange(proxy.address(), head.as_bytes()).map(|a| a.status).ok(), Some(200));
}
