//! Each kind of question, written once and run in every pair of eras, over HTTP and over a pipe.

use serde_json::{Value, json};

use crate::bridge::speaker::{Speaker, agreeing};
use crate::support::{Era, Process, Proxy, everything, serve_everything, text};

/// A proxy before four upstreams: both eras, both transports.
pub(crate) struct World {
    pub(crate) proxy: Proxy,
    _servers: [Process; 2],
}

pub(crate) const UPSTREAMS: [&str; 4] = ["web-legacy", "web-modern", "pipe-legacy", "pipe-modern"];

impl World {
    pub(crate) fn new() -> Self {
        let (legacy, old) = serve_everything(&["--era", "legacy"]);
        let (modern, new) = serve_everything(&["--era", "modern"]);
        let program = everything();
        let proxy = Proxy::start(&format!(
            "[namespace]\nmax_name = 64\n[upstreams.web-legacy]\nurl = \"http://{old}/mcp\"\n\
             [upstreams.web-modern]\nurl = \"http://{new}/mcp\"\n\
             [upstreams.pipe-legacy]\ncommand = [{program:?}, \"--era\", \"legacy\"]\n\
             [upstreams.pipe-modern]\ncommand = [{program:?}, \"--era\", \"modern\"]\n"
        ));
        Self { proxy, _servers: [legacy, modern] }
    }

    /// Runs `test` with a client of each era before each upstream, at the upstream's own door and
    /// at the common one.
    fn each(&self, test: impl Fn(&mut Speaker, &dyn Fn(&str) -> String, &str)) {
        for era in Era::BOTH {
            for upstream in UPSTREAMS {
                for merged in [false, true] {
                    let door = if merged { "/mcp".to_owned() } else { format!("/mcp/{upstream}") };
                    let name = |tool: &str| match merged {
                        true => format!("{upstream}__{tool}"),
                        false => tool.to_owned(),
                    };
                    let case = format!("{era:?} client, {upstream}, {door}");
                    test(&mut Speaker::new(&self.proxy, era, &door), &name, &case);
                }
            }
        }
    }
}

#[test]
fn every_kind_of_question_is_asked_and_answered_in_every_pair() {
    let world = World::new();
    world.each(|client, name, case| {
        let upstream = case.split(", ").nth(1).expect("the case names it");
        // Forms: each of the three answers.
        for action in ["accept", "decline", "cancel"] {
            let params = Speaker::tool(&name("test_elicitation"), &json!({"message": "Who?"}));
            let answer = client.call("tools/call", params, |method, asked| {
                assert_eq!(method, "elicitation/create", "{case}");
                assert_eq!(asked["message"], format!("[{upstream}] Who?"), "{case}");
                assert_eq!(asked["requestedSchema"]["required"], json!(["username", "email"]));
                let mut answer = json!({"result": {"action": action}});
                if action == "accept" {
                    answer["result"]["content"] =
                        json!({"username": "ada", "email": "a@b.example"});
                }
                Some(answer)
            });
            assert!(text(&answer).contains(&format!("action={action}")), "{case}: {answer}");
            assert_eq!(text(&answer).contains("ada"), action == "accept", "{case}: {answer}");
        }

        let params = Speaker::tool(&name("test_sampling"), &json!({"prompt": "Say hello"}));
        let answer = client.call("tools/call", params, |method, asked| {
            assert_eq!(asked["messages"][0]["content"]["text"], "Say hello", "{case}");
            agreeing(method, asked)
        });
        assert_eq!(text(&answer), "LLM response: Bonjour", "{case}");

        let params = Speaker::tool(&name("test_roots"), &json!({}));
        let answer = client.call("tools/call", params, agreeing);
        assert!(text(&answer).contains("file:///home/ada"), "{case}: {answer}");

        // Three at once, and two rounds one after the other with a state.
        let mut seen = Vec::new();
        let params = Speaker::tool(&name("test_input_required_result_multiple_inputs"), &json!({}));
        let answer = client.call("tools/call", params, |method, asked| {
            seen.push(method.to_owned());
            agreeing(method, asked)
        });
        seen.sort();
        assert_eq!(
            seen,
            ["elicitation/create", "roots/list", "sampling/createMessage"],
            "{case}: {answer}"
        );
        let told = text(&answer);
        assert!(
            ["Ada", "Bonjour", "file:///home/ada"].iter().all(|w| told.contains(w)),
            "{case}: {told}"
        );

        let params = Speaker::tool(&name("test_input_required_result_multi_round"), &json!({}));
        let mut messages = Vec::new();
        let answer = client.call("tools/call", params, |method, asked| {
            messages.push(asked["message"].as_str().unwrap_or_default().to_owned());
            agreeing(method, asked)
        });
        assert_eq!(messages.len(), 2, "{case}: {messages:?}");
        assert!(messages[0].contains("name") && messages[1].contains("colour"), "{case}");
        assert!(text(&answer).contains("Ada"), "{case}: {answer}");

        // Prompts may ask as well.
        let params = json!({"name": name("test_input_required_result_prompt")});
        let mut asked = 0;
        let answer = client.call("prompts/get", params, |method, params| {
            asked += 1;
            agreeing(method, params)
        });
        assert_eq!(asked, 1, "{case}: {answer}");
        assert!(answer["result"]["messages"].is_array(), "{case}: {answer}");
        let modern_words = answer["result"]["resultType"] == "complete";
        assert_eq!(modern_words, client.era == Era::Modern, "{case}: {answer}");
    });
}

#[test]
fn a_client_is_asked_only_what_it_declared() {
    let world = World::new();
    for era in Era::BOTH {
        for upstream in UPSTREAMS {
            let case = format!("{era:?} client, {upstream}");
            let mut client = Speaker::declaring(
                world.proxy.address(),
                era,
                &format!("/mcp/{upstream}"),
                world.proxy.key(),
                json!({"roots": {}}),
                Era::Legacy.revision(),
            );
            let params = Speaker::tool("test_sampling", &json!({}));
            let answer =
                client.call("tools/call", params, |method, _| panic!("{case}: asked {method}"));
            if era == Era::Modern && upstream.ends_with("modern") {
                assert_eq!(answer["error"]["code"], -32021, "{case}: {answer}");
                let required = &answer["error"]["data"]["requiredCapabilities"];
                assert_eq!(required, &json!({"sampling": {}}), "{case}");
            } else {
                assert_eq!(answer["result"]["isError"], true, "{case}: {answer}");
            }
            if upstream.ends_with("modern") && era == Era::Legacy {
                assert!(text(&answer).contains("sampling"), "{case}: {answer}");
            }
            let answer =
                client.call("tools/call", Speaker::tool("test_roots", &json!({})), agreeing);
            assert!(text(&answer).contains("file:///home/ada"), "{case}: {answer}");
        }
    }
}

#[test]
fn a_client_that_fails_to_answer_ends_the_question() {
    let world = World::new();
    for upstream in UPSTREAMS {
        let mut client = Speaker::new(&world.proxy, Era::Legacy, &format!("/mcp/{upstream}"));
        let error = json!({"error": {"code": -1, "message": "User rejected sampling request"}});
        let params = Speaker::tool("test_sampling", &json!({}));
        let answer = client.call("tools/call", params, |_, _| Some(error.clone()));
        assert_eq!(answer["result"]["isError"], true, "{upstream}: {answer}");
        // A form that failed is a form that was cancelled.
        let params = Speaker::tool("test_elicitation", &json!({}));
        let answer = client.call("tools/call", params, |_, _| Some(error.clone()));
        let told = answer["result"].to_string();
        assert!(told.contains("cancel") || told.contains("did not answer"), "{upstream}: {told}");
    }
}

#[test]
fn a_stranger_answers_nobodys_question() {
    let world = World::new();
    for upstream in UPSTREAMS {
        let mut client = Speaker::new(&world.proxy, Era::Legacy, &format!("/mcp/{upstream}"));
        let other = Speaker::new(&world.proxy, Era::Legacy, &format!("/mcp/{upstream}"));
        let params = Speaker::tool("test_elicitation", &json!({}));
        let mut stream = client.open("tools/call", params);
        let asked = stream.next();
        let forged = json!({"result": {"action": "accept", "content": {"username": "evil"}}});
        // Accepted with 202 and ignored: the id is not one of that session.
        other.answer(&asked, &forged);
        let mut wrong: Value = asked.clone();
        wrong["id"] = json!("p-1");
        client.answer(&wrong, &forged);
        client.answer(&asked, &json!({"result": {"action": "decline"}}));
        // Only the first answer counts.
        client.answer(&asked, &forged);
        let answer = stream.next();
        assert!(text(&answer).contains("action=decline"), "{upstream}: {answer}");
    }
}
