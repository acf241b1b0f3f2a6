//! A proxy before upstreams of both eras whose tools run as tasks, and clients that take tasks or
//! do not.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{Era, Process, Proxy, serve_tasker, tasker, text, until};
use crate::tasks::speaker::{Speaker, everything_declared};

pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// What a client declares that takes tasks.
pub(crate) fn takes_tasks() -> Value {
    let mut all = everything_declared();
    all["extensions"] = json!({"io.modelcontextprotocol/tasks": {}});
    all
}

/// A form with this message.
pub(crate) fn form(message: &str) -> Value {
    json!({"method": "elicitation/create", "params": {"mode": "form", "message": message,
        "requestedSchema": {"type": "object", "properties": {"name": {"type": "string"}}}}})
}

/// Upstreams of 2025-11-25 and of 2026-07-28, over pipes and over HTTP.
pub(crate) const UPSTREAMS: [&str; 4] = ["old", "new", "old-web", "new-web"];

/// A proxy before all of them.
pub(crate) struct World {
    pub(crate) proxy: Proxy,
    _servers: [Process; 2],
}

impl World {
    pub(crate) fn new() -> Self {
        let (old, old_address) = serve_tasker(&[]);
        let (new, new_address) = serve_tasker(&["modern"]);
        let program = tasker();
        let proxy = Proxy::start(&format!(
            "[upstreams.old]\ncommand = [{program:?}]\n[upstreams.new]\ncommand = [{program:?}, \"modern\"]\n\
             [upstreams.old-web]\nurl = \"http://{old_address}/mcp\"\n\
             [upstreams.new-web]\nurl = \"http://{new_address}/mcp\"\n"
        ));
        Self { proxy, _servers: [old, new] }
    }
}

/// True for one of 2025-11-25.
pub(crate) fn is_old(upstream: &str) -> bool {
    upstream.starts_with("old")
}

/// A client of a key; one of 2026-07-28 says with each request whether it takes tasks.
pub(crate) fn client(proxy: &Proxy, era: Era, door: &str, declares: Value) -> Speaker {
    let revision = Era::Legacy.revision();
    Speaker::declaring(proxy.address(), era, door, proxy.key(), declares, revision)
}

/// Runs `test` with every kind of client before each upstream, at the upstream's own door and at
/// the common one: the client, whether it takes tasks, the upstream, how names are written there.
pub(crate) fn each(
    proxy: &Proxy,
    test: impl Fn(&mut Speaker, bool, &str, &dyn Fn(&str) -> String, &str),
) {
    for (era, takes) in [(Era::Legacy, false), (Era::Modern, false), (Era::Modern, true)] {
        for upstream in UPSTREAMS {
            for merged in [false, true] {
                let door = if merged { "/mcp".to_owned() } else { format!("/mcp/{upstream}") };
                let name = |tool: &str| match merged {
                    true => format!("{upstream}__{tool}"),
                    false => tool.to_owned(),
                };
                let case = format!("{era:?} client, tasks {takes}, {upstream}, {door}");
                let declares = if takes { takes_tasks() } else { everything_declared() };
                test(&mut client(proxy, era, &door, declares), takes, upstream, &name, &case);
            }
        }
    }
}

/// One request of one round, and its last message.
pub(crate) fn last(client: &mut Speaker, method: &str, params: Value) -> Value {
    let (_, messages) = client.round(method, params);
    messages.last().unwrap_or_else(|| panic!("{method}: no answer")).clone()
}

/// Makes a task; gives its id.
pub(crate) fn task(client: &mut Speaker, tool: &str, arguments: &Value) -> String {
    let made = last(client, "tools/call", Speaker::tool(tool, arguments));
    let result = &made["result"];
    assert_eq!(result["resultType"], "task", "{made}");
    for member in ["result", "error", "inputRequests", "requestState", "ttl", "pollInterval"] {
        assert!(result[member].is_null(), "{member}: {made}");
    }
    assert!(result["ttlMs"].is_u64() && result["pollIntervalMs"].is_u64(), "{made}");
    let id = result["taskId"].as_str().expect("an id").to_owned();
    assert!(id.bytes().all(|byte| byte.is_ascii_graphic()), "not fit for a header: {id}");
    id
}

/// What is said about a task.
pub(crate) fn get(client: &mut Speaker, id: &str) -> Value {
    last(client, "tasks/get", json!({ "taskId": id }))
}

/// Waits until a task has this status; gives what is said about it.
pub(crate) fn status(client: &mut Speaker, id: &str, status: &str) -> Value {
    until(&format!("the task is {status}"), PATIENCE, || {
        let answer = get(client, id);
        let told = &answer["result"];
        assert_eq!(told["resultType"], "complete", "{answer}");
        assert_eq!(told["taskId"], id, "{answer}");
        assert!(!answer.to_string().contains("raw-"), "the upstream's id: {answer}");
        (told["status"] == status).then(|| told.clone())
    })
}

/// What the upstream has counted.
pub(crate) fn report(client: &mut Speaker, tool: &str) -> Value {
    let answer = last(client, "tools/call", Speaker::tool(tool, &json!({})));
    serde_json::from_str(text(&answer)).expect("a report")
}
