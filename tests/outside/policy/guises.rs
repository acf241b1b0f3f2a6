//! Tools under other names, with other words, and with arguments pinned or held back.

use std::time::Duration;

use serde_json::json;

use crate::policy::{names, refusal, tools};
use crate::support::{Era, Proxy, everything, serve_everything, text, until};

const RULES: &str = "tools = { allow = [\"synthetic_*\", \"whoami\", \"test_custom_header\"], deny = [\"*_0004\", \"whoami\"] }\n\
    rename = { synthetic_0001 = \"look_up\" }\n\
    describe = { synthetic_0001 = \"Finds \\\"one\\\" record\" }\n\
    pin = { limit = { value = 5, tools = [\"synthetic_0002\"] }, value = \"fixed\" }\n\
    hide = { record = [\"synthetic_0003\"] }\n";

/// An upstream of each kind, with the same rules.
fn world(upstream_era: &str) -> (crate::support::Process, Proxy) {
    let (server, address) = serve_everything(&["--tools", "4", "--era", upstream_era]);
    let program = everything();
    let proxy = Proxy::start(&format!(
        "[upstreams.web]\nurl = \"http://{address}/mcp\"\n{RULES}\
         [upstreams.pipe]\ncommand = [{program:?}, \"--tools\", \"4\", \"--era\", \"{upstream_era}\"]\n{RULES}"
    ));
    (server, proxy)
}

#[test]
fn a_tool_in_its_guise_is_called_by_it_and_by_nothing_else() {
    for upstream_era in ["legacy", "modern"] {
        let (_server, proxy) = world(upstream_era);
        for era in Era::BOTH {
            let mut merged = proxy.client(era, "/mcp");
            for upstream in ["web", "pipe"] {
                let mut single = proxy.client(era, &format!("/mcp/{upstream}"));
                let prefix = format!("{upstream}__");
                for (client, prefix) in [(&mut merged, &*prefix), (&mut single, "")] {
                    let name = |own: &str| format!("{prefix}{own}");
                    let all = tools(client);
                    let own: Vec<_> = all.keys().filter(|name| name.starts_with(prefix)).collect();
                    let expected =
                        ["look_up", "synthetic_0002", "synthetic_0003", "test_custom_header"];
                    assert_eq!(own, expected.map(name).iter().collect::<Vec<_>>());
                    let shown = &all[&name("look_up")];
                    assert_eq!(shown["description"], "Finds \"one\" record");
                    let second = &all[&name("synthetic_0002")]["inputSchema"];
                    assert!(second["properties"].get("limit").is_none(), "{second}");
                    let third = &all[&name("synthetic_0003")]["inputSchema"];
                    assert!(third["properties"].get("record").is_none(), "{third}");
                    assert_eq!(third["required"], json!([]));

                    let answer = client.call(&name("look_up"), json!({"record": "a", "limit": 1}));
                    assert_eq!(text(&answer), "synthetic_0001 {\"limit\":1,\"record\":\"a\"}");
                    // The pinned value wins over the caller's.
                    let answer =
                        client.call(&name("synthetic_0002"), json!({"record": "a", "limit": 9}));
                    assert_eq!(text(&answer), "synthetic_0002 {\"limit\":5,\"record\":\"a\"}");
                    let answer = client.call(&name("synthetic_0002"), json!({}));
                    assert_eq!(text(&answer), "synthetic_0002 {\"limit\":5}");
                    // What is held back is no argument.
                    let answer = client.call(&name("synthetic_0003"), json!({"r\u{65}cord": "a"}));
                    assert_eq!(answer["error"]["code"], -32602, "{answer}");
                    let words = answer["error"]["message"].as_str().unwrap();
                    assert!(words.contains("arguments.record"), "{words}");
                    let answer = client.call(&name("synthetic_0003"), json!({"limit": 2}));
                    assert_eq!(text(&answer), "synthetic_0003 {\"limit\":2}");
                    // A constant that also travels as a header is in both.
                    let answer = client.call(&name("test_custom_header"), json!({}));
                    assert!(answer.get("error").is_none(), "{answer}");

                    let absent = refusal(client, &name("nothing_like_it"));
                    assert_eq!(absent, Some((-32602, "Unknown tool: NAME".to_owned())));
                    for hidden in ["synthetic_0001", "synthetic_0004", "whoami", "echo"] {
                        assert_eq!(refusal(client, &name(hidden)), absent, "{hidden}");
                    }
                }
            }
        }
        proxy.stop();
    }
}

#[test]
fn only_what_says_that_it_changes_nothing() {
    let (_server, address) = serve_everything(&[]);
    let proxy = Proxy::start(&format!(
        "[upstreams.demo]\ncommand = [\"mcp-proxy\", \"demo\"]\nread_only = true\n\
         [upstreams.web]\nurl = \"http://{address}/mcp\"\nread_only = true\n"
    ));
    for era in Era::BOTH {
        let mut client = proxy.client(era, "/mcp");
        assert_eq!(names(&mut client), ["demo__add", "demo__echo", "demo__now"]);
        assert_eq!(text(&client.call("demo__echo", json!({"text": "x"}))), "x");
        assert!(refusal(&mut client, "web__echo").is_some());
        let mut client = proxy.client(era, "/mcp/web");
        assert!(names(&mut client).is_empty());
        assert!(refusal(&mut client, "echo").is_some());
    }
    proxy.stop();
}

#[test]
fn two_tools_that_would_have_one_name_are_both_withheld() {
    let (_server, address) = serve_everything(&["--tools", "2"]);
    let proxy = Proxy::start(&format!(
        "[upstreams.web]\nurl = \"http://{address}/mcp\"\ntools = {{ allow = [\"synthetic_*\", \"echo\"] }}\n\
         rename = {{ echo = \"synthetic_0001\" }}\n"
    ));
    let mut client = proxy.client(Era::Modern, "/mcp");
    assert_eq!(names(&mut client), ["web__synthetic_0002"]);
    for gone in ["web__synthetic_0001", "web__echo"] {
        assert!(refusal(&mut client, gone).is_some(), "{gone}");
    }
    let mut client = proxy.client(Era::Legacy, "/mcp/web");
    assert_eq!(names(&mut client), ["synthetic_0002"]);
    assert!(refusal(&mut client, "synthetic_0001").is_some());
    until("the log says so", Duration::from_secs(10), || {
        proxy.log().contains("two names meet; both are withheld").then_some(())
    });
    proxy.stop();
}
