//! Upstreams killed under load, two hundred times, and the proxy itself.

use std::{
    thread,
    time::{Duration, Instant},
};

use serde_json::json;

use super::{
    load::{Ask, Load, everything_asks},
    world::{PATIENCE, Place, World, kill, mark, stdio},
};
use crate::support::{Client, Era, Peers, Raw, everything, found, post, say, until};

const VICTIMS: [(&str, Place); 3] =
    [("victim", Place::Direct), ("wrapped", Place::Wrapped), ("forker", Place::Direct)];
const BYSTANDERS: [&str; 2] = ["bystander", "bystander2"];
const ALL: [&str; 5] = ["victim", "wrapped", "forker", "bystander", "bystander2"];
/// Whom each kill of a wrapped one takes: its server (0), its shell (1), its guardian (2).
const ABOVE: [usize; 6] = [0, 1, 0, 0, 2, 0];
/// An upstream that worked is to be back soon, in a debug build on a busy machine too; and long
/// before the pauses of a crash loop would let it.
const BACK: Duration = Duration::from_secs(15);

/// Kills an upstream's server so often, each time as soon as it serves again; gives how long it
/// was away at most.
fn murder(
    world: &World,
    load: &Load,
    (upstream, place): (&str, Place),
    times: usize,
    asks: fn(usize) -> Ask,
) -> Duration {
    let mut client = world.proxy().client(Era::Legacy, "/mcp");
    let mut longest = Duration::ZERO;
    let mut last = None;
    let mut since = Instant::now();
    let served = |client: &mut Client, last: Option<u32>| {
        let patience = if last.is_some() { BACK } else { PATIENCE };
        until(&format!("{upstream} serves again"), patience, || {
            assert!(!load.is_stopped(), "another part of the test has failed");
            let before = world.server(upstream, place).filter(|found| last != Some(found.id))?;
            let right = load.ask(client, upstream, asks(0));
            (right && world.server(upstream, place) == Some(before)).then_some(before)
        })
    };
    for time in 0..times {
        let server = served(&mut client, last);
        if time > 0 {
            longest = longest.max(since.elapsed());
        }
        if upstream == "forker" {
            // What it starts hides in a session of its own; it must go as well.
            let answer = client.call("forker__spawn_grandchild", json!({}));
            assert!(answer["result"]["isError"] != true, "{answer}");
        }
        last = Some(server.id);
        since = Instant::now();
        let generations = if place == Place::Wrapped { ABOVE[time % ABOVE.len()] } else { 0 };
        let doomed = (0..generations).fold(server.id, |id, _| world.parent(id).unwrap_or(id));
        kill(doomed);
    }
    served(&mut client, last);
    longest.max(since.elapsed())
}

/// Kills each victim so often while sessions of both eras call everything.
fn massacre(world: &World, load: &Load, times: [usize; 3]) -> Duration {
    // All of them are up and listed before the first one falls.
    world.proxy().client(Era::Modern, "/mcp").list("tools/list", "tools");
    thread::scope(|scope| {
        for era in Era::BOTH {
            for upstream in &ALL {
                load.call(
                    scope,
                    world.proxy(),
                    era,
                    std::slice::from_ref(upstream),
                    everything_asks,
                );
            }
            load.call(scope, world.proxy(), era, &ALL, everything_asks);
        }
        let killers: Vec<_> = VICTIMS
            .into_iter()
            .zip(times)
            .map(|(victim, times)| {
                scope.spawn(move || {
                    load.guarded(|| murder(world, load, victim, times, everything_asks))
                })
            })
            .collect();
        let away = killers.into_iter().map(|killer| killer.join());
        let away: Vec<_> = away.collect();
        load.stop();
        away.into_iter().map(|away| away.expect("told above")).max().unwrap_or_default()
    })
}

fn judge(load: &Load, kills: usize, away: Duration, began: Instant) {
    let mut lines = vec![format!(
        "{kills} kills in {:.1?}, an upstream was away for at most {away:.2?}",
        began.elapsed()
    )];
    for upstream in ALL {
        let tally = load.tally(upstream);
        lines.push(format!(
            "{upstream}: {} right, longest {:.2?}, told {:?}",
            tally.right, tally.longest, tally.told
        ));
    }
    say(&lines.join("\n"));
    assert_eq!(load.wrong(), Vec::<String>::new());
    for bystander in BYSTANDERS {
        let tally = load.tally(bystander);
        assert!(tally.told.is_empty() && tally.right > kills, "{bystander}: {tally:?}");
    }
}

#[test]
fn two_hundred_kills_cost_only_the_calls_in_flight_and_leave_nothing() {
    let (world, load, began) = (World::five(), Load::default(), Instant::now());
    // Of the hundred in the middle, 67 take the server and 33 what stands above it.
    let away = massacre(&world, &load, [67, 100, 66]);
    judge(&load, 233, away, began);
    for (victim, _) in VICTIMS {
        let tally = load.tally(victim);
        // Calls were in flight when it fell, and are told that they may have run.
        let may = tally.told.keys().any(|told| told.ends_with("may have been executed"));
        assert!(may && tally.right > 0, "{victim}: {tally:?}");
    }
    // Each upstream's own processes, and no more grandchildren than one.
    until("only what serves is there", PATIENCE, || {
        let count = |upstream: &str| world.processes(upstream).len();
        let (victim, wrapped, forker) = (count("victim"), count("wrapped"), count("forker"));
        (victim == 1 && wrapped == 2 && forker == 1 && count("bystander2") == 1).then_some(())
    });
    world.stop();
}

#[test]
fn a_killed_proxy_leaves_nothing_of_any_upstream() {
    let (world, load, began) = (World::five(), Load::default(), Instant::now());
    let away = massacre(&world, &load, [4, 4, 4]);
    judge(&load, 12, away, began);
    let mut client = world.proxy().client(Era::Modern, "/mcp");
    let answer = client.call("forker__spawn_grandchild", json!({}));
    assert!(answer["result"]["isError"] != true, "{answer}");
    assert_eq!(world.processes("forker").len(), 2);
    // Calls are in flight at each of them when the proxy falls.
    let waiting: Vec<Raw> = ALL
        .iter()
        .flat_map(|upstream| [begin(&world, upstream), begin(&world, upstream)])
        .collect();
    world.kill();
    for mut call in waiting {
        assert!(call.closes_within(PATIENCE));
    }
}

/// A call that sleeps for long, after its first progress has come.
fn begin(world: &World, upstream: &str) -> Raw {
    let mut params = Era::Modern
        .params(json!({"name": format!("{upstream}__sleep"), "arguments": {"ms": 600_000}}));
    params["_meta"]["progressToken"] = json!("p");
    let body = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params});
    let mut headers = Era::Modern.headers("tools/call", &params);
    headers.push(("Authorization", format!("Bearer {}", world.proxy().key())));
    let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let mut raw = Raw::connect(world.proxy().address());
    let address = world.proxy().address();
    raw.send(&post(address, "/mcp", &headers, body.to_string().as_bytes()))
        .expect("the proxy listens");
    let head = raw.head().expect("the call has begun");
    assert_eq!(head.header("content-type"), Some("text/event-stream"));
    raw
}

/// As the reference server has it.
fn reference_asks(turn: usize) -> Ask {
    if turn.is_multiple_of(2) {
        let message = format!("turn {turn}");
        let right = format!("Echo: {message}");
        Ask { tool: "echo", arguments: json!({"message": message}), right }
    } else {
        let right = "Long running operation completed. Duration: 1 seconds, Steps: 2.".to_owned();
        let arguments = json!({"duration": 1, "steps": 2});
        Ask { tool: "trigger-long-running-operation", arguments, right }
    }
}

#[test]
fn what_npx_started_is_killed_and_comes_back() {
    murder_npx(10);
}

#[test]
#[ignore = "takes six minutes: each start of npx takes almost two seconds"]
fn what_npx_started_is_killed_two_hundred_times() {
    murder_npx(200);
}

fn murder_npx(kills: usize) {
    let Some(peers) = Peers::installed().filter(|_| found(&["npx"])) else { return };
    let mark = mark();
    let server = peers.npm("mcp-server-everything");
    // npx looks for the program from its folder upwards and asks no registry.
    let home = server.ancestors().nth(3).expect("…/node_modules/.bin/PROGRAM");
    let npx = ["npx", "--no-install", "mcp-server-everything", "stdio"];
    let program = everything().to_str().expect("a path of ours");
    let toml = [
        stdio(&mark, "npx", &npx, &format!("cwd = {home:?}")),
        stdio(&mark, "bystander2", &[program], ""),
    ];
    let world = World::new(mark, &toml.concat(), Vec::new());
    let (load, began) = (Load::default(), Instant::now());
    world.proxy().client(Era::Legacy, "/mcp").list("tools/list", "tools");
    let away = thread::scope(|scope| {
        for era in Era::BOTH {
            load.call(scope, world.proxy(), era, &["npx"], reference_asks);
            load.call(scope, world.proxy(), era, &["bystander2"], everything_asks);
        }
        let killed =
            load.guarded(|| murder(&world, &load, ("npx", Place::Last), kills, reference_asks));
        load.stop();
        killed
    });
    let (victim, bystander) = (load.tally("npx"), load.tally("bystander2"));
    say(&format!(
        "npx: {kills} kills in {:.1?}, away for at most {away:.2?}, {} right, told {:?}; bystander: {} right",
        began.elapsed(),
        victim.right,
        victim.told,
        bystander.right
    ));
    assert_eq!(load.wrong(), Vec::<String>::new());
    assert!(!victim.told.is_empty() && bystander.told.is_empty() && bystander.right > 0);
    world.stop();
}
