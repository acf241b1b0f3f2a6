//! Sealing keys are rotated while calls run: none fails, no key is shown, and the store opens
//! afterwards.

use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};

use crate::admin::world::{Ask, OPERATOR, World, value};
use crate::support::{Client, Era};

fn post(world: &World, path: &str, body: &Value) -> Value {
    let answer = world.ask(&Ask::new("POST", path).key(OPERATOR).json(body));
    assert_eq!(answer.status, 200, "{}", answer.text());
    value(&answer)
}

fn seal(world: &World) -> Value {
    value(&world.ask(&Ask::new("GET", "/api/v1/seal").key(OPERATOR)))
}

fn token(client: &mut Client) -> String {
    client.call("gh__show_request", json!({})).to_string()
}

#[test]
fn rotation_costs_no_call_and_leaves_nothing_under_an_older_key() {
    let world = World::new();
    let names = ["acme", "beta", "gamma"];
    let keys: Vec<String> = names.iter().map(|name| world.tenant(name)).collect();
    let set = |key: &str, value: &str| {
        let set = Ask::new("PUT", "/api/v1/secrets/gh/token").key(key);
        assert_eq!(world.ask(&set.json(&json!({ "value": value }))).status, 200);
    };
    for (key, name) in keys.iter().zip(names) {
        set(key, &format!("canary of {name}"));
    }
    let before = seal(&world);
    assert_eq!((&before["generation"], &before["secrets"]), (&json!(1), &json!(3)), "{before}");

    let rotated = AtomicBool::new(false);
    let rounds = std::thread::scope(|scope| {
        let callers = keys.iter().zip(names).map(|(key, name)| {
            let (rotated, address) = (&rotated, world.address());
            scope.spawn(move || {
                let mut client = Client::connect(Era::Modern, address, "/mcp", Some(key));
                let mut calls = 0;
                while !rotated.load(Ordering::Relaxed) || calls < 3 {
                    let seen = token(&mut client);
                    assert!(seen.contains(&format!("Bearer canary of {name}")), "{seen}");
                    calls += 1;
                }
                calls
            })
        });
        let callers: Vec<_> = callers.collect();
        for round in 0..5 {
            let done = post(&world, "/api/v1/seal/rotate", &json!({ "data_keys": round % 2 == 1 }));
            assert_eq!(done["generation"], json!(round + 2), "{done}");
            assert_eq!((&done["data_keys"], &done["failed"]), (&json!(3), &json!([])), "{done}");
            assert_eq!(done["dropped"], json!([round + 1]), "{done}");
            let own = post(&world, "/api/v1/tenants/acme/seal/rotate", &json!({}));
            assert_eq!(own, json!({ "tenant": "acme", "secrets": 1 }));
            // What is set meanwhile is sealed by what is new.
            set(&keys[1], "canary of beta");
        }
        rotated.store(true, Ordering::Relaxed);
        callers.into_iter().map(|caller| caller.join().expect("it saw its token")).sum::<u32>()
    });
    assert!(rounds >= 9);
    let after = seal(&world);
    assert_eq!((&after["generation"], &after["older_data_keys"]), (&json!(6), &json!(0)));
    assert_eq!(after["generations"].as_array().map(Vec::len), Some(1), "{after}");
    assert_eq!(after["generations"][0]["data_keys"], json!(3));
    assert_ne!(after["generations"][0]["id"], before["generations"][0]["id"]);
    assert_eq!(after["root"], before["root"]);

    // One that names itself is carried out once.
    let named =
        Ask::new("POST", "/api/v1/seal/rotate").key(OPERATOR).header("Idempotency-Key", "n");
    let (first, second) = (world.ask(&named), world.ask(&named));
    assert_eq!((first.status, &first.body), (200, &second.body));
    assert_eq!(seal(&world)["generation"], json!(7));
    let me = value(&world.ask(&Ask::new("GET", "/api/v1/me").key(OPERATOR)));
    let audit = format!("/api/v1/audit?limit=200&key={}", me["key"].as_str().expect("an id"));
    let audit = value(&world.ask(&Ask::new("GET", &audit).key(OPERATOR)));
    let rotations = audit["items"].as_array().expect("items").iter();
    assert_eq!(rotations.filter(|record| record["method"] == "admin/rotateSeal").count(), 6);

    // The next start opens it, and a command on the store does the same.
    let setup = world.proxy.stop();
    let (done, out, errors) = setup.run(&["seal", "rotate", "--data-keys"], b"");
    assert!(done.success() && out.contains("Generation 8 seals now"), "{out}{errors}");
    let proxy = setup.serve();
    for (key, name) in keys.iter().zip(names) {
        let mut client = Client::connect(Era::Modern, proxy.address(), "/mcp", Some(key));
        assert!(token(&mut client).contains(&format!("Bearer canary of {name}")));
        // Another process rotates the store under the running proxy.
        let (done, out, errors) = proxy.setup().run(&["seal", "rotate", "--tenant", name], b"");
        assert!(done.success() && out.contains("sealed anew: 1"), "{out}{errors}");
        assert!(token(&mut client).contains(&format!("Bearer canary of {name}")));
    }
    let (done, out, errors) = proxy.setup().run(&["seal", "show"], b"");
    assert!(done.success() && out.contains("GENERATION") && out.contains('8'), "{out}{errors}");
}
