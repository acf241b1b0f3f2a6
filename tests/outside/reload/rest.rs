//! `POST /api/v1/reload`.

use serde_json::{Value, json};

use crate::reload::world::{file, full, process, replace, report, start, tools, write};
use crate::support::{Answer, Era, Proxy, Raw, Setup, post, text};

const OPERATOR: &str = "the-key-of-the-operator-in-the-tests-0001";
const ADMIN: &str = "[admin]\nkeys = [{ name = \"ops\", env = \"OPS\" }]\n";

fn operated(upstreams: &str) -> String {
    file(&format!("{ADMIN}{upstreams}"))
}

fn ask(proxy: &Proxy, key: &str) -> Answer {
    let bearer = format!("Bearer {key}");
    let request = post(proxy.address(), "/api/v1/reload", &[("Authorization", &bearer)], b"");
    Raw::exchange(proxy.address(), &request).expect("it answers")
}

fn value(answer: &Answer) -> Value {
    serde_json::from_slice(&answer.body).unwrap_or_else(|_| panic!("no JSON: {}", answer.text()))
}

#[test]
fn the_operator_reloads_and_reads_what_is_different() {
    let a = process("a", "one");
    let proxy = start(Setup::new().env("OPS", OPERATOR), &operated(&a));
    let mut client = proxy.client(Era::Legacy, "/mcp");
    let (pid, _) = report(&mut client, "a");
    assert_eq!(ask(&proxy, proxy.key()).status, 403);
    assert_eq!(ask(&proxy, "nobody").status, 401);
    let same = ask(&proxy, OPERATOR);
    assert_eq!((same.status, &value(&same)["changed"]), (200, &json!(false)), "{}", same.text());

    let more = format!(
        "{a}tools = {{ deny = [\"echo\"] }}\n{}[profiles.p]\nupstreams = [\"a\"]\n\
         [limits]\nkey = {{ per_day = 100 }}\n",
        full("b", 1)
    );
    write(&proxy, &operated(&more).replace("127.0.0.1:0", "127.0.0.1:1"));
    let told = ask(&proxy, OPERATOR);
    assert_eq!(told.status, 200, "{}", told.text());
    let told = value(&told);
    assert_eq!(told["changed"], true);
    assert_eq!(
        told["upstreams"],
        json!({ "added": ["b"], "changed": ["a"], "restarted": [], "removed": [] })
    );
    assert_eq!(told["profiles"], json!(["p"]));
    assert_eq!(told["settings"], json!(["limits"]));
    assert_eq!(told["needs_restart"], json!(["server.listen"]));
    // It holds by the time of the answer.
    let names = tools(&mut client);
    assert!(!names.contains(&"a__echo".to_owned()) && names.contains(&"b__echo".to_owned()));
    assert_eq!(report(&mut client, "a").0, pid);
    assert_eq!(text(&client.call("b__echo", json!({"text": "x"}))), "x");

    // A key of the operator that leaves the file ends, too.
    write(&proxy, &file(&a));
    assert_eq!(ask(&proxy, OPERATOR).status, 200);
    assert_eq!(ask(&proxy, OPERATOR).status, 401);
}

#[test]
fn a_file_with_mistakes_is_refused_with_each_of_them() {
    let a = process("a", "one");
    let proxy = start(Setup::new().env("OPS", OPERATOR), &operated(&a));
    let mut client = proxy.client(Era::Legacy, "/mcp");
    let (pid, _) = report(&mut client, "a");
    let wrong =
        operated(&format!("{a}idle_stpo = \"1m\"\n[profiles.p]\nupstreams = [\"nobody\"]\n"));
    write(&proxy, &wrong);
    let refused = ask(&proxy, OPERATOR);
    assert_eq!(refused.status, 422, "{}", refused.text());
    assert_eq!(refused.header("content-type"), Some("application/problem+json"));
    let refused = value(&refused);
    assert_eq!(refused["type"], "urn:mcp-proxy:problem:file");
    let problems = refused["problems"].as_array().expect("problems");
    assert_eq!(problems.len(), 2, "{refused}");
    let line_of = |text: &str| wrong.lines().position(|line| line.contains(text)).map(|at| at + 1);
    for (problem, (key, text)) in problems
        .iter()
        .zip([("upstreams.a.idle_stpo", "idle_stpo"), ("profiles.p.upstreams", "nobody")])
    {
        assert!(problem["key"].as_str().is_some_and(|own| own.starts_with(key)), "{problem}");
        assert_eq!(problem["line"].as_u64(), line_of(text).map(|line| line as u64), "{problem}");
        assert!(problem["column"].as_u64() > Some(0), "{problem}");
        assert!(problem["hint"].is_string() && problem["message"].is_string(), "{problem}");
    }
    // The one before runs on.
    assert_eq!(report(&mut client, "a"), (pid, 2));

    // Something that the file names and that cannot be had is a refusal as well.
    write(&proxy, &operated(&a).replace("\"OPS\"", "\"NOWHERE\""));
    let refused = ask(&proxy, OPERATOR);
    assert_eq!(refused.status, 422, "{}", refused.text());
    assert!(value(&refused)["detail"].as_str().is_some_and(|detail| detail.contains("NOWHERE")));
    assert_eq!(value(&refused)["problems"], json!([]));
    assert_eq!(report(&mut client, "a"), (pid, 3));
    replace(&proxy.folder().join("mcp-proxy.toml"), &operated(&a));
    assert_eq!(ask(&proxy, OPERATOR).status, 200);
}
