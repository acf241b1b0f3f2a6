//! Clients that declare nothing that can be asked: an upstream that asks all the same, wherever it
//! does, is refused at once, and the call goes on as it would without the proxy.

use serde_json::json;

use crate::bridge::speaker::Speaker;
use crate::support::{Era, Proxy, everything, serve_everything, text};

#[test]
fn who_declares_nothing_is_not_asked_and_no_call_waits_for_it() {
    let (_legacy, old) = serve_everything(&["--era", "legacy"]);
    let (_modern, new) = serve_everything(&["--era", "modern"]);
    let mut file = format!(
        "[upstreams.web-legacy]\nurl = \"http://{old}/mcp\"\n\
         [upstreams.web-modern]\nurl = \"http://{new}/mcp\"\n"
    );
    let mut upstreams = vec!["web-legacy".to_owned(), "web-modern".to_owned()];
    for share in ["tenant", "session", "all"] {
        for era in ["legacy", "modern"] {
            let (name, program) = (format!("{share}-{era}"), everything());
            file += &format!(
                "[upstreams.{name}]\ncommand = [{program:?}, \"--era\", \"{era}\"]\nshare = \"{share}\"\n"
            );
            upstreams.push(name);
        }
    }
    let proxy = Proxy::start(&file);
    // What the refusal of each question makes of the call at a legacy upstream.
    let tools = [
        ("test_elicitation", "action=cancel", "elicitation"),
        ("test_sampling", "rejected sampling", "sampling"),
        ("test_roots", "Roots not supported", "roots"),
    ];
    for era in Era::BOTH {
        for upstream in &upstreams {
            let mut client = Speaker::declaring(
                proxy.address(),
                era,
                &format!("/mcp/{upstream}"),
                proxy.key(),
                json!({}),
                Era::Legacy.revision(),
            );
            for (tool, refused, capability) in tools {
                let case = format!("{era:?} client, {upstream}, {tool}");
                let params = Speaker::tool(tool, &json!({}));
                let answer =
                    client.call("tools/call", params, |method, _| panic!("{case}: asked {method}"));
                if upstream.ends_with("legacy") {
                    assert!(text(&answer).contains(refused), "{case}: {answer}");
                } else if era == Era::Modern {
                    assert_eq!(answer["error"]["code"], -32021, "{case}: {answer}");
                    let required = &answer["error"]["data"]["requiredCapabilities"];
                    assert!(required[capability].is_object(), "{case}: {answer}");
                } else {
                    assert_eq!(answer["result"]["isError"], true, "{case}: {answer}");
                    assert!(text(&answer).contains(capability), "{case}: {answer}");
                }
            }
        }
    }
}
