//! Small upstreams, each written in the shell for the one thing that it does.

use std::time::{Duration, Instant};

use crate::support::{Era, Proxy, Setup, Stream, text, until};
use serde_json::json;

const PATIENCE: Duration = Duration::from_secs(30);

/// A legacy server on a pipe. `calls` are the first arms of a `case` over the lines that it reads;
/// `$id` is the request's id there, `answer` gives its result and `text` that of a tool.
fn small(name: &str, more: &str, calls: &str) -> String {
    const SERVER: &str = r#"
answer() { printf '{"jsonrpc":"2.0","id":%s,"result":%s}\n' "$id" "$1"; }
say() { printf '%s\n' "$1"; }
text() { answer '{"content":[{"type":"text","text":"'"$1"'"}]}'; }
while IFS= read -r line; do
  id=$(say "$line" | sed -n 's/.*"id":\([0-9]*\).*/\1/p')
  case $line in
    CALLS
    *'"method":"initialize"'*) answer '{"protocolVersion":"2025-11-25","capabilities":{"tools":{},"resources":{"subscribe":true}},"serverInfo":{"name":"small","version":"1"}}';;
    *'"method":"tools/list"'*) answer '{"tools":[{"name":"do","inputSchema":{"type":"object"}}]}';;
    *'"method":"resources/list"'*) answer '{"resources":[{"uri":"x://a","name":"a"}]}';;
    *'"method":"resources/subscribe"'*|*'"method":"ping"'*) answer '{}';;
    *'"id":'*) say '{"jsonrpc":"2.0","id":'"$id"',"error":{"code":-32601,"message":"no"}}';;
  esac
done
"#;
    // Braces are references in the file.
    let script = SERVER.replace("CALLS", calls).replace('{', "{{").replace('}', "}}");
    format!("[upstreams.{name}]\ncommand = [\"sh\", \"-c\", '''{script}''']\n{more}\n")
}

#[test]
fn a_uri_is_made_public_however_its_key_is_written() {
    let link = r#"*'"tools/call"'*) answer '{"content":[{"type":"resource_link","\u0075r\u0069":"x://a","name":"a"}]}';;"#;
    let proxy = Proxy::start(&small("up", "", link));
    let mut client = proxy.client(Era::Legacy, "/mcp");
    client.list("tools/list", "tools");
    let result = client.call("up__do", json!({}));
    assert_eq!(result["result"]["content"][0]["uri"], "up+x://a", "{result}");
}

#[test]
fn an_update_is_passed_on_as_it_was_written() {
    let update = r#"*'"tools/call"'*) say '{"jsonrpc":"2.0","method":"notifications/resources/updated","params":{"title":"t","uri":"x://a","_meta":{"k":1.5},"later":[null]}}'; text done;;"#;
    let proxy = Proxy::start(&small("up", "", update));
    let told = |door: &str, uri: &str, tool: &str| {
        let mut client = proxy.client(Era::Legacy, door);
        client.list("tools/list", "tools");
        client.request("resources/subscribe", json!({"uri": uri}));
        let headers = format!(
            "Authorization: Bearer {}\r\nMcp-Session-Id: {}",
            proxy.key(),
            client.session().expect("a session")
        );
        let mut stream = Stream::open(proxy.address(), &format!("GET {door}"), &headers, "");
        client.call(tool, json!({}));
        stream.hears("notifications/resources/updated")["params"].clone()
    };
    let expected =
        |uri: &str| json!({"title": "t", "uri": uri, "_meta": {"k": 1.5}, "later": [null]});
    assert_eq!(told("/mcp", "up+x://a", "up__do"), expected("up+x://a"));
    assert_eq!(told("/mcp/up", "x://a", "do"), expected("x://a"));
}

#[test]
fn whose_roots_have_changed_is_told_to_its_own_upstreams() {
    let count = r#"*roots/list_changed*'"more":1.50'*) changes="$changes+";;
    *'"initialize"'*'"roots":{"listChanged":true}'*) declared=yes
      answer '{"protocolVersion":"2025-11-25","capabilities":{"tools":{}},"serverInfo":{"name":"small","version":"1"}}';;
    *'"tools/call"'*) text "$declared$changes";;"#;
    let toml = [small("own", "share = \"session\"", count), small("shared", "", count)].concat();
    let proxy = Proxy::start(&toml);
    let declared = json!({"roots": {"listChanged": true}});
    let mut client = proxy.client(Era::Legacy, "/mcp").declaring(&declared);
    let mut other = proxy.client(Era::Legacy, "/mcp").declaring(&declared);
    let mut silent = proxy.client(Era::Legacy, "/mcp").declaring(&json!({"roots": {}}));
    for client in [&mut client, &mut other, &mut silent] {
        client.list("tools/list", "tools");
        client.call("own__do", json!({}));
        client.call("shared__do", json!({}));
    }
    let changed = |client: &crate::support::Client| {
        let body = r#"{"jsonrpc":"2.0","method":"notifications/roots/list_changed","params":{"_meta":{"more":1.50}}}"#;
        let headers = format!(
            "Authorization: Bearer {}\r\nMcp-Session-Id: {}",
            proxy.key(),
            client.session().expect("a session")
        );
        let (status, _) = Stream::ask(proxy.address(), "POST /mcp", &headers, body);
        assert!(status.contains(" 202 "), "{status}");
    };
    changed(&client);
    changed(&client);
    changed(&silent);
    assert_eq!(text(&client.call("own__do", json!({}))), "yes++");
    assert_eq!(text(&other.call("own__do", json!({}))), "yes");
    assert_eq!(text(&silent.call("own__do", json!({}))), "");
    // Nobody is told of the roots of one among several.
    assert_eq!(text(&client.call("shared__do", json!({}))), "");
}

#[test]
fn what_a_call_logs_that_was_given_up_is_in_nobody_elses_answer() {
    // The first call is never answered; the second one logs what the first may have to say.
    let log = r#"*'"tools/call"'*)
      if [ -n "$first" ]; then
        say '{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"error","data":"of the first"}}'
        text done
      fi
      first=gone;;"#;
    let proxy = Proxy::start(&small("up", "", log));
    let mut one = proxy.client(Era::Legacy, "/mcp/up");
    let mut two = proxy.client(Era::Legacy, "/mcp/up");
    one.list("tools/list", "tools");
    let headers = format!(
        "Authorization: Bearer {}\r\nMcp-Session-Id: {}",
        proxy.key(),
        one.session().expect("a session")
    );
    let body = r#"{"jsonrpc":"2.0","id":"held","method":"tools/call","params":{"name":"do"}}"#;
    let mut held = Stream::open(proxy.address(), "POST /mcp/up", &headers, body);
    held.event().expect("its first event");
    one.notify("notifications/cancelled", json!({"requestId": "held"}));
    assert!(held.event().is_none(), "it has ended");
    let answer = two.send("tools/call", json!({"name": "do", "arguments": {}}));
    let messages = answer.messages();
    assert_eq!(messages.len(), 1, "{messages:?}");
    assert_eq!(text(&messages[0]), "done");
}

#[test]
fn no_part_of_a_secret_is_logged_when_an_upstream_repeats_it() {
    const SECRET: &str = "q7Zk2mVx9Lw4Tn8Rb3Hs6Yd1";
    let speaks = r#"*'"tools/call"'*)
      printf '%500s%s%9000s\n' x "$TOKEN" y >&2
      printf '%190s%s\n' x "$TOKEN"
      echo over >&2
      text done;;"#;
    let refuses = r#"*'"initialize"'*) printf '{"jsonrpc":"2.0","id":%s,"error":{"code":-32000,"message":"%190s%s"}}\n' "$id" x "$TOKEN";;"#;
    let more = "env = { TOKEN = \"{secret.token}\" }";
    let toml = format!(
        "{}{}[tenants.test]\nkeys = [{{ name = \"test\", env = \"TEST_KEY\" }}]\n\
         secrets = {{ up = {{ token = {{ env = \"TOKEN\" }} }}, no = {{ token = {{ env = \"TOKEN\" }} }} }}\n",
        small("up", more, speaks),
        small("no", more, refuses)
    );
    let proxy = Setup::new().env("TOKEN", SECRET).config(&toml).serve_at_trace();
    let mut client = proxy.client(Era::Legacy, "/mcp");
    client.list("tools/list", "tools");
    assert_eq!(text(&client.call("up__do", json!({}))), "done");
    for line in ["stderr: over", "is no message", "could not be listed"] {
        until(line, PATIENCE, || proxy.log().contains(line).then_some(()));
    }
    let log = proxy.log();
    let part = log.lines().find(|line| line.contains(&SECRET[..6]));
    assert!(part.is_none(), "{part:?}");
    assert!(log.contains("[redacted]"));
}

#[test]
fn a_stop_does_not_wait_for_a_handshake() {
    // It neither answers nor ends when it is told to.
    let proxy = Proxy::start(
        "[upstreams.up]\nera = \"legacy\"\ncommand = [\"sh\", \"-c\", \
         \"trap '' TERM; echo here >&2; while :; do sleep 1; done\"]\n",
    );
    let _client = proxy.client(Era::Legacy, "/mcp/up");
    until("the child", PATIENCE, || (proxy.descendants().len() >= 2).then_some(()));
    let start = Instant::now();
    proxy.stop();
    assert!(start.elapsed() < Duration::from_secs(9), "{:?}", start.elapsed());
}

#[test]
fn a_child_has_no_descriptor_that_the_proxy_has_opened() {
    let look = r#"*'"tools/call"'*) found=
      for n in $(seq 0 300); do [ -e "/proc/$$/fd/$n" ] && found="$found $n=$(readlink "/proc/$$/fd/$n")"; done
      text "$found";;"#;
    let proxy = Proxy::start(&small("up", "", look));
    let mut client = proxy.client(Era::Legacy, "/mcp/up");
    client.list("tools/list", "tools");
    let answer = client.call("do", json!({}));
    let all: Vec<&str> = text(&answer).split_whitespace().collect();
    assert!(all.len() >= 3, "{all:?}");
    for descriptor in &all[3..] {
        // What whoever started the tests has left open comes this far; it is none of the proxy's.
        let (number, target) = descriptor.split_once('=').expect("a number and a target");
        let own = std::fs::read_link(format!("/proc/self/fd/{number}"));
        assert!(own.is_ok_and(|own| own.to_string_lossy() == target), "{all:?}");
    }
}
