//! Every client at every server, with every kind of question, at the common door and at each
//! upstream's own.

use serde_json::{Value, json};

use crate::kinds::{Case, KINDS};
use crate::lacks::{CANNOT_ASK, CANNOT_LEAVE, lack};
use crate::rust;
use crate::support::{Peers, say};
use crate::world::{CLIENTS, UPSTREAMS, World};

/// What one client did at the common door, and at the door of one upstream.
struct Column {
    client: String,
    cells: Vec<(&'static str, Vec<Option<String>>)>,
}

/// The plan of a client: all kinds at these upstreams.
fn plan(client: &str, upstreams: &[&'static str], common: bool) -> Value {
    let steps = upstreams.iter().flat_map(|upstream| {
        KINDS.iter().enumerate().map(move |(number, kind)| {
            let tool =
                if common { format!("{upstream}__{}", kind.tool) } else { kind.tool.to_owned() };
            kind.step(&tool, &tag(client, upstream, number, common))
        })
    });
    steps.collect()
}

fn tag(client: &str, upstream: &str, kind: usize, common: bool) -> String {
    let door = if common { "all" } else { "own" };
    format!("{client}-{upstream}-{kind}-{door}").replace(' ', "-")
}

/// What is wrong with each kind at each of these upstreams.
fn judged(
    client: &str,
    upstreams: &[&'static str],
    common: bool,
    steps: &[Value],
) -> Vec<(&'static str, Vec<Option<String>>)> {
    let of_each = upstreams.iter().zip(steps.chunks(KINDS.len()));
    let judged = of_each.map(|(upstream, steps)| {
        let kinds = KINDS.iter().enumerate().zip(steps);
        let wrong = kinds.map(|((number, kind), outcome)| {
            if lack(CANNOT_ASK, upstream).is_some() {
                let asked = outcome["asked"].as_array().is_some_and(|asked| !asked.is_empty());
                return asked.then(|| "asks after all: take it out of `lacks`".to_owned());
            }
            let tag = tag(client, upstream, number, common);
            let wrong = kind.wrong(&Case { upstream, tag: &tag }, outcome)?;
            Some(format!("{client}, {upstream}, {}, {tag}: {wrong:.600}", kind.name))
        });
        (*upstream, wrong.collect())
    });
    judged.collect()
}

/// Runs a client at the common door with every upstream, and at the upstreams' own doors of `own`.
fn column(own: &[usize], client: &str, run: impl Fn(Option<&str>, &Value) -> Value) -> Column {
    let all: Vec<&'static str> = UPSTREAMS.iter().map(|upstream| upstream.name).collect();
    let mut rounds = vec![(None, all.clone())];
    rounds.extend(own.iter().map(|number| (Some(all[*number]), vec![all[*number]])));
    let mut cells = Vec::new();
    for (door, upstreams) in rounds {
        let common = door.is_none();
        let report = run(door, &plan(client, &upstreams, common));
        let steps = report["steps"].as_array().unwrap_or_else(|| panic!("{client}: {report}"));
        cells.extend(judged(client, &upstreams, common, steps));
    }
    Column { client: client.to_owned(), cells }
}

fn table(columns: &[Column]) -> String {
    let names: Vec<&str> = columns.iter().map(|column| column.client.as_str()).collect();
    let mut table =
        format!("| server | {} |\n|---|{}\n", names.join(" | "), "---|".repeat(names.len()));
    for upstream in &UPSTREAMS {
        table += &format!("| {} |", upstream.name);
        for column in columns {
            let of_it = column.cells.iter().filter(|(name, _)| *name == upstream.name);
            let all: Vec<&Option<String>> = of_it.flat_map(|(_, wrong)| wrong).collect();
            let good = all.iter().filter(|wrong| wrong.is_none()).count();
            let shown = match lack(CANNOT_ASK, upstream.name) {
                Some(_) => "–".to_owned(),
                None => format!("{good}/{}", all.len()),
            };
            table += &format!(" {shown} |");
        }
        table.push('\n');
    }
    let kinds: Vec<&str> = KINDS.iter().map(|kind| kind.name).collect();
    table += &format!("each of: {}\n", kinds.join(", "));
    for (name, reason) in CANNOT_ASK.iter().chain(CANNOT_LEAVE) {
        table += &format!("not offered: {name}: {reason}\n");
    }
    table
}

#[test]
fn every_question_of_every_sdk_reaches_every_sdk_once() {
    let Some(peers) = Peers::installed() else { return };
    let world = World::new(peers, &UPSTREAMS.map(|upstream| upstream.name), "", &[]);
    let mut columns = Vec::new();
    for (number, (client, era, modern)) in CLIENTS.iter().enumerate() {
        columns.push(column(&[number], &format!("{client} {era}"), |upstream, plan| {
            let report = peers.run(client, era, &world.door(upstream), world.proxy.key(), plan);
            let revision = if *modern { "2026-07-28" } else { "2025-11-25" };
            assert_eq!(report["protocol"], json!(revision), "{client} {era}");
            report
        }));
    }
    // These take the doors that the clients above have left out.
    for (modern, own) in [(false, [8, 9]), (true, [10, 11])] {
        let era = if modern { "2026-07-28" } else { "legacy" };
        columns.push(column(&own, &format!("rust {era}"), |upstream, plan| {
            rust::run(&world.door(upstream), world.proxy.key(), modern, plan)
        }));
    }
    say(&table(&columns));
    let wrong: Vec<&String> = columns
        .iter()
        .flat_map(|column| &column.cells)
        .flat_map(|(_, wrong)| wrong.iter().flatten())
        .collect();
    assert!(
        wrong.is_empty(),
        "{} wrong:\n{}",
        wrong.len(),
        wrong.iter().map(|w| w.as_str()).collect::<Vec<_>>().join("\n")
    );
}
