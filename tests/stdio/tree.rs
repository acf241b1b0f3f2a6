//! Nothing that a child started outlives it, whoever is killed.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use mcp_proxy::base::now;
use mcp_proxy::upstream::stdio::ChildSpec;
use mcp_proxy::upstream::{Cause, Link};

use super::bed::{Bed, call, children, example, kill, marked, until};

/// The child started by a shell that stays, as npx does.
fn wrapped(bed: &Bed, modes: &[&str]) -> ChildSpec {
    let mut spec = bed.spec(modes);
    let inner = spec.command.join(" ");
    spec.command = vec!["sh".to_owned(), "-c".to_owned(), format!("{inner}; exit $?")];
    spec
}

#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_kills_leave_nothing() {
    let bed = Bed::new();
    for round in 0..200 {
        let spec = match round % 4 {
            0 => bed.spec(&["grandchild"]),
            1 => wrapped(&bed, &["grandchild"]),
            2 => wrapped(&bed, &[]),
            _ => bed.spec(&[]),
        };
        let link = bed.open_spec(spec).await.unwrap();
        let report = call(&link, "report", "{}").await.unwrap();
        let server = u32::try_from(report["pid"].as_u64().unwrap()).unwrap();
        let held = tokio::spawn({
            let link = Arc::clone(&link);
            async move { call(&link, "hold", "{}").await }
        });
        call(&link, "echo", "{}").await.unwrap();
        let start = now();
        match round % 3 {
            // The server itself, what the proxy started, or what guards it.
            0 => kill(server),
            1 => children(link.guardian()).into_iter().for_each(kill),
            _ => kill(link.guardian()),
        }
        assert_eq!(held.await.unwrap().unwrap_err().cause, Cause::Gone);
        assert!(start.elapsed() < Duration::from_secs(3), "{:?}", start.elapsed());
        link.close().await;
        assert_eq!(bed.left(), Vec::<u32>::new(), "round {round}");
    }
}

#[tokio::test]
async fn closing_ends_what_hides_behind_setsid() {
    let bed = Bed::new();
    let link = bed.open_spec(wrapped(&bed, &["grandchild"])).await.unwrap();
    call(&link, "echo", "{}").await.unwrap();
    // Guardian, shell, server and the sleeper.
    until("all four run", || bed.left().len() == 4).await;
    let start = now();
    link.close().await;
    assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
    assert!(bed.left().is_empty());
}

#[tokio::test]
async fn a_child_that_ignores_its_orders_is_killed() {
    let bed = Bed::new();
    let mut spec = bed.spec(&["stubborn", "grandchild"]);
    // An ignored signal stays ignored in what the shell becomes.
    let inner = format!("trap '' TERM HUP INT; exec {}", spec.command.join(" "));
    spec.command = vec!["sh".to_owned(), "-c".to_owned(), inner];
    let link = bed.open_spec(spec).await.unwrap();
    let start = now();
    link.close().await;
    assert!(bed.left().is_empty());
    assert!(start.elapsed() < Duration::from_secs(7), "{:?}", start.elapsed());
}

#[tokio::test]
async fn dropping_the_link_or_ending_the_tasks_is_enough() {
    let bed = Bed::new();
    drop(bed.open(&["grandchild"]).await);
    bed.nothing_is_left().await;
    let link = bed.open(&["grandchild"]).await;
    assert!(bed.tasks.finish(Duration::from_secs(7)).await);
    assert!(bed.left().is_empty());
    assert_eq!(call(&link, "echo", "{}").await.unwrap_err().cause, Cause::Closing);
}

#[test]
fn dropping_the_runtime_is_enough() {
    let bed = Bed::new();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let link = runtime.block_on(bed.open(&["grandchild"]));
    drop(runtime);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(bed.nothing_is_left());
    drop(link);
}

#[tokio::test]
async fn a_killed_proxy_leaves_nothing() {
    for modes in [&["grandchild"][..], &["grandchild", "stubborn"], &["modern"]] {
        let bed = Bed::new();
        let spec = wrapped(&bed, modes);
        let mut keeper = Command::new(example("keeper"))
            .args([env!("CARGO_BIN_EXE_mcp-proxy"), &bed.mark])
            .args(&spec.command)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(keeper.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line, "ready\n");
        assert!(marked(&bed.mark).len() >= 3);
        keeper.kill().unwrap();
        keeper.wait().unwrap();
        bed.nothing_is_left().await;
    }
}

/// A number of `/proc/PID/status`.
fn status(pid: u32, name: &str) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap();
    line.trim_start_matches(':').split_whitespace().next().unwrap().parse().unwrap()
}

#[tokio::test]
async fn the_guardian_sleeps_while_messages_pass() {
    let bed = Bed::new();
    let link = bed.open(&[]).await;
    let before = status(link.guardian(), "voluntary_ctxt_switches");
    for _ in 0..500 {
        call(&link, "echo", "{}").await.unwrap();
    }
    assert!(status(link.guardian(), "voluntary_ctxt_switches") - before < 5);
    let kib = status(link.guardian(), "RssAnon");
    assert!(kib < 3_072, "{kib} KiB");
}
