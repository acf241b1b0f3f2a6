//! Streams that stay open: what is heard on them, also when the upstream was away, and when they
//! end.

use std::{
    process::Command,
    time::{Duration, Instant},
};

use crate::support::{Client, Era, Process, Proxy, Setup, Stream, everything, serve_everything};
use serde_json::json;

/// The stream of a session.
fn session_stream(proxy: &Proxy, key: &str, door: &str, client: &Client) -> Stream {
    let session = client.session().expect("a session");
    let headers = format!("Authorization: Bearer {key}\r\nMcp-Session-Id: {session}");
    Stream::open(proxy.address(), &format!("GET {door}"), &headers, "")
}

#[test]
fn a_subscription_outlives_the_upstream() {
    let (server, address) = serve_everything(&["--era", "legacy"]);
    let proxy = Proxy::start(&format!("[upstreams.up]\nurl = \"http://{address}/mcp\"\n"));
    let mut client = proxy.client(Era::Legacy, "/mcp/up");
    let watched = json!({"uri": "test://watched-resource"});
    client.request("resources/subscribe", watched.clone());
    let mut stream = session_stream(&proxy, proxy.key(), "/mcp/up", &client);
    client.call("touch_resource", watched.clone());
    let told = stream.hears("notifications/resources/updated");
    assert_eq!(told["params"]["uri"], "test://watched-resource");

    server.stop();
    let again = Process::start(Command::new(everything()).args([
        "--http",
        &address.to_string(),
        "--era",
        "legacy",
    ]));
    again.line("its address", crate::support::address_in);
    // What may have been missed is announced as soon as the link is back …
    stream.hears("notifications/resources/updated");
    // … and the new server knows the subscription.
    client.call("touch_resource", watched);
    stream.hears("notifications/resources/updated");
}

/// The proxy begins to hold the link within a second or two of a subscription.
#[test]
fn nothing_is_told_of_a_link_that_was_there_all_the_time() {
    let (_server, address) = serve_everything(&["--era", "legacy"]);
    let toml = format!(
        "[upstreams.pipe]\ncommand = [{:?}, \"--era\", \"legacy\"]\n\
         [upstreams.own]\ncommand = [{:?}, \"--era\", \"legacy\"]\nshare = \"session\"\n\
         [upstreams.http]\nurl = \"http://{address}/mcp\"\n",
        everything(),
        everything()
    );
    let proxy = Proxy::start(&toml);
    let doors = ["/mcp/pipe", "/mcp/own", "/mcp/http"];
    let open = doors.map(|door| {
        let mut client = proxy.client(Era::Legacy, door);
        client.list("tools/list", "tools");
        let stream = session_stream(&proxy, proxy.key(), door, &client);
        // It is written into the store, which the credentials are read from, too.
        client.request("resources/subscribe", json!({"uri": "test://watched-resource"}));
        (client, stream)
    });
    for (at, (_client, mut stream)) in open.into_iter().enumerate() {
        while let Some(event) = stream.event_within(Duration::from_secs(3)) {
            assert!(event.message.is_null(), "{}: {}", doors[at], event.message);
        }
    }
}

#[test]
fn a_listen_says_what_it_honours_and_hears_it() {
    let (_server, address) = serve_everything(&["--era", "modern"]);
    let proxy = Proxy::start(&format!("[upstreams.up]\nurl = \"http://{address}/mcp\"\n"));
    let params = Era::Modern.params(json!({"notifications": {
        "toolsListChanged": true,
        "resourceSubscriptions": ["up+test://watched-resource", "nobody+test://x"],
    }}));
    let body =
        json!({"jsonrpc": "2.0", "id": "l-1", "method": "subscriptions/listen", "params": params});
    let headers = format!(
        "Authorization: Bearer {}\r\nMCP-Protocol-Version: 2026-07-28\r\nMcp-Method: subscriptions/listen",
        proxy.key()
    );
    let mut stream = Stream::open(proxy.address(), "POST /mcp", &headers, &body.to_string());
    let told = stream.hears("notifications/subscriptions/acknowledged");
    assert_eq!(
        told["params"]["notifications"],
        json!({"toolsListChanged": true, "resourceSubscriptions": ["up+test://watched-resource"]})
    );
    let mut client = proxy.client(Era::Modern, "/mcp");
    client.call("up__touch_resource", json!({"uri": "test://watched-resource"}));
    let told = stream.hears("notifications/resources/updated");
    assert_eq!(told["params"]["uri"], "up+test://watched-resource");
    assert_eq!(told["params"]["_meta"]["io.modelcontextprotocol/subscriptionId"], "l-1");
    client.call("up__test_trigger_tool_change", json!({}));
    let told = stream.hears("notifications/tools/list_changed");
    assert_eq!(told["params"]["_meta"]["io.modelcontextprotocol/subscriptionId"], "l-1");
}

#[test]
fn a_revoked_key_ends_its_streams_and_its_requests() {
    let (_server, address) = serve_everything(&[]);
    // A tenant of the file takes no key of the store, so this one is the store's.
    let setup = Setup::new().config(&format!("[upstreams.up]\nurl = \"http://{address}/mcp\"\n"));
    setup.add_tenant("acme");
    let key = setup.create_key("acme", "laptop");
    let proxy = setup.serve();
    let mut client = Client::connect(Era::Legacy, proxy.address(), "/mcp", Some(&key));
    let mut stream = session_stream(&proxy, &key, "/mcp", &client);
    let id = key.split('_').nth(1).expect("a key has an id");
    let (status, _, errors) = proxy.setup().run(&["key", "revoke", id], b"");
    assert!(status.success(), "{errors}");
    let revoked = Instant::now();
    while stream.line().is_some() {}
    let took = revoked.elapsed();
    assert!(took < Duration::from_secs(1), "the stream ended {took:?} after the revocation");
    assert_eq!(client.send("ping", json!({})).status, 401);
}

#[test]
fn a_listen_is_acknowledged_while_an_upstream_hangs() {
    let proxy = Proxy::start("[upstreams.hung]\ncommand = [\"sleep\", \"1000\"]\n");
    let params = Era::Modern.params(json!({"notifications": {
        "toolsListChanged": true, "resourceSubscriptions": ["hung+test://x"]}}));
    let body =
        json!({"jsonrpc": "2.0", "id": 1, "method": "subscriptions/listen", "params": params});
    let headers = format!(
        "Authorization: Bearer {}\r\nMCP-Protocol-Version: 2026-07-28\r\nMcp-Method: subscriptions/listen",
        proxy.key()
    );
    let asked = Instant::now();
    let mut stream = Stream::open(proxy.address(), "POST /mcp", &headers, &body.to_string());
    stream.hears("notifications/subscriptions/acknowledged");
    let took = asked.elapsed();
    assert!(took < Duration::from_secs(3), "acknowledged after {took:?}");
}
