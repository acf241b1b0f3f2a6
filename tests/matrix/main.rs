//! Every feature in every pair of eras, over every transport: one table. Clients are of the Rust
//! SDK, the upstream is examples/everything.
#![expect(
    deprecated,
    reason = "sampling, roots and logging are what the earlier revisions consist of"
)]

#[expect(clippy::allow_attributes, reason = "which parts are unused differs by test file")]
#[allow(dead_code, unused_imports, reason = "each test file uses its own part of the harness")]
#[path = "../support/mod.rs"]
mod support;

mod client;
mod features;
mod open;
mod sdk;
mod world;

use std::collections::BTreeMap;

use client::{Client, Door};
use features::FEATURES;
use support::{Era, say};
use world::{UPSTREAMS, World, short};

/// What stands in one place of the table.
type Cells = BTreeMap<(usize, String), Result<(), String>>;

#[tokio::test]
async fn every_feature_works_in_every_cell() {
    let mut cells = Cells::new();
    for era in Era::BOTH {
        let world = World::new();
        let columns = UPSTREAMS.iter().map(|upstream| column(&world, era, upstream.name));
        for (name, outcomes) in futures(columns).await {
            for (row, outcome) in outcomes {
                cells.insert((row, name.clone()), outcome);
            }
        }
    }
    let columns: Vec<String> = Era::BOTH
        .iter()
        .flat_map(|era| UPSTREAMS.iter().map(|upstream| title(*era, upstream.name)))
        .collect();
    let (mut wrong, mut open) = (Vec::new(), Vec::new());
    let mut table = format!("| feature | {} |\n", columns.join(" | "));
    table += &format!("|---|{}\n", "---|".repeat(columns.len()));
    for (row, feature) in FEATURES.iter().enumerate() {
        table += &format!("| {} |", feature.name);
        for column in &columns {
            let known = open::is_open(feature.name, column);
            let shown = match (cells.get(&(row, column.clone())), known) {
                (None, _) => "–",
                (Some(Ok(())), false) => "yes",
                (Some(Ok(())), true) => {
                    wrong.push(format!(
                        "{} works for {column} now: take it out of tests/matrix/open.rs",
                        feature.name
                    ));
                    "YES"
                }
                (Some(Err(problem)), true) => {
                    open.push(format!("open: {} for {column}: {problem:.200}", feature.name));
                    "open"
                }
                (Some(Err(problem)), false) => {
                    wrong.push(format!("{} for {column}: {problem}", feature.name));
                    "NO"
                }
            };
            table += &format!(" {shown} |");
        }
        table.push('\n');
    }
    say(&format!("{table}{}", open.join("\n")));
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn title(era: Era, upstream: &str) -> String {
    format!("{} → {upstream}", short(era))
}

/// One column: a client of this era at the door of this upstream.
async fn column(
    world: &World,
    era: Era,
    upstream: &'static str,
) -> (String, Vec<(usize, Result<(), String>)>) {
    let door = Door {
        address: world.proxy.address(),
        path: format!("/mcp/{upstream}"),
        key: world.proxy.key().to_owned(),
    };
    let mut outcomes = Vec::new();
    for (row, feature) in FEATURES.iter().enumerate() {
        if !feature.eras.contains(&era) {
            continue;
        }
        // A client of its own for each, so that a failure spoils nothing else.
        let outcome = match Client::connect(era, &door).await {
            Err(problem) => Err(problem),
            Ok(client) => {
                let limit = client::PATIENCE * 2;
                let outcome = tokio::time::timeout(limit, (feature.run)(&client)).await;
                client.close().await;
                outcome.unwrap_or_else(|_| Err(format!("not done within {limit:?}")))
            }
        };
        outcomes.push((row, outcome));
    }
    (title(era, upstream), outcomes)
}

/// Runs all at once in this thread, which keeps what each client hears in order.
async fn futures<T>(all: impl Iterator<Item = impl Future<Output = T>>) -> Vec<T> {
    let mut running: Vec<_> = all.map(|future| (Box::pin(future), None)).collect();
    std::future::poll_fn(|context| {
        let mut waiting = false;
        for (future, output) in &mut running {
            if output.is_none() {
                match future.as_mut().poll(context) {
                    std::task::Poll::Ready(value) => *output = Some(value),
                    std::task::Poll::Pending => waiting = true,
                }
            }
        }
        if waiting { std::task::Poll::Pending } else { std::task::Poll::Ready(()) }
    })
    .await;
    running.into_iter().filter_map(|(_, output)| output).collect()
}
