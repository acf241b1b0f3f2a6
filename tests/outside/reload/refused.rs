//! Files that are wrong.

use serde_json::json;

use crate::reload::world::{file, full, process, reload, report, start, write};
use crate::support::{Era, Setup, text};

#[test]
fn a_broken_file_is_refused_and_the_old_one_runs_on() {
    let a = process("a", "one");
    let proxy = start(Setup::new(), &file(&a));
    let mut client = proxy.client(Era::Legacy, "/mcp");
    let (pid, _) = report(&mut client, "a");

    let broken = file(&format!("{a}idle_stpo = \"1m\"\n[upstreams.b]\n"));
    let told = reload(&proxy, &broken);
    assert!(told.contains("refused"), "{told}");
    // The log says what `check` says: every problem, with its place and what to do.
    let (status, _, problems) = proxy.setup().run(&["check"], b"");
    assert_eq!(status.code(), Some(64), "{problems}");
    let log = proxy.log();
    let lines = problems
        .lines()
        .filter(|line| line.contains("mcp-proxy.toml:") || line.starts_with("hint:"));
    let mut count = 0;
    for line in lines {
        let line = line.trim_start_matches("mcp-proxy: ");
        assert!(log.contains(line), "{line} is not in the log:\n{log}");
        count += 1;
    }
    assert!(count >= 4, "{problems}");
    assert!(log.contains("idle_stpo") && log.contains("mcp-proxy.toml:5:"), "{log}");
    assert_eq!(report(&mut client, "a"), (pid, 2));

    // A certificate and a key that cannot be had are found before anything changes.
    for wrong in [
        file(&a).replace(
            "[upstreams.a]",
            "tls = { cert = \"no.pem\", key = \"no.pem\" }\n[upstreams.a]",
        ),
        file(&a).replace("TEST_KEY", "NOWHERE"),
    ] {
        let told = reload(&proxy, &wrong);
        assert!(told.contains("refused"), "{told}");
    }
    assert!(proxy.log().contains("NOWHERE") && proxy.log().contains("no.pem"));
    assert_eq!(report(&mut client, "a"), (pid, 3));

    // A good one is taken after that.
    let told = reload(&proxy, &file(&format!("{a}{}", process("b", "two"))));
    assert!(told.contains("upstreams added: b"), "{told}");
    report(&mut client, "b");
}

#[test]
fn what_needs_a_restart_is_told_and_the_rest_holds() {
    let proxy = start(Setup::new(), &file(&full("a", 1)));
    let mut client = proxy.client(Era::Legacy, "/mcp");
    let toml = file(&full("b", 1)).replace("127.0.0.1:0", "127.0.0.1:1");
    let told = reload(&proxy, &toml);
    assert!(told.contains("only after a restart: server.listen"), "{told}");
    assert_eq!(text(&client.call("b__echo", json!({"text": "x"}))), "x");
}

#[test]
fn a_broken_file_is_told_once_by_the_watch() {
    let proxy = Setup::new().config(&file("")).serve();
    write(&proxy, "[server]\nlisten = 5\n");
    let told = |proxy: &crate::support::Proxy| {
        proxy.log().lines().filter(|line| line.contains("by=File")).count()
    };
    crate::support::until("it is refused", crate::reload::world::PATIENCE, || {
        (told(&proxy) == 1).then_some(())
    });
    write(&proxy, &file(&full("a", 1)));
    crate::support::until("the good one is taken", crate::reload::world::PATIENCE, || {
        proxy.log().contains("upstreams added: a").then_some(())
    });
    assert_eq!(told(&proxy), 2);
}
