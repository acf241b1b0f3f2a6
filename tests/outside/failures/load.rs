//! Callers that never stop calling, and what they got.

use std::{
    collections::BTreeMap,
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread::Scope,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::support::{Client, Era, Proxy, sentence};

/// What became of the calls to one upstream.
#[derive(Debug, Default, Clone)]
pub(crate) struct Tally {
    pub(crate) right: usize,
    /// Answered with the sentence; how often by what happened and whether it may have run.
    pub(crate) told: BTreeMap<String, usize>,
    pub(crate) longest: Duration,
}

/// Calls from many sessions until told to stop.
#[derive(Default)]
pub(crate) struct Load {
    stop: AtomicBool,
    tallies: Mutex<BTreeMap<String, Tally>>,
    wrong: Mutex<Vec<String>>,
}

/// One call and what a right answer to it says.
pub(crate) struct Ask {
    pub(crate) tool: &'static str,
    pub(crate) arguments: Value,
    pub(crate) right: String,
}

/// `echo` and `sleep` by turns, as the example `everything` has them.
pub(crate) fn everything_asks(turn: usize) -> Ask {
    if turn.is_multiple_of(2) {
        let right = format!("turn {turn}");
        Ask { tool: "echo", arguments: json!({"text": right}), right }
    } else {
        let ms = 10 + turn % 50;
        Ask { tool: "sleep", arguments: json!({"ms": ms}), right: format!("slept {ms} ms") }
    }
}

/// Stops the load when its thread panics, so that the test ends.
struct Guard<'a>(&'a Load);

impl Drop for Guard<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.stop();
        }
    }
}

impl Load {
    pub(crate) fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    pub(crate) fn tally(&self, upstream: &str) -> Tally {
        self.tallies.lock().expect("no holder panics").get(upstream).cloned().unwrap_or_default()
    }

    /// What was neither a right answer nor a failure told rightly.
    pub(crate) fn wrong(&self) -> Vec<String> {
        self.wrong.lock().expect("no holder panics").clone()
    }

    /// Starts a session of this era that calls these upstreams one after the other.
    pub(crate) fn call<'s>(
        &'s self,
        scope: &'s Scope<'s, '_>,
        proxy: &'s Proxy,
        era: Era,
        upstreams: &'s [&'s str],
        asks: fn(usize) -> Ask,
    ) {
        scope.spawn(move || {
            let _guard = Guard(self);
            let mut client = proxy.client(era, "/mcp");
            for turn in 0.. {
                for upstream in upstreams {
                    if self.is_stopped() {
                        return;
                    }
                    self.ask(&mut client, upstream, asks(turn));
                }
            }
        });
    }

    /// Runs `work` as a part of the load: when it panics, all stop.
    pub(crate) fn guarded<T>(&self, work: impl FnOnce() -> T) -> T {
        let _guard = Guard(self);
        work()
    }

    /// One call; true when its answer is right.
    pub(crate) fn ask(&self, client: &mut Client, upstream: &str, ask: Ask) -> bool {
        let start = Instant::now();
        // A broken connection, or no answer for half a minute, fails the test right here.
        let answer = client.call(&format!("{upstream}__{}", ask.tool), ask.arguments);
        let took = start.elapsed();
        let result = &answer["result"];
        let said = result["content"][0]["text"].as_str().unwrap_or_default();
        let right = result["isError"] != true && said == ask.right;
        let mut tallies = self.tallies.lock().expect("no holder panics");
        let tally = tallies.entry(upstream.to_owned()).or_default();
        tally.longest = tally.longest.max(took);
        if right {
            tally.right += 1;
        } else if let Some(what) = sentence(upstream, result["isError"] == true, said) {
            *tally.told.entry(what).or_default() += 1;
        } else if ask.tool == "sleep" && said == "cancelled" {
            // When its wrapper falls, the server itself is asked to end, and says so.
            *tally.told.entry("the server's own word".to_owned()).or_default() += 1;
        } else {
            self.wrong.lock().expect("no holder panics").push(format!("{upstream}: {answer}"));
        }
        right
    }
}
