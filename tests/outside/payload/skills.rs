//! Skills (SEP-2640) of several upstreams behind one door, and extensions that nobody knows.

use serde_json::{Value, json};

use crate::payload::peer::Peer;
use crate::payload::upstream::{Upstream, unknown};
use crate::support::{Era, Proxy};

const SKILLS: &str = "io.modelcontextprotocol/skills";

fn entry() -> Value {
    json!({"uri": "skill://a/refunds/SKILL.md", "frontmatter": {"name": "refunds", "x": 1.5},
        "resources": [{"uri": "skill://a/refunds/SKILL.md", "digest": "sha256:00"},
            {"uri": "skill://a/refunds/t/e.md", "digest": "sha256:01"}]})
}

fn script(method: &str, params: &Value, _: &Value) -> Result<Value, Value> {
    match method {
        "tools/list" => Ok(json!({"tools": []})),
        "skills/list" => Ok(json!({"skills": [entry()]})),
        "skills/get" if params["uri"] == entry()["uri"] => {
            Ok(json!({"skill": entry(), "later": 1}))
        }
        "resources/directory/read" if params["uri"] == "skill://a/refunds/t" => {
            Ok(json!({"resources": [
            {"uri": "skill://a/refunds/t/e.md", "name": "e.md"}], "nextCursor": "more"}))
        }
        "skills/get" | "resources/directory/read" => {
            Err(json!({"code": -32602, "message": "no", "data": {"uri": params["uri"]}}))
        }
        "com.example/do" => Ok(json!({"done": true})),
        _ => unknown(),
    }
}

fn upstream(era: Era, extensions: &Value) -> Upstream {
    Upstream::start(era, json!({"tools": {}, "extensions": extensions}), script)
}

#[test]
fn skills_of_all_are_listed_and_each_is_found_where_it_is() {
    for era in Era::BOTH {
        let one = upstream(era, &json!({SKILLS: {"directoryRead": true}, "com.example/other": {}}));
        let two = upstream(era, &json!({SKILLS: {}}));
        let none = upstream(era, &json!({}));
        let proxy = Proxy::start(&format!(
            "[upstreams.one]\nurl = \"{}\"\n[upstreams.two]\nurl = \"{}\"\n[upstreams.none]\nurl = \"{}\"\n",
            one.url(),
            two.url(),
            none.url()
        ));
        for revision in ["2025-11-25", "2026-07-28"] {
            let mut peer = Peer::connect(&proxy, "/mcp", revision, json!({}));
            let answer = peer.ask("skills/list", json!({}));
            let skills =
                answer["result"]["skills"].as_array().unwrap_or_else(|| panic!("{answer}"));
            assert_eq!(skills.len(), 2, "names are labels and may collide: {answer}");
            assert_eq!(answer["result"].get("ttlMs").is_some(), revision == "2026-07-28");
            for (skill, name) in skills.iter().zip(["one", "two"]) {
                assert_eq!(skill["uri"], format!("skill://{name}/a/refunds/SKILL.md"));
                assert_eq!(
                    skill["resources"][1]["uri"],
                    format!("skill://{name}/a/refunds/t/e.md")
                );
                assert_eq!(skill["resources"][1]["digest"], "sha256:01");
                assert_eq!(skill["frontmatter"], entry()["frontmatter"]);
                let got = peer.ask("skills/get", json!({"uri": skill["uri"]}));
                assert_eq!(&got["result"]["skill"], skill, "{got}");
                assert_eq!(got["result"]["later"], 1);
            }
            let uri = "skill://one/a/refunds/t";
            let directory = peer.ask("resources/directory/read", json!({"uri": uri}));
            let result = &directory["result"];
            assert_eq!(
                result["resources"][0]["uri"], "skill://one/a/refunds/t/e.md",
                "{directory}"
            );
            assert_eq!(result["nextCursor"], "more");
            refusals(&mut peer);
            peer.greet();
            let extensions = &peer.welcome["capabilities"]["extensions"];
            assert_eq!(extensions[SKILLS], json!({"directoryRead": true}), "{extensions}");
            assert!(extensions["com.example/other"].is_null(), "{extensions}");
            let mut peer = Peer::connect(&proxy, "/mcp/none", revision, json!({}));
            let code = peer.ask("skills/list", json!({}))["error"]["code"].clone();
            assert_eq!(code, -32601, "nobody behind this door has skills");
            assert!(peer.welcome["capabilities"]["extensions"][SKILLS].is_null());
        }
        assert!(none.seen("skills/list").is_empty() && none.seen("skills/get").is_empty());
        assert!(one.seen("com.example/do").is_empty());
    }
}

fn refusals(peer: &mut Peer) {
    for (method, uri, code) in [
        ("skills/get", "skill://one/a/no/SKILL.md", -32602),
        ("skills/get", "skill://nobody/a/SKILL.md", -32602),
        ("skills/get", "skill://none/a/SKILL.md", -32601),
        ("resources/directory/read", "skill://two/a/refunds/t", -32601),
        ("com.example/do", "x", -32601),
    ] {
        let answer = peer.ask(method, json!({"uri": uri}));
        assert_eq!(answer["error"]["code"], code, "{method} {uri}: {answer}");
        if uri.contains("/no/") {
            assert_eq!(answer["error"]["data"]["uri"], uri);
        }
    }
}
