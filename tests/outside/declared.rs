//! What upstreams of the legacy era are told that they may ask.

use crate::support::{Client, Era, Proxy, everything, serve_everything, text};
use mcp_proxy::wire::CapSet;
use serde_json::{Value, json};

/// What the upstream behind this client's door was told, and how it tells its sessions apart.
fn told(client: &mut Client) -> (CapSet, Value) {
    let answer = client.call("whoami", json!({}));
    let shown: Value = serde_json::from_str(text(&answer)).expect("JSON");
    let declared = CapSet::read(&shown["clientCapabilities"].to_string()).expect("capabilities");
    let session = shown["headers"]["mcp-session-id"].clone();
    (declared, if session.is_null() { shown["pid"].clone() } else { session })
}

#[test]
fn each_upstream_is_told_what_its_callers_can_be_asked() {
    let (_server, address) = serve_everything(&["--era", "legacy"]);
    let command = format!("command = [{:?}, \"--era\", \"legacy\"]", everything());
    let proxy = Proxy::start(&format!(
        "[server]\nlisten = \"127.0.0.1:0\"\n\
         [upstreams.http]\nurl = \"http://{address}/mcp\"\n\
         [upstreams.tenant]\n{command}\n\
         [upstreams.exclusive]\n{command}\ninteractive = \"exclusive\"\n\
         [upstreams.off]\n{command}\ninteractive = \"off\"\n\
         [upstreams.session]\n{command}\nshare = \"session\"\n\
         [upstreams.all]\n{command}\nshare = \"all\"\n"
    ));
    let asks = json!({"elicitation": {"url": {}}, "roots": {"listChanged": true}, "x-own": {}});
    let own = CapSet::ELICIT_URL.with(CapSet::ROOTS.with(CapSet::ROOTS_CHANGED));
    // What is shared is told of everything that any of its callers may have.
    let shared = CapSet::QUESTIONS.with(CapSet::APPS);
    for (upstream, expected, silent) in [
        ("http", own, CapSet::NONE),
        ("tenant", shared, shared),
        ("exclusive", shared, shared),
        ("off", CapSet::NONE, CapSet::NONE),
        ("session", own, CapSet::NONE),
        ("all", CapSet::NONE, CapSet::NONE),
    ] {
        let door = format!("/mcp/{upstream}");
        let mut asked = proxy.client(Era::Legacy, &door).declaring(&asks);
        let mut plain = proxy.client(Era::Legacy, &door);
        let (asked, plain) = (told(&mut asked), told(&mut plain));
        assert_eq!((asked.0, plain.0), (expected, silent), "{upstream}");
        // One process or session may serve both only when both were told the same.
        let apart = matches!(upstream, "http" | "session");
        assert_eq!(asked.1 != plain.1, apart, "{upstream}: {} {}", asked.1, plain.1);
    }
}
