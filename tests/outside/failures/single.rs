//! One upstream that fails in its own way while others serve.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::world::{PATIENCE, Place, World, kill, mark, stdio};
use crate::support::{Client, Era, everything, sentence, text, until};

/// The hostile server of the examples.
fn child() -> String {
    let place = everything().with_file_name("child");
    assert!(place.exists(), "run `cargo build --examples` before this test alone");
    place.to_str().expect("a path of ours").to_owned()
}

/// `bystander2` and one more upstream.
fn with(name: &str, command: &[&str], more: &str) -> World {
    let mark = mark();
    let program = everything().to_str().expect("a path of ours");
    let toml = stdio(&mark, "bystander2", &[program], "") + &stdio(&mark, name, command, more);
    World::new(mark, &toml, Vec::new())
}

fn names(client: &mut Client) -> Vec<String> {
    let tools = client.list("tools/list", "tools");
    tools.iter().map(|tool| tool["name"].as_str().expect("a name").to_owned()).collect()
}

fn bystander_serves(client: &mut Client) {
    assert_eq!(text(&client.call("bystander2__echo", json!({"text": "here"}))), "here");
}

/// What a tool's answer says about a failed upstream.
fn told(upstream: &str, answer: &Value) -> String {
    let result = &answer["result"];
    let said = result["content"][0]["text"].as_str().unwrap_or_default();
    sentence(upstream, result["isError"] == true, said)
        .unwrap_or_else(|| panic!("not the sentence: {answer}"))
}

#[test]
fn a_kill_while_its_list_is_read_takes_no_entry_away() {
    let world = with("lister", &[&child(), "lists"], "");
    let mut clients = Era::BOTH.map(|era| world.proxy().client(era, "/mcp"));
    let all = |clients: &mut [Client; 2]| {
        for client in clients {
            let start = Instant::now();
            let names = names(client);
            for name in ["lister__echo", "bystander2__echo"] {
                assert!(names.iter().any(|own| own == name), "{name} is not in {names:?}");
            }
            // From the cache: nobody waits for the upstream that does not answer.
            assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
            bystander_serves(client);
        }
    };
    let [first, _] = &mut clients;
    assert!(names(first).iter().any(|name| name == "lister__echo"));
    // It says that its list changed, is asked for it, and keeps silent.
    assert!(first.call("lister__change", json!({}))["result"].is_object());
    until("its list is read", PATIENCE, || {
        (first.call("lister__report", json!({}))["result"]["lists"] == 2).then_some(())
    });
    all(&mut clients);
    let old = world.server("lister", Place::Direct).expect("it runs");
    kill(old.id);
    all(&mut clients);
    let [first, _] = &mut clients;
    until("it serves again", PATIENCE, || {
        let answer = first.call("lister__echo", json!({"again": 1}));
        if answer["result"]["echo"]["again"] == 1 {
            return Some(());
        }
        told("lister", &answer);
        None
    });
    assert_ne!(world.server("lister", Place::Direct), Some(old));
    all(&mut clients);
    world.stop();
}

#[test]
fn an_idle_process_ends_and_the_next_call_starts_it_again() {
    let program = everything().to_str().expect("a path of ours");
    let world = with("idler", &[program], "idle_stop = \"1s\"");
    for era in Era::BOTH {
        let mut client = world.proxy().client(era, "/mcp");
        assert!(names(&mut client).iter().any(|name| name == "idler__echo"));
        for round in ["one", "two"] {
            let answer = client.call("idler__echo", json!({"text": round}));
            assert_eq!(text(&answer), round);
            until("it has ended", PATIENCE, || world.processes("idler").is_empty().then_some(()));
            // The other one has another idle time.
            assert!(!world.processes("bystander2").is_empty());
        }
    }
    world.stop();
}

#[test]
fn a_missing_program_is_told_and_the_rest_serves() {
    let world = with("ghost", &["/nowhere/ghost", "--serve"], "");
    for era in Era::BOTH {
        let mut client = world.proxy().client(era, "/mcp");
        let names = names(&mut client);
        assert!(names.iter().any(|name| name == "bystander2__echo"), "{names:?}");
        assert!(!names.iter().any(|name| name.starts_with("ghost")), "{names:?}");
        for _ in 0..3 {
            let told = told("ghost", &client.call("ghost__say", json!({})));
            assert!(told.ends_with("was not executed"), "{told}");
            bystander_serves(&mut client);
        }
        let error = &client.request("prompts/get", json!({"name": "ghost__greet"}))["error"];
        let said = error["message"].as_str().unwrap_or_default();
        assert!(error["code"] == -32603 && sentence("ghost", true, said).is_some(), "{error}");
        let mut alone = world.proxy().client(era, "/mcp/ghost");
        assert!(told("ghost", &alone.call("say", json!({}))).ends_with("was not executed"));
    }
    assert!(world.proxy().log().contains("/nowhere/ghost"), "the log does not say what is missing");
    world.stop();
}

/// Starts of one upstream that the proxy has logged.
fn starts(world: &World, upstream: &str) -> usize {
    let log = world.proxy().log();
    log.lines().filter(|l| l.contains("child started") && l.contains(upstream)).count()
}

#[test]
fn one_that_dies_at_each_call_gets_pauses_and_harms_nobody() {
    for tool in ["die", "progress-and-die"] {
        let world = with("dying", &[&child(), "lists"], "");
        // Its params pass as they are, the token too.
        let mut client = world.proxy().client(Era::Legacy, "/mcp");
        assert!(names(&mut client).iter().any(|name| name == "dying__die"));
        let mut seen = Vec::new();
        until("it is given a pause", PATIENCE, || {
            let token = json!({"name": format!("dying__{tool}"), "arguments": {},
                "_meta": {"progressToken": 1}});
            let answer = client.request("tools/call", token);
            seen.push(told("dying", &answer));
            bystander_serves(&mut client);
            seen.last()?.starts_with("has failed repeatedly").then_some(())
        });
        assert!(seen[0].ends_with("may have been executed"), "{seen:?}");
        let before = starts(&world, "dying");
        assert!((3..20).contains(&before), "{before} starts: {seen:?}");
        // Nothing is started while the pause lasts, however many call.
        let told = told("dying", &client.call("dying__echo", json!({})));
        assert!(told.ends_with("was not executed"), "{told}");
        assert_eq!(starts(&world, "dying"), before);
        world.stop();
    }
}
