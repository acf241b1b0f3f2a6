//! Calls that their clients give up between two rounds: the upstream is told, and nothing is left.

use std::time::Duration;

use serde_json::{Value, json};

use crate::kinds::{Case, KINDS, accepted};
use crate::lacks::{CANNOT_LEAVE, lack};
use crate::rust;
use crate::support::{Client, Era, Peers, until};
use crate::world::{UPSTREAMS, World};

/// Longest wait for what has to happen.
const PATIENCE: Duration = Duration::from_secs(60);

/// How a client goes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Leave {
    Cancel,
    Die,
}

/// A client that goes, with a tenant of its own: on a pipe that others share, whoever has given up a
/// call keeps others from being asked for a while.
struct Scene {
    tenant: &'static str,
    client: &'static str,
    era: &'static str,
    leave: Leave,
    upstreams: &'static [&'static str],
}

impl Scene {
    fn tag(&self, upstream: &str) -> String {
        format!("{}-{upstream}", self.tenant)
    }

    fn key(&self) -> String {
        World::key(self.tenant)
    }

    fn reader(&self, world: &World) -> Client {
        Client::connect(Era::Modern, world.proxy.address(), "/mcp", Some(self.key().as_str()))
    }

    /// Waits until each upstream answers: from then on, the time of a call counts.
    fn is_ready(&self, world: &World) {
        let mut reader = self.reader(world);
        for upstream in self.upstreams {
            until(&format!("{upstream} answers"), PATIENCE, || record(&mut reader, upstream));
        }
    }

    /// Goes away while it is asked, at each of its upstreams.
    fn play(&self, peers: &Peers, world: &World) {
        let give_up = |upstream: &str, leave: &str| {
            json!({"call": format!("{upstream}__slow_ask"), "arguments": {"tag": self.tag(upstream)},
                "say": {"elicitation/create": accepted("nobody")}, "leave": leave})
        };
        let (door, key) = (world.door(None), self.key());
        if self.leave == Leave::Die {
            for upstream in self.upstreams {
                peers.die(self.client, self.era, &door, &key, &json!([give_up(upstream, "die")]));
            }
            return;
        }
        // Right after it, the same client is asked again, and only what it is asked then.
        let form = &KINDS[0];
        let mut plan: Vec<Value> = Vec::new();
        for upstream in self.upstreams {
            plan.push(give_up(upstream, "cancel"));
            plan.push(form.step(&format!("{upstream}__{}", form.tool), "next"));
        }
        let report = peers.run(self.client, self.era, &door, &key, &json!(plan));
        for (number, upstream) in self.upstreams.iter().enumerate() {
            let (given_up, next) = (&report["steps"][2 * number], &report["steps"][2 * number + 1]);
            let case = format!("{}, {upstream}", self.tenant);
            assert_eq!(given_up["ok"], false, "{case}: {given_up}");
            assert_eq!(given_up["asked"].as_array().map(Vec::len), Some(1), "{case}: {given_up}");
            let wrong = form.wrong(&Case { upstream, tag: "next" }, next);
            assert!(wrong.is_none(), "{case}: {wrong:?}");
        }
    }

    /// Waits until each upstream has noted the end of its call. What a modern one was asked is over
    /// with the question, and it must not hear of it again.
    fn is_noted(&self, world: &World) {
        let mut reader = self.reader(world);
        for upstream in UPSTREAMS.iter().filter(|one| self.upstreams.contains(&one.name)) {
            let (name, tag) = (upstream.name, self.tag(upstream.name));
            let record = until(&format!("{tag} is noted"), PATIENCE, || {
                let record = record(&mut reader, name)?;
                (upstream.modern || count(&record["cancelled"], &tag) > 0).then_some(record)
            });
            let counts = ["asked", "cancelled", "answered"].map(|of| count(&record[of], &tag));
            assert_eq!(counts, [1, usize::from(!upstream.modern), 0], "{tag}: {record}");
        }
    }

    /// Waits until a client that has just come is asked at each upstream, as the first one was.
    fn is_forgotten(&self, world: &World) {
        let (form, door, key) = (&KINDS[0], world.door(None), self.key());
        for upstream in self.upstreams {
            let step = form.step(&format!("{upstream}__{}", form.tool), "later");
            until(&format!("{upstream} asks anew, {}", self.tenant), PATIENCE, || {
                let report = rust::run(&door, &key, false, &json!([step]));
                form.wrong(&Case { upstream, tag: "later" }, &report["steps"][0])
                    .is_none()
                    .then_some(())
            });
        }
    }
}

/// What an upstream has noted; `None` when it does not answer.
fn record(reader: &mut Client, upstream: &str) -> Option<Value> {
    let answer = reader.call(&format!("{upstream}__record"), json!({"tag": ""}));
    serde_json::from_str(answer["result"]["content"][0]["text"].as_str()?).ok()
}

fn count(list: &Value, tag: &str) -> usize {
    list.as_array().map_or(0, |tags| tags.iter().filter(|one| **one == tag).count())
}

fn played(scenes: &[Scene], upstreams: &[&str], more: &str) -> Option<World> {
    let peers = Peers::installed()?;
    let tenants: Vec<&str> = scenes.iter().map(|scene| scene.tenant).collect();
    let world = World::new(peers, upstreams, more, &tenants);
    std::thread::scope(|scope| {
        for scene in scenes {
            let world = &world;
            scope.spawn(move || {
                scene.is_ready(world);
                scene.play(peers, world);
                scene.is_noted(world);
            });
        }
    });
    Some(world)
}

#[test]
fn a_client_that_cancels_its_call_ends_it_at_the_upstream() {
    // Nothing else ends these calls in the time of this test.
    let upstreams = &["py1-pipe", "ts1-web", "py2-web-old", "ts2-web", "py2-web"];
    let scene = |tenant, client| {
        assert!(lack(CANNOT_LEAVE, client).is_none(), "{client} cannot");
        Scene { tenant, client, era: "legacy", leave: Leave::Cancel, upstreams }
    };
    played(&[scene("ts1", "ts1"), scene("ts2", "ts2"), scene("py2", "py2")], upstreams, "");
}

#[test]
fn a_call_whose_client_has_gone_ends_at_the_upstream_and_nothing_is_left() {
    // A modern client that gives up just does not come back, and one that is killed says nothing.
    let (modern, legacy) = ("2026-07-28", "legacy");
    let all = &["ts2-pipe-old", "ts1-web", "py1-web", "py2-web-old", "py2-web"];
    let scene = |client, era, leave, upstreams| {
        let tenant = match (leave, client) {
            (Leave::Cancel, _) => client,
            (Leave::Die, "ts1") => "ts1dies",
            (Leave::Die, "ts2") => "ts2dies",
            (Leave::Die, "py1") => "py1dies",
            (Leave::Die, _) => "py2dies",
        };
        Scene { tenant, client, era, leave, upstreams }
    };
    let scenes = [
        scene("ts2", modern, Leave::Cancel, all),
        scene("py2", modern, Leave::Cancel, all),
        scene("ts2", modern, Leave::Die, &["ts2-pipe-old", "py1-web", "py2-web"]),
        scene("py2", modern, Leave::Die, &["ts1-web", "py2-web-old"]),
        scene("ts1", legacy, Leave::Die, &["ts2-pipe-old", "py2-web-old", "py2-web"]),
        scene("py1", legacy, Leave::Die, &["ts2-pipe-old", "py1-web"]),
    ];
    let Some(world) = played(&scenes, all, "max_time = \"5s\"\n") else { return };
    for scene in &scenes {
        scene.is_forgotten(&world);
    }
}
