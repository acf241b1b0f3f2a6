//! Documents that are taken, and those that are refused with the reason.

use std::path::Path;

use serde_json::{Value, json};

use crate::base::Name;
use crate::config::{
    Config, MadeUpstream, Problem, Standing, Stored, Upstream, check_text, check_upstream, join,
};

fn config() -> Config {
    let text = "[upstreams.filed]\nurl = \"https://mcp.example.com/mcp\"\n\
                [admin]\nprograms = [\"uvx\", [\"npx\", \"-y\", \"@good/*\"], \"./tool\"]\n";
    check_text(text, "mcp-proxy.toml", Path::new("/etc/x")).expect("a good file").0
}

fn check(document: &Value) -> Result<Upstream, Vec<(String, String)>> {
    let name = Name::new("up").unwrap();
    let found = check_upstream(&name, document.as_object().unwrap(), &config());
    found.map(|(upstream, _)| upstream).map_err(|problems| {
        let told = |problem: &Problem| {
            assert_eq!((problem.line, problem.column), (0, 0));
            assert!(problem.hint.is_some(), "{problem}");
            (problem.key.clone(), problem.message.clone())
        };
        problems.iter().map(told).collect()
    })
}

fn keys(document: &Value) -> Vec<String> {
    check(document).expect_err("a problem").into_iter().map(|(key, _)| key).collect()
}

#[test]
fn good_documents_are_what_the_section_would_be() {
    for document in [
        json!({ "command": ["uvx", "mcp-server-time", "a \"b\" \\ \u{7f} é\n"] }),
        json!({ "command": ["npx", "-y", "@good/server"], "env": { "A.B": "{secret.token}" } }),
        json!({ "command": ["./tool"], "share": "session", "memory": "64MiB" }),
        json!({ "url": "https://mcp.example.com/mcp", "headers": { "Authorization": "Bearer {secret.token}" } }),
        json!({ "url": "http://127.0.0.1:1/mcp", "allow_private": true, "timeout": "3s" }),
        json!({ "url": "https://a.example.com/", "tools": { "deny": ["x*"] }, "arguments": { "a": "{tenant}" } }),
    ] {
        check(&document).unwrap_or_else(|problems| panic!("{document}: {problems:?}"));
    }
}

#[test]
fn bad_documents_are_refused_by_key() {
    for (document, wanted) in [
        (json!({}), "upstreams.up"),
        (json!({ "command": ["sh", "-c", "id"] }), "upstreams.up.command"),
        (json!({ "command": ["npx", "-y", "evil"] }), "upstreams.up.command"),
        (json!({ "command": ["npx", "-y", "@good/../evil"] }), "upstreams.up.command"),
        (json!({ "command": ["npx"] }), "upstreams.up.command"),
        (json!({ "command": ["/usr/bin/uvx", "x"] }), "upstreams.up.command"),
        (
            json!({ "command": ["uvx"], "env": { "LD_PRELOAD": "x" } }),
            "upstreams.up.env.LD_PRELOAD",
        ),
        (json!({ "command": ["uvx"], "env": { "GH_TOKEN": "x" } }), "upstreams.up.env.GH_TOKEN"),
        (json!({ "command": ["uvx"], "cwt": "x" }), "upstreams.up.cwt"),
        (json!({ "command": ["uvx"], "cwd": null }), "upstreams.up.cwd"),
        (json!({ "url": "https://10.1.2.3/" }), "upstreams.up.url"),
        (json!({ "url": "https://[::ffff:127.0.0.1]/" }), "upstreams.up.url"),
        (json!({ "url": "https://localhost./" }), "upstreams.up.url"),
        (json!({ "url": "https://0x7f.1/" }), "upstreams.up.url"),
        (
            json!({ "url": "https://a.example.com/", "headers": { "X-Api-Key": "k" } }),
            "upstreams.up.headers.x-api-key",
        ),
        (json!({ "url": 7 }), "upstreams.up.url"),
        (
            json!({ "url": "https://a.example.com/\"\n[upstreams.b]\nurl = \"x" }),
            "upstreams.up.url",
        ),
    ] {
        assert_eq!(keys(&document), [wanted], "{document}");
    }
}

#[test]
fn no_value_that_may_be_secret_is_told() {
    let document =
        json!({ "command": ["uvx"], "env": { "API_KEY": "hunter2" }, "tokn": "hunter2" });
    assert!(!format!("{:?}", check(&document)).contains("hunter2"));
}

#[test]
fn what_runs_is_the_file_and_these() {
    let made = |name: &str, document: Value, enabled| MadeUpstream {
        name: Name::new(name).unwrap(),
        document: document.to_string(),
        enabled,
    };
    let good = json!({ "url": "https://b.example.com/" });
    let before = config();
    let all = [
        made("a", good.clone(), true),
        made("b", good.clone(), false),
        made("filed", good, true),
        made("wrong", json!({ "command": ["sh"] }), true),
    ];
    let joined = join(before.clone(), &Stored { upstreams: all.into(), ..Stored::default() });
    let names: Vec<&str> = joined.upstreams.keys().map(Name::as_str).collect();
    assert_eq!(names, ["a", "filed"]);
    let standing: Vec<&Standing> = joined.made.standing.values().collect();
    assert!(matches!(
        standing[..],
        [Standing::Runs, Standing::Disabled, Standing::Declared, Standing::Broken(_)]
    ));
    assert_ne!(joined.revision, before.revision);
    assert_eq!(join(before.clone(), &Stored::default()), before);
    assert_eq!(joined.made.lines.len(), 1);
}
