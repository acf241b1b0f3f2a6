//! Starting, and finding out how a child speaks.

use std::time::Duration;

use mcp_proxy::base::now;
use mcp_proxy::config::{EraSetting, ProcessLimits};
use mcp_proxy::upstream::{Cause, Event, Link, Ran};
use mcp_proxy::wire::{Era, Revision};

use super::bed::{Bed, call};

#[tokio::test]
async fn both_eras_are_found() {
    let bed = Bed::new();
    for (modes, revision) in
        [(&[][..], Revision::LATEST_LEGACY), (&["modern"], Revision::LATEST_MODERN)]
    {
        let link = bed.open(modes).await;
        assert_eq!(link.facts().revision, revision);
        assert!(link.facts().announces("tools"));
        assert_eq!(call(&link, "echo", "{\"a\":1}").await.unwrap()["echo"]["a"], 1);
        link.close().await;
        assert!(!link.is_open());
        assert!(bed.left().is_empty());
    }
}

#[tokio::test]
async fn a_server_that_ends_at_the_probe_is_started_again_and_remembered() {
    let bed = Bed::new();
    let spec = bed.spec(&["exits-on-discover"]);
    for _ in 0..2 {
        let link = bed.open_spec(spec.clone()).await.unwrap();
        assert_eq!(link.facts().era, Era::Legacy);
        call(&link, "echo", "{}").await.unwrap();
        link.close().await;
    }
    // Each link has ended once; the child that the probe ended was no link.
    assert_eq!(spec.memory.get(), Some(Era::Legacy));
    assert_eq!(bed.count(|event| matches!(event, Event::Gone)), 2);
}

#[tokio::test]
async fn a_server_that_is_silent_about_the_probe_is_legacy() {
    let bed = Bed::new();
    let mut spec = bed.spec(&["silent-probe"]);
    spec.start = Duration::from_secs(4);
    let link = bed.open_spec(spec).await.unwrap();
    assert_eq!(link.facts().era, Era::Legacy);
}

#[tokio::test]
async fn a_modern_server_that_answers_the_probe_late_is_modern() {
    let bed = Bed::new();
    let mut spec = bed.spec(&["modern", "slow-start"]);
    spec.start = Duration::from_secs(6);
    let link = bed.open_spec(spec).await.unwrap();
    assert_eq!(link.facts().era, Era::Modern);
    call(&link, "echo", "{}").await.unwrap();
}

#[tokio::test]
async fn the_setting_decides_without_a_probe() {
    let bed = Bed::new();
    let mut spec = bed.spec(&["exits-on-discover"]);
    spec.era = EraSetting::Legacy;
    bed.open_spec(spec).await.unwrap();
    let mut spec = bed.spec(&[]);
    spec.era = EraSetting::Modern;
    let error = bed.open_spec(spec).await.unwrap_err();
    assert!(error.detail.contains("era = \"modern\""), "{error}");
    bed.tasks.finish(Duration::from_secs(7)).await;
    bed.nothing_is_left().await;
}

#[tokio::test]
async fn lines_that_are_no_messages_do_no_harm() {
    let bed = Bed::new();
    let link = bed.open(&["garbage"]).await;
    assert_eq!(call(&link, "garbage", "{}").await.unwrap()["after"], "garbage");
    assert_eq!(call(&link, "batch", "{}").await.unwrap()["batch"], true);
    assert_eq!(link.stderr_tail(), "child ready\n");
}

#[tokio::test]
async fn what_cannot_start_says_why() {
    let bed = Bed::new();
    let start = now();
    let mut missing = bed.spec(&[]);
    missing.command = vec!["no-such-program-at-all".to_owned()];
    let mut nowhere = bed.spec(&[]);
    nowhere.cwd = Some("/no/such/folder".into());
    let mut broken = bed.spec(&[]);
    broken.command = ["sh", "-c", "echo missing API_KEY s3cret >&2; exit 9"].map(Into::into).into();
    let mut launcher = bed.spec(&[]);
    launcher.launcher = mcp_proxy::upstream::stdio::Launcher::new("/no/launcher", Vec::new());
    for (spec, words) in [
        (missing, &["`no-such-program-at-all` was not found"][..]),
        (nowhere, &["`/no/such/folder`", "cwd"]),
        (broken, &["exit code 9", "missing API_KEY [redacted]"]),
        (launcher, &["/no/launcher"]),
    ] {
        let error = bed.open_spec(spec).await.unwrap_err();
        assert_eq!((error.cause.clone(), error.ran), (Cause::Down, Ran::No));
        for word in words {
            assert!(error.detail.contains(word), "{error}");
        }
    }
    assert!(start.elapsed() < Duration::from_secs(10));
}

#[tokio::test]
async fn a_mute_server_is_given_up_and_ended() {
    let bed = Bed::new();
    let mut spec = bed.spec(&["mute"]);
    spec.start = Duration::from_secs(2);
    let error = bed.open_spec(spec).await.unwrap_err();
    assert_eq!((error.cause.clone(), error.ran), (Cause::Down, Ran::No));
    assert!(error.detail.contains("child ready"), "{error}");
    bed.nothing_is_left().await;
}

#[tokio::test]
async fn a_child_gets_the_allow_list_and_its_limits_and_nothing_else() {
    let bed = Bed::new();
    let mut spec = bed.spec(&[]);
    spec.cwd = Some("/".into());
    spec.limits =
        ProcessLimits { memory: Some(4 << 30), open_files: Some(99), processes: Some(5_000) };
    let link = bed.open_spec(spec).await.unwrap();
    let report = call(&link, "report", "{}").await.unwrap();
    for name in report["environment"].as_array().unwrap() {
        let name = name.as_str().unwrap();
        let own = ["TEST_MARK", mcp_proxy::upstream::stdio::MARK].contains(&name);
        assert!(own || mcp_proxy::upstream::stdio::passes(name.as_ref()), "{name}");
    }
    assert_eq!(report["cwd"], "/");
    // 3 is the folder that the child reads to see them. What this process was itself given
    // without close-on-exec cannot be closed without unsafe code.
    for file in report["files"].as_array().unwrap() {
        let file = file.as_str().unwrap();
        assert!(["0", "1", "2", "3"].contains(&file) || was_inherited(file), "{file}");
    }
    assert!(report["status"].as_str().unwrap().contains("NoNewPrivs:\t1"));
    let limits = report["limits"].as_str().unwrap();
    for (limit, value) in [
        ("Max open files", "99"),
        ("Max core file size", "0"),
        ("Max address space", "4294967296"),
        ("Max processes", "5000"),
    ] {
        let line = limits.lines().find(|line| line.starts_with(limit)).unwrap();
        assert!(line[limit.len()..].trim_start().starts_with(value), "{line}");
    }
}

/// Descriptors of this process without `O_CLOEXEC`.
fn was_inherited(file: &str) -> bool {
    let info = std::fs::read_to_string(format!("/proc/self/fdinfo/{file}")).unwrap_or_default();
    let flags = info.lines().find_map(|line| line.strip_prefix("flags:\t"));
    flags.is_some_and(|flags| i32::from_str_radix(flags, 8).unwrap() & 0o2_000_000 == 0)
}
