//! Prompts, resources, templates, completions and subscriptions under rules.

use serde_json::{Value, json};

use crate::support::{Client, Era, Proxy, serve_everything};

fn error(client: &mut Client, method: &str, params: Value) -> Option<(i64, String)> {
    let answer = client.request(method, params);
    let error = answer.get("error")?;
    let code = error["code"].as_i64().expect("an error has a code");
    Some((code, error["message"].as_str().expect("an error has words").to_owned()))
}

#[test]
fn what_rules_hide_is_nowhere() {
    for upstream_era in ["legacy", "modern"] {
        let (_server, address) = serve_everything(&["--era", upstream_era]);
        let proxy = Proxy::start(&format!(
            "[upstreams.web]\nurl = \"http://{address}/mcp\"\n\
             prompts = {{ allow = [\"test_prompt_*\"], deny = [\"*_image\"] }}\n\
             resources = {{ allow = [\"test://static-text\", \"test://template/{{id}}/data\"], deny = [\"test://template/9*\"] }}\n"
        ));
        for era in Era::BOTH {
            for (door, name, scheme) in [("/mcp", "web__", "web+"), ("/mcp/web", "", "")] {
                let client = &mut proxy.client(era, door);
                let prompts = client.list("prompts/list", "prompts");
                assert_eq!(prompts.len(), 2, "{prompts:?}");
                let get =
                    |own: &str| json!({"name": format!("{name}{own}"), "arguments": {"arg1": "a"}});
                let good = get("test_prompt_with_arguments");
                assert_eq!(error(client, "prompts/get", good), None);
                for hidden in ["test_simple_prompt", "test_prompt_with_image", "nothing"] {
                    let (code, words) = error(client, "prompts/get", get(hidden)).unwrap();
                    assert_eq!((code, words), (-32602, format!("Unknown prompt: {name}{hidden}")));
                }
                let complete = |reference: Value| json!({"ref": reference, "argument": {"name": "arg1", "value": ""}});
                let of = |own: &str| {
                    complete(json!({"type": "ref/prompt", "name": format!("{name}{own}")}))
                };
                assert_eq!(
                    error(client, "completion/complete", of("test_prompt_with_arguments")),
                    None
                );
                assert!(
                    error(client, "completion/complete", of("test_prompt_with_image")).is_some()
                );

                let resources = client.list("resources/list", "resources");
                assert_eq!(resources.len(), 1, "{resources:?}");
                let templates = client.list("resources/templates/list", "resourceTemplates");
                assert_eq!(templates.len(), 1, "{templates:?}");
                let read = |uri: &str| json!({"uri": format!("{scheme}{uri}")});
                for shown in ["test://static-text", "test://template/7/data"] {
                    assert_eq!(error(client, "resources/read", read(shown)), None, "{shown}");
                }
                let absent = error(client, "resources/read", read("test://nothing")).unwrap();
                for hidden in [
                    "test://static-binary",
                    "test://template/9/data",
                    "test://template/../static-binary",
                    "test://template/%39/data",
                ] {
                    let (code, words) = error(client, "resources/read", read(hidden)).unwrap();
                    assert_eq!(code, absent.0);
                    assert_eq!(words, format!("Resource not found: {scheme}{hidden}"));
                }
                if era == Era::Legacy {
                    let hidden = error(client, "resources/subscribe", read("test://static-binary"));
                    assert_eq!(hidden.unwrap().0, absent.0);
                    let shown = error(client, "resources/subscribe", read("test://static-text"));
                    assert_eq!(shown, None);
                }
            }
        }
        proxy.stop();
    }
}
