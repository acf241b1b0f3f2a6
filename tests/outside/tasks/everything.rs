//! The tools of the example `everything` that become tasks, for clients with sessions: its tasks are
//! those of the official SDK, over HTTP and over a pipe.

use serde_json::json;

use crate::support::{Era, Proxy, everything, serve_everything, text};
use crate::tasks::speaker::{Speaker, agreeing, everything_declared};
use crate::tasks::world::client;

#[test]
fn a_client_with_a_session_gets_the_results_of_tasks() {
    let (_server, address) = serve_everything(&["--era", "modern"]);
    let program = everything();
    let proxy = Proxy::start(&format!(
        "[upstreams.web]\nurl = \"http://{address}/mcp\"\n\
         [upstreams.pipe]\ncommand = [{program:?}, \"--era\", \"modern\"]\n"
    ));
    for upstream in ["web", "pipe"] {
        let door = format!("/mcp/{upstream}");
        let mut client = client(&proxy, Era::Legacy, &door, everything_declared());
        let mut call = |tool: &str, arguments: serde_json::Value| {
            let mut asked = 0;
            let params = Speaker::tool(tool, &arguments);
            let answer = client.call("tools/call", params, |method, params| {
                asked += 1;
                let message = params["message"].as_str().expect("a message");
                assert!(message.starts_with(&format!("[{upstream}] ")), "{message}");
                let mut answer = agreeing(method, params).expect("an answer");
                answer["result"]["content"]["confirm"] = json!(true);
                Some(answer)
            });
            (answer, asked)
        };
        let (answer, _) = call("greet", json!({"name": "Ada"}));
        assert_eq!(text(&answer), "Hello, Ada!", "{upstream}");
        let (answer, _) = call("slow_compute", json!({"seconds": 0.1, "label": "sum"}));
        assert_eq!(text(&answer), "sum: done", "{upstream}");
        let (answer, _) = call("failing_job", json!({}));
        assert_eq!(answer["result"]["isError"], true, "{upstream}: {answer}");
        let (answer, _) = call("protocol_error_job", json!({}));
        assert!(answer["error"]["message"].as_str().expect("words").contains("breaks"), "{answer}");
        let (answer, asked) = call("confirm_delete", json!({"filename": "a.txt"}));
        assert_eq!((text(&answer), asked), ("a.txt: true", 1), "{upstream}");
        let (answer, asked) = call("multi_input", json!({}));
        assert_eq!((text(&answer), asked), ("\"v\" and \"v\"", 2), "{upstream}");
        // First it asks, then it becomes a task.
        let (answer, asked) = call("test_tool_with_task", json!({}));
        assert_eq!((text(&answer), asked), ("Hello, Ada, from a task!", 1), "{upstream}");
        assert!(answer["result"]["resultType"].is_null(), "{answer}");
    }
}
