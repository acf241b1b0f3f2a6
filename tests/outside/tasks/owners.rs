//! A task is its owner's: nobody else's key, tenant or door reaches it (R101–R103).

use serde_json::{Value, json};

use crate::support::{Era, Setup, tasker};
use crate::tasks::speaker::{Speaker, everything_declared};
use crate::tasks::world::{UPSTREAMS, World, client, get, last, status, takes_tasks, task};

const METHODS: [&str; 3] = ["tasks/get", "tasks/update", "tasks/cancel"];

fn params(id: &str) -> Value {
    json!({"taskId": id, "inputResponses": {}})
}

#[test]
fn another_s_task_is_an_unknown_one() {
    let program = tasker();
    let keys = [
        ("ONE", "a", "key-one-of-acme-0123456789abcdef"),
        ("TWO", "a", "key-two-of-acme-0123456789abcdef"),
        ("THREE", "b", "key-of-globex-0123456789abcdef01"),
    ];
    let mut setup = Setup::new();
    for (name, _, key) in keys {
        setup = setup.env(name, key);
    }
    let proxy = setup
        .config(&format!(
            "[upstreams.old]\ncommand = [{program:?}]\n[upstreams.new]\ncommand = [{program:?}, \"modern\"]\n\
             [tenants.a]\nkeys = [{{ name = \"one\", env = \"ONE\" }}, {{ name = \"two\", env = \"TWO\" }}]\n\
             [tenants.b]\nkeys = [{{ name = \"three\", env = \"THREE\" }}]\n"
        ))
        .serve();
    let at = |key: usize, door: &str| {
        let revision = Era::Legacy.revision();
        let key = keys[key].2;
        Speaker::declaring(proxy.address(), Era::Modern, door, key, takes_tasks(), revision)
    };
    for upstream in ["old", "new"] {
        let door = format!("/mcp/{upstream}");
        let mut owner = at(0, &door);
        let id = task(&mut owner, "work", &json!({"looks": 1_000_000}));
        let mut changed = id.clone().into_bytes();
        let middle = changed.len() / 2;
        changed[middle] = if changed[middle] == b'A' { b'B' } else { b'A' };
        let changed = String::from_utf8(changed).expect("text");
        let cases = [
            ("another key", at(1, &door), id.as_str()),
            ("another tenant", at(2, &door), id.as_str()),
            ("another door", at(0, "/mcp"), id.as_str()),
            ("a changed id", at(0, &door), changed.as_str()),
            ("the upstream's id", at(0, &door), "raw-1"),
            ("no id", at(0, &door), ""),
        ];
        let mut said = Vec::new();
        for (case, mut stranger, id) in cases {
            for method in METHODS {
                let (status, messages) = stranger.round(method, params(id));
                let answer = messages.last().expect("an answer");
                assert_eq!(
                    (status, &answer["error"]["code"]),
                    (200, &json!(-32602)),
                    "{case}: {answer}"
                );
                said.push(answer["error"]["message"].clone());
            }
        }
        assert!(said.windows(2).all(|pair| pair[0] == pair[1]), "they can be told apart: {said:?}");
        // Nothing has happened to it.
        status(&mut owner, &id, "working");
    }
}

#[test]
fn tasks_are_for_those_who_declare_them() {
    let world = World::new();
    let proxy = &world.proxy;
    for upstream in UPSTREAMS {
        let door = format!("/mcp/{upstream}");
        let mut owner = client(proxy, Era::Modern, &door, takes_tasks());
        let id = task(&mut owner, "work", &json!({"looks": 1_000_000}));
        owner.declares = everything_declared();
        for method in METHODS {
            let (status, messages) = owner.round(method, params(&id));
            let error = &messages.last().expect("an answer")["error"];
            assert_eq!((status, &error["code"]), (400, &json!(-32021)), "{error}");
            let extension = &error["data"]["requiredCapabilities"]["extensions"];
            assert!(extension["io.modelcontextprotocol/tasks"].is_object(), "{error}");
        }
        let listen = json!({"notifications": {"taskIds": [id]}});
        let answer = last(&mut owner, "subscriptions/listen", listen);
        assert_eq!(answer["error"]["code"], -32021, "{answer}");
        // With the next request it may say something else.
        owner.declares = takes_tasks();
        assert_eq!(get(&mut owner, &id)["result"]["status"], "working");
    }
}

#[test]
fn a_discovery_offers_tasks_and_an_initialize_does_not() {
    let world = World::new();
    let proxy = &world.proxy;
    let mut modern = client(proxy, Era::Modern, "/mcp", json!({}));
    let found = last(&mut modern, "server/discover", json!({}));
    let capabilities = &found["result"]["capabilities"];
    assert!(capabilities["extensions"]["io.modelcontextprotocol/tasks"].is_object(), "{found}");
    assert!(capabilities["tasks"].is_null(), "{found}");
    let answer = last(&mut modern, "tasks/list", json!({}));
    assert_eq!(answer["error"]["code"], -32601, "{answer}");
    let answer = last(&mut modern, "tasks/result", json!({"taskId": "x"}));
    assert_eq!(answer["error"]["code"], -32601, "{answer}");
    let hello =
        proxy.client(Era::Legacy, "/mcp").send("initialize", Era::hello(9)["params"].clone());
    let answer = hello.messages().pop().expect("an answer");
    assert!(answer["result"]["capabilities"]["tasks"].is_null(), "{answer}");
    assert!(!answer["result"]["capabilities"].to_string().contains("tasks"), "{answer}");
}
