//! Sixty-four clients at once, of several tenants, through an upstream of the other era: list
//! changes, resource updates, progress and logs reach whom they are for, each once, in order.

#[expect(clippy::allow_attributes, reason = "which parts are unused differs by test file")]
#[allow(dead_code, unused_imports, reason = "each test file uses its own part of the harness")]
#[path = "../support/mod.rs"]
mod support;

mod listener;
mod source;

use std::{sync::Arc, time::Duration};

use listener::{Heard, Listener};
use source::Source;
use support::{Era, Setup};
use tokio::task::JoinSet;

const TENANTS: usize = 8;
const CLIENTS: usize = 64;
/// Progress and log messages of each call, one hundred a second.
const STEPS: usize = 100;
const PACE: Duration = Duration::from_millis(10);
/// Changes of the list, and updates of each resource.
const ROUNDS: usize = 10;
/// Longest wait for anything.
const PATIENCE: Duration = Duration::from_secs(60);

async fn crowd(clients: Era, upstream: Era) {
    let source = Source::start(upstream, CLIENTS).await;
    let mut setup = Setup::new();
    let mut toml = format!("[upstreams.up]\nurl = \"http://{}/mcp\"\n", source.address());
    let key = |tenant: usize| format!("the-key-of-tenant-{tenant}-which-is-long-enough");
    for tenant in 0..TENANTS {
        toml += &format!(
            "[tenants.t{tenant}]\nkeys = [{{ name = \"k\", env = \"CROWD_KEY_{tenant}\" }}]\n"
        );
        setup = setup.env(&format!("CROWD_KEY_{tenant}"), &key(tenant));
    }
    let proxy = setup.config(&toml).serve();

    let mut opening = JoinSet::new();
    for number in 0..CLIENTS {
        let (address, key) = (proxy.address(), key(number % TENANTS));
        let source = Arc::clone(&source);
        opening.spawn(async move {
            let listener = Listener::open(clients, address, key, number).await;
            // What was promised is heard from now on, though others are still subscribing. (While
            // an upstream's stream is replaced by one for more, news may come on both.)
            source.updated(&source::own(number));
            listener
                .until("its first update", PATIENCE, |heard| heard.is_told(&source::own(number)))
                .await;
            listener
        });
    }
    let mut all: Vec<Arc<Listener>> = opening.join_all().await.into_iter().map(Arc::new).collect();
    all.sort_by_key(|listener| listener.number());

    // What was told until now may still be on its way.
    let before = source.updated(source::SHARED);
    for listener in &all {
        let shared = |heard: &Heard| heard.is_told(source::SHARED);
        listener.until("the shared update", PATIENCE, shared).await;
        listener.forget();
    }

    let mut calling = JoinSet::new();
    for listener in &all {
        let listener = Arc::clone(listener);
        calling.spawn(async move { listener.call(STEPS, PACE).await });
    }
    for round in 1..=ROUNDS {
        for number in 0..CLIENTS {
            source.updated(&source::own(number));
        }
        source.updated(source::SHARED);
        source.list_changed();
        // Changes that follow each other at once may be told as one: that is what lists are for.
        for listener in &all {
            listener.until("a list change", PATIENCE, |heard| heard.changes >= round).await;
        }
    }
    let calls = calling.join_all().await;
    for listener in &all {
        let enough = |heard: &Heard| heard.after(before).count() >= 2 * ROUNDS;
        listener.until("all updates", PATIENCE, enough).await;
    }

    let mut wrong = Vec::new();
    for problems in calls {
        wrong.extend(problems);
    }
    for listener in &all {
        let heard = listener.heard();
        let own = source::own(listener.number());
        let count = |uri: &str| heard.after(before).filter(|(_, heard)| heard == uri).count();
        let (mine, shared) = (count(&own), count(source::SHARED));
        let updates = heard.after(before).count();
        let ordered = heard.updates.is_sorted_by(|one, next| one.0 < next.0);
        if (mine, shared, updates, heard.changes, ordered)
            != (ROUNDS, ROUNDS, 2 * ROUNDS, ROUNDS, true)
        {
            wrong.push(format!(
                "client {}: {mine} updates of its own, {shared} of the shared resource, {updates} in all, {} list changes, in order: {ordered}",
                listener.number(),
                heard.changes
            ));
        }
        wrong.extend(
            heard.others.iter().map(|other| format!("client {}: {other}", listener.number())),
        );
    }
    assert!(
        wrong.is_empty(),
        "{} problems:\n{}",
        wrong.len(),
        wrong[..wrong.len().min(20)].join("\n")
    );
}

#[tokio::test]
async fn legacy_clients_hear_everything_of_a_modern_upstream() {
    crowd(Era::Legacy, Era::Modern).await;
}

#[tokio::test]
async fn modern_clients_hear_everything_of_a_legacy_upstream() {
    crowd(Era::Modern, Era::Legacy).await;
}
