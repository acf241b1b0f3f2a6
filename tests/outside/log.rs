//! What an operator reads: each call ends in one line of the log, whatever became of it.

use std::{net::TcpListener, time::Duration};

use crate::support::{Era, Proxy, Raw, post, text, until};
use serde_json::json;

const PATIENCE: Duration = Duration::from_secs(20);

/// The outcomes of the lines about calls, in order.
fn outcomes(log: &str) -> Vec<&str> {
    let calls = log.lines().filter(|line| line.contains("method=tools/call"));
    calls.filter_map(|line| line.split("outcome=").nth(1)?.split(' ').next()).collect()
}

#[test]
fn every_call_ends_in_one_line_of_the_log() {
    for era in Era::BOTH {
        // Takes connections and never says a word.
        let mute = TcpListener::bind(("127.0.0.1", 0)).expect("a port is free");
        let address = mute.local_addr().expect("it is bound");
        let proxy = Proxy::start(&format!(
            "[upstreams.demo]\ncommand = [\"mcp-proxy\", \"demo\"]\n\
             [upstreams.mute]\nurl = \"http://{address}/mcp\"\n"
        ));
        let mut client = proxy.client(era, "/mcp");
        assert_eq!(
            text(&client.call("demo__echo", json!({"text": "what nobody may log"}))),
            "what nobody may log"
        );
        assert_eq!(client.call("demo__nothing", json!({}))["error"]["code"], -32602);
        let seen = |count: usize| {
            until("the lines", PATIENCE, || (outcomes(&proxy.log()).len() >= count).then_some(()));
            outcomes(&proxy.log()).join(" ")
        };
        assert_eq!(seen(2), "ok refused", "{era:?}");

        if era == Era::Modern {
            // A client that leaves while the call waits for the upstream.
            let params = era.params(json!({"name": "x", "arguments": {}}));
            let body = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params});
            let mut headers = era.headers("tools/call", &params);
            headers.push(("Authorization", format!("Bearer {}", proxy.key())));
            let headers: Vec<_> = headers.iter().map(|(n, v)| (*n, v.as_str())).collect();
            let mut raw = Raw::connect(proxy.address());
            raw.send(&post(proxy.address(), "/mcp/mute", &headers, body.to_string().as_bytes()))
                .expect("the proxy takes the call");
            let reached = mute.accept().expect("the proxy asks the upstream");
            drop(raw);
            assert_eq!(seen(3), "ok refused abandoned");
            drop(reached);
        }
        // Connections that wait for it end with it, and the proxy has nothing left to wait for.
        drop(mute);
        assert!(!proxy.log().contains("what nobody may log"), "arguments are in the log");
    }
}
